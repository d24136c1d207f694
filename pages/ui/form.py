"""The state of the add/edit form: where each field's value lives in the session, what it starts with, what is sent.

A field's key holds the form's number: a form that is loaded anew gets new keys, so nothing typed into an old one, a key
least of all, can turn up in it. Nothing that is saved and secret is ever put into the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from registry.providers import PROVIDERS, Provider
from registry.records import Model, ModelType, Status, TestResult
from registry.specs import ConfigField, config_fields

_STATE = "form"
_NUMBER = "form_number"


@dataclass
class Form:
    """A form in use.

    Attributes:
        model: what it was loaded from, None for a new model.
        errors, message, is_stale: what came out of the last attempt to save or test it.
        prefilled: values that were filled in for people, which may be replaced as they were not typed.
        wants_test: the next run makes a connection test.
        result: what came out of the last one, as long as it is about what is chosen, ``tested``.
    """

    number: int
    model: Model | None
    errors: dict[str, str] = field(default_factory=dict)
    message: str = ""
    is_stale: bool = False
    prefilled: dict[str, Any] = field(default_factory=dict)
    wants_test: bool = False
    result: TestResult | None = None
    tested: tuple[object, ...] = ()

    def key(self, path: str) -> str:
        """The session's key of a field."""
        return f"form_{self.number}_{path}"

    def get(self, path: str) -> Any:
        """What a field holds now."""
        return st.session_state.get(self.key(path))

    def put(self, path: str, value: Any) -> None:
        """Set a field, before it is drawn."""
        st.session_state[self.key(path)] = value

    def fill(self, path: str, value: Any) -> None:
        """Set a field to what is known, not typed."""
        self.put(path, value)
        self.prefilled[path] = value

    def start(self, path: str, value: Any) -> None:
        """Give a field its first value; one that was typed stays."""
        if value is not None:
            st.session_state.setdefault(self.key(path), value)

    def forget_outcome(self) -> None:
        """Another attempt begins."""
        self.errors, self.message, self.is_stale = {}, "", False
        self.result = None


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
    found: dict[str, Any] = {
        "provider": provider.id,
        "name": form.get("name") or "",
        "model_id": form.get(model_id_path(kind, provider)) or "",
        "api_endpoint": form.get("api_endpoint") or None,
        "connection": {name: form.get(f"connection.{provider.id}.{name}") or None for name in provider.connection},
        "config": _config(form, kind),
        "status": form.get("status") or Status.ACTIVE,
    }
    if form.get("api_key"):
        found["api_key"] = form.get("api_key")
    elif form.get("remove_api_key"):
        found["api_key"] = None
    if form.model is None:
        found |= {"type": kind, "is_default": bool(form.get("is_default"))}
    elif form.get("is_default") and not form.model.is_default:
        found["is_default"] = True
    return found


def config_path(kind: ModelType, name: str) -> str:
    """The form's path of a parameter: each type keeps its own while one tries another."""
    return f"config.{kind}.{name}"


def model_id_path(kind: ModelType, provider: Provider) -> str:
    """The form's path of the model id: an id belongs to its provider."""
    return f"model_id.{kind}.{provider.id}"


def escaped(text: str) -> str:
    """A stop sequence as it can be seen and typed: a line break as ``\\n``."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def unescaped(text: str) -> str:
    """The stop sequence that was typed."""
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r") for part in parts)


def start_config(form: Form, kind: ModelType) -> None:
    """Give the parameters of a type their defaults, where nothing was typed."""
    for item in config_fields(kind):
        form.start(config_path(kind, item.name), shown_value(item, item.default))


def shown_value(item: ConfigField, value: Any) -> Any:
    """A parameter's value as its field holds it."""
    if item.kind == "list":
        return [escaped(entry) if item.name == "stop_sequences" else entry for entry in value or ()]
    return float(value) if item.kind == "float" and value is not None else value


def _config(form: Form, kind: ModelType) -> dict[str, Any]:
    """The parameters. One that was emptied is sent as None, for the library to refuse unless it may be empty; only what
    was never filled in is left out, and asked for."""
    typed = {item: form.get(config_path(kind, item.name)) for item in config_fields(kind)}
    is_new = form.model is None
    return {
        item.name: _sent(item, value)
        for item, value in typed.items()
        if value is not None or not (is_new and item.required)
    }


def _sent(item: ConfigField, value: Any) -> Any:
    if item.kind == "list":
        return [unescaped(entry) if item.name == "stop_sequences" else entry for entry in value or ()]
    return value


def _start_with(form: Form, model: Model) -> None:
    provider = PROVIDERS.get(model.provider)
    plain: Mapping[str, Any] = {
        "type": model.type,
        "provider": model.provider,
        "name": model.name,
        "api_endpoint": model.api_endpoint,
        "status": model.status,
        "is_default": model.is_default,
    }
    for path, value in plain.items():
        form.start(path, value)
    if provider is not None:
        form.start(model_id_path(model.type, provider), model.model_id)
    for name, text in model.connection.items():
        form.start(f"connection.{model.provider}.{name}", text)
    for item in config_fields(model.type):
        form.start(config_path(model.type, item.name), shown_value(item, model.config.get(item.name)))
