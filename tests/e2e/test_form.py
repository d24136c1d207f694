"""The form in a real browser: what is typed, pasted or filled in arrives, however a field is left."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from streamlit.proto.ClientState_pb2 import ClientState

from registry import Model, Registry
from tests.support.browser import Server, Visitor
from tests.support.driver import path_of
from tests.support.factories import bound, created, embedding
from tests.support.providers import Provider

pytestmark = pytest.mark.e2e

ALL_WAYS = bool(os.environ.get("FORM_WAYS"))

KEY = "k-typed-5d2a7c9e41"


@pytest.fixture
def store_url(lasting_url: str) -> str:
    """Which store it is makes no difference to the form."""
    return lasting_url


@pytest.fixture
def visitor(lasting: Server, visitors: Callable[..., Visitor]) -> Visitor:
    """The administrator, with a clipboard."""
    visitor = visitors(lasting)
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return visitor


@dataclass(frozen=True)
class Entry:
    """What goes into a field: its path and label, the text, and what is saved of it. Options and switches are clicked
    on."""

    path: str
    label: str
    text: str
    saved: Any
    role: str = ""

    def put(self, way: str) -> tuple[str, str]:
        """What is tried by putting it in so: no way in is of use to a choice."""
        return self.path, self.role or way


def text(path: str, label: str, value: str) -> Entry:
    return Entry(path, label, value, value)


def number(name: str, label: str, value: float) -> Entry:
    return Entry(f"config.{name}", label, f"{value:g}", value)


def switch(name: str, label: str, value: bool) -> Entry:
    return Entry(f"config.{name}", label, label, value, "switch")


def default(label: str, value: bool) -> Entry:
    return Entry("is_default", label, label, value, "switch")


TAGS = Entry("config.tags", "Tags (optional)", "fast, eu\\,us", ("fast", "eu,us"))
PRICES = (
    number("cost_per_1m_input", "Input, $ per 1M (optional)", 0.15),
    number("cost_per_1m_output", "Output, $ per 1M (optional)", 2),
)
SAMPLING = (
    number("temperature", "Temperature", 0.35),
    number("top_p", "Top-p", 0.9),
    number("top_k", "Top-k (optional)", 17),
    number("timeout_seconds", "Timeout, seconds", 45),
)
FORMS: dict[str, tuple[str, tuple[Entry, ...]]] = {
    "Embedding": (
        "Azure OpenAI",
        (
            text("model_id", "Model ID", "my-embedder"),
            text("connection.deployment", "Deployment", "embed-prod"),
            text("connection.api_version", "API version (optional)", "2024-06-01"),
            number("dimensions", "Dimensions", 2),
            number("max_tokens", "Max tokens", 512),
            Entry("config.distance_metric", "Distance metric", "dot", "dot", "radio"),
            number("batch_size", "Batch size", 8),
            switch("normalize", "Normalize", False),
            TAGS,
            default("Default embedding model", False),
            Entry("status", "Status", "Deprecated", "deprecated", "radio"),
        ),
    ),
    "Generation": (
        "OpenAI",
        (
            text("model_id", "Model ID", "gpt-4o"),
            text("connection.organization", "Organization (optional)", "org-42"),
            number("context_window", "Context window", 32768),
            number("max_output_tokens", "Max output tokens", 2048),
            *SAMPLING,
            *PRICES,
            switch("supports_streaming", "Streaming", False),
            switch("supports_json_mode", "JSON mode", False),
            switch("supports_vision", "Vision", False),
            TAGS,
            Entry("status", "Status", "Active", "active", "radio"),
            default("Default generation model", True),
        ),
    ),
    "NER": (
        "OpenAI-compatible",
        (
            text("model_id", "Model ID", "my-ner"),
            number("max_tokens", "Max tokens", 512),
            *SAMPLING,
            Entry("config.response_format", "Response format", "text", "text", "radio"),
            Entry("config.stop_sequences", "Stop sequences (optional)", "END, \\n\\n", ("END", "\n\n")),
            *PRICES,
            TAGS,
        ),
    ),
}


def type_in(field: Locator, text: str) -> None:
    field.press("ControlOrMeta+a")
    field.page.keyboard.type(text)


def paste(field: Locator, text: str) -> None:
    field.page.evaluate("text => navigator.clipboard.writeText(text)", text)
    field.press("ControlOrMeta+a")
    field.press("ControlOrMeta+v")


WAYS_IN: dict[str, Callable[[Locator, str], None]] = {"type": type_in, "paste": paste, "fill": Locator.fill}
WAYS_OUT: dict[str, Callable[[Visitor], None]] = {
    "Tab": lambda visitor: visitor.page.keyboard.press("Tab"),
    "Shift+Tab": lambda visitor: visitor.page.keyboard.press("Shift+Tab"),
    "Enter": lambda visitor: visitor.page.keyboard.press("Enter"),
    "a click elsewhere": lambda visitor: visitor.page.get_by_role("heading", level=1).click(),
    "a click on Save": lambda visitor: press(visitor, "save"),
    "a click on Test": lambda visitor: press(visitor, "test"),
}
BUTTONS = {"a click on Save": "save", "a click on Test": "test"}


def press(visitor: Visitor, key: str) -> None:
    """Press a button of the form, and wait for what comes of it: of the press, not of a field that the page follows."""
    before = len(visitor.requests)
    with visitor.rerun():
        visitor.keyed(key).locator("button").click()
        visitor.wait_until(lambda: any(pressed(request, key) for request in visitor.requests[before:]))


def pressed(request: ClientState, button: str) -> bool:
    """Whether this button was pressed to ask this of the server."""
    return any(state.trigger_value and key_in(state.id) == button for state in request.widget_states.widgets)


def key_in(id: str) -> str:
    """The key in the id of a widget."""
    return id.split("-", 2)[-1]


def option(visitor: Visitor, label: str, text: str) -> Locator:
    row = visitor.page.get_by_role("radiogroup", name=label, exact=True)
    return row.get_by_role("radio", name=text, exact=True)


def sent(visitor: Visitor, button: str) -> dict[str, Any]:
    """The form's values as they went to the server when this button was last pressed."""
    request = next(request for request in reversed(visitor.requests) if pressed(request, button))
    states = {key_in(state.id): state for state in request.widget_states.widgets}
    values = {key: getattr(state, state.WhichOneof("value") or "id") for key, state in states.items()}
    return {path_of(key): value for key, value in values.items() if key.startswith("form_")}


def arrived(entry: Entry, value: Any) -> bool:
    """Whether this is what was entered, as the browser sends it."""
    if entry.role == "radio":
        return bool(value == entry.text)
    if isinstance(entry.saved, bool | int | float):
        return bool(value == entry.saved)
    return bool(value == entry.text)


def begin(visitor: Visitor, kind: str, provider: str) -> None:
    """Choose type and provider."""
    for label, choice in (("Type", kind), ("Provider", provider)):
        if not option(visitor, label, choice).is_checked():
            visitor.choose(label, choice)


def enter(visitor: Visitor, entry: Entry, put: Callable[[Locator, str], None]) -> None:
    if entry.role == "radio":
        row = visitor.page.get_by_role("radiogroup", name=entry.label, exact=True)
        row.get_by_text(entry.text, exact=True).click()
    elif entry.role == "switch":
        control = visitor.page.get_by_role("switch", name=entry.label, exact=True)
        if control.is_checked() != entry.saved:
            control.locator("xpath=ancestor::label").click()
    else:
        put(visitor.page.get_by_label(entry.label, exact=True), entry.text)


def connection(visitor: Visitor, url: str) -> tuple[Entry, ...]:
    """What every provider has; whether it must be given, the label says."""
    labels = [visitor.page.get_by_label(re.compile(f"^{label}( .optional.)?$")) for label in ("Endpoint", "API key")]
    endpoint, key = (str(label.get_attribute("aria-label")) for label in labels)
    return text("api_endpoint", endpoint, f"{url}/v1"), text("api_key", key, KEY)


def saved(model: Model, path: str) -> Any:
    """What a model holds at a path."""
    part, _, name = path.partition(".")
    return getattr(model, part)[name] if name else getattr(model, part)


@pytest.mark.parametrize("out", WAYS_OUT)
def test_nothing_is_lost(visitor: Visitor, reg: Registry, server: Provider, out: str) -> None:
    """Every field of the form, typed, pasted or filled in, is sent with the next press of a button, or with the very
    press that it is left by; and a model is saved for real and read back. Each way out goes with one way in, in turn;
    FORM_WAYS tries all with all."""
    left = set()
    chosen = list(WAYS_OUT).index(out) % len(WAYS_IN)
    for first, (way, put) in enumerate(WAYS_IN.items()):
        if first != chosen and not ALL_WAYS:
            continue
        visitor.open("/edit")
        kinds = (*list(FORMS)[first:], *list(FORMS)[:first])
        for kind in kinds:
            provider, entries = FORMS[kind]
            begin(visitor, kind, provider)
            visitor.page.get_by_label("Name", exact=True).fill(" ")  # is refused, so that the form stays
            whole = (*entries, *connection(visitor, server.url))
            if kind != kinds[-1]:  # types share fields; the last one is saved, and needs them all
                whole = tuple(entry for entry in whole if entry.put(way) not in left)
            for entry in whole:
                enter(visitor, entry, put)
                if entry.put(way) in left:
                    continue
                WAYS_OUT[out](visitor)
                if out in BUTTONS:
                    assert lost([entry], sent(visitor, BUTTONS[out])) == {}, f"{kind}, by {way} and {out}"
            press(visitor, "save")
            assert lost(whole, sent(visitor, "save")) == {}, f"{kind}, by {way} and {out}"
            left.update(entry.put(way) for entry in whole)
        called = text("name", "Name", f"Model {first}")
        enter(visitor, called, put)
        WAYS_OUT[out](visitor)
        if BUTTONS.get(out) == "test":
            expect(visitor.page.get_by_text("It works")).to_be_visible()
            assert server.requests[-1].key == KEY
        if BUTTONS.get(out) != "save":
            press(visitor, "save")
        expect(visitor.page.get_by_role("heading", name="Models")).to_be_visible()
        model = reg.models.get(called.text)
        fields = [entry for entry in (*whole, called) if entry.path != "api_key"]
        assert {each.path: saved(model, each.path) for each in fields} == {each.path: each.saved for each in fields}
        key = reg.resolve(model.id).api_key
        assert key is not None
        assert key.get_secret_value() == KEY


KEEP = "() => document.querySelectorAll('input').forEach(field => field.isKept = true)"
RECREATED = """() => [...document.querySelectorAll('input')].filter(field => !field.isKept).map(
  field => field.ariaLabel || field.closest('label')?.innerText || field.outerHTML)"""


@pytest.mark.parametrize("kind", FORMS)
def test_no_field_is_recreated_when_errors_appear_and_disappear(visitor: Visitor, kind: str) -> None:
    """A field that is being typed into while the page answers a press keeps the focus and every letter."""
    visitor.open("/edit")
    begin(visitor, kind, FORMS[kind][0])
    visitor.page.evaluate(KEEP)
    errors = visitor.page.get_by_text("Required.")
    press(visitor, "save")
    expect(errors).not_to_have_count(0)
    assert visitor.page.evaluate(RECREATED) == []
    for entry in FORMS[kind][1]:
        enter(visitor, entry, Locator.fill)
    visitor.page.evaluate(KEEP)  # what is known of the model may have brought toggles of its own
    press(visitor, "test")
    expect(visitor.page.get_by_text("to correct above")).to_be_visible()
    assert visitor.page.evaluate(RECREATED) == []


def test_no_field_is_recreated_when_a_knowledge_base_is_bound(visitor: Visitor, reg: Registry) -> None:
    """The note above the fields and what is fixed from then on appear around the one that is being typed into."""
    model = created(reg, embedding())
    visitor.open(f"/edit?id={model.id}")
    visitor.page.evaluate(KEEP)
    bound(reg, model)
    visitor.page.get_by_label("Name", exact=True).fill(" ")
    press(visitor, "save")
    expect(visitor.page.get_by_text("Used by 1 knowledge base")).to_be_visible()
    assert visitor.page.evaluate(RECREATED) == []


def lost(entries: Iterable[Entry], values: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent in the place of what was entered."""
    return {entry.path: values[entry.path] for entry in entries if not arrived(entry, values[entry.path])}
