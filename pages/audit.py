"""The audit log: who changed what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import streamlit as st
from registry import Registry

from pages.ui import entries
from pages.ui.filters import FIRST_DAY, LAST_DAY, LONGEST_TEXT, Filters, one_of, some_day, some_text
from pages.ui.session import require
from pages.ui.sitemap import AUDIT
from pages.ui.words import ACTIONS

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
    selected = entries.table(page.entries) if page.entries else []
    _pager(trail, page.next)
    for entry in selected:
        entries.details(entry)


def _filters(reg: Registry) -> dict[str, Any]:
    """Draw the filters. The address keeps them, so a view can be shared."""
    actors = {actor: actor for actor in reg.audit.actors()}
    filters = Filters(
        AUDIT,
        action=one_of(ACTIONS),
        actor=one_of(actors),
        time=one_of(TIMES),
        target=some_text,
        search=some_text,
        **{"from": some_day, "to": some_day},
    )
    filters.begin()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        filters.choose("action", "Action", ACTIONS, any="Any action", width=160)
        filters.choose("actor", "Actor", actors, any="Any actor", width=160)
        span = filters.choose("time", "Time", TIMES, any="Any time", width=150)
        st.text_input(
            "Target",
            None,
            placeholder="Exact name or id",
            key=filters.key("target"),
            max_chars=LONGEST_TEXT,
            width=160,
        )
        filters.search("In names and values")
    if span != DATES:
        return filters.end(without=("from", "to"))
    with st.container(horizontal=True):
        for name, label in (("from", "From (UTC)"), ("to", "To (UTC)")):
            st.date_input(label, None, FIRST_DAY, LAST_DAY, key=filters.key(name), width=190)
    wanted = filters.end()
    if wanted["from"] and wanted["to"] and wanted["from"] > wanted["to"]:
        st.warning("“From” is after “To”, so no entry matches. Change one of them.", icon=":material/event_busy:")
    return wanted


def _conditions(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The filters as the log's arguments: both dates inclusive."""
    span, first, last = wanted["time"], wanted["from"], wanted["to"]
    since = datetime.now(UTC) - SPANS[span] if span in SPANS else first and datetime.combine(first, time(), UTC)
    until = last and datetime.combine(last + timedelta(days=1), time(), UTC)
    return {name: wanted[name] for name in ("action", "actor", "target", "search")} | {"since": since, "until": until}


def _trail(wanted: Mapping[str, Any]) -> list[int | None]:
    """The cursors of the pages up to this one; new filters begin with the newest."""
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


def _pager(trail: list[int | None], following: int | None) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Newer", icon=":material/chevron_left:", disabled=len(trail) == 1):
            trail.pop()
            st.rerun()
        if st.button("Older", icon=":material/chevron_right:", icon_position="right", disabled=following is None):
            trail.append(following)
            st.rerun()


main()
