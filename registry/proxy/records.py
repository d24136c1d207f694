"""What comes out about the LiteLLM proxy: frozen records, none of which can hold a secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OURS = "db-"
"""How the aliases of the registry's models begin."""


def alias_of(id: str) -> str:
    """The alias under which the proxy serves a model."""
    return OURS + id


class Reason(StrEnum):
    """What differs between the registry and the proxy."""

    MISSING = "missing"
    """The proxy does not have a model."""
    OUTDATED = "outdated"
    """It has a model as it was before a change."""
    DUPLICATE = "duplicate"
    """It has a model more than once."""
    ORPHANED = "orphaned"
    """It has a model that is inactive or was deleted."""
    EDITED = "edited"
    """Its entry was edited by hand, on the proxy."""
    LEFTOVER = "leftover"
    """It has what a connection test left behind."""
    REFUSED = "refused"
    """A model cannot be registered."""
    FOREIGN = "foreign"
    """It has an entry that this registry did not make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStep:
    """One thing that differs between the registry and the proxy.

    Attributes:
        alias: the name on the proxy, ``db-`` and the model's id.
        reason: what differs.
        why: the same for people.
        name, model: of the model, and its id; empty and None where the registry has none.
        adds: a sync registers it anew.
        deletes: ids of the entries that a sync removes; of a foreign one, the entry that adopting would replace.
        adoptable: a foreign entry that no other registry made.
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
        """Whether a sync does something about it."""
        return self.reason != Reason.FOREIGN and (self.adds or bool(self.deletes))


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
