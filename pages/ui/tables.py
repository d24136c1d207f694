"""Tables whose selection is kept by id.

The browser identifies rows by number. So a table's key depends on the ids that it shows: with other ids it is another
table, and a number that the browser still sends for the previous one never selects a wrong row.
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
    """The rows of a table when it was last drawn, and those selected in it at first."""

    key: str = "never"
    ids: Sequence[str] = ()
    rows: Sequence[int] = ()


def key_of(name: str, ids: Sequence[str]) -> str:
    """The key of a table of these ids, or of a part of it."""
    return f"{name}_{blake2b(chr(0).join(ids).encode(), digest_size=8).hexdigest()}"


def draw(
    name: str, ids: Sequence[str], data: Any, selection_mode: Literal["single-row", "multi-row"], **options: Any
) -> list[str]:
    """Draw a table and return the selected ids. They stay selected while other rows come and go.

    Args:
        name: the table's name, unique among all pages.
        ids: the unique id of each row of the data.
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
    """Select nothing on the next run: the selected rows have been handled."""
    st.session_state[_cleared(name)] = True


def bar() -> DeltaGenerator:
    """The bar above a table for its selection: a `line`, and below it `actions` or another line. Its height is fixed:
    the table does not move under the pointer."""
    return st.container(height=_BAR, border=False, gap="xsmall")


def line(name: str, more: str = "") -> None:
    """Show what is selected, on one line. One that does not fit is shown in full on hover, or at its help icon.

    Args:
        name: any text.
        more: Markdown.
    """
    rest = f" :small[· {more}]" if more else ""
    whole = f"**{plain(name)}**{rest}" if len(name) + len(more) > _LINE else None
    st.markdown(f"**{plain(shortened(name, _NAME))}**{rest}", wrap=False, help=whole)


def actions() -> DeltaGenerator:
    """A row of buttons, scrolled if the window is too narrow. It leaves room for the table's own buttons."""
    row = st.container(horizontal=True, wrap=False, gap="small")
    with row:
        inner = st.container(horizontal=True, wrap=False, gap="xsmall")
        st.space(_TOOLBAR)
    return inner


def _last(name: str) -> _Drawn:
    drawn: _Drawn = st.session_state.get(f"{name}_drawn", _Drawn())
    return drawn


def _selected(drawn: _Drawn) -> set[str]:
    """The ids selected in a table, if the browser still shows it."""
    rows = st.session_state.get(drawn.key, _NOTHING)["selection"]["rows"]
    return {drawn.ids[number] for number in rows if number < len(drawn.ids)}


def _cleared(name: str) -> str:
    return f"{name}_cleared"
