"""Doing things with a model of the list: at once where it can be undone, after a question where it cannot.

An action is first noted in the session and then carried out by the next run, so that a dialog survives reruns. A dialog
reruns by itself, without the page: each time it asks anew for the registry, and so who is signed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st
from registry import Registry
from registry.catalog.providers import provider_label
from registry.errors import NotFoundError, StoredValueError
from registry.records import KnowledgeBase, Model, ModelSummary, ModelType, Status, TestResult

from pages.ui import result, routes, tables
from pages.ui.feedback import flash_saved, plain, told
from pages.ui.listing import actions
from pages.ui.listing.actions import Action
from pages.ui.listing.table import TABLE
from pages.ui.session import registry
from pages.ui.sitemap import EDIT
from pages.ui.words import STATUS_HELP, STATUSES, TYPES_IN_TEXT, counted

_INTENT = "intent"
_RESULT = "test_result"


def start(action: Action, id: str) -> None:
    """Note what to do with a model; `show` does it."""
    _end()
    st.session_state[_INTENT] = (action.id, id)


def show(reg: Registry) -> None:
    """Carry out, or ask about, what was noted."""
    if _INTENT not in st.session_state:
        return
    name, id = st.session_state[_INTENT]
    action = next(action for action in actions.ACTIONS if action.id == name)
    try:
        model = reg.models.get(id)
    except StoredValueError as error:
        _unreadable(reg, action, id, error)
        return
    except NotFoundError as error:
        _end()
        st.warning(plain(error.message))
        return
    if action is actions.EDIT:
        _end()
        routes.go(EDIT, id=id)
    elif action is actions.TEST:
        _test(id)
    elif action is actions.DEFAULT:
        _make_default(reg, model)
    elif action is actions.DELETE:
        _delete(model)
    elif action.status is not None:
        _set_status(reg, model, action.status)


def _unreadable(reg: Registry, action: Action, id: str, error: StoredValueError) -> None:
    """What cannot be read can only be deleted, for which the row of the list tells enough."""
    row = next((row for row in reg.models.overview() if row.id == id), None)
    if action is actions.DELETE and row is not None:
        _delete(row)
    else:
        _end()
        st.warning(plain(error.message))


def _end() -> None:
    st.session_state.pop(_INTENT, None)
    st.session_state.pop(_RESULT, None)


def _done(message: str, proxy_message: str = "") -> None:
    """The model was changed, and with that what the person had selected it for is dealt with."""
    _end()
    tables.clear(TABLE)
    flash_saved(message, proxy_message)
    st.rerun()


@st.dialog("Test connection", icon=":material/network_check:", on_dismiss=_end)
def _test(id: str) -> None:
    with told():
        reg = registry()
        model = reg.models.get(id)
        st.markdown(
            f"**{plain(model.name)}** :gray[· {plain(model.model_id)} at {plain(provider_label(model.provider))}]"
        )
        if _RESULT not in st.session_state:
            st.session_state[_RESULT] = model, result.run(partial(reg.models.test, id), model.model_id)
            st.rerun()  # the list behind has news, too
    with st.container():  # in one piece, in whose place the next test is shown
        if _RESULT in st.session_state:
            with told():
                _tell_result(*st.session_state[_RESULT])
        _after_test(id)


def _after_test(id: str) -> None:
    with _buttons():
        if st.button("Edit", icon=":material/edit:", key="models_edit_tested"):
            start(actions.EDIT, id)
            st.rerun()
        if st.button("Test again", icon=":material/refresh:", key="models_test_again"):
            start(actions.TEST, id)
            st.rerun()
        if st.button("Done", type="primary", key="models_close_test"):
            _end()
            st.rerun()


def _tell_result(model: Model, found: TestResult) -> None:
    result.show(found)
    measured = result.measured(found)
    if not measured:
        return
    reg = registry()
    if reg.knowledge_bases.using(model.id):
        st.caption(result.LOCKED)
    elif st.button(f"Save {measured:,} dimensions", icon=":material/save:", key="models_save_measured"):
        saved = reg.models.update(model.id, {"config": {"dimensions": measured}}, version=model.version)
        flash_saved(f"“{model.name}” now has {measured:,} dimensions.", saved.proxy_message)
        tables.clear(TABLE)
        start(actions.TEST, model.id)
        st.rerun()


def _make_default(reg: Registry, model: Model) -> None:
    _end()
    with told():
        reg.models.set_default(model.id)
        _done(f"“{model.name}” is now the default {TYPES_IN_TEXT[model.type]} model.")


def _set_status(reg: Registry, model: Model, status: Status) -> None:
    users = reg.knowledge_bases.using(model.id) if status is Status.INACTIVE else []
    if users:
        _confirm_deactivation(model, users)
    else:
        _end()
        with told():
            saved = reg.models.set_status(model.id, status)
            _done(f"“{model.name}” is now {STATUSES[status].lower()}.", saved.proxy_message)


@st.dialog("Deactivate model", icon=":material/block:", on_dismiss=_end)
def _confirm_deactivation(model: Model, users: Sequence[KnowledgeBase]) -> None:
    st.markdown(f"**{plain(model.name)}** is used by {counted(len(users), 'knowledge base')}:")
    _names(users)
    st.markdown("They will get an error as soon as they ask for it. To let them go on using it, deprecate it instead.")
    with _buttons():
        if st.button("Cancel", key="models_cancel"):
            _end()
            st.rerun()
        deprecate = st.button("Deprecate", key="models_deprecate_instead", help=STATUS_HELP[Status.DEPRECATED])
        if deprecate or st.button("Deactivate", type="primary", key="models_deactivate_anyway"):
            with told():
                status = Status.DEPRECATED if deprecate else Status.INACTIVE
                saved = registry().models.set_status(model.id, status)
                _done(f"“{model.name}” is now {STATUSES[status].lower()}.", saved.proxy_message)


@st.dialog("Delete model", icon=":material/delete:", on_dismiss=_end)
def _delete(model: Model | ModelSummary) -> None:
    with told():
        _ask_to_delete(registry(), model)


def _ask_to_delete(reg: Registry, model: Model | ModelSummary) -> None:
    if model.is_default:
        _replace_default_first(reg, model)
        return
    about = reg.models.reassignment(model.id)
    users = about.knowledge_bases
    heir: ModelSummary | None = None
    if users:
        st.markdown(f"**{plain(model.name)}** is used by {counted(len(users), 'knowledge base')}:")
        _names(users)
        heir = _choose(about.candidates, "Move them to", "Active models that fit", f"models_move_{model.id}")
        if not about.candidates:
            st.warning(
                "No other active model fits, so it cannot be deleted now. "
                + (
                    "An embedding model is replaced only by one that makes the same vectors: same provider, model ID, "
                    "dimensions, normalization and distance metric. "
                    if model.type == "embedding"
                    else ""
                )
                + ("Register one, or deprecate this model." if _can_be_deprecated(model) else "Register one."),
                icon=":material/warning:",
            )
    else:
        st.markdown(f"Delete **{plain(model.name)}**? No knowledge base uses it.")
    st.caption("This cannot be undone. The audit log keeps what it was, but not its API key.")
    with _buttons():
        if st.button("Cancel", key="models_cancel"):
            _end()
            st.rerun()
        label = "Move and delete" if users else "Delete"
        if st.button(label, type="primary", key="models_confirm_delete", disabled=bool(users) and heir is None):
            with told():
                gone = reg.models.delete(model.id, reassign_to=heir.id if heir else None)
                moved = (
                    f", {counted(len(gone.knowledge_bases), 'knowledge base')} moved to “{heir.name}”" if heir else ""
                )
                _done(f"“{model.name}” was deleted{moved}.", gone.proxy_message)


def _can_be_deprecated(model: Model | ModelSummary) -> bool:
    return not isinstance(model, ModelSummary) or model.is_readable


def _replace_default_first(reg: Registry, model: Model | ModelSummary) -> None:
    others = [row for row in reg.models.overview(type=model.type, status=Status.ACTIVE) if row.id != model.id]
    kind = TYPES_IN_TEXT[ModelType(model.type)]
    st.markdown(
        f"**{plain(model.name)}** is the default {kind} model. Choose another default first; then it can be deleted."
    )
    heir = _choose(others, "New default", f"Active {kind} models", f"models_default_{model.id}")
    if not others:
        st.warning("There is no other active model of this type.", icon=":material/warning:")
    with _buttons():
        if st.button("Cancel", key="models_cancel"):
            _end()
            st.rerun()
        without = st.button("Leave without default", key="models_clear_default")
        if without or st.button(
            "Make it the default", type="primary", key="models_replace_default", disabled=heir is None
        ):
            with told():
                if without or heir is None:
                    reg.models.clear_default(model.type)
                else:
                    reg.models.set_default(heir.id)
                st.rerun()


def _choose(rows: Sequence[ModelSummary], label: str, placeholder: str, key: str) -> ModelSummary | None:
    return st.selectbox(
        label,
        rows,
        index=0 if len(rows) == 1 else None,
        format_func=lambda row: f"{row.name} ({row.model_id})",
        placeholder=placeholder,
        disabled=not rows,
        key=key,
    )


def _names(users: Sequence[KnowledgeBase], most: int = 12) -> None:
    lines = [f"- {plain(base.name)}" for base in users[:most]]
    rest = len(users) - most
    st.markdown("\n".join([*lines, f"- … and {rest:,} more"] if rest > 0 else lines))


def _buttons() -> st.delta_generator.DeltaGenerator:
    return st.container(horizontal=True, horizontal_alignment="right")
