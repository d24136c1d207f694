"""The seal that ties the result of a connection test to exactly the call that was tested."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from registry.catalog import specs
from registry.records import ModelType, TestResult

_process_key = secrets.token_bytes(32)


def mode_of(type: ModelType | str) -> str:
    """LiteLLM's word for what a model does."""
    return "embedding" if type == ModelType.EMBEDDING else "chat"


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
    parts = specs.called(fields)
    if "dimensions" in result.details:
        parts.setdefault("config.dimensions", result.details["dimensions"])
    outcome = (result.ok, result.stage, result.kind, result.message, result.latency_ms, result.details, result.at)
    return digest(parts, key.get_secret_value() if key else None, outcome)
