"""An HTTP server on loopback on which things go wrong when a test says so."""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    """A request as it came in; its body holds secrets in clear."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    authorization: str | None = None


class Answer(NamedTuple):
    """An answer; ``body`` is sent as JSON. With ``drops`` the connection ends after it, without a word."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}
    drops: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        what: ``drop`` the connection; ``hang`` until the client gives up; be ``slow``; or answer with this status.
        after: the effect takes place, and only its answer is lost. A slow request always has its effect.
        seconds: how slow.
        text: what is sent with the status, as HTML; else a short JSON error.
    """

    what: Literal["drop", "hang", "slow"] | int
    after: bool = False
    seconds: float = 0.0
    text: str | None = None


FaultPlan = Callable[[int, str, str], Fault | None] | Iterable[Fault | None]


class FaultyServer:
    """A server as a context manager; a subclass answers the requests.

    Attributes:
        latency: how many seconds each request takes; requests wait side by side.
        faults: what goes wrong: one entry a request, used up in turn, or a function of the request's number (from 1),
            method and path.
        requests: all requests that came in.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.faults: FaultPlan = ()
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self._server: _Server | None = None
        self._port = 0

    def answer(self, request: Request) -> Answer:
        """Carry a request out."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, now or after `start`."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, after a `stop` on the same port as before."""
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and end those that are open, hanging ones too."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def next_fault(self, request: Request) -> Fault | None:
        """Note a request, and say what goes wrong with it."""
        with self.lock:
            self.requests.append(request)
            if callable(self.faults):
                return self.faults(len(self.requests), request.method, request.path)
            if not isinstance(self.faults, Iterator):
                self.faults = iter(self.faults)
            return next(self.faults, None)


class _Server(ThreadingHTTPServer):
    """A thread per connection; closing ends all of them."""

    daemon_threads = False

    def __init__(self, faulty: FaultyServer, port: int) -> None:
        self.faulty = faulty
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that went away is what some tests are about
            super().handle_error(request, client_address)

    def close(self) -> None:
        self.shutdown()
        for connection in tuple(self.connections):
            _hang_up(connection)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else answers on kept connections wait 40 ms
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests read `FaultyServer.requests` instead."""

    def _handle(self) -> None:
        url = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        request = Request(self.command, url.path, dict(parse_qsl(url.query)), body, self.headers.get("Authorization"))
        faulty = self.server.faulty
        fault = faulty.next_fault(request)
        time.sleep(faulty.latency + (fault.seconds if fault else 0.0))
        if fault is None or fault.what == "slow":
            answer = faulty.answer(request)
            self._send(answer.status, json.dumps(answer.body), answer.headers)
            self.close_connection = self.close_connection or answer.drops
            return
        if fault.after:
            faulty.answer(request)
        self._fail(fault)

    do_GET = do_POST = do_PATCH = _handle  # noqa: N815  # the names that the standard library asks for

    def _fail(self, fault: Fault) -> None:
        if isinstance(fault.what, int):
            error = {"error": {"message": f"Made to answer {fault.what}", "type": "internal_server_error"}}
            html = {"Content-Type": "text/html"} if fault.text else {}
            self._send(fault.what, fault.text or json.dumps(error), html)
            return
        if fault.what == "hang":
            select.select([self.connection], [], [])  # readable as soon as the client, or `stop`, ends it
        _hang_up(self.connection)
        self.close_connection = True

    def _send(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        fixed = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in (fixed | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)
