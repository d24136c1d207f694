"""Input of valid models: each builder gives a whole one, whose name nothing else has; override what matters."""

from __future__ import annotations

from itertools import count
from typing import Any

from registry import Actor, KnowledgeBase, Model, Registry, Role

CANARY = "sk-canary-7f3a9e51c2d84b06"
"""The API key of every model that is not given another: found anywhere in clear, it is a leak."""

KEY_A = "k-ebxTJV2L5DjOuEb_sSNgQYP0hCt1LEiv0zDAJkIC4="
KEY_B = "xPcy8pd5WoVPQ-kNrQ4tYB2yMyjJrYZ5MQYLMbXA19U="
"""Encryption keys: the first is that of every test store."""

ADMIN = Actor("alice@example.com", Role.ADMIN, "test")
AUDITOR = Actor("audrey@example.com", Role.AUDITOR, "test")
VIEWER = Actor("victor@example.com", Role.VIEWER, "test")
LOCAL_ADMINISTRATOR = Actor("Local administrator", Role.ADMIN, "local")
SERVICE = Actor("kb-code", Role.SERVICE, "test")

_numbers = count(1001)  # of one width, so that names sort as they were made


def embedding(*, config: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
    """An embedding model of OpenAI."""
    return _model("embedding", "text-embedding-3-small", {"dimensions": 1536, "max_tokens": 8191}, config, overrides)


def generation(*, config: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
    """A generation model of OpenAI."""
    base = {"context_window": 128_000, "max_output_tokens": 16_384}
    return _model("generation", "gpt-4o", base, config, overrides)


def ner(*, config: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
    """A NER model of OpenAI."""
    return _model("ner", "gpt-4o-mini", {"max_tokens": 4096}, config, overrides)


BUILDERS = {"embedding": embedding, "generation": generation, "ner": ner}


def ollama(**overrides: Any) -> dict[str, Any]:
    """A generation model of Ollama, which needs neither key nor endpoint."""
    return generation(**{"provider": "ollama", "model_id": "llama3.1:8b", "api_key": None, **overrides})


def azure(**overrides: Any) -> dict[str, Any]:
    """A generation model of Azure, which needs nearly everything."""
    endpoint, connection = "https://unit.openai.azure.com", {"deployment": "gpt-4o-prod"}
    return generation(**{"provider": "azure", "api_endpoint": endpoint, "connection": connection, **overrides})


def name(stem: str) -> str:
    """A name that nothing else in this test run has."""
    return f"{stem} {next(_numbers)}"


def created(reg: Registry, spec: dict[str, Any] | None = None) -> Model:
    """A saved model, by default a generation one."""
    return reg.models.create(spec or generation(), actor=ADMIN)


def bound(reg: Registry, *models: Model, name: str | None = None) -> KnowledgeBase:
    """A knowledge base that uses these models."""
    number = next(_numbers)
    choices: dict[str, Any] = {model.type.value: model.id for model in models}
    return reg.knowledge_bases.bind(f"kb-{number}", name=name or f"Base {number}", actor=ADMIN, **choices)


def _model(
    kind: str, model_id: str, base: dict[str, Any], config: dict[str, Any] | None, overrides: dict[str, Any]
) -> dict[str, Any]:
    whole = {
        "type": kind,
        "provider": "openai",
        "name": name(kind.capitalize()),
        "model_id": model_id,
        "api_key": CANARY,
        "config": {**base, **(config or {})},
        **overrides,
    }
    return {field: value for field, value in whole.items() if not (field == "api_key" and value is None)}
