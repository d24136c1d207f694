"""What a connection test leaves behind in its process: nothing that later calls of LiteLLM would meet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry import Registry
from registry.records import ModelType
from tests.factories import ADMIN, KEY_A
from tests.providers import Provider, every_combination, model_at

ROOT = Path(__file__).parents[2]
LOADING = """
import os
from registry import probe
before = dict(os.environ)
probe.load()
print(dict(os.environ) == before)
"""


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """Which store it is does not matter here."""
    return sqlite_url


def failed_calls(url: str, *options: str) -> list[str]:
    """The calls of KB code that fail after a test, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.integration.calling", url, KEY_A, *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *failed, last = ended.stdout.splitlines()
    assert "done" == last
    return failed


def test_calls_after_a_test_work(store_url: str) -> None:
    """Of every provider and type, sync and async, whether LiteLLM kept a client of a call before or not, and whether
    the test went well or not."""
    assert [] == failed_calls(store_url)


def test_control_with_a_shared_cache_a_test_breaks_later_calls(store_url: str) -> None:
    """The control: where a test uses LiteLLM's own cache of clients, an Azure model cannot be called any more."""
    assert {"azure"} == {line.split()[0] for line in failed_calls(store_url, "azure", "--shared")}


def state() -> dict[str, Any]:
    """What a process has that a test might change: variables, LiteLLM's settings and clients."""
    import litellm  # noqa: TID251 -- to look at it

    plain = str | int | float | bool | None
    own = {name: value for name, value in vars(litellm).items() if isinstance(value, plain) and name[0] != "_"}
    clients = {key: id(value) for key, value in litellm.in_memory_llm_clients_cache.cache_dict.items()}
    return {"variables": dict(os.environ), "clients": clients, **own}


@every_combination
def test_a_test_changes_nothing_in_its_process(reg: Registry, server: Provider, provider: str, kind: ModelType) -> None:
    """After the first one, which loads LiteLLM and what that needs for this provider."""
    model = reg.models.create(model_at(server.url, provider, kind), actor=ADMIN)
    assert reg.models.test(model.id, actor=ADMIN).ok
    before = state()
    assert reg.models.test(model.id, actor=ADMIN).ok
    after = state()
    assert {} == {name: (before.get(name), value) for name, value in after.items() if before.get(name) != value}


def test_loading_litellm_leaves_the_environment_as_it_is() -> None:
    """The variable that keeps it from fetching a file is there while it is loaded, and not afterwards."""
    ended = subprocess.run([sys.executable, "-c", LOADING], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "True" == ended.stdout.strip()
