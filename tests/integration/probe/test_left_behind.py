"""What a connection test leaves behind in its process: nothing that later calls of LiteLLM would meet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.factories import KEY_A
from tests.support.providers import Provider

ROOT = Path(__file__).parents[3]
TESTING = """
import logging, os, sys, threading, warnings
from registry import Registry, Settings
from tests.support.factories import ADMIN
from tests.support.providers import COMBINATIONS, model_at


def state():
    return {
        "variables": dict(os.environ),
        "threads": threading.active_count(),
        "packages": {name.partition(".")[0] for name in sys.modules} & {"litellm", "openai", "httpx", "httpcore"},
        "filters": [logger.filters for logger in (logging.getLogger("httpx"), logging.getLogger("LiteLLM"))],
        "warnings": list(warnings.filters),
    }


url, key, address = sys.argv[1:]
with Registry.connect(Settings(database_url=url, fernet_keys=[key])) as reg:
    models = [reg.models.create(model_at(address, *each), actor=ADMIN) for each in COMBINATIONS]
    before = state()
    assert all(reg.models.test(model.id, actor=ADMIN).ok for model in models)
    after = state()
print({name: (before[name], after[name]) for name in before if before[name] != after[name]})
"""


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """Which store it is does not matter here."""
    return sqlite_url


def test_a_test_changes_nothing_in_its_process(store_url: str, server: Provider) -> None:
    """Of whatever provider: LiteLLM is not even loaded there."""
    command = [sys.executable, "-c", TESTING, store_url, KEY_A, server.url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ("{}", "") == (ended.stdout.strip(), ended.stderr)
