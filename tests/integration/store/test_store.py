"""A store that cannot be read or written: a helpful error of the library, no SQL, and nothing half-saved."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pandas import NaT
from sqlalchemy import Engine, create_engine, make_url, text

from registry import Registry, Settings, errors
from registry.store import filelock, sqlite, store
from registry.store import postgres as driver
from registry.store.filelock import file_lock
from registry.store.store import Store, utcnow
from tests.support import postgres
from tests.support.factories import CANARY, KEY_A, created, generation

Connect = Callable[[Settings], Registry]


def assert_helpful(error: BaseException) -> None:
    """As it would be logged: no SQL, no driver, no row, no key."""
    told = "".join(traceback.format_exception(error))
    assert [] == [word for word in ("[SQL", "INSERT", "psycopg.errors", "sqlite3.Op", CANARY) if word in told]
    assert str(error).endswith(".")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are given up after a moment."""
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    pragmas = tuple("busy_timeout = 100" if "busy" in pragma else pragma for pragma in sqlite._PRAGMAS)
    monkeypatch.setattr(sqlite, "_PRAGMAS", pragmas)


@contextmanager
def _another_writer(raw: Engine) -> Iterator[None]:
    """A user holds the lock that writers take, past the library's own queue."""
    with raw.connect() as connection:
        if connection.dialect.name == "sqlite":
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("BEGIN IMMEDIATE")
            yield
            driver.execute("ROLLBACK")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": store._PG_WRITE_LOCK})
            yield


def test_a_locked_store_is_busy(impatient: None, settings: Settings, raw: Engine, connect: Connect) -> None:
    """While another user writes for long: StoreError after the wait, reading works, and later writing does again."""
    reg = connect(settings)
    with _another_writer(raw):
        with pytest.raises(errors.StoreError, match="busy") as caught:
            created(reg)
        assert [] == reg.models.find()
    assert_helpful(caught.value)
    assert created(reg) == reg.models.find()[0]


def test_a_queue_that_does_not_move_is_busy(impatient: None, sqlite_url: str, connect: Connect, tmp_path: Path) -> None:
    """SQLite's writers queue at a file lock: one that is stopped in front hangs no one for ever."""
    reg = connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A]))
    lock = Path(sqlite_url.removeprefix("sqlite:///") + ".lock")
    with file_lock(lock, 1), pytest.raises(errors.StoreError, match="busy") as caught:
        created(reg)
    assert_helpful(caught.value)
    assert created(reg) == reg.models.find()[0]


def test_the_lock_that_came_too_late_is_let_go(tmp_path: Path) -> None:
    """A waiter that gave up does not keep the lock when its turn comes at last."""
    path = tmp_path / "lock"
    with file_lock(path, 1), pytest.raises(TimeoutError), file_lock(path, 0.05):
        pass
    for _ in range(3):
        with file_lock(path, 5):
            pass


def test_all_waits_for_the_lock_end_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the queue of threads, as the next in line, and for the lock itself: each gets what the others left."""
    clock, waits = [100.0], list[float]()

    @contextmanager
    def turn(_queue: object, seconds: float) -> Iterator[None]:
        waits.append(seconds)
        clock[0] += 3
        yield

    def wait(_descriptor: int, seconds: float) -> bool:
        waits.append(seconds)
        clock[0] += 3
        return True

    monkeypatch.setattr(filelock.Queue, "turn", turn)
    monkeypatch.setattr(filelock, "_wait", wait)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    path = tmp_path / "lock"
    with ExitStack() as held:
        for each in (path, tmp_path / "lock-next"):
            fcntl.flock(held.enter_context(each.open("w")), fcntl.LOCK_EX)
        with file_lock(path, 10):
            assert [10, 7, 4] == waits


def test_the_lock_is_handed_over(tmp_path: Path) -> None:
    """Each waiting caller gets it when it is free, one at a time."""
    path, inside, most = tmp_path / "lock", [0], [0]

    def enter() -> None:
        for _ in range(20):
            with file_lock(path, 30):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (0, 1) == (inside[0], most[0])


def test_a_deleted_file_stays_gone(sqlite_url: str, connect: Connect) -> None:
    """An open registry neither goes on with a file that no one can find, nor makes an empty one in its place."""
    reg, path = (
        connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])),
        Path(sqlite_url.removeprefix("sqlite:///")),
    )
    created(reg)
    path.unlink()
    for call in (lambda: reg.models.find(), lambda: created(reg), lambda: reg._store.check()):
        with pytest.raises(errors.StoreError, match="gone") as caught:
            call()
        assert_helpful(caught.value)
    assert not path.exists()


def test_a_deleted_folder(sqlite_url: str, connect: Connect) -> None:
    """The same where the folder is gone with it."""
    reg, path = (
        connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])),
        Path(sqlite_url.removeprefix("sqlite:///")),
    )
    path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(errors.StoreError, match="gone"):
        created(reg)


@pytest.mark.parametrize("content", [b"this is no database at all " * 100, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    """The error says so, and the store is not changed."""
    path = tmp_path / "registry.db"
    path.write_bytes(content)
    with pytest.raises(errors.StoreError, match="damaged or not a database") as caught:
        Registry.connect(Settings(database_url=f"sqlite:///{path}", fernet_keys=[KEY_A]))
    assert_helpful(caught.value)
    assert content == path.read_bytes()


def test_a_path_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where a folder should be: a StoreError, not an OSError."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StoreError) as caught:
        Registry.connect(Settings(database_url=f"sqlite:///{tmp_path / 'file' / 'registry.db'}", fernet_keys=[KEY_A]))
    assert_helpful(caught.value)


def test_a_read_only_store(store_url: str, settings: Settings, reg: Registry, raw: Engine, connect: Connect) -> None:
    """Reading works; a change says that the store is read-only and saves nothing. Root may write everywhere: for SQLite
    the database itself is set to refuse."""
    model = created(reg)
    reader = connect(settings)
    if raw.dialect.name == "sqlite":
        reader._store._writing = _query_only(reader._store)
    else:
        name = make_url(store_url).database
        with raw.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
            )
        reader._store.engine.dispose()
    with pytest.raises(errors.StoreError, match="read-only") as caught:
        created(reader)
    assert_helpful(caught.value)
    assert [model] == reader.models.find()


def _query_only(a_store: Store) -> Any:
    engine = create_engine(a_store.url, creator=lambda: _refusing(a_store))
    return engine.execution_options(registry_begin="BEGIN")


def _refusing(a_store: Store) -> object:
    connection = a_store.engine.raw_connection().driver_connection
    assert connection is not None
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    """Without root's right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam(postgres.USER_IN_PLACE_OF_ROOT).pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o777), (0o444, 0o555), (0o666, 0o555), (0o000, 0o777)])
def test_files_without_permission(sqlite_template: Path, file: int, folder: int) -> None:
    """After a wrong chmod a change is refused with advice on permissions, and nothing is saved."""
    with tempfile.TemporaryDirectory() as base:
        place = Path(base) / "store"
        place.mkdir()
        path = Path(shutil.copy(sqlite_template, place / "registry.db"))
        before = path.read_bytes()
        for each, mode in ((path, file), (place, folder), (Path(base), 0o755)):
            each.chmod(mode)
        a_store = Store(f"sqlite:///{path}")
        with _as_somebody_else(), pytest.raises(errors.StoreError, match="permissions") as caught:
            _delete_all_and_fail(a_store)
        a_store.close()
        assert_helpful(caught.value)
        place.chmod(0o755)
        path.chmod(0o600)
        assert before == path.read_bytes()


def test_a_server_that_does_not_answer() -> None:
    """Nothing listens at the port: the message names the setting, and contains no password."""
    url = "postgresql+psycopg://user:hidden-word@127.0.0.1:1/registry"
    with pytest.raises(errors.StoreError, match="REGISTRY_DATABASE_URL") as caught:
        Registry.connect(Settings(database_url=url, fernet_keys=[KEY_A]))
    assert_helpful(caught.value)
    told = "".join(traceback.format_exception(caught.value)) + repr(Store(url)) + repr(Settings(database_url=url))
    assert "hidden-word" not in told


def test_a_database_that_does_not_exist(postgresql: postgres.Databases, postgresql_template: str) -> None:
    """A typing error in the URL is a StoreError too."""
    url = make_url(postgresql_template).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(errors.StoreError) as caught:
        Registry.connect(Settings(database_url=url, fernet_keys=[KEY_A]))
    assert_helpful(caught.value)


def test_connections_that_were_cut_are_made_anew(postgresql_url: str, connect: Connect) -> None:
    """After a restart of the server the next call works; a broken connection is not handed out again."""
    reg = connect(Settings(database_url=postgresql_url, fernet_keys=[KEY_A]))
    model = created(reg)
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()
    assert [model] == reg.models.find()


def _delete_all_and_fail(a_store: Store) -> None:
    with a_store.write() as session:
        session.execute(text("DELETE FROM models"))
        raise ZeroDivisionError


def test_an_error_leaves_no_trace(reg: Registry) -> None:
    """Whatever goes wrong inside a change, all of it is taken back."""
    model = created(reg)
    with pytest.raises(ZeroDivisionError):
        _delete_all_and_fail(reg._store)
    assert [model] == reg.models.find()


def test_a_reading_transaction_sees_one_state(settings: Settings, reg: Registry) -> None:
    """What is committed meanwhile is not seen by statements of the same reading transaction."""
    created(reg)
    count = text("SELECT count(*) FROM models")
    with reg._store.read() as session:
        before = session.execute(count).scalar_one()
        created(reg)
        assert before == session.execute(count).scalar_one() == 1
    with reg._store.read() as session:
        assert 2 == session.execute(count).scalar_one()


def test_sqlite_is_configured_to_keep_its_word(sqlite_url: str) -> None:
    """Write-ahead log, full synchronisation (a commit outlives a power cut), foreign keys: on every connection."""
    a_store = Store(sqlite_url)
    for _ in range(2):
        with a_store.read() as session:
            found = [session.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous")]
            assert ["wal", 2, 1] == [*found, session.execute(text("PRAGMA foreign_keys")).scalar_one()]
    a_store.close()


def test_a_relative_path_does_not_follow_the_working_folder(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is where it was at the connect: for reading, changing, and for who connects by its own URL."""
    (tmp_path / "one").mkdir()
    shutil.copy(sqlite_template, tmp_path / "one" / "registry.db")
    monkeypatch.chdir(tmp_path / "one")
    with Registry.connect(Settings(database_url="sqlite:///registry.db", fernet_keys=[KEY_A])) as registry:
        model = created(registry)
        monkeypatch.chdir(tmp_path)
        assert model == registry.resolve(model.id).model
        created(registry)
        assert [] == list(tmp_path.glob("registry.db*"))
        assert str(tmp_path / "one" / "registry.db") in repr(registry)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret-word@host:$PORT/name",
        "postgresql://user:secret-word@host:port/name",
        "postgresql://user:secret-word@host:99999999999999999999x/name",
        "sqlite:///secret-word\0.db",
        "sqlite:///secret-word\ud800.db",
        "sqlite:///secret-word\n.db",
        "sqlite:///secret-word%00.db",
        "sqlite:////",
        "postgresql://user:secret-word%00@host/name",
        "postgresql://user:secret-word@a..b/name",
        f"postgresql://user:secret-word@{'x' * 64}/name",
        "postgresql://user:secret-word@host:65536/name",
        "postgresql://user:secret-word@host/name?host=a:b",
        "postgresql:///name?host=a:b:c&password=secret-word",
        "postgresql:///name?port=abc&password=secret-word",
        "postgresql:///name?port=1,70000&host=a,b&password=secret-word",
        "postgresql:///name?password=secret-word&password=secret-word-2",
        "postgresql:///name?secret-word=1",
        "postgresql:///name?plugin=secret-word",
        "postgresql:///name?prepare_threshold=5&password=secret-word",
        "postgresql:///name?row_factory=x&password=secret-word",
        "mysql://user:secret-word@host/name",
        "secret-word",
        "://secret-word",
    ],
)
def test_an_unusable_url_is_refused_without_being_repeated(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(errors.SettingsError, match="REGISTRY_DATABASE_URL") as caught:
        Registry.connect(Settings(database_url=url, fernet_keys=[KEY_A]))
    assert "secret-word" not in "".join(traceback.format_exception(caught.value))


def test_parameters_of_the_driver_are_named() -> None:
    """They work elsewhere, and would be looked for in vain."""
    with pytest.raises(errors.SettingsError, match="must not set plugin, row_factory"):
        Store("postgresql:///name?plugin=x&sslmode=disable&row_factory=y")


@pytest.mark.parametrize("name", ["password", "sslpassword", "oauth_client_secret", "scram_client_key"])
def test_a_secret_parameter_is_shown_by_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the registry and its parts nor by the engine; the driver alone gets it."""
    sent: dict[str, Any] = {}
    monkeypatch.setattr(driver, "_connected", sent.update)
    registry = Registry(Settings(), Store(f"postgresql://user:hidden-word@127.0.0.1:1/name?{name}=hidden-word"), None)
    parts = (registry, registry.models, registry.audit, registry.knowledge_bases, registry.proxy)
    shown = [*map(repr, parts), repr(registry._store.engine)]
    assert [] == [each for each in shown if "hidden-word" in each or "127.0.0.1:1/name" not in each]
    with pytest.raises(errors.StoreError), registry._store.read():
        pass  # nothing listens there
    assert "hidden-word" == sent[name]


@pytest.mark.parametrize("encoding", ["latin1", "sqlascii", "nonsense"])
def test_texts_are_sent_as_utf8(postgresql_url: str, connect: Connect, encoding: str) -> None:
    """Whatever the URL says: others cannot hold each name."""
    url = make_url(postgresql_url).update_query_dict({"client_encoding": encoding})
    reg = connect(Settings(database_url=url.render_as_string(hide_password=False), fernet_keys=[KEY_A]))
    assert "漢" == created(reg, generation(name="漢")).name


def test_a_relative_path_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing that it could be relative to."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(errors.SettingsError, match="whole path"):
        Store("sqlite:///registry.db")


@pytest.mark.parametrize(
    "path",
    ["{}/" + "a" * 5000, "{}/" + "a/" * 2500 + "a", "{}", "{}/loop/registry.db"],
    ids=["name", "path", "folder", "loop"],
)
def test_a_path_that_cannot_be_opened(tmp_path: Path, path: str) -> None:
    """At connecting and at setting up: a StoreError, whatever the system says."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    url = f"sqlite:///{path.format(tmp_path)}"
    for call in (lambda: Registry.connect(Settings(database_url=url, fernet_keys=[KEY_A])), lambda: Store(url).setup()):
        with pytest.raises(errors.StoreError, match="cannot be opened") as caught:
            call()
        assert_helpful(caught.value)


def test_rights_that_were_taken_away(sqlite_template: Path) -> None:
    """A folder that may not be looked into any more: for who connects, and for who is connected."""
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        place = Path(base) / "store"
        place.mkdir(mode=0o777)
        settings = Settings(
            database_url=f"sqlite:///{shutil.copy(sqlite_template, place / 'registry.db')}", fernet_keys=[KEY_A]
        )
        calls: tuple[Callable[[Registry], object], ...] = (
            lambda _: Registry.connect(settings),
            lambda reg: reg.resolve(type="ner"),
            created,
            lambda reg: reg._store.setup(),
        )
        with Registry.connect(settings) as reg:
            place.chmod(0)
            with _as_somebody_else():
                for call in calls:
                    with pytest.raises(errors.StoreError, match="permissions") as caught:
                        call(reg)
                    assert_helpful(caught.value)
            place.chmod(0o755)


@pytest.mark.parametrize(
    "time_",
    [None, "2026-01-01", 1_700_000_000, float("nan"), utcnow().replace(tzinfo=None), NaT],
    ids=["None", "text", "number", "nan", "naive", "NaT"],
)
def test_a_clock_that_tells_no_time_is_named(settings: Settings, time_: Any) -> None:
    """Nothing is saved, and the store is not blamed."""
    with Registry.connect(settings, clock=lambda: time_) as reg:
        with pytest.raises(errors.InvalidInputError, match="clock"):
            created(reg)
        assert [] == reg.models.find()
