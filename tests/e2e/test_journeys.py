"""The main journeys of an administrator, in a real browser; on both stores where they go through much of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from registry import Registry
from tests.support.browser import Server, Visitor
from tests.support.factories import ADMIN, CANARY, bound, created, embedding, generation, ner, ollama

pytestmark = pytest.mark.e2e
one_store = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # the store makes no difference


def test_a_model_from_its_registration_to_its_end(visitor: Visitor, reg: Registry) -> None:
    """Register an embedding and two generation models, choose a default, edit it, fail to delete it while it is the
    default and a KB uses it, replace it, move the KB, delete it, and read it all in the audit log."""
    page = visitor.page
    visitor.open()
    expect(page.get_by_role("heading", name="No models yet")).to_be_visible()

    visitor.click("Add the first model")
    visitor.choose("Provider", "OpenAI")
    visitor.enter("Model ID", "text-embedding-3-small")
    expect(page.get_by_role("spinbutton", name="Dimensions")).to_have_attribute("placeholder", "1536")
    visitor.type("Name", "Vectors")
    visitor.type("API key", CANARY)
    visitor.click("Add model")
    expect(page.get_by_test_id("stToast")).to_contain_text("“Vectors” was added.")

    for name in ("Writer", "Heir"):
        visitor.click("Add model")
        visitor.choose("Type", "Generation")
        visitor.choose("Provider", "OpenAI")
        visitor.enter("Model ID", "gpt-4o")
        visitor.type("Name", name)
        visitor.type("API key", CANARY)
        visitor.click("Add model")
    expect(visitor.cells("Name")).to_have_text(["Heir", "Vectors", "Writer"])

    visitor.open_menu("Writer")
    with visitor.rerun():
        page.get_by_role("menuitem", name="Set as default").click()
    expect(visitor.cells("★")).to_have_text(["", "", "★"])

    visitor.open_menu("Writer")
    with visitor.rerun():
        page.get_by_role("menuitem", name="Edit").click()
    expect(page.get_by_role("heading", name="Edit Writer")).to_be_visible()
    visitor.type("Temperature", "0")
    visitor.click("Save changes")
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    assert reg.models.get("Writer").config["temperature"] == 0

    reg.knowledge_bases.bind("kb-1", name="Contracts", generation="Writer", embedding="Vectors", actor=ADMIN)
    visitor.open_menu("Writer")
    with visitor.rerun():
        page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Writer is the default generation model.")
    visitor.click("Make it the default")
    expect(dialog).to_contain_text("Writer is used by 1 knowledge base:")
    expect(dialog.get_by_role("listitem")).to_have_text("Contracts")
    visitor.click("Move and delete")
    expect(dialog).to_be_hidden()
    expect(page.get_by_test_id("stToast").last).to_contain_text("1 knowledge base moved to “Heir”")
    expect(visitor.cells("Name")).to_have_text(["Heir", "Vectors"])
    expect(visitor.cells("★")).to_have_text(["★", ""])
    assert reg.knowledge_bases.get("kb-1").generation == reg.models.get("Heir").id

    with visitor.rerun():
        page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()
    expect(visitor.cells("Target")).to_have_count(9)
    columns = (visitor.cells(title).all_text_contents() for title in ("Action", "Target", "Changes"))
    log = list(zip(*columns, strict=True))
    assert [entry[:2] for entry in log] == [
        ("Model deleted", "Writer"),
        ("Knowledge base moved", "Contracts"),
        ("Default chosen", "Heir"),
        ("Knowledge base bound", "Contracts"),
        ("Model edited", "Writer"),
        ("Default chosen", "Writer"),
        ("Model registered", "Heir"),
        ("Model registered", "Writer"),
        ("Model registered", "Vectors"),
    ]
    assert log[1][2] == "Generation model: Writer → Heir"
    assert log[2][2] == "Default: Writer → Heir"
    assert log[4][2] == "Temperature: 0.7 → 0.0"
    assert reg.audit.verify().ok


@one_store
def test_everything_from_the_keyboard(visitor: Visitor, reg: Registry) -> None:
    """Without a mouse: reach the table, select a row, go back to the bar, delete, and confirm."""
    created(reg, generation(name="Keep"))
    created(reg, generation(name="Lose"))
    page, keys = visitor.page, visitor.page.keyboard
    visitor.open()
    visitor.tab_to("canvas")
    for key in ("ArrowDown", "ArrowDown"):
        keys.press(key)
    with visitor.rerun():
        keys.press("Shift+Space")
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    chosen = page.locator("tr[aria-selected=true] td").nth(1).text_content()
    visitor.tab_to("button", "Delete", back=True)
    with visitor.rerun():
        keys.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text(f"Delete {chosen}?")
    visitor.tab_to("button", "Delete")
    with visitor.rerun():
        keys.press("Enter")
    assert [model.name for model in reg.models.find()] == [name for name in ("Keep", "Lose") if name != chosen]
    expect(visitor.cells("Name")).to_have_text([model.name for model in reg.models.find()])


@one_store
def test_escape_closes_a_question(visitor: Visitor, reg: Registry) -> None:
    """Esc answers a question with no, for good."""
    created(reg, generation(name="Stay"))
    visitor.open()
    visitor.open_menu("Stay")
    with visitor.rerun():
        visitor.page.get_by_role("menuitem", name="Delete").click()
    with visitor.rerun():
        visitor.page.keyboard.press("Escape")
    expect(visitor.page.get_by_role("dialog")).to_be_hidden()
    for name in ("Audit log", "Models"):
        with visitor.rerun():
            visitor.page.get_by_role("link", name=name).click()
    expect(visitor.page.get_by_role("dialog")).to_be_hidden()
    expect(visitor.cells("Name")).to_have_text(["Stay"])


def test_a_filtered_list_is_a_link(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    reg: Registry,
) -> None:
    """The address follows type, provider, status and search; another visitor who opens it sees the same."""
    created(reg, ollama(name="Llama one"))
    created(reg, ollama(name="Llama two", status="deprecated"))
    created(reg, ollama(name="Other", model_id="qwen3:8b"))
    created(reg, generation(name="Llama of OpenAI"))
    created(reg, ner(name="Llama for names", provider="ollama", api_key=None))
    running = started(environment)
    one, two = visitors(running), visitors(running)
    one.open()
    one.choose("Type", "Generation")
    one.choose("Provider", "Ollama")
    one.choose("Status", "Active")
    with one.rerun():
        one.page.get_by_label("Search", exact=True).fill("llama one")
        one.page.keyboard.press("Enter")
    expect(one.cells("Name")).to_have_text(["Llama one"])
    two.open(one.page.url.removeprefix(one.url))
    expect(two.cells("Name")).to_have_text(["Llama one"])
    expect(two.page.get_by_label("Search", exact=True)).to_have_value("llama one")


@one_store
def test_a_key_never_comes_back(visitor: Visitor, reg: Registry) -> None:
    """A typed key stays in its field while the form has a fault. The server sends it back at no time: not in the form,
    not after saving, not on any page."""
    visitor.open("/edit")
    visitor.choose("Provider", "OpenAI")
    visitor.enter("Model ID", "text-embedding-3-small")
    visitor.type("Name", " ")
    visitor.type("API key", CANARY)
    visitor.click("Add model")
    expect(visitor.page.get_by_text("Required.")).to_be_visible()
    field = visitor.page.get_by_label("API key", exact=True)
    expect(field).to_have_value(CANARY)
    expect(field).to_have_attribute("type", "password")
    visitor.type("Name", "canary bird")
    visitor.click("Add model")
    model = reg.models.get("canary bird")
    assert model.has_api_key
    for path in (f"/edit?id={model.id}", "/audit", "/"):
        visitor.open(path)
        assert CANARY not in visitor.page.content()
    assert any(b"canary bird" in frame for frame in visitor.frames)  # the control: what is sent is found
    assert not any(CANARY.encode() in frame or b"gAAAA" in frame for frame in visitor.frames)


def test_a_question_about_a_model_that_is_gone(visitor: Visitor, reg: Registry) -> None:
    """A model that another administrator deletes while the question about it is open: the question says so."""
    model = created(reg, generation(name="Short-lived"))
    for name in ("Heir one", "Heir two"):
        created(reg, generation(name=name))
    base = bound(reg, model)
    visitor.open()
    visitor.open_menu("Short-lived")
    with visitor.rerun():
        visitor.page.get_by_role("menuitem", name="Delete").click()
    expect(visitor.page.get_by_role("combobox", name="Move them to")).to_be_visible()
    reg.knowledge_bases.remove(base.id, actor=ADMIN)
    reg.models.delete(model.id, actor=ADMIN)
    with visitor.rerun():
        visitor.page.get_by_role("combobox", name="Move them to").click()
        visitor.page.get_by_role("option", name="Heir two (gpt-4o)", exact=True).click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("There is no such model.")


@one_store
def test_the_form_has_names_for_everything(visitor: Visitor) -> None:
    """Each field has a role and a name of its own, as a screen reader needs it."""
    visitor.open("/edit")
    visitor.choose("Provider", "Azure OpenAI")
    names = {
        "radiogroup": ["Type", "Provider", "Known models", "Distance metric", "Status"],
        "textbox": [
            "Model ID",
            "Name",
            "Endpoint",
            "API key",
            "Deployment",
            "API version (optional)",
            "Tags (optional)",
        ],
        "spinbutton": ["Dimensions", "Max tokens", "Batch size"],
        "switch": ["Normalize", "Default embedding model"],
        "radio": ["Embedding", "Generation", "NER", "Azure OpenAI", "cosine", "Active"],
        "heading": ["Add model", "Model", "Connection", "Parameters", "Use"],
        "button": ["Cancel", "Add model"],
    }
    for role, expected in names.items():
        for name in expected:
            expect(visitor.page.get_by_role(role, name=name, exact=True)).to_have_count(1)  # type: ignore[arg-type]  # one of its words
    levels = [int(heading.evaluate("it => it.localName[1]")) for heading in visitor.page.get_by_role("heading").all()]
    assert levels == [1, 2, 2, 2, 2]


@one_store
def test_names_never_become_links(visitor: Visitor, reg: Registry) -> None:
    """Addresses and Markdown in a name are text wherever it is shown: nobody is led elsewhere by it."""
    name = "see https://evil.example/x WWW.evil.example a@b.example [l](http://evil.example) <a href='x'>y</a>"
    model = created(reg, generation(name=name, is_default=True))
    for path in ("/", f"/edit?id={model.id}", "/audit"):
        visitor.open(path)
        if path == "/audit":
            with visitor.rerun():
                visitor.page.locator("canvas").first.click(position={"x": 17, "y": 54}, force=True)
        main = visitor.page.get_by_test_id("stMain")
        shown = main.get_by_test_id(re.compile("stMarkdown|stHeading")).filter(has_text="evil.example")
        expect(shown.first).to_be_visible()
        expect(main.locator("a[href*=evil], a[href^=mailto], a[href=x]")).to_have_count(0)


TWELVE = ("tests/support/twelfth_provider.py", "run", "app.py")


@one_store
def test_a_twelfth_provider_is_one_entry(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    reg: Registry,
) -> None:
    """One entry of data, and the form offers the provider, asks for just what it needs, and registers its models."""
    assert Path(TWELVE[0]).exists()
    visitor = visitors(started(environment, TWELVE))
    visitor.open("/edit")
    visitor.choose("Provider", "Acme Cloud")
    expect(visitor.page.get_by_label("Endpoint (optional)", exact=True)).to_have_count(1)
    visitor.enter("Model ID", "acme-embed")
    visitor.type("Name", "Acme vectors")
    visitor.type("Dimensions", "512")
    visitor.type("Max tokens", "1000")
    visitor.click("Add model")
    expect(visitor.page.get_by_text("Acme Cloud needs an API key.")).to_be_visible()
    expect(visitor.page.get_by_text("Required.")).to_have_count(1)
    visitor.type("Access token", CANARY)
    visitor.type("Region", "eu-1")
    visitor.click("Add model")
    model = reg.models.get("Acme vectors")
    assert (model.provider, model.model_id, dict(model.connection)) == ("acme", "acme-embed", {"region": "eu-1"})
    assert (model.config["dimensions"], model.has_api_key) == (512, True)
    expect(visitor.cells("Provider")).to_have_text(["Acme Cloud"])


def test_two_administrators_at_once(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    reg: Registry,
) -> None:
    """The second to save sees a message, loses nothing of what the first one did, and goes on from there."""
    model = created(reg, embedding(name="Shared"))
    running = started(environment)
    one, two = visitors(running), visitors(running)
    for visitor in (one, two):
        visitor.open(f"/edit?id={model.id}")
    one.type("Name", "First")
    one.click("Save changes")
    two.type("Name", "Second")
    two.click("Save changes")
    expect(two.page.get_by_role("alert")).to_contain_text("was changed by another user")
    two.click("Load it again")
    expect(two.page.get_by_label("Name", exact=True)).to_have_value("First")
    assert reg.models.get(model.id).name == "First"
