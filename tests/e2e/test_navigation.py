"""From every page to every other, whatever is filtered, and what the addresses say meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from registry import Registry
from tests.support.browser import Server, Visitor
from tests.support.factories import VIEWER, created, generation, ner

pytestmark = pytest.mark.e2e

TODAY = datetime.now(UTC).date().isoformat()
FILTERED = {
    "/models": ["type=generation", "provider=openai", "status=active", "search=writer"],
    "/audit": [
        *("action=model:create", "actor=alice@example.com", "time=day", "target=Writer", "search=writer"),
        f"time=dates&from={TODAY}&to={TODAY}",
    ],
}
HEADINGS = {"Models": "Models", "Audit log": "Audit log", "Proxy": "Proxy"}
Way = Callable[[Visitor], Any]


@pytest.fixture
def store_url(lasting_url: str) -> str:
    """Which store it is makes no difference to the ways between the pages."""
    return lasting_url


@pytest.fixture
def visitor(lasting: Server, visitors: Callable[..., Visitor]) -> Visitor:
    return visitors(lasting)


@pytest.fixture
def writer(reg: Registry) -> str:
    """The id of one of two models."""
    created(reg, ner(name="Names"))
    return created(reg, generation(name="Writer")).id


def menu(name: str) -> Way:
    return lambda visitor: visitor.page.get_by_test_id("stSidebar").get_by_role("link", name=name).click()


def press(name: str) -> Way:
    return lambda visitor: visitor.page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True).click()


def follow(name: str) -> Way:
    return lambda visitor: visitor.page.get_by_test_id("stMain").get_by_role("link", name=name).click()


def edit_by_menu(visitor: Visitor) -> None:
    visitor.open_menu("Writer")
    visitor.page.get_by_role("menuitem", name="Edit").click()


def edit_by_bar(visitor: Visitor) -> None:
    visitor.tick("Writer")
    press("Edit")(visitor)


MENU = {heading: menu(name) for name, heading in HEADINGS.items()}
WAYS: dict[str, dict[str, Way]] = {
    "/models": {**MENU, "Add model": press("Add model"), "Edit Writer": edit_by_menu, "Edit Writer ": edit_by_bar},
    "/audit": MENU,
    "/proxy": MENU,
    "/edit": {**MENU, "Models ": follow("Models")},
    "/edit?id={id}": {**MENU, "Models ": follow("Models"), "Models  ": press("Cancel")},
    "/edit?id=nobody": {**MENU, "Models ": follow("All models")},
}


def take(visitor: Visitor, way: Way, heading: str) -> None:
    """Go there, and find the page without an error."""
    with visitor.rerun():
        way(visitor)
    expect(visitor.page.get_by_role("heading", name=heading.strip(), exact=True)).to_be_visible()
    expect(visitor.page.get_by_test_id("stException")).to_have_count(0)


def back(visitor: Visitor, address: str) -> None:
    """To where one was, by the browser's Back: after “Cancel” the second time, since Streamlit notes an address for
    the change of page and another one once the list has put its filters into it."""
    for _ in range(2):
        if visitor.page.url != address:
            with visitor.rerun():
                visitor.page.go_back()
    expect(visitor.page).to_have_url(address)


def own(path: str, heading: str) -> bool:
    """Whether this is the page that one is on: its entry in the menu leads nowhere."""
    return (path, heading) in {("/models", "Models"), ("/audit", "Audit log"), ("/proxy", "Proxy")}


@pytest.mark.parametrize("path", WAYS)
def test_every_way_from_every_page(visitor: Visitor, writer: str, path: str) -> None:
    """By menu, buttons, links and a row's menu, and back; with each filter, as a link of it is opened."""
    for query in FILTERED.get(path, [""]):
        visitor.open(path.format(id=writer) + f"?{query}" * bool(query))
        address, title = visitor.page.url, visitor.page.get_by_role("heading", level=1).inner_text()
        for heading, way in WAYS[path].items():
            if not own(path, heading):
                take(visitor, way, heading)
                back(visitor, address)
                expect(visitor.page.get_by_role("heading", level=1)).to_have_text(title)


def search(visitor: Visitor) -> None:
    with visitor.rerun():
        visitor.page.get_by_label("Search", exact=True).fill("writer")
        visitor.page.keyboard.press("Enter")


CHOICES: dict[str, list[Way]] = {
    "/models": [
        search,
        lambda visitor: visitor.choose("Provider", "OpenAI"),
        lambda visitor: visitor.choose("Status", "Active"),
    ],
    "/audit": [
        search,
        lambda visitor: visitor.choose("Action", "Model registered"),
        lambda visitor: visitor.choose("Actor", "alice@example.com"),
        lambda visitor: visitor.choose("Time", "Last 7 days"),
    ],
}


@pytest.mark.usefixtures("writer")
@pytest.mark.parametrize("path", CHOICES)
def test_every_way_once_a_filter_is_chosen(visitor: Visitor, path: str) -> None:
    """Chosen on the page, one after the other, and there again each time one comes back."""
    visitor.open(path)
    home = "Models" if path == "/models" else "Audit log"
    for choose in CHOICES[path]:
        choose(visitor)
        address = visitor.page.url
        for heading, way in WAYS[path].items():
            if not own(path, heading):
                take(visitor, way, heading)
                take(visitor, MENU[home], home)
                expect(visitor.page).to_have_url(address)


def filtered(page: Page) -> None:
    """The list shows the one model that it is filtered to, and its address says just that."""
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"/models\?type=generation&search=wri$"))
    expect(page.get_by_label("Search", exact=True)).to_have_value("wri")


def save(visitor: Visitor) -> None:
    visitor.type("Temperature", "0.5")
    press("Save changes")(visitor)


BACK = {
    "cancel": press("Cancel"),
    "link": follow("Models"),
    "save": save,
    "back": lambda visitor: visitor.page.go_back(),
}


@pytest.mark.parametrize("edit", [edit_by_menu, edit_by_bar])
def test_the_form_leads_back_to_the_list_as_it_was(visitor: Visitor, writer: str, edit: Way) -> None:
    """With its filters, and nothing of the form in its address: by “Cancel”, link, saving and the browser's Back."""
    visitor.open("/?type=Generation&search=wri")
    filtered(visitor.page)
    for way in BACK.values():
        take(visitor, edit, "Edit Writer")
        expect(visitor.page).to_have_url(re.compile(rf"/edit\?id={writer}$"))
        take(visitor, way, "Models")
        filtered(visitor.page)


@pytest.mark.usefixtures("writer")
def test_adding_leads_back_to_the_list_as_it_was(visitor: Visitor) -> None:
    """By link and by the browser's Back."""
    visitor.open("/?type=generation&search=wri")
    for back in (follow("Models"), lambda visitor: visitor.page.go_back()):
        take(visitor, press("Add model"), "Add model")
        expect(visitor.page).to_have_url(re.compile("/edit$"))
        take(visitor, back, "Models")
        filtered(visitor.page)


@pytest.mark.usefixtures("writer")
def test_back_and_forward_go_through_the_filters(visitor: Visitor) -> None:
    """Each filter that was chosen is an address of its own, to which the browser leads back and forth."""
    visitor.open()
    seen = [visitor.page.url]
    for choose in CHOICES["/models"]:
        choose(visitor)
        seen.append(visitor.page.url)
    assert len(set(seen)) == 4
    for url in reversed(seen[:-1]):
        with visitor.rerun():
            visitor.page.go_back()
        expect(visitor.page).to_have_url(url)
    expect(visitor.cells("Name")).to_have_text(["Names", "Writer"])
    expect(visitor.page.get_by_label("Search", exact=True)).to_have_value("")
    for url in seen[1:]:
        with visitor.rerun():
            visitor.page.go_forward()
        expect(visitor.page).to_have_url(url)
    expect(visitor.cells("Name")).to_have_text(["Writer"])
    expect(visitor.page.get_by_role("combobox", name="Status")).to_have_value("Active")


@pytest.mark.usefixtures("writer")
def test_a_search_stays_on_its_page(visitor: Visitor) -> None:
    """What was searched for among the models is not searched for in the audit log, reached by menu or by a link, nor
    the other way round."""
    for lead in (menu("Audit log"), lambda visitor: visitor.page.goto(visitor.url + "/audit")):
        visitor.open("/?search=writer")
        expect(visitor.cells("Name")).to_have_text(["Writer"])
        take(visitor, lead, "Audit log")
        expect(visitor.cells("Target")).to_have_text(["Writer", "Names"])
        expect(visitor.page.get_by_label("Search", exact=True)).to_have_value("")
    with visitor.rerun():
        visitor.page.get_by_label("Search", exact=True).fill("names")
        visitor.page.keyboard.press("Enter")
    expect(visitor.cells("Target")).to_have_text(["Names"])
    take(visitor, menu("Models"), "Models")
    expect(visitor.page).to_have_url(visitor.url + "/models")
    expect(visitor.cells("Name")).to_have_text(["Names", "Writer"])
    take(visitor, menu("Audit log"), "Audit log")
    expect(visitor.page).to_have_url(visitor.url + "/audit?search=names")
    expect(visitor.cells("Target")).to_have_text(["Names"])


LINKS = {
    "/models?type=NER": ("Models", "type=ner", "Name", ["Names"]),
    "/?type=embedding": ("Models", "type=embedding", "", []),
    "/?type=EMBEDDING&status=nonsense&id=1": ("Models", "type=embedding", "", []),
    "/audit?action=Model+registered&search=names": (
        "Audit log",
        "action=model%3Acreate&search=names",
        "Target",
        ["Names"],
    ),
    f"/audit?time=dates&from={TODAY}": ("Audit log", f"time=dates&from={TODAY}", "Target", ["Writer", "Names"]),
    "/audit?time=dates&to=2020-01-31": ("Audit log", "time=dates&to=2020-01-31", "", []),
}


@pytest.mark.usefixtures("writer")
def test_the_dashboards_address_leads_to_the_list(visitor: Visitor) -> None:
    """With its filters; and Back leaves the dashboard, as it does from any page that was opened first."""
    for opened, address in {"/": "/models", "/?type=ner": "/models?type=ner"}.items():
        visitor.page.goto("about:blank")
        visitor.open(opened)
        expect(visitor.page).to_have_url(visitor.url + address)
        expect(visitor.page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
        expect(visitor.page.get_by_role("dialog")).to_have_count(0)
        visitor.page.go_back()
        expect(visitor.page).to_have_url("about:blank")


@pytest.mark.usefixtures("writer")
def test_a_link_is_read_with_patience(visitor: Visitor) -> None:
    """Ids and labels in any case, also of old links; the address then says it in ids, and no more than is filtered."""
    for link, (heading, address, title, names) in LINKS.items():
        visitor.open(link)
        expect(visitor.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        expect(visitor.page).to_have_url(re.compile(re.escape("?" + address) + "$"))
        expect(visitor.page.get_by_role("dialog")).to_have_count(0)
        if names:
            expect(visitor.cells(title)).to_have_text(names)
        else:
            expect(visitor.page.get_by_text("matches. Change the filters or the search.")).to_be_visible()


def test_signed_out_every_page_asks_to_sign_in(lasting: Server, visitors: Callable[..., Visitor]) -> None:
    """Under its own address, and without a word of a page that is not found."""
    visitor = visitors(lasting, None)
    paths = {path: path for path in ("/models", "/models?type=ner", "/edit", "/edit?id=1", "/audit?search=x", "/proxy")}
    for opened, path in (paths | {"/": "/models", "/?type=ner": "/models?type=ner"}).items():
        visitor.open(opened)
        expect(visitor.page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
        expect(visitor.page.get_by_role("dialog")).to_have_count(0)
        expect(visitor.page).to_have_url(visitor.url + path)


def test_a_page_that_one_may_not_see_leads_to_the_list(lasting: Server, visitors: Callable[..., Visitor]) -> None:
    """By the link on the page that says so."""
    visitor = visitors(lasting, VIEWER)
    for path in ("/edit?id=1", "/audit?search=x", "/proxy"):
        visitor.open(path)
        take(visitor, follow("All models"), "Models")
