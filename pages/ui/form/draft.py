"""The state of the add/edit form: the session keys of its fields, and their initial values.

A field's key holds the form's number: a form that is loaded again gets new keys, so nothing typed into an old one,
such as an API key, can appear in it. Saved secrets are never put into the session.

Known values of a new model are never put into its fields, where they could collide with typing: a field left empty
takes its known value when the form is sent.
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
    """An open form.

    Attributes:
        model: the model being edited, None for a new one.
        wanted: the provider chosen last, even if it does not serve the chosen type.
        errors, message, is_stale: how the last attempt to save or test it failed.
        wants_test: whether the next run tests the connection.
        result: the result of the last test, while it matches the form's values.
        tested: the mark of the tested values, empty before the first test.
        height: the height of the shown result, in pixels.
        measured: dimensions to put into their field, if it is empty.
        is_watched: whether a change of a tested value reruns the page: a test is running or its result is shown.
        keys: the session keys of all fields so far.
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
    keys: set[str] = field(default_factory=set)

    def key(self, path: str) -> str:
        """The session key of a field."""
        key = f"form_{self.number}_{path}"
        self.keys.add(key)
        return key

    def get(self, path: str) -> Any:
        """The value of a field."""
        return st.session_state.get(self.key(path))

    def text(self, path: str) -> str:
        """The value of a text field, typed or copied from a page."""
        return typed(self.get(path) or "")

    def put(self, path: str, value: Any) -> None:
        """Set a field, before it is drawn."""
        st.session_state[self.key(path)] = value

    def start(self, path: str, value: Any) -> None:
        """Set a field's initial value; a typed one is kept."""
        if value is not None:
            st.session_state.setdefault(self.key(path), value)

    def on_change(self, kind: ModelType, path: str) -> Literal["rerun", "ignore"]:
        """Whether a change of a field reruns the page: only if a test's result depends on it."""
        is_of_call = path == "api_key" or affects_call(kind, path)
        return "rerun" if self.is_watched and is_of_call else "ignore"

    def forget_faults(self) -> None:
        """Clear the last errors."""
        self.errors, self.message, self.is_stale = {}, "", False


def current() -> Form | None:
    """The open form, if there is one."""
    form: Form | None = st.session_state.get(_STATE)
    return form


def load(model: Model | None) -> Form:
    """Open a form with the model's values, or an empty one."""
    st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1
    form = st.session_state[_STATE] = Form(st.session_state[_NUMBER], model)
    if model is not None:
        _start_with(form, model)
    return form


def discard() -> None:
    """Discard the form and all values typed."""
    form: Form | None = st.session_state.pop(_STATE, None)
    for key in form.keys if form else ():  # the session itself cannot be listed: it may hold a widget that is unknown
        st.session_state.pop(key, None)


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
