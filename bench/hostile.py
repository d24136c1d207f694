"""How long hostile responses of a provider delay a test of its model, and the clicks of another user meanwhile.

    python -m bench.hostile

Bodies of 1 KB to 4 MB of each kind that integration/probe/test_hostile_answers.py knows, as an error and as the text
of a model. For each size: the longest test, and how it grew from the size before. Then another session opens pages
while one in a real browser tests the model; its time is from the click until the server has sent the whole page. (What
a browser takes to draw it is measured by bench.clicks; here two of them would share the cores with what they measure.)
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, Self, TypeVar

from registry import Registry, Settings
from registry.keys.keyring import new_key
from tests.integration.probe.test_hostile_answers import BODIES
from tests.support.browser import Server, Visitor, chromium, server
from tests.support.factories import ADMIN
from tests.support.providers import Provider, model_at
from tests.support.tabs import Tab, tab

T = TypeVar("T")
SIZES = (1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000, 4_000_000)
PAGES = ("models", "audit")
HALF_A_SECOND = 500  # milliseconds
IN_BROWSER = (1_000, 64_000, 250_000, 4_000_000)


def answers(provider: Provider, size: int) -> Iterator[str]:
    """Have the provider send each of the responses of this size, one after the other."""
    for name, make in BODIES.items():
        body = make(size)
        provider.fail(400, body)
        yield f"{name}, as an error"
        provider.text, provider.answer = body, provider.speak
        yield f"{name}, as a text"


class Other:
    """A signed-in session beside the browser's, whose clicks are timed."""

    def __init__(self, running: Server) -> None:
        self._running = running
        self._stack, self._loop = AsyncExitStack(), asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)  # answers the server's pings, too

    def __enter__(self) -> Self:
        self._thread.start()
        self._tab: Tab = self._do(self._stack.enter_async_context(tab(self._running, signed_in=True)))
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def clicks(self, runs: int) -> list[float]:
        """The response time of each click, in milliseconds."""
        found = []
        for number in range(runs):
            begun = time.perf_counter()
            self._do(self._tab.run(PAGES[number % len(PAGES)]))
            found.append((time.perf_counter() - begun) * 1000)
        return found

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def main() -> None:
    """Measure, and print the sizes with their longest tests, then the clicks beside them."""
    with tempfile.TemporaryDirectory() as folder, closing(Provider()) as provider:
        url, key = f"sqlite:///{Path(folder) / 'registry.db'}", new_key()
        with Registry.connect(Settings(database_url=url, fernet_keys=[key])) as reg:
            model = reg.models.create(model_at(provider.url, name="Tested", kind="ner"), actor=ADMIN)
            reg.models.test(model.id, actor=ADMIN)
            before = 0.0
            for size in SIZES:
                took = {}
                for name in answers(provider, size):
                    begun = time.perf_counter()
                    reg.models.test(model.id, actor=ADMIN)
                    took[name] = time.perf_counter() - begun
                name = max(took, key=took.__getitem__)
                grew = f", {took[name] / before:.2f} times the size before" if before else ""
                print(f"{size:9,} bytes: {median(took.values()):.2f} s, at most {took[name]:.2f} s ({name}){grew}")
                before = took[name]
        environment = {"REGISTRY_DATABASE_URL": url, "REGISTRY_FERNET_KEYS": key}
        with chromium() as browser, server(environment) as running, Other(running) as other:
            tester = Visitor(browser.new_page(viewport={"width": 1360, "height": 850}), running.url)
            tester.sign_in(running.link())
            tester.open(f"/edit?id={model.id}")
            other.clicks(10)
            quiet, beside = other.clicks(30), []
            for size in IN_BROWSER:
                for _ in answers(provider, size):
                    with tester.rerun():
                        tester.page.get_by_role("button", name="Test connection", exact=True).click()
                        beside += other.clicks(4)
    for name, found in (("while nothing is tested", quiet), ("beside a test", beside)):
        slow = sum(each > HALF_A_SECOND for each in found)
        print(f"a click {name}: {median(found):.0f} ms, at most {max(found):.0f} ms; {slow} of {len(found)} over 0.5 s")
    print(f"beside / alone: {median(beside) / median(quiet):.2f}")


if __name__ == "__main__":
    main()
