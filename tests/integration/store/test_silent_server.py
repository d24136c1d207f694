"""A PostgreSQL server that is frozen: it takes what it is sent and answers nothing. No one waits for it for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import make_url, text

from registry import Registry, Settings, errors
from registry.keys.keyring import Keyring
from registry.keys.vault import Vault
from registry.store import patience
from registry.store import postgres as own
from registry.store.patience import Limit, limited
from registry.store.store import READING, Store
from tests.support import postgres
from tests.support.factories import ADMIN, KEY_A, created, ollama

PATIENCE = 60  # seconds for what takes ten at most, on a machine that is busy


@pytest.fixture(scope="module")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of these tests' own, which they may freeze."""
    with postgres.server() as url:
        store = Store(url)
        store.setup()
        Vault(Keyring([KEY_A])).adopt(store)
        store.close()
        yield url


@pytest.fixture
def frozen_reg(server_url: str) -> Iterator[Registry]:
    with Registry.connect(Settings(database_url=server_url, fernet_keys=[KEY_A])) as registry:
        yield registry


def ended(call: Callable[[], object], url: str) -> BaseException | None:
    """What a call ends with that is made while the server is frozen."""
    found: list[BaseException | None] = []

    def make() -> None:
        try:
            call()
        except errors.RegistryError as error:
            found.append(error)
        else:
            found.append(None)

    thread = threading.Thread(target=make, daemon=True)
    with postgres.frozen(url):
        thread.start()
        thread.join(PATIENCE)
    assert found, "it did not end"
    thread.join()
    return found[0]


@pytest.mark.parametrize("is_connected", [True, False], ids=["connected", "at first"])
def test_reading_and_changing_end_with_an_error(server_url: str, is_connected: bool) -> None:
    """Through a connection from the pool and through a new one; afterwards everything goes on."""
    registry = Registry.connect(Settings(database_url=server_url, fernet_keys=[KEY_A]))
    model = created(registry, ollama())
    for call in (
        lambda: registry.resolve(model.id),
        lambda: registry.models.find(),
        lambda: registry.knowledge_bases.bind("kb", name="KB", generation=model.id, actor=ADMIN),
    ):
        if not is_connected:
            registry._store.engine.dispose()
        error = ended(call, server_url)
        assert isinstance(error, errors.StoreError)
        assert "does not answer" in error.message or "cannot be reached" in error.message
        assert model == registry.resolve(model.id).model
    assert registry.audit.verify().ok
    registry.close()


def test_more_callers_than_connections_end_too(frozen_reg: Registry, server_url: str) -> None:
    """Those that find no connection free wait for one no longer than for an answer."""
    model = created(frozen_reg, ollama())

    def all_of_them() -> None:
        with ThreadPoolExecutor(24) as pool:
            calls = [pool.submit(frozen_reg.resolve, model.id) for _ in range(24)]
            assert {type(call.exception()) for call in calls} == {errors.StoreError}
        raise errors.StoreError("all of them")

    error = ended(all_of_them, server_url)
    assert isinstance(error, errors.StoreError)
    assert model == frozen_reg.resolve(model.id).model


def test_connecting_ends_with_an_error(server_url: str) -> None:
    """At the start of KB code."""
    assert isinstance(
        ended(lambda: Registry.connect(Settings(database_url=server_url, fernet_keys=[KEY_A])), server_url),
        errors.StoreError,
    )


def test_setting_up_and_letting_go_end_too(server_url: str) -> None:
    """With a connection that worked before: setting up ends in an error, letting go of a lock ends without one."""
    store = Store(server_url)
    store.check()
    assert isinstance(ended(store.setup, server_url), errors.StoreError)
    held = ExitStack()
    held.enter_context(store.exclusive("sync", 5))
    assert ended(held.close, server_url) is None
    with store.exclusive("sync", 5):
        pass
    store.close()


CALLS: dict[str, Callable[[Registry], object]] = {
    "find": lambda reg: reg.audit.find(),
    "actors": lambda reg: reg.audit.actors(),
    "verify": lambda reg: reg.audit.verify(),
    "bind": lambda reg: reg.knowledge_bases.bind("kb", name="KB", actor=ADMIN),
}


@pytest.mark.parametrize("name", CALLS)
def test_only_the_work_itself_may_take_long(frozen_reg: Registry, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a connection works is found out as fast for a search or a change as for anything else."""
    waits: list[float] = []

    def noted() -> float:
        end = patience.end_of_wait()
        assert end is not None
        waits.append(end - time.monotonic())
        return end

    monkeypatch.setattr(own, "end_of_wait", noted)
    CALLS[name](frozen_reg)
    assert READING.silence >= waits[0]
    assert READING.silence < waits[-1]


@pytest.mark.parametrize(
    ("hosts", "waits"), [(1, [4]), (2, [4, 4]), (3, [3, 3, 3]), (6, [2, 2, 2, 2])], ids=lambda value: str(value)
)
def test_all_addresses_share_one_limit(hosts: int, waits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hosts the URL names: each gets its share of nine seconds, and two at least, as the driver does."""
    clock, found = [100.0], list[int]()

    def connect(*, connect_timeout: float, **_options: object) -> None:
        found.append(int(connect_timeout))  # as the driver takes it
        clock[0] += found[-1]
        raise psycopg.errors.ConnectionTimeout("connection timeout expired")

    monkeypatch.setattr(own.Connection, "connect", connect)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    url = "postgresql://user@/name?" + "&".join(f"host=192.0.2.{number + 1}:1" for number in range(hosts))
    with pytest.raises(errors.StoreError, match="cannot be reached"), Store(url).read():
        pass
    assert waits == found


def test_control_without_the_limit_it_hangs(
    frozen_reg: Registry, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with no end to its waits, a call is still waiting when the server goes on, and then is answered."""
    model = created(frozen_reg, ollama())
    monkeypatch.setattr(own, "end_of_wait", lambda: None)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(frozen_reg.resolve(model.id).model))
    with postgres.frozen(server_url):
        thread.start()
        thread.join((READING.total or 0) + 2)
        assert thread.is_alive()
    thread.join(PATIENCE)
    assert [model] == found


def test_a_wait_ends_at_the_nearer_of_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one answer and of all of them; outside of any block there is none."""
    clock = iter((100.0, 101.0, 108.0, 200.0, 300.0))
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    assert patience.end_of_wait() is None
    with limited(Limit(silence=4, total=9)):
        assert 105.0 == patience.end_of_wait()
        assert 109.0 == patience.end_of_wait()
    with limited(Limit(silence=60)):
        assert 360.0 == patience.end_of_wait()
    assert patience.end_of_wait() is None


def test_the_limits_of_all_blocks_around_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one answer the shortest, for all of them the nearest end."""
    clock = [100.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: clock[0])
    with limited(Limit(silence=60, total=10)):
        clock[0] = 105.0
        with limited(Limit(silence=4, total=9)):
            assert (109.0, 110.0) == (patience.end_of_wait(), patience.end_of_all(0))
        assert (110.0, 110.0) == (patience.end_of_wait(), patience.end_of_all(0))
    assert (None, 0) == (patience.end_of_wait(), patience.end_of_all(0))


def _setting(url: str, name: str) -> str:
    store = Store(url)
    try:
        with store.read() as session:
            return str(session.scalar(text(f"SHOW {name}")))
    finally:
        store.close()


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ("-c statement_timeout=4321", "statement_timeout", "4321ms"),
        ("-c statement_timeout=4321", "lock_timeout", "10s"),
        ("-c lock_timeout=3s", "lock_timeout", "3s"),
        ("-c timezone=Europe/Berlin", "timezone", "UTC"),
        ("", "lock_timeout", "10s"),
    ],
)
def test_the_options_of_the_url_count(server_url: str, options: str, name: str, expected: str) -> None:
    """Beside those of the library, of which only the time zone cannot be changed."""
    url = make_url(server_url).update_query_dict({"options": options} if options else {})
    assert expected == _setting(url.render_as_string(hide_password=False), name)


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [("", "work_mem", "7MB"), ("-c work_mem=8MB", "work_mem", "8MB"), ("", "timezone", "UTC")],
    ids=["environment", "URL", "time zone"],
)
def test_the_options_of_the_environment_count(
    server_url: str, options: str, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of the URL, which come after them."""
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=7MB -c timezone=Europe/Berlin")
    url = make_url(server_url).update_query_dict({"options": options} if options else {})
    assert expected == _setting(url.render_as_string(hide_password=False), name)


def test_a_statement_that_takes_longer_than_its_limit_is_given_up(server_url: str) -> None:
    """Also where the server is alive and only slow; the connection is not used again."""
    store = Store(server_url)
    with pytest.raises(errors.StoreError, match="does not answer"), store.read(Limit(silence=0.2)) as session:
        session.execute(text("SELECT pg_sleep(30)"))
    with store.read() as session:
        assert 1 == session.scalar(text("SELECT 1"))
    store.close()


def test_the_driver_still_steps_as_the_limit_needs(server_url: str) -> None:
    """The driver's own contract: it wakes a waiting connection several times a second with nothing ready."""
    steps = []
    url = make_url(server_url)

    class Counting(psycopg.Connection):  # type: ignore[type-arg]  # its rows do not matter
        def wait(self, gen, *args, **kwargs):  # type: ignore[no-untyped-def]  # psycopg's own types
            def counted():  # type: ignore[no-untyped-def]  # psycopg's own types
                state = next(gen)
                try:
                    while True:
                        ready = yield state
                        steps.append(ready)
                        state = gen.send(ready)
                except StopIteration as finished:
                    return finished.value

            return super().wait(counted(), *args, **kwargs)

    with Counting.connect(host=str(url.query["host"]), user="postgres", dbname="postgres") as connection:
        connection.execute("SELECT pg_sleep(1)")
    assert 2 <= len([ready for ready in steps if not ready])
