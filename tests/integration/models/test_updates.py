"""Editing a model: only what is given changes, stale and empty edits change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Model, ModelUpdate, Registry, errors
from tests.support.factories import ADMIN, CANARY, azure, created, embedding, generation, ner, ollama


def _update(reg: Registry, model: Model, **edit: Any) -> Model:
    return reg.models.update(model.id, edit, version=model.version, actor=ADMIN)


@pytest.mark.parametrize(
    ("edit", "field", "expected"),
    [
        ({"name": "  New name "}, "name", "New name"),
        ({"model_id": "gpt-5"}, "model_id", "gpt-5"),
        ({"status": "deprecated"}, "status", "deprecated"),
        ({"api_endpoint": "https://API.openai.com/v2/"}, "api_endpoint", "https://api.openai.com/v2"),
        ({"connection": {"organization": "org-1"}}, "connection", {"organization": "org-1"}),
    ],
)
def test_only_what_is_given_changes(reg: Registry, edit: dict[str, Any], field: str, expected: Any) -> None:
    """One field changes, the version grows by one, everything else stays."""
    model = created(reg)
    edited = _update(reg, model, **edit)
    differing = {name for name in model.__slots__ if getattr(model, name) != getattr(edited, name)}
    assert expected == getattr(edited, field)
    assert {field, "version", "updated_at"} == differing
    assert 2 == edited.version


def test_config_is_merged(reg: Registry) -> None:
    """A parameter that is not given keeps its value, also temperature 0 and tags."""
    model = created(reg, generation(config={"temperature": 0, "tags": ["eu"], "top_k": 5}))
    edited = _update(reg, model, config={"top_k": None})
    assert {**model.config, "top_k": None} == edited.config


def test_update_takes_a_pydantic_object(reg: Registry) -> None:
    """`ModelUpdate` and a mapping of the same shape mean the same."""
    model = created(reg)
    edited = reg.models.update(model.id, ModelUpdate(name="Renamed"), version=1, actor=ADMIN)
    assert ("Renamed", model.model_id, True) == (edited.name, edited.model_id, edited.has_api_key)


def test_endpoint_and_key_can_be_cleared(reg: Registry) -> None:
    """None clears, where the provider needs neither; leaving them out keeps them."""
    model = created(reg, ollama(api_key=CANARY, api_endpoint="http://gpu:11434"))
    assert (model.has_api_key, model.api_endpoint) == (True, "http://gpu:11434")
    without_key = _update(reg, model, api_key=None)
    assert (without_key.has_api_key, without_key.api_endpoint) == (False, "http://gpu:11434")
    assert _update(reg, without_key, api_endpoint=None).api_endpoint is None


@pytest.mark.parametrize(
    ("spec", "edit", "field"),
    [
        (generation, {"api_key": None}, "api_key"),
        (generation, {"api_key": "  "}, "api_key"),
        (azure, {"api_endpoint": None, "api_key": CANARY}, "api_endpoint"),
        (azure, {"connection": {"deployment": None}}, "connection.deployment"),
        (generation, {"name": " "}, "name"),
        (generation, {"provider": "anthropic2"}, "provider"),
        (generation, {"provider": ""}, "provider"),
        (generation, {"type": "ner"}, "type"),
        (generation, {"config": {"max_output_tokens": 128_001}}, "config.max_output_tokens"),
        (generation, {"config": {"colour": 1}}, "config.colour"),
        (embedding, {"provider": "anthropic", "api_key": CANARY}, "provider"),
        (embedding, {"config": {"dimensions": None}}, "config.dimensions"),
        (ner, {"config": {"stop_sequences": [""]}}, "config.stop_sequences"),
        (ner, {"version": 7}, "version"),
    ],
)
def test_a_refused_edit_changes_nothing(reg: Registry, spec: Any, edit: dict[str, Any], field: str) -> None:
    """The merged whole is checked, and the fault stands at its field."""
    model = created(reg, spec())
    entries = reg.audit.find().entries
    with pytest.raises(errors.InvalidModelError) as caught:
        _update(reg, model, **edit)
    assert [field] == list(caught.value.fields)
    assert model == reg.models.get(model.id)
    assert entries == reg.audit.find().entries


def test_an_edit_of_an_older_version_is_refused(reg: Registry) -> None:
    """A stale form cannot overwrite a newer change, even of another field."""
    model = created(reg)
    newer = _update(reg, model, name="Newer")
    with pytest.raises(errors.StaleVersionError, match="Load it again"):
        _update(reg, model, model_id="gpt-5")
    assert newer == reg.models.get(model.id)


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"name": "Same"},
        {"name": "  Same "},
        {"api_key": CANARY},
        {"config": {}},
        {"config": {"temperature": 0.7, "tags": []}},
        {"connection": {"organization": None}},
        {"status": "active"},
        {"is_default": False},
        {"api_endpoint": ""},
    ],
    ids=str,
)
def test_saving_without_a_change_changes_nothing(reg: Registry, edit: dict[str, Any]) -> None:
    """No version, no time, no audit entry: not even where the same key is typed again."""
    model = created(reg, generation(name="Same"))
    entries = reg.audit.find().entries
    assert model == _update(reg, model, **edit)
    assert entries == reg.audit.find().entries


def test_saving_every_parameter_as_it_is_changes_nothing(reg: Registry) -> None:
    """A form that sends all it shows saves nothing where nothing was touched."""
    model = created(reg, ner(config={"temperature": 0, "stop_sequences": ["\n\n"], "tags": ["a", "b"]}))
    config = {name: list(value) if isinstance(value, tuple) else value for name, value in model.config.items()}
    shown = {"name": model.name, "model_id": model.model_id, "provider": model.provider, "status": model.status}
    assert model == _update(reg, model, **shown, config=config)


@pytest.mark.parametrize("status", ["inactive", "deprecated", "active"])
def test_set_status(reg: Registry, status: str) -> None:
    """Each status can be set, and setting the present one changes nothing."""
    model = created(reg)
    edited = reg.models.set_status(model.id, status, actor=ADMIN)
    assert (status, 1 if status == "active" else 2) == (edited.status, edited.version)


def test_an_unknown_status_is_refused(reg: Registry) -> None:
    """At its field, and nothing changes."""
    model = created(reg)
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.models.set_status(model.id, "asleep", actor=ADMIN)
    assert ["status"] == list(caught.value.fields)
    assert model == reg.models.get(model.id)


@pytest.mark.parametrize("edit", [{"name": "TAKEN"}, {"name": " taken  "}, {"name": "Ｔａｋｅｎ"}])
def test_a_name_cannot_become_another_models(reg: Registry, edit: dict[str, str]) -> None:
    """Names are compared without case, width and surrounding space, in edits as in new models."""
    created(reg, generation(name="Taken"))
    model = created(reg)
    with pytest.raises(errors.AlreadyExistsError) as caught:
        _update(reg, model, **edit)
    assert ["name"] == list(caught.value.fields)
    assert model == reg.models.get(model.id)


def test_a_name_can_change_its_case(reg: Registry) -> None:
    """A model does not stand in its own way."""
    assert _update(reg, created(reg, generation(name="Llama")), name="LLAMA").name == "LLAMA"


def test_changing_the_provider_drops_what_the_old_one_needed(reg: Registry) -> None:
    """Connection fields belong to their provider."""
    model = created(reg, azure())
    edited = _update(reg, model, provider="openai", api_endpoint=None, api_key=CANARY)
    assert (edited.provider, dict(edited.connection)) == ("openai", {})


@pytest.mark.parametrize(
    "edit", ['config = \'{"context_window": 8192, "max_output_tokens": 1024}\'', "name_key = 'another'"]
)
def test_a_row_of_before_is_saved_without_a_change(reg: Registry, raw: Engine, edit: str) -> None:
    """One that lacks parameters, as of a version before them, or whose name was edited: nothing is written."""
    model = created(reg, generation(name="Old"))
    with raw.begin() as connection:
        connection.execute(text(f"UPDATE models SET {edit}"))
    before, entries = reg.models.get(model.id), reg.audit.find()
    saved = reg.models.update(model.id, {"name": "Old"}, version=1, actor=ADMIN)
    assert (before, entries) == (saved, reg.audit.find())
    assert reg.audit.verify().ok
