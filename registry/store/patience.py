"""How long to wait for a database server, said for a block of code and heeded by its connections (see `postgres`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """How long to wait, in seconds.

    Attributes:
        silence: for each answer.
        total: for all of them together, from the beginning of the block; None for any time.
    """

    silence: float
    total: float | None = None


_limits: ContextVar[tuple[tuple[Limit, float], ...]] = ContextVar("registry_patience", default=())


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """Let no wait for the server outlast the limit, in this block. Those of the blocks around it go on counting."""
    token = _limits.set((*_limits.get(), (limit, time.monotonic())))
    try:
        yield
    finally:
        _limits.reset(token)


def end_of_wait() -> float | None:
    """When a wait that begins now has to end, by `time.monotonic`; None where no limit was said."""
    limits = _limits.get()
    if not limits:
        return None
    end = time.monotonic() + min(limit.silence for limit, _ in limits)
    return min(end, end_of_all(default=end))


def end_of_all(default: float) -> float:
    """When all waits of this block together have to be over, by `time.monotonic`; the default where none was said."""
    return min((begun + limit.total for limit, begun in _limits.get() if limit.total is not None), default=default)
