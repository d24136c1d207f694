"""What can be read, reached and seen: contrast, headings, and that nothing covers a control."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from registry import Registry
from tests.support.browser import Server, Visitor, apart
from tests.support.factories import ADMIN, KEY_A, bound, created, embedding, generation, ner
from tests.support.fake_proxy import FakeProxy
from tests.support.providers import model_at

pytestmark = pytest.mark.e2e

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
LEVELS = "found => found.map(each => Number(each.ariaLevel || each.tagName[1]))"
SETTLED = """scheme => {
  const app = document.querySelector('[data-testid=stApp]');
  return (!app || getComputedStyle(app).colorScheme === scheme)
    && !document.getAnimations().some(each => each instanceof CSSTransition);
}"""
PAINT = "html => document.querySelector('[data-testid=stMain]').insertAdjacentHTML('beforeend', html)"


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """Which store it is makes no difference to the eye."""
    return sqlite_url


@pytest.fixture
def environment(sqlite_url: str, fake_proxy: FakeProxy) -> dict[str, str]:
    """With a proxy, whose page has more to show."""
    return {
        "REGISTRY_DATABASE_URL": sqlite_url,
        "REGISTRY_FERNET_KEYS": KEY_A,
        "LITELLM_PROXY_URL": fake_proxy.url,
        "LITELLM_MASTER_KEY": fake_proxy.master_key,
    }


@pytest.fixture
def running(started: Callable[..., Server], environment: dict[str, str]) -> Server:
    return started(environment)


@pytest.fixture
def full(reg: Registry, fake_proxy: FakeProxy, running: Server, visitors: Callable[..., Visitor]) -> Server:
    """A dashboard with something of everything: a default, a KB, a test that failed, a proxy that lags."""
    visitors(running).open()  # once it has started, nothing brings the proxy up to date unasked
    created(reg, generation(name="Default", is_default=True))
    bound(reg, created(reg, generation(name="In use")), created(reg, embedding(name="Vectors")), name="Contracts")
    created(reg, model_at("http://127.0.0.1:9", "ollama", "ner", name="Failing", status="deprecated"))
    created(reg, ner(name="Idle", status="inactive"))
    reg.models.test("Failing", actor=ADMIN)
    fake_proxy.add("foreign", "db-legacy")
    return running


def delete(visitor: Visitor, name: str) -> None:
    visitor.open()
    visitor.act(name, "Delete")


def tried(visitor: Visitor) -> None:
    visitor.open()
    visitor.tick("Failing", "Idle")
    visitor.click("Test 2 models")
    expect(visitor.page.get_by_role("heading", name="0 of 2 models work")).to_be_visible()


def with_toast(visitor: Visitor) -> None:
    visitor.open()
    visitor.tick("Idle")
    visitor.click("Activate")
    expect(visitor.page.get_by_test_id("stToast").first).to_be_visible()


def form(visitor: Visitor) -> None:
    visitor.open("/edit")
    visitor.choose("Provider", "OpenAI")
    visitor.enter("Model ID", "text-embedding-3-small")
    visitor.click("Add model")
    expect(visitor.page.get_by_text("to correct above")).to_be_visible()


def retiring(visitor: Visitor) -> None:
    visitor.open("/edit")
    visitor.choose("Provider", "Azure OpenAI")
    visitor.enter("Model ID", "text-embedding-3-large")
    expect(visitor.page.get_by_text("The provider retires this model")).to_be_visible()


def locked(visitor: Visitor) -> None:
    visitor.open()
    visitor.act("Vectors", "Edit")
    expect(visitor.page.get_by_text("Provider and model ID are fixed")).to_be_visible()


def dialog(visitor: Visitor) -> None:
    visitor.open()
    visitor.act("Failing", "Test")
    expect(visitor.page.get_by_role("button", name="Test again")).to_be_visible()


def outdated(visitor: Visitor) -> None:
    visitor.open()
    visitor.act("Failing", "Edit")
    visitor.click("Test connection")
    expect(visitor.page.get_by_text("not with valid JSON")).to_be_visible()
    visitor.enter("Model ID", "another")
    expect(visitor.page.get_by_text("Changed since the last test.")).to_be_visible()


def deactivate(visitor: Visitor) -> None:
    visitor.open()
    visitor.act("In use", "Deactivate")


def ticked(visitor: Visitor, path: str, title: str, name: str) -> None:
    visitor.open(path)
    visitor.tick(name, title=title)


SIGHTS: dict[str, Callable[[Visitor], None]] = {
    "list": lambda visitor: visitor.open(),
    "a model": lambda visitor: ticked(visitor, "/", "Name", "Failing"),
    "no match": lambda visitor: visitor.open("/?search=nowhere"),
    "delete": lambda visitor: delete(visitor, "In use"),
    "delete a default": lambda visitor: delete(visitor, "Default"),
    "tests": tried,
    "toast": with_toast,
    "deactivate": deactivate,
    "test": dialog,
    "form": form,
    "form of a model that is retired": retiring,
    "form of a model that is fixed": locked,
    "form with an outdated test": outdated,
    "audit log": lambda visitor: ticked(visitor, "/audit?time=dates", "Target", "Failing"),
    "proxy": lambda visitor: ticked(visitor, "/proxy", "Alias", "db-legacy"),
}


def pale(page: Page) -> dict[str, Any]:
    """The texts that are hard to read, by colour scheme; one that has none is left out."""
    found = {}
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
        page.wait_for_function(SETTLED, arg=scheme)
        found[scheme] = page.evaluate(CONTRAST)
    return {scheme: texts for scheme, texts in found.items() if texts}


def test_everything_can_be_read(full: Server, visitors: Callable[..., Visitor]) -> None:
    """Each text stands out from what is behind it by 4.5 to 1, a large one or an icon by 3 to 1 (WCAG AA), dark and
    light. Headings begin at the first level, and none is two levels below the one before."""
    visitor, stranger = visitors(full), visitors(full, None)
    faint, levels = {}, {}
    for sight, look in SIGHTS.items():
        look(visitor)
        faint[sight] = pale(visitor.page)
        levels[sight] = visitor.page.get_by_test_id("stMain").get_by_role("heading").evaluate_all(LEVELS)
    stranger.open()
    faint["sign-in"] = pale(stranger.page)
    stranger.page.goto(stranger.url + "/local-login?token=used")
    faint["used link"] = pale(stranger.page)
    assert {sight: texts for sight, texts in faint.items() if texts} == {}
    assert {sight: found[0] for sight, found in levels.items()} == dict.fromkeys(SIGHTS, 1)
    assert {sight: found for sight, found in levels.items() if any(b - a > 1 for a, b in pairwise(found))} == {}


def test_what_cannot_be_read_would_be_seen(visitor: Visitor) -> None:
    """The control: text that is pale by its colour, by the opacity of what it stands in, or on a background."""
    visitor.open()
    for style in ("color:#888", "color:#000; opacity:.5", "color:#fff; background:#5c7cfa"):
        visitor.page.evaluate(PAINT, f"<div id=pale style='{style}'>Pale</div>")
        assert [["Pale", 4.5]] == [[text, needed] for text, _, needed in visitor.page.evaluate(CONTRAST)]
        visitor.page.evaluate("document.getElementById('pale').remove()")
    assert [] == visitor.page.evaluate(CONTRAST)


def test_the_outcomes_of_tests_are_reached_from_the_keyboard(full: Server, visitors: Callable[..., Visitor]) -> None:
    """They take the focus, arrows lead through them, and a message is read in full."""
    visitor = visitors(full)
    tried(visitor)
    visitor.tab_to("canvas")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
        visitor.page.keyboard.press(key)
    cell = visitor.page.locator("[data-testid=stDataFrame] td:focus, [data-testid=stDataFrame] [aria-selected=true]")
    expect(cell.first).to_be_attached()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(".gdg-style, [class*=gdg]").get_by_role("textbox")).to_have_value(re.compile("."))


@pytest.mark.parametrize("width", [1360, 700])
def test_nothing_covers_a_control(full: Server, visitors: Callable[..., Visitor], width: int) -> None:
    """Neither a toast, nor the buttons that a table shows above itself while the mouse is on it."""
    visitor = visitors(full)
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 850})
    with_toast(visitor)
    for action in page.get_by_test_id("stMain").get_by_test_id(re.compile("stBaseButton-(primary|secondary)$")).all():
        assert apart(action, page.get_by_test_id("stToast").first), action.text_content()
    for sight in ("a model", "audit log", "proxy", "tests"):
        SIGHTS[sight](visitor)
        page.get_by_test_id("stDataFrame").hover(position={"x": 250, "y": 60})
        tools = page.get_by_test_id("stElementToolbar").first
        expect(tools).to_be_visible()
        controls = page.get_by_test_id("stMain").locator("button, input").filter(visible=True)
        own = page.get_by_test_id("stElementToolbar").locator("button").count()
        assert own == sum(not apart(control, tools) for control in controls.all())
