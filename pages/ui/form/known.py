"""The model id, and what the known-model catalogue offers for it."""

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
_NOTE, _OFFERS = 48, 88  # pixels, whatever is in them: two lines of text, two rows of ids


def model_id(form: Form, kind: ModelType, provider: Provider, *, locked: bool) -> None:
    """The field for the provider's own name of the model. Below it, in room that does not change while one types a
    new model's, are what is known of it and the known ones that it could become."""
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
                _tell(form, kind, found)
            elif fitting:
                st.caption("Choose a known model, or type the id of any other.")
            else:
                st.caption("Not a known model: enter its parameters as its provider documents them.")
        _offer(form, path, fitting)


def _field(form: Form, path: str, example: str | None, *, locked: bool) -> None:
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


def _tell(form: Form, kind: ModelType, found: KnownModel) -> None:
    """What is known of the model, and whether the form holds something else."""
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
        told = f"Known from {source}: fields left empty take the values in grey."
    else:
        told = f"{source} says otherwise: {plain(facts)}." if differing else f"As {source} says."
    # without a colour: in a caption, which is drawn faintly, it could not be read
    return told + (f" :material/event_busy: **The provider retires this model on {until:%d %B %Y}.**" if until else "")


def _path(form: Form, kind: ModelType, item: ConfigField, known: Mapping[str, Any]) -> str:
    if item.kind == "bool":
        return paths.toggle_path(kind, item, {} if form.model else known)
    return paths.config_path(kind, item.name)


def _differs(form: Form, kind: ModelType, name: str, known: Mapping[str, Any]) -> bool:
    """Whether a field holds something else than what is known; an empty one of a new model takes that anyway."""
    item = next(item for item in config_fields(kind) if item.name == name)
    value = form.get(_path(form, kind, item, known))
    return value != known[name] and not (form.model is None and value is None)


def _take(form: Form, kind: ModelType, known: Mapping[str, Any]) -> None:
    for item in config_fields(kind):
        if item.name in known:
            of_itself = form.model is None and item.kind != "bool"
            form.put(_path(form, kind, item, known), None if of_itself else paths.shown_value(item, known[item.name]))
