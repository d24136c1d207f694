"""Add a model, or edit the one that the link names: ``?id=…``."""

from __future__ import annotations

from functools import partial

import streamlit as st
from registry import Registry, Role
from registry.errors import NotFoundError, RegistryError, StaleVersionError
from registry.providers import PROVIDERS, Provider, providers_for
from registry.records import KnowledgeBase, ModelType

from pages.ui import fields, known, result, routes, sections
from pages.ui import form as forms
from pages.ui.feedback import flash, flash_saved, plain
from pages.ui.form import Form
from pages.ui.session import registry, require
from pages.ui.words import TYPE_HELP, TYPES, counted

SAVED = "form_saved"
CONTRACT = ("dimensions", "normalize", "distance_metric")


def main() -> None:
    """Draw the page."""
    reg = require(Role.ADMIN)
    if st.session_state.pop(SAVED, False):
        routes.back_to_models()
    form = _form(reg)
    if form is None:
        return
    try:
        users = reg.knowledge_bases.using(form.model.id) if form.model else []
    except NotFoundError:
        forms.discard()
        _missing()
        return
    _, middle, _ = st.columns([1, 6, 1])
    with middle:
        _heading(form, users)
        kind = _type(form)
        provider = _provider(form, kind)
        if provider is not None:
            _sections(form, kind, provider, users)


def _form(reg: Registry) -> Form | None:
    id = st.query_params.get("id")
    form = forms.current()
    if form is not None and (form.model.id if form.model else None) == id:
        return form
    try:
        return forms.load(reg.models.get(id) if id else None)
    except NotFoundError:
        _missing()
        return None


def _missing() -> None:
    st.title("No such model", anchor=False)
    st.error("There is no model with this link. It may have been deleted: the audit log tells.")
    routes.link_to_models()


def _heading(form: Form, users: list[KnowledgeBase]) -> None:
    routes.link_to_models("Models")
    st.title(f"Edit {plain(form.model.name)}" if form.model else "Add model", anchor=False)
    if form.model:
        st.caption(f"{TYPES[form.model.type]} model · {TYPE_HELP[form.model.type]}")
    if users:
        names = ", ".join(plain(base.name) for base in users[:8]) + (", …" if len(users) > 8 else "")
        st.info(f"Used by {counted(len(users), 'knowledge base')}: {names}.", icon=":material/menu_book:")


def _type(form: Form) -> ModelType:
    if form.model is not None:
        return form.model.type
    form.start("type", ModelType.EMBEDDING)
    kind = st.radio(
        "Type", list(TYPES), format_func=TYPES.__getitem__, horizontal=True, key=form.key("type"), help="What it is for."
    )
    kind = ModelType(kind or ModelType.EMBEDDING)
    st.caption(TYPE_HELP[kind])
    return kind


def _provider(form: Form, kind: ModelType) -> Provider | None:
    offered = [provider.id for provider in providers_for(kind)]
    if form.get("provider") not in offered:
        st.session_state.pop(form.key("provider"), None)
    chosen = st.selectbox(
        "Provider",
        offered,
        index=None,
        format_func=lambda id: PROVIDERS[id].label,
        placeholder="Choose a provider",
        key=form.key("provider"),
        disabled=form.model is not None and form.model.provider not in PROVIDERS,
    )
    fields.error_at(form, "provider")
    return PROVIDERS[chosen] if chosen else None


def _sections(form: Form, kind: ModelType, provider: Provider, users: list[KnowledgeBase]) -> None:
    if form.model is None:
        forms.start_config(form, kind)
        for name, field in provider.connection.items():
            form.start(f"connection.{provider.id}.{name}", field.default or None)
    with st.container(border=True):
        st.subheader("Model", anchor=False)
        known.model_id(form, kind, provider)
        fields.text(form, "name", "Name", max_chars=None, placeholder="As people will see it in the list")
    with st.container(border=True):
        sections.connection(form, provider)
    locked = CONTRACT if users and kind is ModelType.EMBEDDING else ()
    with st.container(border=True):
        sections.parameters(form, kind, locked)
    with st.container(border=True):
        sections.status(form, kind)
    if form.message:
        st.error(plain(form.message), icon=":material/error:")
    is_testing, form.wants_test = form.wants_test, False
    outcome = st.container()
    _buttons(form, kind, provider, is_testing)
    with outcome:
        if is_testing:
            _test(form, kind, provider)
        _outcome(form, kind, provider, bool(locked))


def _buttons(form: Form, kind: ModelType, provider: Provider, is_testing: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if form.is_stale:
            st.button("Load it again", icon=":material/refresh:", on_click=forms.discard)
        if st.button("Cancel", key="cancel_form"):
            routes.back_to_models()
        st.button(
            "Test connection",
            icon=":material/network_check:",
            on_click=_ask_for_test,
            args=(form,),
            disabled=is_testing,
            key="test",
        )
        st.button(
            "Save changes" if form.model else "Add model",
            type="primary",
            icon=":material/save:",
            on_click=_save,
            args=(form, kind, provider),
            key="save",
        )


def _ask_for_test(form: Form) -> None:
    form.forget_outcome()
    form.wants_test = True


def _test(form: Form, kind: ModelType, provider: Provider) -> None:
    """Test what is in the form. Nothing of what is sent is kept: a typed key stays in its field."""
    sent, test = forms.values(form, kind, provider), registry().models.test
    call = partial(test, form.model.id, sent) if form.model else partial(test, sent)
    try:
        form.result = result.run(call, f"{sent['model_id'] or 'the model'} at {provider.label}")
        form.tested = _tested(form, kind, provider)
    except RegistryError as error:
        _refused(form, error, "Not tested")
    st.rerun()


def _tested(form: Form, kind: ModelType, provider: Provider) -> tuple[object, ...]:
    """What a result is about."""
    return kind, provider.id, form.get(forms.model_id_path(kind, provider))


def _outcome(form: Form, kind: ModelType, provider: Provider, is_locked: bool) -> None:
    if form.result is None or form.tested != _tested(form, kind, provider):
        form.result = None
        return
    with st.container(border=True):
        result.show(form.result)
        measured = result.measured(form.result)
        if measured and is_locked:
            st.caption(result.LOCKED)
        elif measured:
            st.button(
                f"Use {measured:,} dimensions",
                icon=":material/input:",
                on_click=_use_measured,
                args=(form, kind, measured),
                key="use_measured",
            )


def _use_measured(form: Form, kind: ModelType, dimensions: int) -> None:
    form.fill(forms.config_path(kind, "dimensions"), dimensions)
    _ask_for_test(form)


def _save(form: Form, kind: ModelType, provider: Provider) -> None:
    form.forget_outcome()
    sent = forms.values(form, kind, provider)
    try:
        reg = registry()
        if form.model is None:
            saved = reg.models.create(sent)
            flash_saved(reg, f"“{saved.name}” was added.")
        else:
            saved = reg.models.update(form.model.id, sent, version=form.model.version)
            if saved == form.model:
                flash("Nothing was changed.")
            else:
                flash_saved(reg, f"“{saved.name}” was saved.")
    except RegistryError as error:
        _refused(form, error, "Not saved")
        return
    forms.discard()
    st.session_state[SAVED] = True


def _refused(form: Form, error: RegistryError, what: str) -> None:
    form.errors, form.is_stale = error.fields, isinstance(error, StaleVersionError)
    count = counted(len(error.fields), "field")
    form.message = f"{what}: {count} to correct above." if error.fields else error.message


main()
