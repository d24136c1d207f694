"""What is selected in a table: a model, a difference, an entry, and never the number of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pages.ui import tables
from registry import Registry, Settings
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, KEY_A, created, generation
from tests.support.fake_proxy import FakeProxy

NAMES = ("B", "C", "D")


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """What is selected does not depend on the store."""
    return sqlite_url


@pytest.fixture
def three(dashboard: Dashboard, reg: Registry) -> Dashboard:
    """The list of three active models, filtered by that, with C selected."""
    for name in NAMES:
        created(reg, generation(name=name))
    dashboard.open(status="active").select_row(1)
    assert selected(dashboard) == "C"
    return dashboard


def selected(dashboard: Dashboard) -> str:
    """Of which model the bar speaks; empty where it speaks of none."""
    bar = next(
        node.value for node in dashboard.at.main.markdown if node.value.startswith("**") and "gray" not in node.value
    )
    name = bar.split("**")[1]
    assert ("Delete" in dashboard.buttons) is (name in (*NAMES, "A"))
    return "" if "model" in name else name


CHANGES: dict[str, tuple[Callable[[Dashboard, Registry], object], str]] = {
    "a run": (lambda *_: None, "C"),
    "a model before it": (lambda _, reg: created(reg, generation(name="A")), "C"),
    "a model after it": (lambda _, reg: created(reg, generation(name="E")), "C"),
    "the one before it is gone": (lambda _, reg: reg.models.delete("B", actor=ADMIN), "C"),
    "it is gone": (lambda _, reg: reg.models.delete("C", actor=ADMIN), ""),
    "it is filtered away": (lambda _, reg: reg.models.set_status("C", "inactive", actor=ADMIN), ""),
    "it has another name": (lambda _, reg: renamed(reg, "C", "X"), "X"),
    "another filter": (lambda dashboard, _: searched(dashboard, "d"), ""),
    "a filter that it passes": (lambda dashboard, _: searched(dashboard, "c"), "C"),
}


def renamed(reg: Registry, name: str, to: str) -> None:
    model = reg.models.get(name)
    reg.models.update(model.id, {"name": to}, version=model.version, actor=ADMIN)


def searched(dashboard: Dashboard, text: str) -> None:
    dashboard.at.text_input(key="models_search").set_value(text)


@pytest.mark.parametrize("what", CHANGES)
def test_the_selection_follows_the_model(three: Dashboard, reg: Registry, what: str) -> None:
    """Whatever happens to the rows, the model is selected or nothing is: never another one."""
    change, name = CHANGES[what]
    change(three, reg)
    three.run()
    if name == "X":
        assert "**X**" in three.text
    else:
        assert selected(three) == name
    assert ("Delete" in three.buttons) is bool(name)


def test_what_was_selected_is_not_when_it_comes_back(three: Dashboard) -> None:
    """Once it was gone from the list, nothing is selected."""
    for text, name in (("d", ""), ("", "")):
        searched(three, text)
        assert selected(three.run()) == name


ACTIONS = ("Deactivate", "Deprecate", "Set as default")


@pytest.mark.parametrize("filters", [{"status": "active"}, {}], ids=["filtered", "all"])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_ends_the_selection(three: Dashboard, action: str, filters: dict[str, str]) -> None:
    """It has been dealt with: no other model stands there with its actions at hand."""
    if not filters:
        three.at.selectbox(key="models_status").set_value(None)
        three.run()
    assert selected(three.click(action)) == ""
    assert selected(three.run()) == ""


def test_deleting_ends_the_selection(three: Dashboard) -> None:
    """So does deleting, after its question; “Cancel” does not."""
    assert selected(three.click("Delete").click("Cancel")) == "C"
    assert selected(three.click("Delete").click_in_dialog("Delete")) == ""


def test_a_button_acts_on_the_model_that_it_was_drawn_for(three: Dashboard, reg: Registry) -> None:
    """Also where another administrator's model has taken its row meanwhile."""
    created(reg, generation(name="A"))
    three.click("Delete")
    assert "Delete **C**?" in three.text
    three.click_in_dialog("Delete")
    assert [model.name for model in reg.models.find()] == ["A", "B", "D"]


def test_leaving_the_page_ends_the_selection(three: Dashboard) -> None:
    """A user who comes back begins with nothing selected."""
    three.open("audit").open()
    assert selected(three) == ""


def test_with_one_key_for_all_rows_another_would_be_selected(
    three: Dashboard, reg: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a table that is called the same whatever it shows, as Streamlit's tables usually are."""
    monkeypatch.setattr(tables, "key_of", lambda name, ids: name)
    three.run().select_row(1)
    reg.models.delete("B", actor=ADMIN)
    assert selected(three.run()) == "D"


def test_an_entry_of_the_log_stays_selected(dashboard: Dashboard, reg: Registry) -> None:
    """While others are written, as long as it is on the page."""
    created(reg, generation(name="Alpha"))
    created(reg, generation(name="Other"))
    dashboard.open("audit").select_row(1)
    assert "**Model registered** · Alpha" in dashboard.text
    created(reg, generation(name="Third"))
    assert "**Model registered** · Alpha" in dashboard.run().text
    dashboard.at.text_input(key="audit_search").set_value("Other")
    assert "**Model registered** ·" not in dashboard.run().text


@pytest.fixture
def differing(
    proxied: Dashboard, sqlite_url: str, fake_proxy: FakeProxy, connect: Callable[[Settings], Registry]
) -> Dashboard:
    """Two models that the proxy lacks, and an entry that is not ours; the first one is selected."""
    reg = connect(
        Settings(
            database_url=sqlite_url,
            fernet_keys=[KEY_A],
            litellm_proxy_url=fake_proxy.url,
            litellm_master_key=fake_proxy.master_key,
        )
    )
    for name in ("One", "Two"):
        created(reg, generation(name=name))
    fake_proxy._rows.clear()
    fake_proxy.add("foreign", "db-legacy")
    return proxied.open("proxy").select_row(differences(proxied).index("One"))


def differences(dashboard: Dashboard) -> Sequence[str]:
    return list(dashboard.table["model"])


def test_applying_a_difference_ends_the_selection(differing: Dashboard) -> None:
    """The next one is not selected, and nothing offers to adopt or apply it."""
    differing.click("Apply this one")
    assert differences(differing) == ["Two", "–"]
    assert {"Apply this one", "Adopt", "Remove"} & set(differing.buttons) == set()


def test_a_difference_stays_selected(differing: Dashboard, fake_proxy: FakeProxy) -> None:
    """While another one appears before it."""
    fake_proxy.add("another", "db-000")
    differing.run()
    assert "Apply this one" in differing.buttons
    assert "**One**" in differing.text


def test_removing_ends_the_selection(differing: Dashboard) -> None:
    """After the question, which says that it removes."""
    differing.select_row(differences(differing).index("–")).click("Remove")
    assert differing.dialog == "Remove entry"
    differing.click_in_dialog("Remove")
    assert {"Apply this one", "Adopt", "Remove"} & set(differing.buttons) == set()
