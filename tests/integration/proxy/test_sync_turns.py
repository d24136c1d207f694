"""One sync at a time over all processes on a store, and what that lock is to who waits for it, dies or goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Barrier

import pytest

from registry import Registry, Settings
from registry.proxy.admin import Entry, ProxyApi
from registry.store.store import Store
from tests.support.drift import environment, wanted
from tests.support.factories import ADMIN, created, generation
from tests.support.fake_proxy import FakeProxy

Connect = Callable[[Settings], Registry]

MODELS = 12
CROWD = 24
HOLD = """
import sys
from registry.store.store import Store
with Store(sys.argv[1]).exclusive("sync", 5):
    print("held", flush=True)
    sys.stdin.read()
print("free", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert "held\n" == process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def test_whoever_comes_second_waits_no_longer_than_asked(store: Store) -> None:
    """Then it is a TimeoutError; locks of other names, reading and writing go on."""
    with held_elsewhere(str(store.url.render_as_string(hide_password=False))):
        with pytest.raises(TimeoutError), store.exclusive("sync", 0.1):
            raise AssertionError
        with store.exclusive("other", 0.1), store.write(), store.read():
            pass


@pytest.mark.parametrize("end", ["leaves", "is killed"])
def test_the_lock_is_free_when_its_holder(store: Store, end: str) -> None:
    """Whether it goes on without it or is no more: who waits has it then."""
    with held_elsewhere(str(store.url.render_as_string(hide_password=False))) as process:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(_take, store, 30)
            if end == "leaves":
                process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
                process.stdin = None
            else:
                process.kill()
            waiting.result()
        _take(store, 5)


def _take(store: Store, seconds: float) -> None:
    with store.exclusive("sync", seconds):
        pass


def test_threads_take_turns_and_an_error_lets_go(store: Store) -> None:
    """One inside at a time, all of them in the end, though every other one fails."""
    inside: list[int] = []
    most: list[int] = []

    def one(number: int) -> None:
        with store.exclusive("sync", 60):
            inside.append(number)
            most.append(len(inside))
            inside.pop()
            if number % 2:
                raise ValueError

    with ThreadPoolExecutor(CROWD) as pool:
        errors = [future.exception() for future in [pool.submit(one, number) for number in range(CROWD)]]
    assert [1] * CROWD == most
    assert [False, True] * (CROWD // 2) == [isinstance(error, ValueError) for error in errors]


def test_of_two_processes_that_sync_one_finds_it_done(
    reg: Registry, followed: Settings, connect: Connect, fake_proxy: FakeProxy
) -> None:
    """Both succeed, each model is registered by one request, and the audit log has one sync."""
    for _ in range(MODELS):
        created(reg)
    fake_proxy.latency = 0.02
    command = [sys.executable, "-m", "registry", "sync"]
    both = [subprocess.Popen(command, env=environment(followed)) for _ in range(2)]
    assert [0, 0] == [process.wait(60) for process in both]
    assert (MODELS, 2) == (len(fake_proxy.writes), len(fake_proxy.reads))
    assert wanted(reg, {}) == fake_proxy.served()
    assert 1 == len(reg.audit.find(action="proxy:sync").entries)


def test_control_without_the_lock_both_would_write(
    reg: Registry, followed: Settings, connect: Connect, fake_proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: two registries without it find the same to do, and both do it."""
    created(reg)
    both_looked = Barrier(2)

    def looked(self: ProxyApi) -> list[Entry]:
        found = entries(self)
        both_looked.wait()
        return found

    entries = ProxyApi.entries
    monkeypatch.setattr(ProxyApi, "entries", looked)
    monkeypatch.setattr(Store, "exclusive", lambda *_: nullcontext())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda registry: registry.proxy.sync(actor=ADMIN), [connect(followed), connect(followed)]))
    assert len(fake_proxy.writes) > 1


def test_many_changes_at_once_are_all_followed(followed: Settings, connect: Connect, fake_proxy: FakeProxy) -> None:
    """More threads than there are connections to the store wait their turn: none fails because another sync runs."""
    reg = connect(followed)
    start = Barrier(CROWD)

    def create(_: int) -> str:
        handle = reg.acting_as(ADMIN)
        start.wait()
        return handle.models.create(generation()).proxy_message

    with ThreadPoolExecutor(CROWD) as pool:
        assert {""} == set(pool.map(create, range(CROWD)))
    assert wanted(reg, {}) == fake_proxy.served()
