"""The first choices: the type of a model, then its provider."""

from __future__ import annotations

import streamlit as st
from registry.catalog.providers import PROVIDERS, Provider, providers_for
from registry.catalog.specs import CONTRACT_FIELDS
from registry.records import Model, ModelType

from pages.ui.feedback import plain
from pages.ui.form import fields, paths
from pages.ui.form.draft import Form
from pages.ui.words import TYPE_HELP, TYPES, TYPES_IN_TEXT


def choose_type(form: Form) -> ModelType:
    """Choose the type of a new model; a saved one keeps its own."""
    if form.model is not None:
        return form.model.type
    form.start("type", ModelType.EMBEDDING)
    kind = st.radio(
        "Type",
        list(TYPES),
        format_func=TYPES.__getitem__,
        horizontal=True,
        key=form.key("type"),
    )
    kind = ModelType(kind or ModelType.EMBEDDING)
    st.caption(TYPE_HELP[kind])
    return kind


def choose_provider(form: Form, kind: ModelType, *, locked: bool) -> Provider | None:
    """Choose among the providers of this type. A locked one is read-only."""
    offered = [provider.id for provider in providers_for(kind)]
    form.wanted = form.get("provider") or form.wanted
    fitting = form.wanted if form.wanted in offered else None
    if form.get("provider") != fitting:
        form.put("provider", fitting)
    chosen = st.radio(
        "Provider",
        offered,
        index=None,
        format_func=lambda id: plain(PROVIDERS[id].label),
        horizontal=True,
        key=form.key("provider"),
        disabled=locked or (form.model is not None and form.model.provider not in PROVIDERS),
    )
    if form.wanted and form.wanted not in PROVIDERS:
        st.info(
            f"The provider “{plain(form.wanted)}” is not known to this version of the registry: this model can be "
            "deleted, but not used or changed. Install a version that knows it, or register another model.",
            icon=":material/info:",
        )
    elif locked:
        st.caption(
            ":material/lock: Provider and model ID are fixed: knowledge bases hold vectors made with them. "
            "To use others, register another model."
        )
    elif form.wanted and chosen is None:
        label, others = PROVIDERS[form.wanted].label, TYPES_IN_TEXT[kind]
        st.info(f"{plain(label)} has no {others} models here. Choose another provider.", icon=":material/info:")
    fields.error_at(form, "provider")
    return PROVIDERS[chosen] if chosen else None


def keep_contract(form: Form, model: Model) -> None:
    """Reset the fields that KBs depend on to the saved values, whatever was typed there before."""
    saved = {"provider": model.provider, paths.model_id_path(model.type, PROVIDERS[model.provider]): model.model_id}
    saved |= {paths.config_path(model.type, name): model.config[name] for name in CONTRACT_FIELDS}
    for path, value in saved.items():
        if form.get(path) != value:
            form.put(path, value)
