"""The words and colours of the pages, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from registry.catalog.specs import CONFIGS
from registry.proxy.records import SyncStep
from registry.records import ModelSummary, ModelType, Status

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
    Status.ACTIVE: "Offered to knowledge bases, and used.",
    Status.INACTIVE: "Not offered, and refused to those that still ask for it.",
    Status.DEPRECATED: "Goes on working where it is used, but is not offered any more.",
}

TESTS = {True: "Works", False: "Fails"}
_SHORT = {"day": "d", "hour": "h", "minute": "min"}
_DAY = 86_400_000  # milliseconds
TEST_COLORS = {True: "green", False: "red"}
STAGES = {"endpoint": "Endpoint", "sign_in": "Sign-in", "model": "Model", "capability": "Capability"}
WORKS = ":green[:material/check_circle:"
FAILS = ":red[:material/cancel:"
"""Marks of what works and what does not, each the beginning of a coloured text."""

IN_STEP, WAITING, FAILED = "In step", "Waiting", "Failed"
PROXY_COLORS = {IN_STEP: "green", WAITING: "orange", FAILED: "red"}

ACTIONS = {
    "model:create": "Model registered",
    "model:update": "Model edited",
    "model:set_status": "Status changed",
    "model:set_default": "Default chosen",
    "model:clear_default": "Default cleared",
    "model:delete": "Model deleted",
    "model:test": "Connection tested",
    "knowledge_base:bind": "Knowledge base bound",
    "knowledge_base:reassign": "Knowledge base moved",
    "knowledge_base:remove": "Knowledge base removed",
    "proxy:sync": "Proxy synchronised",
    "proxy:adopt": "Proxy entry adopted",
    "keys:rotate": "Keys rotated",
}

STEP_REASONS = {
    "missing": "Missing",
    "outdated": "Outdated",
    "duplicate": "Duplicate",
    "orphaned": "Orphaned",
    "edited": "Edited by hand",
    "leftover": "Left behind",
    "refused": "Not possible",
    "foreign": "Foreign",
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
    """A field of an audit entry or an error, as people call it."""
    name = path.removeprefix("config.").removeprefix("connection.")
    for config in CONFIGS.values():
        if path.startswith("config.") and name in config.model_fields:
            return config.model_fields[name].title or name
    return _FIELDS.get(name, name.replace("_", " ").capitalize())


def effect(step: SyncStep) -> str:
    """What a sync does about a difference."""
    if step.reason == "foreign":
        return "leaves it alone"
    doing = ["registers it"] if step.adds else []
    doing += [f"removes {counted(len(step.deletes), 'entry', 'entries')}"] if step.deletes else []
    return ", ".join(doing) or "cannot do it"


def shown(value: object) -> str:
    """A value of an audit entry as text; white space that would not be seen is written out."""
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
    """The text, or its beginning where it has more characters than that."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def duration(milliseconds: int) -> str:
    """``812 ms``, ``1.2 s``."""
    return f"{milliseconds:,} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def ago(at: datetime) -> str:
    """How long something is past: ``just now``, ``3 minutes ago``, ``2 days ago``."""
    number, unit = _age(at, datetime.now(UTC))
    return f"{counted(number, unit)} ago" if unit else "just now"


def last_test(row: ModelSummary, now: datetime) -> str | None:
    """The last test of a model, short: ``Works · 3 h``; None where there was none."""
    if row.test_ok is None or row.test_at is None:
        return None
    number, unit = _age(row.test_at, now)
    return f"{TESTS[row.test_ok]} · {f'{number} {_SHORT[unit]}' if unit else 'now'}"


def outcome(context: Mapping[str, Any]) -> str:
    """How a connection test went, from the context of its audit entry: ``Fails: wrong key, 95 ms``."""
    how = "" if context.get("ok") else f": {str(context.get('kind', '')).replace('_', ' ')}"
    took = context.get("latency_ms")
    told = f", {duration(took)}" if isinstance(took, int) and 0 <= took < _DAY else ""
    return f"{TESTS[bool(context.get('ok'))]}{how}{told}"


def _age(at: datetime, now: datetime) -> tuple[int, str]:
    """In the largest unit that fits; in none, where it is less than a minute."""
    seconds = (now - at).total_seconds()
    units = (("day", 86_400), ("hour", 3600), ("minute", 60))
    return next(((int(seconds // length), unit) for unit, length in units if seconds >= length), (0, ""))


def state(row: ModelSummary) -> str:
    """The status of a model, or that it has none which could be relied on."""
    return STATUSES[Status(row.status)] if row.is_readable else UNREADABLE


def follows(row: ModelSummary) -> str:
    """How the proxy follows a model."""
    if row.proxy_message:
        return FAILED
    return IN_STEP if row.in_step else WAITING
