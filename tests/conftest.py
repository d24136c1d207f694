"""Stores for the tests: every test that takes `store_url` or `reg` runs on SQLite and on PostgreSQL.

PostgreSQL is the one at ``TEST_DATABASE_URL``, which must allow CREATE DATABASE, or one that is started here. Where
there is none, its tests are skipped; with ``CI`` set they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
from sqlalchemy import Connection, Engine, event

from registry import Registry, Settings
from registry.keys.keyring import Keyring
from registry.keys.vault import Vault
from registry.store.store import Store
from tests.support import invariants, postgres
from tests.support.factories import KEY_A
from tests.support.fake_proxy import MASTER_KEY, FakeProxy
from tests.support.missing import missing
from tests.support.providers import Listener, Provider
from tests.support.sabotage import plain_engine, unguarded

STORES = ("sqlite", "postgresql")

hypothesis.settings.register_profile("ci", derandomize=True, max_examples=150, deadline=None, database=None)
hypothesis.settings.register_profile("dev", max_examples=150, deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Databases]:
    """A real PostgreSQL, of this test process alone."""
    given = os.environ.get("TEST_DATABASE_URL")
    try:
        with _given(given) if given else postgres.server() as url:
            databases = postgres.Databases(url)
            yield databases
            databases.close()
    except postgres.NoPostgresError as error:
        missing(str(error))


@contextmanager
def _given(url: str) -> Iterator[str]:
    yield url


@pytest.fixture(scope="session")
def postgresql_template(postgresql: postgres.Databases) -> str:
    """A database that is set up once; tests get copies."""
    url = postgresql.make()
    _set_up(url)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is set up once; tests get copies."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    _set_up(f"sqlite:///{path}")
    return path


def _set_up(url: str) -> None:
    store = Store(url)
    store.setup()
    Vault(Keyring([KEY_A])).adopt(store)
    store.close()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A store of the test's own, set up and empty."""
    path = tmp_path / "store" / "registry.db"
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql: postgres.Databases, postgresql_template: str) -> Iterator[str]:
    """A store of the test's own, set up and empty."""
    url = postgresql.make(postgresql_template)
    yield url
    postgresql.drop(url)


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest) -> str:
    """A store of the test's own, set up and empty: once SQLite, once PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=STORES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place for a store that has not been set up."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty' / 'registry.db'}"
        return
    databases: postgres.Databases = request.getfixturevalue("postgresql")
    url = databases.make()
    yield url
    databases.drop(url)


@pytest.fixture
def settings(store_url: str) -> Settings:
    return Settings(database_url=store_url, fernet_keys=[KEY_A])


@pytest.fixture
def connect() -> Iterator[Callable[[Settings], Registry]]:
    """`Registry.connect`, closed at the end of the test."""
    opened: list[Registry] = []

    def open_registry(settings: Settings) -> Registry:
        opened.append(Registry.connect(settings))
        return opened[-1]

    yield open_registry
    for registry in opened:
        registry.close()


@pytest.fixture
def reg(settings: Settings, connect: Callable[[Settings], Registry]) -> Registry:
    """A registry on an empty store, trusted as KB code is."""
    return connect(settings)


@pytest.fixture
def unguarded_reg(settings: Settings) -> Iterator[Registry]:
    """A registry on the same store that takes no turn, no lock and no transaction, for positive controls."""
    with unguarded(settings) as registry:
        yield registry


@pytest.fixture
def raw(store_url: str) -> Iterator[Engine]:
    """The test's database, past the library; SQLite checks no foreign keys on it."""
    engine = plain_engine(store_url)
    yield engine
    engine.dispose()


@pytest.fixture
def broken(raw: Engine) -> Callable[[], set[str]]:
    """Which invariants of the store do not hold now."""

    def check() -> set[str]:
        with raw.connect() as connection:
            return invariants.broken(connection)

    return check


@pytest.fixture
def server() -> Iterator[Provider]:
    """A provider that works: its embedding models make vectors of two dimensions and length 1."""
    with closing(Provider()) as provider:
        yield provider


@pytest.fixture
def canary() -> Iterator[Listener]:
    """Another origin, which must not hear of a key."""
    with closing(Listener()) as listener:
        yield listener


@pytest.fixture
def fake_proxy() -> Iterator[FakeProxy]:
    """A LiteLLM proxy of the test's own, empty."""
    with FakeProxy() as proxy:
        yield proxy


@pytest.fixture
def followed(settings: Settings, fake_proxy: FakeProxy) -> Settings:
    """The store's settings, with the fake proxy."""
    return settings.replace(litellm_proxy_url=fake_proxy.url, litellm_master_key=MASTER_KEY)


class RealProxy(NamedTuple):
    """A real LiteLLM proxy, and the ports of the provider stand-ins that it can call."""

    url: str
    master_key: str
    providers_port: int


@pytest.fixture(scope="session")
def real_proxy() -> RealProxy:
    """The LiteLLM proxy at ``LITELLM_PROXY_URL``, which may hold entries of others."""
    url = os.environ.get("LITELLM_PROXY_URL")
    if not url:
        missing("LITELLM_PROXY_URL names no real LiteLLM proxy")
    return RealProxy(url, os.environ["LITELLM_MASTER_KEY"], int(os.environ["TEST_PROVIDERS_PORT"]))


@dataclass
class StatementCounter:
    """Counts the SQL statements that run on any engine while it is active."""

    statements: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)

    def __call__(self, _connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        first = statement.split(maxsplit=1)[0].upper()
        if first not in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA"):
            self.statements.append(statement)


@pytest.fixture
def count_statements() -> Callable[[], Any]:
    """``with count_statements() as counted: …``, then ``len(counted)`` and ``counted.statements``."""

    @contextmanager
    def counting() -> Iterator[StatementCounter]:
        counter = StatementCounter()
        event.listen(Engine, "before_cursor_execute", counter)
        try:
            yield counter
        finally:
            event.remove(Engine, "before_cursor_execute", counter)

    return counting
