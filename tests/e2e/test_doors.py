"""Who gets in, and by which doors: every path runs the frame first, and only this machine is answered."""

from __future__ import annotations

import asyncio
import http.client
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from playwright.sync_api import Error, expect
from websockets.exceptions import ConnectionClosed

from pages.ui.signin.sockets import MOST_SIGNED_OUT, PAGE_BYTES, SIGNED_OUT_BYTES
from registry import Registry, Settings
from tests.support.browser import Server, Visitor, healthy
from tests.support.factories import KEY_A, created, generation
from tests.support.tabs import done, tab

pytestmark = pytest.mark.e2e

ADDRESSES = ["/", "/models", "/edit", "/audit", "/proxy", "/main", "/ui", "/dialogs"]


@pytest.fixture
def environment(sqlite_url: str) -> dict[str, str]:
    """Which store it is makes no difference at the door."""
    return {"REGISTRY_DATABASE_URL": sqlite_url, "REGISTRY_FERNET_KEYS": KEY_A}


@pytest.mark.parametrize("path", ADDRESSES)
def test_no_page_runs_without_the_frame(visitor: Visitor, path: str) -> None:
    """Opened directly on a server that nobody has visited, each path runs pages/main.py first, where the sign-in
    stands; what is no page shows the list instead of running a file of that name."""
    visitor.open(path)
    page = visitor.page
    expect(page.get_by_text("Local administrator")).to_be_visible()
    expect(page.get_by_role("link", name="Audit log")).to_be_visible()
    title = {"/edit": "Add model", "/audit": "Audit log", "/proxy": "Proxy"}.get(path, "Models")
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


FORWARDED = [
    {"X-Forwarded-For": "203.0.113.9"},
    {"x-forwarded-host": "registry.example.com"},
    {"X-Forwarded-Proto": "https"},
    {"Forwarded": "for=203.0.113.9"},
]
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def _status(port: int, path: str, headers: dict[str, str], host: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def test_forwarded_requests_are_refused(started: Callable[..., Server], environment: dict[str, str]) -> None:
    """What came through something that forwards may come from anywhere: pages, health and the WebSocket say no."""
    port = started(environment).port
    assert _status(port, "/", {}) == 307
    assert _status(port, "/models", {}) == 200
    assert _status(port, "/_stcore/stream", WEBSOCKET) == 101
    for headers in FORWARDED:
        for path in ("/", "/edit", "/_stcore/health", "/_stcore/metrics", "/static/x"):
            assert _status(port, path, headers) == 403, (path, headers)
        assert _status(port, "/_stcore/stream", {**WEBSOCKET, **headers}) == 403


def test_other_origins_and_names_are_refused(started: Callable[..., Server], environment: dict[str, str]) -> None:
    """A page of another site, or this machine under a name that an attacker made up, gets no WebSocket."""
    port = started(environment).port
    foreign = {"Origin": "http://evil.example"}
    rebound = {"Origin": f"http://evil.example:{port}", "Host": f"evil.example:{port}"}
    assert _status(port, "/_stcore/stream", {**WEBSOCKET, **foreign}) == 403
    assert _status(port, "/_stcore/stream", {**WEBSOCKET, **rebound}) == 403


def test_other_machines_are_refused(started: Callable[..., Server], environment: dict[str, str]) -> None:
    """Even if the server is set to listen on all addresses, it answers only its own machine."""
    address = _own_address()
    running = started(environment, ("-m", "uvicorn", "app:app", "--host", "0.0.0.0"))  # noqa: S104  # what must not be
    assert healthy(running)
    for path in ("/", "/_stcore/health"):
        assert _status(running.port, path, {}, host=address) == 403
    assert _status(running.port, "/_stcore/stream", WEBSOCKET, host=address) == 403


def _own_address() -> str:
    """An address of this machine that is not loopback; asking for a route sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("This machine has no address but loopback.")
        return str(probe.getsockname()[0])


@pytest.fixture
def _few_files() -> Iterator[None]:
    """A server that is started now may have 1,024 files open at first, as most systems have it."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("_few_files")
def test_a_flood_of_tabs_keeps_nobody_out(started: Callable[..., Server], environment: dict[str, str]) -> None:
    """500 tabs without a sign-in, which do nothing: the first ones are sent away, and a newcomer and a user who is
    signed in are served; who was signed in before stays."""
    running = started(environment)
    done(_flood(running, 500))


async def _flood(running: Server, number: int) -> None:
    async with AsyncExitStack() as stack:
        early = await stack.enter_async_context(tab(running, signed_in=True))
        await early.run()
        idle = [await stack.enter_async_context(tab(running)) for _ in range(number)]
        for each in idle[:-MOST_SIGNED_OUT]:
            await each.leave()
        for late in (True, False):
            served = await stack.enter_async_context(tab(running, signed_in=late))
            await served.run()
            assert served.sent_to is None
        await early.run("audit")
        assert early.sent_to is None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await idle[-1].leave()
        assert {"/closed"} == {each.sent_to for each in idle[:-MOST_SIGNED_OUT]}


def test_a_tab_that_was_sent_away_stays_away(
    started: Callable[..., Server], visitors: Callable[..., Visitor], environment: dict[str, str]
) -> None:
    """It shows why, and does not come back by itself; its link opens the dashboard again."""
    running = started(environment)
    visitor = visitors(running, None)
    visitor.open("/audit")
    before = len(visitor.frames)

    async def flood() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(MOST_SIGNED_OUT):
                await stack.enter_async_context(tab(running))

    sockets: list[str] = []
    visitor.page.on("websocket", lambda opened: sockets.append(opened.url))
    done(flood())
    visitor.page.wait_for_url(running.url + "/closed")
    expect(visitor.page.get_by_role("heading", name="This page was closed")).to_be_visible()
    assert (before + 1, []) == (len(visitor.frames), sockets)
    with visitor.rerun():
        visitor.page.get_by_role("link", name="Open it again").click()
    expect(visitor.page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("signed_in", "size", "is_taken"),
    [
        (False, SIGNED_OUT_BYTES - 1_000, True),
        (False, SIGNED_OUT_BYTES, False),
        (True, 1_800_000, True),
        (True, 2_000_000, False),
        (True, 20_000_000, False),
    ],
)
def test_what_browsers_may_send(lasting: Server, signed_in: bool, size: int, is_taken: bool) -> None:
    """2 MB at once, so that a long paste gets a message at its field; without a sign-in 64 KB."""

    async def send() -> bool:
        async with tab(lasting, signed_in=signed_in) as each:
            try:
                await each.run(state=size)
            except ConnectionClosed:
                return False
            return True

    assert is_taken == done(send())


def test_uploads_are_refused(lasting: Server) -> None:
    """Before their end: what is announced never comes, and the answer does not wait for it."""
    connection = http.client.HTTPConnection("localhost", lasting.port, timeout=10)
    connection.putrequest("PUT", "/_stcore/upload_file/session/file")
    connection.putheader("Content-Length", "300000000")
    connection.endheaders(b"x" * 1000)
    answer = connection.getresponse()
    assert (403, "close") == (answer.status, answer.getheader("Connection"))
    connection.close()


@pytest.fixture
def large(sqlite_url: str, environment: dict[str, str]) -> dict[str, str]:
    """A registry with 10,000 models, whose names and ids are as long as they may be."""
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])) as reg:
        created(reg, generation())
    with closing(sqlite3.connect(Path(sqlite_url.removeprefix("sqlite:///")))) as store, store:
        columns = [name for _, name, *_ in store.execute("PRAGMA table_info(models)")]
        changed = {
            "id": "printf('%08d-0000-4000-8000-000000000000', n)",
            "name": "printf('%05d', n) || substr(replace(hex(zeroblob(125)), '0', 'ü'), 1, 250)",
            "name_key": "printf('%05d', n)",
            "model_id": "substr(replace(hex(zeroblob(128)), '0', 'x'), 1, 255)",
        }
        values = ", ".join(changed.get(column, column) for column in columns)
        store.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999) "
            f"INSERT INTO models ({', '.join(columns)}) SELECT {values} FROM models, numbers"
        )
    return environment


def test_the_largest_page_can_be_sent(started: Callable[..., Server], large: dict[str, str]) -> None:
    """The list of 10,000 models with the longest names, in one message: larger than what browsers may send, and with
    room to the limit."""
    running = started(large)

    async def sizes() -> list[int]:
        async with tab(running, signed_in=True) as each:
            await each.run()
            assert not any(b"size limit" in message.SerializeToString() for message in each.messages)
            return each.sizes

    assert 1_000_000 < max(done(sizes())) < PAGE_BYTES / 2


def test_requests_elsewhere_would_be_seen(visitor: Visitor) -> None:
    """The control to what every test here checks at its end: a request to another host is noticed, and so is what the
    content security policy stops."""
    visitor.open()
    visitor.page.evaluate("fetch('http://127.0.0.1:9/', {mode: 'no-cors'}).catch(() => null)")
    assert "127.0.0.1:9" not in visitor.hosts
    assert "connect-src" in visitor.faults[0]
    visitor.faults.clear()
    with pytest.raises(Error, match="UNSAFE_PORT"):
        visitor.page.goto("http://127.0.0.1:9/")
    assert "127.0.0.1:9" in visitor.hosts
    visitor.hosts.remove("127.0.0.1:9")
