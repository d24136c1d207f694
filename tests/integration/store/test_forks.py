"""A process that forks after it has connected: parent and children go on, without any code of the caller for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from registry import Registry
from registry.proxy.admin import ProxyApi
from registry.store import filelock, forks
from registry.store.store import Store
from tests.support.factories import KEY_A, created, ollama

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # of Python 3.12 on
ROOT = Path(__file__).parents[3]
ROUNDS = int(os.environ.get("FORK_ROUNDS", "1"))


def run(reg: Registry, *options: str) -> subprocess.CompletedProcess[str]:
    """The forking server, on this registry's store."""
    model = created(reg, ollama())
    url = reg._store.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.support.forking", url, KEY_A, model.id, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_parent_and_children_go_on_after_a_fork(reg: Registry, round_: int) -> None:
    """Eight workers fork off while three threads read and write, and fork once more themselves: no error, no hang, no
    false answer, and what all of them did is in the log."""
    ended = run(reg)
    assert ("", 0) == (ended.stderr.strip(), ended.returncode)
    report = reg.audit.verify()
    assert report.ok
    assert {f"worker-{number}-child" for number in range(8)} <= {base.id for base in reg.knowledge_bases.find()}


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_control_without_the_watch_they_do_not(reg: Registry) -> None:
    """The control: without it, the children of a PostgreSQL user take each other's answers."""
    ended = run(reg, "unwatched")
    assert 0 != ended.returncode


def in_a_child(work: Callable[[], bool]) -> int:
    """The exit code of a process that is forked off to do this: 0 where it returns True."""
    child = os.fork()
    if not child:
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_inherits_no_open_connection(reg: Registry) -> None:
    """Of SQLite none is open at the fork; those to PostgreSQL stay the parent's, and work there afterwards."""
    with reg._store.read():
        pass
    before = reg._store.engine.pool

    def has_none() -> bool:
        pool = reg._store.engine.pool
        return pool is not before and pool.checkedin() == 0  # type: ignore[attr-defined]  # a queue

    assert 0 == in_a_child(has_none)
    assert [] == reg.models.find()


def test_a_fork_waits_for_the_transactions_of_other_threads(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no half of one is copied, and no turn or lock of theirs either."""
    store = Store(sqlite_url)
    inside, go_on, order = threading.Event(), threading.Event(), []
    close = store._gate.close

    def close_while_it_goes_on(seconds: float) -> None:
        go_on.set()
        close(seconds)

    def change() -> None:
        with store.write():
            inside.set()
            go_on.wait(60)
            order.append("change")

    monkeypatch.setattr(store._gate, "close", close_while_it_goes_on)
    thread = threading.Thread(target=change)
    thread.start()
    inside.wait(60)
    assert 0 == in_a_child(lambda: order == ["change"] and not filelock._queues)
    thread.join(60)
    store.close()


def test_a_thread_that_is_inside_may_enter_again_while_the_gate_is_closed() -> None:
    """Else a use case that reads while it reads would wait for itself."""
    gate = forks.Gate()
    with gate:
        closer = threading.Thread(target=gate.close, args=(60,))
        closer.start()
        with gate:
            pass
    closer.join(60)
    assert not closer.is_alive()
    gate.open()
    with gate:
        pass


class Watching(forks.Watcher):
    """Notes what it is called for, and how long it may wait; each preparation takes four seconds of the clock."""

    def __init__(self, clock: list[float], *, fails: bool = False) -> None:
        self.clock, self.fails, self.calls = clock, fails, list[object]()

    def before_fork(self, seconds: float) -> None:
        self.clock[0] += 4
        self._note(seconds)

    def after_fork(self) -> None:
        self._note("after")

    def after_fork_in_child(self) -> None:
        self._note("child")

    def _note(self, what: object) -> None:
        self.calls.append(what)
        if self.fails:
            raise ZeroDivisionError


@pytest.fixture
def watchers(monkeypatch: pytest.MonkeyPatch) -> list[Watching]:
    """Four watchers on one clock, of which the second and the last fail."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return [Watching(clock, fails=number % 2 == 1) for number in range(4)]


@pytest.fixture
def hooks(watchers: list[Watching]) -> forks._Forks:
    """The hooks of a fork, for these watchers alone."""
    made = forks._Forks()
    for watcher in watchers:
        made.watch(watcher)
    return made


@pytest.mark.parametrize(("side", "last"), [("after", "after"), ("after_in_child", "child")], ids=["parent", "child"])
def test_where_one_watcher_fails_the_others_are_called(
    hooks: forks._Forks, watchers: list[Watching], side: str, last: str
) -> None:
    """Before and after the fork; its error is raised in the end, and the next fork finds the way free."""
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            hooks.before()
        with pytest.raises(ZeroDivisionError):
            getattr(hooks, side)()
    assert [2] * 4 == [watcher.calls.count(last) for watcher in watchers]
    assert [4] * 4 == [len(watcher.calls) for watcher in watchers]


def test_all_watchers_together_are_waited_for(hooks: forks._Forks, watchers: list[Watching]) -> None:
    """The more stores there are, the longer a fork must not take: those that are left get the rest of one limit."""
    with pytest.raises(ZeroDivisionError):
        hooks.before()
    assert [0, 2, 6, 10] == sorted(seconds for watcher in watchers for seconds in watcher.calls)  # type: ignore[type-var]  # numbers


def test_a_watcher_that_comes_during_a_fork_waits_for_its_end() -> None:
    """Else it would change the set that is gone through, or its connections would be in a child that knows nothing."""
    hooks, late = forks._Forks(), forks.Watcher()
    thread = threading.Thread(target=hooks.watch, args=(late,))
    hooks.before()
    thread.start()
    thread.join(0.2)
    assert [] == list(hooks._watchers)
    hooks.after()
    thread.join(60)
    assert [late] == list(hooks._watchers)


def test_the_client_of_the_proxy_stays_with_the_parent() -> None:
    """A child makes one of its own."""
    api = ProxyApi("http://127.0.0.1:1", SecretStr("sk-master"))
    client = api._client
    assert 0 == in_a_child(lambda: "_client" not in api.__dict__ and api._client is not client)
    assert client is api._client
    api.close()
