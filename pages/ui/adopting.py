"""Adopts or removes a foreign entry of the LiteLLM proxy, after a confirmation."""

from __future__ import annotations

import streamlit as st
from registry import SyncStep

from pages.ui import tables
from pages.ui.feedback import errors_shown, flash, plain
from pages.ui.session import registry
from pages.ui.syncing import TABLE

_ADOPTING = "proxy_adopting"


def ask(step: SyncStep) -> None:
    """Have the next run ask whether to adopt or remove an entry of the proxy."""
    st.session_state[_ADOPTING] = step


def _end() -> None:
    st.session_state.pop(_ADOPTING, None)


def show() -> None:
    """Show the dialog that `ask` requested, if any."""
    if _ADOPTING in st.session_state:
        step: SyncStep = st.session_state[_ADOPTING]
        (_confirm_adoption if step.name else _confirm_removal)(step)


@st.dialog("Adopt entry", icon=":material/move_down:", on_dismiss=_end)
def _confirm_adoption(step: SyncStep) -> None:
    st.markdown(
        f"The entry on the proxy is replaced with that of **{plain(step.name)}**, with the parameters and the key "
        "that the registry holds."
    )
    _confirm(step, "Adopt", "adopted")


@st.dialog("Remove entry", icon=":material/delete:", on_dismiss=_end)
def _confirm_removal(step: SyncStep) -> None:
    st.markdown(f"No model of this registry is called **{plain(step.alias)}**: the entry is removed from the proxy.")
    _confirm(step, "Remove", "removed")


def _confirm(step: SyncStep, label: str, done: str) -> None:
    st.caption("This cannot be undone: only the proxy has the entry's key.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="proxy_cancel"):
            _end()
            st.rerun()
        if not st.button(label, type="primary", key="proxy_confirm"):
            return
    with errors_shown():
        registry().proxy.adopt(step.deletes[0])  # a new handle: the sign-in may have ended while the dialog was open
        _end()
        tables.clear(TABLE)
        flash(f"“{step.name or step.alias}” was {done}.")
        st.rerun()
