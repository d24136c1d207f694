"""What a provider that answers what is hard to read costs a test of its model, and a click of somebody else meanwhile.

    python -m bench.hostile

Bodies of 1 KB to 4 MB of each kind that tests/integration/test_hostile_answers.py knows, as an error and as the text of
a model. For each size: the longest test, and how it grew from the size before. Then, in a real browser, clicks of one
session while another tests the model.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from bench.clicks import clicks
from registry import Registry, Settings
from registry.crypto import new_key
from tests.e2e.browser import Visitor, chromium, server
from tests.factories import ADMIN
from tests.integration.test_hostile_answers import BODIES
from tests.providers import Provider, model_at

SIZES = (1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000, 4_000_000)
IN_BROWSER = (1_000, 64_000, 250_000, 4_000_000)


def answers(provider: Provider, size: int) -> Iterator[str]:
    """Have the provider give each of the answers of this size, one after the other."""
    for name, make in BODIES.items():
        body = make(size)
        provider.fail(400, body)
        yield f"{name}, as an error"
        provider.text, provider.answer = body, provider.speak
        yield f"{name}, as a text"


@contextmanager
def visitors(url: str, key: str) -> Iterator[tuple[Visitor, Visitor]]:
    """Two sessions on a server of its own, both signed in."""
    with chromium() as browser, server({"REGISTRY_DATABASE_URL": url, "REGISTRY_FERNET_KEYS": key}) as running:
        both = [Visitor(browser.new_page(viewport={"width": 1360, "height": 850}), running.url) for _ in range(2)]
        for visitor in both:
            visitor.sign_in(running.link())
        yield both[0], both[1]


def main() -> None:
    """Measure, and print the sizes with their longest tests, then the clicks beside them."""
    with tempfile.TemporaryDirectory() as folder, closing(Provider()) as provider:
        url, key = f"sqlite:///{Path(folder) / 'registry.db'}", new_key()
        with Registry.connect(Settings(url, [key])) as reg:
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
        with visitors(url, key) as (tester, other):
            tester.open(f"/edit?id={model.id}")
            other.open()
            clicks(other, 10)
            quiet, beside = clicks(other, 30), []
            for size in IN_BROWSER:
                for _ in answers(provider, size):
                    with tester.rerun():
                        tester.page.get_by_role("button", name="Test connection", exact=True).click()
                        beside += clicks(other, 2)
    for name, found in (("while nothing is tested", quiet), ("beside a test", beside)):
        print(f"a click {name}: {median(found):.0f} ms, at most {max(found):.0f} ms, of {len(found)}")
    print(f"beside / alone: {median(beside) / median(quiet):.2f}")


if __name__ == "__main__":
    main()
