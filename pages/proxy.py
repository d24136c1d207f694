"""The page of the LiteLLM proxy: connection, differences from the registry, and syncs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from registry import Registry, Role, SyncPlan, SyncStep
from registry.errors import ProxyError, SettingsError
from registry.proxy.records import Reason

from pages.ui import adopting, syncing, tables
from pages.ui.feedback import plain
from pages.ui.session import require
from pages.ui.sitemap import PROXY
from pages.ui.words import STEP_REASONS, counted, effect

_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 10


def main() -> None:
    """Draw the page."""
    reg = require(PROXY)
    may_change = reg.actor is not None and reg.actor.role is Role.ADMIN
    is_configured = reg.proxy.is_configured
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Proxy", anchor=False, width="content")
        st.button("Refresh", icon=":material/refresh:", disabled=not is_configured, on_click=syncing.forget)
        wants_sync = may_change and st.button(
            "Sync now", type="primary", icon=":material/sync:", disabled=not is_configured
        )
    if wants_sync:
        syncing.run(reg)
    try:
        with st.spinner("Comparing with the proxy …", show_time=True):
            plan = reg.proxy.plan()
    except SettingsError as error:
        _unconfigured(error)
        return
    except ProxyError as error:
        st.error(plain(error.message), icon=":material/cloud_off:")
        st.caption("You can still change models; the proxy is brought up to date when it answers again.")
        return
    _summary(plan)
    syncing.outcome()
    if not plan.changes and plan.in_step == plan.models:
        foreign = counted(len(plan.steps), "entry there is", "entries there are")
        more = f" {foreign} not from this registry." if plan.steps else ""
        st.success(f"The proxy is in step with the registry.{more}", icon=":material/check_circle:")
    if plan.steps:
        _steps(reg, plan.steps, may_change=may_change)
    adopting.show()


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
    st.header("Not from this registry" if is_foreign else "Differences", anchor=False)
    bar = tables.bar()
    selected = _table(steps)
    with bar:
        if selected is None:
            tables.line(counted(len(steps), "entry", "entries") if is_foreign else counted(len(steps), "difference"))
            st.caption("Select a row to see its details and actions.", wrap=False)
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
        syncing.TABLE,
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
        syncing.run(reg, [step.alias])
        st.rerun()
    if step.adoptable:
        label, icon = ("Adopt", "move_down") if step.name else ("Remove", "delete")
        key = f"proxy_adopt_{_id(step)}"
        st.button(label, icon=f":material/{icon}:", key=key, on_click=adopting.ask, args=(step,))


main()
