"""What comes out about the LiteLLM proxy: frozen records, none of which can hold a secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStep:
    """One thing that differs between the registry and the proxy.

    Attributes:
        alias: the name on the proxy, ``db-`` and the model's id.
        reason: ``missing``, ``outdated``, ``duplicate``, ``orphaned``, ``edited`` (by hand, on the proxy), ``leftover``
            (of a test), ``refused`` (cannot be registered) or ``foreign`` (not made by this registry).
        why: the same for people.
        name, model: of the model, and its id; empty and None where the registry has none.
        adds: a sync registers it anew.
        deletes: ids of the entries that a sync removes; of a foreign one, the entry that adopting would replace.
        adoptable: a foreign entry that no other registry made.
    """

    alias: str
    reason: str
    why: str
    name: str
    model: str | None
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
