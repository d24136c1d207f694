"""Single fields of the form, each with its error where it belongs."""

from __future__ import annotations

from typing import Any

import streamlit as st
from registry.providers import Field, Need
from registry.records import ModelType
from registry.specs import ConfigField

from pages.ui import form as forms
from pages.ui.feedback import plain
from pages.ui.form import Form


def error_at(form: Form, path: str) -> None:
    """Say what is wrong with the field above."""
    if path in form.errors:
        st.markdown(f":red[:material/error: {plain(form.errors[path])}]")


def text(form: Form, path: str, label: str, *, at: str | None = None, **options: Any) -> None:
    """A line of text. ``at`` is the path that its errors have, where it is another."""
    st.text_input(label, key=form.key(path), on_change="ignore", persist_state="page", **options)
    error_at(form, at or path)


def connection(form: Form, path: str, at: str, field: Field) -> None:
    """A field that the provider declares."""
    if field.need is Need.HIDDEN:
        return
    label = field.label if field.need is Need.REQUIRED else f"{field.label} (optional)"
    text(form, path, label, at=at, placeholder=field.placeholder, help=field.hint or None)


def secret(form: Form, field: Field, *, is_saved: bool) -> None:
    """The API key: written, never read back."""
    label = field.label if field.need is Need.REQUIRED else f"{field.label} (optional)"
    removing = bool(form.get("remove_api_key"))
    st.text_input(
        label,
        type="password",
        key=form.key("api_key"),
        on_change="ignore",
        placeholder="Saved – leave empty to keep" if is_saved else field.placeholder,
        help=field.hint or None,
        disabled=removing,
    )
    error_at(form, "api_key")
    if is_saved and field.need is not Need.REQUIRED:
        st.checkbox("Remove the saved key", key=form.key("remove_api_key"), persist_state="page")


def parameter(form: Form, kind: ModelType, item: ConfigField, *, locked: bool) -> None:
    """A parameter of the model's type. A locked one is shown, but cannot change while KBs depend on it."""
    key = form.key(forms.config_path(kind, item.name))
    shared: dict[str, Any] = {"key": key, "help": _help(item), "on_change": "ignore", "persist_state": "page"}
    if item.kind == "bool":
        st.toggle(item.label, disabled=locked, **shared)
    elif item.kind == "choice":
        st.selectbox(item.label, item.choices, disabled=locked, **shared)
    elif item.kind == "list":
        options = st.session_state.get(key, [])
        st.multiselect(
            f"{item.label} (optional)", options, accept_new_options=True, placeholder="Type and press Enter", **shared
        )
    else:
        step = {"int": 1, "float": 0.05}[item.kind]
        number_format = "%d" if item.kind == "int" else "%g"
        label = f"{item.label} (optional)" if item.optional else item.label
        st.number_input(label, value=None, step=step, format=number_format, disabled=locked, **shared)
    error_at(form, f"config.{item.name}")


def _help(item: ConfigField) -> str:
    if item.minimum is None or item.maximum is None:
        return item.help
    return f"{item.help} From {item.minimum:,} to {item.maximum:,}."
