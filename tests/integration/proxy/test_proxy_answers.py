"""Answers of the LiteLLM proxy that have no end, or too much in them: a change goes on, and memory stays as it was."""

from __future__ import annotations

import gzip
import io
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from pydantic import SecretStr

from registry import errors
from registry.proxy import admin
from registry.proxy.admin import ProxyApi

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
LONG = OK + b"content-length: 100000000000\r\n\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def bomb() -> bytes:
    """An empty listing and 64 MB of spaces, packed."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(b'{"data": []}')
        for _ in range(64):
            file.write(b" " * 1024 * 1024)
    return packed.getvalue()


def packed() -> Iterator[bytes]:
    body = bomb()
    yield OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def deep() -> Iterator[bytes]:
    yield OK + b"content-length: 1000000\r\n\r\n" + b"[" * 1_000_000


@contextmanager
def speaking(parts: Callable[[], Iterable[bytes]], pause: float) -> Iterator[ProxyApi]:
    """The administration of a proxy that answers each request with these parts, one after a pause, until it is left."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            for part in parts():
                connection.sendall(part)
                if over.wait(pause):
                    return
            connection.recv(1)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with closing(ProxyApi(f"http://127.0.0.1:{listener.getsockname()[1]}", SecretStr("sk-master"))) as api:
            yield api
        over.set()


DRIPS: dict[str, Callable[[], Iterable[bytes]]] = {
    "the head": lambda: itertools.chain([OK], itertools.repeat(b"x")),
    "fields of the head": lambda: itertools.chain([OK], itertools.repeat(b"x: y\r\n")),
    "the body": lambda: itertools.chain([LONG], itertools.repeat(b" ")),
    "chunks": lambda: itertools.chain([CHUNKED], itertools.repeat(b"1\r\n \r\n")),
}


ASKED: dict[str, Callable[[ProxyApi], object]] = {
    "all": ProxyApi.entries,
    "one": lambda api: api.entries_of("a"),
    "delete": lambda api: api.delete("x"),
}


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_an_answer_that_drips_is_given_up(
    monkeypatch: pytest.MonkeyPatch, drip: str, ask: Callable[[ProxyApi], object]
) -> None:
    """However often a little comes in: the whole answer has a limit, and a change that waits for it goes on."""
    monkeypatch.setattr(admin, "_WHOLE_SECONDS", 0.3)
    with speaking(DRIPS[drip], 0.02) as api, pytest.raises(errors.ProxyError, match=r"did not answer|broke off"):
        ask(api)


@pytest.mark.parametrize(
    "parts",
    [packed, deep, lambda: itertools.chain([LONG], itertools.repeat(b" " * 65536))],
    ids=["packed", "deep", "without end"],
)
def test_an_answer_that_is_too_much_is_none(
    monkeypatch: pytest.MonkeyPatch, parts: Callable[[], Iterable[bytes]]
) -> None:
    """What is packed is not unpacked, what is longer than any listing not read on, what is too deep not followed."""
    monkeypatch.setattr(admin, "_MOST", 4 * 1024 * 1024)
    with speaking(parts, 0) as api, pytest.raises(errors.ProxyError):
        api.entries()


@pytest.mark.parametrize("charset", ["bz2", "hex", "idna", "undefined", "punycode"])
def test_no_charset_of_an_answer_is_decoded(charset: str) -> None:
    """Whatever it calls its text: what it says is looked for in its bytes."""
    head = f"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain; charset={charset}\r\ncontent-length: 4\r\n\r\nxxxx"
    with speaking(lambda: [head.encode()], 0) as api, pytest.raises(errors.ProxyError):
        api.delete("x")


def test_a_long_answer_is_read() -> None:
    """A listing of megabytes, in pieces of kilobytes."""
    body = b'{"data": []' + b" " * 8_000_000 + b"}"
    pieces = [
        OK + b"content-length: %d\r\n\r\n" % len(body),
        *(body[at : at + 4096] for at in range(0, len(body), 4096)),
    ]
    with speaking(lambda: pieces, 0) as api:
        assert [] == api.entries()


def test_an_answer_in_parts_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the same limits, what comes to its end is taken."""
    monkeypatch.setattr(admin, "_MOST", 4 * 1024 * 1024)
    body = [b'{"data"', b": [", b"]}"]
    with speaking(lambda: [OK + b"content-length: 12\r\n\r\n", *body], 0.02) as api:
        assert [] == api.entries()
