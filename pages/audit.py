"""The audit log: who changed what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pandas as pd
import streamlit as st
from registry import Registry
from registry.audit.records import AuditEntry

from pages.ui import tables
from pages.ui.feedback import plain
from pages.ui.filters import FIRST_DAY, LAST_DAY, Filters, one_of, some_day, some_text
from pages.ui.session import require
from pages.ui.sitemap import AUDIT
from pages.ui.words import ACTIONS, counted, field_label, outcome, shown

PAGE_SIZE = 50
MOST_NUMBERS = 10
SPANS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30), "year": timedelta(days=365)}
DATES = "dates"
TIMES = {
    "day": "Last 24 hours",
    "week": "Last 7 days",
    "month": "Last 30 days",
    "year": "Last 365 days",
    DATES: "Custom dates",
}
TABLE = "audit_table"
TRAIL = "audit_trail"


def main() -> None:
    """Draw the page."""
    reg = require(AUDIT)
    st.title("Audit log", anchor=False)
    wanted = _filters(reg)
    trail = _trail(wanted)
    page = reg.audit.find(**_conditions(wanted), limit=PAGE_SIZE, after=trail[-1])
    if page.unreadable:
        st.error(_unreadable(page.unreadable), icon=":material/report:")
    elif not page.entries:
        _empty(any(wanted.values()))
        return
    selected = _table(page.entries) if page.entries else []
    _pager(trail, page.next)
    for entry in selected:
        _details(entry)


def _filters(reg: Registry) -> dict[str, Any]:
    """The filters; they stand in the address, so that a view can be shared."""
    actors = reg.audit.actors()
    filters = Filters(
        AUDIT,
        action=one_of(ACTIONS),
        actor=one_of({actor: actor for actor in actors}),
        time=one_of(TIMES),
        target=some_text,
        search=some_text,
        **{"from": some_day, "to": some_day},
    )
    filters.begin()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Action",
            list(ACTIONS),
            index=None,
            format_func=ACTIONS.__getitem__,
            placeholder="Any action",
            key=filters.key("action"),
            width=160,
        )
        st.selectbox(
            "Actor",
            actors,
            index=None,
            placeholder="Anybody",
            key=filters.key("actor"),
            width=160,
        )
        span = st.selectbox(
            "Time",
            list(TIMES),
            index=None,
            format_func=TIMES.__getitem__,
            placeholder="Any time",
            key=filters.key("time"),
            width=150,
        )
        st.text_input(
            "Target", None, placeholder="Exact name or id", key=filters.key("target"), max_chars=255, width=160
        )
        st.text_input(
            "Search",
            None,
            type="search",
            placeholder="In names and values",
            icon=":material/search:",
            key=filters.key("search"),
            max_chars=255,
        )
    if span != DATES:
        return filters.end(without=("from", "to"))
    with st.container(horizontal=True):
        for name, label in (("from", "From (UTC)"), ("to", "To (UTC)")):
            st.date_input(label, None, FIRST_DAY, LAST_DAY, key=filters.key(name), width=190)
    wanted = filters.end()
    if wanted["from"] and wanted["to"] and wanted["from"] > wanted["to"]:
        st.warning("“From” lies after “To”: no entry can match.", icon=":material/event_busy:")
    return wanted


def _conditions(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The filters as the log takes them: both dates are included."""
    span, first, last = wanted["time"], wanted["from"], wanted["to"]
    since = datetime.now(UTC) - SPANS[span] if span in SPANS else first and datetime.combine(first, time(), UTC)
    until = last and datetime.combine(last + timedelta(days=1), time(), UTC)
    return {name: wanted[name] for name in ("action", "actor", "target", "search")} | {"since": since, "until": until}


def _trail(wanted: Mapping[str, Any]) -> list[int | None]:
    """Where the pages up to this one begin; other filters begin at the newest entry."""
    if TRAIL not in st.session_state or st.session_state[TRAIL][0] != wanted:
        st.session_state[TRAIL] = wanted, [None]
    trail: list[int | None] = st.session_state[TRAIL][1]
    return trail


def _unreadable(seqs: Sequence[int]) -> str:
    numbers = ", ".join(f"{seq:,}" for seq in seqs[:MOST_NUMBERS])
    more = f" and {len(seqs) - MOST_NUMBERS} more" if len(seqs) > MOST_NUMBERS else ""
    which = f"Entry {numbers} was" if len(seqs) == 1 else f"Entries {numbers}{more} were"
    advice = "Others may be altered, too: run `python -m registry verify`"
    return f"{which} altered in the database and cannot be shown. {advice}"


def _empty(is_filtered: bool) -> None:
    if is_filtered:
        st.info("No entry matches. Change the filters or the search.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has happened yet. Every change will be listed here.", icon=":material/history:")


def _table(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    st.caption("Select an entry to see every field, before and after.")
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
    selected = tables.draw(
        TABLE,
        [str(entry.seq) for entry in entries],
        frame,
        "single-row",
        height=36 * (min(len(entries), 9) + 1) + 2,
        row_height=36,
        hide_index=True,
        alt="Audit log, newest entry first",
        column_config={
            "at": column.DatetimeColumn("Time (UTC)", format="YYYY-MM-DD HH:mm:ss", width=160, timezone="UTC"),
            "actor": column.TextColumn("Actor", width=170),
            "action": column.TextColumn("Action", width=170),
            "target": column.TextColumn("Target", width=180),
            "changes": column.TextColumn("Changes", width="large"),
        },
    )
    return [entry for entry in entries if str(entry.seq) in selected]


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
        st.markdown(f"**{plain(ACTIONS.get(entry.action, entry.action))}** · {plain(entry.target_name)}")
        st.caption(
            f"Entry {entry.seq:,} · {entry.at:%Y-%m-%d %H:%M:%S} UTC · {plain(entry.actor)} "
            f"({plain(entry.actor_role)}, via {plain(entry.actor_via)}) · id {plain(entry.target_id)}"
        )
        if entry.changes:
            cells = [(field_label(c.field), shown(c.before), shown(c.after)) for c in entry.changes]
            frame = pd.DataFrame([map(plain, row) for row in cells], columns=["Field", "Before", "After"])
            st.table(frame, hide_index=True, alt="Fields that changed")
        for name, value in entry.context.items():
            if name == "knowledge_base_count" and _is_said(entry.context):
                continue
            st.caption(f"{plain(field_label(name))}: {plain(shown(value))}")


def _is_said(context: Mapping[str, Any]) -> bool:
    """Whether the names of all knowledge bases that are counted stand there as well."""
    names = context.get("knowledge_bases")
    return isinstance(names, list) and len(names) == context["knowledge_base_count"]


main()
