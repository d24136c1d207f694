"""The page to add a model, or to edit the one in ``?id=…``."""

from __future__ import annotations

import streamlit as st
from registry import Registry
from registry.catalog.providers import PROVIDERS, Provider
from registry.errors import NotFoundError, StoredValueError
from registry.records import KnowledgeBase, ModelType, Status

from pages.ui import routes
from pages.ui.feedback import plain
from pages.ui.form import draft, fields, known, paths, saving, sections, trial, values
from pages.ui.form.draft import Form
from pages.ui.form.kind import choose_provider, choose_type, keep_contract
from pages.ui.session import require
from pages.ui.sitemap import EDIT
from pages.ui.words import TYPE_HELP, TYPES, counted


def main() -> None:
    """Draw the page."""
    reg = require(EDIT)
    if saving.was_saved():
        routes.back_to_models()
    form = _form(reg)
    if form is None:
        return
    reg.warm_up()  # a test may be next
    try:
        users = reg.knowledge_bases.using(form.model.id) if form.model else []
    except NotFoundError:
        draft.discard()
        _missing()
        return
    _, middle, _ = st.columns([1, 6, 1])
    with middle:
        with st.container():  # see `fields`: a new element in it must not recreate the fields below
            _heading(form, users)
        kind = choose_type(form)
        locked = bool(users) and kind is ModelType.EMBEDDING
        if locked and form.model is not None and form.model.provider in PROVIDERS:
            keep_contract(form, form.model)
        with st.container():
            provider = choose_provider(form, kind, locked=locked)
        if provider is not None:
            _sections(form, kind, provider, locked=locked)


def _form(reg: Registry) -> Form | None:
    id = st.query_params.get("id")
    form = draft.current()
    if form is not None and (form.model.id if form.model else None) == id:
        return form
    try:
        return draft.load(reg.models.get(id) if id else None)
    except NotFoundError:
        _missing()
    except StoredValueError as error:
        st.title("This model cannot be read", anchor=False)
        st.error(plain(error.message), icon=":material/error:")
        routes.link_to_models()
    return None


def _missing() -> None:
    st.title("No such model", anchor=False)
    st.error("There is no model with this link. It may have been deleted: see the audit log.")
    routes.link_to_models()


def _heading(form: Form, users: list[KnowledgeBase]) -> None:
    routes.link_to_models("Models")
    st.title(f"Edit {plain(form.model.name)}" if form.model else "Add model", anchor=False)
    if form.model:
        st.caption(f"{TYPES[form.model.type]} model · {TYPE_HELP[form.model.type]}")
    if users:
        names = ", ".join(plain(base.name) for base in users[:8]) + (", …" if len(users) > 8 else "")
        st.info(f"Used by {counted(len(users), 'knowledge base')}: {names}.", icon=":material/menu_book:")


def _sections(form: Form, kind: ModelType, provider: Provider, *, locked: bool) -> None:
    if form.model is None:
        form.start("status", Status.ACTIVE)
        values.start_config(form, kind, values.known(form, kind, provider))
        for name, field in provider.connection.items():
            form.start(paths.connection_path(name, provider), field.default or None)
    is_testing = trial.begin(form, kind, provider)
    with st.container(border=True):
        st.header("Model", anchor=False)
        known.model_id(form, kind, provider, locked=locked)
        unnamed = form.get(paths.model_id_path(kind, provider)) if form.model is None else None
        hint = f"If left empty: {unnamed}" if unnamed else "The name shown in the list"
        fields.text(form, kind, "name", "Name", placeholder=hint)
    with st.container(border=True):
        sections.connection(form, kind, provider)
    with st.container(border=True):
        sections.parameters(form, kind, provider, locked=locked)
    with st.container(border=True):
        sections.status(form, kind)
    outcome = st.container()
    _buttons(form, kind, provider, is_testing)
    with outcome:  # drawn last, but in its own container: its content does not change the buttons' position
        if form.message:
            st.error(plain(form.message), icon=":material/error:")
        if is_testing:
            saving.test(form, kind, provider)
        trial.show(form, kind, locked=locked)


def _buttons(form: Form, kind: ModelType, provider: Provider, is_testing: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if form.is_stale:
            st.button("Load it again", icon=":material/refresh:", on_click=draft.discard)
        if st.button("Cancel", key="cancel_form"):
            routes.back_to_models()
        st.button(
            "Test connection",
            icon=":material/network_check:",
            on_click=trial.ask,
            args=(form,),
            disabled=is_testing,
            key="test",
        )
        st.button(
            "Save changes" if form.model else "Add model",
            type="primary",
            icon=":material/save:",
            on_click=saving.save,
            args=(form, kind, provider),
            key="save",
        )


main()
