"""How long it takes until a LiteLLM proxy is in step with the registry, compared to the proxy's own cost.

    python -m bench.sync [--models 1000] [--changed 50] [--latency 20]
    python -m bench.sync --proxy http://127.0.0.1:4000 [--models 100] [--changed 10]

By default on the tests' fake proxy, in a separate process, with a latency of 20 ms per request; else on a real one,
whose master key is in LITELLM_MASTER_KEY; the added entries are removed afterwards. The same run measures the bare
additions one after the other, without a registry.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import httpx
from pydantic import SecretStr

from bench.hammer import HAMMER, models
from registry import Registry, Settings
from registry.keys.keyring import new_key
from registry.proxy.admin import PARALLEL, ProxyApi
from tests.support.fake_proxy import MASTER_KEY, FakeProxy

T = TypeVar("T")
SPAWN = multiprocessing.get_context("spawn")
OPENAI = {"provider": "openai", "model_id": "gpt-4o", "api_key": "sk-bench", "api_endpoint": "http://127.0.0.1:9/v1"}


@contextmanager
def fake_proxy(latency: float) -> Iterator[str]:
    """A fake proxy in another process; yields its URL."""
    ours, its = SPAWN.Pipe()
    process = SPAWN.Process(target=_serve, args=(its, latency))
    process.start()
    yield ours.recv()
    ours.send("stop")
    process.join()


def _serve(connection: Connection, latency: float) -> None:
    with FakeProxy(latency=latency) as proxy:
        connection.send(proxy.url)
        connection.recv()


class Bench:
    """A registry of this many models whose proxy has none of them."""

    def __init__(self, folder: Path, number: int, url: str, key: SecretStr) -> None:
        self._alone = Settings(database_url=f"sqlite:///{folder / 'registry.db'}", fernet_keys=[new_key()])
        self._url, self._key = url, key
        with Registry.connect(self._alone) as registry:
            self.ids = models(registry, number, **OPENAI)

    def change(self, number: int) -> None:
        """Change this many models without a push to the proxy."""
        with Registry.connect(self._alone) as registry:
            for id in self.ids[:number]:
                version = registry.models.get(id).version
                registry.models.update(id, {"model_id": f"m-{version}"}, version=version, actor=HAMMER)

    def synced(self) -> float:
        """Seconds of one sync, in a registry that was just opened."""
        settings = self._alone.replace(litellm_proxy_url=self._url, litellm_master_key=self._key)
        with Registry.connect(settings) as registry:
            report, taken = _timed(lambda: registry.proxy.sync(actor=HAMMER))
        if not report.ok:
            raise SystemExit(report.failed[0].message)
        return taken

    def one_by_one(self) -> float:
        """Seconds that the bare additions of as many entries take one after the other; they are gone afterwards."""
        params = {"model": "openai/gpt-4o", "api_base": OPENAI["api_endpoint"], "api_key": OPENAI["api_key"]}
        ids = [str(uuid4()) for _ in self.ids]

        def add() -> None:
            for id in ids:
                body = {"model_name": f"db-{id}", "litellm_params": params, "model_info": {"id": id, "mode": "chat"}}
                client.post("/model/new", json=body).raise_for_status()

        with self._client() as client:
            try:
                return _timed(add)[1]
            finally:
                self._remove(ids)

    def clean_up(self) -> None:
        """Remove what the syncs added."""
        with Registry.connect(self._alone) as registry:
            stamp = registry._store.registry_id()
        with closing(ProxyApi(self._url, self._key)) as api:
            entries = api.entries()
        self._remove([entry.id for entry in entries if entry.registry == stamp])

    def _remove(self, ids: Iterable[str]) -> None:
        with closing(ProxyApi(self._url, self._key)) as api, ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(api.delete, ids))

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        return httpx.Client(base_url=self._url, headers=headers, timeout=60, trust_env=False)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun


def measure(bench: Bench, changed: int) -> None:
    """Print all figures."""
    number = len(bench.ids)
    try:
        bare = bench.one_by_one()
        first, nothing = bench.synced(), bench.synced()
        bench.change(changed)
        some = bench.synced()
    finally:
        bench.clean_up()
    print(f"{bare:7.2f} s  {number} bare additions, one by one: {bare / number * 1000:.1f} ms each")
    print(f"{first:7.2f} s  first sync, {number} added: {first / bare:.2f} of that")
    print(f"{nothing:7.2f} s  sync with nothing to do")
    print(f"{some:7.2f} s  sync with {changed} changed: {some / changed * 1000:.1f} ms each")


def main() -> None:
    """Measure on the fake proxy or the given one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--changed", type=int, default=50)
    parser.add_argument("--latency", type=float, default=20, help="milliseconds, of the fake proxy")
    parser.add_argument("--proxy", metavar="URL", help="a real one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.proxy:
            key = SecretStr(os.environ["LITELLM_MASTER_KEY"])
            measure(Bench(Path(folder), options.models, options.proxy, key), options.changed)
        else:
            with fake_proxy(options.latency / 1000) as url:
                measure(Bench(Path(folder), options.models, url, SecretStr(MASTER_KEY)), options.changed)


if __name__ == "__main__":
    main()
