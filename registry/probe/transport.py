"""HTTP with limits on time and size: for connection tests, which call one origin only, and for the LiteLLM proxy.

Redirects are not followed, and compressed responses refused: they were not requested, and a small one can expand to a
huge one. The host of a test is resolved once, every address checked against the outbound policy, and a checked one
connected to, so that a second DNS answer cannot replace it; TLS still verifies the name. Environment variables affect
neither where a request goes nor through which HTTP proxy.
"""

from __future__ import annotations

import ipaddress
import math
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

from registry.catalog.egress import Address, Policy

MOST_OF_AN_ANSWER: Final = 512 * 1024
"""Bytes; a vector of 8,192 numbers, one per line, needs less than half. A longer response is refused."""
MOST_OF_AN_ERROR: Final = 64 * 1024
"""Bytes; the rest is not read."""
_PLAIN_HEADERS: Final = frozenset(
    {"host", "accept", "accept-encoding", "content-type", "content-length", "connection", "user-agent"}
    | {"anthropic-version", "anthropic-beta"}
)
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Exchange:
    """The outcome of a request. ``failure`` is empty if there was a response, whatever its status.

    ``failure``: ``elsewhere`` (for another origin, so not sent), ``unsafe`` (the policy refuses the host's address),
    ``dns``, ``unreachable``, ``tls``, ``timeout``, ``broken`` (no complete HTTP response), ``redirected``.
    """

    failure: str = ""
    status: int = 0
    body: bytes = b""


class OneOrigin(httpx.BaseTransport):
    """Sends to one origin only.

    Args:
        origin: ``scheme://host:port``, as `registry.catalog.endpoints.origin` writes it.
        policy: checks the addresses of the host; None allows all.
        seconds: time limit of all requests together, from the first.
        values: allowed values of headers other than the plain ones: the key, and the model's other parameters. SDKs
            also add tokens, projects and whole headers from the environment, which are removed.
        report: called with each exchange when it is over.

    Attributes:
        exchanges: the outcomes of the requests so far.
        seconds: the time that the requests took.
    """

    def __init__(
        self,
        origin: str,
        policy: Policy | None,
        seconds: float,
        values: Collection[str] = (),
        report: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        self._origin = origin
        self._values = values
        self._allowed, self._end = seconds, 0.0
        self._sender = _Sender(httpx.create_ssl_context(), policy)
        self._report = report
        self.exchanges: list[Exchange] = []
        self.seconds = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        begun = time.monotonic()
        try:
            return self._exchanged(request)
        finally:
            self.seconds += time.monotonic() - begun

    def _exchanged(self, request: httpx.Request) -> httpx.Response:
        if _origin(request.url) != self._origin:
            self._note(Exchange("elsewhere"))
            raise httpx.ConnectError("Not sent: meant for another origin.", request=request)
        self._end = self._end or time.monotonic() + self._allowed
        request.headers = httpx.Headers([pair for pair in request.headers.raw if self._may_send(*pair)])
        try:
            status, headers, body = self._sender.send(request, self._end, MOST_OF_AN_ANSWER)
        except (httpcore.TimeoutException, TimeoutError):
            self._note(Exchange("timeout"))
            raise httpx.ReadTimeout("No answer in time.", request=request) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            failure = error.failure if isinstance(error, _FailedError) else "broken"
            self._note(Exchange(failure))
            raise httpx.ConnectError(f"Failed: {failure}.", request=request) from None
        if 300 <= status < 400:
            self._note(Exchange("redirected", status))
            raise httpx.ConnectError("Redirected; not followed.", request=request)
        self._note(Exchange("", status, body))
        return httpx.Response(status, headers=headers, content=body, request=request)

    def _note(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._report(exchange)

    def _may_send(self, name: bytes, value: bytes) -> bool:
        lowered = name.lower().decode("ascii", "replace")
        is_plain = lowered in _PLAIN_HEADERS or lowered.startswith("x-stainless-")
        return is_plain or value.decode("latin-1").removeprefix("Bearer ") in self._values

    def close(self) -> None:
        self._sender.close()


class Bounded(httpx.BaseTransport):
    """Sends to any host, with limits on time and size. Safe to use from several threads.

    Args:
        context: holds the trusted certificates.
        seconds: time limit of a request with its whole response.
        most: size limit of a response, in bytes; a longer one is refused.
        connections: the most connections at a time.
    """

    def __init__(self, context: ssl.SSLContext, seconds: float, most: int, connections: int) -> None:
        self._seconds, self._most = seconds, most
        self._sender = _Sender(context, None, connections)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            status, headers, body = self._sender.send(request, time.monotonic() + self._seconds, self._most)
        except httpcore.ConnectTimeout:
            raise httpx.ConnectTimeout("No connection in time.", request=request) from None
        except (httpcore.TimeoutException, TimeoutError):
            raise httpx.ReadTimeout("No whole answer in time.", request=request) from None
        except httpcore.UnsupportedProtocol:
            raise httpx.UnsupportedProtocol("Only http and https are spoken.", request=request) from None
        except _FailedError as error:
            kind = httpx.RemoteProtocolError if error.failure == "broken" else httpx.ConnectError
            raise kind(f"Failed: {error.failure}.", request=request) from None
        except (httpcore.NetworkError, httpcore.ProtocolError):
            raise httpx.ReadError("The connection broke off.", request=request) from None
        return httpx.Response(status, headers=headers, content=body, request=request)

    def close(self) -> None:
        self._sender.close()


class _Sender:
    def __init__(self, context: ssl.SSLContext, policy: Policy | None, connections: int = 10) -> None:
        self._clock = _Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            network_backend=_Network(policy, self._clock),
        )

    def send(self, request: httpx.Request, end: float, most: int) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of a response that is complete at ``end``, by `time.monotonic`.

        Raises:
            TimeoutError, httpcore.TimeoutException: it is not complete by then.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol: there is no valid response.
        """
        self._clock.end, left = end, end - time.monotonic()
        request.headers["accept-encoding"] = "identity"
        url, limits = request.url, request.extensions.get("timeout", {})
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.read(),
            extensions={"timeout": {name: limits.get(name) or left for name in ("connect", "read", "write", "pool")}},
        )
        answer = self._pool.handle_request(sent)
        try:
            is_plain = all(
                name.lower() != b"content-encoding" or value == b"identity" for name, value in answer.headers
            )
            if not is_plain:
                raise _FailedError("broken")
            body = _body(answer.status, answer.iter_stream(), most)
        finally:
            answer.close()
        return answer.status, answer.headers, body

    def close(self) -> None:
        self._pool.close()


class _FailedError(httpcore.ConnectError):
    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class _Clock(threading.local):
    """The deadline of each thread's request."""

    end = 0.0

    def left(self, most: float | None = None) -> float:
        """Seconds until the deadline, but at most ``most``.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, most or math.inf)


class _Network(httpcore.NetworkBackend):
    def __init__(self, policy: Policy | None, clock: _Clock) -> None:
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
        addresses = _looked_up(host, port, self._clock.left(timeout))
        if self._policy is not None and not all(map(self._policy.permits, addresses)):
            raise _FailedError("unsafe")
        for number, address in enumerate(addresses, start=1):
            share = self._clock.left(timeout) / (len(addresses) - number + 1)
            try:
                return _Stream(httpcore.SyncBackend().connect_tcp(str(address), port, share), self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last: Exception = error
        raise last if isinstance(last, httpcore.ConnectTimeout) else _FailedError("unreachable")


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends at the deadline, even if the peer keeps sending small parts."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._clock.left(timeout)), self._clock)
        except httpcore.ConnectError:
            raise _FailedError("tls") from None

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _origin(url: httpx.URL) -> str:
    host = url.raw_host.decode()
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{url.port or _PORTS.get(url.scheme, 0)}"


def _looked_up(host: str, port: int, seconds: float) -> list[Address]:
    """All addresses of a host. The system's look-up has no time limit, so it runs in another thread."""
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


def _body(status: int, parts: Iterable[bytes], most: int) -> bytes:
    if 300 <= status < 400:
        return b""
    whole, most = bytearray(), most if status < 300 else MOST_OF_AN_ERROR
    for part in parts:
        whole += part
        if len(whole) > most and status < 300:
            raise _FailedError("broken")
        if len(whole) > most:
            break
    return bytes(whole[:most])
