"""The filters of a page, kept in its address, so that a filtered view can be shared as a link.

The address holds ids under short names. Reading it accepts ids and labels, in any case, and removes unknown values.
Streamlit's own binding to widgets is not used: it would put their keys and labels into the address.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.ui.feedback import typed
from pages.ui.sitemap import Page

LONGEST_TEXT = 255  # characters
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
Reader = Callable[[str], Any]
"""Parses a value of the address. For an empty one it returns the value without a filter."""


class Filters:
    """The filters of one page: ``begin``, draw each under its ``key``, ``end``.

    The session remembers the last filters while other pages are open.
    """

    def __init__(self, page: Page, **readers: Reader) -> None:
        self._page = page
        self._readers = readers

    def key(self, name: str) -> str:
        """The key of a filter's widget."""
        return f"{self._page.path}_{name}"

    def choose(self, name: str, label: str, options: Mapping[Any, str], *, any: str, width: int) -> Any:
        """Draw a select box of these labels; ``any`` is its placeholder."""
        return st.selectbox(
            label,
            list(options),
            index=None,
            format_func=options.__getitem__,
            placeholder=any,
            key=self.key(name),
            width=width,
        )

    def search(self, hint: str) -> None:
        """Draw the search field, which takes the rest of the row."""
        st.text_input(
            "Search",
            None,
            type="search",
            placeholder=hint,
            icon=":material/search:",
            key=self.key("search"),
            max_chars=LONGEST_TEXT,
        )

    def begin(self) -> None:
        """Set the widgets from a new address: the page was opened, or Back or Forward pressed. An address without a
        filter, such as the menu's, restores the remembered filters."""
        found = {name: read(st.query_params.get(name, "")) for name, read in self._readers.items()}
        is_plain = not self._filtered(found)
        if open_key(self._page) not in st.session_state:
            left = st.session_state.get(_memory(self._page), {}) if is_plain else {}
            st.session_state[open_key(self._page)] = bool(left)
            self._set(found | left)
        elif _is_history_navigation() and not (is_plain and st.session_state[open_key(self._page)]):
            self._set(found)

    def end(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """The value of each filter, None if it filters nothing; `show` puts them into the address.

        Args:
            without: filters that are not drawn.
        """
        names = [name for name in self._readers if name not in without]
        values = {name: st.session_state.get(self.key(name)) for name in names}
        filtered = self._filtered(
            {name: self._readers[name](value) if isinstance(value, str) else value for name, value in values.items()}
        )
        st.session_state[_memory(self._page)] = filtered
        return {name: filtered.get(name) for name in self._readers}

    def _filtered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value and value != self._readers[name]("")}

    def _set(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            st.session_state[self.key(name)] = value


def remembered_address(page: Page) -> dict[str, str]:
    """The query of a page's address: its current or last filters."""
    return {name: str(value) for name, value in st.session_state.get(_memory(page), {}).items()}


def show(page: Page) -> None:
    """Put the filters into the page's address, and nothing else.

    Call it last: earlier, the browser may record it under the path of the previous page.
    """
    address = remembered_address(page)
    if open_key(page) in st.session_state and address != st.query_params.to_dict():
        st.query_params.from_dict(address)


def open_key(page: Page) -> str:
    """The session key that exists while a page is open: whether remembered filters were restored. Without it, the
    next address counts as new."""
    return f"{page.path}_open"


def one_of(labels: Mapping[Any, str], default: Any = None) -> Reader:
    """A reader of an option's id or label, in any case."""
    exact = {str(id): id for id in labels}
    known = {text.strip().casefold(): id for id, label in labels.items() for text in (label, str(id))}
    return lambda text: exact.get(text) or known.get(text.strip().casefold(), default)


def some_text(text: str) -> str | None:
    """Read a search text."""
    return typed(text).strip()[:LONGEST_TEXT] or None


def some_day(text: str) -> date | None:
    """Read a date such as ``2026-05-31``."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


def _memory(page: Page) -> str:
    return f"{page.path}_filters"


def _is_history_navigation() -> bool:
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation
