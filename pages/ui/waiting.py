"""Waits for long calls while the page keeps drawing.

The calls run in their own threads. A click ends the page's run, and so the waiting, at the next tick; a call that has
started still runs to its end, and the page ignores its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

TICK = 0.25  # seconds

K = TypeVar("K")
T = TypeVar("T")


def each(calls: Iterable[tuple[K, Callable[[], T]]], at_once: int) -> Iterator[dict[K, Future[T]]]:
    """Make calls, a few at once, and yield at each tick those that ended since the last one, by key.

    Args:
        calls: each is taken in the page's thread, just before it begins.
        at_once: how many run at the same time.
    """
    waiting, running = iter(calls), dict[Future[T], K]()
    pool = ThreadPoolExecutor(at_once)
    try:
        while True:
            for key, call in islice(waiting, at_once - len(running)):
                running[pool.submit(call)] = key
            if not running:
                return
            ended = wait(running, timeout=TICK, return_when=FIRST_COMPLETED).done
            yield {running.pop(future): future for future in ended}
    finally:
        pool.shutdown(wait=False)


def run(call: Callable[[], T], meanwhile: Callable[[], object]) -> T:
    """Make one call and return what it returns, or raise what it raises. ``meanwhile`` is called at each tick."""
    ended: dict[None, Future[T]] = {}
    for ended in each([(None, call)], 1):
        if not ended:
            meanwhile()
    return ended[None].result()
