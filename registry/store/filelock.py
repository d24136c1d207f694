"""A lock between threads and processes that is handed over in turn.

SQLite's own waiting polls, and under load some writer waits for seconds while others pass it. Here the threads of a
process queue up in order, and the first of each process wait in `flock`, which wakes them when the lock is free. A wait
has a limit, so that a stopped process cannot hang the others for ever.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: BEGIN IMMEDIATE alone keeps writers apart, if less fairly
    fcntl = None  # type: ignore[assignment]  # Windows has none


class Queue:
    """The threads of this process that want one lock, in the order in which they came."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Be the first of them, or raise TimeoutError after this time."""
        mine = threading.Lock()
        with self._guard:
            self._waiting.append(mine)
            mine.acquire()
            if len(self._waiting) == 1:
                mine.release()
        if not mine.acquire(timeout=seconds):
            self._leave(mine)
            raise TimeoutError("the lock was not free in time")
        try:
            yield
        finally:
            self._leave(mine)

    def _leave(self, mine: threading.Lock) -> None:
        with self._guard:
            was_first = self._waiting[0] is mine
            self._waiting.remove(mine)
            if was_first and self._waiting:
                self._waiting[0].release()


_queues: defaultdict[Path, Queue] = defaultdict(Queue)
if hasattr(os, "register_at_fork"):  # in a child, nobody is left who would let go of a turn
    os.register_at_fork(after_in_child=_queues.clear)


@contextmanager
def file_lock(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock that the file at ``path`` stands for.

    Raises:
        TimeoutError: it was not free within ``seconds``, in this process and among processes together.
        OSError: the file cannot be made.
    """
    if fcntl is None:
        yield
        return
    end = time.monotonic() + seconds
    with _queues[path.absolute()].turn(seconds):
        # whoever is next waits here alone: without it, who lets go of the lock could take it again at once
        next_in_line = _taken(path.with_name(path.name + "-next"), end)
        try:
            descriptor = _taken(path, end)
        finally:
            fcntl.flock(next_in_line, fcntl.LOCK_UN)
            os.close(next_in_line)
        try:
            yield
        finally:
            fcntl.flock(
                descriptor, fcntl.LOCK_UN
            )  # closing alone lets go only when no process forked since has it open
            os.close(descriptor)


def _taken(path: Path, end: float) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _acquire(descriptor, end - time.monotonic()):
        raise TimeoutError("the file lock was not free in time")
    return descriptor


def _acquire(descriptor: int, seconds: float) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return _wait(descriptor, seconds)


def _wait(descriptor: int, seconds: float) -> bool:
    """Block in a thread, since flock knows no time limit; a lock that comes too late is let go at once."""
    handover = threading.Lock()
    state = {"acquired": False, "abandoned": False}
    done = threading.Event()

    def block() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with handover:
            state["acquired"] = True
            if state["abandoned"]:
                os.close(descriptor)
        done.set()

    threading.Thread(target=block, name="registry-file-lock", daemon=True).start()
    done.wait(seconds)
    with handover:
        state["abandoned"] = not state["acquired"]
        return state["acquired"]
