"""The records that the registry returns: frozen, and never with a secret."""

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
    """``active``: offered and used. ``deprecated``: used where bound, no longer offered. ``inactive``: not used."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DEPRECATED = "deprecated"


class Stage(StrEnum):
    """The stages of a connection test, in order."""

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
    """A read-only dict; unlike a mapping proxy it can be copied, pickled and serialized as JSON."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("records of the registry are read-only")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Model:
    """A registered model.

    ``config`` holds the parameters of its type, including defaults (see `registry.catalog.specs`); ``connection`` holds
    the provider's own fields, such as Azure's deployment. ``api_endpoint`` is None for the provider's default. Times
    are UTC. ``version`` increases by one with every change. ``proxy_message`` is set on models that a change returned:
    the reason why the proxy could not be updated, empty if it was.
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
    """A model as a row of a list: the columns that a table shows, cheap to load by the thousand."""

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
    """Whether the proxy serves the current version (or, if the model is inactive, no longer serves it)."""
    proxy_message: str
    """Why the proxy could not be updated; empty if it was."""
    test_ok: bool | None
    """Whether the last connection test succeeded; None if there was none."""
    test_message: str | None
    test_ms: int | None
    test_at: datetime | None
    test_is_current: bool = False
    """Whether that test was of the current version."""
    is_readable: bool = True
    """Whether the model can be used: False if its row was edited by SQL and holds values the registry never writes."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """Outcome of a connection test.

    Attributes:
        ok: the model works with its configuration.
        stage: the last stage reached; of a failed test, the one that failed.
        kind: the outcome as a code; ``ok`` for success.
        message: the outcome for the administrator; of a failed test, what is wrong and what to do.
        latency_ms: duration of the call in milliseconds.
        details: measured values, such as ``dimensions`` and ``norm`` of a vector, or ``preview`` of a reply.
        at: when the test was made, in UTC.
        seal: ties the result to the tested fields, so that it is saved only with these; valid only in the process that
            made the test.
    """

    __test__ = False  # pytest: this is not a test class

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
    """A knowledge base and the ids of the models it is bound to. The KB code chooses the ``id``."""

    id: str
    name: str
    embedding: str | None
    generation: str | None
    ner: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """Outcome of deleting a model: the KBs moved to another one, and why the proxy could not be updated, if so."""

    name: str
    knowledge_bases: tuple[KnowledgeBase, ...] = ()
    proxy_message: str = ""


@dataclass(frozen=True, slots=True)
class Reassignment:
    """Preview of deleting a model: the KBs that use it, and the models that can replace it for them."""

    knowledge_bases: tuple[KnowledgeBase, ...] = ()
    candidates: tuple[ModelSummary, ...] = ()
