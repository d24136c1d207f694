"""PostgreSQL's engine: connections that give up on a server that does not answer.

A server that is stopped, or cut off behind a firewall, still acknowledges what it is sent, so that neither TCP nor a
limit on the server's side ends the waiting: the limit has to be on ours, and is what `patience` says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_attempts
from sqlalchemy import URL, Engine, create_engine, event

from registry.patience import end_of_all, end_of_wait

_POOL_SECONDS: Final = 4
_CONNECT_SECONDS: Final = 4
_LEAST_CONNECT_SECONDS: Final = 2  # psycopg waits no less


class SilentServerError(psycopg.OperationalError):
    """The server did not answer in time. The connection is closed: what it would answer later is for nobody."""


class Connection(psycopg.Connection[Any]):
    """A connection whose waits end when `patience` says so."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        end = end_of_wait()
        if end is None:
            return super().wait(gen, *args, **kwargs)
        try:
            return super().wait(_until(end, gen), *args, **kwargs)
        except SilentServerError:
            self.pgconn.finish()
            raise


def engine(url: URL, lock_seconds: int) -> Engine:
    """An engine on connections that give up, and that are tried when they come from the pool.

    The URL's own ``options`` count. They may change the limit for locks, but not the time zone.
    """
    options = url.query.get("options", ())
    own = (options,) if isinstance(options, str) else options
    made = create_engine(
        url.difference_update_query(["options"]),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=_POOL_SECONDS,
        connect_args={"options": " ".join((f"-c lock_timeout={lock_seconds}s", *own, "-c timezone=UTC"))},
    )

    @event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> Connection:
        return _connected(options)

    return made


def _connected(options: dict[str, Any]) -> Connection:
    """A connection to the first address that answers. All of them share what `patience` leaves; the URL's own
    ``connect_timeout`` counts for each."""
    addresses = conninfo_attempts(options)
    end = end_of_all(default=math.inf)
    failure: psycopg.OperationalError = SilentServerError("the server did not answer in time")
    for number, address in enumerate(addresses):
        left = end - time.monotonic()
        if left < _LEAST_CONNECT_SECONDS:
            break
        share = max(_LEAST_CONNECT_SECONDS, min(_CONNECT_SECONDS, left / (len(addresses) - number)))
        given: dict[str, Any] = {"connect_timeout": share, **address}
        try:
            return Connection.connect(**given)
        except psycopg.OperationalError as error:
            failure = error
    raise failure


def _until(end: float, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The same steps, until the server is silent at the end. Psycopg takes ten steps a second where nothing comes."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready and time.monotonic() >= end:
                raise SilentServerError("the server did not answer in time")
            state = gen.send(ready)
    except StopIteration as finished:
        return finished.value
