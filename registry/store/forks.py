"""Handles connections and locks when the process forks, as gunicorn does with --preload.

A child must neither use nor close its parent's connections, and a lock that another thread held at the fork is never
released in the child. Objects that own connections or locks register here; users of the library need not care.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Final

_PREPARING_SECONDS: Final = 10
"""The longest time, in seconds, that a fork waits for all watchers together."""


class Watcher:
    """Base of objects that have to prepare for a fork."""

    def before_fork(self, seconds: float) -> None:
        """In the parent: release what a child must not inherit; wait at most ``seconds``."""

    def after_fork(self) -> None:
        """In the parent: continue."""

    def after_fork_in_child(self) -> None:
        """In the child: drop what belongs to the parent, without closing it. Only the forking thread is left."""


class Gate:
    """Lets threads enter, except while it is closed; threads that are inside can always enter again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._is_open = True

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._changed:
            while not self._is_open and not self._inside[me]:
                self._changed.wait()
            self._inside[me] += 1

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        with self._changed:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
            if not self._is_open:
                self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Let no more threads enter; wait until no other thread is inside, at most ``seconds``."""
        me = threading.get_ident()
        with self._changed:
            self._is_open = False
            self._changed.wait_for(lambda: self._inside.keys() <= {me}, timeout=seconds)

    def open(self) -> None:
        """Let threads enter again."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()


class _Forks:
    def __init__(self) -> None:
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
        self._one_at_a_time = threading.Lock()
        self._prepared: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Register a watcher. Waits for a running fork, whose child would not know the watcher."""
        with self._one_at_a_time:
            self._watchers.add(watcher)

    def before(self) -> None:
        self._one_at_a_time.acquire()
        self._prepared = list(self._watchers)
        end = time.monotonic() + _PREPARING_SECONDS
        _each(lambda watcher: watcher.before_fork(max(0, end - time.monotonic())), self._prepared)

    def after(self) -> None:
        try:
            _each(lambda watcher: watcher.after_fork(), self._prepared)
        finally:
            self._prepared = []
            self._one_at_a_time.release()

    def after_in_child(self) -> None:
        self._one_at_a_time = threading.Lock()
        prepared, self._prepared = self._prepared, []
        _each(lambda watcher: watcher.after_fork_in_child(), prepared)


def _each(do: Callable[[Watcher], None], watchers: Iterable[Watcher]) -> None:
    """Call ``do`` for all watchers, even if one fails; raise its error at the end."""
    with ExitStack() as stack:
        for watcher in watchers:
            stack.callback(do, watcher)


_forks = _Forks()
watch = _forks.watch
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_forks.before, after_in_parent=_forks.after, after_in_child=_forks.after_in_child)
