"""KB code that tests its models and calls them, all in one process, for every provider and type.

    python -m tests.integration.calling DATABASE_URL FERNET_KEY [PROVIDER] [--shared]

Prints a line for each call that fails. In a process of its own, since LiteLLM closes none of its clients.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import litellm  # noqa: TID251 -- as KB code does

from registry import Registry, Settings, probe
from registry.records import Model, ModelType
from tests.factories import ADMIN
from tests.providers import COMBINATIONS, Provider, model_at

Call = Callable[[Registry, Model], None]
MESSAGES = [{"role": "user", "content": "x"}]


def call(reg: Registry, model: Model) -> None:
    """A call of LiteLLM."""
    params = reg.resolve(model.id).litellm_params()
    if model.type is ModelType.EMBEDDING:
        litellm.embedding(input=["x"], **params)
    else:
        litellm.completion(messages=MESSAGES, **params)


def call_in_a_loop(reg: Registry, model: Model) -> None:
    """The same with asyncio."""
    params = reg.resolve(model.id).litellm_params()

    async def made() -> None:
        if model.type is ModelType.EMBEDDING:
            await litellm.aembedding(input=["x"], **params)
        else:
            await litellm.acompletion(messages=MESSAGES, **params)

    asyncio.run(made())


def journey(
    reg: Registry, server: Provider, model: Model, make: Callable[[Registry, Model], None], first: bool
) -> None:
    """A call that may come first, a test that goes well, a call, a test that fails, a call."""
    if first:
        make(reg, model)
    assert reg.models.test(model.id, actor=ADMIN).ok
    make(reg, model)
    server.fail(401)
    assert not reg.models.test(model.id, actor=ADMIN).ok
    server.answer = server.speak
    make(reg, model)


def main() -> None:
    """All journeys, each as in a new process: LiteLLM keeps no client yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("provider", nargs="?")
    parser.add_argument("--shared", action="store_true", help="let tests use LiteLLM's own cache of clients")
    given = parser.parse_args()
    probe.load()
    if given.shared:
        settings: Any = litellm
        settings.in_memory_llm_clients_cache = settings.in_memory_llm_clients_cache._own
    with Registry.connect(Settings(given.url, [given.key])) as reg, closing(Provider()) as server:
        for provider, kind in COMBINATIONS:
            if given.provider not in (None, provider):
                continue
            model = reg.models.create(model_at(server.url, provider, kind), actor=ADMIN)
            for make in (call, call_in_a_loop):
                for first in (False, True):
                    litellm.in_memory_llm_clients_cache.flush_cache()
                    try:
                        journey(reg, server, model, make, first)
                    except Exception as error:  # noqa: BLE001 -- LiteLLM raises of any kind
                        server.answer = server.speak
                        print(provider, kind, make.__name__, "first" if first else "", type(error).__name__)  # noqa: T201 -- its output is read by the test
    print("done")  # noqa: T201 -- its output is read by the test


if __name__ == "__main__":
    main()
