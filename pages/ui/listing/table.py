"""The table of models: its columns and their style.

Built as an Arrow table: ten thousand rows take a few milliseconds; a DataFrame with lists takes a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import streamlit as st
from registry.catalog.providers import provider_label
from registry.records import ModelSummary, Status

from pages.ui import tables
from pages.ui.listing.actions import ROW_ACTIONS, RowAction, offered
from pages.ui.words import (
    PROXY_COLORS,
    STATE_COLORS,
    TEST_COLORS,
    TESTS,
    TYPES,
    UNREADABLE,
    last_test,
    proxy_state,
    state,
)

TABLE = "models_table"
_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 14
_ROOM = 909  # pixels for all columns but the menu, in a window of 1360; the name takes the rest
_LONGEST_NAME = 300
_STATE = ("status", "api_key", "used_by", "test", "proxy")


def models_table(
    rows: Sequence[ModelSummary], on_menu: Callable[[RowAction, str], None] | None, *, with_proxy: bool
) -> list[ModelSummary]:
    """Draw the table and return the selected rows.

    Args:
        on_menu: called with the action chosen in a row's menu and the id of its model; if None, rows have no menu.
        with_proxy: adds the column Proxy.
    """
    ids = [row.id for row in rows]
    left_out = [*([] if on_menu else ["menu"]), *([] if with_proxy else ["proxy"])]
    columns = {"menu": _menu(ids, on_menu)} if on_menu else {}
    selected = tables.draw(TABLE, ids, selection_mode="multi-row", **_options(rows, left_out, columns))
    return [row for row in rows if row.id in selected]


def offered_table(rows: Sequence[ModelSummary]) -> None:
    """Draw the table for viewers, who see no state of the models."""
    st.dataframe(key=f"{TABLE}_offered", **_options(rows, ["menu", *_STATE], {}))


def _menu(ids: Sequence[str], on_menu: Callable[[RowAction, str], None]) -> Any:
    """The column of the rows' menus. A choice applies to the model drawn in that row."""
    key = tables.key_of("models_menu", ids)

    def choose() -> None:
        choice = st.session_state[key]
        on_menu(chosen_action(choice.label), ids[choice.row])

    return st.column_config.ButtonColumn("", width=36, type="tertiary", key=key, on_click=choose)


def chosen_action(label: str) -> RowAction:
    """The action of a label in the row menu."""
    return next(action for action in ROW_ACTIONS if action.menu_label == label)


def _arrow(rows: Sequence[ModelSummary], tests: Sequence[str | None]) -> pa.Table:
    text = pa.string()
    kinds: list[tuple[Any, ...]] = [(status, is_default) for status in Status for is_default in (False, True)]
    kinds.append((UNREADABLE, False, False))
    menus = pa.array([[action.menu_label for action in offered(*kind)] for kind in kinds], pa.list_(text))
    return pa.table(
        {
            "default": pa.array(["★" if row.is_default else "" for row in rows], text),
            "name": pa.array([row.name for row in rows], text),
            "type": pa.array([TYPES.get(row.type, row.type) for row in rows], text),  # type: ignore[call-overload]  # a StrEnum is its text
            "provider": pa.array([provider_label(row.provider) for row in rows], text),
            "model_id": pa.array([row.model_id for row in rows], text),
            "status": _chips([state(row) for row in rows], STATE_COLORS),
            "test": _chips(tests, dict.fromkeys(filter(None, tests))),
            "proxy": _chips([proxy_state(row) for row in rows], PROXY_COLORS),
            "api_key": pa.array(["set" if row.has_api_key else "" for row in rows], text),
            "used_by": pa.array([row.used_by for row in rows], pa.int64()),
            "updated": pa.array([row.updated_at for row in rows], pa.timestamp("us", tz="UTC")),
            "menu": menus.take(pa.array([kinds.index(_kind(row)) for row in rows], pa.int8())),
        }
    )


def _kind(row: ModelSummary) -> tuple[Any, ...]:
    return (row.status, row.is_default) if row.is_readable else (UNREADABLE, False, False)


def _chips(words: Sequence[str | None], kinds: Iterable[str]) -> Any:
    """A column of words shown as chips; None shows nothing."""
    numbers = {word: number for number, word in enumerate(kinds)}
    chips = pa.array([[word] for word in numbers], pa.list_(pa.string()))
    return chips.take(pa.array([None if word is None else numbers[word] for word in words], pa.int32()))


def _options(rows: Sequence[ModelSummary], left_out: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    tests = [last_test(row, now) for row in rows]
    columns = {name: column for name, column in _columns(tests).items() if name not in left_out}
    taken = sum(column["width"] for column in columns.values())
    columns["name"] = st.column_config.TextColumn("Name", width=min(_ROOM - taken, _LONGEST_NAME))
    return {
        "data": _arrow(rows, tests).drop_columns(left_out),
        "height": _height(rows),
        "row_height": _ROW_HEIGHT,
        "hide_index": True,
        "placeholder": "",
        "column_config": {**columns, **more},
        "alt": "Registered models",
    }


def _height(rows: Sequence[ModelSummary]) -> int:
    return _ROW_HEIGHT * (min(len(rows), _MOST_VISIBLE_ROWS) + 1) + 2


def _columns(tests: Sequence[str | None]) -> dict[str, Any]:
    column = st.column_config
    colors = {text: TEST_COLORS[text.startswith(TESTS[True])] for text in tests if text}
    return {
        "default": column.TextColumn("★", width=32, alignment="center", help="Default of its type"),
        "type": column.TextColumn("Type", width=84),
        "provider": column.TextColumn("Provider", width=84),
        "model_id": column.TextColumn("Model ID", width=116),
        "status": _chip("Status", 93, STATE_COLORS),
        "test": _chip("Test", 102, colors, "Result and age of the last connection test"),
        "proxy": _chip("Proxy", 76, PROXY_COLORS, "Whether the LiteLLM proxy serves the current version"),
        "api_key": column.TextColumn("Key", width=38, help="Whether an API key is saved"),
        "used_by": column.NumberColumn("KBs", width=40, help="Knowledge bases that use the model"),
        "updated": column.DatetimeColumn("Updated", width=100, format="distance"),
    }


def _chip(label: str, width: int, colors: Mapping[str, str], help: str | None = None) -> Any:
    return st.column_config.MultiselectColumn(
        label, width=width, options=list(colors), color=list(colors.values()), help=help
    )
