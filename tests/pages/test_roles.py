"""What each role sees: the frame and every page, opened through the frame and past it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import session
from pages.ui.signin import current, startup
from registry import Actor, Registry, Settings
from tests.support.driver import MAIN, TIMEOUT, Dashboard, first_then_nobody
from tests.support.factories import ADMIN, AUDITOR, CANARY, VIEWER, created, embedding, generation

SignIn = Callable[[Actor | None], None]
PAGES = ("models", "edit", "audit", "proxy")
TITLES = {"models": "Models", "audit": "Audit log", "proxy": "Proxy"}
ENDPOINT = "http://models.internal:8080"
ALL_COLUMNS = [
    *("default", "name", "type", "provider", "model_id", "status", "test", "api_key", "used_by", "updated", "menu"),
]


@pytest.fixture
def store(reg: Registry) -> Registry:
    """An active and an inactive model; the endpoint of the active one is nobody's business."""
    created(reg, generation(name="In use", provider="openai_compatible", api_endpoint=ENDPOINT))
    created(reg, embedding(name="Retired", status="inactive"))
    return reg


@pytest.mark.parametrize("page", PAGES)
def test_signed_out_there_is_nothing_to_see(dashboard: Dashboard, store: Registry, sign_in: SignIn, page: str) -> None:
    """Each path shows how to sign in, and nothing of the store, of the menu or of the pages."""
    sign_in(None)
    dashboard.open(page)
    assert (dashboard.title, dashboard.buttons) == ("Sign in", [])
    assert dashboard.at.code[0].value == "python -m registry link"
    assert not dashboard.at.sidebar
    for secret in (b"In use", b"Retired", ENDPOINT.encode(), b"Audit", b"alice", CANARY.encode()):
        assert secret not in dashboard.sent()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("actor", [None, VIEWER, AUDITOR], ids=lambda actor: actor.role if actor else "nobody")
def test_a_pages_own_script_checks_by_itself(
    dashboard: Dashboard, store: Registry, sign_in: SignIn, actor: Actor | None, page: str
) -> None:
    """Run without the frame around it, each page still asks who is there and shows nothing to those it is not for."""
    sign_in(actor)
    at = AppTest.from_file(MAIN.parent / f"{page}.py", default_timeout=TIMEOUT).run()
    assert not at.exception
    is_for_them = actor is not None and (page == "models" or (page != "edit" and actor is AUDITOR))
    if not is_for_them:
        assert [title.value for title in at.title] == ["Not for your role" if actor else "Sign in"]
        assert [*at.dataframe, *at.text_input, *at.selectbox, *at.button] == []
    else:
        assert at.dataframe or page == "proxy"
        assert [title.value for title in at.title] == [TITLES[page]]


def test_without_its_check_a_page_would_show(
    dashboard: Dashboard, store: Registry, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the form without its check opens to an auditor, for whom the library would only refuse to save."""
    sign_in(AUDITOR)
    monkeypatch.setattr(session, "require", lambda role: session.registry())
    assert dashboard.open("edit").title == "Add model"


def test_viewers_see_active_models(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """What they are, and nothing of how they are reached, used or kept; and nothing to press."""
    sign_in(VIEWER)
    dashboard.open()
    assert dashboard.names == ["In use"]
    assert list(dashboard.table) == ["default", "name", "type", "provider", "model_id", "updated"]
    assert dashboard.buttons == []
    assert [box.label for box in dashboard.at.selectbox] == ["Provider"]
    assert "1 model" in dashboard.text
    assert "active" not in dashboard.text
    for secret in (ENDPOINT.encode(), b"Retired", CANARY.encode()):
        assert secret not in dashboard.sent()


def test_viewers_cannot_filter_for_others(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """Nor by a link: it asks for a status, and they get what they may see."""
    sign_in(VIEWER)
    assert dashboard.open(status="inactive", search="Retired").names == []


def test_auditors_see_all_models_and_change_none(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """All statuses and all columns but the menu; a row that is selected offers nothing to do."""
    sign_in(AUDITOR)
    dashboard.open()
    assert dashboard.names == ["In use", "Retired"]
    assert list(dashboard.table) == ALL_COLUMNS[:-1]
    assert dashboard.buttons == []
    assert [box.label for box in dashboard.at.selectbox] == ["Provider", "Status"]
    assert "0 active" in dashboard.text
    assert ENDPOINT.encode() not in dashboard.sent()


def test_auditors_read_the_audit_log(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """All of it."""
    sign_in(AUDITOR)
    dashboard.open("audit")
    assert dashboard.title == "Audit log"
    assert list(dashboard.table["target"]) == ["Retired", "In use"]


def test_administrators_see_all(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """The control to what the others do not see."""
    sign_in(ADMIN)
    dashboard.open()
    assert list(dashboard.table) == ALL_COLUMNS
    assert dashboard.buttons == ["Add model"]
    assert dashboard.open("edit").title == "Add model"
    assert dashboard.open("audit").title == "Audit log"


@pytest.mark.parametrize(
    ("actor", "page", "role"),
    [
        (VIEWER, "edit", "admin"),
        (VIEWER, "audit", "auditor"),
        (VIEWER, "proxy", "auditor"),
        (AUDITOR, "edit", "admin"),
    ],
)
def test_a_page_says_which_role_it_needs(
    dashboard: Dashboard, store: Registry, sign_in: SignIn, actor: Actor, page: str, role: str
) -> None:
    """Opened by its path, it shows that and nothing else."""
    sign_in(actor)
    dashboard.open(page, id=store.models.get("In use").id)
    assert (dashboard.title, dashboard.errors) == ("Not for your role", [f"This page needs the role {role}."])
    assert dashboard.buttons == []
    assert [*dashboard.at.dataframe, *dashboard.at.main.text_input] == []


def test_an_empty_list_offers_nothing_to_those_who_cannot_add(dashboard: Dashboard, sign_in: SignIn) -> None:
    """Only administrators are asked to add the first model."""
    sign_in(VIEWER)
    dashboard.open()
    assert "No models yet" in [heading.value for heading in dashboard.at.header]
    assert dashboard.buttons == []


@pytest.mark.parametrize("actor", [VIEWER, AUDITOR, ADMIN], ids=lambda actor: actor.role)
def test_the_frame_says_who_is_signed_in(dashboard: Dashboard, sign_in: SignIn, actor: Actor) -> None:
    """Name, role and how, and the way out."""
    sign_in(actor)
    dashboard.open()
    shown = dashboard.at.sidebar.caption[0].value.replace("\\", "").replace("\u2060", "")
    assert actor.name in shown
    assert f" {actor.role} " in shown
    assert "link from the console" in shown
    assert [button.label for button in dashboard.at.sidebar.button] == ["Sign out"]


def test_signing_out_ends_it_in_every_tab(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """Another tab that still has the cookie, and a form open in it, gets nothing saved and shows the sign-in."""
    sign_in(ADMIN)
    model = store.models.get("In use")
    other = Dashboard().open("edit", id=model.id)
    other.put(name="Changed after the end")
    dashboard.open().click("Sign out")
    other.click("Save changes")
    assert other.title == "You are signed out"
    assert other.buttons == []
    assert store.models.get(model.id).name == "In use"
    assert b"Changed after the end" not in other.remembered()


def test_control_the_same_tab_saves_while_signed_in(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """The control: without the sign-out in between, the change is made."""
    sign_in(ADMIN)
    model = store.models.get("In use")
    Dashboard().open("edit", id=model.id).put(name="Changed").click("Save changes")
    assert store.models.get(model.id).name == "Changed"


def test_a_role_that_was_lowered_counts_at_once(dashboard: Dashboard, store: Registry, sign_in: SignIn) -> None:
    """Whatever the session remembers, the next change is checked against who is there now."""
    sign_in(ADMIN)
    model = store.models.get("In use")
    dashboard.open("edit", id=model.id).put(name="Changed")
    sign_in(AUDITOR)
    dashboard.click("Save changes")
    assert dashboard.title == "Not for your role"
    assert store.models.get(model.id).name == "In use"


def test_an_open_dialog_asks_anew_who_is_there(
    dashboard: Dashboard, store: Registry, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dialog reruns without its page, which is as it was while the user was signed in; the library checks again."""
    sign_in(ADMIN)
    dashboard.open().act("In use", "Delete")
    held = session.registry()
    monkeypatch.setattr(session, "require", lambda role: held)
    monkeypatch.setattr(current, "actor", first_then_nobody())
    dashboard.click_in_dialog("Delete")
    assert "You are not signed in." in dashboard.errors
    assert store.models.get("In use")


def test_a_damaged_sign_in_key_is_told(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While the server runs: the page says what to do."""
    (tmp_path / "data" / "sign-in.key").write_text("nonsense")
    passes = startup.passes(Settings.from_env())
    monkeypatch.setattr(current, "evidence", lambda auth: {passes.cookie_name: "x"})
    dashboard.open()
    assert "Delete it" in dashboard.errors[0]
