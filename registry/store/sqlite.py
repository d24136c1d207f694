"""SQLite: its file and its connections."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event

from registry.errors import SettingsError
from registry.store.tables import read_object

_PRAGMAS = ("foreign_keys = ON", "synchronous = FULL", "busy_timeout = 5000", "trusted_schema = OFF")


def absolute(path: Path) -> Path:
    """The absolute path, independent of later changes of the working folder."""
    try:
        found = path.absolute()
    except OSError:
        raise SettingsError(
            "REGISTRY_DATABASE_URL names its file from the working folder, which is gone. Give the whole path: "
            "sqlite:////path/to/file."
        ) from None
    if not found.name:
        raise SettingsError("REGISTRY_DATABASE_URL names no file. Give its path: sqlite:////path/to/file.")
    return found


def size(path: Path) -> int | None:
    """The size of a file in bytes; None if it is missing. Other errors are raised."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def engine(path: Path) -> Engine:
    """Connections to a file that exists."""
    # mode=rw: a deleted file must not be created again as an empty one
    uri = f"file:{quote(str(path))}"
    url = URL.create("sqlite", database=uri, query={"mode": "rw", "uri": "true"})
    made = create_engine(url, hide_parameters=True, json_deserializer=read_object)

    @event.listens_for(made, "connect")
    def configure(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver must not open transactions itself: "begin" below does
        connection.text_factory = _text
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("registry_begin", "BEGIN"))

    return made


def _text(raw: bytes) -> str | bytes:
    """The decoded text, or the raw bytes if it is not UTF-8: it must not make the whole result unreadable."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
