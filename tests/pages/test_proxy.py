"""The page of the LiteLLM proxy: what differs, and putting it right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pages.ui import session
from pages.ui.signin import current
from registry import Registry, Settings
from tests.support.driver import Dashboard, first_then_nobody
from tests.support.factories import CANARY, KEY_A, created, generation, ollama
from tests.support.fake_proxy import FakeProxy
from tests.support.faulty_server import Fault


@pytest.fixture
def settings(sqlite_url: str, fake_proxy: FakeProxy) -> Settings:
    """Which store is behind the page makes no difference to it."""
    return Settings(
        database_url=sqlite_url,
        fernet_keys=[KEY_A],
        litellm_proxy_url=fake_proxy.url,
        litellm_master_key=fake_proxy.master_key,
    )


@pytest.fixture
def dashboard(proxied: Dashboard) -> Dashboard:
    return proxied


def differences(dashboard: Dashboard) -> list[tuple[str, str, str]]:
    return list(dashboard.table[["model", "reason", "effect"]].itertuples(index=False, name=None))


def test_a_proxy_in_step(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """It says where it is, that the key works, how many models are in step, and that there is nothing to do."""
    created(reg)
    dashboard.open("proxy")
    for expected in (fake_proxy.url, "Master key", "1 of 1 model in step", "is in step with the registry"):
        assert expected in dashboard.text.replace("**", "")
    assert not dashboard.at.dataframe


@pytest.mark.parametrize(("number", "said"), [(1, "1 entry there is not"), (2, "2 entries there are not")])
def test_what_is_not_ours_is_no_difference(
    dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy, number: int, said: str
) -> None:
    """Where the proxy serves what the registry says, entries of others are shown as what they are."""
    created(reg)
    for each in range(number):
        fake_proxy.add(f"foreign {each}", f"db-{each}")
    dashboard.open("proxy")
    assert [f"The proxy is in step with the registry. {said} from this registry."] == [
        note.value for note in dashboard.at.success
    ]
    assert ["Not from this registry"] == [heading.value for heading in dashboard.at.header]
    assert "difference" not in dashboard.text


def test_what_differs_beside_what_is_not_ours(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """Nothing says that the proxy serves what the registry says."""
    created(reg)
    fake_proxy._rows.clear()
    fake_proxy.add("foreign", "db-legacy")
    dashboard.open("proxy")
    assert not dashboard.at.success
    assert ["Differences"] == [heading.value for heading in dashboard.at.header]
    assert "**2 differences**" in dashboard.text


def test_what_differs_is_told_and_put_right(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """Each difference with its reason and what a sync does about it; “Sync now” applies them all."""
    created(reg, generation(name="Lost"))
    created(reg, generation(name="Spoilt"))
    expected = fake_proxy.served()
    lost, spoilt = fake_proxy._rows.values()
    del fake_proxy._rows[lost.id]
    spoilt.litellm_params["api_base"] = "http://elsewhere"
    dashboard.open("proxy")
    assert [("Lost", "Missing", "registers it"), ("Spoilt", "Edited by hand", "registers it, removes 1 entry")] == (
        differences(dashboard)
    )
    dashboard.click("Sync now")
    assert "Synchronised: 2 changes applied." in dashboard.text
    assert expected == fake_proxy.served()
    assert not dashboard.at.dataframe


def test_one_difference_is_applied(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """The others stay as they are."""
    for name in ("One", "Two"):
        created(reg, generation(name=name))
    fake_proxy._rows.clear()
    dashboard.open("proxy").select_row(0).click("Apply this one")
    assert [("Two", "Missing", "registers it")] == differences(dashboard)


def test_a_foreign_entry_is_adopted_after_a_question(
    dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy
) -> None:
    """Not before: “Cancel” changes nothing."""
    model = created(reg, generation(name="Ours"))
    fake_proxy.add("foreign", f"db-{model.id}")
    dashboard.open("proxy").select_row(0).click("Adopt")
    assert dashboard.dialog == "Adopt entry"
    dashboard.click("Cancel")
    assert fake_proxy.entry("foreign") is not None
    dashboard.select_row(0).click("Adopt").click_in_dialog("Adopt")
    assert fake_proxy.entry("foreign") is None
    assert ["“Ours” was adopted."] == dashboard.toasts


def test_what_has_no_model_here_is_removed_after_a_question(dashboard: Dashboard, fake_proxy: FakeProxy) -> None:
    """The question says so, in its title, too."""
    fake_proxy.add("foreign", "db-legacy")
    dashboard.open("proxy").select_row(0).click("Remove")
    assert dashboard.dialog == "Remove entry"
    assert "db-legacy: the entry is removed from the proxy." in dashboard.text.replace("**", "")
    dashboard.click_in_dialog("Remove")
    assert fake_proxy.entry("foreign") is None


def test_an_open_question_asks_anew_who_is_there(
    dashboard: Dashboard, fake_proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question reruns without its page; once the sign-in has ended, nothing is adopted or removed."""
    fake_proxy.add("foreign", "db-legacy")
    dashboard.open("proxy").select_row(0).click("Remove")
    held = session.registry()
    monkeypatch.setattr(session, "require", lambda role: held)
    monkeypatch.setattr(current, "actor", first_then_nobody())
    dashboard.click_in_dialog("Remove")
    assert "You are not signed in." in dashboard.errors
    assert fake_proxy.entry("foreign") is not None


def test_old_news_are_gone_when_one_comes_back(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """What a sync could not do is shown until the user leaves the page: by then it may be done."""
    created(reg, generation(name="Unlucky"))
    fake_proxy._rows.clear()
    fake_proxy.faults = lambda _number, _method, path: Fault(500) if path == "/model/new" else None
    dashboard.open("proxy").click("Sync now")
    assert dashboard.at.warning
    dashboard.run()
    assert dashboard.at.warning
    dashboard.open("models").open("proxy")
    assert not dashboard.at.warning


def test_what_could_not_be_applied_is_told(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """By name and with the reason; what the proxy echoes is not shown."""
    created(reg, generation(name="Unlucky"))
    fake_proxy._rows.clear()
    dashboard.open("proxy")
    fake_proxy.faults = lambda _number, _method, path: Fault(500, text=CANARY) if path == "/model/new" else None
    dashboard.click("Sync now")
    warning = dashboard.at.warning[0].value
    assert "Unlucky" in warning
    assert "STORE" in warning
    assert CANARY.encode() not in dashboard.sent() + dashboard.remembered()


def test_a_proxy_that_is_down(dashboard: Dashboard, reg: Registry, fake_proxy: FakeProxy) -> None:
    """The page says so and what still works; “Refresh” is enough when it is back."""
    created(reg, ollama())
    fake_proxy.stop()
    dashboard.open("proxy")
    assert "cannot be reached" in dashboard.errors[0]
    dashboard.click("Sync now")
    assert "cannot be reached" in dashboard.errors[0]
    fake_proxy.start()
    dashboard.click("Refresh")
    assert not dashboard.errors


def test_without_a_proxy_the_page_says_how_to_have_one(sqlite_url: str, environment: Callable[..., None]) -> None:
    """And offers nothing else."""
    environment(REGISTRY_DATABASE_URL=sqlite_url, REGISTRY_FERNET_KEYS=KEY_A)
    dashboard = Dashboard().open("proxy")
    assert "LITELLM_PROXY_URL" in dashboard.text
    assert all(button.disabled for button in dashboard.at.button if button.label in ("Refresh", "Sync now"))
