"""A stored key and a user who wants it elsewhere: by an edit in the database, by a redirect, by the environment.

A canary listens at another origin. Whatever each role may call, it receives nothing, and no key is ever paired with its
address. Names that change between look-ups are in `test_probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Actor, Registry, Settings, errors
from registry.catalog.endpoints import KeyScope
from registry.keys.keyring import Keyring
from tests.support.factories import ADMIN, AUDITOR, CANARY, KEY_A, SERVICE, VIEWER, created, generation, ollama
from tests.support.fake_proxy import FakeProxy
from tests.support.providers import Listener, Provider, model_at

ENVIRONMENT = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "LITELLM_API_BASE", "HTTP_PROXY", "http_proxy", "ALL_PROXY")


class Stage:
    """A model with a key, one without, and the ways to lead the key from the first to the canary."""

    def __init__(self, reg: Registry, raw: Engine, server: Provider, canary: Listener) -> None:
        self.model, self.bare = created(reg, model_at(server.url)), created(reg, ollama(api_endpoint=server.url))
        self._raw, self._server, self._canary = raw, server, canary

    def sql(self, change: str) -> None:
        """Edit the database past the registry; ``:url`` is the canary's."""
        values = {"url": f"{self._canary.url}/v1", "id": self.model.id, "bare": self.bare.id}
        values["connection"] = f'{{"api_base": "{self._canary.url}", "base_url": "{self._canary.url}"}}'
        used = {name: value for name, value in values.items() if f":{name}" in change}
        with self._raw.begin() as connection:
            connection.execute(text(f"UPDATE models SET version = version + 1, {change}"), used)

    def redirect(self) -> None:
        """The provider sends its callers on."""
        self._server.fail(307, location=f"{self._canary.url}/v1")

    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables that LiteLLM, an SDK or an HTTP client reads."""
        for name in ENVIRONMENT:
            monkeypatch.setenv(name, self._canary.url)


WAYS: dict[str, Callable[[Stage, pytest.MonkeyPatch], object]] = {
    "another endpoint": lambda stage, _: stage.sql("api_endpoint = :url WHERE id = :id"),
    "an address among the connection fields": lambda stage, _: stage.sql("connection = :connection WHERE id = :id"),
    "another provider": lambda stage, _: stage.sql(
        "provider = 'openai_compatible', api_endpoint = :url WHERE id = :id"
    ),
    "the ciphertext in another row": lambda stage, _: stage.sql(
        "api_endpoint = :url, api_key = (SELECT api_key FROM models WHERE id = :id), "
        "api_key_id = (SELECT api_key_id FROM models WHERE id = :id) WHERE id = :bare"
    ),
    "a redirect": lambda stage, _: stage.redirect(),
    "the environment": lambda stage, monkeypatch: stage.environment(monkeypatch),
}

Pairs = list[tuple[str, str]]
"""Key and address, wherever both are handed out together."""


def _resolve(handle: Registry, id: str) -> Pairs:
    params = handle.resolve(id).litellm_params()
    return [(params["api_key"], params["api_base"])]


def _listed(handle: Registry, id: str) -> Pairs:
    return [(repr((handle.models.get(id), handle.models.find(), handle.models.overview())), "everywhere")]


def _tested(handle: Registry, id: str) -> Pairs:
    return [(repr(handle.models.test(id)), "everywhere")]


def pairs(settings: Settings, actor: Actor, ids: list[str], connect: Callable[[Settings], Registry]) -> Iterator[Any]:
    """All that an actor gets by testing, listing and resolving, and what a sync sends to the proxy."""
    handle = connect(settings).acting_as(actor)
    for id in ids:
        for call in (_tested, _listed, _resolve):
            with suppress(errors.RegistryError):
                yield from call(handle, id)
    with FakeProxy() as proxy:
        by_proxy = connect(
            Settings(
                database_url=settings.database_url,
                fernet_keys=[KEY_A],
                litellm_proxy_url=proxy.url,
                litellm_master_key=proxy.master_key,
            )
        ).acting_as(actor)
        for step in (by_proxy.proxy.plan, by_proxy.proxy.sync):
            with suppress(errors.RegistryError):
                yield repr(step()), "everywhere"
        for entries in proxy.served().values():
            yield from ((params["api_key"], params["api_base"]) for params in entries)


def led_astray(found: Iterator[tuple[str, str]], server: Provider) -> Pairs:
    """Those in which the key stands beside another address than its own."""
    return [(key, address) for key, address in found if CANARY in key and not address.startswith(server.url)]


@pytest.mark.parametrize("actor", [VIEWER, AUDITOR, ADMIN, SERVICE], ids=lambda actor: actor.role)
@pytest.mark.parametrize("way", list(WAYS))
def test_no_byte_of_a_key_comes_elsewhere(
    reg: Registry,
    raw: Engine,
    settings: Settings,
    connect: Callable[[Settings], Registry],
    server: Provider,
    canary: Listener,
    way: str,
    actor: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By test, sync, listing and resolve, as each role: the canary is not even connected to with a key at hand."""
    stage = Stage(reg, raw, server, canary)
    WAYS[way](stage, monkeypatch)
    found = pairs(settings, actor, [stage.model.id, stage.bare.id], connect)
    assert [] == led_astray(found, server)
    assert CANARY.encode() not in canary.received


@pytest.mark.parametrize("stored", ["http://[::1]{port}/v1", "http://[::1]:{port}@[::1]/v1", "HTTP://[::1]/v1"])
def test_an_address_that_is_not_as_it_is_stored_leads_no_key_to_another_port(
    reg: Registry,
    raw: Engine,
    settings: Settings,
    connect: Callable[[Settings], Registry],
    canary: Listener,
    stored: str,
) -> None:
    """Two readers may find two ports in it: the key, which was entered for the one, is handed out for neither."""
    model = created(reg, generation(api_endpoint="http://[::1]/v1"))
    with raw.begin() as connection:
        endpoint = {"url": stored.format(port=canary.url.rpartition(":")[2]), "id": model.id}
        connection.execute(
            text("UPDATE models SET version = version + 1, api_endpoint = :url WHERE id = :id"), endpoint
        )
    found = list(pairs(settings, ADMIN, [model.id], connect))
    assert [] == [pair for pair in found if CANARY in pair[0]]
    with pytest.raises(errors.UnsafeEndpointError):
        reg.resolve(model.id)
    assert CANARY.encode() not in canary.received


@pytest.mark.parametrize("way", ["another endpoint", "another provider", "the ciphertext in another row"])
def test_control_a_key_that_is_bound_to_nothing_is_led_astray(
    reg: Registry,
    raw: Engine,
    settings: Settings,
    connect: Callable[[Settings], Registry],
    server: Provider,
    canary: Listener,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: with a keyring that compares nothing, the same edits of the database work."""
    stage = Stage(reg, raw, server, canary)
    WAYS[way](stage, monkeypatch)
    real = Keyring.open

    def careless(self: Keyring, ciphertext: str, binding: KeyScope) -> Any:
        envelope = self._open(ciphertext)
        return real(self, ciphertext, KeyScope(envelope["model"], envelope["provider"], envelope["origin"]))

    monkeypatch.setattr(Keyring, "open", careless)
    assert led_astray(pairs(settings, ADMIN, [stage.model.id, stage.bare.id], connect), server)
