"""Testing a model: merges the edit, chooses the key, saves and logs the result. The call itself is in `probe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from registry.actors import Actor
from registry.audit.change import Change, Target, changing
from registry.audit.records import Action, TargetKind
from registry.catalog import call, specs, validation
from registry.catalog.arguments import ModelRef
from registry.catalog.egress import Policy
from registry.catalog.specs import ModelCreate, ModelUpdate
from registry.errors import DecryptionError, InvalidInputError, InvalidModelError, SettingsError
from registry.keys.vault import Vault
from registry.models import editing
from registry.probe import probe
from registry.probe.probe import Carrier
from registry.records import Status, TestResult
from registry.store import rows
from registry.store.store import Store
from registry.store.tables import ModelRow, ModelStateRow

UNSAVED = "unsaved"
"""In the audit log, the id of a model that is not saved yet."""

Edit = ModelUpdate | Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class _Subject:
    """The model under test. It has no repr, since it holds the key."""

    spec: ModelCreate
    id: str = UNSAVED
    name: str = ""
    version: int = 0
    is_edited: bool = False
    is_served: bool = False


class Tester:
    """Tests models; see `registry.models.models.Models.test`."""

    def __init__(self, store: Store, vault: Vault, policy: Policy, carrier: Carrier | None) -> None:
        self._store = store
        self._vault = vault
        self._policy = policy
        self._carrier = carrier

    def test(self, actor: Actor, model: ModelRef | ModelCreate | Mapping[str, Any], edit: Edit | None) -> TestResult:
        """Read the model, call it, save the result. No transaction is open during the call."""
        subject = self._saved(model, edit) if isinstance(model, ModelRef) else _unsaved(model, edit)
        spec = subject.spec
        self._policy.check(rows.origin_of(spec.provider, spec.api_endpoint))
        found = probe.run(spec, subject.id if subject.is_served else None, self._carrier, self._policy)
        result = call.seal(replace(found, at=self._store.clock()), specs.flat(spec.model_dump()), spec.api_key)
        with changing(self._store, actor) as change:
            if subject.version and not subject.is_edited:
                self._remember(change.session, subject, result)
            self._log(change, subject, result)
        return result

    def _saved(self, model: ModelRef, edit: Edit | None) -> _Subject:
        given = validation.parse_update({} if edit is None else edit, argument="changes")
        with self._store.read() as session:
            row = rows.fetch(session, model, argument="model")
            spec, as_saved = editing.merged(row, given, validation.parse_test), editing.merged(row, {})
            is_edited = "api_key" in given or _call_fields(spec) != _call_fields(as_saved)
            if row.api_key is not None and "api_key" not in given:
                spec = spec.model_copy(update={"api_key": self._vault.open(row)})
                validation.refuse_key_in_fields(spec, spec.api_key, given)
            state = session.get(ModelStateRow, row.id)
            is_followed = state is not None and state.proxy_version == row.version
            is_served = is_followed and not is_edited and row.status != Status.INACTIVE
            return _Subject(spec, row.id, row.name, row.version, is_edited, is_served)

    def _remember(self, session: Session, subject: _Subject, result: TestResult) -> None:
        """Save the result with the model, unless the model was changed or deleted during the test."""
        row = session.get(ModelRow, subject.id)
        if row is None or row.version != subject.version:
            return
        _put(session, row, result)

    def _log(self, change: Change, subject: _Subject, result: TestResult) -> None:
        context = {
            "ok": result.ok,
            "kind": result.kind,
            "stage": result.stage,
            "latency_ms": result.latency_ms,
            "via": "proxy" if self._carrier else "direct",
            "edited": subject.is_edited,
        }
        target = Target(TargetKind.MODEL, subject.id, subject.name or subject.spec.name)
        change.log(Action.MODEL_TEST, target, context=context)


def _unsaved(model: ModelCreate | Mapping[str, Any], edit: Edit | None) -> _Subject:
    if edit is not None:
        raise InvalidModelError({"changes": "They are for a saved model: put them into the model itself."})
    return _Subject(validation.parse_test(model, argument="model"))


def _call_fields(spec: ModelCreate) -> dict[str, Any]:
    """The fields that affect the call."""
    return specs.called(specs.flat(spec.model_dump()))


def adopt(session: Session, vault: Vault, row: ModelRow, tested: TestResult | None) -> None:
    """Save with a model the result of a test that was made before saving, if it tested exactly what is saved now.

    Raises:
        InvalidInputError: ``tested`` is not the result of a test.
    """
    if tested is None:
        return
    if not isinstance(tested, TestResult):
        raise InvalidInputError({"tested": "Must be what models.test returned."})
    try:
        key = vault.open(row)
    except (DecryptionError, SettingsError):
        return  # the key cannot be compared
    if call.is_of(tested, rows.described(row), key) and not _has_later(session, row, tested):
        _put(session, row, tested)


def _has_later(session: Session, row: ModelRow, tested: TestResult) -> bool:
    state = session.get(ModelStateRow, row.id)
    if state is None or state.test_at is None or tested.at is None:
        return False
    return state.test_version == row.version and state.test_at > tested.at


def _put(session: Session, row: ModelRow, result: TestResult) -> None:
    state = session.get(ModelStateRow, row.id)
    if state is None:
        state = ModelStateRow(model_ref=row.id)
        session.add(state)
    state.test_ok, state.test_message = result.ok, result.message
    state.test_ms, state.test_at, state.test_version = result.latency_ms, result.at, row.version
    session.flush()
