"""Many processes on one store at once: the longest wait, and whether a rule is violated.

    python -m bench.hammer defaults --seconds 10 [--url postgresql+psycopg://…]
    python -m bench.hammer races --rounds 10000 [--url …]

Without a URL it makes an SQLite store in a temporary folder. A PostgreSQL database must be empty or a registry's,
and is left with what was made. The tests run the same with less.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from registry import Actor, Registry, Settings
from registry.errors import RegistryError
from registry.keys.keyring import Keyring, new_key
from registry.keys.vault import Vault
from registry.store.store import Store

PROCESSES, THREADS = 4, 4
LOOK_EVERY = 0.002  # seconds; without a pause the observer would take a core from the observed processes
HAMMER = Actor("hammer", "admin", "bench")
SPAWN = multiprocessing.get_context("spawn")

Connect = Callable[[Settings], Registry]
Place = dict[str, Any]


@dataclass
class Hammered:
    """Outcome of setting defaults: successful calls, the duration of each, failures, and observed violations."""

    waits: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    violations: int = 0


def models(registry: Registry, number: int, **overrides: Any) -> list[str]:
    """Register this many models and return their ids."""
    spec = {"type": "generation", "provider": "ollama", "model_id": "llama3.1:8b", **overrides}
    config = {"context_window": 8192, "max_output_tokens": 1024}
    run = uuid4().hex
    made = (
        registry.models.create({**spec, "name": f"{run} {n}", "config": config}, actor=HAMMER) for n in range(number)
    )
    return [model.id for model in made]


def hammer_defaults(settings: Settings, seconds: float, connect: Connect = Registry.connect) -> Hammered:
    """Set the default of one type from 16 threads in 4 processes, and look all the while whether there is exactly one.

    The store must have a default before, or none to show what happens when the first one is chosen.
    """
    with Registry.connect(settings) as registry:
        ids = models(registry, 16)
    start = SPAWN.Barrier(PROCESSES + 1)
    with SPAWN.Pool(PROCESSES, _start_worker, (start,)) as pool:
        running = pool.starmap_async(_set_defaults, [(_place(settings), ids, seconds, connect)] * PROCESSES)
        start.wait(60)
        result = _watch(settings, running.ready)
        for waits, errors in running.get(60):
            result.waits += waits
            result.errors.update(errors)
    return result


def race_delete_against_bind(
    settings: Settings, rounds: int, connect: Connect = Registry.connect
) -> Counter[tuple[str, str]]:
    """In each round one process deletes a model while another binds a KB to it; counts the pairs of outcomes."""
    with Registry.connect(settings) as registry:
        ids = models(registry, rounds)
    start = SPAWN.Barrier(2)
    with SPAWN.Pool(2, _start_worker, (start,)) as pool:
        sides = pool.starmap(_race, [(_place(settings), ids, side, connect) for side in ("delete", "bind")])
    return Counter(zip(*sides, strict=True))


def dangling(settings: Settings) -> int:
    """The number of KBs that are bound to a missing model."""
    statement = "SELECT count(*) FROM bindings b WHERE NOT EXISTS (SELECT 1 FROM models m WHERE m.id = b.model_id)"
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        found = int(connection.execute(text(statement)).scalar_one())
    engine.dispose()
    return found


_barrier: Any = None


def _start_worker(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _place(settings: Settings) -> Place:
    """Arguments from which another process creates the same settings, which cannot be pickled themselves."""
    keys = [key.get_secret_value() for key in settings.fernet_keys]
    return {"database_url": settings.database_url, "fernet_keys": keys}


def _set_defaults(place: Place, ids: Sequence[str], seconds: float, connect: Connect) -> tuple[list[float], list[str]]:
    waits: list[float] = []
    errors: list[str] = []
    with connect(Settings(**place)) as registry:
        # the first change of a process compiles statements that all later ones use; without turns it can lose a race
        with suppress(RegistryError, SQLAlchemyError):
            registry.knowledge_bases.bind(uuid4().hex, name="Warm", actor=HAMMER)
        _barrier.wait(60)
        until = time.perf_counter() + seconds

        def loop() -> None:
            while (begun := time.perf_counter()) < until:
                try:
                    registry.models.set_default(random.choice(ids), actor=HAMMER)  # noqa: S311 -- any will do
                    waits.append(time.perf_counter() - begun)
                except Exception as error:  # noqa: BLE001 -- whatever it is, the report names it
                    errors.append(type(error).__name__)

        threads = [threading.Thread(target=loop) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return waits, errors


def _watch(settings: Settings, is_over: Callable[[], bool]) -> Hammered:
    result = Hammered()
    engine = create_engine(settings.database_url)
    seen_one = False
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not is_over():
            number = connection.execute(text("SELECT count(*) FROM defaults WHERE type = 'generation'")).scalar_one()
            seen_one = seen_one or number == 1
            result.samples += 1
            result.violations += number > 1 or (seen_one and number == 0)
            time.sleep(LOOK_EVERY)
    engine.dispose()
    return result


def _race(place: Place, ids: Sequence[str], side: str, connect: Connect) -> list[str]:
    outcomes = []
    with connect(Settings(**place)) as registry:
        registry.models.counts()
        for number, id in enumerate(ids):
            _barrier.wait(60)
            try:
                if side == "delete":
                    registry.models.delete(id, actor=HAMMER)
                else:
                    registry.knowledge_bases.bind(f"{id[:8]}-{number}", name="Race", generation=id, actor=HAMMER)
                outcomes.append("ok")
            except Exception as error:  # noqa: BLE001 -- whatever it is, the outcome names it
                outcomes.append(type(error).__name__)
    return outcomes


def main() -> None:
    """Run one of the two and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("defaults", "races"))
    parser.add_argument("--url", help="the store; by default an SQLite file in a temporary folder")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            database_url=options.url or f"sqlite:///{Path(folder) / 'hammer.db'}", fernet_keys=[new_key()]
        )
        store = Store(settings.database_url)
        store.setup()
        Vault(Keyring([settings.fernet_keys[0].get_secret_value()])).adopt(store)
        (_print_defaults if options.what == "defaults" else _print_races)(settings, options)


def _print_defaults(settings: Settings, options: argparse.Namespace) -> None:
    with Registry.connect(settings) as registry:
        models(registry, 1, is_default=True)
    result = hammer_defaults(settings, options.seconds)
    waits = sorted(result.waits)
    print(f"{len(waits)} defaults set in {options.seconds:g} s, errors: {dict(result.errors) or 'none'}")
    print(
        f"waited: median {statistics.median(waits) * 1e3:.1f} ms, p99 {waits[int(len(waits) * 0.99)] * 1e3:.0f} ms, "
        f"longest {waits[-1] * 1e3:.0f} ms"
    )
    print(f"looked {result.samples} times: not exactly one default {result.violations} times")


def _print_races(settings: Settings, options: argparse.Namespace) -> None:
    begun = time.perf_counter()
    outcomes = race_delete_against_bind(settings, options.rounds)
    print(f"{options.rounds} races in {time.perf_counter() - begun:.0f} s (delete, bind):")
    for outcome, number in outcomes.most_common():
        print(f"  {number:>6}  {outcome[0]}, {outcome[1]}")
    print(f"bound to a model that is gone: {dangling(settings)}")


if __name__ == "__main__":
    main()
