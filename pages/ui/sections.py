"""The sections of the add/edit form below the choice of type and provider."""

from __future__ import annotations

import streamlit as st
from registry.providers import Need, Provider
from registry.records import ModelType
from registry.specs import ConfigField, config_fields

from pages.ui import fields
from pages.ui.form import Form
from pages.ui.words import STATUS_HELP, STATUSES, TYPES_IN_TEXT


def connection(form: Form, provider: Provider) -> None:
    """What the provider needs to be reached: endpoint, key, and what else it declares."""
    st.subheader("Connection", anchor=False)
    if provider.endpoint.need is not Need.HIDDEN:
        fields.connection(form, "api_endpoint", "api_endpoint", provider.endpoint)
    if provider.api_key.need is not Need.HIDDEN:
        fields.secret(form, provider.api_key, is_saved=form.model is not None and form.model.has_api_key)
    if provider.connection:
        for column, (name, field) in zip(
            st.columns(len(provider.connection)), provider.connection.items(), strict=True
        ):
            with column:
                fields.connection(form, f"connection.{provider.id}.{name}", f"connection.{name}", field)
    fields.error_at(form, "connection")


def parameters(form: Form, kind: ModelType, locked: tuple[str, ...]) -> None:
    """The parameters of the type; ``locked`` ones are shown, but cannot change."""
    st.subheader("Parameters", anchor=False)
    if locked:
        st.caption(
            "Dimensions, normalization and distance metric are fixed: knowledge bases hold vectors made with them."
        )
    items = config_fields(kind)
    _grid(form, kind, [item for item in items if item.kind in ("int", "float", "choice")], locked)
    _grid(form, kind, [item for item in items if item.kind == "bool"], locked)
    for item in items:
        if item.kind == "list":
            fields.parameter(form, kind, item, locked=False)


def _grid(form: Form, kind: ModelType, items: list[ConfigField], locked: tuple[str, ...], width: int = 3) -> None:
    for start in range(0, len(items), width):
        for column, item in zip(st.columns(width), items[start : start + width], strict=False):
            with column:
                fields.parameter(form, kind, item, locked=item.name in locked)


def status(form: Form, kind: ModelType) -> None:
    """Whether the model is offered, and whether it is the default of its type."""
    st.subheader("Use", anchor=False)
    is_default = form.model is not None and form.model.is_default
    left, right = st.columns(2)
    with left:
        chosen = st.selectbox(
            "Status",
            list(STATUSES),
            format_func=STATUSES.__getitem__,
            key=form.key("status"),
            disabled=is_default,
            persist_state="page",
        )
        st.caption("The default must stay active." if is_default else STATUS_HELP[chosen])
        fields.error_at(form, "status")
    with right:
        st.toggle(
            f"Default {TYPES_IN_TEXT[kind]} model",
            key=form.key("is_default"),
            on_change="ignore",
            persist_state="page",
            disabled=is_default,
            help="Used where nothing else is chosen. The default before it is replaced.",
        )
        if is_default:
            st.caption("To change it, make another model the default.")
        fields.error_at(form, "is_default")
