"""The pending action on a model of the list: kept in the session, carried out by the next run, then discarded."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from registry.records import KnowledgeBase

from pages.ui import tables
from pages.ui.feedback import flash_saved, plain
from pages.ui.listing.actions import RowAction
from pages.ui.listing.table import TABLE

INTENT = "models_intent"
RESULT = "models_test_result"


def start(action: RowAction, id: str) -> None:
    """Request an action on a model; `dialogs.show` runs it."""
    end()
    st.session_state[INTENT] = (action.id, id)


def end() -> None:
    """Discard the action."""
    st.session_state.pop(INTENT, None)
    st.session_state.pop(RESULT, None)


def done(message: str, proxy_message: str = "") -> None:
    """Report a change that was made, and clear the selection: its action is done."""
    end()
    tables.clear(TABLE)
    flash_saved(message, proxy_message)
    st.rerun()


def names(users: Sequence[KnowledgeBase], most: int = 12) -> None:
    """List the knowledge bases of a dialog."""
    lines = [f"- {plain(base.name)}" for base in users[:most]]
    rest = len(users) - most
    st.markdown("\n".join([*lines, f"- … and {rest:,} more"] if rest > 0 else lines))


def buttons() -> st.delta_generator.DeltaGenerator:
    """The row of a dialog's buttons."""
    return st.container(horizontal=True, horizontal_alignment="right")
