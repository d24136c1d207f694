"""How long the headers of a request may be, together with its address: a session keeps both. Longer ones are answered
by 431, and with what to do about them.

By itself, what reads requests drops those whose headers have more than 16 KB, and what reads the ones of WebSockets
answers nothing at all to a line of more than 8 KB. The cookies of somebody in 100 groups are longer.
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
    f"The headers of this request have more than {MOST // 1024} KB or {MOST_LINES:,} lines, and nearly all of that is "
    "cookies. Delete this site's cookies in your browser, then sign in again. If you are in hundreds of groups, ask "
    "whoever manages your account to have only those sent that are meant for this dashboard.\n"
)
_PER_LINE = len(": \r\n")
_NO_LIMIT = 1 << 20  # of lines and bytes: more than passes h11, which is the first to read a WebSocket's request, too
_LOG = "uvicorn.error"
_NOT_LOGGED = (  # what anybody can have written there as often as they like; the answer says it, too
    "ASGI callable returned without completing handshake.",  # of every WebSocket that is refused by an answer
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
)
_SECONDS = 5
_UNREAD = 1 << 20  # bytes


class Bound:
    """Answers 431 to longer headers that came in one piece, so that h11 did not have to keep them."""

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
    """Have the readers of requests take headers up to the limit, answer longer ones, and log no refusal."""
    h11_impl.DEFAULT_MAX_INCOMPLETE_EVENT_SIZE = MOST  # type: ignore[attr-defined]  # not exported
    http11.MAX_LINE_LENGTH = http11.MAX_NUM_HEADERS = _NO_LIMIT
    h11_impl.H11Protocol.send_400_response = _refuse  # type: ignore[assignment, method-assign]  # the point
    logging.getLogger(_LOG).addFilter(_is_logged)


def _is_logged(record: logging.LogRecord) -> bool:
    return record.msg not in _NOT_LOGGED


def _refuse(connection: h11_impl.H11Protocol, message: str) -> None:
    """Answer a request that h11 gave up on, by the status that its error, which is being handled, is meant for."""
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
    """Reads on for a while without looking: where data is left unread, closing loses the answer on its way."""

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
