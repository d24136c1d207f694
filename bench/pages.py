"""The list of models with 1,000 and with 10,000 of them: how long its script runs, and how many statements it sends.

    python -m bench.pages [--runs 15]

A rerun of the page in Streamlit's AppTest, in this process: from the first line of pages/main.py to the last, without
network and browser, in turns over both sizes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import streamlit as st
from sqlalchemy import Engine, event
from streamlit.testing.v1 import AppTest

from pages.ui.signin import current
from registry import Settings
from registry.entrypoints import demo
from registry.keys.keyring import new_key
from registry.keys.passes import Passes
from tests.support.factories import LOCAL_ADMINISTRATOR

PAGE = Path(__file__).parents[1] / "pages" / "main.py"
SIZES = (1_000, 10_000)


class Timed:
    """The page on a separate store; `run` returns milliseconds and the number of statements."""

    def __init__(self, folder: Path, size: int) -> None:
        self.environment = {
            "REGISTRY_DATABASE_URL": f"sqlite:///{folder / f'{size}.db'}",
            "REGISTRY_FERNET_KEYS": new_key(),
            "REGISTRY_DATA_DIR": str(folder / "data"),
        }
        demo.fill(Settings.from_env(self.environment), generated=size)
        self.use()
        self.page = AppTest.from_file(PAGE, default_timeout=60).run()

    def use(self) -> None:
        """Make the pages of this process use this store."""
        os.environ.update(self.environment)
        st.cache_resource.clear()

    def run(self) -> tuple[float, int]:
        """One rerun, after one that opens the store."""
        self.use()
        self.page.run()
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")):
                statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        begun = time.perf_counter()
        self.page.run()
        taken = (time.perf_counter() - begun) * 1000
        event.remove(Engine, "before_cursor_execute", note)
        return taken, len(statements)


def main() -> None:
    """Measure both sizes alternately and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        passes = Passes(Path(folder) / "data")
        cookies = {passes.cookie_name: passes.issue("session", LOCAL_ADMINISTRATOR)}
        current.evidence = lambda auth: cookies  # there is no browser that would send them
        pages = {size: Timed(Path(folder), size) for size in SIZES}
        results: dict[int, list[tuple[float, int]]] = {size: [] for size in SIZES}
        for _ in range(runs):
            for size, page in pages.items():
                results[size].append(page.run())
    for size, found in results.items():
        times = [taken for taken, _ in found]
        statements = {number for _, number in found}
        spread = f"({min(times):.1f} to {max(times):.1f})"
        print(f"{size:>6} models: {median(times):6.1f} ms {spread}, statements {statements}")


if __name__ == "__main__":
    main()
