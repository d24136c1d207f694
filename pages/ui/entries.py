"""Entries of the audit log: their table, and the details of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st
from registry.audit.records import Action, AuditEntry

from pages.ui import tables
from pages.ui.feedback import plain
from pages.ui.words import ACTIONS, counted, field_label, outcome, shown

TABLE = "audit_table"


def table(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Draw the table and return the selected entries."""
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
    if entry.action in (Action.MODEL_CREATE, Action.MODEL_DELETE):
        return counted(len(entry.changes), "field")
    if entry.action == Action.MODEL_TEST:
        return outcome(entry.context)
    changes = [f"{field_label(c.field)}: {shown(c.before)} → {shown(c.after)}" for c in entry.changes]
    return "; ".join(changes or [f"{field_label(name)}: {shown(value)}" for name, value in entry.context.items()])


def details(entry: AuditEntry) -> None:
    """Draw all fields of an entry."""
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
            if name == "knowledge_base_count" and _is_listed(entry.context):
                continue
            st.caption(f"{plain(field_label(name))}: {plain(shown(value))}")


def _is_listed(context: Mapping[str, Any]) -> bool:
    """Whether the context lists the name of every knowledge base that it counts."""
    names = context.get("knowledge_bases")
    return isinstance(names, list) and len(names) == context["knowledge_base_count"]
