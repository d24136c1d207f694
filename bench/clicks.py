"""What a click costs before the first connection test and after it, in a real browser.

    python -m bench.clicks [--runs 30]

Each click opens another page; its time is from the click until the page is idle. A server on loopback simulates the
provider of the tested model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from registry import Registry, Settings
from registry.keys.keyring import new_key
from tests.support.browser import Visitor, chromium, server
from tests.support.factories import ADMIN
from tests.support.providers import Provider, model_at

PAGES = ("Audit log", "Models")


def clicks(visitor: Visitor, runs: int) -> list[float]:
    """The duration of each click, in milliseconds."""
    found = []
    for number in range(runs):
        link = visitor.page.get_by_role("link", name=PAGES[number % len(PAGES)])
        begun = time.perf_counter()
        with visitor.rerun():
            link.click()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def main() -> None:
    """Measure, test, measure again, and print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, closing(Provider()) as provider, chromium() as browser:
        url, key = f"sqlite:///{Path(folder) / 'registry.db'}", new_key()
        with Registry.connect(Settings(database_url=url, fernet_keys=[key])) as reg:
            reg.models.create(model_at(provider.url, name="Tested"), actor=ADMIN)
            reg.models.create(model_at(provider.url, kind="embedding"), actor=ADMIN)
        with server({"REGISTRY_DATABASE_URL": url, "REGISTRY_FERNET_KEYS": key}) as running:
            visitor = Visitor(browser.new_page(viewport={"width": 1360, "height": 850}), running.url)
            visitor.sign_in(running.link())
            visitor.open()
            clicks(visitor, 6)
            before = clicks(visitor, runs)
            visitor.open("/")
            visitor.open_menu("Tested")
            with visitor.rerun():
                visitor.page.get_by_role("menuitem", name="Test").click()
            visitor.page.get_by_text("It works").wait_for()
            visitor.page.keyboard.press("Escape")
            visitor.open("/")
            clicks(visitor, 6)
            after = clicks(visitor, runs)
    for name, found in (("before the first test", before), ("after it", after)):
        print(f"a click {name}: {median(found):6.0f} ms ({min(found):.0f} to {max(found):.0f})")
    print(f"after / before: {median(after) / median(before):.2f}")


if __name__ == "__main__":
    main()
