"""How long headers may be, on the server that Streamlit runs us on: every request is answered, too long ones by 431."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from pages.ui.signin import headers
from pages.ui.signin.doors import HEADERS
from pages.ui.signin.headers import MOST, MOST_LINES, Bound

HTTP = "Accept: */*"
WEBSOCKET = "\r\n".join(
    [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
)
KINDS = pytest.mark.parametrize("kind", [HTTP, WEBSOCKET], ids=["http", "websocket"])
OTHERS = 400  # bytes, at most, that these requests have beside their cookies


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server as Streamlit starts it, with our limit and something behind it."""
    headers.bound()
    routes = [Route("/", lambda _: PlainTextResponse("ok")), WebSocketRoute("/", accept)]
    config = uvicorn.Config(Bound(Starlette(routes=routes)), ws="websockets-sansio", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def answer(port: int, request: str, pieces: int = 1) -> tuple[int, str, dict[str, str]]:
    """The status, text and headers of the answer."""
    sent = request.encode()
    size = -(-len(sent) // pieces)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for start in range(0, len(sent), size):
            connection.sendall(sent[start : start + size])
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            return response.status, response.read().decode(), dict(response.getheaders())


def request(kind: str, *lines: str) -> str:
    return "\r\n".join(["GET / HTTP/1.1", "Host: localhost", kind, *lines, "", ""])


@KINDS
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("size", [0, 9_000, 17_000, MOST - OTHERS], ids=["short", "100 groups", "200 groups", "limit"])
def test_headers_up_to_the_limit_are_read(port: int, kind: str, size: int, pieces: int) -> None:
    """In a line of any length, and whatever pieces they come in."""
    assert answer(port, request(kind, "Cookie: " + "x" * size), pieces)[0] == (200 if kind == HTTP else 101)


@KINDS
def test_many_headers_are_read(port: int, kind: str) -> None:
    """More of them than WebSockets have by default."""
    lines = [f"X-Header-{number}: x" for number in range(500)]
    assert answer(port, request(kind, *lines))[0] == (200 if kind == HTTP else 101)


@KINDS
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("size", [MOST, 3 * MOST, 12 * MOST], ids=["limit", "three times", "twelve times"])
def test_longer_headers_are_answered(port: int, kind: str, size: int, pieces: int) -> None:
    """The whole answer arrives, and says what to do."""
    assert answer(port, request(kind, "Cookie: " + "x" * size), pieces)[:2] == (431, headers.TOO_LONG)


@KINDS
@pytest.mark.parametrize(
    ("line", "number"), [("a:", MOST_LINES), ("a: " + "x" * 65, MOST // 69)], ids=["empty", "with what is around them"]
)
def test_too_many_headers_are_answered(port: int, kind: str, line: str, number: int) -> None:
    """However little is in each: lines are counted, and of their bytes all that were sent."""
    assert answer(port, request(kind, *[line] * number))[:2] == (431, headers.TOO_LONG)


@KINDS
@pytest.mark.parametrize("address", ["/?", "/"], ids=["query", "path"])
def test_a_longer_address_is_answered(port: int, kind: str, address: str) -> None:
    """As headers are, with which it is counted together."""
    assert answer(port, request(kind).replace("/", address + "x" * MOST, 1))[:2] == (431, headers.TOO_LONG)


def test_headers_that_never_end_are_answered(port: int) -> None:
    """As soon as they are too long, with the security headers that nobody else could add any more."""
    status, text, sent = answer(port, request(HTTP, "Cookie: " + "x" * 2 * MOST)[:-4])
    assert (status, text) == (431, headers.TOO_LONG)
    assert HEADERS.items() <= sent.items()


@pytest.mark.parametrize("line", ["no header", "Na me: x", "Content-Length: x"])
def test_what_is_no_request_is_still_refused_as_such(port: int, line: str) -> None:
    """The control: only what is too long is called so."""
    assert answer(port, request(HTTP, line))[:2] == (400, "Invalid HTTP request received.")


@pytest.mark.parametrize(
    "refused",
    [
        request(WEBSOCKET, "Cookie: " + "x" * MOST),
        request(HTTP, "no header"),
        request("Connection: Upgrade", "Upgrade: h2c"),
    ],
    ids=["websocket", "no request", "another protocol"],
)
def test_a_refusal_is_not_logged(
    port: int, refused: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody could fill the disk with them; what goes wrong in the server still is."""
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    log = logging.getLogger("uvicorn.error")
    caplog.set_level(logging.WARNING, log.name)
    answer(port, refused)
    answer(port, request(HTTP))  # by now it would have been
    log.error("of the server")
    assert {"of the server"} == set(caplog.messages)
