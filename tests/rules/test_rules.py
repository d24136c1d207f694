"""The rules that never break, each held by the database or by one transaction, and each with its control.

A control takes the real guard away, a key, a trigger or the writers' turn, and shows that then the same check finds
the rule broken. `tests.support.invariants` is that check: SQL of its own, past the library.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from registry import Registry, Settings, errors
from registry.models import editing
from registry.store.store import Store
from tests.support.factories import ADMIN, bound, created, embedding, generation, ollama
from tests.support.sabotage import refuse_audit_entries, remove_constraints, unguarded

TWO = "two defaults of one type"
UNFIT = "a default that is missing, inactive or of another type"
DANGLING = "a knowledge base bound to a model that is gone"
MIXED = "vectors of two contracts"
UNLOGGED = "a change without its audit entry, or an entry without its change"

Broken = Callable[[], set[str]]


@pytest.fixture
def enforced(store_url: str) -> Any:
    """An engine as the library's own: SQLite checks its keys on it."""
    store = Store(store_url)
    yield store.engine
    store.close()


# what the database itself refuses: a statement past the library, the table that guards, what is broken without it
FORBIDDEN = {
    "a second default": (
        "INSERT INTO defaults (type, model_id, status) SELECT type, id, status FROM models WHERE name = 'Free'",
        "defaults",
        TWO,
    ),
    "a default of another type": (
        "UPDATE defaults SET type = 'ner' WHERE type = 'generation'",
        "defaults",
        UNFIT,
    ),
    "an inactive default": ("UPDATE models SET status = 'inactive' WHERE name = 'Default'", "defaults", UNFIT),
    "a default that is gone": ("DELETE FROM models WHERE name = 'Default'", "defaults", UNFIT),
    "deleting a model in use": ("DELETE FROM models WHERE name = 'Used'", "bindings", DANGLING),
    "binding what is not there": ("UPDATE bindings SET model_id = 'nothing'", "bindings", DANGLING),
    "binding to another type": ("UPDATE bindings SET type = 'ner'", "bindings", DANGLING),
}


def _furnish(reg: Registry) -> None:
    created(reg, generation(name="Default", is_default=True))
    created(reg, generation(name="Free"))
    bound(reg, created(reg, generation(name="Used")))


@pytest.mark.parametrize("case", list(FORBIDDEN))
def test_the_database_refuses_what_the_rules_forbid(reg: Registry, enforced: Engine, broken: Broken, case: str) -> None:
    """One default a type, active and of that type; a used model stays: also for SQL past the library."""
    _furnish(reg)
    statement, _, _ = FORBIDDEN[case]
    with pytest.raises(IntegrityError), enforced.begin() as connection:
        connection.execute(text(statement))
    assert set() == broken()


@pytest.mark.parametrize("case", list(FORBIDDEN))
def test_control_without_its_constraints_the_rule_breaks(
    reg: Registry, raw: Engine, enforced: Engine, broken: Broken, case: str
) -> None:
    """The control: the same statement, with the keys and checks of the guarding table dropped."""
    _furnish(reg)
    statement, table, expected = FORBIDDEN[case]
    remove_constraints(raw, table)
    with enforced.begin() as connection:
        connection.execute(text(statement))
    assert {expected} == broken()


class Interruption:
    """Lets another user act in the middle of a change: after it has looked, before it writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: str, act: Callable[[], object]) -> None:
        self.outcome: list[str] = []
        self._act = act
        self._thread = threading.Thread(target=self._run)
        real = getattr(editing, where)

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            found = real(*args, **kwargs)
            if threading.current_thread() is not self._thread and not self._thread.ident:
                self._thread.start()
                self._thread.join(0.4)  # with the lock it cannot finish now: it waits for this change to end
            return found

        monkeypatch.setattr(editing, where, interrupted)

    def _run(self) -> None:
        try:
            self._act()
            self.outcome.append("ok")
        except errors.RegistryError as error:
            self.outcome.append(type(error).__name__)

    def finish(self) -> str:
        self._thread.join(30)
        return self.outcome[0]


def _race_over_a_contract(one: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch) -> str:
    """Change the dimensions of a model that no one uses, while a user binds a knowledge base to it."""
    model = created(one, embedding())
    bind = Interruption(monkeypatch, "bases_using", lambda: bound(other, model))
    one.models.update(model.id, {"config": {"dimensions": 7}}, version=1, actor=ADMIN)
    return bind.finish()


def test_a_contract_does_not_change_under_a_base_that_is_being_bound(
    reg: Registry, settings: Settings, broken: Broken, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both succeed, one after the other: the base is bound under the new contract."""
    assert "ok" == _race_over_a_contract(reg, connect(settings), monkeypatch)
    assert set() == broken()


def test_control_without_turns_a_contract_changes_under_a_base(
    unguarded_reg: Registry, settings: Settings, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without lock and transaction the base holds vectors of a contract that its model no longer has."""
    with unguarded(settings) as other:
        _race_over_a_contract(unguarded_reg, other, monkeypatch)
    assert {MIXED} == broken()


def _race_of_two_edits(one: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two edits of the same version, the second while the first is under way; gives the second's outcome, the name."""
    model = created(one, ollama())
    edit = {"name": "Second", "model_id": "second"}
    second = Interruption(
        monkeypatch, "bases_using", lambda: other.models.update(model.id, edit, version=1, actor=ADMIN)
    )
    one.models.update(model.id, {"name": "First"}, version=1, actor=ADMIN)
    return second.finish(), one.models.get(model.id).name


def test_the_second_edit_of_a_version_is_refused_even_in_the_middle_of_the_first(
    reg: Registry, settings: Settings, connect: Any, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its turn, and then gets the error that the model has changed."""
    assert ("StaleVersionError", "First") == _race_of_two_edits(reg, connect(settings), monkeypatch)
    assert set() == broken()


def test_control_without_turns_an_edit_is_lost(
    unguarded_reg: Registry, settings: Settings, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without them both edits are accepted, and one is overwritten unseen."""
    with unguarded(settings) as other:
        outcome, name = _race_of_two_edits(unguarded_reg, other, monkeypatch)
    assert ("ok", "First") == (outcome, name)
    assert UNLOGGED in broken()


CHANGES: dict[str, Callable[[Registry], object]] = {
    "create": lambda reg: created(reg),
    "create as default": lambda reg: created(reg, generation(is_default=True)),
    "update": lambda reg: reg.models.update("Free", {"name": "Renamed"}, version=1, actor=ADMIN),
    "set status": lambda reg: reg.models.set_status("Free", "inactive", actor=ADMIN),
    "set default": lambda reg: reg.models.set_default("Free", actor=ADMIN),
    "clear default": lambda reg: reg.models.clear_default("generation", actor=ADMIN),
    "delete": lambda reg: reg.models.delete("Free", actor=ADMIN),
    "delete and reassign": lambda reg: reg.models.delete("Used", reassign_to="Free", actor=ADMIN),
    "bind": lambda reg: reg.knowledge_bases.bind("kb", name="New", generation="Free", actor=ADMIN),
    "remove": lambda reg: reg.knowledge_bases.remove(reg.knowledge_bases.find()[0].id, actor=ADMIN),
}


def _state(raw: Engine) -> dict[str, list[Any]]:
    """Every row of every table."""
    with raw.connect() as connection:
        return {
            table: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {table}")))
            for table in inspect(connection).get_table_names()
        }


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_change_whose_entry_fails_does_not_happen(reg: Registry, raw: Engine, change: str) -> None:
    """Where the audit log refuses the entry, the change is taken back to the last row, and the error is typed."""
    _furnish(reg)
    refuse_audit_entries(raw)
    before = _state(raw)
    with pytest.raises(errors.StoreError):
        CHANGES[change](reg)
    assert before == _state(raw)


@pytest.mark.parametrize("change", list(CHANGES))
def test_control_without_a_transaction_the_change_stays_unlogged(
    unguarded_reg: Registry, raw: Engine, change: str
) -> None:
    """The control: without the common transaction the same failure leaves a change that is not in the log."""
    _furnish(unguarded_reg)
    refuse_audit_entries(raw)
    before = _state(raw)
    with pytest.raises(Exception, match=r"no entries today|refuse"):  # the untranslated error of the database
        CHANGES[change](unguarded_reg)
    assert before != _state(raw)


def test_two_changes_at_once_do_not_fork_the_chain(
    reg: Registry, settings: Settings, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes at once get two numbers, and the chain stays whole."""
    model, other = created(reg), created(reg)
    second = connect(settings)
    status = Interruption(
        monkeypatch, "bases_using", lambda: second.models.set_status(other.id, "inactive", actor=ADMIN)
    )
    reg.models.set_status(model.id, "deprecated", actor=ADMIN)
    assert "ok" == status.finish()
    assert [4, 3, 2, 1] == [entry.seq for entry in reg.audit.find().entries]
    assert reg.audit.verify().ok
