"""The LiteLLM proxy: can it be reached, what differs from the registry, and putting it right."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import pandas as pd
import streamlit as st
from registry import Registry, Role, SyncPlan, SyncReport, SyncStep
from registry.errors import ProxyError, RegistryError, SettingsError
from registry.proxy.records import Reason

from pages.ui import tables
from pages.ui.feedback import flash, plain, told
from pages.ui.result import TICK
from pages.ui.session import registry, require
from pages.ui.sitemap import PROXY
from pages.ui.words import STEP_REASONS, counted, effect

_TABLE = "proxy_steps"
REPORT = "proxy_report"
_ADOPTING = "proxy_adopting"
_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 10


def main() -> None:
    """Draw the page."""
    reg = require(PROXY)
    may_change = reg.actor is not None and reg.actor.role is Role.ADMIN
    is_configured = reg.proxy.is_configured
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Proxy", anchor=False, width="content")
        st.button("Refresh", icon=":material/refresh:", disabled=not is_configured, on_click=_forget)
        wants_sync = may_change and st.button(
            "Sync now", type="primary", icon=":material/sync:", disabled=not is_configured
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
        foreign = counted(len(plan.steps), "entry there is", "entries there are")
        more = f" {foreign} not from this registry." if plan.steps else ""
        st.success(f"The proxy serves what the registry says.{more}", icon=":material/check_circle:")
    if plan.steps:
        _steps(reg, plan.steps, may_change=may_change)
    if _ADOPTING in st.session_state:
        step: SyncStep = st.session_state[_ADOPTING]
        (_confirm_adoption if step.name else _confirm_removal)(step)


def _unconfigured(error: SettingsError) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.header("No proxy to keep in step", anchor=False, text_alignment="center")
        st.markdown(plain(error.message), text_alignment="center")


def _summary(plan: SyncPlan) -> None:
    count = f"{plan.in_step:,} of {counted(plan.models, 'model')}"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f":material/cloud_done: **Reached** at {plain(plan.url)}", width="content")
        st.markdown(":material/key: **Master key** accepted", width="content")
        icon = "check_circle" if plan.in_step == plan.models else "sync_problem"
        st.markdown(f":material/{icon}: **{count}** in step", width="content")


def _steps(reg: Registry, steps: Sequence[SyncStep], *, may_change: bool) -> None:
    is_foreign = all(step.reason == Reason.FOREIGN for step in steps)
    st.header("Not from this registry" if is_foreign else "What differs", anchor=False)
    bar = tables.bar()
    selected = _table(steps)
    with bar:
        if selected is None:
            tables.line(counted(len(steps), "entry", "entries") if is_foreign else counted(len(steps), "difference"))
            st.caption("Select one for what can be done about it.", wrap=False)
        else:
            tables.line(selected.name or selected.alias)
            if may_change:
                with tables.actions():
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
    by_id = {_id(step): step for step in steps}
    selected = tables.draw(
        _TABLE,
        list(by_id),
        frame,
        "single-row",
        height=_ROW_HEIGHT * (min(len(steps), _MOST_VISIBLE_ROWS) + 1) + 2,
        row_height=_ROW_HEIGHT,
        hide_index=True,
        alt="Differences between the registry and the proxy",
        column_config={
            "model": column.TextColumn("Model", width=170),
            "alias": column.TextColumn("Alias", width=110),
            "reason": column.TextColumn("Difference", width=110),
            "why": column.TextColumn("Why", width=330),
            "effect": column.TextColumn("A sync", width=185),
        },
    )
    return next((by_id[id] for id in selected), None)


def _id(step: SyncStep) -> str:
    return " ".join((step.alias, step.reason, *step.deletes))


def _actions(reg: Registry, step: SyncStep) -> None:
    if step.changes and st.button("Apply this one", icon=":material/sync:", key=f"proxy_apply_{_id(step)}"):
        _sync(reg, [step.alias])
        st.rerun()
    if step.adoptable:
        label, icon = ("Adopt", "move_down") if step.name else ("Remove", "delete")
        key = f"proxy_adopt_{_id(step)}"
        st.button(label, icon=f":material/{icon}:", key=key, on_click=_ask_to_adopt, args=(step,))


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
    tables.clear(_TABLE)
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
    st.markdown(
        f"The entry on the proxy is replaced by the one of **{plain(step.name)}**, with the parameters and the key "
        "that the registry holds."
    )
    _confirm(step, "Adopt", "adopted")


@st.dialog("Remove entry", icon=":material/delete:", on_dismiss=_end)
def _confirm_removal(step: SyncStep) -> None:
    st.markdown(f"No model of this registry is called **{plain(step.alias)}**: the entry is removed from the proxy.")
    _confirm(step, "Remove", "removed")


def _confirm(step: SyncStep, label: str, done: str) -> None:
    st.caption("This cannot be undone: nobody but the proxy knows the entry's key.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="proxy_cancel"):
            _end()
            st.rerun()
        if not st.button(label, type="primary", key="proxy_confirm"):
            return
    with told():
        registry().proxy.adopt(step.deletes[0])  # asked again: the sign-in may have ended while the question was open
        _end()
        tables.clear(_TABLE)
        flash(f"“{step.name or step.alias}” was {done}.")
        st.rerun()


main()
