"""Cold start: from starting the server's process to a page that can be used, in a fresh browser context.

    python -m bench.cold_start [--runs 7]

Measures the dashboard, on the demo's store, and Streamlit's hello page alternately: only their ratio is meaningful.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from registry import Settings
from registry.entrypoints import demo
from registry.keys.keyring import new_key
from tests.support.browser import IDLE, ROOT, TIMEOUT, Server, chromium, healthy, launch

POLL = 0.01  # seconds


@dataclass(frozen=True)
class Subject:
    """A server to start, the way to sign in, and the text that is visible once its page can be used."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    entry: Callable[[Server], str]
    visible: str


def measure(subject: Subject, browser: Browser) -> float:
    """Seconds from the start of the process to a page that can be used."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        server = launch(subject.environment, subject.command, subject.folder, Path(folder) / "log")
        try:
            while not healthy(server):
                if server.process.poll() is not None or time.perf_counter() - begun > TIMEOUT:
                    raise SystemExit(f"{subject.name}: the server did not start")
                time.sleep(POLL)
            with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
                page = context.new_page()
                page.goto(subject.entry(server), wait_until="commit")
                page.locator(subject.visible).first.wait_for(state="visible")
                page.wait_for_function(IDLE)
                return time.perf_counter() - begun
        finally:
            server.process.terminate()
            server.process.wait(timeout=TIMEOUT)


def main() -> None:
    """Measure both alternately and print their medians and ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="runs of each, after one that is not counted")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        url, key = f"sqlite:///{folder}/registry.db", new_key()
        demo.fill(Settings(database_url=url, fernet_keys=[key]))
        environment = {"REGISTRY_DATABASE_URL": url, "REGISTRY_FERNET_KEYS": key}
        table = '[data-testid="stDataFrame"] canvas'
        # hello starts in an empty folder: in ours it would read our settings
        hello = Subject(
            "hello", ("-m", "streamlit", "hello"), Path(folder), {}, attrgetter("url"), '[data-testid="stHeading"] h1'
        )
        dashboard = Subject("dashboard", ("-m", "streamlit", "run", "app.py"), ROOT, environment, Server.link, table)
        times: dict[str, list[float]] = {hello.name: [], dashboard.name: []}
        for number in range(runs + 1):
            for subject in (hello, dashboard):
                seconds = measure(subject, browser)
                if number:  # the first run of each compiles modules and fills the file cache
                    times[subject.name].append(seconds)
    for name, taken in times.items():
        print(f"{name:10} {median(taken):6.2f} s   ({min(taken):.2f} to {max(taken):.2f}, {runs} runs)")
    print(f"{'ratio':10} {median(times['dashboard']) / median(times['hello']):6.2f}")


if __name__ == "__main__":
    main()
