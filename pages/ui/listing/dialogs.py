"""Runs actions on a model of the list: at once if they can be undone, else after a confirmation.

The session keeps an action, and the next run carries it out, so that a dialog survives reruns. A dialog reruns by
itself, without the page: each rerun gets the registry again, and so checks the sign-in again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st
from registry import Registry
from registry.catalog.providers import provider_label
from registry.errors import NotFoundError, StoredValueError
from registry.records import KnowledgeBase, Model, Status, TestResult

from pages.ui import result, routes, tables
from pages.ui.feedback import errors_shown, flash_saved, plain
from pages.ui.listing import actions, deletion, intent
from pages.ui.listing.actions import RowAction
from pages.ui.listing.table import TABLE
from pages.ui.session import registry
from pages.ui.sitemap import EDIT
from pages.ui.words import STATUS_HELP, STATUSES, TYPES_IN_TEXT, counted


def show(reg: Registry) -> None:
    """Run the pending action, or its dialog."""
    if intent.INTENT not in st.session_state:
        return
    name, id = st.session_state[intent.INTENT]
    action = next(action for action in actions.ROW_ACTIONS if action.id == name)
    try:
        model = reg.models.get(id)
    except StoredValueError as error:
        _unreadable(reg, action, id, error)
        return
    except NotFoundError as error:
        intent.end()
        st.warning(plain(error.message))
        return
    if action is actions.EDIT:
        intent.end()
        routes.go(EDIT, id=id)
    elif action is actions.TEST:
        _test(id)
    elif action is actions.DEFAULT:
        _make_default(reg, model)
    elif action is actions.DELETE:
        deletion.ask(model)
    elif action.status is not None:
        _set_status(reg, model, action.status)


def _unreadable(reg: Registry, action: RowAction, id: str, error: StoredValueError) -> None:
    """An unreadable model can only be deleted; its row in the list is enough for that."""
    row = next((row for row in reg.models.overview() if row.id == id), None)
    if action is actions.DELETE and row is not None:
        deletion.ask(row)
    else:
        intent.end()
        st.warning(plain(error.message))


@st.dialog("Test connection", icon=":material/network_check:", on_dismiss=intent.end)
def _test(id: str) -> None:
    with errors_shown():
        reg = registry()
        model = reg.models.get(id)
        st.markdown(
            f"**{plain(model.name)}** :gray[· {plain(model.model_id)} at {plain(provider_label(model.provider))}]"
        )
        if intent.RESULT not in st.session_state:
            st.session_state[intent.RESULT] = model, result.run(partial(reg.models.test, id), model.model_id)
            st.rerun()  # the list behind it changes, too
    with st.container():  # one element, which the next test replaces
        if intent.RESULT in st.session_state:
            with errors_shown():
                _show_result(*st.session_state[intent.RESULT])
        _after_test(id)


def _after_test(id: str) -> None:
    with intent.buttons():
        if st.button("Edit", icon=":material/edit:", key="models_edit_tested"):
            intent.start(actions.EDIT, id)
            st.rerun()
        if st.button("Test again", icon=":material/refresh:", key="models_test_again"):
            intent.start(actions.TEST, id)
            st.rerun()
        if st.button("Done", type="primary", key="models_close_test"):
            intent.end()
            st.rerun()


def _show_result(model: Model, found: TestResult) -> None:
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
        intent.start(actions.TEST, model.id)
        st.rerun()


def _make_default(reg: Registry, model: Model) -> None:
    intent.end()
    with errors_shown():
        reg.models.set_default(model.id)
        intent.done(f"“{model.name}” is now the default {TYPES_IN_TEXT[model.type]} model.")


def _set_status(reg: Registry, model: Model, status: Status) -> None:
    users = reg.knowledge_bases.using(model.id) if status is Status.INACTIVE else []
    if users:
        _confirm_deactivation(model, users)
    else:
        intent.end()
        with errors_shown():
            saved = reg.models.set_status(model.id, status)
            intent.done(f"“{model.name}” is now {STATUSES[status].lower()}.", saved.proxy_message)


@st.dialog("Deactivate model", icon=":material/block:", on_dismiss=intent.end)
def _confirm_deactivation(model: Model, users: Sequence[KnowledgeBase]) -> None:
    st.markdown(f"**{plain(model.name)}** is used by {counted(len(users), 'knowledge base')}:")
    intent.names(users)
    st.markdown("Their next request for it will fail. To keep it working for them, deprecate it instead.")
    with intent.buttons():
        if st.button("Cancel", key="models_cancel"):
            intent.end()
            st.rerun()
        deprecate = st.button("Deprecate", key="models_deprecate_instead", help=STATUS_HELP[Status.DEPRECATED])
        if deprecate or st.button("Deactivate", type="primary", key="models_deactivate_anyway"):
            with errors_shown():
                status = Status.DEPRECATED if deprecate else Status.INACTIVE
                saved = registry().models.set_status(model.id, status)
                intent.done(f"“{model.name}” is now {STATUSES[status].lower()}.", saved.proxy_message)
