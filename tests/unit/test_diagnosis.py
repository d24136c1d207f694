"""Reading what providers say takes time in proportion to it, whatever it is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from registry import diagnosis, litellm_call, scrub
from tests.integration.test_hostile_answers import BODIES

SIZE = 8_000
READERS: dict[str, Callable[[str], object]] = {
    "the kind": lambda text: diagnosis.kind_of_answer(400, text),
    "the kind by the proxy": lambda text: diagnosis.kind_from_proxy(400, "litellm." + text),
    "a cool-down": lambda text: diagnosis.is_cooling_down(429, text),
    "the words": diagnosis.words,
    "whether it is JSON": litellm_call._is_json,
    "what is shown": lambda text: scrub.scrub(text, []),
}


def growth(read: Callable[[str], object], body: Callable[[int], str]) -> float:
    """How much longer eight times as much takes: the least of several tries, since other things go on as well."""

    def took(size: int) -> float:
        text, times = body(size), []
        for _ in range(3):
            begun = time.process_time()
            read(text)
            times.append(time.process_time() - begun)
        return min(times)

    return took(8 * SIZE) / max(took(SIZE), 1e-4)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("reader", READERS)
def test_reading_takes_time_in_proportion(reader: str, body: str) -> None:
    """Eight times as much takes about eight times as long, where a square would be sixty-four."""
    assert growth(READERS[reader], BODIES[body]) < 24


def test_control_a_square_is_seen() -> None:
    """The control: an expression that begins anew at each space."""
    pattern = re.compile(r"\s*x")
    assert growth(pattern.search, lambda size: " " * (size // 4)) > 24


def test_an_answer_is_shown_without_what_litellm_puts_around_it() -> None:
    """Also where it is put around more than once."""
    said = 'litellm.BadRequestError: OpenAIException - {"error": {"message": "No."}} \n LiteLLM: model group x'
    assert ["No.", "No.", "No", ""] == [
        diagnosis.words(text)
        for text in (said, json.dumps({"error": said}), "litellm.APIError: No", "LiteLLM: model group x")
    ]
