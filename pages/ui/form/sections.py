"""The sections of the add/edit form below the choice of type and provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from registry.catalog.providers import Provider
from registry.catalog.specs import CONTRACT_FIELDS, ConfigField, config_fields
from registry.records import ModelType

from pages.ui.form import fields, paths, values
from pages.ui.form.draft import Form
from pages.ui.words import STATUS_HELP, STATUSES, TYPES_IN_TEXT


def connection(form: Form, kind: ModelType, provider: Provider) -> None:
    """Draw endpoint, key, and the other fields that the provider declares."""
    st.header("Connection", anchor=False)
    fields.connection(form, kind, paths.own_path("api_endpoint", provider), "api_endpoint", provider.endpoint)
    fields.secret(form, kind, provider, is_saved=form.model is not None and form.model.has_api_key)
    if provider.connection:
        for column, (name, field) in zip(
            st.columns(len(provider.connection)), provider.connection.items(), strict=True
        ):
            with column:
                fields.connection(form, kind, paths.connection_path(name, provider), f"connection.{name}", field)
    fields.error_at(form, "connection")


def parameters(form: Form, kind: ModelType, provider: Provider, *, locked: bool) -> None:
    """Draw the parameters of the type; those that KBs depend on are read-only."""
    st.header("Parameters", anchor=False)
    items, known = config_fields(kind), values.known(form, kind, provider)
    fixed = CONTRACT_FIELDS if locked else ()
    with st.container():
        if locked:
            st.caption(
                ":material/lock: Dimensions, normalization and distance metric are fixed: "
                "knowledge bases hold vectors made with them."
            )
    _grid(form, kind, [item for item in items if item.kind in ("int", "float", "choice")], known, fixed)
    _grid(form, kind, [item for item in items if item.kind == "bool"], known, fixed)
    for item in items:
        if item.kind == "list":
            fields.parameter(form, kind, item, known, locked=False)


def _grid(
    form: Form,
    kind: ModelType,
    items: list[ConfigField],
    known: Mapping[str, Any],
    fixed: tuple[str, ...],
    width: int = 3,
) -> None:
    for start in range(0, len(items), width):
        for column, item in zip(st.columns(width), items[start : start + width], strict=False):
            with column:
                fields.parameter(form, kind, item, known, locked=item.name in fixed)


def status(form: Form, kind: ModelType) -> None:
    """Draw the model's status, and whether it is the default of its type."""
    st.header("Use", anchor=False)
    is_default = form.model is not None and form.model.is_default
    left, right = st.columns(2)
    with left:
        chosen = st.radio(
            "Status",
            list(STATUSES),
            format_func=STATUSES.__getitem__,
            horizontal=True,
            key=form.key("status"),
            disabled=is_default,
            persist_state="page",
        )
        st.caption("The default must stay active." if is_default or not chosen else STATUS_HELP[chosen])
        fields.error_at(form, "status")
    with right:
        st.toggle(
            f"Default {TYPES_IN_TEXT[kind]} model",
            key=form.key("is_default"),
            on_change="ignore",
            persist_state="page",
            disabled=is_default,
            help="Used where no model is chosen. It replaces the current default.",
        )
        if is_default:
            st.caption("To change it, set another model as default.")
        fields.error_at(form, "is_default")
