"""The records of the audit log: frozen, and never with a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """The actions in audit entries, as ``subject:verb``. Later versions of the registry can write others."""

    MODEL_CREATE = "model:create"
    MODEL_UPDATE = "model:update"
    MODEL_SET_STATUS = "model:set_status"
    MODEL_SET_DEFAULT = "model:set_default"
    MODEL_CLEAR_DEFAULT = "model:clear_default"
    MODEL_DELETE = "model:delete"
    MODEL_TEST = "model:test"
    KNOWLEDGE_BASE_BIND = "knowledge_base:bind"
    KNOWLEDGE_BASE_REASSIGN = "knowledge_base:reassign"
    KNOWLEDGE_BASE_REMOVE = "knowledge_base:remove"
    PROXY_SYNC = "proxy:sync"
    PROXY_ADOPT = "proxy:adopt"
    KEYS_ROTATE = "keys:rotate"


class TargetKind(StrEnum):
    """The kinds of targets of an entry."""

    MODEL = "model"
    KNOWLEDGE_BASE = "knowledge_base"
    PROXY = "proxy"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Change:
    """A changed field of an audit entry, before and after. A key shows only as its fingerprint, set or changed."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log.

    ``action`` is ``subject:verb``. ``target_name`` is the name at the time of the entry. ``hash`` covers the entry and
    ``prev_hash``, the hash of the previous entry.
    """

    seq: int
    at: datetime
    actor: str
    actor_role: str
    actor_via: str
    action: str
    target_kind: str
    target_id: str
    target_name: str
    changes: tuple[Change, ...]
    context: Mapping[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first. ``next`` is the cursor of the next page, None on the last one.

    ``unreadable`` lists, newest first, the sequence numbers of rows on this page that the registry did not write in
    this form: they were inserted or altered by SQL.
    """

    entries: tuple[AuditEntry, ...]
    next: int | None
    unreadable: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Outcome of checking the audit log's hash chain. ``first_bad`` is the sequence number where it breaks.

    ``head`` is the hash of the last valid entry, number ``checked``; 64 zeros if there is none.
    """

    ok: bool
    checked: int
    first_bad: int | None = None
    reason: str = ""
    head: str = ""
