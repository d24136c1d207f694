"""What is done with a model from the list: at once, or after a question in a dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pages.ui.listing import intent
from pages.ui.listing.actions import DEACTIVATE, DELETE, ROW_ACTIONS, RowAction, offered
from pages.ui.listing.table import chosen_action
from registry import Registry
from registry.records import Status
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, bound, created, embedding, generation


def _noted(dashboard: Dashboard, action: str, id: str) -> Dashboard:
    """What the row menu's callback notes: the menu itself can be opened in a browser only."""
    dashboard.open().at.session_state[intent.INTENT] = (action, id)
    return dashboard.run()


OFFERED = {
    ("active", False): ["Edit", "Test", "Set as default", "Deactivate", "Deprecate", "Delete"],
    ("active", True): ["Edit", "Test", "Delete"],
    ("inactive", False): ["Edit", "Test", "Activate", "Deprecate", "Delete"],
    ("deprecated", False): ["Edit", "Test", "Activate", "Deactivate", "Delete"],
}


@pytest.mark.parametrize(("status", "is_default"), OFFERED)
def test_the_actions_that_make_sense(dashboard: Dashboard, reg: Registry, status: str, is_default: bool) -> None:
    """Menu and bar offer the same: no default twice, no status that is there already, no retiring of a default."""
    created(reg, generation(status=status, is_default=is_default))
    dashboard.open()
    menu = [chosen_action(label).label for label in dashboard.table["menu"][0]]
    bar = dashboard.select_row(0).buttons[1:]
    assert menu == bar == OFFERED[status, is_default]


def test_the_bar_is_there_for_a_selected_row_only(dashboard: Dashboard, reg: Registry) -> None:
    """Without a selection the bar says how to make one."""
    created(reg, generation())
    assert dashboard.open().buttons == ["Add model"]
    assert "Shift + Space" in dashboard.text
    dashboard.select_row(0)
    assert "Shift + Space" not in dashboard.text
    assert dashboard.select_row(None).buttons == ["Add model"]


def test_a_selection_beyond_the_list_is_none(dashboard: Dashboard, reg: Registry) -> None:
    """A row that is gone since it was selected does no harm."""
    first, _ = created(reg, generation()), created(reg, generation())
    dashboard.open().select_row(1)
    reg.models.delete(first.id, actor=ADMIN)
    dashboard.run().select_row(1)
    assert dashboard.buttons == ["Add model"]


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("is_default", [False, True])
def test_every_menu_entry_has_its_action(status: Status, is_default: bool) -> None:
    """The menu hands back its label: each label names exactly one action."""
    for action in offered(status, is_default):
        assert chosen_action(action.menu_label) is action
    assert len({action.menu_label for action in ROW_ACTIONS}) == len(ROW_ACTIONS)


def test_edit_opens_the_form(dashboard: Dashboard, reg: Registry) -> None:
    """Edit leads to the form of that model, by a link that can be shared."""
    created(reg, generation(name="A"))
    model = created(reg, generation(name="B"))
    dashboard.open().act("B", "Edit")
    assert (dashboard.title, dashboard.at.query_params) == ("Edit B", {"id": model.id})


def test_set_as_default(dashboard: Dashboard, reg: Registry) -> None:
    """It is done at once, said in a note, and the star moves."""
    created(reg, generation(name="Old", is_default=True))
    created(reg, generation(name="New"))
    dashboard.open().act("New", "Set as default")
    assert dashboard.table.set_index("name")["default"].to_dict() == {"New": "★", "Old": ""}
    assert dashboard.toasts == ["“New” is now the default generation model."]
    assert dashboard.dialog is None


@pytest.mark.parametrize(
    ("before", "label", "after"),
    [
        ("active", "Deactivate", "inactive"),
        ("active", "Deprecate", "deprecated"),
        ("inactive", "Activate", "active"),
        ("deprecated", "Activate", "active"),
    ],
)
def test_a_change_of_status(dashboard: Dashboard, reg: Registry, before: str, label: str, after: str) -> None:
    """Where no KB is hurt, a status changes at once, and can be changed back."""
    model = created(reg, generation(name="M", status=before))
    dashboard.open().act("M", label)
    assert reg.models.get(model.id).status == after
    assert dashboard.toasts == [f"“M” is now {after}."]


def test_deprecating_a_model_in_use_hurts_nobody(dashboard: Dashboard, reg: Registry) -> None:
    """A deprecated model goes on working for its KBs: no question."""
    model = created(reg, generation(name="M"))
    bound(reg, model)
    dashboard.open().act("M", "Deprecate")
    assert (dashboard.dialog, reg.models.get(model.id).status) == (None, "deprecated")


def test_deactivating_a_model_in_use_asks_first(dashboard: Dashboard, reg: Registry) -> None:
    """The question names the KBs; nothing happens before it is answered."""
    model = created(reg, generation(name="M"))
    bound(reg, model, name="Contracts")
    bound(reg, model, name="Support")
    dashboard.open().act("M", "Deactivate")
    assert dashboard.dialog == "Deactivate model"
    assert "2 knowledge bases" in dashboard.text
    assert "- Contracts\n- Support" in dashboard.text
    assert reg.models.get(model.id).status == "active"
    dashboard.click_in_dialog("Deactivate")
    assert (dashboard.dialog, reg.models.get(model.id).status) == (None, "inactive")


def test_deprecating_instead(dashboard: Dashboard, reg: Registry) -> None:
    """The question offers the milder way."""
    model = created(reg, generation(name="M"))
    bound(reg, model)
    dashboard.open().act("M", "Deactivate").click_in_dialog("Deprecate")
    assert (dashboard.dialog, reg.models.get(model.id).status) == (None, "deprecated")


@pytest.mark.parametrize("action", [DEACTIVATE, DELETE])
def test_cancelling_does_nothing(dashboard: Dashboard, reg: Registry, action: RowAction) -> None:
    """Cancel closes the question for good, and leaves everything as it was."""
    model = created(reg, generation(name="M"))
    bound(reg, model)
    entries = reg.audit.find().entries
    dashboard.open().act("M", action.label).click("Cancel")
    assert dashboard.dialog is None
    assert dashboard.run().dialog is None
    assert (reg.models.get(model.id), reg.audit.find().entries) == (model, entries)


def test_deleting_asks_first(dashboard: Dashboard, reg: Registry) -> None:
    """Deleting a model that nobody uses takes one confirmation, and says that it cannot be undone."""
    model = created(reg, generation(name="M"))
    dashboard.open().act("M", "Delete")
    assert dashboard.dialog == "Delete model"
    assert "No knowledge base uses it" in dashboard.text
    assert "cannot be undone" in dashboard.text
    assert reg.models.get(model.id) == model
    dashboard.click_in_dialog("Delete")
    assert (reg.models.find(), dashboard.toasts) == ([], ["“M” was deleted."])


def test_a_dialog_survives_reruns(dashboard: Dashboard, reg: Registry) -> None:
    """What was begun is kept in the session: the question stays until it is answered."""
    model = created(reg, generation(name="M"))
    _noted(dashboard, "delete", model.id)
    assert dashboard.run().dialog == "Delete model"


def test_deleting_a_model_in_use_names_the_kbs_and_moves_them(dashboard: Dashboard, reg: Registry) -> None:
    """The KBs are named, deleting waits for a model to move them to, and both happen in one step."""
    model, heir = created(reg, generation(name="M")), created(reg, generation(name="Heir"))
    created(reg, generation(name="Other"))
    bases = [bound(reg, model, name=name) for name in ("Contracts", "Support")]
    dashboard.open().act("M", "Delete")
    assert "- Contracts\n- Support" in dashboard.text
    assert _button(dashboard, "Move and delete").disabled
    choice = dashboard.at.selectbox(key=f"models_move_{model.id}")
    assert choice.options == ["Heir (gpt-4o)", "Other (gpt-4o)"]
    choice.select_index(0)
    dashboard.run().click("Move and delete")
    assert [reg.knowledge_bases.get(base.id).generation for base in bases] == [heir.id, heir.id]
    assert dashboard.names == ["Heir", "Other"]
    assert dashboard.toasts == ["“M” was deleted, 2 knowledge bases moved to “Heir”."]


def test_the_only_model_that_fits_is_chosen(dashboard: Dashboard, reg: Registry) -> None:
    """Where one model fits, it stands there already."""
    model, heir = created(reg, generation(name="M")), created(reg, generation(name="Heir"))
    base = bound(reg, model)
    dashboard.open().act("M", "Delete").click("Move and delete")
    assert reg.knowledge_bases.get(base.id).generation == heir.id


def test_only_fitting_models_are_offered(dashboard: Dashboard, reg: Registry) -> None:
    """Vectors never mix: an embedding model is replaced by one of the same contract; inactive ones do not count."""
    model = created(reg, embedding(name="M"))
    created(reg, embedding(name="Twin"))
    created(reg, embedding(name="Another length", config={"dimensions": 512}))
    created(reg, embedding(name="Retired twin", status="deprecated"))
    created(reg, generation(name="Writer"))
    bound(reg, model)
    dashboard.open().act("M", "Delete")
    assert dashboard.at.selectbox(key=f"models_move_{model.id}").options == ["Twin (text-embedding-3-small)"]


@pytest.mark.parametrize("build", [generation, embedding])
def test_where_no_other_model_fits(dashboard: Dashboard, reg: Registry, build: Callable[..., dict[str, Any]]) -> None:
    """The question says that it cannot be deleted now, why, and what to do; the button is closed."""
    model = created(reg, build(name="M"))
    bound(reg, model)
    dashboard.open().act("M", "Delete")
    assert "No other active model is compatible" in dashboard.at.warning[0].value
    assert ("same vectors" in dashboard.at.warning[0].value) is (build is embedding)
    assert _button(dashboard, "Move and delete").disabled


def test_many_kbs_are_named_in_part(dashboard: Dashboard, reg: Registry) -> None:
    """Twelve KBs are named, the rest are counted."""
    model = created(reg, generation(name="M"))
    for number in range(15):
        bound(reg, model, name=f"Base {number:02}")
    dashboard.open().act("M", "Delete")
    assert "15 knowledge bases" in dashboard.text
    assert "Base 11" in dashboard.text
    assert "Base 12" not in dashboard.text
    assert "… and 3 more" in dashboard.text


def test_a_default_is_replaced_before_it_is_deleted(dashboard: Dashboard, reg: Registry) -> None:
    """Deleting a default asks for another one first; after that, the question whether to delete follows."""
    model = created(reg, generation(name="Default", is_default=True))
    created(reg, generation(name="Next"))
    created(reg, generation(name="Retired", status="inactive"))
    dashboard.open().act("Default", "Delete")
    assert "is the default generation model" in dashboard.text
    assert dashboard.at.selectbox(key=f"models_default_{model.id}").options == ["Next (gpt-4o)"]
    dashboard.click("Make it the default")
    assert dashboard.dialog == "Delete model"
    dashboard.click_in_dialog("Delete")
    assert {model.name: model.is_default for model in reg.models.find()} == {"Next": True, "Retired": False}


def test_the_next_default_is_not_chosen_to_take_over(dashboard: Dashboard, reg: Registry) -> None:
    """Who becomes the default is one question, who takes over the KBs another, which is not answered unasked."""
    model = created(reg, generation(name="Default", is_default=True))
    for name in ("Next", "Other"):
        created(reg, generation(name=name))
    bound(reg, model)
    dashboard.open().act("Default", "Delete")
    dashboard.at.selectbox(key=f"models_default_{model.id}").select_index(0)
    dashboard.run().click("Make it the default")
    assert reg.models.get("Next").is_default
    assert dashboard.at.selectbox(key=f"models_move_{model.id}").value is None
    assert _button(dashboard, "Move and delete").disabled


def test_a_default_can_be_given_up(dashboard: Dashboard, reg: Registry) -> None:
    """The last model of a type can go too: the type is left without a default, on purpose."""
    created(reg, generation(name="Last", is_default=True))
    dashboard.open().act("Last", "Delete")
    assert _button(dashboard, "Make it the default").disabled
    dashboard.click("Leave without default").click_in_dialog("Delete")
    assert reg.models.find() == []
    assert "No models yet" in dashboard.text


@pytest.mark.parametrize("action", [action.id for action in ROW_ACTIONS])
def test_a_model_that_is_gone_meanwhile(dashboard: Dashboard, reg: Registry, action: str) -> None:
    """Acting on a model that another user deleted says so, once."""
    model, _ = created(reg, generation()), created(reg, generation())
    dashboard.open()
    reg.models.delete(model.id, actor=ADMIN)
    _noted(dashboard, action, model.id)
    assert "no such model" in dashboard.text.lower()
    assert not dashboard.run().at.warning


def test_a_model_that_is_gone_while_the_question_is_open(dashboard: Dashboard, reg: Registry) -> None:
    """Confirming a question about a model that is gone meanwhile says so."""
    model, _ = created(reg, generation(name="M")), created(reg, generation())
    dashboard.open().act("M", "Delete")
    reg.models.delete(model.id, actor=ADMIN)
    _button(dashboard, "Delete", -1).click()
    dashboard.run()
    assert dashboard.dialog is None
    assert "no such model" in dashboard.text.lower()


def test_setting_a_default_that_was_retired_meanwhile(dashboard: Dashboard, reg: Registry) -> None:
    """What the library refuses is shown as a sentence, and nothing changes."""
    model = created(reg, generation(name="M", status="inactive"))
    _noted(dashboard, "default", model.id)
    assert dashboard.errors == ["“M” is inactive. Activate it before making it the default."]
    assert reg.models.default("generation") is None


def _button(dashboard: Dashboard, label: str, number: int = 0) -> Any:
    return [button for button in dashboard.at.button if button.label == label][number]
