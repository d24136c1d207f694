"""A real Chromium on a real server: how tests, benches and screenshots start both, and know when a page is ready."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, WebSocket, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from registry import Actor
from registry.keys.passes import Passes
from tests.support.factories import LOCAL_ADMINISTRATOR

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0
expect.set_options(timeout=TIMEOUT * 1000)  # a busy machine is slow, not wrong
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-default-apps",
    "--disable-extensions",
]
IDLE = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  return app && app.dataset.testConnectionState === 'CONNECTED' && app.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-stale="true"], [data-testid="stSkeleton"], [data-testid="stAppSkeleton"]');
}"""
FOCUSED = """([tag, text]) => {
  const at = document.activeElement;
  return at.localName === tag && (!text || at.innerText.trim().split("\\n").pop() === text);
}"""
SEEN = """node => {
  const {left, top, right, bottom} = node.getBoundingClientRect();
  let seen = [left, top, right, bottom];
  for (let around = node.parentElement; around; around = around.parentElement) {
    if (getComputedStyle(around).overflow === 'visible') continue;
    const box = around.getBoundingClientRect();
    seen = [Math.max(seen[0], box.left), Math.max(seen[1], box.top),
            Math.min(seen[2], box.right), Math.min(seen[3], box.bottom)];
  }
  return seen;
}"""
ROW_HEIGHT = 36
FINISHED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


class NoBrowserError(Exception):
    """There is no Chromium to test with."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is, the file that it writes its output to, and where it keeps its own files."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    data: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the server answer nothing during the block; what it is sent waits."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def link(self, actor: Actor = LOCAL_ADMINISTRATOR) -> str:
        """A link that signs this actor in, once."""
        return Passes(self.data).url(actor, self.port)


@contextmanager
def server(
    environment: Mapping[str, str],
    command: Sequence[str] = ("-m", "streamlit", "run", "app.py"),
    folder: Path = ROOT,
    port: int | None = None,
) -> Iterator[Server]:
    """The dashboard as the README starts it, on a free port if none is given, until the end of the block."""
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "log"
        started = launch(environment, command, folder, log, port)
        try:
            while not healthy(started):
                if started.process.poll() is not None:
                    raise RuntimeError(f"The server did not start:\n{log.read_text()}")
                time.sleep(0.02)
            yield started
        finally:
            started.process.terminate()
            started.process.wait(timeout=TIMEOUT)


def launch(
    environment: Mapping[str, str], command: Sequence[str], folder: Path, log: Path, port: int | None = None
) -> Server:
    """Start a server's process, without waiting for it."""
    port = port or free_port()
    ours = ("REGISTRY_", "LITELLM_", "STREAMLIT_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    options = ["--server.port", str(port), "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    if "uvicorn" in command:
        options = ["--port", str(port)]
    data = log.parent / "data"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command, *options],
            cwd=folder,
            env={**inherited, "REGISTRY_DATA_DIR": str(data), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Server(f"http://localhost:{port}", process, log, data)


def healthy(running: Server) -> bool:
    """Whether the server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True  # it answers nobody without its proxy's secret
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, headless.

    Raises:
        NoBrowserError: it has none.
    """
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise NoBrowserError("No Chromium is installed; on Debian: apt-get install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One tab of a browser, which knows when a rerun of the page has ended and keeps all that it was sent.

    Attributes:
        hosts: whom it asked for anything.
        frames: what the server sent; ``requests`` is what it asked of the server, each with all the fields' values.
        faults: errors of its scripts.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.hosts: set[str] = set()
        self.frames: list[bytes] = []
        self.requests: list[ClientState] = []
        self.faults: list[str] = []
        self._begun = self._ended = self._asked = 0
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("request", lambda request: self.hosts.add(_host(request.url)))
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._note)

    def sign_in(self, link: str) -> None:
        """Redeem a link of the console, without opening a page yet; only browsers know where the link's name is."""
        parts = urlsplit(link)
        self.url = f"http://{parts.netloc}"
        with closing(http.client.HTTPConnection("127.0.0.1", parts.port, timeout=TIMEOUT)) as connection:
            connection.request("GET", f"{parts.path}?{parts.query}", headers={"Host": parts.netloc})
            answer = connection.getresponse()
            assert answer.status == 303
            name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
        flags = {"httpOnly": True, "sameSite": "Strict"}
        self.page.context.add_cookies([{"name": name, "value": value, "url": self.url, **flags}])  # type: ignore[list-item]  # a TypedDict

    def open(self, path: str = "/") -> None:
        """Follow a link of the dashboard, and wait until the page is ready."""
        with self.rerun():
            self.page.goto(self.url + path)

    @contextmanager
    def rerun(self) -> Iterator[None]:
        """What is done in the block makes the page run again; wait until it has, and is drawn.

        A run that had begun before the last request does not count: it can be one that a field asked for."""
        before = self._ended
        yield
        end = time.monotonic() + TIMEOUT
        while self._ended <= max(before, self._asked):
            if time.monotonic() > end:
                raise TimeoutError("The page did not run again.")
            self.page.wait_for_timeout(10)
        self.page.wait_for_function(IDLE)

    def click(self, name: str) -> None:
        """Press a button, and wait for what comes of it."""
        with self.rerun():
            self.page.get_by_role("button", name=name, exact=True).click()

    def choose(self, label: str, option: str) -> None:
        """Choose from a list or a row of buttons, and wait for the page to follow."""
        with self.rerun():
            self.pick(label, option)

    def pick(self, label: str, option: str) -> None:
        """Choose from a list or a row of buttons that the page does not follow at once."""
        row = self.page.get_by_role("radiogroup", name=label, exact=True)
        if row.count():
            row.get_by_text(option, exact=True).click()
            return
        field = self.page.get_by_role("combobox", name=label)
        chosen = self.page.get_by_role("option", name=option, exact=True)
        field.click()
        field.fill(option)  # a short list is not redrawn under the mouse
        chosen.click()
        expect(field).to_have_value(option)

    def type(self, label: str, text: str) -> None:
        """Fill in a field."""
        field = self.page.get_by_label(label, exact=True)
        field.fill(text)
        field.blur()

    def enter(self, label: str, text: str) -> None:
        """Fill in a field that the page follows, and wait until it has."""
        with self.rerun():
            self.page.get_by_label(label, exact=True).fill(text)

    def cells(self, title: str) -> Locator:
        """A column of the page's table, as it is read aloud."""
        table = self.page.locator('[data-testid="stDataFrame"] table')
        table.locator("thead th").first.wait_for(state="attached")
        number = table.locator("thead th").all_text_contents().index(title) + 1
        return table.locator(f"tbody tr td[aria-colindex='{number}']")

    def open_menu(self, name: str) -> None:
        """Open the menu of a model in the list, at the right end of its row."""
        x, y, width = self.row(name)
        self.page.mouse.click(x + width - 10, y)

    def act(self, name: str, action: str) -> None:
        """Choose an action from a model's menu, and wait for what comes of it."""
        self.open_menu(name)
        with self.rerun():
            self.page.get_by_role("menuitem", name=action, exact=True).click()

    def tick(self, *names: str, title: str = "Name") -> None:
        """Tick the rows that have these names in a column of the page's table, and wait for the page to follow."""
        for name in names:
            x, y, _ = self.row(name, title)
            with self.rerun():
                self.page.mouse.click(x + 17, y)

    def row(self, name: str, title: str = "Name") -> tuple[float, float, float]:
        """Where a row of the page's table begins, the middle of its height, and how wide it is."""
        cells = self.cells(title)
        cells.get_by_text(name, exact=True).first.wait_for(state="attached")
        number = cells.all_text_contents().index(name)
        box = self.page.locator('[data-testid="stDataFrame"] canvas').first.bounding_box()
        assert box is not None
        return box["x"], box["y"] + ROW_HEIGHT * (number + 1.5), box["width"]

    @property
    def ticked(self) -> list[str]:
        """The rows of the page's table that are ticked, by their first column that holds text."""
        rows = self.page.locator('[data-testid="stDataFrame"] tr[aria-selected=true]').all()
        return [next(filter(None, row.locator("td").all_text_contents())) for row in rows]

    def expect_ticked(self, *names: str) -> None:
        """Wait until these rows are ticked, and no others: the table is read aloud a moment after it is drawn."""
        table = self.page.get_by_test_id("stDataFrame")
        expect(table.locator("tr[aria-selected=true]")).to_have_count(len(names))
        assert self.ticked == list(names)

    def tab_to(self, tag: str, text: str = "", *, back: bool = False, most: int = 40) -> None:
        """Press Tab until such an element has the focus."""
        for _ in range(most):
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
            if self.page.evaluate(FOCUSED, [tag, text]):
                return
        raise AssertionError(f"Tab does not lead to {tag} {text}")

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something that happens on the server, beside the page."""
        end = time.monotonic() + TIMEOUT
        while not is_so():
            assert time.monotonic() < end, "it did not happen"
            self.page.wait_for_timeout(20)

    def keyed(self, key: str) -> Locator:
        """The element with this key."""
        return self.page.locator(f".st-key-{re.sub(r'[^a-zA-Z0-9_-]', '-', key)}")

    def _note(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.faults.append(message.text)

    def _listen(self, socket: WebSocket) -> None:
        self.hosts.add(_host(socket.url))
        socket.on("framereceived", self._received)
        socket.on("framesent", self._sent)

    def _sent(self, data: bytes | str) -> None:
        message = BackMsg.FromString(data if isinstance(data, bytes) else data.encode())
        if message.WhichOneof("type") == "rerun_script":
            self.requests.append(message.rerun_script)
            self._asked = self._begun

    def _received(self, data: bytes | str) -> None:
        if isinstance(data, str):
            self.frames.append(data.encode())
            return
        self.frames.append(data)
        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._begun += 1
        elif kind == "script_finished" and message.script_finished in FINISHED:
            self._ended = self._begun


def apart(one: Locator, other: Locator) -> bool:
    """Whether nothing that is seen of two elements is at the same place of the window."""
    left, top, right, bottom = one.evaluate(SEEN)
    others_left, others_top, others_right, others_bottom = other.evaluate(SEEN)
    return bool(right <= others_left or others_right <= left or bottom <= others_top or others_bottom <= top)


def _host(url: str) -> str:
    return re.sub(r"^(https?|wss?)://([^/]+).*", r"\2", url, flags=re.DOTALL)
