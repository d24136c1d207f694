"""What WebSockets may use up: how much and how often a browser may send, how many may stand open without a sign-in, and
of how many open files the server takes them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import NoReturn

from google.protobuf.message import DecodeError
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import runtime_util
from streamlit.url_util import make_url_path
from uvicorn.protocols.websockets import websockets_sansio_impl
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol

MOST_SIGNED_OUT = 200
FEWEST_SIGNED_OUT = 16
SIGNED_OUT_BYTES = 64_000  # of one message: the sign-in has a button and no fields
FROM_PAGES = ("rerun_script", "stop_script", "app_heartbeat")  # without a sign-in
MOST_PIECES = 64  # of one message: of 1 MB, browsers make a few
MOST_FRAMES = 256  # in a second: people click and type
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
    came first is ended. Who is signed in is not counted, and a newcomer is refused only while more come at once than
    can be ended: each keeps its files, and Streamlit's for it, until it has gone.

    The order is that of coming, not of the last message: somebody who keeps sending would stay, and drive out those who
    read how to sign in.
    """

    def __init__(self, app: ASGIApp, is_signed_in: Callable[[HTTPConnection], bool], most: int) -> None:
        self._app = app
        self._is_signed_in = is_signed_in
        self._open = _Places(most)
        self._leaving = _Places(most)
        self._most = most_with_leaving(most)
        self._all = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or self._is_signed_in(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif self._all < self._most:
            self._all += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                self._all -= 1
        else:
            await send({"type": "websocket.close"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._open.place() as place:
                await self._app(scope, self._bounded(receive, place), send)
        except TimeoutError:
            if not place.expired():
                raise
            with suppress(TimeoutError, OSError):  # it does not read, or has gone
                async with self._leaving.place(LEAVING):
                    await _lead_away(receive, send)

    def _bounded(self, receive: Receive, place: asyncio.Timeout) -> Receive:
        async def bounded() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not _is_of_a_page(message):
                self._open.end(place)
                await asyncio.sleep(0)  # here it ends
            return message

        return bounded


def _is_of_a_page(message: Message) -> bool:
    """Whether Streamlit's page sends such a message before the sign-in. What it cannot read, Streamlit logs."""
    data = message["bytes"]
    try:
        return len(data) <= SIGNED_OUT_BYTES and BackMsg.FromString(data).WhichOneof("type") in FROM_PAGES
    except DecodeError:
        return False


class _Places:
    """So many places: whoever takes one more ends the block of whoever came first, with TimeoutError."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[asyncio.Timeout, None] = {}

    @asynccontextmanager
    async def place(self, seconds: float | None = None) -> AsyncIterator[asyncio.Timeout]:
        """Take a place until the end of the block, and for so long at most."""
        async with asyncio.timeout(seconds) as place:
            self._taken[place] = None
            try:
                if len(self._taken) > self._most:
                    self.end(next(iter(self._taken)))
                yield place
            finally:
                self._taken.pop(place, None)

    def end(self, place: asyncio.Timeout) -> None:
        """End the block of a place, if it goes on and its own time has not ended it already."""
        if place in self._taken:
            del self._taken[place]
            if not place.expired():
                place.reschedule(0)


class _Frames(ServerProtocol):
    """Ends a WebSocket that brings text, of which Streamlit's page sends none, or more frames than any browser sends.
    Each costs time, an empty one too, and all that came at once are read before anybody else is served."""

    _pieces = 0
    _frames = 0
    _second = 0

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame.

        Raises:
            ProtocolError: it is text, or one too many, of its message or in this second.
        """
        second = int(monotonic())
        self._frames = self._frames + 1 if second == self._second else 1
        self._second = second
        if frame.opcode is Opcode.BINARY:
            self._pieces = 1
        elif frame.opcode is Opcode.CONT:
            self._pieces += 1
        if frame.opcode is Opcode.TEXT:
            self._end(CloseCode.UNSUPPORTED_DATA, "text")
        if self._frames > MOST_FRAMES or self._pieces > MOST_PIECES:
            self._end(CloseCode.POLICY_VIOLATION, "too many frames")
        super().recv_frame(frame)

    def _end(self, code: CloseCode, reason: str) -> NoReturn:
        self.fail(code, reason)
        raise ProtocolError(reason)


def bound() -> None:
    """Have the reader of WebSockets take no text, and only so many frames."""
    websockets_sansio_impl.ServerProtocol = _Frames  # type: ignore[attr-defined]  # not exported


async def _lead_away(receive: Receive, send: Send) -> None:
    """Send a browser to the page that says why, and wait until it has gone: at a socket that is just closed,
    Streamlit's page comes back by itself."""
    message = ForwardMsg()
    message.auth_redirect.url = _left_path()
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


def most_with_leaving(most: int) -> int:
    """How many there may be of these together with those that are led away, or are being ended for newcomers."""
    return 2 * most + most // 4


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
