"""The dashboard and its proxy: in step from the start, and put right from the page."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from registry import Registry, Settings
from tests.support.browser import Server, Visitor
from tests.support.factories import KEY_A, created, embedding, generation
from tests.support.fake_proxy import FakeProxy
from tests.support.faulty_server import Fault

pytestmark = pytest.mark.e2e


@pytest.fixture
def environment(sqlite_url: str, fake_proxy: FakeProxy) -> dict[str, str]:
    """Which store it is makes no difference to the proxy."""
    return {
        "REGISTRY_DATABASE_URL": sqlite_url,
        "REGISTRY_FERNET_KEYS": KEY_A,
        "LITELLM_PROXY_URL": fake_proxy.url,
        "LITELLM_MASTER_KEY": fake_proxy.master_key,
    }


@pytest.fixture
def reg(sqlite_url: str, connect: Callable[[Settings], Registry]) -> Registry:
    """The registry without its proxy: what it changes is left for the dashboard to follow."""
    return connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A]))


def test_starting_brings_the_proxy_up_to_date(
    reg: Registry,
    fake_proxy: FakeProxy,
    environment: dict[str, str],
    started: Callable[..., Server],
    visitors: Callable[[Server], Visitor],
) -> None:
    """In the background: the page is there while the proxy does not answer yet; what it lacks is registered unasked."""
    model = created(reg)
    answering = threading.Event()
    fake_proxy.faults = lambda *_: Fault("hang") if not answering.wait(60) else None
    running = started(environment)
    visitor = visitors(running)
    visitor.open()
    expect(visitor.cells("Name")).to_have_text([model.name])
    assert [] == fake_proxy.writes
    answering.set()
    visitor.wait_until(lambda: bool(reg.audit.find(action="proxy:sync").entries))
    assert {f"db-{model.id}"} == set(fake_proxy.served())
    entry = reg.audit.find(action="proxy:sync").entries[0]
    assert ("Dashboard", "startup") == (entry.actor, entry.actor_via)
    visitor.open("/proxy")
    expect(visitor.page.get_by_text("The proxy is in step with the registry.")).to_be_visible()


def test_a_sync_from_the_page(visitor: Visitor, reg: Registry, fake_proxy: FakeProxy) -> None:
    """What was changed past the dashboard is shown with its reason, applied on demand, and then in step."""
    visitor.open("/proxy")
    expect(visitor.page.get_by_text("0 of 0 models in step")).to_be_visible()
    created(reg, generation(name="Writer"))
    created(reg, embedding(name="Vectors"))
    visitor.click("Refresh")
    expect(visitor.cells("Model")).to_have_text(["Vectors", "Writer"])
    expect(visitor.cells("Difference")).to_have_text(["Missing", "Missing"])
    visitor.click("Sync now")
    expect(visitor.page.get_by_text("Synchronised: 2 changes applied.")).to_be_visible()
    expect(visitor.page.get_by_text("2 of 2 models in step")).to_be_visible()
    assert len(fake_proxy.served()) == 2
