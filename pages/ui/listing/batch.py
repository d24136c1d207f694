"""Tests several models, four at a time, and shows each result as it arrives; any other click stops it.

It runs within one run of the page, which Streamlit stops at the next click; the results so far are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import streamlit as st
from registry.errors import RegistryError
from registry.records import ModelSummary, TestResult

from pages.ui import waiting
from pages.ui.session import registry
from pages.ui.words import TEST_COLORS, TESTS, counted, duration

AT_ONCE = 4
_KEY = "batch"
_ROW_HEIGHT = 36
_MOST_VISIBLE_ROWS = 12


@dataclass(frozen=True, slots=True)
class _Outcome:
    ok: bool
    message: str
    milliseconds: int = 0


@dataclass
class Batch:
    """The models to test, by id, and the results so far."""

    names: Mapping[str, str]
    outcomes: dict[str, _Outcome] = field(default_factory=dict)
    is_wanted: bool = True

    @property
    def left(self) -> list[str]:
        """The ids of models without a result."""
        return [id for id in self.names if id not in self.outcomes]


def start(rows: Sequence[ModelSummary]) -> None:
    """Request a test of these models; `draw` runs it."""
    st.session_state[_KEY] = Batch({row.id: row.name for row in rows})


def is_open() -> bool:
    """Whether there is a test of several models to draw."""
    return _KEY in st.session_state


def draw() -> None:
    """Run the requested test, or show its results."""
    batch: Batch = st.session_state[_KEY]
    is_wanted, batch.is_wanted = batch.is_wanted, False
    if is_wanted:
        st.empty()  # replaces what the previous run drew, which would stay visible until this run ends
    with st.container(border=True):
        if is_wanted:
            _run(batch)
        else:
            _summary(batch)


def _close() -> None:
    del st.session_state[_KEY]


def _resume(batch: Batch) -> None:
    batch.is_wanted = True


def _run(batch: Batch) -> None:
    total = len(batch.names)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(f"Testing {counted(total, 'model')}", anchor=False, width="content")
        note = "Calls that have started still run to their end."
        st.button("Stop", icon=":material/stop_circle:", key="models_stop_batch", help=note)
    bar, results = st.progress(0.0), st.empty()
    with results:
        _results(batch, list(batch.outcomes))
    # a new handle for each test: none runs after the sign-in has ended
    tests = ((id, partial(registry().models.test, id)) for id in batch.left)
    for ended in waiting.each(tests, AT_ONCE):
        if ended:
            batch.outcomes |= {id: _outcome(future) for id, future in ended.items()}
            with results:
                _results(batch, list(batch.outcomes))
        done = len(batch.outcomes)
        bar.progress(done / total, f"{done:,} of {total:,} tested")
    st.rerun()


def _outcome(future: Future[TestResult]) -> _Outcome:
    try:
        result = future.result()
    except RegistryError as error:
        return _Outcome(False, error.message)
    return _Outcome(result.ok, result.message, result.latency_ms)


def _summary(batch: Batch) -> None:
    failed = [id for id, outcome in batch.outcomes.items() if not outcome.ok]
    worked = [id for id, outcome in batch.outcomes.items() if outcome.ok]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(_headline(batch, len(worked), len(failed)), anchor=False, width="content")
        if batch.left:
            label = f"Test the other {len(batch.left):,}"
            st.button(label, icon=":material/play_circle:", on_click=_resume, args=(batch,), key="models_go_on")
        st.button("Close", on_click=_close, key="models_close_batch")
    _results(batch, [*failed, *worked])


def _headline(batch: Batch, worked: int, failed: int) -> str:
    if batch.left:
        return f"Stopped: {len(batch.outcomes):,} of {counted(len(batch.names), 'model')} tested, {failed:,} failed"
    return f"{worked:,} of {counted(len(batch.names), 'model')} work" if failed else f"All {worked:,} models work"


def _results(batch: Batch, ids: Sequence[str]) -> None:
    """Draw a table, which the keyboard can reach and scroll."""
    outcomes = [batch.outcomes[id] for id in ids]
    column = st.column_config
    colors = {TESTS[ok]: TEST_COLORS[ok] for ok in TESTS}
    st.dataframe(
        pd.DataFrame(
            {
                "result": [[TESTS[outcome.ok]] for outcome in outcomes],
                "model": [batch.names[id] for id in ids],
                "took": [duration(outcome.milliseconds) if outcome.milliseconds else "" for outcome in outcomes],
                "message": [outcome.message for outcome in outcomes],
            }
        ),
        height=_ROW_HEIGHT * (min(len(batch.names), _MOST_VISIBLE_ROWS) + 1) + 2,
        row_height=_ROW_HEIGHT,
        hide_index=True,
        alt="Results of the connection tests",
        column_config={
            "result": column.MultiselectColumn("Result", width=80, options=list(colors), color=list(colors.values())),
            "model": column.TextColumn("Model", width=220),
            "took": column.TextColumn("Took", width=70),
            "message": column.TextColumn("Message", width=560),
        },
    )
