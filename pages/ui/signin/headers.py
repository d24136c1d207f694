"""Limits the length of a request's headers and address, since a session keeps both. Longer ones get status 431 and
a message that says what to do.

By default, h11 drops requests with more than 16 KB of headers, and websockets does not answer a header line of more
than 8 KB. The cookies of a user in 100 groups are longer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from http import HTTPStatus

import h11
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http import h11_impl
from websockets import http11

from pages.ui.signin.doors import HEADERS

MOST = 64 * 1024  # bytes
MOST_LINES = 1_000
TOO_LONG = (
    f"The headers of this request have more than {MOST // 1024} KB or {MOST_LINES:,} lines, mostly "
    "cookies. Delete this site's cookies in your browser, then sign in again. If you are in hundreds of groups, ask "
    "the administrator of your account to send only the groups of this dashboard.\n"
)
_PER_LINE = len(": \r\n")
_NO_LIMIT = 1 << 20  # of lines and bytes: more than h11 lets through, which reads a WebSocket's request first
_LOG = "uvicorn.error"
_NOT_LOGGED = (  # any client can cause these log lines at any rate; the response says the same
    "ASGI callable returned without completing handshake.",  # for every WebSocket refused with a response
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
)
_SECONDS = 5
_UNREAD = 1 << 20  # bytes


class Bound:
    """Answers 431 to longer headers that arrived in one piece, which h11 does not limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines = scope.get("headers", ())
        head = sum(len(name) + len(value) + _PER_LINE for name, value in lines)
        address = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        is_long = head + address > MOST or len(lines) > MOST_LINES
        app = PlainTextResponse(TOO_LONG, 431) if is_long else self._app
        await app(scope, receive, send)


def bound() -> None:
    """Make h11 and websockets accept headers up to the limit, answer longer ones, and log no refusal."""
    h11_impl.DEFAULT_MAX_INCOMPLETE_EVENT_SIZE = MOST  # type: ignore[attr-defined]  # not exported
    http11.MAX_LINE_LENGTH = http11.MAX_NUM_HEADERS = _NO_LIMIT
    h11_impl.H11Protocol.send_400_response = _refuse  # type: ignore[assignment, method-assign]  # the point
    logging.getLogger(_LOG).addFilter(_is_logged)


def _is_logged(record: logging.LogRecord) -> bool:
    return record.msg not in _NOT_LOGGED


def _refuse(connection: h11_impl.H11Protocol, message: str) -> None:
    """Answer a request that h11 refused, with the status of the error being handled."""
    status = HTTPStatus(getattr(sys.exc_info()[1], "error_status_hint", HTTPStatus.BAD_REQUEST))
    body = (TOO_LONG if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE else message).encode()
    about = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), "Connection": "close"}
    answer = (
        h11.Response(status_code=status, headers=[*(about | HEADERS).items()], reason=status.phrase),
        h11.Data(data=body),
        h11.EndOfMessage(),
    )
    connection.transport.write(b"".join(connection.conn.send(event) or b"" for event in answer))
    connection.connections.discard(connection)
    connection.transport.set_protocol(_Rest(connection.transport))


class _Rest(asyncio.Protocol):
    """Reads and discards data for a while: closing with unread data would lose the answer on its way."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._left = _UNREAD
        self._end = asyncio.get_running_loop().call_later(_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._end.cancel()
