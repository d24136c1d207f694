"""Tables whose rows are selected by the ids of what they show.

The browser knows rows by their numbers. So a table is named after the ids that it shows: where they are others it is
another table, and a number that the browser still sends for the one before never selects what stands there now.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui.feedback import plain
from pages.ui.words import shortened

_BAR, _TOOLBAR = 80, 120  # pixels
_NAME, _LINE = 60, 70  # characters
_NOTHING: dict[str, dict[str, list[Any]]] = {"selection": {"rows": [], "columns": [], "cells": []}}


class _Drawn(NamedTuple):
    """What a table showed when it was drawn last, and the rows that were selected in it at first."""

    key: str = "never"
    ids: Sequence[str] = ()
    rows: Sequence[int] = ()


def key_of(name: str, ids: Sequence[str]) -> str:
    """The key of a table that shows these, or of what belongs to it."""
    return f"{name}_{blake2b(chr(0).join(ids).encode(), digest_size=8).hexdigest()}"


def draw(
    name: str, ids: Sequence[str], data: Any, selection_mode: Literal["single-row", "multi-row"], **options: Any
) -> list[str]:
    """Draw a table and return the ids that are selected. They stay so while other rows come and go.

    Args:
        name: of the table, which no other on any page has.
        ids: what each row of the data shows, each once.
        options: for `st.dataframe`.
    """
    key, drawn = key_of(name, ids), _last(name)
    is_cleared = st.session_state.pop(_cleared(name), False)
    if key != drawn.key or key not in st.session_state:
        kept = () if is_cleared else _selected(drawn)
        drawn = _Drawn(key, ids, [number for number, id in enumerate(ids) if id in kept])
        st.session_state[f"{name}_drawn"] = drawn
        st.session_state.pop(key, None)
    elif is_cleared:
        st.session_state[key] = _NOTHING
    event: Any = st.dataframe(
        data,
        key=key,
        on_select="rerun",
        selection_mode=selection_mode,
        selection_default={"selection": {"rows": list(drawn.rows)}},
        **options,
    )
    return [ids[number] for number in event["selection"]["rows"] if number < len(ids)]


def clear(name: str) -> None:
    """Select nothing on the next run: what was selected has been dealt with."""
    st.session_state[_cleared(name)] = True


def bar() -> DeltaGenerator:
    """The place above a table for what is selected in it: a `line`, and below it `actions` or another line. It is as
    high whatever it holds, so that the table does not move under the pointer."""
    return st.container(height=_BAR, border=False, gap="xsmall")


def line(name: str, more: str = "") -> None:
    """Say what is selected, on one line; what does not fit can be read in full by pointing at it, or at its mark.

    Args:
        name: any text.
        more: Markdown.
    """
    rest = f" :small[· {more}]" if more else ""
    whole = f"**{plain(name)}**{rest}" if len(name) + len(more) > _LINE else None
    st.markdown(f"**{plain(shortened(name, _NAME))}**{rest}", wrap=False, help=whole)


def actions() -> DeltaGenerator:
    """A row of buttons, scrolled where the window is too narrow. It leaves room for the table's own buttons."""
    row = st.container(horizontal=True, wrap=False, gap="small")
    with row:
        inner = st.container(horizontal=True, wrap=False, gap="xsmall")
        st.space(_TOOLBAR)
    return inner


def _last(name: str) -> _Drawn:
    drawn: _Drawn = st.session_state.get(f"{name}_drawn", _Drawn())
    return drawn


def _selected(drawn: _Drawn) -> set[str]:
    """What is selected in a table, if the browser still shows it."""
    rows = st.session_state.get(drawn.key, _NOTHING)["selection"]["rows"]
    return {drawn.ids[number] for number in rows if number < len(drawn.ids)}


def _cleared(name: str) -> str:
    return f"{name}_cleared"
