"""Texts that no one thinks of, sent to a real store: each is found, not found or refused, never an untyped error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry import ModelFilter, Registry, errors
from tests.support.factories import ADMIN, created, generation

# one store for all examples: each must stand whatever the ones before have left
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.text() | st.text("%_'\\\"\0;-\n ", max_size=8) | st.characters(codec=None).map(lambda char: char * 3)


@FEW
@given(looked_for=TEXTS)
def test_any_text_can_be_looked_for(reg: Registry, looked_for: str) -> None:
    """In every search box, filter and link."""
    assert isinstance(reg.models.find(ModelFilter(search=looked_for, provider=looked_for)), list)
    assert isinstance(reg.models.overview(ModelFilter(search=looked_for)), list)
    assert isinstance(reg.knowledge_bases.find(search=looked_for), list)
    reg.audit.find(actor=looked_for, action=looked_for, target=looked_for, search=looked_for)
    with pytest.raises(errors.NotFoundError):
        reg.models.get(looked_for)
    with pytest.raises(errors.NotFoundError):
        reg.knowledge_bases.get(looked_for)


@FEW
@given(name=TEXTS, model_id=TEXTS, tag=TEXTS)
def test_any_text_is_saved_whole_or_refused(reg: Registry, name: str, model_id: str, tag: str) -> None:
    """What is accepted comes back as it was, trimmed, on both stores, and is found by its own name."""
    spec = generation(name=name, model_id=model_id, config={"tags": [tag]})
    entries = len(reg.audit.find(limit=500).entries)
    try:
        model = created(reg, spec)
    except errors.RegistryError:
        assert entries == len(reg.audit.find(limit=500).entries)
        return
    saved = reg.models.get(model.name)
    assert (name.strip(), model_id.strip(), (tag,)) == (saved.name, saved.model_id, saved.config["tags"])
    assert model.id in {found.id for found in reg.models.find(ModelFilter(search=name))}
    assert model.id in {entry.target_id for entry in reg.audit.find(target=model.name).entries}
    reg.models.delete(model.id, actor=ADMIN)


@FEW
@given(id=TEXTS, name=TEXTS)
def test_any_base_is_bound_whole_or_refused(reg: Registry, id: str, name: str) -> None:
    """Ids are the KB code's own: whatever is accepted is found under it."""
    try:
        base: Any = reg.knowledge_bases.bind(id, name=name, actor=ADMIN)
    except errors.RegistryError:
        return
    assert base == reg.knowledge_bases.get(id.strip())
    reg.knowledge_bases.remove(base.id, actor=ADMIN)
