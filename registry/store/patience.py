"""Time limits for waiting for a database server: set for a block of code, applied by its connections in `postgres`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """Time limits, in seconds.

    Attributes:
        silence: for each response.
        total: for all responses together, from the beginning of the block; None for no limit.
    """

    silence: float
    total: float | None = None


_limits: ContextVar[tuple[tuple[Limit, float], ...]] = ContextVar("registry_patience", default=())


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """Limit each wait for the server in this block. The limits of the enclosing blocks apply too."""
    token = _limits.set((*_limits.get(), (limit, time.monotonic())))
    try:
        yield
    finally:
        _limits.reset(token)


def end_of_wait() -> float | None:
    """The deadline of a wait that begins now, by `time.monotonic`; None without a limit."""
    limits = _limits.get()
    if not limits:
        return None
    end = time.monotonic() + min(limit.silence for limit, _ in limits)
    return min(end, end_of_all(default=end))


def end_of_all(default: float) -> float:
    """The deadline of all waits in this block together, by `time.monotonic`; the default without a limit."""
    return min((begun + limit.total for limit, begun in _limits.get() if limit.total is not None), default=default)
