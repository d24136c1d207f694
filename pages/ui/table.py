"""The table of models: what its columns hold and how they look.

Built as an Arrow table: ten thousand rows take a few milliseconds, where a DataFrame with lists in it takes a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import streamlit as st
from registry.providers import provider_label
from registry.records import ModelSummary, Status

from pages.ui.actions import ACTIONS, Action, offered
from pages.ui.words import STATUS_COLORS, STATUSES, TYPES

KEY = "models_table"
MENU_KEY = "row_menu"
_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 14
_STATE = ("status", "api_key", "used_by")


def models_table(rows: Sequence[ModelSummary], on_menu: Callable[[], None]) -> int | None:
    """Draw the table and return the number of the row that is selected, or None."""
    event: Any = st.dataframe(
        _arrow(rows),
        key=KEY,
        height=_height(rows),
        row_height=_ROW_HEIGHT,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={**_columns(), "menu": _menu(on_menu)},
        alt="Registered models",
    )
    selected = event["selection"]["rows"]
    return selected[0] if selected and selected[0] < len(rows) else None


def read_only_table(rows: Sequence[ModelSummary], *, with_state: bool) -> None:
    """Draw the table for those who cannot do anything with its rows; ``with_state`` adds status, key and use."""
    hidden = ["menu"] if with_state else ["menu", *_STATE]
    st.dataframe(
        _arrow(rows).drop_columns(hidden),
        key=KEY,
        height=_height(rows),
        row_height=_ROW_HEIGHT,
        hide_index=True,
        column_config={name: column for name, column in _columns().items() if name not in hidden},
        alt="Registered models",
    )


def chosen_action(label: str) -> Action:
    """The action behind a label of the row menu."""
    return next(action for action in ACTIONS if action.menu_label == label)


def _arrow(rows: Sequence[ModelSummary]) -> pa.Table:
    text, words = pa.string(), pa.list_(pa.string())
    statuses = list(STATUSES)
    kinds = [(status, is_default) for status in Status for is_default in (False, True)]
    menus = pa.array([[action.menu_label for action in offered(*kind)] for kind in kinds], words)
    return pa.table(
        {
            "default": pa.array(["★" if row.is_default else "" for row in rows], text),
            "name": pa.array([row.name for row in rows], text),
            "type": pa.array([TYPES[row.type] for row in rows], text),  # type: ignore[index]  # a StrEnum is its text
            "provider": pa.array([provider_label(row.provider) for row in rows], text),
            "model_id": pa.array([row.model_id for row in rows], text),
            "status": pa.array([[STATUSES[status]] for status in statuses], words).take(
                pa.array([statuses.index(row.status) for row in rows], pa.int8())  # type: ignore[arg-type]  # as above
            ),
            "api_key": pa.array(["set" if row.has_api_key else "" for row in rows], text),
            "used_by": pa.array([row.used_by for row in rows], pa.int64()),
            "updated": pa.array([row.updated_at for row in rows], pa.timestamp("us", tz="UTC")),
            "menu": menus.take(
                pa.array([kinds.index((Status(row.status), row.is_default)) for row in rows], pa.int8())
            ),
        }
    )


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
        "status": column.MultiselectColumn(
            "Status", width=100, options=list(STATUSES.values()), color=[STATUS_COLORS[status] for status in STATUSES]
        ),
        "api_key": column.TextColumn("Key", width=45, help="Whether an API key is saved"),
        "used_by": column.NumberColumn("KBs", width=45, help="Knowledge bases that use the model"),
        "updated": column.DatetimeColumn("Updated", width=105, format="distance"),
    }


def _menu(on_menu: Callable[[], None]) -> Any:
    return st.column_config.ButtonColumn("", width=40, type="tertiary", key=MENU_KEY, on_click=on_menu)
