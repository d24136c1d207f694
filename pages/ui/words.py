"""The labels, texts and colours of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from registry.audit.records import Action
from registry.catalog.specs import CONFIGS
from registry.proxy.records import Reason, SyncStep
from registry.records import Kind, ModelSummary, ModelType, Stage, Status

TYPES = {ModelType.EMBEDDING: "Embedding", ModelType.GENERATION: "Generation", ModelType.NER: "NER"}
STATUSES = {Status.ACTIVE: "Active", Status.INACTIVE: "Inactive", Status.DEPRECATED: "Deprecated"}
STATUS_COLORS = {Status.ACTIVE: "green", Status.INACTIVE: "gray", Status.DEPRECATED: "orange"}
UNREADABLE = "Unreadable"
STATE_COLORS = {**{STATUSES[status]: STATUS_COLORS[status] for status in Status}, UNREADABLE: "red"}

TYPES_IN_TEXT = {ModelType.EMBEDDING: "embedding", ModelType.GENERATION: "generation", ModelType.NER: "NER"}
TYPE_HELP = {
    ModelType.EMBEDDING: "Turns text into vectors, for search.",
    ModelType.GENERATION: "Writes answers.",
    ModelType.NER: "Finds names and terms in text.",
}
STATUS_HELP = {
    Status.ACTIVE: "Offered to knowledge bases and usable.",
    Status.INACTIVE: "Not offered; requests for it are refused.",
    Status.DEPRECATED: "Keeps working where it is used, but is no longer offered.",
}

TESTS = {True: "Works", False: "Fails"}
_SHORT = {"day": "d", "hour": "h", "minute": "min"}
_DAY = 86_400_000  # milliseconds
TEST_COLORS = {True: "green", False: "red"}
STAGES = {
    Stage.ENDPOINT: "Endpoint",
    Stage.SIGN_IN: "Sign-in",
    Stage.MODEL: "Model",
    Stage.CAPABILITY: "Capability",
}
KINDS: Mapping[str, str] = {
    Kind.OK: "works",
    Kind.UNREACHABLE: "unreachable",
    Kind.TLS: "no secure connection",
    Kind.TIMEOUT: "timeout",
    Kind.REDIRECTED: "redirected",
    Kind.ELSEWHERE: "wrong address",
    Kind.NOT_SENT: "not sent",
    Kind.UNSAFE: "address refused",
    Kind.PROVIDER_DOWN: "provider down",
    Kind.BAD_ANSWER: "not a model API",
    Kind.UNREADABLE: "unreadable answer",
    Kind.PROXY_DOWN: "proxy down",
    Kind.WRONG_MASTER_KEY: "wrong master key",
    Kind.WRONG_KEY: "wrong key",
    Kind.FORBIDDEN: "forbidden",
    Kind.NOT_REGISTERED: "not on the proxy",
    Kind.NO_MODEL: "no such model",
    Kind.RATE_LIMITED: "rate limited",
    Kind.REFUSED: "refused",
    Kind.WRONG_TYPE: "wrong type",
    Kind.WRONG_DIMENSIONS: "wrong dimensions",
    Kind.EMPTY_REPLY: "empty reply",
    Kind.INVALID_JSON: "invalid JSON",
}
"""The findings of a connection test, for “Fails: …”."""
WORKS = ":green[:material/check_circle:"
FAILS = ":red[:material/cancel:"
"""Marks of success and failure, each the beginning of a coloured text."""

IN_STEP, WAITING, FAILED = "In step", "Waiting", "Failed"
PROXY_COLORS = {IN_STEP: "green", WAITING: "orange", FAILED: "red"}

ACTIONS: Mapping[str, str] = {
    Action.MODEL_CREATE: "Model registered",
    Action.MODEL_UPDATE: "Model edited",
    Action.MODEL_SET_STATUS: "Status changed",
    Action.MODEL_SET_DEFAULT: "Default chosen",
    Action.MODEL_CLEAR_DEFAULT: "Default cleared",
    Action.MODEL_DELETE: "Model deleted",
    Action.MODEL_TEST: "Connection tested",
    Action.KNOWLEDGE_BASE_BIND: "Knowledge base bound",
    Action.KNOWLEDGE_BASE_REASSIGN: "Knowledge base moved",
    Action.KNOWLEDGE_BASE_REMOVE: "Knowledge base removed",
    Action.PROXY_SYNC: "Proxy synchronised",
    Action.PROXY_ADOPT: "Proxy entry adopted",
    Action.KEYS_ROTATE: "Keys rotated",
}

STEP_REASONS: Mapping[str, str] = {
    Reason.MISSING: "Missing",
    Reason.OUTDATED: "Outdated",
    Reason.DUPLICATE: "Duplicate",
    Reason.ORPHANED: "Orphaned",
    Reason.EDITED: "Edited by hand",
    Reason.LEFTOVER: "Left behind",
    Reason.REFUSED: "Not possible",
    Reason.FOREIGN: "Foreign",
}

_FIELDS = {
    "name": "Name",
    "type": "Type",
    "provider": "Provider",
    "model_id": "Model ID",
    "api_endpoint": "Endpoint",
    "api_key": "API key",
    "status": "Status",
    "default": "Default",
    "is_default": "Default",
    "embedding": "Embedding model",
    "generation": "Generation model",
    "ner": "NER model",
}


def field_label(path: str) -> str:
    """The label of a field in an audit entry or error."""
    name = path.removeprefix("config.").removeprefix("connection.")
    for config in CONFIGS.values():
        if path.startswith("config.") and name in config.model_fields:
            return config.model_fields[name].title or name
    return _FIELDS.get(name, name.replace("_", " ").capitalize())


def effect(step: SyncStep) -> str:
    """How a sync handles a difference."""
    if step.reason == Reason.FOREIGN:
        return "leaves it alone"
    doing = ["registers it"] if step.adds else []
    doing += [f"removes {counted(len(step.deletes), 'entry', 'entries')}"] if step.deletes else []
    return ", ".join(doing) or "cannot fix it"


def shown(value: object) -> str:
    """A value of an audit entry as text, with line breaks and tabs as escapes."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items()) or "none"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return str(value).replace("\n", "\\n").replace("\t", "\\t")


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 model``, ``2 models``, ``1,000 models``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shortened(text: str, most: int) -> str:
    """The text, or its beginning if it is longer than ``most``."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def duration(milliseconds: int) -> str:
    """``812 ms``, ``1.2 s``."""
    return f"{milliseconds:,} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def ago(at: datetime) -> str:
    """The time since then: ``just now``, ``3 minutes ago``, ``2 days ago``."""
    number, unit = _age(at, datetime.now(UTC))
    return f"{counted(number, unit)} ago" if unit else "just now"


def last_test(row: ModelSummary, now: datetime) -> str | None:
    """The last test of a model, short: ``Works · 3 h``; None if there was none."""
    if row.test_ok is None or row.test_at is None:
        return None
    number, unit = _age(row.test_at, now)
    return f"{TESTS[row.test_ok]} · {f'{number} {_SHORT[unit]}' if unit else 'now'}"


def outcome(context: Mapping[str, Any]) -> str:
    """The result of a test, from the context of its audit entry: ``Fails: wrong key, 95 ms``."""
    kind = str(context.get("kind", ""))
    finding = "" if context.get("ok") else f": {KINDS.get(kind, kind.replace('_', ' '))}"
    took = context.get("latency_ms")
    time = f", {duration(took)}" if isinstance(took, int) and 0 <= took < _DAY else ""
    return f"{TESTS[bool(context.get('ok'))]}{finding}{time}"


def _age(at: datetime, now: datetime) -> tuple[int, str]:
    """The age in the largest unit that fits; without one below a minute."""
    seconds = (now - at).total_seconds()
    units = (("day", 86_400), ("hour", 3600), ("minute", 60))
    return next(((int(seconds // length), unit) for unit, length in units if seconds >= length), (0, ""))


def state(row: ModelSummary) -> str:
    """The label of a model's status, or that it is unreadable."""
    return STATUSES[Status(row.status)] if row.is_readable else UNREADABLE


def proxy_state(row: ModelSummary) -> str:
    """Whether a model is in step."""
    if row.proxy_message:
        return FAILED
    return IN_STEP if row.in_step else WAITING
