"""The form in a real browser: what is typed, pasted or filled in arrives, however a field is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Locator

from tests.e2e.browser import Visitor
from tests.pages.driver import path_of

pytestmark = pytest.mark.e2e

KEY = "k-typed-5d2a7c9e41"


@dataclass(frozen=True)
class Typed:
    """What goes into a field: its path, its label, the text, and what of it is to be saved where that is another."""

    path: str
    label: str
    text: str
    saved: Any = None

    @property
    def expected(self) -> Any:
        return self.text if self.saved is None else self.saved


TAGS = Typed("config.tags", "Tags (optional)", "fast, eu", ("fast", "eu"))
PRICES = (
    Typed("config.cost_per_1m_input", "Input, $ per 1M (optional)", "0.15", 0.15),
    Typed("config.cost_per_1m_output", "Output, $ per 1M (optional)", "2", 2.0),
)
SAMPLING = (
    Typed("config.temperature", "Temperature", "0.35", 0.35),
    Typed("config.top_p", "Top-p", "0.9", 0.9),
    Typed("config.top_k", "Top-k (optional)", "17", 17),
    Typed("config.timeout_seconds", "Timeout, seconds", "45", 45),
)
PARAMETERS = {
    "Embedding": (
        Typed("config.dimensions", "Dimensions", "2", 2),
        Typed("config.max_tokens", "Max tokens", "512", 512),
        Typed("config.batch_size", "Batch size", "8", 8),
        TAGS,
    ),
    "Generation": (
        Typed("config.context_window", "Context window", "32768", 32768),
        Typed("config.max_output_tokens", "Max output tokens", "2048", 2048),
        *SAMPLING,
        *PRICES,
        TAGS,
    ),
    "NER": (
        Typed("config.max_tokens", "Max tokens", "512", 512),
        *SAMPLING,
        Typed("config.stop_sequences", "Stop sequences (optional)", "END, \\n\\n", ("END", "\n\n")),
        *PRICES,
        TAGS,
    ),
}
CONNECTION = {
    "Embedding": (
        "Azure OpenAI",
        (
            Typed("connection.deployment", "Deployment", "embed-prod"),
            Typed("connection.api_version", "API version (optional)", "2024-06-01"),
        ),
    ),
    "Generation": ("OpenAI", (Typed("connection.organization", "Organization (optional)", "org-42"),)),
    "NER": ("OpenAI-compatible", ()),
}
KINDS = list(PARAMETERS)


def type_in(field: Locator, text: str) -> None:
    field.click()
    field.press("ControlOrMeta+a")
    field.page.keyboard.type(text)


def paste(field: Locator, text: str) -> None:
    field.page.evaluate("text => navigator.clipboard.writeText(text)", text)
    field.click()
    field.press("ControlOrMeta+a")
    field.press("ControlOrMeta+v")


def fill(field: Locator, text: str) -> None:
    field.fill(text)


WAYS_IN: dict[str, Callable[[Locator, str], None]] = {"type": type_in, "paste": paste, "fill": fill}
WAYS_OUT: dict[str, Callable[[Visitor], None]] = {
    "Tab": lambda visitor: visitor.page.keyboard.press("Tab"),
    "Shift+Tab": lambda visitor: visitor.page.keyboard.press("Shift+Tab"),
    "Enter": lambda visitor: visitor.page.keyboard.press("Enter"),
    "a click elsewhere": lambda visitor: visitor.page.get_by_role("heading", name="Add model").click(),
    "a click on Add model": lambda visitor: press(visitor, "save"),
    "a click on Test connection": lambda visitor: press(visitor, "test"),
}


def press(visitor: Visitor, key: str) -> None:
    """Press a button of the form, and wait for what comes of it."""
    with visitor.rerun():
        visitor.keyed(key).locator("button").click()


def sent(visitor: Visitor, button: str) -> dict[str, Any]:
    """The form's values as they went to the server when this button was last pressed."""
    for request in reversed(visitor.requests):
        states = {state.id.split("-", 2)[-1]: state for state in request.widget_states.widgets}
        if button in states and states[button].trigger_value:
            found = {path_of(key): state for key, state in states.items() if key.startswith("form_")}
            return {path: getattr(state, state.WhichOneof("value") or "bool_value") for path, state in found.items()}
    raise AssertionError(f"{button} was not pressed")
