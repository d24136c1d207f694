"""What of a model has a part in calling it, and the seal that ties the result of a test to exactly that.

Fields are named as in errors and audit entries: ``config.dimensions``.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import SecretStr

from registry.records import ModelType, TestResult

MOST_TOKENS: Final = 1024
"""A test asks for no longer answer; enough for a model that thinks before it answers."""

_LIMITS: Final = {ModelType.GENERATION: "config.max_output_tokens", ModelType.NER: "config.max_tokens"}
# by exclusion: a parameter that is new counts until it is known to have no part
_NO_PART: Final = {
    "id",
    "name",
    "status",
    "is_default",
    "api_key",
    "config.tags",
    "config.cost_per_1m_input",
    "config.cost_per_1m_output",
    "config.context_window",
    "config.distance_metric",
    "config.batch_size",
    "config.supports_streaming",
    "config.supports_json_mode",
    "config.supports_vision",
}
_process_key = secrets.token_bytes(32)


def mode_of(type: ModelType | str) -> str:
    """LiteLLM's word for what a model does."""
    return "embedding" if type == ModelType.EMBEDDING else "chat"


def flat(model: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a model, those of ``connection`` and ``config`` under their paths."""
    nested = ("connection", "config")
    parts = {f"{part}.{name}": value for part in nested for name, value in model.get(part, {}).items()}
    return {name: value for name, value in model.items() if name not in nested} | parts


def has_part(type: str, path: str) -> bool:
    """Whether a field other than the key has a part in calling a model of this type, or in what is found by it."""
    return path not in _NO_PART and (path, type) != ("config.max_tokens", ModelType.EMBEDDING)


def called(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a part in calling a model; the longest answer only as far as a test asks for it."""
    kind = ModelType(fields["type"])
    parts = {path: value for path, value in fields.items() if has_part(kind, path) and value is not None}
    if kind in _LIMITS:
        parts[_LIMITS[kind]] = min(MOST_TOKENS, parts.get(_LIMITS[kind], MOST_TOKENS))
    return parts


def digest(*values: object) -> str:
    """A digest to compare values by within this process. It is keyed: nothing can be guessed from it."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hmac.digest(_process_key, text.encode(), "sha256").hex()


def seal(result: TestResult, fields: Mapping[str, Any], key: SecretStr | None) -> TestResult:
    """The result, tied to what was called. Dimensions that were not given are those that were measured."""
    return replace(result, seal=_seal(result, fields, key))


def is_of(result: TestResult, fields: Mapping[str, Any], key: SecretStr | None) -> bool:
    """Whether a result was made in this process of a call of exactly this, and is as it was made."""
    try:
        return hmac.compare_digest(result.seal, _seal(result, fields, key))
    except (TypeError, ValueError, RecursionError):  # no result of ours holds what cannot be written down
        return False


def _seal(result: TestResult, fields: Mapping[str, Any], key: SecretStr | None) -> str:
    parts = called(fields)
    if "dimensions" in result.details:
        parts.setdefault("config.dimensions", result.details["dimensions"])
    outcome = (result.ok, result.stage, result.kind, result.message, result.latency_ms, result.details, result.at)
    return digest(parts, key.get_secret_value() if key else None, outcome)
