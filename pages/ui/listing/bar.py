"""The bar above the list of models: the selected model, its last test, and its actions for keyboard users."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from registry import Registry
from registry.errors import RegistryError
from registry.proxy.records import alias_of
from registry.records import ModelSummary

from pages.ui import tables
from pages.ui.feedback import flash, flash_error, plain
from pages.ui.listing import batch, intent
from pages.ui.listing.actions import TEST, offered
from pages.ui.listing.table import TABLE
from pages.ui.words import FAILS, IN_STEP, WORKS, ago, counted, duration, proxy_state

_HOW_TO_CHANGE = (
    "To change one, open its menu :material/more_vert: or select it (Shift + Space). "
    "Select several to test them together."
)
_HOW_TO_READ = "Select a model to see its last test."


def draw(reg: Registry, selected: Sequence[ModelSummary], count: str, *, may_change: bool) -> None:
    """Show what is selected, and its actions.

    Args:
        count: how many models the table shows.
        may_change: the user may change models.
    """
    if selected and may_change:
        reg.warm_up()  # a test may be next
    if len(selected) == 1:
        tables.line(selected[0].name, _news(reg, selected[0]))
        if may_change:
            with tables.actions():
                _actions(reg, selected[0])
    elif not selected or not may_change:
        tables.line(count)
        st.caption(_HOW_TO_CHANGE if may_change else _HOW_TO_READ, wrap=False)
    else:
        chosen = counted(len(selected), "model")
        tables.line(f"{chosen} selected", "A test calls each of them once.")
        with tables.actions():
            st.button(
                f"Test {chosen}",
                icon=f":material/{TEST.icon}:",
                key="models_test_selected",
                on_click=batch.start,
                args=(selected,),
            )


def _actions(reg: Registry, row: ModelSummary) -> None:
    """The buttons of a model. Their keys hold its id: a button still shown while another model is being selected does
    not act on that one."""
    for action in offered(row.status, row.is_default, row.is_readable):
        st.button(
            action.label,
            icon=f":material/{action.icon}:",
            key=f"models_{action.id}_{row.id}",
            on_click=intent.start,
            args=(action, row.id),
        )
    if _lags(reg, row) and st.button("Sync with proxy", icon=":material/sync:", key=f"models_sync_{row.id}"):
        _sync(reg, row)


def _lags(reg: Registry, row: ModelSummary) -> bool:
    return reg.proxy.is_configured and proxy_state(row) != IN_STEP


def _news(reg: Registry, row: ModelSummary) -> str:
    """The result of the last test, and why the proxy is not in step."""
    if not row.is_readable:
        return ":red[:material/error:] Its row in the database was edited and cannot be read."
    tested = _last_test(row)
    if not _lags(reg, row):
        return tested
    why = row.proxy_message or "this version was not sent to it yet."
    return f":orange[:material/sync_problem:] The LiteLLM proxy is not in step: {plain(why)} · {tested}"


def _last_test(row: ModelSummary) -> str:
    if row.test_at is None or row.test_ms is None:
        return "Its connection was not tested yet."
    mark = WORKS if row.test_ok else FAILS
    before = "" if row.test_is_current else ", before its last change"
    return f"{mark}] Tested {ago(row.test_at)}{before}: {plain(row.test_message or '')} ({duration(row.test_ms)})"


def _sync(reg: Registry, row: ModelSummary) -> None:
    with st.spinner("Syncing with the proxy…"):
        try:
            if reg.proxy.sync(only=[alias_of(row.id)]).ok:
                flash(f"“{row.name}” is in step with the LiteLLM proxy.")
        except RegistryError as error:
            flash_error(error)
    tables.clear(TABLE)
    st.rerun()
