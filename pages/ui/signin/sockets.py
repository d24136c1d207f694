"""Limits of WebSockets: the size and rate of a browser's messages, the number of connections without a sign-in, and
the number of open files."""

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
SIGNED_OUT_BYTES = 64_000  # per message: the sign-in page has a button and no fields
FROM_PAGES = ("rerun_script", "stop_script", "app_heartbeat")  # message types allowed without a sign-in
MOST_PIECES = 64  # frames per message: browsers split 1 MB into a few
MOST_FRAMES = 256  # per second: users only click and type
PAGE_BYTES = 64_000_000  # per message to a browser: a list of 10,000 models has 3 MB, with the longest names 21

MOST_FILES = 10_240  # the limit of macOS where it reports none
_PER_SESSION = 4  # its socket, and the files of the event loop that Streamlit creates for it
_DISCONNECTED = 128 * 3  # the event loops of disconnected sessions that Streamlit keeps for reconnects
_OTHERS = 128  # the database, the log, processes of connection tests

LEFT_PATH = "closed"
LEFT_PAGE = Path(__file__).parent / "closed.html"
LEAVING = 5  # seconds that a browser has to go to that page


class SignedOut:
    """Keeps at most ``most`` WebSockets open without a sign-in: above that, it closes the oldest one. Signed-in users
    do not count. A new one is refused only while more arrive than can be closed: each keeps its files, and those of
    Streamlit for it, until it is gone.

    The oldest is the first to connect, not the longest silent: a client that keeps sending would otherwise stay and
    drive out users who read how to sign in.
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
            with suppress(TimeoutError, OSError):  # it does not read, or is gone
                async with self._leaving.place(LEAVING):
                    await _redirect(receive, send)

    def _bounded(self, receive: Receive, place: asyncio.Timeout) -> Receive:
        async def bounded() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not _is_of_a_page(message):
                self._open.end(place)
                await asyncio.sleep(0)  # the block ends here
            return message

        return bounded


def _is_of_a_page(message: Message) -> bool:
    """Whether Streamlit's page sends such a message before the sign-in. Streamlit logs unreadable ones."""
    data = message["bytes"]
    try:
        return len(data) <= SIGNED_OUT_BYTES and BackMsg.FromString(data).WhichOneof("type") in FROM_PAGES
    except DecodeError:
        return False


class _Places:
    """A number of places: taking one more ends the oldest place's block, with TimeoutError."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[asyncio.Timeout, None] = {}

    @asynccontextmanager
    async def place(self, seconds: float | None = None) -> AsyncIterator[asyncio.Timeout]:
        """Take a place for the block, and for so many seconds at most."""
        async with asyncio.timeout(seconds) as place:
            self._taken[place] = None
            try:
                if len(self._taken) > self._most:
                    self.end(next(iter(self._taken)))
                yield place
            finally:
                self._taken.pop(place, None)

    def end(self, place: asyncio.Timeout) -> None:
        """End the block of a place, unless it has ended or its time has expired."""
        if place in self._taken:
            del self._taken[place]
            if not place.expired():
                place.reschedule(0)


class _Frames(ServerProtocol):
    """Ends a WebSocket that sends text, which Streamlit's page never does, or more frames than any browser sends. Even
    an empty one costs time, and all that arrive at once are read before other users are served."""

    _pieces = 0
    _frames = 0
    _second = 0

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame.

        Raises:
            ProtocolError: it is text, or too many came in its message or this second.
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
    """Make websockets refuse text, and too many frames."""
    websockets_sansio_impl.ServerProtocol = _Frames  # type: ignore[attr-defined]  # not exported


async def _redirect(receive: Receive, send: Send) -> None:
    """Send a browser to the page that explains the end, and wait until it is gone: after a plain close, Streamlit's
    page reconnects."""
    message = ForwardMsg()
    message.auth_redirect.url = _left_path()
    await send({"type": "websocket.send", "bytes": message.SerializeToString()})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def left_route() -> Route:
    """The page shown after a WebSocket was ended."""

    async def left(_: Request) -> Response:
        return HTMLResponse(LEFT_PAGE.read_text(encoding="utf-8"))

    return Route(_left_path(), left)


def _left_path() -> str:
    return make_url_path(config.get_option("server.baseUrlPath"), LEFT_PATH)


def set_page_bytes() -> None:
    """Let pages send larger messages than browsers.

    Streamlit has one setting for both, `server.maxMessageSize`. When the app starts, the server has already read it as
    the limit for browsers; from then on Streamlit reads only this value, as the limit for pages.
    """
    runtime_util._max_message_size_bytes = PAGE_BYTES


def most_signed_out(files: int) -> int:
    """How many WebSockets may be open without a sign-in, if the process may have so many open files: half of those that
    fit, from 16 to 200."""
    room = (files - _DISCONNECTED - _OTHERS) // _PER_SESSION
    return max(FEWEST_SIGNED_OUT, min(MOST_SIGNED_OUT, room // 2))


def most_with_leaving(most: int) -> int:
    """How many of these there may be, including those being redirected or closed for new ones."""
    return 2 * most + most // 4


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as allowed, up to 10,240, and return it."""
    if sys.platform == "win32":  # it has no such limit
        return MOST_FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # the system allows less than it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
