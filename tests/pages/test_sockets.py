"""What WebSockets may use up, for floods and systems that no test machine can be."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.requests import HTTPConnection
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette import starlette_websocket
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from pages.ui.signin import current, sockets, startup
from pages.ui.signin.sockets import (
    MOST_FILES,
    MOST_FRAMES,
    MOST_PIECES,
    SIGNED_OUT_BYTES,
    SignedOut,
    _Frames,
    _Places,
    most_signed_out,
    most_with_leaving,
)
from registry import Settings
from tests.support.factories import LOCAL_ADMINISTRATOR

ROOT = Path(__file__).parents[2]
ORIGIN = "https://registry.example.com"
RERUN = BackMsg(rerun_script=ClientState()).SerializeToString()
FIRST, PIECE, LAST = (Opcode.BINARY, False), (Opcode.CONT, False), (Opcode.CONT, True)
WHOLE, PING = (Opcode.BINARY, True), (Opcode.PING, True)


class Browser:
    """The other end of a WebSocket."""

    def __init__(self, *, signed_in: bool = False, reads: bool = True) -> None:
        self.scope = {"type": "websocket", "headers": [(b"cookie", b"signed=in")] if signed_in else []}
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.heard: list[dict[str, Any]] = []
        self._reads = reads
        self.task: asyncio.Task[None] | None = None

    def open(self, app: SignedOut) -> Browser:
        """Begin to be served."""
        self.task = asyncio.create_task(app(self.scope, self.said.get, self._hear))
        return self

    async def _hear(self, message: Any) -> None:
        if not self._reads:
            await asyncio.Event().wait()
        self.heard.append(message)

    @property
    def sent_to(self) -> list[str]:
        return [ForwardMsg.FromString(message["bytes"]).auth_redirect.url for message in self.heard]


class Streamlit:
    """What is behind: keeps every connection until it ends, and the sizes of what came."""

    def __init__(self) -> None:
        self.open = 0
        self.sizes: list[int] = []

    async def __call__(self, _scope: Any, receive: Any, _send: Any) -> None:
        self.open += 1
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                self.sizes.append(len(message["bytes"]))
        finally:
            self.open -= 1


def _flooded(scenario: Callable[[SignedOut, Streamlit], Coroutine[Any, Any, None]], most: int = 2) -> None:
    async def main() -> None:
        behind = Streamlit()
        app = SignedOut(behind, lambda connection: "signed" in connection.cookies, most)
        await scenario(app, behind)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(main())


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_first_of_too_many_is_sent_away() -> None:
    """Whatever it sends; the newest stay, and those who are signed in are neither counted nor ended."""

    async def scenario(app: SignedOut, behind: Streamlit) -> None:
        members = [Browser(signed_in=True).open(app) for _ in range(5)]
        others = [Browser().open(app) for _ in range(2)]
        await _settle()
        others[0].said.put_nowait({"type": "websocket.receive", "bytes": RERUN})
        others.append(Browser().open(app))
        await _settle()
        assert [["/closed"], [], []] == [each.sent_to for each in others]
        assert [[]] * 5 == [each.heard for each in members]
        assert 5 + 2 == behind.open

    _flooded(scenario)


def test_who_has_gone_makes_room() -> None:
    """As many as may be open are, whatever was open before."""

    async def scenario(app: SignedOut, behind: Streamlit) -> None:
        for _ in range(5):
            each = Browser().open(app)
            each.said.put_nowait({"type": "websocket.disconnect"})
            await _settle()
        stay = [Browser().open(app) for _ in range(2)]
        await _settle()
        assert [[], []] == [each.heard for each in stay]
        assert 2 == behind.open

    _flooded(scenario)


def test_who_does_not_read_holds_nobody_up() -> None:
    """A newcomer is served at once, and of those who are led away no more are left than may stand open."""

    async def scenario(app: SignedOut, behind: Streamlit) -> None:
        deaf = []
        for _ in range(50):
            deaf.append(Browser(reads=False).open(app))
            await _settle()
        newcomer = Browser().open(app)
        newcomer.said.put_nowait({"type": "websocket.receive", "bytes": RERUN})
        await _settle()
        assert [len(RERUN)] == behind.sizes
        assert 4 == behind.open
        assert 4 - 1 + 4 == len([each for each in deaf if each.task and not each.task.done()])

    _flooded(scenario, most=4)


def test_a_place_whose_time_is_up_is_no_hindrance() -> None:
    """Who comes when the time of the first has passed, and its block has not ended yet, takes its place."""

    async def main() -> None:
        places = _Places(1)

        async def first() -> None:
            async with places.place(0):
                await asyncio.Event().wait()

        async def taken() -> bool:
            async with places.place():
                return True

        slow = asyncio.create_task(first())
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # its time is up
        assert not slow.done()
        assert [True] * 3 == [await taken() for _ in range(3)]
        assert not places._taken
        with pytest.raises(TimeoutError):
            await slow

    asyncio.run(main())


def test_more_at_once_than_can_be_ended_are_refused() -> None:
    """Nothing behind hears of them. Who is signed in is served, and so is a newcomer as soon as they have ended."""

    async def scenario(app: SignedOut, behind: Streamlit) -> None:
        crowd = [Browser().open(app) for _ in range(50)]
        member = Browser(signed_in=True).open(app)
        await asyncio.sleep(0)
        assert most_with_leaving(4) + 1 == behind.open
        refused = crowd[most_with_leaving(4) :]
        assert [[{"type": "websocket.close"}]] * len(refused) == [each.heard for each in refused]
        await _settle()
        newcomer = Browser().open(app)
        await _settle()
        assert 4 + 1 == behind.open
        assert [[], []] == [newcomer.heard, member.heard]

    _flooded(scenario, most=4)


@pytest.mark.parametrize(
    ("signed_in", "size", "is_taken"),
    [(False, SIGNED_OUT_BYTES, True), (False, SIGNED_OUT_BYTES + 1, False), (True, SIGNED_OUT_BYTES + 1, True)],
)
def test_a_large_message_is_not_taken(signed_in: bool, size: int, is_taken: bool) -> None:
    """Of a visitor who is not signed in: Streamlit would keep it with the session."""

    async def scenario(app: SignedOut, behind: Streamlit) -> None:
        each = Browser(signed_in=signed_in).open(app)
        each.said.put_nowait({"type": "websocket.receive", "bytes": _rerun(size)})
        await _settle()
        assert ([size] if is_taken else []) == behind.sizes
        assert ([] if is_taken else ["/closed"]) == each.sent_to

    _flooded(scenario)


def _rerun(size: int) -> bytes:
    around = 8  # bytes, at these lengths
    message = BackMsg(rerun_script=ClientState(query_string="x" * (size - around))).SerializeToString()
    assert size == len(message)
    return message


@pytest.mark.parametrize(
    ("message", "is_taken"),
    [
        (RERUN, True),
        (BackMsg(app_heartbeat=True).SerializeToString(), True),
        (b"", False),
        (b"\xff", False),
        (BackMsg(debug_shutdown_runtime=True).SerializeToString(), False),
        (BackMsg(load_git_info=True).SerializeToString(), False),
    ],
    ids=["rerun", "heartbeat", "nothing", "no message", "shutdown", "git"],
)
def test_only_what_the_sign_in_sends_is_taken(message: bytes, is_taken: bool) -> None:
    """What Streamlit would only complain of in the log, or start programs for, is not handed to it."""

    async def scenario(app: SignedOut, behind: Streamlit) -> None:
        each = Browser().open(app)
        each.said.put_nowait({"type": "websocket.receive", "bytes": message})
        await _settle()
        assert ([len(message)] if is_taken else []) == behind.sizes
        assert ([] if is_taken else ["/closed"]) == each.sent_to

    _flooded(scenario)


def test_an_error_of_the_page_is_none_of_ours() -> None:
    """A TimeoutError that Streamlit raises leads nobody away."""

    async def failing(*_: Any) -> None:
        raise TimeoutError

    async def main() -> None:
        await Browser().open(SignedOut(failing, lambda _: False, 2)).task  # type: ignore[misc]  # it is open

    with pytest.raises(TimeoutError):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("frames", "is_taken"),
    [
        ([FIRST, *[PIECE] * (MOST_PIECES - 2), LAST], True),
        ([FIRST, *[PIECE] * MOST_PIECES], False),
        ([FIRST, *[PIECE] * (MOST_PIECES - 2), LAST] * 2, True),
        ([WHOLE] * MOST_FRAMES, True),
        ([WHOLE] * (MOST_FRAMES + 1), False),
        ([PING] * (MOST_FRAMES + 1), False),
        ([FIRST, *[PING] * MOST_FRAMES], False),
    ],
    ids=["pieces", "a message of too many", "two messages", "frames", "too many", "pings", "pings in a message"],
)
def test_as_many_frames_as_browsers_send(
    frames: list[tuple[Opcode, bool]], is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More are not read, whatever is in them."""
    monkeypatch.setattr(sockets, "monotonic", lambda: 0.0)
    ours = _Frames(state=State.OPEN)
    ours.receive_data(b"".join(Frame(opcode, b"", fin).serialize(mask=True) for opcode, fin in frames))
    assert (None if is_taken else CloseCode.POLICY_VIOLATION) == (ours.close_sent and ours.close_sent.code)
    assert is_taken == (len(frames) == len(ours.events_received()))


def test_every_second_has_frames_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that stays goes on being heard."""
    ours = _Frames(state=State.OPEN)
    for second in range(3):
        monkeypatch.setattr(sockets, "monotonic", lambda second=second: second + 0.5)
        ours.receive_data(Frame(Opcode.BINARY, b"").serialize(mask=True) * MOST_FRAMES)
        assert MOST_FRAMES == len(ours.events_received())


@pytest.mark.parametrize("text", [b"hello", b"\xff"], ids=["text", "not UTF-8"])
def test_a_text_ends_the_connection(text: bytes) -> None:
    """Before anything reads it that would write an error into the log."""
    ours = _Frames(state=State.OPEN)
    ours.receive_data(Frame(Opcode.TEXT, text).serialize(mask=True))
    assert ours.close_sent
    assert CloseCode.UNSUPPORTED_DATA == ours.close_sent.code
    assert not ours.events_received()


def test_the_server_bounds_frames() -> None:
    """The control: what it reads WebSockets with is what is tested here."""
    sockets.bound()

    async def main() -> WebSocketsSansIOProtocol:
        return WebSocketsSansIOProtocol(uvicorn.Config(Streamlit(), log_config=None), ServerState(), {})

    assert isinstance(asyncio.run(main()).conn, _Frames)


@pytest.mark.parametrize(
    ("files", "most"), [(256, 16), (1024, 64), (2048, 192), (4096, 200), (10_240, 200), (MOST_FILES, 200)]
)
def test_as_many_as_there_are_files_for(files: int, most: int) -> None:
    """Half of the room is left to those who are signed in."""
    assert most == most_signed_out(files)


@pytest.mark.skipif(sys.platform == "win32", reason="counts no open files")
@pytest.mark.parametrize("soft", [64, 1024])
def test_the_limit_of_open_files_is_raised(soft: int) -> None:
    """To what the system allows, which is not exceeded."""
    found = _limits(f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, hard)); print(raise_open_files())")
    allowed, now, hard = (int(number) for number in found)
    assert now == allowed
    assert now > soft or hard <= soft
    assert now <= MOST_FILES or now == hard


@pytest.mark.skipif(sys.platform == "win32", reason="counts no open files")
def test_a_limit_that_cannot_be_raised_is_kept() -> None:
    """The server starts with what there is."""
    assert ["256", "256", "256"] == _limits(
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); print(raise_open_files())"
    )


def _limits(code: str) -> list[str]:
    begin = "import resource; from pages.ui.signin.sockets import raise_open_files; "
    begin += "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE); "
    whole = begin + code + "; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def _connection(cookie: str = "", origin: str = ORIGIN) -> HTTPConnection:
    headers = [(b"cookie", cookie.encode()), (b"origin", origin.encode())]
    return HTTPConnection({"type": "websocket", "headers": headers})


def test_a_pass_is_a_sign_in(local: Settings) -> None:
    """As long as it is ours, is of a session, and was not signed out."""
    passes = startup.passes(local)
    name, whole = passes.cookie_name, passes.issue("session", LOCAL_ADMINISTRATOR)
    assert current.is_signed_in(local, _connection(f"{name}={whole}"))
    for cookie in (
        "",
        f"{name}=",
        f"{name}=x",
        f"other={whole}",
        f"{name}={passes.issue('link', LOCAL_ADMINISTRATOR)}",
    ):
        assert not current.is_signed_in(local, _connection(cookie))
    found = passes.read("session", whole, 60)
    assert found
    passes.spent.add(found.id)
    assert not current.is_signed_in(local, _connection(f"{name}={whole}"))


@pytest.mark.parametrize(
    ("changed", "secret", "origin", "is_signed_in"),
    [
        ({}, "a" * 32, ORIGIN, True),
        ({}, "b" * 32, ORIGIN, False),
        ({}, "a" * 32, "https://evil.example", False),
        ({}, "a" * 32, "", False),
        ({"is_logged_in": False}, "a" * 32, ORIGIN, False),
        ({"iat": 1}, "a" * 32, ORIGIN, False),
        ({"iss": "https://other.example.com"}, "a" * 32, ORIGIN, False),
        ({"groups": ["none of ours"]}, "a" * 32, ORIGIN, False),
    ],
    ids=["whole", "another secret", "another origin", "no origin", "signed out", "old", "another issuer", "no role"],
)
def test_a_cookie_of_the_provider_is_a_sign_in(
    changed: dict[str, Any],
    secret: str,
    origin: str,
    is_signed_in: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Streamlit and the pages judge it."""
    issuer = "https://id.example.com"
    monkeypatch.setattr(startup, "provider", lambda: startup.Provider(None, issuer))
    monkeypatch.setattr(starlette_websocket, "get_cookie_secret", lambda: "a" * 32)
    settings = Settings(auth="oidc", data_dir=tmp_path, roles={"staff": "viewer"})
    claims = {"origin": ORIGIN, "is_logged_in": True, "iss": issuer, "iat": time.time(), "email": "a@example.com"}
    text = json.dumps({**claims, "groups": ["staff"], **changed})
    cookie = create_signed_value(secret, USER_COOKIE_NAME, text).decode()
    connection = _connection(f"{USER_COOKIE_NAME}={cookie}", origin)
    assert is_signed_in == current.is_signed_in(settings, connection)


def test_the_proxy_lets_in_nobody_else() -> None:
    """Whose requests get here has signed in there."""
    assert current.is_signed_in(Settings(auth="proxy", proxy_secret="x" * 32), _connection())


def test_the_page_that_they_are_led_to() -> None:
    """Below the path that the dashboard is served under, and with a way back."""
    assert "/closed" == sockets.left_route().path
    assert '<a href="./">Open it again</a>' in sockets.LEFT_PAGE.read_text(encoding="utf-8")
