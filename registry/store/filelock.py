"""A fair lock between threads and processes.

SQLite polls while it waits, so under load a writer can wait for seconds while others overtake it. Here the threads of a
process queue in order, and the first of each process waits in `flock`, which wakes it when the lock is free. A wait has
a time limit, so that a stopped process cannot block the others for ever.
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
except ImportError:  # Windows: only BEGIN IMMEDIATE separates writers, which is less fair
    fcntl = None  # type: ignore[assignment]  # Windows has none


class Queue:
    """The threads of this process that wait for one lock, in order of arrival."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait until this thread is first in the queue.

        Raises:
            TimeoutError: it was not within ``seconds``.
        """
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
if hasattr(os, "register_at_fork"):  # in a child, no thread is left that would release the lock
    os.register_at_fork(after_in_child=_queues.clear)


@contextmanager
def file_lock(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of the file at ``path`` during the block.

    Raises:
        TimeoutError: the lock was not free within ``seconds``.
        OSError: the file cannot be created.
    """
    if fcntl is None:
        yield
        return
    end = time.monotonic() + seconds
    with _queues[path.absolute()].turn(seconds):
        # only the next process waits for the lock itself: otherwise the one that releases it could retake it at once
        next_in_line = _taken(path.with_name(path.name + "-next"), end)
        try:
            descriptor = _taken(path, end)
        finally:
            fcntl.flock(next_in_line, fcntl.LOCK_UN)
            os.close(next_in_line)
        try:
            yield
        finally:
            # closing alone does not release it while a process forked since has it open
            fcntl.flock(descriptor, fcntl.LOCK_UN)
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
    """Block in a thread, since flock has no time limit; a lock that is acquired too late is released at once."""
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
