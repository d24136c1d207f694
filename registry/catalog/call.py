"""The seal that ties the result of a connection test to exactly the call that was tested."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from registry.catalog import specs
from registry.records import ModelType, TestResult


def mode_of(type: ModelType | str) -> str:
    """LiteLLM's mode of a model type: ``embedding`` or ``chat``."""
    return "embedding" if type == ModelType.EMBEDDING else "chat"


def seal(result: TestResult, fields: Mapping[str, Any], key: SecretStr | None) -> TestResult:
    """The result with a seal over the called fields. The measured dimensions count where none were given."""
    return replace(result, seal=_seal(result, fields, key))


def is_of(result: TestResult, fields: Mapping[str, Any], key: SecretStr | None) -> bool:
    """Whether this process made the result, by calling exactly these fields, and it was not altered since."""
    try:
        return hmac.compare_digest(result.seal, _seal(result, fields, key))
    except (TypeError, ValueError, RecursionError):  # our own results can always be serialized
        return False


def _seal(result: TestResult, fields: Mapping[str, Any], key: SecretStr | None) -> str:
    parts = specs.called(fields)
    if "dimensions" in result.details:
        parts.setdefault("config.dimensions", result.details["dimensions"])
    outcome = (result.ok, result.stage, result.kind, result.message, result.latency_ms, result.details, result.at)
    return specs.digest(parts, key.get_secret_value() if key else None, outcome)
