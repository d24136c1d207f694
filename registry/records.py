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


class Stage(StrEnum):
    """How far a connection test comes, in this order."""

    ENDPOINT = "endpoint"
    SIGN_IN = "sign_in"
    MODEL = "model"
    CAPABILITY = "capability"


class Kind(StrEnum):
    """What a connection test found."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    REDIRECTED = "redirected"
    ELSEWHERE = "elsewhere"
    NOT_SENT = "not_sent"
    UNSAFE = "unsafe"
    PROVIDER_DOWN = "provider_down"
    BAD_ANSWER = "bad_answer"
    UNREADABLE = "unreadable"
    PROXY_DOWN = "proxy_down"
    WRONG_MASTER_KEY = "wrong_master_key"
    WRONG_KEY = "wrong_key"
    FORBIDDEN = "forbidden"
    NOT_REGISTERED = "not_registered"
    NO_MODEL = "no_model"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    WRONG_TYPE = "wrong_type"
    WRONG_DIMENSIONS = "wrong_dimensions"
    EMPTY_REPLY = "empty_reply"
    INVALID_JSON = "invalid_json"


class FrozenDict(dict[str, Any]):
    """A dict that refuses to change; unlike a mapping proxy it can be copied, pickled and written as JSON."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("records of the registry are read-only")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Model:
    """A registered model.

    ``config`` holds the parameters of its type, complete with defaults (see `registry.catalog.specs`); ``connection``
    what else its provider declares, such as Azure's deployment. ``api_endpoint`` is None where the provider's own is
    used. Times are UTC. ``version`` grows by one with every change. ``proxy_message`` is what kept the proxy from
    following the change that returned this model; empty where nothing did, or where no change returned it.
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
    proxy_message: str = field(default="", compare=False)

    def __repr__(self) -> str:
        star = ", default" if self.is_default else ""
        return f"<Model {self.name!r}: {self.type} {self.model_id!r} of {self.provider}, {self.status}{star}>"


@dataclass(frozen=True, slots=True, kw_only=True)
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
        stage: how far it came; of a failed test, where it failed.
        kind: what went wrong, to be told apart by code; ``ok`` where nothing did.
        message: for the administrator: what came out, or what is wrong and what to do.
        latency_ms: how long the call took.
        details: what was measured, such as ``dimensions`` and ``norm`` of a vector, or ``preview`` of a reply.
        at: when it was made.
        seal: ties it to what was called, so that it can be saved with exactly that; means something only to the process
            that made the test.
    """

    __test__ = False  # pytest: the name is the design's

    ok: bool
    stage: Stage
    kind: Kind
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
class Deletion:
    """What deleting a model came to: the KBs that were moved, and what kept the proxy from following, if anything."""

    name: str
    knowledge_bases: tuple[KnowledgeBase, ...] = ()
    proxy_message: str = ""


@dataclass(frozen=True, slots=True)
class Reassignment:
    """What deleting a model would touch: the KBs that use it and the models that may take them over."""

    knowledge_bases: tuple[KnowledgeBase, ...] = ()
    candidates: tuple[ModelSummary, ...] = ()
