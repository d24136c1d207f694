"""How much memory clients without a sign-in can make the server keep: its memory before and after.

    python -m bench.flood [--megabytes 300] [--sessions 20]

Uploads of 1 MB each, then sessions that stay open, each of which has sent the largest state of a page's fields that the
server takes. The memory is what the server's process has resident, of which Python gives little back.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from registry.keys.keyring import new_key
from tests.support.browser import ROOT, Server, server
from tests.support.tabs import tab

MEGABYTE = 1_000_000
SIZES = (24 * MEGABYTE, 990_000, 63_000)  # bytes of state, under the limits that Streamlit and we have
UPLOADS = "/_stcore/upload_file"


def resident(running: Server) -> float:
    """Resident memory of the server's process, in megabytes."""
    command = ("ps", "-o", "rss=", "-p", str(running.process.pid))
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024 / MEGABYTE


def at_rest(running: Server) -> float:
    """The server's memory after its background loading at start, in megabytes."""
    before, now = 0.0, resident(running)
    while abs(now - before) >= 1:
        time.sleep(5)
        before, now = now, resident(running)
    return now


def token(running: Server) -> str:
    """The token that proves to the server that an upload comes from its own page; every client gets one."""
    connection = http.client.HTTPConnection("localhost", running.port)
    connection.request("GET", "/_stcore/health")
    cookies = connection.getresponse().headers.get_all("Set-Cookie", [])
    connection.close()
    return next(each.partition("=")[2].partition(";")[0] for each in cookies if each.startswith("_streamlit_xsrf"))


def upload(running: Server, session: str, number: int, xsrf: str) -> int | str:
    """Send 1 MB as a file; return the status of the response, or the connection error."""
    head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    connection = http.client.HTTPConnection("localhost", running.port)
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Cookie": f"_streamlit_xsrf={xsrf}",
        "X-Xsrftoken": xsrf,
    }
    try:
        body = head + bytes(MEGABYTE) + b"\r\n--x--\r\n"
        connection.request("PUT", f"{UPLOADS}/{session}/{number}", body, headers)
        return connection.getresponse().status
    except OSError:
        return "broken off"
    finally:
        connection.close()


async def largest(running: Server) -> int:
    """The largest of `SIZES`, in bytes of state, that the server accepts."""
    for size in SIZES:
        try:
            async with tab(running) as each:
                await each.run(state=size)
        except ConnectionClosed:
            continue
        if each.sent_to is None:
            return size
    return 0


async def flood(running: Server, megabytes: int, sessions: int) -> None:
    """Upload, then open the sessions, and print the memory in between."""
    xsrf = token(running)
    async with tab(running, xsrf=xsrf) as each:
        await each.run()
        print(f"at rest: {at_rest(running):.0f} MB")
        answers = Counter([await asyncio.to_thread(upload, running, each.session, n, xsrf) for n in range(megabytes)])
        print(f"after {megabytes} uploads of 1 MB: {resident(running):.0f} MB; answers {dict(answers)}")
    size = await largest(running)
    print(f"the largest state that is taken: {size:,} bytes")
    before = resident(running)
    async with AsyncExitStack() as stack:
        for _ in range(sessions):
            each = await stack.enter_async_context(tab(running))
            await each.run(state=size)
        print(f"{sessions} sessions with that: from {before:.0f} to {resident(running):.0f} MB")


def main() -> None:
    """Start the dashboard on an empty store, and flood it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300, help="of uploads")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=ROOT, help="of the dashboard, to compare another version")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "REGISTRY_DATABASE_URL": f"sqlite:///{folder}/registry.db",
            "REGISTRY_FERNET_KEYS": new_key(),
        }
        with server(environment, folder=options.folder) as running:
            asyncio.run(flood(running, options.megabytes, options.sessions))


if __name__ == "__main__":
    main()
