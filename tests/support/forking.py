"""A server that connects and then forks its workers, as gunicorn --preload does, while its own threads go on.

    python -m tests.support.forking URL FERNET_KEY MODEL_ID [unwatched]

It ends with 0 where every process found its model and changed something, and nobody met an error.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

from registry import Actor, Registry, Settings
from registry.store import forks

WORKERS, CALLS, PATIENCE = 8, 20, 60
ACTOR = Actor("worker", "service")


def use(registry: Registry, model: str, name: str) -> None:
    """What each process and thread does: many readings, and some changes."""
    for number in range(CALLS):
        assert model == registry.resolve(model).model.id
        if number % 5 == 0:
            registry.knowledge_bases.bind(name, name=f"{name} {number}", generation=model, actor=ACTOR)


def forked(work: Callable[[], None]) -> int:
    """Do it in a process of its own, which nothing outlasts; gives its id."""
    child = os.fork()
    if child:
        return child
    signal.alarm(PATIENCE)
    try:
        work()
        os._exit(0)
    finally:
        traceback.print_exc()
        os._exit(1)


def ended_well(children: list[int]) -> bool:
    return all(os.waitpid(child, 0)[1] == 0 for child in children)


def worker(registry: Registry, model: str, name: str) -> None:
    """A worker that forks once more, and works on."""
    use(registry, model, name)
    grandchild = forked(lambda: use(registry, model, f"{name}-child"))
    use(registry, model, name)
    assert ended_well([grandchild])


def main(url: str, key: str, model: str, *options: str) -> int:
    """Connect, use, fork, and go on using."""
    if "unwatched" in options:
        forks.watch = lambda _watcher: None
    registry = Registry.connect(Settings(database_url=url, fernet_keys=[key]))
    use(registry, model, "before")
    failed: list[str] = []
    stop = threading.Event()

    def keep_on(number: int) -> None:
        try:
            while not stop.is_set():
                use(registry, model, f"thread-{number}")
        except Exception:  # noqa: BLE001 -- reported below
            failed.append(traceback.format_exc())

    threads = [threading.Thread(target=keep_on, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    children = [forked(lambda name=f"worker-{number}": worker(registry, model, name)) for number in range(WORKERS)]  # type: ignore[misc]  # mypy infers no type for a default
    good = ended_well(children)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    sys.stderr.writelines(failed)
    registry.close()
    return 0 if good and not failed else 1


if __name__ == "__main__":
    signal.alarm(3 * PATIENCE)
    sys.exit(main(*sys.argv[1:]))
