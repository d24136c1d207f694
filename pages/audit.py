"""The audit log: who changed what, and when."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pandas as pd
import streamlit as st
from registry import Registry, Role
from registry.records import AuditEntry

from pages.ui.feedback import plain
from pages.ui.session import require
from pages.ui.words import ACTIONS, counted, field_label, outcome, shown

PAGE_SIZE = 50
SPANS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30), "year": timedelta(days=365)}
SPAN_LABELS = {"day": "Last 24 hours", "week": "Last 7 days", "month": "Last 30 days", "year": "Last 365 days"}
CUSTOM = "dates"
TRAIL = "audit_trail"


def main() -> None:
    """Draw the page."""
    reg = require(Role.AUDITOR)
    st.title("Audit log", anchor=False)
    wanted = _filters(reg)
    trail: list[int | None] = st.session_state.setdefault(TRAIL, [None])
    page = reg.audit.find(**wanted, limit=PAGE_SIZE, after=trail[-1])
    if not page.entries:
        _empty(any(wanted.values()))
        return
    selected = _table(page.entries)
    _pager(trail, page.next)
    if selected is not None:
        _details(selected)
    else:
        st.caption("Select an entry to see every field, before and after.")


def _filters(reg: Registry) -> dict[str, Any]:
    """The filters; they stand in the address, so that a view can be shared."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        action = st.selectbox(
            "Action",
            list(ACTIONS),
            index=None,
            format_func=ACTIONS.__getitem__,
            placeholder="Any action",
            key="action",
            bind="query-params",
            width=160,
            on_change=_from_the_start,
        )
        actor = st.selectbox(
            "Actor",
            reg.audit.actors(),
            index=None,
            placeholder="Anybody",
            key="actor",
            bind="query-params",
            width=160,
            on_change=_from_the_start,
        )
        span = st.selectbox(
            "Time",
            [*SPANS, CUSTOM],
            index=None,
            format_func=lambda id: SPAN_LABELS.get(id, "Between two dates"),
            placeholder="Any time",
            key="time",
            bind="query-params",
            width=150,
            on_change=_from_the_start,
        )
        target = st.text_input(
            "Target",
            placeholder="Exact name or id",
            key="target",
            bind="query-params",
            max_chars=255,
            width=160,
            on_change=_from_the_start,
        )
        search = st.text_input(
            "Search",
            type="search",
            placeholder="In names and values",
            icon=":material/search:",
            key="search",
            bind="query-params",
            max_chars=255,
            on_change=_from_the_start,
        )
    since, until = _between() if span == CUSTOM else (_since(span), None)
    return {"action": action, "actor": actor, "target": target, "search": search, "since": since, "until": until}


def _since(span: str | None) -> datetime | None:
    return datetime.now(UTC) - SPANS[span] if span else None


def _between() -> tuple[datetime | None, datetime | None]:
    today = datetime.now(UTC).date()
    chosen = st.date_input(
        "Between (UTC)", (today - timedelta(days=7), today), key="dates", on_change=_from_the_start, width=260
    )
    if len(chosen) < 2:
        return None, None
    first, last = chosen
    return datetime.combine(first, time(), UTC), datetime.combine(last + timedelta(days=1), time(), UTC)


def _from_the_start() -> None:
    st.session_state[TRAIL] = [None]


def _empty(is_filtered: bool) -> None:
    if is_filtered:
        st.info("No entry matches. Change the filters or the search.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has happened yet. Every change will be listed here.", icon=":material/history:")


def _table(entries: tuple[AuditEntry, ...]) -> AuditEntry | None:
    frame = pd.DataFrame(
        {
            "at": [entry.at for entry in entries],
            "actor": [entry.actor for entry in entries],
            "action": [ACTIONS.get(entry.action, entry.action) for entry in entries],
            "target": [entry.target_name for entry in entries],
            "changes": [_summary(entry) for entry in entries],
        }
    )
    column = st.column_config
    event: Any = st.dataframe(
        frame,
        key=f"audit_{entries[0].seq}",
        height=36 * (min(len(entries), 9) + 1) + 2,
        row_height=36,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        alt="Audit log, newest entry first",
        column_config={
            "at": column.DatetimeColumn("Time (UTC)", format="YYYY-MM-DD HH:mm:ss", width=160, timezone="UTC"),
            "actor": column.TextColumn("Actor", width=170),
            "action": column.TextColumn("Action", width=170),
            "target": column.TextColumn("Target", width=180),
            "changes": column.TextColumn("Changes", width="large"),
        },
    )
    rows = event["selection"]["rows"]
    return entries[rows[0]] if rows and rows[0] < len(entries) else None


def _summary(entry: AuditEntry) -> str:
    if entry.action.endswith((":create", ":delete")):
        return counted(len(entry.changes), "field")
    if entry.action == "model:test":
        return outcome(entry.context)
    changes = [f"{field_label(c.field)}: {shown(c.before)} → {shown(c.after)}" for c in entry.changes]
    return "; ".join(changes or [f"{field_label(name)}: {shown(value)}" for name, value in entry.context.items()])


def _pager(trail: list[int | None], following: int | None) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Newer", icon=":material/chevron_left:", disabled=len(trail) == 1):
            trail.pop()
            st.rerun()
        if st.button("Older", icon=":material/chevron_right:", icon_position="right", disabled=following is None):
            trail.append(following)
            st.rerun()


def _details(entry: AuditEntry) -> None:
    with st.container(border=True):
        st.markdown(f"**{ACTIONS.get(entry.action, entry.action)}** · {plain(entry.target_name)}")
        st.caption(
            f"Entry {entry.seq:,} · {entry.at:%Y-%m-%d %H:%M:%S} UTC · {plain(entry.actor)} "
            f"({entry.actor_role}, via {plain(entry.actor_via)}) · id {plain(entry.target_id)}"
        )
        if entry.changes:
            rows = [(field_label(c.field), plain(shown(c.before)), plain(shown(c.after))) for c in entry.changes]
            st.table(
                pd.DataFrame(rows, columns=["Field", "Before", "After"]), hide_index=True, alt="Fields that changed"
            )
        for name, value in entry.context.items():
            if name == "knowledge_base_count" and value == len(entry.context.get("knowledge_bases", ())):
                continue
            st.caption(f"{plain(field_label(name))}: {plain(shown(value))}")


main()
