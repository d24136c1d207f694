"""The model id, and suggestions from the known-model catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import streamlit as st
from registry.catalog.known import KnownModel, known_model, known_models
from registry.catalog.providers import Provider
from registry.catalog.specs import ConfigField, config_fields
from registry.records import ModelType

from pages.ui.feedback import plain
from pages.ui.form import fields, paths
from pages.ui.form.draft import Form
from pages.ui.words import field_label, shown

_PAUSE = "200ms"
_NOTE, _OFFERS = 48, 88  # pixels, always: two lines of text, two rows of ids


def model_id(form: Form, kind: ModelType, provider: Provider, *, locked: bool) -> None:
    """Draw the field for the provider's name of the model. Below it, at a height that does not change during typing,
    are the known values of the model and the known models that match."""
    path, ids = paths.model_id_path(kind, provider), [model.model_id for model in known_models(kind, provider.id)]
    with st.container(gap="xsmall"):
        _field(
            form, path, provider.examples.get(ModelType.GENERATION if kind is ModelType.NER else kind), locked=locked
        )
        if locked or not ids:
            return
        typed = form.text(path).strip()
        parts = typed.casefold().split()
        fitting = [id for id in ids if id != typed and all(part in id.casefold() for part in parts)]
        found = known_model(kind, provider.id, typed)
        room: int | Literal["content"] = "content" if form.model else _NOTE
        with st.container(height=room, border=False, horizontal=True, wrap=False, vertical_alignment="center"):
            if found is not None:
                _show_known(form, kind, found)
            elif fitting:
                st.caption("Choose a known model, or type the id of any other.")
            else:
                st.caption("Not a known model: enter the parameters from its provider's documentation.")
        _offer(form, path, fitting)


def _field(form: Form, path: str, example: str | None, *, locked: bool) -> None:
    st.text_input(
        "Model ID",
        key=form.key(path),
        live=_PAUSE,
        placeholder=f"Such as {example}" if example else "",
        help="The provider's name of the model.",
        persist_state="page",
        disabled=locked,
    )
    fields.error_at(form, "model_id")


def _offer(form: Form, path: str, ids: list[str]) -> None:
    key = f"known_{form.number}"
    with st.container(height=_OFFERS, border=False):
        st.pills(
            "Known models",
            ids,
            format_func=plain,
            key=key,
            on_change=_choose,
            args=(form, path, key),
            label_visibility="collapsed",
        )


def _choose(form: Form, path: str, key: str) -> None:
    form.put(path, st.session_state[key])
    st.session_state[key] = None


def _show_known(form: Form, kind: ModelType, found: KnownModel) -> None:
    """Show the source of the known values, and how the form differs."""
    differing = {name: value for name, value in found.config.items() if _differs(form, kind, name, found.config)}
    st.caption(f":material/auto_awesome: {_note(form, found, differing)}")
    if differing:
        st.button(
            "Use these values",
            key="use_known",
            on_click=_take,
            args=(form, kind, found.config),
            type="tertiary",
            icon=":material/input:",
        )


def _note(form: Form, found: KnownModel, differing: Mapping[str, Any]) -> str:
    source, until = plain(found.source), found.deprecated_on
    facts = ", ".join(f"{field_label(f'config.{name}')} {shown(value)}" for name, value in differing.items())
    if form.model is None:
        note = f"Known from {source}: empty fields take the values in grey."
    else:
        note = f"Different in {source}: {plain(facts)}." if differing else f"Same as in {source}."
    # without a colour: a caption is faint, and a coloured text in it is hard to read
    return note + (f" :material/event_busy: **The provider retires this model on {until:%d %B %Y}.**" if until else "")


def _path(form: Form, kind: ModelType, item: ConfigField, known: Mapping[str, Any]) -> str:
    if item.kind == "bool":
        return paths.toggle_path(kind, item, {} if form.model else known)
    return paths.config_path(kind, item.name)


def _differs(form: Form, kind: ModelType, name: str, known: Mapping[str, Any]) -> bool:
    """Whether a field differs from the known value; an empty one of a new model takes that value."""
    item = next(item for item in config_fields(kind) if item.name == name)
    value = form.get(_path(form, kind, item, known))
    return value != known[name] and not (form.model is None and value is None)


def _take(form: Form, kind: ModelType, known: Mapping[str, Any]) -> None:
    for item in config_fields(kind):
        if item.name in known:
            is_empty = form.model is None and item.kind != "bool"
            form.put(_path(form, kind, item, known), None if is_empty else paths.shown_value(item, known[item.name]))
