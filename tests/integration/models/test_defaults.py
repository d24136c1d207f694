"""The default of a type: at most one, active and of that type."""

from __future__ import annotations

from typing import Any

import pytest

from registry import Registry, errors
from tests.support.factories import ADMIN, BUILDERS, created, embedding, generation


@pytest.mark.parametrize("kind", ["embedding", "generation", "ner"])
def test_a_type_has_no_default_until_one_is_chosen(reg: Registry, kind: str) -> None:
    """`default` gives None, not an arbitrary model."""
    created(reg, BUILDERS[kind]())
    assert reg.models.default(kind) is None


@pytest.mark.parametrize("kind", ["embedding", "generation", "ner"])
def test_creating_a_default_replaces_the_one_before(reg: Registry, kind: str) -> None:
    """A model that is created as the default takes the place of the present one."""
    old = created(reg, BUILDERS[kind](is_default=True))
    new = created(reg, BUILDERS[kind](is_default=True))
    assert [old.is_default, new.is_default, reg.models.get(old.id).is_default] == [True, True, False]
    assert reg.models.default(kind) == new


def test_set_default_moves_the_star(reg: Registry) -> None:
    """The new default is marked, the old one no more, and each type has its own."""
    first, second, other = created(reg, generation(is_default=True)), created(reg), created(reg, embedding())
    reg.models.set_default(other.id, actor=ADMIN)
    result = reg.models.set_default(second.id, actor=ADMIN)
    stars = {model.id: model.is_default for model in reg.models.find()}
    assert result.is_default
    assert {first.id: False, second.id: True, other.id: True} == stars


def test_set_default_of_the_default_changes_nothing(reg: Registry) -> None:
    """Choosing the default again writes no audit entry and moves no version."""
    model = created(reg, generation(is_default=True))
    entries = reg.audit.find().entries
    assert reg.models.get(model.id) == reg.models.set_default(model.id, actor=ADMIN)
    assert entries == reg.audit.find().entries


def test_set_default_of_an_unknown_model(reg: Registry) -> None:
    """There is no such model: NotFoundError."""
    with pytest.raises(errors.NotFoundError):
        reg.models.set_default("nothing", actor=ADMIN)


@pytest.mark.parametrize("status", ["inactive", "deprecated"])
def test_only_an_active_model_becomes_the_default(reg: Registry, status: str) -> None:
    """An inactive or deprecated model is refused, and the present default stays."""
    present = created(reg, generation(is_default=True))
    model = created(reg, generation(status=status))
    with pytest.raises(errors.InactiveModelError):
        reg.models.set_default(model.id, actor=ADMIN)
    assert present == reg.models.default("generation")


@pytest.mark.parametrize("status", ["inactive", "deprecated"])
@pytest.mark.parametrize("way", ["set_status", "update"])
def test_the_default_stays_active(reg: Registry, status: str, way: str) -> None:
    """The default cannot be deactivated or deprecated: another model is made the default first."""
    model = created(reg, generation(is_default=True))
    ways = {
        "set_status": lambda: reg.models.set_status(model.id, status, actor=ADMIN),
        "update": lambda: reg.models.update(model.id, {"status": status}, version=model.version, actor=ADMIN),
    }
    with pytest.raises(errors.DefaultModelError, match="another model the default first"):
        ways[way]()
    assert model == reg.models.get(model.id)


def test_the_default_cannot_be_deleted(reg: Registry) -> None:
    """The library refuses, not only the page; once another model is the default, it works."""
    model, other = created(reg, generation(is_default=True)), created(reg)
    with pytest.raises(errors.DefaultModelError):
        reg.models.delete(model.id, actor=ADMIN)
    reg.models.set_default(other.id, actor=ADMIN)
    reg.models.delete(model.id, actor=ADMIN)
    assert [other.id] == [left.id for left in reg.models.find()]


def test_clear_default_leaves_a_type_without_one(reg: Registry) -> None:
    """On purpose only, audited once, and clearing again changes nothing."""
    model = created(reg, generation(is_default=True))
    reg.models.clear_default("generation", actor=ADMIN)
    reg.models.clear_default("generation", actor=ADMIN)
    assert reg.models.default("generation") is None
    assert 1 == len(reg.audit.find(action="model:clear_default").entries)
    reg.models.set_status(model.id, "inactive", actor=ADMIN)


@pytest.mark.parametrize("call", ["default", "clear_default"])
def test_an_unknown_type_has_no_default(reg: Registry, call: str) -> None:
    """The message names the types there are."""
    arguments: dict[str, Any] = {"actor": ADMIN} if call == "clear_default" else {}
    with pytest.raises(errors.InvalidInputError, match="generation") as caught:
        getattr(reg.models, call)("rerank", **arguments)
    assert ["type"] == list(caught.value.fields)


def test_update_can_make_a_model_the_default(reg: Registry) -> None:
    """The form's switch sets the default in the same save; switching it off on the default is refused."""
    old, model = created(reg, generation(is_default=True)), created(reg)
    edited = reg.models.update(model.id, {"is_default": True}, version=model.version, actor=ADMIN)
    assert edited.is_default
    assert not reg.models.get(old.id).is_default
    with pytest.raises(errors.DefaultModelError):
        reg.models.update(model.id, {"is_default": False}, version=edited.version, actor=ADMIN)


def test_an_inactive_model_is_not_created_as_the_default(reg: Registry) -> None:
    """Refused at the field, and nothing is saved."""
    with pytest.raises(errors.InvalidModelError) as caught:
        created(reg, generation(status="inactive", is_default=True))
    assert ["is_default"] == list(caught.value.fields)
    assert [] == reg.models.find()


def test_defaults_lists_one_row_per_type_that_has_one(reg: Registry) -> None:
    """`defaults` gives the defaults of all types at once."""
    chosen = {created(reg, BUILDERS[kind](is_default=True)).id for kind in ("embedding", "ner")}
    created(reg, generation())
    assert {row.id for row in reg.models.defaults()} == chosen
