"""Tabs without a browser: they speak to the server's WebSocket as Streamlit's frontend does, hundreds at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.asyncio.client import ClientConnection, connect

from registry.keys.passes import Passes
from tests.support.browser import TIMEOUT, Server
from tests.support.factories import LOCAL_ADMINISTRATOR

T = TypeVar("T")


class Tab:
    """One tab, which keeps the messages that it was sent.

    Attributes:
        sizes: how many bytes each message had.
        sent_to: where the server sent it, None as long as it did not.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.messages: list[ForwardMsg] = []
        self.sizes: list[int] = []
        self._connection = connection

    @property
    def session(self) -> str:
        """The id of its session, known after the first run."""
        return next(each.new_session.initialize.session_id for each in self.messages if each.HasField("new_session"))

    @property
    def sent_to(self) -> str | None:
        return next((each.auth_redirect.url for each in self.messages if each.HasField("auth_redirect")), None)

    async def run(self, page: str = "models", state: int = 0) -> None:
        """Have the page run, and wait until it has.

        Args:
            page: its path, without a slash.
            state: how many bytes of some field's value to send along.

        Raises:
            ConnectionClosed: the server ended the connection.
        """
        fields = [WidgetState(id="none of ours", string_value="x" * state)] if state else []
        wanted = ClientState(page_name=page, widget_states=WidgetStates(widgets=fields))
        await self._connection.send(BackMsg(rerun_script=wanted).SerializeToString())
        await self._hear("script_finished")

    async def leave(self) -> None:
        """Wait until the server sends it elsewhere.

        Raises:
            ConnectionClosed: the server ended the connection.
        """
        await self._hear("auth_redirect")

    async def _hear(self, kind: str) -> None:
        heard = ""
        async with asyncio.timeout(TIMEOUT):
            while heard != kind:
                data = await self._connection.recv(decode=False)
                self.sizes.append(len(data))
                self.messages.append(ForwardMsg.FromString(data))
                heard = self.messages[-1].WhichOneof("type") or ""


@asynccontextmanager
async def tab(running: Server, *, signed_in: bool = False, xsrf: str = "none") -> AsyncIterator[Tab]:
    """A tab on a server whose people sign in by links; the page has not run yet."""
    passes = Passes(running.data)
    cookies = [f"{passes.cookie_name}={passes.issue('session', LOCAL_ADMINISTRATOR)}"] if signed_in else []
    async with connect(
        running.url.replace("http", "ws") + "/_stcore/stream",
        subprotocols=["streamlit", xsrf],  # type: ignore[list-item]  # as the frontend hands over its token
        origin=running.url,  # type: ignore[arg-type]  # a text
        additional_headers=[("Cookie", cookie) for cookie in cookies],
        max_size=None,
        proxy=None,
    ) as connection:
        yield Tab(connection)


def done(work: Coroutine[Any, Any, T]) -> T:
    """Wait for something that is done in tabs. Beside a browser, whose own event loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
