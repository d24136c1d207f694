"""The hash chain: how an entry is written, hashed and read again.

The entry format, the numbering and the hash chain are final: an entry's hash is the SHA-256 of its canonical JSON
text, which includes the hash of the entry before it. Anyone can check a log with nothing but this rule, see `digest`.

An edit by SQL can put anything into a row. A row counts as an entry only if writing that entry gives exactly the same
text in each column; so a right hash always belongs to the stored text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Final

from registry.audit.records import AuditEntry, Change
from registry.records import FrozenDict
from registry.store.tables import AuditRow

GENESIS = "0" * 64
_TEXTS: Final = ("actor", "actor_role", "actor_via", "action", "target_kind", "target_id", "target_name")
_LONGEST: Final = {name: AuditRow.__table__.c[name].type.length for name in _TEXTS}  # type: ignore[attr-defined]  # String
_COLUMNS: Final = tuple(AuditRow.__table__.c.keys())
_DEEPEST: Final = 50  # nesting levels of JSON: deeper ones can overflow the stack of a parser or a page
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


Changes = Mapping[str, tuple[Any, Any]]
"""Field → (before, after). Secrets come as words such as ``"set"``, never as values."""


def written(
    seq: int,
    at: datetime,
    texts: Mapping[str, str],
    changes: Changes,
    context: Mapping[str, Any],
    prev_hash: str,
) -> AuditRow:
    """The row of a new entry. Text that a store could not keep unchanged is made storable before it is hashed.

    Args:
        texts: the values of the text columns, by column name.

    Raises:
        TypeError, ValueError: the entry cannot be written, as when it nests deeper than 50 levels.
    """
    storable = {column: _storable(column, texts[column]) for column in _TEXTS}
    pairs = {field: list(pair) for field, pair in changes.items()}
    # store and hash the values as they come back from JSON
    entry = _parsed(_canonical(_hashed(seq, at, storable, pairs, context, prev_hash)))
    return AuditRow(
        seq=entry["seq"],
        at=at,
        **{column: entry[column] for column in _TEXTS},
        changes=_canonical(entry["changes"]),
        context=_canonical(entry["context"]),
        prev_hash=entry["prev_hash"],
        hash=_sha256(_canonical(entry)),
    )


def digest(entry: AuditEntry) -> str:
    """The hash of an entry: SHA-256 over its canonical JSON (sorted keys, no spaces, UTF-8), without ``hash`` itself.

    The fields are those of `AuditEntry`; ``at`` is ISO 8601 in UTC with microseconds and ``Z``, ``changes`` and
    ``context`` are JSON objects, ``changes`` as ``{field: [before, after]}``, and ``format`` is 1.
    """
    texts = {column: getattr(entry, column) for column in _TEXTS}
    return _sha256(
        _canonical(_hashed(entry.seq, entry.at, texts, _pairs(entry.changes), entry.context, entry.prev_hash))
    )


def _hashed(
    seq: int,
    at: datetime,
    texts: Mapping[str, str],
    changes: Mapping[str, Any],
    context: Mapping[str, Any],
    prev_hash: str,
) -> dict[str, Any]:
    return {
        "format": 1,
        "seq": seq,
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **texts,
        "changes": changes,
        "context": context,
        "prev_hash": prev_hash,
    }


def _storable(column: str, value: str) -> str:
    """The text in a form that both stores keep: without NUL and lone surrogates, cut to the column's length.

    Raises:
        TypeError: it is not a text: the column would convert it only after it was hashed.
    """
    if not isinstance(value, str):
        raise TypeError(f"{column} of an audit entry must be text, not {type(value).__name__}")
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[: _LONGEST[column]]


def _canonical(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parsed(text: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ValueError: it is not a JSON object, or nests too deep.
    """
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(text):
        raise ValueError("JSON nests too deep")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _is_too_deep(text: str) -> bool:
    """Whether JSON nests too deep, found without parsing it."""
    steps = ((each in "[{") - (each in "]}") for each in _STRING.sub("", text))
    return any(level > _DEEPEST for level in accumulate(steps))


def _pairs(changes: Iterable[Change]) -> dict[str, Any]:
    return {change.field: [change.before, change.after] for change in changes}


def fault(row: AuditRow, expected: int, previous: str) -> str:
    """What is wrong with a row that should be entry ``expected`` and follow the hash ``previous``; empty if nothing."""
    if row.seq > expected:
        return f"Entry {expected} is missing."
    if row.seq < expected:
        return f"Entry {row.seq} was inserted."
    entry = entry_of(row)
    if entry is None or digest(entry) != entry.hash:
        return f"Entry {row.seq} was altered."
    return "" if entry.prev_hash == previous else f"Entry {row.seq} does not follow the entry before it."


def entry_of(row: AuditRow) -> AuditEntry | None:
    """The entry in a row; None if writing that entry would not give the same text in each column."""
    values = {column: getattr(row, column) for column in _COLUMNS}
    if None in values.values():
        return None
    try:
        changes = tuple(Change(field, before, after) for field, (before, after) in _parsed(row.changes).items())
        context = FrozenDict(_parsed(row.context))
        if (_canonical(_pairs(changes)), _canonical(context)) != (row.changes, row.context):
            return None
    except (TypeError, ValueError):
        return None
    return AuditEntry(**{**values, "changes": changes, "context": context})
