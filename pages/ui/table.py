"""The table of models: what its columns hold and how they look.

Built as an Arrow table: ten thousand rows take a few milliseconds, where a DataFrame with lists in it takes a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import streamlit as st
from registry.providers import provider_label
from registry.records import ModelSummary, Status

from pages.ui.actions import ACTIONS, Action, offered
from pages.ui.words import PROXY_COLORS, STATUS_COLORS, STATUSES, TEST_COLORS, TESTS, TYPES, follows

KEY = "models_table"
MENU_KEY = "row_menu"
_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 14
_STATE = ("status", "api_key", "used_by", "test", "tested", "proxy")


def models_table(rows: Sequence[ModelSummary], on_menu: Callable[[], None], *, with_proxy: bool) -> list[ModelSummary]:
    """Draw the table and return the rows that are selected; ``with_proxy`` adds how the proxy follows."""
    hidden = [] if with_proxy else ["proxy"]
    event: Any = st.dataframe(
        _arrow(rows).drop_columns(hidden),
        key=KEY,
        height=_height(rows),
        row_height=_ROW_HEIGHT,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        column_config={**_shown(hidden), "menu": _menu(on_menu)},
        alt="Registered models",
    )
    return [rows[number] for number in event["selection"]["rows"] if number < len(rows)]


def read_only_table(rows: Sequence[ModelSummary], *, with_state: bool, with_proxy: bool) -> None:
    """Draw the table for those who cannot do anything with its rows.

    Args:
        with_state: adds status, key, use and tests.
        with_proxy: adds how the proxy follows, to those.
    """
    hidden = ["menu", *_STATE] if not with_state else ["menu"] if with_proxy else ["menu", "proxy"]
    st.dataframe(
        _arrow(rows).drop_columns(hidden),
        key=KEY,
        height=_height(rows),
        row_height=_ROW_HEIGHT,
        hide_index=True,
        column_config=_shown(hidden),
        alt="Registered models",
    )


def chosen_action(label: str) -> Action:
    """The action behind a label of the row menu."""
    return next(action for action in ACTIONS if action.menu_label == label)


def _arrow(rows: Sequence[ModelSummary]) -> pa.Table:
    text = pa.string()
    kinds = [(status, is_default) for status in Status for is_default in (False, True)]
    menus = pa.array([[action.menu_label for action in offered(*kind)] for kind in kinds], pa.list_(text))
    return pa.table(
        {
            "default": pa.array(["★" if row.is_default else "" for row in rows], text),
            "name": pa.array([row.name for row in rows], text),
            "type": pa.array([TYPES[row.type] for row in rows], text),  # type: ignore[index]  # a StrEnum is its text
            "provider": pa.array([provider_label(row.provider) for row in rows], text),
            "model_id": pa.array([row.model_id for row in rows], text),
            "status": _chips([STATUSES[row.status] for row in rows], STATUSES.values()),  # type: ignore[index]  # as above
            "test": _chips([TESTS.get(row.test_ok) for row in rows], TESTS.values()),  # type: ignore[arg-type]  # or None
            "tested": pa.array([row.test_at for row in rows], pa.timestamp("us", tz="UTC")),
            "proxy": _chips([follows(row) for row in rows], PROXY_COLORS),
            "api_key": pa.array(["set" if row.has_api_key else "" for row in rows], text),
            "used_by": pa.array([row.used_by for row in rows], pa.int64()),
            "updated": pa.array([row.updated_at for row in rows], pa.timestamp("us", tz="UTC")),
            "menu": menus.take(
                pa.array([kinds.index((Status(row.status), row.is_default)) for row in rows], pa.int8())
            ),
        }
    )


def _chips(words: Sequence[str | None], kinds: Iterable[str]) -> Any:
    """A column of words that are shown as chips; None shows nothing."""
    numbers = {word: number for number, word in enumerate(kinds)}
    chips = pa.array([[word] for word in numbers], pa.list_(pa.string()))
    return chips.take(pa.array([None if word is None else numbers[word] for word in words], pa.int8()))


def _shown(hidden: Sequence[str]) -> dict[str, Any]:
    return {name: column for name, column in _columns().items() if name not in hidden}


def _height(rows: Sequence[ModelSummary]) -> int:
    return _ROW_HEIGHT * (min(len(rows), _MOST_VISIBLE_ROWS) + 1) + 2


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "default": column.TextColumn("★", width=35, alignment="center", help="Default of its type"),
        "name": column.TextColumn("Name", width=190),
        "type": column.TextColumn("Type", width=90),
        "provider": column.TextColumn("Provider", width=130),
        "model_id": column.TextColumn("Model ID", width=180),
        "status": _chip("Status", 95, {STATUSES[status]: STATUS_COLORS[status] for status in STATUSES}),
        "test": _chip("Test", 70, {TESTS[ok]: TEST_COLORS[ok] for ok in TESTS}, "How the last connection test went"),
        "tested": column.DatetimeColumn("Tested", width=95, format="distance"),
        "proxy": _chip("Proxy", 75, PROXY_COLORS, "Whether the LiteLLM proxy serves the model as it is"),
        "api_key": column.TextColumn("Key", width=45, help="Whether an API key is saved"),
        "used_by": column.NumberColumn("KBs", width=45, help="Knowledge bases that use the model"),
        "updated": column.DatetimeColumn("Updated", width=105, format="distance"),
    }


def _chip(label: str, width: int, colors: Mapping[str, str], help: str | None = None) -> Any:
    return st.column_config.MultiselectColumn(
        label, width=width, options=list(colors), color=list(colors.values()), help=help
    )


def _menu(on_menu: Callable[[], None]) -> Any:
    return st.column_config.ButtonColumn("", width=40, type="tertiary", key=MENU_KEY, on_click=on_menu)
