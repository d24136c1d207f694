"""The model id, and what the known-model catalogue offers for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from registry.catalog import KnownModel, known_model, known_models
from registry.providers import Provider
from registry.records import ModelType
from registry.specs import config_fields

from pages.ui import fields
from pages.ui import form as forms
from pages.ui.feedback import plain
from pages.ui.form import Form
from pages.ui.words import field_label, shown


def model_id(form: Form, kind: ModelType, provider: Provider) -> None:
    """The field for the provider's own name of the model; choosing a known one fills in what was not typed."""
    path = forms.model_id_path(kind, provider)
    ids = [model.model_id for model in known_models(kind, provider.id)]
    typed = form.get(path)
    st.selectbox(
        "Model ID",
        ids if typed in (None, *ids) else [typed, *ids],
        index=None,
        key=form.key(path),
        accept_new_options=True,
        placeholder=f"Choose or type, such as {example}" if (example := _example(kind, provider)) else "Type the id",
        help="The provider's own name of the model.",
        on_change=_prefill,
        args=(form, kind, provider),
        persist_state="page",
    )
    fields.error_at(form, "model_id")
    known = known_model(kind, provider.id, form.get(path) or "")
    if known is not None:
        _offer(form, kind, known)


def _example(kind: ModelType, provider: Provider) -> str:
    return provider.examples.get(ModelType.GENERATION if kind is ModelType.NER else kind, "")


def _offer(form: Form, kind: ModelType, known: KnownModel) -> None:
    facts = ", ".join(f"{field_label(f'config.{name}')} {shown(value)}" for name, value in known.config.items())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/auto_awesome: {plain(known.source)}: {plain(facts)}.")
        if _differing(form, kind, known.config):
            st.button(
                "Use these values",
                key="use_known",
                on_click=_take,
                args=(form, kind, known),
                type="tertiary",
                icon=":material/input:",
            )
    if known.deprecated_on is not None:
        st.caption(f":orange[:material/warning: The provider retires this model on {known.deprecated_on:%d %B %Y}.]")


def _prefill(form: Form, kind: ModelType, provider: Provider) -> None:
    """Fill in what is known, without touching what somebody typed. A saved model is never changed unasked."""
    id = form.get(forms.model_id_path(kind, provider)) or ""
    if form.model is not None:
        return
    if form.get("name") in (None, "", form.prefilled.get("name")):
        form.fill("name", id)
    known = known_model(kind, provider.id, id)
    if known is None:
        return
    defaults = {item.name: forms.shown_value(item, item.default) for item in config_fields(kind)}
    for name, value in known.config.items():
        path = forms.config_path(kind, name)
        if form.get(path) in (None, defaults[name], form.prefilled.get(path)):
            form.fill(path, value)


def _take(form: Form, kind: ModelType, known: KnownModel) -> None:
    for name, value in known.config.items():
        form.fill(forms.config_path(kind, name), value)


def _differing(form: Form, kind: ModelType, known: Mapping[str, Any]) -> bool:
    return any(form.get(forms.config_path(kind, name)) != value for name, value in known.items())
