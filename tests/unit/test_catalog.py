"""The known-model catalogue: what LiteLLM's price map and our own tables know of models, in our config's terms."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from registry.catalog import known
from registry.catalog.known import known_model, known_models
from registry.catalog.providers import PROVIDERS, Need, Provider
from registry.catalog.specs import CONFIGS
from registry.catalog.validation import parse_create
from registry.records import ModelType

COMPLETIONS: dict[ModelType, dict[str, Any]] = {
    ModelType.EMBEDDING: {"dimensions": 1024, "max_tokens": 512},
    ModelType.GENERATION: {"context_window": 10_000_000, "max_output_tokens": 1},
    ModelType.NER: {"max_tokens": 1},
}
PAIRS = [(kind, provider) for provider in PROVIDERS.values() for kind in provider.types]
EVERY = [(kind, provider, known) for kind, provider in PAIRS for known in known_models(kind, provider.id)]


@pytest.fixture(autouse=True)
def _forget() -> Any:
    """What one test makes the module read must not stay in its caches for the next."""
    yield
    for cached in (known._known, known._price_map):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("kind", "provider", "model_id", "config"),
    [
        ("embedding", "openai", "text-embedding-3-small", {"dimensions": 1536, "max_tokens": 8191}),
        ("embedding", "openai", "text-embedding-ada-002-v2", {"dimensions": 1536, "max_tokens": 8191}),
        ("embedding", "azure", "text-embedding-3-large", {"dimensions": 3072, "max_tokens": 8192}),
        ("embedding", "gemini", "gemini-embedding-001", {"dimensions": 3072, "max_tokens": 2048}),
        ("embedding", "cohere", "embed-english-v3.0", {"dimensions": 1024, "max_tokens": 512}),
        ("embedding", "cohere", "embed-multilingual-light-v3.0", {"dimensions": 384, "max_tokens": 512}),
        ("embedding", "mistral", "mistral-embed", {"dimensions": 1024, "max_tokens": 8192}),
        ("embedding", "qwen", "text-embedding-v4", {"dimensions": 1024, "max_tokens": 8192}),
        ("embedding", "ollama", "nomic-embed-text", {"dimensions": 768, "max_tokens": 2048}),
        ("embedding", "ollama", "bge-m3:latest", {"dimensions": 1024, "max_tokens": 8192}),
        ("embedding", "lmstudio", "text-embedding-nomic-embed-text-v1.5", {"dimensions": 768, "max_tokens": 2048}),
        (
            "generation",
            "openai",
            "gpt-4o",
            {
                "context_window": 128_000,
                "max_output_tokens": 16_384,
                "supports_json_mode": True,
                "supports_vision": True,
                "cost_per_1m_input": 2.5,
                "cost_per_1m_output": 10.0,
            },
        ),
        (
            "generation",
            "cohere",
            "command-r7b-12-2024",
            {
                "context_window": 128_000,
                "max_output_tokens": 4096,
                "supports_json_mode": False,
                "supports_vision": False,
                "cost_per_1m_input": 0.0375,
                "cost_per_1m_output": 0.15,
            },
        ),
        (
            "ner",
            "anthropic",
            "claude-haiku-4-5",
            {"max_tokens": 64_000, "cost_per_1m_input": 1.0, "cost_per_1m_output": 5.0},
        ),
        (
            "ner",
            "openai",
            "gpt-5-mini",
            {"max_tokens": 100_000, "cost_per_1m_input": 0.25, "cost_per_1m_output": 2.0},
        ),
    ],
)
def test_what_is_known_of_a_model(kind: str, provider: str, model_id: str, config: dict[str, Any]) -> None:
    """Limits are in tokens and prices in US dollars for a million tokens; NER's limit is cut to what NER allows."""
    known = known_model(kind, provider, model_id)
    assert known is not None
    assert dict(known.config) == config


@pytest.mark.parametrize(("kind", "provider"), PAIRS, ids=lambda item: getattr(item, "id", item))
def test_every_known_model_passes_our_validation(kind: ModelType, provider: Provider) -> None:
    """What the catalogue offers is never refused when it is saved, completed with what it does not know."""
    for each in known_models(kind, provider.id):
        config = {**COMPLETIONS[kind], **each.config}
        spec = parse_create(
            {
                "type": kind,
                "provider": provider.id,
                "name": "Any",
                "model_id": each.model_id,
                "api_endpoint": provider.default_endpoint or "https://models.example.com",
                "api_key": "made-up-key",
                "connection": {name: "x" for name, field in provider.connection.items() if field.need is Need.REQUIRED},
                "config": config,
            }
        )
        assert {name: spec.config[name] for name in config} == config
        assert set(each.config) <= set(CONFIGS[kind].model_fields)


def test_every_embedding_model_has_its_dimensions() -> None:
    """The length of the vectors is what no one knows by heart: it is there for each."""
    lacking = [
        known.model_id for kind, _, known in EVERY if kind is ModelType.EMBEDDING and not known.config.get("dimensions")
    ]
    assert lacking == []


def test_only_plain_names_are_offered() -> None:
    """No provider prefix, no region's duplicate, no placeholder for fine-tuned models, no model without limits."""
    ids = {known.model_id for _, _, known in EVERY}
    assert len(EVERY) > 400
    assert not [id for id in ids if "/" in id or id.startswith("ft:") or id == "sample_spec"]
    assert known_model("generation", "openai", "openai/container") is None
    assert known_model("generation", "gemini", "lyria-3.5") is None, "it makes music"


@pytest.mark.parametrize("kind", list(ModelType))
def test_each_id_is_offered_once(kind: ModelType) -> None:
    for provider in PROVIDERS.values():
        ids = [known.model_id for known in known_models(kind, provider.id)]
        assert len(ids) == len(set(ids))


def test_numbers_in_names_sort_as_numbers() -> None:
    ids = [known.model_id for known in known_models("generation", "ollama")]
    assert ids.index("gpt-oss:20b-cloud") < ids.index("gpt-oss:120b-cloud")


def test_retired_models_come_last_and_say_since_when() -> None:
    """A model that the provider has switched off can still be looked up, behind those that it serves."""
    known = known_models("generation", "azure")
    retired = known_model("generation", "azure", "gpt-4-32k")
    assert retired is not None
    assert retired.deprecated_on == date(2025, 6, 6)
    assert known.index(retired) > [model.model_id for model in known].index("gpt-4o")


def test_the_source_is_named() -> None:
    """Who sees a value sees where it comes from."""
    sources = {
        ("generation", "openai", "gpt-4o"): f"LiteLLM {version('litellm')}'s price map",
        (
            "embedding",
            "cohere",
            "embed-english-v3.0",
        ): f"LiteLLM {version('litellm')}'s price map and the provider's documentation",
        ("embedding", "ollama", "all-minilm"): "Ollama's model library",
    }
    for (kind, provider, model_id), source in sources.items():
        known = known_model(kind, provider, model_id)
        assert known is not None
        assert known.source == source


def test_nothing_is_known_where_there_is_nothing() -> None:
    assert known_models("embedding", "anthropic") == ()
    assert known_models("generation", "openai_compatible") == ()
    assert known_models("generation", "no such provider") == ()
    assert known_model("generation", "openai", "no such model") is None
    assert known_model("generation", "openai", "") is None


def test_without_litellm_only_our_own_tables_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """KB code installs no LiteLLM: the catalogue is then short, not broken."""
    monkeypatch.setattr(known, "find_spec", lambda name: None)
    known._known.cache_clear()
    known._price_map.cache_clear()
    assert known_models("generation", "openai") == ()
    assert known_models("embedding", "cohere") == ()
    assert known_model("embedding", "ollama", "bge-m3") is not None


def test_a_damaged_price_map_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The catalogue is a convenience: nothing fails because of it."""

    class Found:
        submodule_search_locations = (str(tmp_path),)

    (tmp_path / "model_prices_and_context_window_backup.json").write_text('{"gpt-4o": ')
    monkeypatch.setattr(known, "find_spec", lambda name: Found)
    known._known.cache_clear()
    known._price_map.cache_clear()
    assert known_models("generation", "openai") == ()


@pytest.mark.parametrize(
    ("entry", "config"),
    [
        ({"max_input_tokens": 100, "max_output_tokens": 50}, {"max_output_tokens": 50}),
        ({"max_input_tokens": 99_000_000, "max_output_tokens": 50}, {"max_output_tokens": 50}),
        ({"max_input_tokens": 8192, "max_output_tokens": 16_384}, {"context_window": 8192}),
        ({"max_input_tokens": "many", "max_output_tokens": True}, {}),
        ({"max_input_tokens": 8192, "input_cost_per_token": 1.0}, {"context_window": 8192}),
        (
            {"max_input_tokens": 8192, "input_cost_per_token": 1.5e-07},
            {"context_window": 8192, "cost_per_1m_input": 0.15},
        ),
    ],
)
def test_what_is_out_of_bounds_is_left_out(entry: dict[str, Any], config: dict[str, Any]) -> None:
    """A wild value in the map costs that value, not the model."""
    switches = {"supports_json_mode": False, "supports_vision": False}
    assert known._config(ModelType.GENERATION, "any", entry) == {**switches, **config}


def test_importing_and_asking_does_not_import_litellm() -> None:
    """Importing LiteLLM takes seconds and asks the network; nor is the map read before a user asks."""
    script = (
        "import sys, registry.catalog.known as c; assert c._price_map.cache_info().misses == 0; "
        "assert c.known_model('generation', 'openai', 'gpt-4o'); "
        "assert not [m for m in sys.modules if m.partition('.')[0] in ('litellm', 'streamlit', 'openai')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
