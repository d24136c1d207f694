"""The data of the demo: made-up names, real models."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def _embedding(provider: str, model_id: str, dimensions: int, max_tokens: int, **more: Any) -> Row:
    config = {"dimensions": dimensions, "max_tokens": max_tokens}
    return {"type": "embedding", "provider": provider, "model_id": model_id, "config": config, **more}


def _generation(
    provider: str, model_id: str, window: int, output: int, prices: tuple[float, float] = (0, 0), **more: Any
) -> Row:
    limits = {"context_window": window, "max_output_tokens": output}
    config = {**limits, "cost_per_1m_input": prices[0], "cost_per_1m_output": prices[1]}
    return {"type": "generation", "provider": provider, "model_id": model_id, "config": config, **more}


def _ner(provider: str, model_id: str, max_tokens: int) -> Row:
    config = {"max_tokens": max_tokens, "stop_sequences": ["\n\n"]}
    return {"type": "ner", "provider": provider, "model_id": model_id, "config": config}


def _azure(deployment: str) -> Row:
    return {"api_endpoint": "https://example-eu.openai.azure.com", "connection": {"deployment": deployment}}


CLUSTER: Row = {"api_endpoint": "https://models.example.com/v1"}

# day of the demo's year, name, and fields of the registered model
MODELS: tuple[tuple[int, str, Row], ...] = (
    (0, "OpenAI ada 002", _embedding("openai", "text-embedding-ada-002", 1536, 8191)),
    (0, "Nomic on Ollama", _embedding("ollama", "nomic-embed-text", 768, 2048)),
    (0, "GPT-3.5 Turbo", _generation("openai", "gpt-3.5-turbo", 16_385, 4096, (0.5, 1.5))),
    (0, "GPT-4o", _generation("openai", "gpt-4o", 128_000, 16_384, (2.5, 10))),
    (0, "Llama 3.1 on Ollama", _generation("ollama", "llama3.1:8b", 131_072, 8192)),
    (0, "Entities, GPT-4o mini", _ner("openai", "gpt-4o-mini", 4096)),
    (20, "GPT-4o mini", _generation("openai", "gpt-4o-mini", 128_000, 16_384, (0.15, 0.6))),
    (24, "OpenAI embeddings, small", _embedding("openai", "text-embedding-3-small", 1536, 8191)),
    (31, "Azure EU embeddings", _embedding("azure", "text-embedding-3-large", 3072, 8191, **_azure("embeddings-eu"))),
    (31, "GPT-4o, EU only", _generation("azure", "gpt-4o", 128_000, 16_384, (2.75, 11), **_azure("gpt-4o-eu"))),
    (52, "Claude Sonnet 4.5", _generation("anthropic", "claude-sonnet-4-5", 200_000, 64_000, (3, 15))),
    (72, "OpenAI embeddings, large", _embedding("openai", "text-embedding-3-large", 3072, 8191)),
    (75, "Entities, Claude Haiku", _ner("anthropic", "claude-haiku-4-5", 8192)),
    (110, "Cohere multilingual", _embedding("cohere", "embed-multilingual-v3.0", 1024, 512)),
    (110, "Command R+", _generation("cohere", "command-r-plus-08-2024", 128_000, 4096, (2.5, 10))),
    (145, "DeepSeek chat", _generation("deepseek", "deepseek-chat", 131_072, 8192, (0.28, 0.42))),
    (160, "Mistral embeddings", _embedding("mistral", "mistral-embed", 1024, 8192)),
    (160, "Mistral Large", _generation("mistral", "mistral-large-latest", 262_144, 32_768, (0.5, 1.5))),
    (185, "GPT-4.1", _generation("openai", "gpt-4.1", 1_047_576, 32_768, (2, 8))),
    (190, "Gemini embeddings", _embedding("gemini", "gemini-embedding-001", 3072, 2048)),
    (190, "Gemini 2.5 Flash", _generation("gemini", "gemini-2.5-flash", 1_048_576, 65_536, (0.3, 2.5))),
    (220, "BGE M3 on our cluster", _embedding("openai_compatible", "bge-m3", 1024, 8192, **CLUSTER)),
    (220, "Llama 3.3 70B", _generation("openai_compatible", "llama-3.3-70b", 131_072, 8192, **CLUSTER)),
    (221, "Entities, on our cluster", _ner("ollama", "qwen2.5:7b", 4096)),
    (250, "Qwen embeddings", _embedding("qwen", "text-embedding-v4", 1024, 8192)),
    (250, "Qwen Plus", _generation("qwen", "qwen-plus", 129_024, 16_384, (0.4, 1.2))),
    (262, "Qwen3 in LM Studio", _generation("lmstudio", "qwen/qwen3-4b", 32_768, 8192)),
)

# day, knowledge base, and its models for embedding, generation and NER
BASES: tuple[tuple[int, str, str, str | None, str | None], ...] = (
    (2, "Contracts", "OpenAI ada 002", "GPT-4o", "Entities, GPT-4o mini"),
    (3, "Support tickets", "OpenAI ada 002", "GPT-3.5 Turbo", None),
    (5, "Product manuals", "OpenAI ada 002", "GPT-3.5 Turbo", None),
    (9, "Chat pilot", "Nomic on Ollama", "Llama 3.1 on Ollama", None),
    (41, "HR policies", "Azure EU embeddings", "GPT-4o, EU only", None),
    (60, "Engineering handbook", "OpenAI embeddings, small", "Claude Sonnet 4.5", None),
    (84, "Research papers", "OpenAI embeddings, large", "Claude Sonnet 4.5", "Entities, Claude Haiku"),
    (117, "Press archive", "Cohere multilingual", "Command R+", "Entities, GPT-4o mini"),
    (150, "Regulation and compliance", "Azure EU embeddings", "GPT-4o, EU only", "Entities, Claude Haiku"),
    (171, "Sales playbooks", "OpenAI embeddings, small", None, None),
    (204, "Customer feedback", "Gemini embeddings", "Gemini 2.5 Flash", None),
    (236, "Meeting notes", "BGE M3 on our cluster", "Llama 3.3 70B", "Entities, on our cluster"),
    (290, "Patents", "OpenAI embeddings, large", "GPT-4.1", "Entities, Claude Haiku"),
)

# parameters that routine changes set → their values
TUNED: dict[str, tuple[Any, ...]] = {
    "temperature": (0.0, 0.1, 0.2, 0.3, 0.5, 0.7),
    "timeout_seconds": (30, 60, 90, 120, 180),
    "batch_size": (16, 32, 64, 128),
    "tags": ((), ("production",), ("production", "eu"), ("evaluation",)),
}
