"""What it takes for the proxy to serve what the registry says: compares the two, and sends nothing.

An entry's id tells what is registered under it: it is derived from the model, an epoch and all that LiteLLM is given,
keyed with the store's own secret. So a look at the proxy's list tells what is current, and an update is always a new
entry beside the old one, which goes when the new one is there.
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
_STALE_SECONDS = 15 * 60  # no test takes longer: what is older was left behind


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the registry has to say about one alias.

    Attributes:
        noted: the version that the proxy was last known to serve, and what was wrong then.
        served: what the proxy should serve; None for an inactive model, or one with a ``problem``.
        renewed: the same under another id, in the place of one that was edited by hand.
        problem: why it cannot be registered; entries of it that are there stay as they are, unless it is ``barred``.
        barred: it must not be called any more.
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
    """A step, and what it takes: the registration that it adds, and the model behind it."""

    step: SyncStep
    wanted: Wanted | None = None
    adds: Registration | None = None
    epoch: int | None = None


def temporary_alias() -> str:
    """A name for a test, which tells when it was made."""
    return f"{TEMPORARY}{int(time.time()):x}-{uuid4().hex[:12]}"


def registration(
    id: str, epoch: int, params: Mapping[str, Any], mode: str, registry: str, secret: bytes
) -> Registration:
    """What to register, under the id that belongs to it."""
    content = json.dumps([id, epoch, mode, params], sort_keys=True, separators=(",", ":"))
    digest = hmac.digest(secret, content.encode(), hashlib.sha256)
    return Registration(str(UUID(bytes=digest[:16], version=5)), alias_of(id), params, mode, registry)


def compared(wanted: Sequence[Wanted], entries: Iterable[Entry], registry: str) -> list[Task]:
    """What differs, alias by alias. What is in step has no task."""
    known = {alias_of(each.id): each for each in wanted}
    homes = {each.served.id: alias for alias, each in known.items() if each.served}
    ours: defaultdict[str, list[Entry]] = defaultdict(list)
    foreign: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.registry == registry:
            ours[homes.get(entry.id, entry.alias)].append(entry)  # also where somebody gave it another name
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
    """How many models are not in step. What is foreign or orphaned belongs to none, or is not ours to judge."""
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
        # what replaces it can be there already, where the store was put back to before it was noted
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
    """The parameters that are not what was registered. Of the key the proxy shows nothing."""
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
    except (ValueError, OverflowError):  # made by nobody who counts seconds
        return float("inf")
