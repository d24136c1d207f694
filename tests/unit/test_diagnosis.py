"""Reading what providers say takes time in proportion to it, whatever it is."""

from __future__ import annotations

import gc
import json
import math
import re
import time
from collections.abc import Callable

import pytest

from registry.probe import diagnosis, litellm_call, scrub
from tests.integration.probe.test_hostile_answers import BODIES

SIZE = 8_000
TRIES = 5
SQUARE, LINEAR = 64, 8
READERS: dict[str, Callable[[str], object]] = {
    "the kind": lambda text: diagnosis.kind_of_answer(400, text),
    "the kind by the proxy": lambda text: diagnosis.kind_from_proxy(400, "litellm." + text),
    "a cool-down": lambda text: diagnosis.is_cooling_down(429, text),
    "the words": diagnosis.words,
    "whether it is JSON": litellm_call._is_json,
    "what is shown": lambda text: scrub.scrub(text, []),
}


def growth(read: Callable[[str], object], body: Callable[[int], str]) -> float:
    """How much longer eight times as much takes, at the least: whatever else goes on can only add to a time."""
    short, long = body(SIZE), body(8 * SIZE)
    gc.disable()  # it goes through all that the other tests left
    try:
        times = [(_took(read, short), _took(read, long)) for _ in range(TRIES)]
    finally:
        gc.enable()
    return min(each for _, each in times) / max(min(each for each, _ in times), 1e-4)


def _took(read: Callable[[str], object], text: str) -> float:
    begun = time.process_time()
    read(text)
    return time.process_time() - begun


def is_linear(read: Callable[[str], object], body: Callable[[int], str]) -> bool:
    """Whether it grows less than half-way to a square in one of several goes: a square never does."""
    return any(growth(read, body) < math.sqrt(SQUARE * LINEAR) for _ in range(TRIES))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("reader", READERS)
def test_reading_takes_time_in_proportion(reader: str, body: str) -> None:
    """Eight times as much takes about eight times as long, where a square would be sixty-four."""
    assert is_linear(READERS[reader], BODIES[body])


def test_control_a_square_is_seen() -> None:
    """The control: an expression that begins again at each space."""
    pattern = re.compile(r"\s*x")
    assert not is_linear(pattern.search, lambda size: " " * (size // 16))


def test_an_answer_is_shown_without_what_litellm_puts_around_it() -> None:
    """Also where it is put around more than once."""
    said = 'litellm.BadRequestError: OpenAIException - {"error": {"message": "No."}} \n LiteLLM: model group x'
    assert ["No.", "No.", "No", ""] == [
        diagnosis.words(text)
        for text in (said, json.dumps({"error": said}), "litellm.APIError: No", "LiteLLM: model group x")
    ]
