"""Providers that answer what is hard to read: a test ends, in time and with a result, and holds no one up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from registry.catalog.egress import Policy
from registry.catalog.validation import parse_create
from registry.probe import probe, process
from registry.records import Kind, TestResult
from tests.integration.probe.test_probe import without_guard
from tests.support.providers import Answer, Provider, model_at

BODIES: dict[str, Callable[[int], str]] = {
    "spaces": lambda size: " " * size,
    "line breaks": lambda size: "\n" * size,
    "a model group after spaces": lambda size: " " * size + "LiteLLM: model group",
    "nearly a model group": lambda size: " LiteLLM: model grou" * (size // 20),
    "a fence of line breaks": lambda size: "```" + "\n" * size + "x```",
    "fences": lambda size: "```json\n" * (size // 8),
    "words": lambda size: "model deployment " * (size // 17),
    "errors of errors": lambda size: "xError: litellm.x: " * (size // 19),
    "errors of exceptions": lambda size: "AError: BException - " * (size // 21),
    "one long word": lambda size: "x" * size,
    "a deep list": lambda size: "[" * size,
    "a deep object": lambda size: '{"error":' * (size // 9),
    "a long number": lambda size: "1" * size,
    "a quoted text in a quoted text": lambda size: json.dumps('"' * (size // 2)),
    "tags": lambda size: "<html>" * (size // 6),
    "bytes that are no text": lambda size: "\x80\xff" * (size // 2),
    "many fields": lambda size: json.dumps({str(at): at for at in range(size // 16)}),
}
SIZES = (500_000, 4_000_000)  # more than is looked at, and more than is taken
STATUSES = (200, 400)
SPEAKERS = ("openai", "anthropic", "gemini", "cohere", "ollama")
ALL = bool(os.environ.get("HOSTILE_ANSWERS"))


def call(spec: dict[str, Any]) -> TestResult:
    return probe.run(parse_create(spec), None, None, Policy())


@pytest.mark.parametrize("body", BODIES)
def test_whatever_is_answered_there_is_a_result(server: Provider, body: str) -> None:
    """Of an error as of an answer, of each size; and it is short. Each body is sent to one provider's reader at each
    size and status, in turn; HOSTILE_ANSWERS sends it to all of them."""
    for turn, (size, status) in enumerate(product(SIZES, STATUSES), list(BODIES).index(body)):
        text = BODIES[body](size)
        server.answer = lambda _, text=text, status=status: Answer(status, text)
        chosen = SPEAKERS if ALL else (SPEAKERS[turn % len(SPEAKERS)],)
        with ThreadPoolExecutor(len(SPEAKERS)) as pool:
            results = list(pool.map(lambda speaker: call(model_at(server.url, speaker)), chosen))
        for result in results:
            assert (False, True) == (result.ok, result.kind in Kind)
            assert len(repr(result)) < 2_000


@pytest.mark.parametrize("body", BODIES)
def test_whatever_is_replied_there_is_a_result(server: Provider, body: str) -> None:
    """In a well-formed answer, as the text of the model: of a NER model, too, whose text is read as JSON."""
    for size in SIZES:
        server.text = BODIES[body](size)
        for kind in ("generation", "ner"):
            result = call(model_at(server.url, kind=kind))
            assert result.kind in {"ok", "invalid_json", "empty_reply", "bad_answer"}
            assert len(repr(result)) < 2_000


@pytest.mark.parametrize(
    ("name", "kind"), [("spinning", "unreadable"), ("devouring", "bad_answer"), ("dying", "timeout")]
)
def test_a_call_that_does_not_end_well_is_a_result(
    server: Provider, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """Where LiteLLM itself would hang, take all memory or crash on an answer."""
    monkeypatch.setattr(process, "_GRACE", 0.5)
    without_guard(monkeypatch, name)
    result = call(model_at(server.url, config={"timeout_seconds": 1}))
    assert (False, kind, "endpoint") == (result.ok, result.kind, result.stage)


@pytest.mark.parametrize(
    "found",
    [
        {"kind": "wrong_dimensions"},
        {"kind": "wrong_dimensions", "words": {"measured": "a", "configured": "b"}},
        {"kind": "ok", "words": {"kind": "x"}},
        {"kind": "ok", "words": {"more": "x" * 100_000}},
        {"kind": "ok", "details": {"preview": "x" * 100_000}},
        {"kind": "ok", "latency_ms": -1},
        {"kind": "nonsense"},
        {"kind": ["ok"]},
        [],
        None,
    ],
    ids=str,
)
def test_a_process_that_was_led_astray_gains_nothing(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    """Whatever it says of a call: there is a result, and it is short."""
    monkeypatch.setattr(probe._warm, "call", lambda *_: process.Said(("", found), is_whole=True))
    result = call(model_at("http://127.0.0.1:1"))
    assert (False, "unreadable") == (result.ok, result.kind)
    assert len(repr(result)) < 2_000
