"""Calls as a connection test makes them, each without one of its guards: what positive controls let a test make."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import httpx

from registry.probe import litellm_call, process, transport
from registry.probe.process import Say

Argument = dict[str, Any]


def with_any_header(argument: Argument, say: Say) -> None:
    """Headers are let through whatever they hold."""
    transport.OneOrigin._may_send = lambda *_: True  # type: ignore[method-assign]  # the point
    litellm_call.make(argument, say)


def by_an_ordinary_client(argument: Argument, say: Say) -> None:
    """Over HTTP as usual: to any origin, and wherever that redirects to."""

    class Following(httpx.Client):
        def __init__(self, **_: Any) -> None:
            super().__init__(follow_redirects=True, timeout=0.5)

    httpx.Client = Following  # type: ignore[misc]  # the point
    litellm_call.make(argument, say)


def unscrubbed(argument: Argument, say: Say) -> None:
    """A response is shown unchanged."""
    litellm_call.scrub = lambda text, *_: text  # type: ignore[assignment]  # the point
    litellm_call.make(argument, say)


def spinning(argument: Argument, say: Say) -> None:
    """LiteLLM does not come to an end with an answer."""
    _before_reading(lambda: re.match(r"(a+)+$", "a" * 60 + "b"))
    litellm_call.make(argument, say)


def devouring(argument: Argument, say: Say) -> None:
    """LiteLLM needs more memory for an answer than there is."""
    _before_reading(lambda: "x" * (2 * process.MEMORY))
    litellm_call.make(argument, say)


def dying(argument: Argument, say: Say) -> None:
    """LiteLLM takes its process along, before anything is sent."""
    os._exit(1)


def _before_reading(do: Callable[[], Any]) -> None:
    exchanged = transport.OneOrigin._exchanged

    def then(self: transport.OneOrigin, request: httpx.Request) -> httpx.Response:
        answer = exchanged(self, request)
        do()
        return answer

    transport.OneOrigin._exchanged = then  # type: ignore[method-assign]  # the point
