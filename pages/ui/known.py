"""The model id, and what the known-model catalogue offers for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from registry.catalog import KnownModel, known_model, known_models
from registry.providers import Provider
from registry.records import ModelType
from registry.specs import ConfigField, config_fields

from pages.ui import fields
from pages.ui import form as forms
from pages.ui.feedback import plain
from pages.ui.form import Form
from pages.ui.words import field_label, shown

_PAUSE = "200ms"
_ROWS = 88  # pixels: two rows of ids


def model_id(form: Form, kind: ModelType, provider: Provider, *, locked: bool) -> None:
    """The field for the provider's own name of the model; the known ones that it fits are offered below."""
    path = forms.model_id_path(kind, provider)
    example = provider.examples.get(ModelType.GENERATION if kind is ModelType.NER else kind, "")
    st.text_input(
        "Model ID",
        key=form.key(path),
        live=_PAUSE,
        placeholder=f"Such as {example}" if example else "",
        help="The provider's own name of the model.",
        persist_state="page",
        disabled=locked,
    )
    fields.error_at(form, "model_id")
    typed = (form.get(path) or "").strip()
    if not locked:
        _suggest(form, path, typed, [model.model_id for model in known_models(kind, provider.id)])
    found = known_model(kind, provider.id, typed)
    if found is not None:
        _tell(form, kind, found, forms.CONTRACT if locked else ())


def _suggest(form: Form, path: str, typed: str, ids: list[str]) -> None:
    """Offer the known ids that hold each part of what is typed, in a box that keeps its height as they change."""
    if not ids:
        return
    parts = typed.casefold().split()
    fitting = [id for id in ids if id != typed and all(part in id.casefold() for part in parts)]
    key = f"known_{form.number}"
    with st.container(height=_ROWS, border=False):
        if fitting:
            st.pills(
                "Known models",
                fitting,
                format_func=plain,
                key=key,
                on_change=_choose,
                args=(form, path, key),
                label_visibility="collapsed",
            )
        elif typed not in ids:
            st.caption("No known model has this in its name. Enter its parameters as its provider documents them.")


def _choose(form: Form, path: str, key: str) -> None:
    form.put(path, st.session_state[key])
    st.session_state[key] = None


def _tell(form: Form, kind: ModelType, found: KnownModel, fixed: tuple[str, ...]) -> None:
    known = {name: value for name, value in found.config.items() if name not in fixed}
    differing = {item.name: known[item.name] for item in config_fields(kind) if _differs(form, kind, item, known)}
    text = f"Known from {plain(found.source)}: fields left empty take the values in grey."
    if differing and form.model:
        facts = ", ".join(f"{field_label(f'config.{name}')} {shown(value)}" for name, value in differing.items())
        text = f"{plain(found.source)} says otherwise: {plain(facts)}."
    if differing or not form.model:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f":material/auto_awesome: {text}")
            if differing:
                st.button(
                    "Use these values",
                    key="use_known",
                    on_click=_take,
                    args=(form, kind, known),
                    type="tertiary",
                    icon=":material/input:",
                )
    if found.deprecated_on is not None:
        st.caption(f":orange[:material/warning: The provider retires this model on {found.deprecated_on:%d %B %Y}.]")


def _path(form: Form, kind: ModelType, item: ConfigField, known: Mapping[str, Any]) -> str:
    if item.kind == "bool":
        return forms.toggle_path(kind, item, {} if form.model else known)
    return forms.config_path(kind, item.name)


def _differs(form: Form, kind: ModelType, item: ConfigField, known: Mapping[str, Any]) -> bool:
    """Whether a field holds something else than what is known; an empty one of a new model takes that anyway."""
    value = form.get(_path(form, kind, item, known))
    return item.name in known and value != known[item.name] and not (form.model is None and value is None)


def _take(form: Form, kind: ModelType, known: Mapping[str, Any]) -> None:
    for item in config_fields(kind):
        if item.name in known:
            of_itself = form.model is None and item.kind != "bool"
            form.put(_path(form, kind, item, known), None if of_itself else forms.shown_value(item, known[item.name]))
