"""A reverse proxy on loopback that adds headers, as an authenticating proxy does after the sign-in."""

from __future__ import annotations

import asyncio
import queue
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def header_proxy(port: int, headers: Mapping[str, str]) -> Iterator[str]:
    """Forward HTTP and WebSockets to a port, with these headers in place of any that a browser sends under their names.

    Yields the proxy's address.
    """
    ports: queue.Queue[int] = queue.Queue()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async def handle(reader: StreamReader, writer: StreamWriter) -> None:
            await _forward(reader, writer, port, headers)

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield f"http://localhost:{ports.get(timeout=10)}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _forward(reader: StreamReader, writer: StreamWriter, port: int, headers: Mapping[str, str]) -> None:
    """One request a connection, so that no second one passes without the headers."""
    upstream: StreamWriter | None = None
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        from_server, upstream = await asyncio.open_connection("127.0.0.1", port)
        upstream.write(_with_headers(head, headers))
        await asyncio.gather(_pump(reader, upstream), _pump(from_server, writer))
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        pass  # asyncio reports a handler that ends as cancelled
    finally:
        for open_writer in (writer, upstream):
            if open_writer is not None:
                open_writer.close()


def _with_headers(head: bytes, headers: Mapping[str, str]) -> bytes:
    request, *lines = head.removesuffix(b"\r\n\r\n").decode("latin-1").split("\r\n")
    is_upgrade = any(line.lower().startswith("upgrade:") for line in lines)
    added = headers if is_upgrade else {**headers, "Connection": "close"}
    names = {name.lower() for name in added}
    kept = [line for line in lines if line.partition(":")[0].lower() not in names]
    return "\r\n".join([request, *kept, *(f"{name}: {value}" for name, value in added.items()), "", ""]).encode()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
