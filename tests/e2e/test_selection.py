"""What is selected in a table, in a real browser: a model and never the number of a row; and the bar above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from sqlalchemy import Engine, update

from registry import Registry, Settings
from registry.store.tables import ModelStateRow
from tests.support.browser import Server, Visitor, apart
from tests.support.factories import ADMIN, AUDITOR, KEY_A, created, generation, ollama
from tests.support.fake_proxy import FakeProxy
from tests.support.providers import model_at

pytestmark = pytest.mark.e2e

LONG = (
    "A name of two hundred and fifty-five characters, which is the longest that a model can have, and it goes on " * 3
)


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """Which store it is makes no difference to what is selected."""
    return sqlite_url


@pytest.fixture
def several(visitor: Visitor, reg: Registry) -> Visitor:
    """The list of active models, with GPT-4.1 selected."""
    for name in ("Claude", "GPT-4.1", "GPT-4o", "Llama"):
        created(reg, generation(name=name, model_id=name.lower()))
    visitor.open("/?status=active")
    visitor.tick("GPT-4.1")
    visitor.expect_ticked("GPT-4.1")
    return visitor


def button(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)


def nothing_is_selected(visitor: Visitor) -> None:
    """No row is ticked, and no action is at hand."""
    expect(button(visitor, "Delete")).to_have_count(0)
    expect(visitor.page.get_by_text("To change one, open its menu")).to_be_visible()
    visitor.expect_ticked()


def test_an_action_ends_the_selection(several: Visitor) -> None:
    """The model leaves the filtered list, or stays in it: nothing is selected instead."""
    several.click("Deprecate")
    expect(several.cells("Name")).to_have_text(["Claude", "GPT-4o", "Llama"])
    nothing_is_selected(several)
    several.tick("Claude")
    several.click("Set as default")
    expect(several.cells("★")).to_have_text(["★", "", ""])
    nothing_is_selected(several)


def test_another_filter_selects_no_other_model(several: Visitor) -> None:
    """What is filtered away is selected no more, and what is not stays selected."""
    several.choose("Provider", "OpenAI")
    several.expect_ticked("GPT-4.1")
    with several.rerun():
        several.page.get_by_label("Search", exact=True).fill("4o")
        several.page.keyboard.press("Enter")
    expect(several.cells("Name")).to_have_text(["GPT-4o"])
    nothing_is_selected(several)


def test_a_click_before_the_list_has_followed(several: Visitor, running: Server) -> None:
    """A user who filters and clicks on a row of the list that is still shown selects that model, or nothing."""
    page = several.page
    several.tick("GPT-4.1")
    for text in ("4o", "", "llama", "", "gpt", ""):
        names = several.cells("Name").all_text_contents()
        x, y, _ = several.row(names[0])
        page.get_by_label("Search", exact=True).fill(text)
        with several.rerun(), running.held():
            page.keyboard.press("Enter")
            page.mouse.click(x + 17, y)
        expect(several.cells("Name").first).to_be_attached()
        assert set(several.ticked) <= {names[0]}
        for name in several.ticked:
            several.tick(name)


def test_another_administrator_meanwhile(several: Visitor, reg: Registry) -> None:
    """A row that appears above takes nothing over: the bar and the row's menu act on the model that was meant."""
    created(reg, generation(name="AAA"))
    several.click("Delete")
    dialog = several.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete GPT-4.1?")
    with several.rerun():
        dialog.get_by_role("button", name="Cancel").click()
    expect(several.cells("Name")).to_have_text(["AAA", "Claude", "GPT-4.1", "GPT-4o", "Llama"])
    several.expect_ticked("GPT-4.1")
    several.open_menu("Llama")
    reg.models.delete("Claude", actor=ADMIN)
    with several.rerun():
        several.page.get_by_role("menuitem", name="Delete").click()
    expect(dialog).to_contain_text("Delete Llama?")
    with several.rerun():
        dialog.get_by_role("button", name="Delete").click()
    assert [model.name for model in reg.models.find()] == ["AAA", "GPT-4.1", "GPT-4o"]


def test_the_place_is_kept_after_an_action(visitor: Visitor, reg: Registry) -> None:
    """In a long list that is scrolled, by keyboard: it stays there, and Tab goes on from the bar to the list."""
    for number in range(40):
        created(reg, ollama(name=f"Model {number:02}"))
    page = visitor.page
    visitor.open()
    scroller = page.locator(".dvn-scroller")
    visitor.tab_to("canvas")
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    with visitor.rerun():
        page.keyboard.press("Shift+Space")
    visitor.expect_ticked("Model 30")
    before = scroller.evaluate("it => it.scrollTop")
    assert before > 0
    visitor.tab_to("button", "Deprecate", back=True)
    with visitor.rerun():
        page.keyboard.press("Enter")
    assert reg.models.get("Model 30").status == "deprecated"
    nothing_is_selected(visitor)
    assert scroller.evaluate("it => it.scrollTop") == before
    visitor.tab_to("canvas", most=6)


@pytest.fixture
def proxied(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    fake_proxy: FakeProxy,
) -> Callable[..., Visitor]:
    """Come to a dashboard that has a LiteLLM proxy."""
    proxy = {"LITELLM_PROXY_URL": fake_proxy.url, "LITELLM_MASTER_KEY": fake_proxy.master_key}
    running = started(environment | proxy)
    return lambda *who: visitors(running, *who)


def test_applying_a_difference_ends_the_selection(
    proxied: Callable[..., Visitor],
    sqlite_url: str,
    fake_proxy: FakeProxy,
    connect: Callable[[Settings], Registry],
) -> None:
    """On the page of the proxy, nothing offers to adopt or apply the entry that has moved up."""
    visitor = proxied()
    visitor.open("/proxy")
    reg = connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A]))
    for name in ("One", "Two"):
        created(reg, generation(name=name))
    fake_proxy.add("foreign", "db-legacy")
    visitor.click("Refresh")
    expect(visitor.cells("Model")).to_have_text(["One", "Two", "–"])
    for name, action in (("One", "Apply this one"), ("Two", "Apply this one"), ("–", "Remove")):
        visitor.tick(name, title="Model")
        visitor.click(action)
        if action == "Remove":
            dialog = visitor.page.get_by_role("dialog", name="Remove entry")
            with visitor.rerun():
                dialog.get_by_role("button", name="Remove", exact=True).click()
        for offered in ("Apply this one", "Adopt", "Remove"):
            expect(button(visitor, offered)).to_have_count(0)
    expect(visitor.page.get_by_text("The proxy is in step with the registry.")).to_be_visible()


NAMES = {"untested": "Untested", "long": LONG[:255], "failing": "Failing", "behind": "Behind"}
REASON = "It does not do that, for this reason. " * 10


@pytest.fixture
def states(
    proxied: Callable[..., Visitor], reg: Registry, fake_proxy: FakeProxy, raw: Engine
) -> Callable[..., Visitor]:
    """The same, with models that have much to tell: of a test that failed, of a proxy that does not follow."""
    proxied().open()  # once it has started, nothing brings the proxy up to date unasked
    fake_proxy.stop()
    created(reg, model_at("http://127.0.0.1:9", "ollama", name=NAMES["failing"]))
    assert not reg.models.test(NAMES["failing"], actor=ADMIN).ok
    with raw.begin() as connection:
        connection.execute(update(ModelStateRow).values(test_message=REASON, proxy_message=REASON))
    for state in ("untested", "long", "behind"):
        created(reg, generation(name=NAMES[state]))
    return proxied


def top(visitor: Visitor) -> float:
    """Where the table begins."""
    box = visitor.page.get_by_test_id("stDataFrame").bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.parametrize("width", [1360, 700])
@pytest.mark.parametrize("who", [(), (AUDITOR,)], ids=["admin", "auditor"])
def test_the_table_stays_where_it_is(states: Callable[..., Visitor], who: tuple[Any, ...], width: int) -> None:
    """Whatever is selected, the table does not move by a pixel under the pointer."""
    visitor = states(*who)
    visitor.page.set_viewport_size({"width": width, "height": 850})
    visitor.open()
    tops = {"nothing": top(visitor)}
    for state, name in NAMES.items():
        visitor.tick(name)
        tops[state] = top(visitor)
        visitor.tick(name)
    visitor.tick(NAMES["failing"], NAMES["behind"])
    tops["two"] = top(visitor)
    assert set(tops.values()) == {tops["nothing"]}


def test_the_bar_says_all_of_it(states: Callable[..., Visitor]) -> None:
    """What is cut is read in full at the mark behind it; each action can be reached in a narrow window, too; and the
    table's own buttons, which appear above it, cover none of them."""
    visitor = states()
    page = visitor.page
    page.set_viewport_size({"width": 700, "height": 850})
    for state, told in (("failing", REASON.strip()), ("long", LONG[:255].strip())):
        visitor.open()
        visitor.tick(NAMES[state])
        page.get_by_test_id("stMain").get_by_test_id("stTooltipIcon").last.hover()
        expect(page.get_by_test_id("stTooltipContent")).to_contain_text(told)
    visitor.open()
    visitor.tick(NAMES["behind"])
    for name in ("Edit", "Test", "Set as default", "Deactivate", "Deprecate", "Delete", "Sync with proxy"):
        action = button(visitor, name)
        action.scroll_into_view_if_needed()
        expect(action).to_be_in_viewport(ratio=1)
        page.get_by_test_id("stDataFrame").hover(position={"x": 300, "y": 100})
        tools = page.get_by_test_id("stElementToolbar").first
        expect(tools).to_be_visible()
        assert apart(action, tools)
