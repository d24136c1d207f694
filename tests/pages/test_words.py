"""The words of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest

from pages.ui import words
from pages.ui.words import ago, duration, last_test
from registry import ModelSummary, ModelType, Status
from registry.audit.records import Action
from registry.proxy.records import Reason
from registry.records import Kind, Stage

TABLES = [
    (words.TYPES, ModelType),
    (words.TYPES_IN_TEXT, ModelType),
    (words.TYPE_HELP, ModelType),
    (words.STATUSES, Status),
    (words.STATUS_COLORS, Status),
    (words.STATUS_HELP, Status),
    (words.STAGES, Stage),
    (words.KINDS, Kind),
    (words.ACTIONS, Action),
    (words.STEP_REASONS, Reason),
]


@pytest.mark.parametrize(("table", "known"), TABLES, ids=lambda each: getattr(each, "__name__", ""))
def test_every_word_of_the_library_has_a_label(table: Mapping[str, str], known: type[StrEnum]) -> None:
    """In the order of the library, each another one: what is new there fails here, and not on the page."""
    assert list(known) == list(table)
    assert len(known) == len(set(table.values()))


@pytest.mark.parametrize(
    ("past", "said"),
    [
        ({"seconds": 5}, "just now"),
        ({"seconds": 70}, "1 minute ago"),
        ({"minutes": 59}, "59 minutes ago"),
        ({"minutes": 90}, "1 hour ago"),
        ({"hours": 23}, "23 hours ago"),
        ({"days": 2, "hours": 5}, "2 days ago"),
        ({"days": -1}, "just now"),
    ],
)
def test_how_long_ago(past: dict[str, float], said: str) -> None:
    """The largest unit that fits, counted; what lies ahead, by a clock that is wrong, is now."""
    assert said == ago(datetime.now(UTC) - timedelta(**past))


@pytest.mark.parametrize(
    ("ok", "past", "said"),
    [
        (None, {}, None),
        (True, {"seconds": 59}, "Works · now"),
        (False, {"minutes": 3}, "Fails · 3 min"),
        (True, {"hours": 30}, "Works · 1 d"),
        (False, {"hours": 2}, "Fails · 2 h"),
    ],
)
def test_the_last_test_in_short(ok: bool | None, past: dict[str, float], said: str | None) -> None:
    """How it went and how long ago, for a narrow column; nothing of a model that was never tested."""
    now = datetime.now(UTC)
    tested_at = None if ok is None else now - timedelta(**past)
    row = ModelSummary(
        id="id",
        name="Name",
        type="ner",
        provider="openai",
        model_id="m",
        status="active",
        is_default=False,
        has_api_key=True,
        used_by=0,
        updated_at=now,
        in_step=True,
        proxy_message="",
        test_ok=ok,
        test_message="",
        test_ms=1,
        test_at=tested_at,
    )
    assert said == last_test(row, now)


@pytest.mark.parametrize(("milliseconds", "said"), [(0, "0 ms"), (812, "812 ms"), (1000, "1.0 s"), (15_250, "15.2 s")])
def test_how_long_a_call_took(milliseconds: int, said: str) -> None:
    """Milliseconds up to a second, then seconds."""
    assert said == duration(milliseconds)
