"""Syncs with the LiteLLM proxy: their progress and report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st
from registry import Registry, SyncReport
from registry.errors import RegistryError

from pages.ui import tables, waiting
from pages.ui.feedback import plain
from pages.ui.words import counted

TABLE = "proxy_steps"
"""The table of differences."""
_REPORT = "proxy_report"
_COMPARING = "Comparing with the proxy …"


def run(reg: Registry, only: Sequence[str] | None = None) -> None:
    """Sync all models, or only these aliases, and show the progress. `outcome` shows the report, on this run or the
    next. A click meanwhile ends the waiting, but not the sync."""
    progress = [0, 0]
    bar = st.progress(0.0, _COMPARING)

    def note(done: int, of: int) -> None:
        progress[:] = done, of

    def show() -> None:
        done, of = progress
        bar.progress(done / of if of else 0.0, f"{done:,} of {counted(of, 'change')} applied" if of else _COMPARING)

    try:
        st.session_state[_REPORT] = waiting.run(partial(reg.proxy.sync, only=only, progress=note), show)
    except RegistryError as error:
        st.session_state[_REPORT] = error.message
    bar.empty()
    tables.clear(TABLE)


def outcome() -> None:
    """Show what the last sync applied or could not apply."""
    found: SyncReport | str | None = st.session_state.get(_REPORT)
    if isinstance(found, str):
        st.error(plain(found), icon=":material/error:")
    elif found is not None and found.failed:
        lines = [
            f"- **{plain(failure.step.name or failure.step.alias)}**: {plain(failure.message)}"
            for failure in found.failed[:20]
        ]
        rest = len(found.failed) - len(lines)
        lines += [f"- … and {rest:,} more"] if rest else []
        st.warning("Not applied:\n" + "\n".join(lines), icon=":material/sync_problem:")
    elif found is not None:
        applied = counted(len(found.applied), "change")
        st.success(f"Synchronised: {applied} applied.", icon=":material/sync:")


def forget() -> None:
    """Discard the report."""
    st.session_state.pop(_REPORT, None)
