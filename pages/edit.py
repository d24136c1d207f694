"""Add a model, or edit the one that the link names: ``?id=…``."""

from __future__ import annotations

import streamlit as st
from registry import Registry
from registry.catalog.providers import PROVIDERS, Provider, providers_for
from registry.errors import ContractError, NotFoundError, RegistryError, StaleVersionError, StoredValueError
from registry.records import KnowledgeBase, Model, ModelType, Status

from pages.ui import routes
from pages.ui.feedback import flash, flash_saved, plain
from pages.ui.form import draft, fields, known, sections, trial
from pages.ui.form.draft import Form
from pages.ui.session import registry, require
from pages.ui.sitemap import EDIT
from pages.ui.words import TYPE_HELP, TYPES, TYPES_IN_TEXT, counted

SAVED = "form_saved"


def main() -> None:
    """Draw the page."""
    reg = require(EDIT)
    if st.session_state.pop(SAVED, False):
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
        with st.container():  # see `fields`: what appears in it must not recreate the fields below
            _heading(form, users)
        kind = _type(form)
        locked = bool(users) and kind is ModelType.EMBEDDING
        if locked and form.model is not None and form.model.provider in PROVIDERS:
            _keep_contract(form, form.model)
        with st.container():
            provider = _provider(form, kind, locked=locked)
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


def _type(form: Form) -> ModelType:
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


def _provider(form: Form, kind: ModelType, *, locked: bool) -> Provider | None:
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
            "deleted, but neither used nor changed. Install the version that knows it, or register another model.",
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


def _keep_contract(form: Form, model: Model) -> None:
    """What KBs depend on is as it is saved, whatever was typed before they did."""
    saved = {"provider": model.provider, draft.model_id_path(model.type, PROVIDERS[model.provider]): model.model_id}
    saved |= {draft.config_path(model.type, name): model.config[name] for name in draft.CONTRACT}
    for path, value in saved.items():
        if form.get(path) != value:
            form.put(path, value)


def _sections(form: Form, kind: ModelType, provider: Provider, *, locked: bool) -> None:
    if form.model is None:
        form.start("status", Status.ACTIVE)
        draft.start_config(form, kind, draft.known(form, kind, provider))
        for name, field in provider.connection.items():
            form.start(draft.connection_path(name, provider), field.default or None)
    is_testing = trial.begin(form, kind, provider)
    with st.container(border=True):
        st.header("Model", anchor=False)
        known.model_id(form, kind, provider, locked=locked)
        unnamed = form.get(draft.model_id_path(kind, provider)) if form.model is None else None
        hint = f"If left empty: {unnamed}" if unnamed else "As people will see it in the list"
        fields.text(form, kind, "name", "Name", placeholder=hint)
    with st.container(border=True):
        sections.connection(form, kind, provider)
    with st.container(border=True):
        sections.parameters(form, kind, provider, locked=locked)
    with st.container(border=True):
        sections.status(form, kind)
    outcome = st.container()
    _buttons(form, kind, provider, is_testing)
    with outcome:  # drawn last, but in a place of its own: what is there or not does not move the buttons' place
        if form.message:
            st.error(plain(form.message), icon=":material/error:")
        if is_testing:
            _test(form, kind, provider)
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
            on_click=_save,
            args=(form, kind, provider),
            key="save",
        )


def _test(form: Form, kind: ModelType, provider: Provider) -> None:
    try:
        trial.run(form, kind, provider)
    except RegistryError as error:
        _refused(form, error, "Not tested")
    st.rerun()


def _save(form: Form, kind: ModelType, provider: Provider) -> None:
    form.forget_faults()
    sent, tested = draft.values(form, kind, provider), trial.of(form, kind, provider)
    try:
        reg = registry()
        if form.model is None:
            saved = reg.models.create(sent, tested=tested)
            flash_saved(f"“{saved.name}” was added.", saved.proxy_message)
        else:
            saved = reg.models.update(form.model.id, sent, version=form.model.version, tested=tested)
            if saved == form.model:
                flash("Nothing was changed.")
            else:
                flash_saved(f"“{saved.name}” was saved.", saved.proxy_message)
    except RegistryError as error:
        _refused(form, error, "Not saved")
        return
    draft.discard()
    st.session_state[SAVED] = True


def _refused(form: Form, error: RegistryError, what: str) -> None:
    form.errors, form.is_stale = dict(error.fields), isinstance(error, StaleVersionError)
    if "model_id" in form.errors and not form.model and not form.get("name"):
        form.errors.pop("name", None)  # an empty name is taken from the model id
    count = counted(len(form.errors), "field")
    can_correct = form.errors and not isinstance(error, ContractError)
    form.message = f"{what}: {count} to correct above." if can_correct else error.message


main()
