"""PostgreSQL's engine: connections that time out if the server does not answer.

A server that is stopped, or cut off behind a firewall, can still acknowledge packets, so neither TCP nor a limit on the
server ends the wait: the client needs a limit, which `patience` sets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from ipaddress import ip_address
from typing import Any, Final

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_attempts
from psycopg.pq import Conninfo, Format
from psycopg.types.datetime import TimestamptzLoader
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError

from registry.errors import SettingsError
from registry.store.patience import end_of_all, end_of_wait
from registry.store.tables import UNREADABLE, read_object

_POOL_SECONDS: Final = 4
_CONNECT_SECONDS: Final = 4
_LEAST_CONNECT_SECONDS: Final = 2  # the shortest timeout that psycopg applies
_OF_PYTHON: Final = ("autocommit", "context", "cursor_factory", "plugin", "prepare_threshold", "row_factory")
_MANIFOLD: Final = ("host", "options", "port")
_LAST_PORT: Final = 65535
_ZONE: Final = "-c timezone=UTC"


class SilentServerError(psycopg.OperationalError):
    """The server did not answer in time. The connection is closed, since its late response must not be read."""


class Connection(psycopg.Connection[Any]):
    """A connection whose waits end at the deadline of `patience`."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        end = end_of_wait()
        if end is None:
            return super().wait(gen, *args, **kwargs)
        try:
            return super().wait(_until(end, gen), *args, **kwargs)
        except SilentServerError:
            self.pgconn.finish()
            raise


class _Time(Loader):
    """Reads a time as psycopg does, but one without a Python equivalent, such as infinity, as `UNREADABLE`: otherwise
    the whole result could not be read."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        usual = psycopg.adapters.get_loader(oid, Format.TEXT) or TimestamptzLoader
        self._usual = usual(oid, context)

    def load(self, data: Buffer) -> Any:
        try:
            return self._usual.load(data)
        except psycopg.DataError:
            return UNREADABLE


def engine(url: URL, lock_seconds: int) -> Engine:
    """An engine whose connections time out, and are tested when taken from the pool.

    The ``options`` of the environment (``PGOPTIONS``) and then of the URL apply. They can change the lock timeout, but
    not the time zone; the URL cannot change the text encoding.

    Raises:
        SettingsError: the URL has unknown or duplicate parameters, or an invalid host or port.
    """
    made = create_engine(
        url.set(query={}),  # the engine's repr shows the query, which can contain passwords
        hide_parameters=True,
        json_deserializer=read_object,
        pool_pre_ping=True,
        pool_timeout=_POOL_SECONDS,
        connect_args=_parameters(url, lock_seconds),
    )

    @event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> Connection:
        return _connected(options)

    return made


def _parameters(url: URL, lock_seconds: int) -> dict[str, Any]:
    """The URL's parameters for libpq, by libpq's names."""
    known = {option.keyword.decode(): option.val for option in Conninfo.get_defaults()}
    strange = [name for name in url.query if name not in known]
    if strange:
        ours = ", ".join(name for name in strange if name in _OF_PYTHON)
        raise SettingsError(
            f"REGISTRY_DATABASE_URL must not set {ours or 'what PostgreSQL does not know'}. Remove it: only parameters "
            "of libpq, such as sslmode, can follow the “?”."
        )
    if any(not isinstance(value, str) for name, value in url.query.items() if name not in _MANIFOLD):
        raise SettingsError("REGISTRY_DATABASE_URL sets a parameter twice after the “?”. Leave one of them.")
    try:
        _, parameters = url.get_dialect()().create_connect_args(url)
        _check_places(str(parameters.get("host", "")), str(parameters.get("port", "")))
    except (ArgumentError, ValueError):
        raise SettingsError(
            "REGISTRY_DATABASE_URL names an invalid host or port. Check their spelling; a port is a number from 1 to "
            f"{_LAST_PORT}."
        ) from None
    own = url.query.get("options", ())
    of_environment = (known["options"] or b"").decode(errors="replace")
    options = (f"-c lock_timeout={lock_seconds}s", of_environment, *((own,) if isinstance(own, str) else own), _ZONE)
    return {**parameters, "options": " ".join(filter(None, options)), "client_encoding": "utf8"}


def _check_places(hosts: str, ports: str) -> None:
    """Raise ValueError if a host or a port is invalid."""
    for host in hosts.split(","):
        if ":" in host and not host.startswith("/"):
            ip_address(host)
        host.encode("idna")
    for port in filter(None, ports.split(",")):
        if not 1 <= int(port) <= _LAST_PORT:
            raise ValueError(port)


def _connected(options: dict[str, Any]) -> Connection:
    """A connection to the first address that answers. They share the time that `patience` leaves; the URL's own
    ``connect_timeout`` applies to each."""
    try:
        addresses = conninfo_attempts(options)
    except UnicodeError:  # of a host in the environment
        raise psycopg.OperationalError("a host cannot be looked up") from None
    end = end_of_all(default=math.inf)
    failure: psycopg.OperationalError = SilentServerError("the server did not answer in time")
    for number, address in enumerate(addresses):
        left = end - time.monotonic()
        if left < _LEAST_CONNECT_SECONDS:
            break
        share = max(_LEAST_CONNECT_SECONDS, min(_CONNECT_SECONDS, left / (len(addresses) - number)))
        given: dict[str, Any] = {"connect_timeout": share, **address}
        try:
            made = Connection.connect(**given)
        except psycopg.OperationalError as error:
            failure = error
        else:
            made.adapters.register_loader("timestamptz", _Time)
            return made
    raise failure


def _until(end: float, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The same steps, until the server is still silent at ``end``. Psycopg takes ten steps a second while waiting."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready and time.monotonic() >= end:
                raise SilentServerError("the server did not answer in time")
            state = gen.send(ready)
    except StopIteration as finished:
        return finished.value
