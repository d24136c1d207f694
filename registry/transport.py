"""The HTTP transport of connection tests: it calls one origin and nothing else, follows nothing, and ends in time.

It looks the host up once, checks every address against the outbound policy and connects to one that was checked, so
that no other answer of the name server can come in between; TLS still verifies the name. Environment variables have no
say, neither in where a request goes nor through which HTTP proxy.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import httpcore
import httpx

from registry.egress import Address, Policy

MAX_BYTES: Final = 4_000_000
_PLAIN_HEADERS: Final = frozenset(
    {"host", "accept", "accept-encoding", "content-type", "content-length", "connection", "user-agent"}
    | {"anthropic-version", "anthropic-beta"}
)
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of a request. ``failure`` is empty where an answer came, whatever its status.

    ``failure``: ``elsewhere`` (meant for another origin, so not sent), ``unsafe`` (the policy refuses what the name
    leads to), ``dns``, ``unreachable``, ``tls``, ``timeout``, ``broken`` (no whole HTTP answer), ``redirected``.
    """

    failure: str = ""
    status: int = 0
    body: bytes = b""


class OneOrigin(httpx.BaseTransport):
    """Sends to one origin only.

    Args:
        origin: ``scheme://host:port``, as `registry.endpoints.origin` writes it.
        policy: which addresses the name may lead to; None for any.
        seconds: until all requests together are given up, counted from the first.
        values: what headers may hold besides the plain ones: the key, and what else belongs to the model. SDKs add
            tokens, projects and whole headers that they find in the environment.
    """

    def __init__(self, origin: str, policy: Policy | None, seconds: float, values: Collection[str] = ()) -> None:
        self._origin = origin
        self._values = values
        self._clock = _Deadline(seconds)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(), network_backend=_Network(policy, self._clock)
        )
        self.exchanges: list[Exchange] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if _origin(request.url) != self._origin:
            self.exchanges.append(Exchange("elsewhere"))
            raise httpx.ConnectError("Not sent: meant for another origin.", request=request)
        try:
            status, headers, body = self._send(request)
        except (httpcore.TimeoutException, TimeoutError):
            self.exchanges.append(Exchange("timeout"))
            raise httpx.ReadTimeout("No answer in time.", request=request) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            failure = error.failure if isinstance(error, _FailedError) else "broken"
            self.exchanges.append(Exchange(failure))
            raise httpx.ConnectError(f"Failed: {failure}.", request=request) from None
        if 300 <= status < 400:
            self.exchanges.append(Exchange("redirected", status))
            raise httpx.ConnectError("Redirected; not followed.", request=request)
        if any(name.lower() == b"content-encoding" and value.lower() != b"identity" for name, value in headers):
            self.exchanges.append(Exchange("broken", status))  # not asked for, and a little can become very much
            raise httpx.ConnectError("Failed: compressed.", request=request)
        self.exchanges.append(Exchange("", status, body))
        return httpx.Response(status, headers=headers, content=body, request=request)

    def _send(self, request: httpx.Request) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        request.headers["accept-encoding"] = "identity"
        url, left = request.url, self._clock.left()
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=[(name, value) for name, value in request.headers.raw if self._may_send(name, value)],
            content=request.read(),
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), left)},
        )
        answer = self._pool.handle_request(sent)
        try:
            body = b"" if 300 <= answer.status < 400 else _bounded(answer.iter_stream())
        finally:
            answer.close()
        return answer.status, answer.headers, body

    def _may_send(self, name: bytes, value: bytes) -> bool:
        lowered = name.lower().decode("ascii", "replace")
        is_plain = lowered in _PLAIN_HEADERS or lowered.startswith("x-stainless-")
        return is_plain or value.decode("latin-1").removeprefix("Bearer ") in self._values

    def close(self) -> None:
        self._pool.close()


class _FailedError(httpcore.ConnectError):
    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, 0.0

    def left(self) -> float:
        """Seconds until the end.

        Raises:
            TimeoutError: it is over.
        """
        now = time.monotonic()
        self._end = self._end or now + self._seconds
        if now >= self._end:
            raise TimeoutError
        return self._end - now


class _Network(httpcore.NetworkBackend):
    def __init__(self, policy: Policy | None, clock: _Deadline) -> None:
        self._policy = policy
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _looked_up(host, port, self._clock.left())
        if self._policy is not None and not all(map(self._policy.permits, addresses)):
            raise _FailedError("unsafe")
        for number, address in enumerate(addresses, start=1):
            share = self._clock.left() / (len(addresses) - number + 1)
            try:
                return _Stream(httpcore.SyncBackend().connect_tcp(str(address), port, share), self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last: Exception = error
        raise last if isinstance(last, httpcore.ConnectTimeout) else _FailedError("unreachable")


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends with the deadline, however often the other side sends a little."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Deadline) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._clock.left()), self._clock)
        except httpcore.ConnectError:
            raise _FailedError("tls") from None

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _origin(url: httpx.URL) -> str:
    host = url.raw_host.decode()
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{url.port or _PORTS.get(url.scheme, 0)}"


def _looked_up(host: str, port: int, seconds: float) -> list[Address]:
    """All addresses of a host. The system's look-up knows no time limit, so it runs beside us."""
    found: queue.SimpleQueue[list[Address]] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(host, port, found.put), daemon=True).start()
    try:
        addresses = found.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if not addresses:
        raise _FailedError("dns")
    return addresses


def _look_up(host: str, port: int, put: Callable[[list[Address]], None]) -> None:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        put(list(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers)))
    except (OSError, ValueError):
        put([])


def _bounded(parts: Iterable[bytes]) -> bytes:
    whole = b""
    for part in parts:
        whole += part
        if len(whole) > MAX_BYTES:
            raise _FailedError("broken")
    return whole
