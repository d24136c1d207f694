"""Checks the arguments of public methods, except whole models: names, ids, filters, flags, numbers, times, callbacks.

All text is trimmed and otherwise compared unchanged. Text with control characters or lone surrogates, or longer than
anything stored, matches nothing: see `findable`. A record counts as its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from registry.errors import InvalidInputError
from registry.records import KnowledgeBase, Model, ModelSummary, ModelType, Status

ModelRef = str | UUID | Model | ModelSummary
"""A model: its id, its name, or a record of it."""

KnowledgeBaseRef = str | UUID | KnowledgeBase
"""A knowledge base: its id, or a record of it."""

MODEL: Final = (Model, ModelSummary)
_LONGEST: Final = 1000  # more than any name, id or value that is stored
_UNSTORABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

E = TypeVar("E", ModelType, Status)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which models to list. What is left out, None or empty filters nothing.

    Attributes:
        type, status: exactly this one.
        provider: id of a provider.
        search: text in the name, the model ID or the provider's label, in any case.

    Raises:
        InvalidInputError: there is no such type or status, or a filter is no text.
    """

    type: ModelType | str | None = None
    provider: str | None = None
    status: Status | str | None = None
    search: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "type", None if self.type is None else member(ModelType, "type", self.type))
        put(self, "status", None if self.status is None else member(Status, "status", self.status))
        put(self, "provider", wanted("provider", self.provider))
        put(self, "search", wanted("search", self.search))


def text(argument: str, value: object, expected: str = "a text") -> str:
    """The trimmed text.

    Raises:
        InvalidInputError: it is not a text.
    """
    if not isinstance(value, str):
        raise InvalidInputError({argument: f"Must be {expected}."})
    return str.strip(value)


def model(argument: str, value: object) -> str:
    """The id or name in a reference to a model.

    Raises:
        InvalidInputError: it is not a `ModelRef`.
    """
    return _key(argument, value, MODEL, "the id or name of a model, or a record of one")


def knowledge_base(argument: str, value: object) -> str:
    """The id in a reference to a knowledge base.

    Raises:
        InvalidInputError: it is not a `KnowledgeBaseRef`.
    """
    return _key(argument, value, (KnowledgeBase,), "the id of a knowledge base, or a record of one")


def wanted(argument: str, value: object) -> str:
    """The trimmed text to filter by; empty for None.

    Raises:
        InvalidInputError: it is not a text.
    """
    return "" if value is None else text(argument, value)


def model_filter(argument: str, value: object) -> ModelFilter:
    """The filter; the one that filters nothing where None is given.

    Raises:
        InvalidInputError: it is something else.
    """
    if not isinstance(value, ModelFilter | None):
        raise InvalidInputError({argument: "Must be a ModelFilter."})
    return value or ModelFilter()


def target(argument: str, value: object) -> str:
    """As `wanted`, for the target of an audit entry: an id or a name, or a record of a model or a knowledge base.

    Raises:
        InvalidInputError: it is none of these.
    """
    return "" if value is None else _key(argument, value, (*MODEL, KnowledgeBase), "an id, a name or a record")


def findable(text: str) -> bool:
    """Whether a stored value could equal or contain this text. Pass the text as the caller gave it."""
    return 0 < len(text) <= _LONGEST and not _UNSTORABLE.search(text)


def member(kind: type[E], argument: str, value: object) -> E:
    """The member of an enumeration that the text names.

    Raises:
        InvalidInputError: there is no such member.
    """
    wanted = str.strip(value) if isinstance(value, str) else None
    found = next((each for each in kind if each.value == wanted), None)
    if found is None:
        raise InvalidInputError({argument: f"Choose one of {', '.join(kind)}."})
    return found


def flag(argument: str, value: object) -> bool:
    """True or False.

    Raises:
        InvalidInputError: it is anything else, such as the text ``"false"``.
    """
    if not isinstance(value, bool):
        raise InvalidInputError({argument: "Must be True or False."})
    return value


def whole(argument: str, value: object, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``.

    Raises:
        InvalidInputError: it is not a whole number, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError({argument: "Must be a whole number."})
    if not least <= value <= most:
        raise InvalidInputError({argument: f"Must be between {least:,} and {most:,}."})
    return value


def moment(argument: str, value: object) -> datetime | None:
    """A point in time in UTC, or None.

    Raises:
        InvalidInputError: it is not a datetime, has no usable time zone, or is out of range in UTC.
    """
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidInputError({argument: "Must be a datetime."})
    try:
        utc = value.astimezone(UTC) if value.utcoffset() is not None else None
    except OverflowError:
        raise InvalidInputError({argument: "Must be between the years 1 and 9999 in UTC."}) from None
    except Exception:  # noqa: BLE001 -- a time zone is the caller's own code, and pandas.NaT a datetime without a time
        utc = None
    if utc is None:
        raise InvalidInputError({argument: "Give the time with its time zone."})
    return utc


def callback(argument: str, value: F | None) -> F | None:
    """A function to call, or None.

    Raises:
        InvalidInputError: it is not callable.
    """
    if value is not None and not callable(value):
        raise InvalidInputError({argument: "Must be a function."})
    return value


def texts(argument: str, value: object) -> frozenset[str] | None:
    """A set of texts, or None. A single text is refused: it would be split into letters.

    Raises:
        InvalidInputError: it is not a list, tuple or set of texts.
    """
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | Set):
        raise InvalidInputError({argument: "Must be a list of texts."})
    return frozenset(text(argument, each, "a list of texts") for each in value)


def _key(argument: str, value: object, records: tuple[type[Any], ...], expected: str) -> str:
    if isinstance(value, records):
        id = _key(argument, value.id, (), expected)
        if not id:
            raise InvalidInputError({argument: "This record has no id."})
        return id
    return str(value) if isinstance(value, UUID) else text(argument, value, expected)
