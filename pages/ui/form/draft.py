"""The state of the add/edit form: where each field's value lives in the session, what it starts with, what is sent.

A field's key holds the form's number: a form that is loaded anew gets new keys, so nothing typed into an old one, a key
least of all, can turn up in it. Nothing that is saved and secret is ever put into the session.

What is known of a new model is never put into its fields, where it could meet what is being typed: a field that is left
empty takes it when the form is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st
from registry.catalog.providers import PROVIDERS
from registry.catalog.specs import affects_call, config_fields
from registry.records import Model, ModelType, TestResult

from pages.ui.feedback import typed
from pages.ui.form import paths

_STATE = "form"
_NUMBER = "last_form"


@dataclass
class Form:
    """A form in use.

    Attributes:
        model: what it was loaded from, None for a new model.
        wanted: the provider that was chosen last, also where it does not serve the type that is chosen now.
        errors, message, is_stale: what came out of the last attempt to save or test it.
        wants_test: the next run makes a connection test.
        result: what came out of the last one, as long as it is about what the form holds.
        tested: the mark of what it is about, empty before the first one; ``height`` is the room that it takes.
        measured: dimensions that are to be put into their field, if it is empty.
        is_watched: a test is made or its result is shown, so that a change of what it is about is to be seen at once.
    """

    number: int
    model: Model | None
    wanted: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    message: str = ""
    is_stale: bool = False
    wants_test: bool = False
    result: TestResult | None = None
    tested: str = ""
    height: int = 0
    measured: int | None = None
    is_watched: bool = False

    def key(self, path: str) -> str:
        """The session's key of a field."""
        return f"form_{self.number}_{path}"

    def get(self, path: str) -> Any:
        """What a field holds now."""
        return st.session_state.get(self.key(path))

    def text(self, path: str) -> str:
        """What was typed into a field of text, or copied into it from a page."""
        return typed(self.get(path) or "")

    def put(self, path: str, value: Any) -> None:
        """Set a field, before it is drawn."""
        st.session_state[self.key(path)] = value

    def start(self, path: str, value: Any) -> None:
        """Give a field its first value; one that was typed stays."""
        if value is not None:
            st.session_state.setdefault(self.key(path), value)

    def on_change(self, kind: ModelType, path: str) -> Literal["rerun", "ignore"]:
        """Whether the page follows a change of a field at once: only where a test's result depends on it."""
        is_of_call = path == "api_key" or affects_call(kind, path)
        return "rerun" if self.is_watched and is_of_call else "ignore"

    def forget_faults(self) -> None:
        """Another attempt begins."""
        self.errors, self.message, self.is_stale = {}, "", False


def current() -> Form | None:
    """The form in use, if there is one."""
    form: Form | None = st.session_state.get(_STATE)
    return form


def load(model: Model | None) -> Form:
    """Begin a form with the model's values, or an empty one."""
    st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1
    form = st.session_state[_STATE] = Form(st.session_state[_NUMBER], model)
    if model is not None:
        _start_with(form, model)
    return form


def discard() -> None:
    """Forget the form and all that was typed into it."""
    form = st.session_state.pop(_STATE, None)
    if form is not None:
        for key in [key for key in st.session_state if str(key).startswith(form.key(""))]:
            del st.session_state[key]


def _start_with(form: Form, model: Model) -> None:
    provider = PROVIDERS.get(model.provider)
    plain: Mapping[str, Any] = {
        "type": model.type,
        "provider": model.provider,
        "name": model.name,
        "status": model.status,
        "is_default": model.is_default,
    }
    for path, value in plain.items():
        form.start(path, value)
    if provider is not None:
        form.start(paths.model_id_path(model.type, provider), model.model_id)
        form.start(paths.own_path("api_endpoint", provider), model.api_endpoint)
        for name, text in model.connection.items():
            form.start(paths.connection_path(name, provider), text)
    for item in config_fields(model.type):
        form.start(paths.config_path(model.type, item.name), paths.shown_value(item, model.config.get(item.name)))
