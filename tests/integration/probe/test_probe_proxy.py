"""Connection tests through the real LiteLLM proxy, which calls the stand-ins that were started with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from registry.catalog.egress import Policy
from registry.catalog.validation import parse_create
from registry.probe import probe
from registry.records import ModelType, TestResult
from tests.support.providers import Proxy, every_combination, loaded, model_at

pytestmark = [
    pytest.mark.proxy,
    pytest.mark.skipif("LITELLM_PROXY_URL" not in os.environ, reason="no real proxy: set LITELLM_PROXY_URL"),
]
GOOD_KEY, HEX_KEY = "good-key", "0123456789abcdef" * 2


def stand_in(number: int) -> str:
    """0: wants the good key, 1: wants none, 2: Ollama's and Gemini's embeddings, 3: fails as its path says."""
    return f"http://127.0.0.1:{int(os.environ['TEST_PROVIDERS_PORT']) + number}"


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """The proxy, on which each test registers an entry of its own and removes it."""
    url, key = os.environ["LITELLM_PROXY_URL"], os.environ["LITELLM_MASTER_KEY"]
    loaded()
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:

        @contextmanager
        def register(params: Mapping[str, Any], mode: str) -> Iterator[str]:
            alias, id = f"test-probe-{uuid4()}", str(uuid4())
            entry = {"model_name": alias, "litellm_params": dict(params), "model_info": {"id": id, "mode": mode}}
            client.post("/model/new", json=entry).raise_for_status()
            try:
                yield alias
            finally:
                client.post("/model/delete", json={"id": id}).raise_for_status()

        yield Proxy(url, key, register)


def call(proxy: Proxy, spec: dict[str, Any], served_id: str | None = None) -> TestResult:
    return probe.run(parse_create(spec), served_id, proxy, Policy())


@every_combination
def test_every_provider_is_called_through_the_proxy(proxy: Proxy, provider: str, kind: ModelType) -> None:
    """All types of all providers work, and vectors are measured."""
    special = kind is ModelType.EMBEDDING and provider in ("ollama", "gemini")
    url = stand_in(2 if special else 1 if provider in ("ollama", "lmstudio") else 0)
    size = {"dimensions": 8 if special else 4} if kind is ModelType.EMBEDDING else {}
    result = call(proxy, model_at(url, provider, kind, size, api_key=GOOD_KEY))
    assert (True, "ok") == (result.ok, result.kind), result


FAILURES = {
    "s401": "wrong_key",
    "s403": "forbidden",
    "s404": "no_model",
    "s429": "rate_limited",
    "s500": "provider_down",
    "s503": "provider_down",
    "s400": "refused",
    "html": "bad_answer",
    "badjson": "bad_answer",
    "echo401": "wrong_key",
}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama", "cohere", "gemini"])
@pytest.mark.parametrize("way", list(FAILURES))
def test_each_failure_of_a_provider_is_told(proxy: Proxy, way: str, provider: str) -> None:
    """And the key that it repeats is not, though the proxy's own redaction lets a hex key through."""
    result = call(proxy, model_at(f"{stand_in(3)}/{way}", provider, api_key=HEX_KEY))
    assert (False, FAILURES[way]) == (result.ok, result.kind), result
    assert HEX_KEY not in repr(result)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama", "cohere", "gemini"])
def test_an_unreachable_provider_is_not_the_proxys_fault(proxy: Proxy, provider: str) -> None:
    """A closed port and an unknown name, as the proxy sees them."""
    for url in ("http://127.0.0.1:1", "http://no-such-host.invalid"):
        result = call(proxy, model_at(url, provider))
        assert "unreachable" == result.kind, result
        assert "by the LiteLLM proxy" in result.message


def test_a_slow_provider_is_given_up(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """After our own limit, whatever the proxy's is."""
    monkeypatch.setattr(probe, "SECONDS", dict.fromkeys(ModelType, 1))
    assert "timeout" == call(proxy, model_at(f"{stand_in(3)}/slow")).kind


def test_the_proxys_own_failures_are_told(proxy: Proxy) -> None:
    """A model that it does not serve, a wrong master key, no one at its address."""
    spec = model_at("https://models.example.com")
    assert "not_registered" == call(proxy, spec, "nowhere").kind
    assert "wrong_master_key" == call(Proxy(proxy.url, "sk-wrong-master-key"), spec, "nowhere").kind
    assert "wrong_master_key" == call(Proxy(proxy.url, "no-key-at-all"), spec, "nowhere").kind
    assert "proxy_down" == call(Proxy("http://127.0.0.1:1", "sk-any-master-key"), spec, "nowhere").kind


def test_wrong_dimensions_are_measured_through_the_proxy(proxy: Proxy) -> None:
    """As the KB code would get them."""
    result = call(proxy, model_at(stand_in(0), "openai", "embedding", {"dimensions": 256}, api_key=GOOD_KEY))
    assert ("wrong_dimensions", 4) == (result.kind, result.details["dimensions"])
