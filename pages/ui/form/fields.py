"""Single fields of the form, each with its error below it.

A text is committed with each keystroke (``live``): Streamlit loses the typed text when the user clicks the field's own
eye or help button. Options are radio buttons: a select box loses the text typed to find an option, and a row of buttons
can return the focus to the previous option, which Enter then chooses.

Elements that come and go above fields are in a container that is always drawn. Streamlit identifies containers and
columns by their position: one more above them would recreate those below, and the field in use would lose the focus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from registry.catalog.providers import Field, Need, Provider
from registry.catalog.specs import ConfigField
from registry.records import ModelType

from pages.ui.feedback import plain
from pages.ui.form import paths
from pages.ui.form.draft import Form

AT_ONCE = "0ms"
_LIST_HINT = "Separate entries with commas. Write a comma within an entry as \\,."


def error_at(form: Form, path: str) -> None:
    """Show the error of the field above."""
    with st.container():
        if path in form.errors:
            st.markdown(f":red[:material/error: {plain(form.errors[path])}]")


def text(form: Form, kind: ModelType, path: str, label: str, *, at: str | None = None, **options: Any) -> None:
    """Draw a text field. ``at`` is its path in the library, if that differs."""
    st.text_input(
        label,
        key=form.key(path),
        live=AT_ONCE,
        on_change=form.on_change(kind, at or path),
        persist_state="page",
        **options,
    )
    error_at(form, at or path)


def connection(form: Form, kind: ModelType, path: str, at: str, field: Field) -> None:
    """Draw a field of the provider."""
    text(form, kind, path, _label(field), at=at, placeholder=field.placeholder, help=field.hint or None)


def secret(form: Form, kind: ModelType, provider: Provider, *, is_saved: bool) -> None:
    """Draw the API key, which is write-only."""
    field, removing = provider.api_key, bool(form.get("remove_api_key"))
    on_change = form.on_change(kind, "api_key")
    st.text_input(
        _label(field),
        type="password",
        key=form.key(paths.own_path("api_key", provider)),
        live=AT_ONCE,
        on_change=on_change,
        placeholder="Saved – leave empty to keep" if is_saved else field.placeholder,
        help=field.hint or None,
        disabled=removing,
    )
    error_at(form, "api_key")
    if is_saved and field.need is not Need.REQUIRED:
        st.checkbox("Remove the saved key", key=form.key("remove_api_key"), persist_state="page")


def parameter(form: Form, kind: ModelType, item: ConfigField, known: Mapping[str, Any], *, locked: bool) -> None:
    """Draw a parameter of the model's type. An empty field shows the known value in grey. A locked one is read-only,
    since KBs depend on it."""
    path, at = paths.config_path(kind, item.name), f"config.{item.name}"
    shared: dict[str, Any] = {
        "key": form.key(path),
        "help": _help(item),
        "on_change": form.on_change(kind, at),
        "persist_state": "page",
    }
    label = f"{item.label} (optional)" if item.optional or item.kind == "list" else item.label
    if item.kind == "bool":
        st.toggle(label, disabled=locked, **shared | {"key": form.key(paths.toggle_path(kind, item, known))})
    elif item.kind == "choice":
        st.radio(label, item.choices, horizontal=True, disabled=locked, **shared)
    elif item.kind == "list":
        st.text_input(label, live=AT_ONCE, **shared)
    else:
        step, style = {"int": (1, "%d"), "float": (0.05, "%g")}[item.kind]
        hint = style % known[item.name] if item.name in known else None
        st.number_input(label, value=None, step=step, format=style, placeholder=hint, disabled=locked, **shared)
    error_at(form, at)


def _label(field: Field) -> str:
    return field.label if field.need is Need.REQUIRED else f"{field.label} (optional)"


def _help(item: ConfigField) -> str:
    if item.kind == "list":
        return f"{item.help} {_LIST_HINT}"
    if item.minimum is None or item.maximum is None:
        return item.help
    return f"{item.help} From {item.minimum:,} to {item.maximum:,}."
