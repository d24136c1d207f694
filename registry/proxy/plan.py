"""Plans a sync: compares the registered models with the proxy's entries, and sends nothing.

An entry's id identifies its content: it is derived from the model, an epoch and all of LiteLLM's parameters, keyed with
the store's own secret. So the proxy's list shows which entries are current. An update always adds a new entry, and then
removes the old one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from registry.proxy.admin import Entry, Registration
from registry.proxy.records import OURS, Reason, SyncStep, alias_of

TEMPORARY = "db-test-"
_STALE_SECONDS = 15 * 60  # no test takes longer: older entries were left behind


@dataclass(frozen=True, slots=True)
class Wanted:
    """The state of one model that the registry wants on the proxy.

    Attributes:
        noted: the version that the proxy was last known to serve, and the error message then.
        served: the registration that the proxy should have; None for an inactive model, or one with a ``problem``.
        renewed: the same under another id, to replace an entry that was edited by hand.
        problem: why it cannot be registered; its existing entries stay unchanged, unless it is ``barred``.
        barred: it must no longer be called, so its entries are removed.
    """

    id: str
    name: str
    version: int
    epoch: int = 0
    noted: tuple[int | None, str] = (None, "")
    served: Registration | None = None
    renewed: Registration | None = None
    problem: str = ""
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A step, with the registration that it adds, the model, and the epoch that it begins."""

    step: SyncStep
    wanted: Wanted | None = None
    adds: Registration | None = None
    epoch: int | None = None


def temporary_alias() -> str:
    """A name for a test, which contains the time of its creation."""
    return f"{TEMPORARY}{int(time.time()):x}-{uuid4().hex[:12]}"


def registration(
    id: str, epoch: int, params: Mapping[str, Any], mode: str, registry: str, secret: bytes
) -> Registration:
    """The registration of a model, with the id derived from its content."""
    content = json.dumps([id, epoch, mode, params], sort_keys=True, separators=(",", ":"))
    digest = hmac.digest(secret, content.encode(), hashlib.sha256)
    return Registration(str(UUID(bytes=digest[:16], version=5)), alias_of(id), params, mode, registry)


def compared(wanted: Sequence[Wanted], entries: Iterable[Entry], registry: str) -> list[Task]:
    """The differences, alias by alias. An alias in step has no task."""
    known = {alias_of(each.id): each for each in wanted}
    homes = {each.served.id: alias for alias, each in known.items() if each.served}
    ours: defaultdict[str, list[Entry]] = defaultdict(list)
    foreign: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.registry == registry:
            ours[homes.get(entry.id, entry.alias)].append(entry)  # even if it was renamed on the proxy
        elif entry.alias.startswith(OURS):
            foreign[entry.alias].append(entry)
    tasks: list[Task] = []
    for alias in dict.fromkeys([*known, *ours, *foreign]):
        one, found = known.get(alias), ours.get(alias, [])
        task = _due(one, found) if one and (one.served or one.problem) else _unwanted(alias, one, found)
        tasks += [task] if task else []
        tasks += [_foreign(entry, one) for entry in foreign.get(alias, [])]
    return tasks


def count_behind(steps: Sequence[SyncStep]) -> int:
    """How many models are not in step. Foreign entries, and those without a model, do not count."""
    return len({step.model for step in steps if step.model is not None and step.reason != Reason.FOREIGN})


def _unwanted(alias: str, wanted: Wanted | None, ours: Sequence[Entry]) -> Task | None:
    if not ours or (alias.startswith(TEMPORARY) and _age(alias) < _STALE_SECONDS):
        return None
    if alias.startswith(TEMPORARY):
        return _task(alias, wanted, Reason.LEFTOVER, "Left behind by a connection test that was cut off.", ours)
    why = "The model is inactive." if wanted else "Its model was deleted."
    return _task(alias, wanted, Reason.ORPHANED, why, ours)


def _due(wanted: Wanted, ours: Sequence[Entry]) -> Task | None:
    alias = alias_of(wanted.id)
    if wanted.served is None:
        return _task(alias, wanted, Reason.REFUSED, wanted.problem, ours if wanted.barred else ())
    current = next((entry for entry in ours if entry.id == wanted.served.id), None)
    others = [entry for entry in ours if entry is not current]
    if current is None:
        if not ours:
            return _task(alias, wanted, Reason.MISSING, "The proxy does not have it.", (), wanted.served)
        return _task(alias, wanted, Reason.OUTDATED, "The model was changed.", others, wanted.served)
    edits = _edits(current, wanted.served)
    if edits:
        why = f"Edited on the proxy: {', '.join(edits)}."
        # its replacement can exist already, if the store was restored to an earlier state
        old = [entry for entry in ours if wanted.renewed is None or entry.id != wanted.renewed.id]
        return _task(alias, wanted, Reason.EDITED, why, old, wanted.renewed, wanted.epoch + 1)
    if others:
        return _task(alias, wanted, Reason.DUPLICATE, "The proxy has it more than once.", others)
    return None


def _foreign(entry: Entry, wanted: Wanted | None) -> Task:
    if entry.registry is not None:
        why = "Another registry registered it."
    elif wanted is not None and not wanted.served:
        why = "Not made by this registry, whose model is inactive or cannot be registered."
    elif wanted is not None:
        why = "Not made by this registry, and called beside the model's own entry."
    else:
        why = "Not made by this registry, which has no such model."
    name = wanted.name if wanted else ""
    is_adoptable = entry.registry is None and (wanted is None or wanted.served is not None)
    step = SyncStep(
        alias=entry.alias,
        reason=Reason.FOREIGN,
        why=why,
        name=name,
        model=None,
        adds=False,
        deletes=(entry.id,),
        adoptable=is_adoptable,
    )
    return Task(step, wanted)


def _edits(entry: Entry, registered: Registration) -> list[str]:
    """The parameters that differ from what was registered. The key is not compared: the proxy does not show it."""
    differing = [
        name for name, value in registered.params.items() if name != "api_key" and entry.params.get(name) != value
    ]
    differing += ["model_name"] if entry.alias != registered.alias else []
    return [*differing, "blocked"] if entry.is_blocked else differing


def _task(
    alias: str,
    wanted: Wanted | None,
    reason: Reason,
    why: str,
    deletes: Sequence[Entry],
    adds: Registration | None = None,
    epoch: int | None = None,
) -> Task:
    step = SyncStep(
        alias=alias,
        reason=reason,
        why=why,
        name=wanted.name if wanted else "",
        model=wanted.id if wanted else None,
        adds=adds is not None,
        deletes=tuple(entry.id for entry in deletes),
    )
    return Task(step, wanted, adds, epoch)


def _age(alias: str) -> float:
    made = alias.removeprefix(TEMPORARY).partition("-")[0]
    try:
        return time.time() - int(made, 16)
    except (ValueError, OverflowError):  # not in the form of `temporary_alias`
        return float("inf")
