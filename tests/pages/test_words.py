"""The words of the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pages.ui.words import ago, duration, last_test
from registry import ModelSummary


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
