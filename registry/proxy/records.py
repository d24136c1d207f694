"""Records about the LiteLLM proxy: frozen, and never with a secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OURS = "db-"
"""How the aliases of the registry's models begin."""


def alias_of(id: str) -> str:
    """The alias under which the proxy serves a model."""
    return OURS + id


class Reason(StrEnum):
    """The kinds of differences between the registry and the proxy."""

    MISSING = "missing"
    """The proxy does not have a model."""
    OUTDATED = "outdated"
    """It has an earlier version of a model."""
    DUPLICATE = "duplicate"
    """It has a model more than once."""
    ORPHANED = "orphaned"
    """It has a model that is inactive or was deleted."""
    EDITED = "edited"
    """Its entry was edited by hand, on the proxy."""
    LEFTOVER = "leftover"
    """It has an entry that a connection test left behind."""
    REFUSED = "refused"
    """A model cannot be registered."""
    FOREIGN = "foreign"
    """It has an entry that this registry did not make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStep:
    """One difference between the registry and the proxy.

    Attributes:
        alias: the name on the proxy, ``db-`` and the model's id.
        reason: the kind of difference.
        why: the difference in words, for people.
        name, model: name and id of the model; empty and None if the registry has none.
        adds: whether a sync registers the model again.
        deletes: ids of the entries that a sync removes; if foreign, the entry that adopting would replace.
        adoptable: whether it is a foreign entry that `Proxy.adopt` accepts.
    """

    alias: str
    reason: Reason
    why: str
    name: str
    model: str | None
    adds: bool
    deletes: tuple[str, ...]
    adoptable: bool = False

    @property
    def changes(self) -> bool:
        """Whether a sync changes something."""
        return self.reason != Reason.FOREIGN and (self.adds or bool(self.deletes))


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """The steps of a sync with the proxy at ``url``; ``in_step`` of the ``models`` need none."""

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
    """A step that a sync could not apply, and why."""

    step: SyncStep
    message: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The steps that a sync applied, those that failed, and the foreign entries that it left alone."""

    applied: tuple[SyncStep, ...]
    failed: tuple[SyncFailure, ...]
    foreign: tuple[SyncStep, ...]
    in_step: int
    models: int

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return not self.failed
