"""What the list of models says of the LiteLLM proxy, and the message when it does not follow a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from registry import Actor, Registry, Settings
from registry.proxy.records import alias_of
from tests.pages.test_add import filled
from tests.support.driver import Dashboard
from tests.support.factories import AUDITOR, KEY_A, VIEWER, created, embedding, generation
from tests.support.fake_proxy import FakeProxy

DOWN = "cannot be reached"


@pytest.fixture
def reg(sqlite_url: str, fake_proxy: FakeProxy, connect: Callable[[Settings], Registry]) -> Registry:
    """A registry with a proxy."""
    settings = Settings(
        database_url=sqlite_url,
        fernet_keys=[KEY_A],
        litellm_proxy_url=fake_proxy.url,
        litellm_master_key=fake_proxy.master_key,
    )
    return connect(settings)


@pytest.fixture
def dashboard(proxied: Dashboard) -> Dashboard:
    return proxied


def chips(dashboard: Dashboard) -> list[str]:
    """What the list says of the proxy, by row."""
    return [chip[0] for chip in dashboard.table["proxy"]]


def behind(sqlite_url: str, connect: Callable[[Settings], Registry]) -> None:
    """Save a model where no proxy is configured."""
    created(connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])), generation(name="C waits"))


def test_how_the_proxy_follows_each_model(
    dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy, sqlite_url: str, connect: Callable[[Settings], Registry]
) -> None:
    """In step, failed with what went wrong, or not sent yet; the selected row says it in words."""
    created(reg, generation(name="A in step"))
    fake_proxy.stop()
    created(reg, generation(name="B failed"))
    behind(sqlite_url, connect)
    assert chips(dashboard.open()) == ["In step", "Failed", "Waiting"]
    assert "is not in step" not in dashboard.select_row(0).text
    assert DOWN in dashboard.select_row(1).text
    assert "this version was not sent to it yet" in dashboard.select_row(2).text


def test_there_is_no_column_without_a_proxy(form: Dashboard, sqlite_url: str) -> None:
    """Where none is configured, nothing is said of it."""
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])) as reg:
        created(reg, generation())
    form.open().select_row(0)
    assert "proxy" not in form.table
    assert "proxy" not in form.text.lower()


def test_one_model_is_synced_from_the_list(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """The action repairs the selected model and leaves the others alone."""
    fake_proxy.stop()
    first, _ = (created(reg, generation(name=name)) for name in ("A", "B"))
    fake_proxy.start()
    dashboard.open().select_row(0).click("Sync with proxy")
    assert chips(dashboard) == ["In step", "Failed"]
    assert dashboard.toasts == ["“A” is in step with the LiteLLM proxy."]
    assert list(fake_proxy.served()) == [alias_of(first.id)]


def test_a_sync_that_fails_says_why(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """An outage is shown in a note that stays for a while, and the row does not change."""
    fake_proxy.stop()
    created(reg, generation(name="A"))
    dashboard.open().select_row(0).click("Sync with proxy")
    (toast,) = dashboard.at.toast
    assert DOWN in dashboard.toasts[0]
    assert toast.proto.duration == 20
    assert chips(dashboard) == ["Failed"]


CHANGES: dict[str, Callable[[Dashboard], Dashboard]] = {
    "“Some model” was added.": lambda dashboard: filled(dashboard).click("Add model"),
    "“New” was saved.": lambda dashboard: (
        dashboard.open().act("A", "Edit").put(name="New", model_id="x").click("Save changes")
    ),
    "“A” is now deprecated.": lambda dashboard: dashboard.open().act("A", "Deprecate"),
    "“A” was deleted.": lambda dashboard: dashboard.open().act("A", "Delete").click_in_dialog("Delete"),
}


@pytest.mark.parametrize("said", CHANGES)
def test_a_change_that_the_proxy_does_not_follow(
    dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy, said: str
) -> None:
    """It is saved, and the page says so; a warning that stays says that the proxy does not follow, and why."""
    created(reg, generation(name="A"))
    fake_proxy.stop()
    (toast,) = CHANGES[said](dashboard).at.toast
    assert dashboard.toasts[0].startswith(f"{said} The proxy is not in step yet: ")
    assert DOWN in dashboard.toasts[0]
    assert (toast.icon, toast.proto.duration) == (":material/sync_problem:", 20)
    assert dashboard.errors == []


@pytest.mark.parametrize("said", CHANGES)
def test_control_a_proxy_that_follows(dashboard: Dashboard, reg: Registry, said: str) -> None:
    """Where it does follow, nothing is said of it."""
    created(reg, generation(name="A"))
    CHANGES[said](dashboard)
    assert dashboard.toasts == [said]


@pytest.mark.parametrize(("actor", "is_told"), [(AUDITOR, True), (VIEWER, False)])
def test_who_sees_it(
    dashboard: Dashboard, reg: Registry, sign_in: Callable[..., None], actor: Actor, is_told: bool
) -> None:
    """Auditors see how the proxy follows, viewers do not."""
    created(reg, embedding())
    sign_in(actor)
    assert ("proxy" in dashboard.open().table) is is_told


def test_a_test_through_the_proxy(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """Where there is a proxy, it is what a test calls: its outage is the result."""
    created(reg, generation(name="A"))
    fake_proxy.stop()
    dashboard.open().act("A", "Test")
    assert "The LiteLLM proxy cannot be reached, or is not working." in dashboard.text


def test_the_list_takes_no_more_statements(
    dashboard: Dashboard, reg: Registry, count_statements: Callable[[], Any]
) -> None:
    """With a proxy and a selected row, the page reads as much as without."""
    for _ in range(3):
        created(reg, generation())
    dashboard.open()
    with count_statements() as counted:
        dashboard.select_row(0)
    assert 0 < len(counted) <= 5
