"""Names full of what Markdown and Streamlit would make something else of: shown letter by letter, wherever it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from registry import Registry, Settings
from tests.support.browser import Server, Visitor
from tests.support.factories import ADMIN, KEY_A, bound, created, generation
from tests.support.fake_proxy import FakeProxy
from tests.support.tricks import names

pytestmark = pytest.mark.e2e

MADE = (
    "a[href*=evil i], a[href^=mailto], img[src*=evil], img[alt*=logo i]:not([data-testid]), .katex, code, del, sub, sup"
)


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """Which store it is makes no difference to what is shown."""
    return sqlite_url


@pytest.fixture
def environment(sqlite_url: str, fake_proxy: FakeProxy) -> dict[str, str]:
    """With a proxy, on whose page names stand, too."""
    return {
        "REGISTRY_DATABASE_URL": sqlite_url,
        "REGISTRY_FERNET_KEYS": KEY_A,
        "LITELLM_PROXY_URL": fake_proxy.url,
        "LITELLM_MASTER_KEY": fake_proxy.master_key,
    }


@pytest.fixture(params=range(len(names())))
def name(request: pytest.FixtureRequest) -> str:
    return names()[request.param]


@pytest.fixture
def visitor(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    reg: Registry,
    fake_proxy: FakeProxy,
    connect: Callable[[Settings], Registry],
    name: str,
) -> Visitor:
    """The dashboard with a default of this name and another model, each used by a KB of this name; the proxy has an
    entry that stands in the way of the default's."""
    visitor = visitors(started(environment))
    visitor.open()  # once it has started, nothing brings the proxy up to date unasked
    model = created(reg, generation(name=name, is_default=True))
    bound(reg, model, name=f"K {name}"[:255])
    created(reg, generation(name="Other"))
    bound(reg, created(reg, generation(name=f"{name}2"[:255])), name=f"K {name}"[:255])
    fake_proxy.add("foreign", f"db-{model.id}")
    return visitor


def read(place: Locator) -> str:
    """What an element says, without what has no width."""
    return str(place.evaluate("it => it.textContent")).replace("\u2060", "")


def test_names_are_shown_letter_by_letter(visitor: Visitor, reg: Registry, name: str) -> None:
    """In cards, bars, tooltips, questions, notes, titles, tables and errors."""
    page, seen = visitor.page, {}
    main, dialog = page.get_by_test_id("stMain"), page.get_by_role("dialog")

    def look(place: str, at: Locator, text: str = name) -> None:
        expect(at).to_be_attached()
        seen[place] = text in read(at) and page.locator(MADE).count() == 0

    visitor.open()
    look("card", main.get_by_text("★ ").first)
    visitor.tick(name)
    look("bar", main.get_by_test_id("stMarkdown").filter(has_text="tested yet"), name[:59].rstrip())
    main.get_by_test_id("stTooltipIcon").last.hover()
    look("tooltip", page.get_by_test_id("stTooltipContent"))
    page.mouse.move(1, 1)

    visitor.open()
    visitor.act(f"{name}2"[:255], "Delete")
    look("question", dialog, f"{name}2"[:255])
    look("list in a question", dialog.get_by_role("listitem"), f"K {name}"[:255])
    dialog.get_by_role("combobox").click()
    look("options", page.get_by_role("listbox"))
    page.keyboard.press("Escape")
    with visitor.rerun():
        dialog.get_by_role("button", name="Cancel").click()
    visitor.act(f"{name}2"[:255], "Deprecate")
    look("note", page.get_by_test_id("stToast").first, f"{name}2"[:255])
    visitor.act(f"{name}2"[:255], "Test")
    look("test", dialog, f"{name}2"[:255])
    visitor.click("Done")

    visitor.open(f"/edit?id={reg.models.get(name).id}")
    look("title", main.get_by_role("heading", level=1))
    look("info", main.get_by_test_id("stAlert"), f"K {name}"[:255])

    reg.models.update(name, {"name": f"X {name}"[:255]}, version=1, actor=ADMIN)
    visitor.open("/audit?action=model:update")
    visitor.tick(f"X {name}"[:255], title="Target")
    look("entry", main.get_by_test_id("stVerticalBlock").last, f"X {name}"[:255])
    look("table", main.get_by_test_id("stTable"))

    visitor.open("/proxy")
    visitor.tick("Foreign", title="Difference")
    look("difference", main.get_by_test_id("stMarkdown").filter(has_text="X ").first, f"X {name}"[:59].rstrip())
    visitor.click("Adopt")
    look("adopting", dialog, f"X {name}"[:255])
    assert seen == dict.fromkeys(seen, True)
