"""Keeps the LiteLLM proxy in step with the registry: plan, sync, adopt, and the push after every change.

The registry is the source of truth. A sync fixes whatever a crash, an outage or a manual edit on the proxy has left
incomplete. So nothing is rolled back on failure, and the saved proxy state only informs people.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.catalog.call import mode_of
from registry.catalog.egress import Policy
from registry.catalog.providers import PROVIDERS
from registry.errors import (
    DecryptionError,
    InvalidModelError,
    NotFoundError,
    ProxyError,
    RegistryError,
    StoredValueError,
    UnsafeEndpointError,
)
from registry.keys.vault import Vault
from registry.proxy import plan
from registry.proxy.admin import PARALLEL, ProxyApi, Registration, UnreachableError
from registry.proxy.plan import Task, Wanted
from registry.proxy.records import Reason, SyncFailure, SyncReport, SyncStep, alias_of
from registry.records import ModelType, Status
from registry.store import rows
from registry.store.store import Store
from registry.store.tables import ModelRow, ModelStateRow, StoreRow

Progress = Callable[[int, int], None]
"""Called with the number of changes done, and the total."""

_LOCK = "sync"
_SYNC_WAIT_SECONDS = 30.0
_PUSH_WAIT_SECONDS = 5.0
_MOST_ROUNDS = 5
_NOTED_AT_ONCE = 50


class Follower:
    """Compares the registry with the proxy, applies the differences and saves the outcome. Callers check the role."""

    def __init__(self, store: Store, vault: Vault, policy: Policy, api: ProxyApi) -> None:
        self._store = store
        self._vault = vault
        self._policy = policy
        self._api = api

    @property
    def url(self) -> str:
        """Root of the proxy."""
        return self._api.url

    @property
    def key(self) -> SecretStr:
        """The key with which tests call the proxy."""
        return self._api.key

    def alias(self, id: str) -> str:
        """The name under which the proxy serves a registered model."""
        return alias_of(id)

    def compared(self) -> tuple[list[Wanted], list[Task]]:
        """All models, and the differences on the proxy."""
        wanted, registry = self._wanted()
        return wanted, plan.compared(wanted, self._api.entries(), registry)

    def sync(self, only: Collection[str] | None, progress: Progress | None) -> SyncReport:
        """Compare and apply repeatedly, until no model was changed during the last round."""
        applied: list[SyncStep] = []
        for _ in range(_MOST_ROUNDS):
            with self._turn(_SYNC_WAIT_SECONDS):
                wanted, tasks = self.compared()
                chosen = [task for task in tasks if only is None or task.step.alias in only]
                failures = self._apply(chosen, progress)
                left = [] if only is None else [task for task in tasks if task.step.alias not in only]
                self._note_outcome(wanted, failures, left)
            applied += [task.step for task in chosen if task.step.changes and task.step not in failures]
            # a model changed meanwhile was not pushed, since its push did not get the lock: sync it in another round
            seen = {each.id: each.version for each in wanted if _is_chosen(each.id, only)}
            if self._versions(only) == seen:
                break
        foreign = tuple(task.step for task in chosen if task.step.reason == Reason.FOREIGN)
        failed = tuple(SyncFailure(step, message) for step, message in failures.items())
        behind = plan.count_behind([*failures, *(task.step for task in left)])
        return SyncReport(
            applied=tuple(applied), failed=failed, foreign=foreign, in_step=len(wanted) - behind, models=len(wanted)
        )

    def push(self, id: str) -> str:
        """Update one model's alias after a change; return the error message, empty on success. Never raises."""
        try:
            with self._turn(_PUSH_WAIT_SECONDS):
                return self._push(id)
        except RegistryError as error:
            with suppress(RegistryError):
                self._note({id: (None, error.message)})
            return error.message

    def adopt(self, entry_id: str) -> tuple[str, str]:
        """Replace a foreign entry; return its alias and the name of its model, empty if there is none."""
        with self._turn(_SYNC_WAIT_SECONDS):
            wanted, tasks = self.compared()
            found = next((task for task in tasks if entry_id in task.step.deletes), None)
            if found is None or found.step.reason != Reason.FOREIGN:
                raise NotFoundError("There is no such entry on the proxy any more. Load the page again.")
            if not found.step.adoptable:
                raise ProxyError(f"This entry cannot be replaced. {found.step.why}")
            own = [task for task in tasks if task.step.alias == found.step.alias and task is not found]
            for message in self._apply(own, None).values():
                raise ProxyError(message)
            self._api.delete(entry_id)
            self._note_outcome([each for each in wanted if each is found.wanted], {}, [])
            return found.step.alias, found.step.name

    @contextmanager
    def temporary(self, params: Mapping[str, Any], mode: str) -> Iterator[str]:
        """An alias that serves this during the block, and is always removed at its end.

        Raises:
            ProxyError: it cannot be registered.
        """
        new = Registration(str(uuid4()), plan.temporary_alias(), params, mode, self._store.registry_id())
        try:
            self._api.add(new)
            yield new.alias
        finally:
            with suppress(ProxyError):  # a sync removes it later
                self._api.delete(new.id)

    def _push(self, id: str) -> str:
        wanted, registry = self._wanted(id)
        tasks = plan.compared(wanted, self._api.entries_of(alias_of(id)), registry)
        failures = self._apply(tasks, None)
        self._note_outcome(wanted, failures, [])
        return next(iter(failures.values()), "")

    @contextmanager
    def _turn(self, seconds: float) -> Iterator[None]:
        try:
            with self._store.exclusive(_LOCK, seconds):
                yield
        except TimeoutError:
            raise ProxyError("The proxy is busy with another change of the registry. Sync when that is done.") from None

    def _wanted(self, id: str | None = None) -> tuple[list[Wanted], str]:
        statement = (
            select(ModelRow, ModelStateRow)
            .outerjoin(ModelStateRow, ModelStateRow.model_ref == ModelRow.id)
            .where(*([ModelRow.id == id] if id else []))
            .order_by(ModelRow.name_key)
        )
        with self._store.read() as session:
            secret = self._vault.secret(session)
            registry = session.scalars(select(StoreRow.registry_id)).one()
            rows = [(row, state) for row, state in session.execute(statement)]
        return [self._wanted_of(row, state, registry, secret) for row, state in rows], registry

    def _wanted_of(self, row: ModelRow, state: ModelStateRow | None, registry: str, secret: bytes) -> Wanted:
        epoch, noted = (state.proxy_epoch, (state.proxy_version, state.proxy_message)) if state else (0, (None, ""))
        if not 0 <= epoch < rows.MOST_VERSIONS:
            epoch = 0  # it was edited by SQL: start again
        about = Wanted(row.id, row.name, row.version, epoch, noted)
        if row.status == Status.INACTIVE:
            return about
        if row.provider not in PROVIDERS:
            return replace(about, problem="Its provider is not known to this version of the registry.")
        try:
            rows.require_readable(row)
            self._policy.check(rows.origin_of(row.provider, row.api_endpoint))
            params = proxy_params(row, self._vault.open(row))
        except UnsafeEndpointError as error:
            return replace(about, problem=error.fields["api_endpoint"], barred=True)
        except (DecryptionError, InvalidModelError, StoredValueError) as error:
            return replace(about, problem=error.message)
        mode = mode_of(row.type)
        served, renewed = (
            plan.registration(row.id, number, params, mode, registry, secret) for number in (epoch, epoch + 1)
        )
        return replace(about, served=served, renewed=renewed)

    def _versions(self, only: Collection[str] | None) -> dict[str, int]:
        with self._store.read() as session:
            rows = session.execute(select(ModelRow.id, ModelRow.version)).all()
        return {row.id: row.version for row in rows if _is_chosen(row.id, only)}

    def _apply(self, tasks: Sequence[Task], progress: Progress | None) -> dict[SyncStep, str]:
        """Carry out in parallel the tasks that change something; return the failed or refused steps with the reason."""
        failures = {task.step: task.step.why for task in tasks if task.step.reason == Reason.REFUSED}
        due = [task for task in tasks if task.step.changes]
        self._begin_epochs(due)
        is_down = Event()
        with ThreadPoolExecutor(PARALLEL) as pool:
            messages = pool.map(lambda task: self._carry_out(task, is_down), due)
            for number, (task, message) in enumerate(zip(due, messages, strict=True), start=1):
                if message:
                    failures[task.step] = message
                if progress is not None:
                    progress(number, len(due))
        return failures

    def _begin_epochs(self, tasks: Sequence[Task]) -> None:
        """Save the epoch of an entry before adding the entry: a crash in between only skips a number."""
        begun = {task.wanted.id: task.epoch for task in tasks if task.wanted and task.epoch is not None}
        if begun:
            with self._store.note() as session:
                for id, state in _states(session, list(begun)).items():
                    state.proxy_epoch = begun[id]

    def _carry_out(self, task: Task, is_down: Event) -> str:
        if is_down.is_set():
            return "The LiteLLM proxy cannot be reached any more. Sync again when it can."
        try:
            if task.adds is not None:
                self._api.add(task.adds)
            for id in task.step.deletes:
                self._api.delete(id)
        except UnreachableError as error:
            is_down.set()
            return error.message
        except ProxyError as error:
            return error.message
        return ""

    def _note_outcome(self, wanted: Sequence[Wanted], failures: Mapping[SyncStep, str], left: Sequence[Task]) -> None:
        """Save for each model whether the proxy serves its current version; models that were left out do not change."""
        failed = {step.model: message for step, message in failures.items()}
        passed_over = {task.step.model for task in left if task.step.reason != Reason.FOREIGN}
        outcomes = {
            each.id: (None, failed[each.id]) if each.id in failed else (each.version, "")
            for each in wanted
            if each.id not in passed_over
        }
        noted = {each.id: each.noted for each in wanted}
        self._note({id: outcome for id, outcome in outcomes.items() if not _is_noted(noted[id], outcome)})

    def _note(self, outcomes: Mapping[str, tuple[int | None, str]]) -> None:
        ids = list(outcomes)
        for start in range(0, len(ids), _NOTED_AT_ONCE):
            with self._store.note() as session:
                for id, state in _states(session, ids[start : start + _NOTED_AT_ONCE]).items():
                    version, state.proxy_message = outcomes[id]
                    state.proxy_version = state.proxy_version if version is None else version


def _is_chosen(id: str, only: Collection[str] | None) -> bool:
    return only is None or alias_of(id) in only


def _is_noted(noted: tuple[int | None, str], outcome: tuple[int | None, str]) -> bool:
    return noted[1] == outcome[1] and outcome[0] in (None, noted[0])


def _states(session: Session, ids: Sequence[str]) -> dict[str, ModelStateRow]:
    """The state rows of these models, created if missing; deleted models are left out."""
    there = session.scalars(select(ModelRow.id).where(ModelRow.id.in_(ids))).all()
    found = {
        row.model_ref: row for row in session.scalars(select(ModelStateRow).where(ModelStateRow.model_ref.in_(there)))
    }
    for id in there:
        if id not in found:
            found[id] = ModelStateRow(model_ref=id, proxy_epoch=0, proxy_message="")
            session.add(found[id])
    return found


def proxy_params(row: ModelRow, key: SecretStr | None) -> dict[str, Any]:
    """LiteLLM's parameters of a deployment on the proxy: those of a direct call, and the timeout."""
    params = PROVIDERS[row.provider].litellm_params(
        ModelType(row.type), row.model_id, row.api_endpoint, row.connection, key
    )
    seconds = row.config.get("timeout_seconds")
    return {**params, "timeout": seconds} if isinstance(seconds, int) else params
