"""The state of the add/edit form: where each field's value lives in the session, what it starts with, what is sent.

A field's key holds the form's number: a form that is loaded anew gets new keys, so nothing typed into an old one, a key
least of all, can turn up in it. Nothing that is saved and secret is ever put into the session.

What is known of a new model is never put into its fields, where it could meet what is being typed: a field that is left
empty takes it when the form is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st
from registry.catalog import call
from registry.catalog.known import known_model
from registry.catalog.providers import PROVIDERS, Provider
from registry.catalog.specs import ConfigField, config_fields
from registry.records import Model, ModelType, Status, TestResult

from pages.ui.feedback import typed

CONTRACT = ("dimensions", "normalize", "distance_metric")
"""Parameters that do not change while KBs hold vectors made with them."""

_STATE = "form"
_NUMBER = "last_form"
_ESCAPES = {"\\": "\\", "\n": "n", "\t": "t", "\r": "r", ",": ","}
_UNESCAPED = {letter: char for char, letter in _ESCAPES.items()} | {"s": " "}
_ENTRY = re.compile(r"(?:[^\\,]|\\.?)+")  # up to a comma that has no backslash before it


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
        has_part = path == "api_key" or call.has_part(kind, path)
        return "rerun" if self.is_watched and has_part else "ignore"

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


def values(form: Form, kind: ModelType, provider: Provider) -> dict[str, Any]:
    """What the fields hold, as the library takes it. A key is in it only if one was typed, or is to be removed."""
    model_id = form.text(model_id_path(kind, provider))
    found: dict[str, Any] = {
        "provider": provider.id,
        "name": form.text("name") or ("" if form.model else model_id),
        "model_id": model_id,
        "api_endpoint": form.text(own_path("api_endpoint", provider)) or None,
        "connection": {name: form.text(connection_path(name, provider)) or None for name in provider.connection},
        "config": _config(form, kind, provider),
        "status": form.get("status") or Status.ACTIVE,
    }
    if typed_key := form.get(own_path("api_key", provider)):
        found["api_key"] = typed_key
    elif form.get("remove_api_key"):
        found["api_key"] = None
    if form.model is None:
        found |= {"type": kind, "is_default": bool(form.get("is_default"))}
    elif form.get("is_default") and not form.model.is_default:
        found["is_default"] = True
    return found


def mark(kind: ModelType, sent: Mapping[str, Any]) -> str:
    """Tells whether two forms would be called alike, without telling anything of them."""
    key = sent.get("api_key", ("as saved",))
    return call.digest(call.called(call.flat({**sent, "type": kind})), key)


def known(form: Form, kind: ModelType, provider: Provider) -> Mapping[str, Any]:
    """The parameters that are known of a new model. A saved one is never changed unasked."""
    model_id = form.text(model_id_path(kind, provider)).strip()
    found = None if form.model else known_model(kind, provider.id, model_id)
    return found.config if found else {}


def config_path(kind: ModelType, name: str) -> str:
    """The form's path of a parameter: each type keeps its own while one tries another."""
    return f"config.{kind}.{name}"


def own_path(name: str, provider: Provider) -> str:
    """The form's path of what belongs to a provider, such as an endpoint or a key: it is never sent to another one."""
    return f"{name}.{provider.id}"


def model_id_path(kind: ModelType, provider: Provider) -> str:
    """The form's path of the model id: each type and provider has its own."""
    return own_path(f"model_id.{kind}", provider)


def connection_path(name: str, provider: Provider) -> str:
    """The form's path of a field that the provider declares."""
    return own_path(f"connection.{name}", provider)


def toggle_path(kind: ModelType, item: ConfigField, known: Mapping[str, Any]) -> str:
    """The form's path of a toggle: one that begins as it usually does not is another one, so that what is known of a
    model turns none that was set by hand."""
    is_usual = known.get(item.name, item.default) == item.default
    return config_path(kind, item.name) + ("" if is_usual else ".known")


def joined(entries: Iterable[str]) -> str:
    """A list as it is seen and typed, in one line: a comma in an entry as ``\\,``, a line break as ``\\n``, a space at
    its beginning or end as ``\\s``."""
    return ", ".join(map(_escaped, entries))


def listed(text: str) -> list[str]:
    """The list that was typed."""
    found = (entry.strip(" ") for entry in _ENTRY.findall(text))
    return [re.sub(r"\\(.)", lambda pair: _UNESCAPED.get(pair[1], pair[0]), entry) for entry in found if entry]


def _escaped(entry: str) -> str:
    inner = entry.strip(" ")
    text = "".join(f"\\{_ESCAPES[char]}" if char in _ESCAPES else char for char in inner)
    before = len(entry) - len(entry.lstrip(" ")) if inner else len(entry)
    return "\\s" * before + text + "\\s" * (len(entry) - before - len(inner))


def start_config(form: Form, kind: ModelType, known: Mapping[str, Any]) -> None:
    """Give the parameters of a type their first values, where nothing was typed."""
    for item in config_fields(kind):
        if item.kind == "bool":
            form.start(toggle_path(kind, item, known), known.get(item.name, item.default))
        else:
            form.start(config_path(kind, item.name), shown_value(item, item.default))


def shown_value(item: ConfigField, value: Any) -> Any:
    """A parameter's value as its field holds it."""
    if item.kind == "list":
        return joined(value or ())
    return float(value) if item.kind == "float" and value is not None else value


def _config(form: Form, kind: ModelType, provider: Provider) -> dict[str, Any]:
    """The parameters. An empty field takes what is known of the model. One that was emptied all the same is sent as
    None, for the library to refuse unless it may be empty; only what was never filled in is left out, and asked for."""
    of_model, is_new = known(form, kind, provider), form.model is None
    found: dict[str, Any] = {}
    for item in config_fields(kind):
        path = toggle_path(kind, item, of_model) if item.kind == "bool" else config_path(kind, item.name)
        held = form.get(path)
        value = of_model.get(item.name) if held is None else listed(held) if item.kind == "list" else held
        if value is not None or not (is_new and item.required):
            found[item.name] = value
    return found


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
        form.start(model_id_path(model.type, provider), model.model_id)
        form.start(own_path("api_endpoint", provider), model.api_endpoint)
        for name, text in model.connection.items():
            form.start(connection_path(name, provider), text)
    for item in config_fields(model.type):
        form.start(config_path(model.type, item.name), shown_value(item, model.config.get(item.name)))
