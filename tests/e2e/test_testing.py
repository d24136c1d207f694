"""Connection tests in a real browser: before saving, from the list, of several models, and while others work."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from playwright.sync_api import expect

from registry import Registry
from tests.support.browser import ROW_HEIGHT, Server, Visitor
from tests.support.factories import created
from tests.support.fake_proxy import FakeProxy
from tests.support.providers import Answer, Provider, Request, model_at

pytestmark = pytest.mark.e2e

WORKS = "It works: vectors of 768 dimensions."
TYPED = "k-typed-5d2a7c9e41"


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """What is tested here does not depend on the store."""
    return sqlite_url


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider whose embedding models make vectors of 768 dimensions."""
    with closing(Provider()) as provider:
        provider.vector = [768**-0.5] * 768
        yield provider


@pytest.fixture
def hanging() -> Iterator[Provider]:
    """A provider that answers only when the test is over."""
    over = threading.Event()
    with closing(Provider()) as provider:

        def answer(request: Request) -> Answer:
            over.wait()
            return provider.speak(request)

        provider.answer = answer
        yield provider
        over.set()


def test_a_model_is_tested_before_and_after_it_is_saved(visitor: Visitor, provider: Provider) -> None:
    """Test what is typed, take over the dimensions that were measured, save, and test again from the list."""
    page = visitor.page
    visitor.open("/edit")
    visitor.choose("Provider", "Ollama")
    visitor.enter("Model ID", "my-embedder")
    visitor.type("Name", "Vectors")
    visitor.type("Endpoint (optional)", provider.url)
    visitor.type("Dimensions", "1024")
    visitor.click("Test connection")
    expect(page.get_by_text("Its vectors have 768 dimensions, but 1,024 are configured.")).to_be_visible()
    visitor.click("Use 768 dimensions")
    expect(page.get_by_text(WORKS)).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Dimensions")).to_have_value("768")
    visitor.type("Max tokens", "512")
    visitor.click("Add model")
    expect(visitor.cells("Test")).to_have_text([re.compile("^Works")])
    assert len(provider.requests) == 2
    visitor.open_menu("Vectors")
    page.get_by_role("menuitem", name="Test").click()
    expect(page.get_by_role("dialog")).to_contain_text(WORKS)
    visitor.click("Done")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(visitor.cells("Test")).to_have_text([re.compile("^Works")])
    assert len(provider.requests) == 3


def test_a_wrong_key_is_told_and_never_comes_back(visitor: Visitor, provider: Provider) -> None:
    """The provider repeats the key that it refuses; the browser gets neither that nor what was typed."""
    provider.echo()
    visitor.open("/edit")
    visitor.choose("Type", "Generation")
    visitor.choose("Provider", "OpenAI")
    visitor.enter("Model ID", "gpt-4o")
    visitor.type("Endpoint (optional)", f"{provider.url}/v1")
    visitor.type("API key", TYPED)
    visitor.click("Test connection")
    expect(visitor.page.get_by_text("OpenAI refuses the API key.")).to_be_visible()
    expect(visitor.page.get_by_label("API key", exact=True)).to_have_value(TYPED)
    assert [request.key for request in provider.requests] == [TYPED]
    assert any(b"bad key" in frame for frame in visitor.frames)  # the control: what the provider says is found
    assert not any(TYPED.encode() in frame for frame in visitor.frames)


def test_others_are_not_kept_waiting(
    started: Callable[..., Server],
    visitors: Callable[[Server], Visitor],
    environment: dict[str, str],
    reg: Registry,
    provider: Provider,
    hanging: Provider,
) -> None:
    """While one administrator's tests hang, another one works; and who started them can stop them at any time."""
    for name, server in (("Fine", provider), ("Hangs", hanging)):
        created(reg, model_at(server.url, "ollama", "embedding", config={"dimensions": 768}, name=name))
    running = started(environment)
    one, two = visitors(running), visitors(running)
    for visitor in (one, two):
        visitor.open()
    select(one, 0, 1)
    one.page.get_by_role("button", name="Test 2 models").click()
    expect(one.page.get_by_text("1 of 2 tested")).to_be_visible()
    two.open("/?search=hangs")
    expect(two.cells("Name")).to_have_text(["Hangs"])
    two.open_menu("Hangs")
    with two.rerun():
        two.page.get_by_role("menuitem", name="Deprecate").click()
    expect(two.cells("Status")).to_have_text(["Deprecated"])
    one.click("Stop")
    expect(one.page.get_by_role("heading", name="Stopped: 1 of 2 models tested, 0 failed")).to_be_visible()
    one.click("Close")
    expect(one.cells("Test")).to_have_text([re.compile("^Works"), ""])
    one.open_menu("Hangs")
    one.page.get_by_role("menuitem", name="Test").click()
    expect(one.page.get_by_text("This can take up to 15 seconds")).to_be_visible()
    with one.rerun():
        one.page.keyboard.press("Escape")
    expect(one.page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("has_proxy", [False, True])
def test_the_list_fits_the_window(
    started: Callable[..., Server],
    visitors: Callable[[Server], Visitor],
    environment: dict[str, str],
    reg: Registry,
    fake_proxy: FakeProxy,
    has_proxy: bool,
) -> None:
    """At 1360 pixels the table does not scroll sideways."""
    if has_proxy:
        environment |= {"LITELLM_PROXY_URL": fake_proxy.url, "LITELLM_MASTER_KEY": fake_proxy.master_key}
    for _ in range(3):
        created(reg)
    running = started(environment)
    visitor = visitors(running)
    visitor.open()
    expect(visitor.cells("Name")).to_have_count(3)
    expect(visitor.page.locator("th", has_text="Proxy")).to_have_count(int(has_proxy))
    scroller = visitor.page.locator(".dvn-scroller")
    assert scroller.evaluate("it => it.scrollWidth - it.clientWidth") == 0


def select(visitor: Visitor, *rows: int) -> None:
    """Tick these rows of the table."""
    for row in rows:
        box = visitor.page.locator('[data-testid="stDataFrame"] canvas').first.bounding_box()
        assert box is not None
        with visitor.rerun():
            visitor.page.mouse.click(box["x"] + 17, box["y"] + ROW_HEIGHT * (row + 1.5))
