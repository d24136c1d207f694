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


_limit: ContextVar[tuple[Limit, float] | None] = ContextVar("registry_patience", default=None)


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """Let no wait for the server outlast the limit, in this block."""
    token = _limit.set((limit, time.monotonic()))
    try:
        yield
    finally:
        _limit.reset(token)


def end_of_wait() -> float | None:
    """When a wait that begins now has to end, by `time.monotonic`; None where no limit was said."""
    found = _limit.get()
    if found is None:
        return None
    limit, begun = found
    end = time.monotonic() + limit.silence
    return end if limit.total is None else min(end, begun + limit.total)
