"""Takes the real guards away, so that positive controls can show that the tests would notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.orm import Session

from registry import Registry, Settings
from registry.keys.keyring import Keyring
from registry.keys.vault import Vault
from registry.proxy.plan import Task
from registry.proxy.sync import Follower
from registry.store.store import Store


class UnguardedStore(Store):
    """A store whose changes take no turn, no lock and no transaction: each statement is committed by itself."""

    @contextmanager
    def write(self) -> Iterator[Session]:
        options = {"registry_begin": "SELECT 1"} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with Session(self.engine.execution_options(**options), autoflush=False) as session, session.begin():
            yield session


def unguarded(settings: Settings) -> Registry:
    """A registry on the same database, without turns, locks and transactions."""
    keys = [key.get_secret_value() for key in settings.fernet_keys]
    return Registry(settings, UnguardedStore(settings.database_url), Vault(Keyring(keys) if keys else None))


def deleting_first(self: Follower, task: Task, _is_down: object) -> str:
    """In the place of ``Follower._carry_out``: a replacement that leaves a gap."""
    for id in task.step.deletes:
        self._api.delete(id)
    if task.adds is not None:
        self._api.add(task.adds)
    return ""


def plain_engine(url: str) -> Engine:
    """An engine that checks no foreign keys on SQLite and knows nothing of the library's rules."""
    return create_engine(url)


def remove_constraints(engine: Engine, table: str) -> None:
    """Drop every key and check of a table that no other table refers to."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text(f"CREATE TABLE bare AS SELECT * FROM {table}"))
            connection.execute(text(f"DROP TABLE {table}"))
            connection.execute(text(f"ALTER TABLE bare RENAME TO {table}"))
            return
        found = inspect(connection)
        names = [found.get_pk_constraint(table)["name"]]
        names += [each["name"] for each in (*found.get_foreign_keys(table), *found.get_check_constraints(table))]
        for name in names:
            connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'))


def remove_audit_triggers(engine: Engine) -> None:
    """Let the audit log be altered, as only the owner of the tables can."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))


def let_any_audit_row_in(engine: Engine) -> None:
    """Take all guards off the audit log: triggers, keys, and that a column holds something."""
    remove_audit_triggers(engine)
    if engine.dialect.name == "sqlite":
        remove_constraints(engine, "audit_log")
        return
    columns = [column["name"] for column in inspect(engine).get_columns("audit_log") if column["name"] != "seq"]
    with engine.begin() as connection:
        for column in columns:
            connection.execute(text(f'ALTER TABLE audit_log ALTER COLUMN "{column}" DROP NOT NULL'))


def refuse_audit_entries(engine: Engine) -> None:
    """Make every insertion into the audit log fail."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            body = "BEGIN SELECT RAISE(ABORT, 'no entries today'); END"
            connection.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON audit_log {body}"))
        else:
            connection.execute(text("ALTER TABLE audit_log ADD CONSTRAINT refuse CHECK (seq < 0) NOT VALID"))


def stored_bytes(url: str) -> bytes:
    """All bytes of an SQLite store: the file, its write-ahead log and what else lies beside it."""
    path = Path(url.removeprefix("sqlite:///"))
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))
