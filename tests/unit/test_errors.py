"""Errors travel: between processes, as from a worker of a pool, they keep what they say."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from registry import KnowledgeBase, errors

BASE = KnowledgeBase("kb-1", "Base", None, None, None, datetime(2026, 1, 1, tzinfo=UTC))
FIELDS = {"name": "This name is taken."}

Carry = Callable[[errors.RegistryError], errors.RegistryError]


def family(kind: type[errors.RegistryError]) -> Iterator[type[errors.RegistryError]]:
    """The class and all below it that the library defines."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.startswith("registry."):
            yield from family(below)


def example(kind: type[errors.RegistryError]) -> errors.RegistryError:
    if issubclass(kind, errors.InvalidInputError):
        return kind(FIELDS, "Choose another name.")
    takes_bases = "knowledge_bases" in inspect.signature(kind).parameters
    return kind("Choose another name.", fields=FIELDS, **({"knowledge_bases": [BASE]} if takes_bases else {}))


def pickled(protocol: int) -> Carry:
    return lambda error: pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 -- our own


PICKLED = {f"pickle {protocol}": pickled(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}
CARRY: dict[str, Carry] = {"copy": copy.copy, "deepcopy": copy.deepcopy, **PICKLED}


@pytest.mark.parametrize("kind", list(family(errors.RegistryError)), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", list(CARRY))
def test_an_error_survives_being_copied_and_pickled(kind: type[errors.RegistryError], way: str) -> None:
    """With its class, its message and all that it holds."""
    error = example(kind)
    carried = CARRY[way](error)
    assert (kind, str(error), error.args, vars(error)) == (type(carried), str(carried), carried.args, vars(carried))
    assert FIELDS == carried.fields


def test_fields_without_a_message_make_the_message() -> None:
    """Also after a journey."""
    for error in (errors.InvalidInputError({"a": "Bad."}), copy.copy(errors.InvalidModelError({"a": "Bad."}))):
        assert "a: Bad." == str(error)
