"""What comes out of the registry: frozen records, none of which can hold a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn


class ModelType(StrEnum):
    """What a model is for. A model never changes its type."""

    EMBEDDING = "embedding"
    GENERATION = "generation"
    NER = "ner"


class Status(StrEnum):
    """``active``: offered and used. ``deprecated``: used where it is bound, offered no more. ``inactive``: not used."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DEPRECATED = "deprecated"


class FrozenDict(dict[str, Any]):
    """A dict that refuses to change; unlike a mapping proxy it can be copied, pickled and written as JSON."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("records of the registry are read-only")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)


@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """A registered model.

    ``config`` holds the parameters of its type, complete with defaults (see `registry.catalog.specs`); ``connection``
    what else its provider declares, such as Azure's deployment. ``api_endpoint`` is None where the provider's own is
    used. Times are UTC. ``version`` grows by one with every change.
    """

    id: str
    type: ModelType
    provider: str
    name: str
    model_id: str
    api_endpoint: str | None
    connection: Mapping[str, str]
    config: Mapping[str, Any]
    status: Status
    is_default: bool
    has_api_key: bool
    version: int
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        star = ", default" if self.is_default else ""
        return f"<Model {self.name!r}: {self.type} {self.model_id!r} of {self.provider}, {self.status}{star}>"


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model as a row of the list: what a table shows, cheap to load by the thousand."""

    id: str
    name: str
    type: str
    provider: str
    model_id: str
    status: str
    is_default: bool
    has_api_key: bool
    used_by: int
    updated_at: datetime
    in_step: bool
    """The proxy serves it as it is now (or, of an inactive one, has it no more)."""
    proxy_message: str
    """What kept the proxy from following, empty where nothing did."""
    test_ok: bool | None
    """How its last connection test went; None where it was never tested."""
    test_message: str | None
    test_ms: int | None
    test_at: datetime | None
    test_is_current: bool = False
    """Whether that test was of the model as it is now."""
    is_readable: bool = True
    """Whether the model can be used: False where an edit by SQL has put into its row what the registry never writes."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """Outcome of a connection test.

    Attributes:
        ok: it works, with what is configured.
        stage: how far it came: ``endpoint``, ``sign_in``, ``model``, ``capability``; of a failed test, where it failed.
        kind: what went wrong, such as ``wrong_key``, to be told apart by code; ``ok`` where nothing did.
        message: for the administrator: what came out, or what is wrong and what to do.
        latency_ms: how long the call took.
        details: what was measured, such as ``dimensions`` and ``norm`` of a vector, or ``preview`` of a reply.
        at: when it was made.
        seal: ties it to what was called, so that it can be saved with exactly that; means something only to the process
            that made the test.
    """

    __test__ = False  # pytest: the name is the design's

    ok: bool
    stage: str
    kind: str
    message: str
    latency_ms: int
    details: Mapping[str, Any]
    at: datetime | None = None
    seal: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A knowledge base and the ids of the models it is bound to. ``id`` is the KB code's own."""

    id: str
    name: str
    embedding: str | None
    generation: str | None
    ner: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One field of an audit entry, before and after. A key shows only as set, changed or removed."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log.

    ``action`` is ``subject:verb``. ``target_name`` is the name as it was at the time. ``hash`` covers the entry and
    ``prev_hash``, the hash of the entry before it.
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
    """Entries, newest first. ``next`` is the cursor of the page after, None on the last one.

    ``unreadable`` are the sequence numbers of rows of this page that are no entries as the registry writes them, newest
    first: somebody put them there, or altered them, by SQL.
    """

    entries: tuple[AuditEntry, ...]
    next: int | None
    unreadable: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Outcome of checking the audit log's hash chain. ``first_bad`` is the sequence number where it breaks.

    ``head`` is the hash of the last entry that was found in order, number ``checked``; 64 zeros where there is none.
    """

    ok: bool
    checked: int
    first_bad: int | None = None
    reason: str = ""
    head: str = ""


@dataclass(frozen=True, slots=True)
class SyncStep:
    """One thing that differs between the registry and the proxy.

    Attributes:
        alias: the name on the proxy, ``db-`` and the model's id.
        reason: ``missing``, ``outdated``, ``duplicate``, ``orphaned``, ``edited`` (by hand, on the proxy), ``leftover``
            (of a test), ``refused`` (cannot be registered) or ``foreign`` (not made by this registry).
        why: the same for people.
        name, model_id: of the model; empty and None where the registry has none.
        adds: a sync registers it anew.
        deletes: ids of the entries that a sync removes; of a foreign one, the entry that adopting would replace.
        adoptable: a foreign entry that no other registry made.
    """

    alias: str
    reason: str
    why: str
    name: str
    model_id: str | None
    adds: bool
    deletes: tuple[str, ...]
    adoptable: bool = False

    @property
    def changes(self) -> bool:
        """Whether a sync does something about it."""
        return self.reason != "foreign" and (self.adds or bool(self.deletes))


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What a sync would do to the proxy at ``url``, and how many of the ``models`` are ``in_step`` already."""

    url: str
    steps: tuple[SyncStep, ...]
    in_step: int
    models: int

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(step.changes for step in self.steps)


@dataclass(frozen=True, slots=True)
class SyncFailure:
    """What a sync could not do, and why."""

    step: SyncStep
    message: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, what it could not do, and what it left alone because it is not ours."""

    applied: tuple[SyncStep, ...]
    failed: tuple[SyncFailure, ...]
    foreign: tuple[SyncStep, ...]
    in_step: int
    models: int

    @property
    def ok(self) -> bool:
        """Whether the proxy now serves what the registry says."""
        return not self.failed


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """Whether the configured encryption keys fit this store. ``message`` says what to do when they do not."""

    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one encryption key made that is stored now.

    Attributes:
        key_id: names the key, without telling anything about it.
        position: its place in ``REGISTRY_FERNET_KEYS``, where 1 encrypts; None where it is not configured.
        api_keys: how many API keys it encrypted.
        store_secret: whether it encrypted the store's own secret.
    """

    key_id: str
    position: int | None
    api_keys: int
    store_secret: bool


@dataclass(frozen=True, slots=True)
class RotationReport:
    """Outcome of encrypting the stored API keys anew.

    Attributes:
        key_id: names the key that encrypts from now on.
        rotated: how many API keys were encrypted anew.
        already_current: how many were encrypted with this key before.
        unreadable: names of the models whose API key no configured key opens; it was left as it is.
    """

    key_id: str
    rotated: int
    already_current: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reassignment:
    """What deleting a model would touch: the KBs that use it and the models that may take them over."""

    knowledge_bases: tuple[KnowledgeBase, ...] = ()
    candidates: tuple[ModelSummary, ...] = ()
