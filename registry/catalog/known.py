"""Known models and their parameters, offered when a model is registered.

Most come from the price map in the LiteLLM package, which is read as a file: importing LiteLLM takes seconds. The
tables below add what the map lacks. They do not limit what can be registered. Everything is loaded on first use.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

from registry.catalog.providers import PROVIDERS
from registry.catalog.specs import ConfigField, config_fields
from registry.records import FrozenDict, ModelType

_PRICE_MAP = "model_prices_and_context_window_backup.json"
_MODES = {ModelType.EMBEDDING: "embedding", ModelType.GENERATION: "chat", ModelType.NER: "chat"}
_MOST_NER_TOKENS = 100_000

# Vector lengths that the price map lacks, from the providers' documentation.
_DIMENSIONS = {
    "ada": 1536,
    "codestral-embed": 1536,
    "codestral-embed-2505": 1536,
    "embed-english-light-v3.0": 384,
    "embed-english-v3.0": 1024,
    "embed-multilingual-light-v3.0": 384,
    "embed-multilingual-v3.0": 1024,
    "mistral-embed": 1024,
    "mistral-embed-2312": 1024,
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
    "text-embedding-ada-002-v2": 1536,
}

# Embedding models that the price map lacks: provider → source, and model id → (dimensions, max tokens).
_EMBEDDINGS: dict[str, tuple[str, dict[str, tuple[int, int]]]] = {
    "ollama": (
        "Ollama's model library",
        {
            "all-minilm": (384, 256),
            "bge-m3": (1024, 8192),
            "embeddinggemma": (768, 2048),
            "mxbai-embed-large": (1024, 512),
            "nomic-embed-text": (768, 2048),  # the model can do 8192, the file that Ollama serves is made for 2048
            "snowflake-arctic-embed": (1024, 512),
            "snowflake-arctic-embed2": (1024, 8192),
        },
    ),
    "lmstudio": (
        "the model's card",
        {
            "text-embedding-bge-m3": (1024, 8192),
            "text-embedding-mxbai-embed-large-v1": (1024, 512),
            "text-embedding-nomic-embed-text-v1.5": (768, 2048),
        },
    ),
    "qwen": (
        "Alibaba Cloud's documentation",
        {"text-embedding-v3": (1024, 8192), "text-embedding-v4": (1024, 8192)},
    ),
}


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What is known of a model.

    Attributes:
        model_id: the provider's name of the model.
        config: known parameters of its type, named as in `registry.catalog.specs`; prices in US dollars per million
            tokens.
        source: the origin of this data, for display.
        deprecated_on: the date on which the provider retires or retired it.
    """

    model_id: str
    config: Mapping[str, Any]
    source: str
    deprecated_on: date | None = None


def known_models(type: ModelType | str, provider_id: str) -> tuple[KnownModel, ...]:
    """The known models of a provider for a type, sorted by name with numbers in numeric order, retired models last.

    Without LiteLLM installed, only the few in this module are known. An unknown provider has none.

    Raises:
        ValueError: there is no such type.
    """
    return tuple(_known(ModelType(type), provider_id).values())


def known_model(type: ModelType | str, provider_id: str, model_id: str) -> KnownModel | None:
    """What is known of one model, or None. Ollama's tag ``:latest`` is equivalent to no tag.

    Raises:
        ValueError: there is no such type.
    """
    known = _known(ModelType(type), provider_id)
    return known.get(model_id) or known.get(model_id.removesuffix(":latest"))


@functools.cache
def _known(kind: ModelType, provider_id: str) -> Mapping[str, KnownModel]:
    provider = PROVIDERS.get(provider_id)
    if provider is None or kind not in provider.types:
        return {}
    found = {model.model_id: model for model in _own(kind, provider_id)}
    found.update((model.model_id, model) for model in _mapped(kind, provider.catalog))
    today = datetime.now(UTC).date()
    return {model.model_id: model for model in sorted(found.values(), key=lambda model: _rank(model, today))}


def _rank(model: KnownModel, today: date) -> tuple[bool, list[tuple[int, str]]]:
    is_retired = model.deprecated_on is not None and model.deprecated_on < today
    parts = re.split(r"(\d+)", model.model_id.casefold())
    return is_retired, [(int(part), "") if part.isdigit() else (-1, part) for part in parts if part]


def _own(kind: ModelType, provider_id: str) -> Iterator[KnownModel]:
    if kind is ModelType.EMBEDDING and provider_id in _EMBEDDINGS:
        source, models = _EMBEDDINGS[provider_id]
        for model_id, (dimensions, max_tokens) in models.items():
            yield KnownModel(model_id, FrozenDict(dimensions=dimensions, max_tokens=max_tokens), source)


def _mapped(kind: ModelType, names: tuple[str, ...]) -> Iterator[KnownModel]:
    """The price map's models of these LiteLLM providers; a name with the provider's prefix takes precedence."""
    for name in names:
        entries = _price_map().get((name, _MODES[kind]), {})
        for key, entry in sorted(entries.items(), key=lambda item: item[0].startswith(f"{name}/")):
            model_id = key.removeprefix(f"{name}/")
            config = _config(kind, model_id, entry)
            if config and _is_plain(model_id) and _writes_text(entry):
                yield KnownModel(model_id, config, _source(kind, entry), _day(entry.get("deprecation_date")))


def _is_plain(model_id: str) -> bool:
    """Whether it is a model's own name: not a region's duplicate (``eu/gpt-4o``), nor a placeholder (``ft:gpt-4o``)."""
    return "/" not in model_id and not model_id.startswith("ft:")


def _writes_text(entry: Mapping[str, Any]) -> bool:
    return "text" in (entry.get("supported_output_modalities") or ["text"])


def _config(kind: ModelType, model_id: str, entry: Mapping[str, Any]) -> FrozenDict | None:
    """The entry's values for our parameters, where within bounds; None if the entry has no token limits."""
    takes, answers = entry.get("max_input_tokens"), entry.get("max_output_tokens")
    if takes is None and answers is None:
        return None
    prices = {
        "cost_per_1m_input": _per_million(entry.get("input_cost_per_token")),
        "cost_per_1m_output": _per_million(entry.get("output_cost_per_token")),
    }
    values: dict[ModelType, dict[str, Any]] = {
        ModelType.EMBEDDING: {
            "dimensions": entry.get("output_vector_size") or _DIMENSIONS.get(model_id),
            "max_tokens": takes,
        },
        ModelType.GENERATION: {
            "context_window": takes,
            "max_output_tokens": answers if _at_most(answers, takes) else None,
            "supports_json_mode": bool(entry.get("supports_response_schema")),
            "supports_vision": bool(entry.get("supports_vision")),
            **prices,
        },
        ModelType.NER: {"max_tokens": min(answers, _MOST_NER_TOKENS) if _is_number(answers) else None, **prices},
    }
    return FrozenDict({name: value for name, value in values[kind].items() if _fits(kind, name, value)})


def _fits(kind: ModelType, name: str, value: Any) -> bool:
    field = _fields(kind)[name]
    if field.kind == "bool":
        return isinstance(value, bool)
    low, high = field.minimum or 0, field.maximum or float("inf")
    return _is_number(value) and low <= value <= high


@functools.cache
def _fields(kind: ModelType) -> Mapping[str, ConfigField]:
    return {field.name: field for field in config_fields(kind)}


def _at_most(value: Any, limit: Any) -> bool:
    return not _is_number(value) or not _is_number(limit) or value <= limit


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _per_million(price: Any) -> float | None:
    """Rounded: 1.5e-07 times a million would be 0.15000000000000002."""
    return round(price * 1_000_000, 6) if _is_number(price) else None


def _source(kind: ModelType, entry: Mapping[str, Any]) -> str:
    adds_dimensions = kind is ModelType.EMBEDDING and not entry.get("output_vector_size")
    return _map_name() + (" and the provider's documentation" if adds_dimensions else "")


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None


@functools.cache
def _map_name() -> str:
    try:
        return f"LiteLLM {version('litellm')}'s price map"
    except PackageNotFoundError:
        return "LiteLLM's price map"


@functools.cache
def _price_map() -> Mapping[tuple[str, str], Mapping[str, Mapping[str, Any]]]:
    """(LiteLLM's provider, mode) → name → entry; empty if LiteLLM is not installed or the file cannot be read."""
    spec = find_spec("litellm")  # does not import a top-level package
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        try:
            entries = json.loads((Path(folder) / _PRICE_MAP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for name, entry in entries.items():
            if entry.get("mode") in _MODES.values():
                found.setdefault((entry.get("litellm_provider"), entry["mode"]), {})[name] = entry
    return found
