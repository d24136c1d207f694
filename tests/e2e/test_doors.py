"""Who gets in, and by which doors: every path runs the frame first, and only this machine is answered."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable

import pytest
from playwright.sync_api import Error, expect

from tests.e2e.browser import Server, Visitor, healthy
from tests.factories import KEY_A

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
    assert _status(port, "/", {}) == 200
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
    """Even where somebody has a server of another kind listen on all addresses, it answers none but its own machine."""
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
