"""The doors: who is let in to the sign-in at all, for callers that no test machine can be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pages.ui.doors import Doors
from registry import Settings


def _let_in(scope: dict[str, Any]) -> bool:
    """Whether the app behind the guard is reached; otherwise the guard answers by itself."""
    reached = []
    answers: list[dict[str, Any]] = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(True)

    async def send(message: Any) -> None:
        answers.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(Doors(app, Settings())(scope, receive, send))
    finally:
        loop.close()
    if not reached:
        assert answers[0]["status"] == 403
    return bool(reached)


def _scope(kind: str, client: tuple[str, int] | None, *headers: bytes) -> dict[str, Any]:
    extensions = {"websocket.http.response": {}}
    return {
        "type": kind,
        "scheme": "http",
        "path": "/",
        "client": client,
        "headers": [(b"host", b"localhost"), *((name, b"x") for name in headers)],
        "extensions": extensions,
    }


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_let_in(kind: str, address: str) -> None:
    """Every loopback address is this machine."""
    assert _let_in(_scope(kind, (address, 4711)))


OTHERS = ["10.0.0.5", "192.168.1.9", "203.0.113.9", "0.0.0.0", "fe80::1", "2001:db8::1", "localhost", "", "testclient"]  # noqa: S104


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("address", OTHERS)
def test_others_are_refused(kind: str, address: str) -> None:
    """Any other address, and what is no address, is somebody else."""
    assert not _let_in(_scope(kind, (address, 4711)))


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_nobody_is_refused(kind: str) -> None:
    """A caller without an address, as behind a Unix socket, is not known to be here."""
    assert not _let_in(_scope(kind, None))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("header", [b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"forwarded"])
def test_forwarders_are_refused(kind: str, header: bytes) -> None:
    """A header that forwarders set gives them away, whatever address they have."""
    assert not _let_in(_scope(kind, ("127.0.0.1", 4711), b"accept", header))


def test_the_lifespan_is_no_caller() -> None:
    """The server's own start and end pass."""
    assert _let_in({"type": "lifespan"})
