"""The LiteLLM proxy: can it be reached, what differs from the registry, and putting it right."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pandas as pd
import streamlit as st
from registry import Registry, Role, SyncPlan, SyncReport, SyncStep
from registry.errors import ProxyError, RegistryError, SettingsError

from pages.ui.feedback import flash, plain
from pages.ui.result import TICK
from pages.ui.session import registry, require
from pages.ui.words import STEP_REASONS, counted, effect

_TABLE = "proxy_steps"
REPORT = "proxy_report"
_ADOPTING = "proxy_adopting"
_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 10


def main() -> None:
    """Draw the page."""
    reg = require(Role.AUDITOR)
    may_change = reg.actor is not None and reg.actor.role is Role.ADMIN
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.title("Proxy", anchor=False, width="content")
        with st.container(horizontal=True, width="content"):
            st.button("Refresh", icon=":material/refresh:", disabled=not reg.proxy.is_configured, on_click=_forget)
            wants_sync = may_change and st.button(
                "Sync now", type="primary", icon=":material/sync:", disabled=not reg.proxy.is_configured
            )
    if wants_sync:
        _sync(reg)
    try:
        with st.spinner("Asking the proxy …", show_time=True):
            plan = reg.proxy.plan()
    except SettingsError as error:
        _unconfigured(error)
        return
    except ProxyError as error:
        st.error(plain(error.message), icon=":material/cloud_off:")
        st.caption("Models can be changed all the same; the proxy is brought up to date when it answers again.")
        return
    _summary(plan)
    _outcome()
    if not plan.changes and plan.in_step == plan.models:
        st.success("The proxy serves what the registry says.", icon=":material/check_circle:")
    if plan.steps:
        _steps(reg, plan.steps, may_change=may_change)
    if _ADOPTING in st.session_state:
        _confirm_adoption(st.session_state[_ADOPTING])


def _unconfigured(error: SettingsError) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.subheader("No proxy to keep in step", anchor=False, text_alignment="center")
        st.markdown(plain(error.message), text_alignment="center")


def _summary(plan: SyncPlan) -> None:
    count = f"{plan.in_step:,} of {counted(plan.models, 'model')}"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f":material/cloud_done: **Reached** at {plain(plan.url)}", width="content")
        st.markdown(":material/key: **Master key** accepted", width="content")
        icon = "check_circle" if plan.in_step == plan.models else "sync_problem"
        st.markdown(f":material/{icon}: **{count}** in step", width="content")


def _steps(reg: Registry, steps: Sequence[SyncStep], *, may_change: bool) -> None:
    st.subheader("What differs", anchor=False)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    selected = _table(steps)
    with bar:
        if selected is None:
            st.caption(f"{counted(len(steps), 'difference')}. Select one for what can be done about it.")
        else:
            st.markdown(f"**{plain(selected.name or selected.alias)}**", width="content")
            if may_change:
                _actions(reg, selected)
    if selected is not None:
        st.caption(f"{plain(selected.alias)}: {plain(selected.why)} A sync {effect(selected)}.")


def _table(steps: Sequence[SyncStep]) -> SyncStep | None:
    frame = pd.DataFrame(
        {
            "model": [step.name or "–" for step in steps],
            "alias": [step.alias for step in steps],
            "reason": [STEP_REASONS[step.reason] for step in steps],
            "why": [step.why for step in steps],
            "effect": [effect(step) for step in steps],
        }
    )
    column = st.column_config
    event: Any = st.dataframe(
        frame,
        key=_TABLE,
        height=_ROW_HEIGHT * (min(len(steps), _MOST_VISIBLE_ROWS) + 1) + 2,
        row_height=_ROW_HEIGHT,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        alt="Differences between the registry and the proxy",
        column_config={
            "model": column.TextColumn("Model", width=170),
            "alias": column.TextColumn("Alias", width=110),
            "reason": column.TextColumn("Difference", width=110),
            "why": column.TextColumn("Why", width=330),
            "effect": column.TextColumn("A sync", width=185),
        },
    )
    rows = event["selection"]["rows"]
    return steps[rows[0]] if rows and rows[0] < len(steps) else None


def _actions(reg: Registry, step: SyncStep) -> None:
    if step.changes and st.button("Apply this one", icon=":material/sync:", key="apply_one"):
        _sync(reg, [step.alias])
        st.rerun()
    if step.adoptable:
        label, icon = ("Adopt", "move_down") if step.name else ("Remove", "delete")
        st.button(label, icon=f":material/{icon}:", key="adopt", on_click=_ask_to_adopt, args=(step,))


def _sync(reg: Registry, only: Sequence[str] | None = None) -> None:
    """Apply all, or these aliases, with progress; what came of it is shown by `_outcome`, on this run or the next.

    In a thread of its own: whoever clicks meanwhile ends the waiting, and not the sync in the middle of its work.
    """
    told = [0, 0]

    def tell(done: int, of: int) -> None:
        told[:] = done, of

    pool = ThreadPoolExecutor(1)
    future = pool.submit(reg.proxy.sync, only=only, progress=tell)
    pool.shutdown(wait=False)
    bar = st.progress(0.0, "Comparing with the proxy …")
    while not wait([future], timeout=TICK).done:
        done, of = told
        bar.progress(done / of if of else 0.0, f"{done:,} of {counted(of, 'change')} applied" if of else "Comparing …")
    bar.empty()
    try:
        st.session_state[REPORT] = future.result()
    except RegistryError as error:
        st.session_state[REPORT] = error.message


def _outcome() -> None:
    outcome: SyncReport | str | None = st.session_state.get(REPORT)
    if isinstance(outcome, str):
        st.error(plain(outcome), icon=":material/error:")
    elif outcome is not None and outcome.failed:
        lines = [
            f"- **{plain(failure.step.name or failure.step.alias)}**: {plain(failure.message)}"
            for failure in outcome.failed[:20]
        ]
        rest = len(outcome.failed) - len(lines)
        lines += [f"- … and {rest:,} more"] if rest else []
        st.warning("Not applied:\n" + "\n".join(lines), icon=":material/sync_problem:")
    elif outcome is not None:
        applied = counted(len(outcome.applied), "change")
        st.success(f"Synchronised: {applied} applied.", icon=":material/sync:")


def _forget() -> None:
    st.session_state.pop(REPORT, None)


def _ask_to_adopt(step: SyncStep) -> None:
    st.session_state[_ADOPTING] = step


def _end() -> None:
    st.session_state.pop(_ADOPTING, None)


@st.dialog("Adopt entry", icon=":material/move_down:", on_dismiss=_end)
def _confirm_adoption(step: SyncStep) -> None:
    if step.name:
        st.markdown(
            f"The entry on the proxy is replaced by the one of **{plain(step.name)}**, with the parameters and the key "
            "that the registry holds."
        )
    else:
        st.markdown(
            f"No model of this registry is called **{plain(step.alias)}**: the entry is removed from the proxy."
        )
    st.caption("This cannot be undone: nobody but the proxy knows the entry's key.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="cancel"):
            _end()
            st.rerun()
        if st.button("Adopt" if step.name else "Remove", type="primary", key="confirm_adopt"):
            _adopt(step)


def _adopt(step: SyncStep) -> None:
    try:
        registry().proxy.adopt(step.deletes[0])  # anew: the sign-in may have ended while the question was open
    except RegistryError as error:
        st.error(plain(error.message), icon=":material/error:")
        return
    _end()
    flash(f"“{step.name or step.alias}” was {'adopted' if step.name else 'removed'}.")
    st.rerun()


main()
