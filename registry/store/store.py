"""The store: reading and writing transactions on SQLite and PostgreSQL.

Both have one writer at a time: changes are rare, and each extends the audit log's hash chain, so it has to wait for the
previous one anyway. Taking the lock first makes every change see the current state, rules out deadlocks, and numbers
the audit entries without gaps. Constraints in the schema also apply to programs that bypass the registry.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from sqlalchemy import URL, Connection, Engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from registry.catalog import arguments
from registry.errors import (
    InvalidInputError,
    SchemaError,
    SettingsError,
    StoreError,
)
from registry.store import forks, guard, sqlite
from registry.store.failures import translated
from registry.store.filelock import Queue, file_lock
from registry.store.patience import Limit, limited
from registry.store.tables import AuditRow, Base, StoreRow

SCHEMA_VERSION = "0005"
LOCK_SECONDS = 10
READING: Final = Limit(silence=4, total=9)
"""For interactive reads, such as KB code that resolves a model."""
SEARCHING: Final = Limit(silence=60)
"""For statements that can scan the whole audit log."""
_WRITING: Final = Limit(silence=LOCK_SECONDS + 1)
_LOCKING: Final = Limit(silence=4)
_LOOK_AGAIN_SECONDS = 0.05
_PG_WRITE_LOCK = 0x6D6F64656C73  # "models": an arbitrary constant, which no other program must use
_TAKE_PG_LOCK = text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=_PG_WRITE_LOCK)

Clock = Callable[[], datetime]


def utcnow() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class Store(forks.Watcher):
    """Transactions over one database.

    Args:
        url: ``sqlite:///path`` or ``postgresql+psycopg://…``.
        clock: returns the current time, with a time zone; the demo passes a simulated one.

    Raises:
        SettingsError: the URL is invalid, or the database is not supported.
    """

    def __init__(self, url: str, *, clock: Clock = utcnow) -> None:
        self.url = _parse(url)
        self.clock = _checked(clock)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.path = Path(self.url.database or "") if self.is_sqlite else None
        self.engine = sqlite.engine(self.path) if self.path is not None else _postgresql_engine(self.url)
        self._gate = forks.Gate()
        self._reading = self.engine.execution_options(**({} if self.is_sqlite else _PG_SNAPSHOT))
        self._writing = self.engine.execution_options(**(_SQLITE_IMMEDIATE if self.is_sqlite else {}))
        self._queues: defaultdict[str, Queue] = defaultdict(Queue)
        forks.watch(self)

    def __repr__(self) -> str:
        return f"<Store {self.url.set(query={}).render_as_string(hide_password=True)}>"  # parameters can be passwords

    @contextmanager
    def read(self, limit: Limit = READING) -> Iterator[Session]:
        """A reading transaction: all its statements see one state of the store.

        Raises:
            StoreError: the store cannot be read, or its server did not answer within the limit.
        """
        with self._used(limit), self._connected(self._reading) as connection, Session(connection) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A writing transaction, the only one at a time. It commits at the end, and is rolled back on any error.

        Raises:
            UnloggedError: something was changed without an audit entry.
        """
        with self._written() as session:
            changes = guard.Changes(session.connection())

            def check(ending: Session) -> None:
                if not ending.in_nested_transaction():
                    ending.flush()
                    changes.require_entry()

            event.listen(session, "before_commit", check)  # also where the code in the block commits
            yield session

    @contextmanager
    def note(self) -> Iterator[Session]:
        """As `write`, for data without audit entries: proxy state, test results, ciphertexts, the store's secret.

        Raises:
            UnloggedError: a statement writes anything else.
        """
        with self._written() as session:
            guard.refuse_changes(session.connection())
            yield session

    @contextmanager
    def exclusive(self, name: str, seconds: float) -> Iterator[None]:
        """Hold the lock of this name, exclusive for all processes and machines on this store, without a transaction.

        Raises:
            TimeoutError: another caller held it for all of ``seconds``.
            StoreError: the store cannot be reached.
        """
        with ExitStack() as held:
            with self._used(_LOCKING, but=TimeoutError):
                held.enter_context(
                    self._advisory_lock(name, seconds) if self.path is None else self._turn(name, seconds)
                )
            yield

    def is_empty_file(self) -> bool:
        """Whether this is an SQLite store whose file is missing or empty.

        Raises:
            StoreError: the file cannot be examined.
        """
        with translated():
            return self.path is not None and not sqlite.size(self.path)

    def setup(self) -> None:
        """Create the schema, or bring it up to date. Safe to call from several processes at once."""
        with self._gate, translated(), self._made(), self._turn(), self._connected(self._writing) as connection:
            if self.is_sqlite:
                cast(sqlite3.Connection, connection.connection.driver_connection).execute("PRAGMA journal_mode = WAL")
            with connection.begin():
                with limited(_WRITING):  # the migration itself has no time limit
                    if not self.is_sqlite:
                        connection.execute(_TAKE_PG_LOCK)
                    found = _schema_version(connection)
                if found == SCHEMA_VERSION:
                    return
                _refuse_newer(found)
                _migrate(connection)

    def grant(self, role: str) -> None:
        """Grant a PostgreSQL role exactly the rights the dashboard needs: the audit log it can only read and extend.

        Raises:
            StoreError: the store is not PostgreSQL, or the role does not exist.
        """
        if self.is_sqlite:
            raise StoreError("Only PostgreSQL has roles to grant rights to.")
        quoted = self.engine.dialect.identifier_preparer.quote(role)
        with self._used(_WRITING), self._connected(self._writing) as connection, connection.begin():
            if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
                raise StoreError(f"There is no role “{role}”. Create it first: CREATE ROLE … LOGIN")
            for table in Base.metadata.tables:
                rights = "SELECT, INSERT" if table == AuditRow.__tablename__ else "SELECT, INSERT, UPDATE, DELETE"
                connection.execute(text(f"GRANT {rights} ON {table} TO {quoted}"))
            connection.execute(text(f"GRANT SELECT ON alembic_version TO {quoted}"))

    def check(self) -> None:
        """Check that the schema has the version that this library needs.

        Raises:
            SchemaError: it is missing, older or newer; the message says what to do.
            StoreError: the store cannot be reached.
        """
        with self._used(READING), self._connected(self._reading) as connection:
            found = _schema_version(connection)
        _refuse_newer(found)
        if found != SCHEMA_VERSION:
            state = "is older than this library" if found else "has not been set up"
            raise SchemaError(f"The store {state}. Run: python -m registry migrate")

    def registry_id(self) -> str:
        """The registry's id, generated at random when the store was created."""
        with self.read() as session:
            return session.scalars(select(StoreRow.registry_id)).one()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def before_fork(self, seconds: float) -> None:
        """Wait for the transactions of other threads. SQLite's connections are closed: with a copy of one, or of its
        locks in memory, the child could corrupt the file."""
        self._gate.close(seconds)
        if self.is_sqlite:
            self.engine.dispose()

    def after_fork(self) -> None:
        """Let transactions begin again."""
        self._gate.open()

    def after_fork_in_child(self) -> None:
        """Start without connections. The parent's are kept referenced: garbage collection would close them."""
        self._gate = forks.Gate()
        self._queues = defaultdict(Queue)
        _of_parents.append(self.engine.pool)
        self.engine.dispose(close=False)

    @contextmanager
    def _written(self) -> Iterator[Session]:
        with (
            self._used(_WRITING),
            self._turn(),
            self._connected(self._writing) as connection,
            Session(connection, autoflush=False) as session,
            session.begin(),
        ):
            if not self.is_sqlite:
                session.execute(_TAKE_PG_LOCK)
            yield session

    @contextmanager
    def _used(self, limit: Limit, *, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Wraps each use of the database: fork gate, time limit, translation of errors, check of the file."""
        with self._gate, limited(limit), translated(but=but):
            self._require_file()
            yield

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        """A working connection. Connecting always has the limit of interactive reads."""
        with limited(READING):
            connection = engine.connect()
        with connection:
            yield connection

    @contextmanager
    def _made(self) -> Iterator[None]:
        """Create the file, readable by its owner only, before SQLite opens it."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        yield

    def _require_file(self) -> None:
        # open connections would go on using the deleted file
        if self.path is not None and sqlite.size(self.path) is None:
            raise StoreError("The store's file is gone. Put it back, or restore it from a backup, and try again.")

    def _turn(self, name: str = "", seconds: float = LOCK_SECONDS) -> AbstractContextManager[None]:
        if self.path is None:
            return nullcontext()
        return file_lock(self.path.with_name(f"{self.path.name}{name and f'.{name}'}.lock"), seconds)

    @contextmanager
    def _advisory_lock(self, name: str, seconds: float) -> Iterator[None]:
        key = {"key": int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)}
        until = time.monotonic() + seconds
        with (
            self._queues[name].turn(seconds),  # only one waits with a connection: more could exhaust the pool
            self._connected(self.engine.execution_options(isolation_level="AUTOCOMMIT")) as connection,
        ):
            while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key):
                if time.monotonic() >= until:
                    raise TimeoutError("the lock was not free in time")
                time.sleep(_LOOK_AGAIN_SECONDS)
            try:
                yield
            finally:
                # a lost connection has released its lock
                with suppress(SQLAlchemyError), limited(_LOCKING):
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _checked(clock: Clock) -> Clock:
    """The clock, wrapped: it raises InvalidInputError if the result is not a time with a time zone."""

    def now() -> datetime:
        try:
            found = arguments.moment("clock", clock())
        except InvalidInputError:
            found = None
        if found is None:
            raise InvalidInputError({"clock": "Must return the time, as a datetime with its time zone."})
        return found

    return now


_of_parents: list[object] = []
_SQLITE_IMMEDIATE = {"registry_begin": "BEGIN IMMEDIATE"}
_PG_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _parse(url: str) -> URL:
    try:
        if not url.isprintable() or "%00" in url:  # neither a path nor a parameter can contain NUL
            raise ValueError
        parsed = make_url(url)
        backend, driver = parsed.get_backend_name(), parsed.get_driver_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise SettingsError("REGISTRY_DATABASE_URL is not a database URL. Check its port and its spelling.") from None
    if backend == "postgresql" and driver in ("psycopg", "psycopg2"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and driver == "pysqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(database=str(sqlite.absolute(Path(parsed.database))))
    raise SettingsError("REGISTRY_DATABASE_URL must start with postgresql+psycopg:// or be sqlite:///path/to/file.")


def _postgresql_engine(url: URL) -> Engine:
    from registry.store import postgres  # imported here: SQLite must not pay for psycopg

    return postgres.engine(url, LOCK_SECONDS)


def _schema_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _refuse_newer(found: str | None) -> None:
    if found is not None and found > SCHEMA_VERSION:
        raise SchemaError("The store was made by a newer version of the registry. Install that version or a later one.")


def _migrate(connection: Connection) -> None:
    # imported here: code that only uses an existing store must not pay for alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
