"""What WebSockets may use up: how much a browser may send, how many may stand open without a sign-in, and of how many
open files the server takes them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import runtime_util
from streamlit.url_util import make_url_path

MOST_SIGNED_OUT = 200
FEWEST_SIGNED_OUT = 16
SIGNED_OUT_BYTES = 64_000  # of one message: the sign-in has a button and no fields
PAGE_BYTES = 64_000_000  # of one message to a browser: a list of 10,000 models has 3 MB, with the longest names 21

MOST_FILES = 10_240  # which macOS allows, where it names no limit
_PER_SESSION = 4  # its socket, and what the event loop needs that Streamlit makes for it
_DISCONNECTED = 128 * 3  # the event loops of the sessions that Streamlit keeps for those who reconnect
_OTHERS = 128  # the database, the log, processes of connection tests

LEFT_PATH = "closed"
LEFT_PAGE = Path(__file__).parent / "closed.html"
LEAVING = 5  # seconds that a browser has to follow to that page


class SignedOut:
    """Lets at most ``most`` WebSockets of people who are not signed in stand open: when there are more, the one that
    came first is ended. A newcomer is let in always, and who is signed in is not counted.

    The order is that of coming, not of the last message: somebody who keeps sending would stay, and drive out those who
    read how to sign in.
    """

    def __init__(self, app: ASGIApp, is_signed_in: Callable[[HTTPConnection], bool], most: int) -> None:
        self._app = app
        self._is_signed_in = is_signed_in
        self._most = most
        self._open: dict[asyncio.Timeout, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or self._is_signed_in(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(None) as stay:
                with self._place(stay):
                    await self._app(scope, self._bounded(receive, stay), send)
        except TimeoutError:
            if not stay.expired():
                raise
            await _lead_away(receive, send)

    @contextmanager
    def _place(self, stay: asyncio.Timeout) -> Iterator[None]:
        self._open[stay] = None
        if len(self._open) > self._most:
            self._end(next(iter(self._open)))
        try:
            yield
        finally:
            self._open.pop(stay, None)

    def _end(self, stay: asyncio.Timeout) -> None:
        if stay in self._open:
            del self._open[stay]
            stay.reschedule(0)

    def _bounded(self, receive: Receive, stay: asyncio.Timeout) -> Receive:
        async def bounded() -> Message:
            message = await receive()
            if len(message.get("bytes") or b"") > SIGNED_OUT_BYTES:
                self._end(stay)
                await asyncio.sleep(0)  # here it ends
            return message

        return bounded


async def _lead_away(receive: Receive, send: Send) -> None:
    """Send a browser to the page that says why: at a socket that is just closed, Streamlit's page comes back by
    itself."""
    message = ForwardMsg()
    message.auth_redirect.url = _left_path()
    with suppress(TimeoutError, OSError):  # it does not read, or has gone
        async with asyncio.timeout(LEAVING):
            await send({"type": "websocket.send", "bytes": message.SerializeToString()})
            while (await receive())["type"] != "websocket.disconnect":
                pass


def left_route() -> Route:
    """The page where those are led whose WebSocket was ended."""

    async def left(_: Request) -> Response:
        return HTMLResponse(LEFT_PAGE.read_text(encoding="utf-8"))

    return Route(_left_path(), left)


def _left_path() -> str:
    return make_url_path(config.get_option("server.baseUrlPath"), LEFT_PATH)


def set_page_bytes() -> None:
    """Let pages send more at once than browsers may.

    Streamlit has one setting for both, `server.maxMessageSize`. The server has read it by the time that the app is
    started, as what it takes from browsers; from then on Streamlit looks here for what pages may send.
    """
    runtime_util._max_message_size_bytes = PAGE_BYTES


def most_signed_out(files: int) -> int:
    """How many WebSockets may stand open without a sign-in where the process may have so many files open: half of what
    there is room for, from 16 to 200."""
    room = (files - _DISCONNECTED - _OTHERS) // _PER_SESSION
    return max(FEWEST_SIGNED_OUT, min(MOST_SIGNED_OUT, room // 2))


def raise_open_files() -> int:
    """Let this process have as many files open as the system allows it, up to 10,240; returns how many."""
    if sys.platform == "win32":  # which does not count them
        return MOST_FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a system that allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
