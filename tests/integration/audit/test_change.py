"""A change and its audit entry commit together or not at all, whatever the code of the registry forgets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session, aliased

from registry import Registry, errors
from registry.audit.change import Target, changing
from registry.audit.records import Action, TargetKind
from registry.models.editing import target
from registry.store.guard import LOGGED, NOTED, UnloggedError
from registry.store.tables import (
    AuditRow,
    Base,
    BindingRow,
    DefaultRow,
    KnowledgeBaseRow,
    ModelRow,
    ModelStateRow,
    StoreRow,
)
from tests.support.factories import ADMIN, bound, created, generation

Write = Callable[[Session, ModelRow], object]


def _after_a_flush(session: Session, row: ModelRow) -> None:
    row.name = "Renamed"
    session.flush()


CHANGES: dict[str, Write] = {
    "a field, unflushed": lambda _, row: setattr(row, "name", "Renamed"),
    "a field, after a flush": _after_a_flush,
    "a row is deleted": lambda session, row: session.delete(session.get(DefaultRow, row.type)),
    "a row is added": lambda session, row: session.add(
        KnowledgeBaseRow(id="new", name="New", updated_at=row.updated_at)
    ),
    "bulk update": lambda session, _: session.execute(update(ModelRow).values(name="Renamed")),
    "bulk update of a table": lambda session, _: session.connection().execute(
        update(Base.metadata.tables["models"]).values(version=7)
    ),
    "bulk delete": lambda session, _: session.execute(delete(BindingRow)),
    "bulk insert": lambda session, row: session.execute(
        insert(KnowledgeBaseRow), [{"id": "new", "name": "New", "updated_at": row.updated_at}]
    ),
    "with a common table expression": lambda session, row: session.execute(
        delete(BindingRow).where(BindingRow.model_ref.in_(select(select(ModelRow.id).cte("chosen").c.id)))
    ),
    "after a comment": lambda session, _: session.execute(text("/* why */ -- and how\nDELETE FROM bindings")),
    "under another name": lambda session, _: session.execute(
        update(other := aliased(ModelRow)).values(name="Renamed").where(other.id.is_not(None))
    ),
    "an assignment behind a subselect": lambda session, _: session.execute(
        text("UPDATE models SET api_key = (SELECT id FROM models m WHERE m.id = models.id), name = 'x'")
    ),
    "in SQL": lambda session, _: session.execute(text("update bindings set model_id = model_id")),
}


@pytest.fixture
def model(reg: Registry) -> str:
    """The id of a model that is a default and that a knowledge base uses."""
    model = created(reg, generation(is_default=True))
    bound(reg, model)
    return model.id


def _all_that_is(reg: Registry) -> object:
    return reg.models.find(), reg.models.defaults(), reg.knowledge_bases.find(), reg.audit.find()


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_without_an_entry_does_not_commit(reg: Registry, model: str, what: str) -> None:
    """Of models, defaults, knowledge bases and bindings, however it was written: it raises, and nothing is saved."""
    before = _all_that_is(reg)
    with pytest.raises(UnloggedError), changing(reg._store, ADMIN) as change:
        CHANGES[what](change.session, change.session.get_one(ModelRow, model))
    assert before == _all_that_is(reg)


def _rename_and_commit(session: Session, model: str) -> None:
    session.get_one(ModelRow, model).name = "Renamed"
    session.commit()


def test_a_commit_in_between_is_refused_alike(reg: Registry, model: str) -> None:
    """Code that ends the transaction itself cannot leave its entry for later."""
    before = _all_that_is(reg)
    with pytest.raises(UnloggedError), changing(reg._store, ADMIN) as change:
        _rename_and_commit(change.session, model)
    assert before == _all_that_is(reg)


@pytest.mark.parametrize("what", CHANGES)
def test_control_the_same_change_commits_with_an_entry(reg: Registry, model: str, what: str) -> None:
    """The control: it is the missing entry that is refused."""
    before = _all_that_is(reg)
    with changing(reg._store, ADMIN) as change:
        row = change.session.get_one(ModelRow, model)
        CHANGES[what](change.session, row)
        change.log(Action.MODEL_UPDATE, target(row))
    assert before != _all_that_is(reg)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_no_note(reg: Registry, model: str, what: str) -> None:
    """The door for what has no entry lets none of them through."""
    before = _all_that_is(reg)
    with pytest.raises(UnloggedError), reg._store.note() as session:
        CHANGES[what](session, session.get_one(ModelRow, model))
    assert before == _all_that_is(reg)


OTHER_COLUMNS = [
    (table.name, column.name)
    for table in Base.metadata.sorted_tables
    if (allowed := NOTED.get(table.name, frozenset())) is not None
    for column in table.columns
    if column.name not in allowed
]


@pytest.mark.parametrize(("table", "column"), OTHER_COLUMNS, ids=lambda name: name)
def test_a_note_writes_no_other_column(reg: Registry, table: str, column: str) -> None:
    """Alone, and beside one that it may write."""
    others = [f"{name} = {name}" for name in NOTED.get(table) or ()]
    with reg._store.note() as session:
        for assignments in ([f"{column} = {column}"], [*others, f'"{column}" = {column}']):
            with pytest.raises(UnloggedError):
                session.execute(text(f"UPDATE {table} SET {', '.join(assignments)}"))


def test_what_is_no_change_is_noted(reg: Registry, model: str) -> None:
    """Proxy state, test results, ciphertexts and the store's secret: nothing of it needs an entry."""
    entries = reg.audit.find()
    with reg._store.note() as session:
        session.add(ModelStateRow(model_ref=model, proxy_message="noted"))
        row, store = session.get_one(ModelRow, model), session.query(StoreRow).one()
        row.api_key, row.api_key_id = "ciphertext", "key"
        store.secret, store.secret_key_id = store.secret, "key"
    assert ("noted", entries) == (reg.models.overview()[0].proxy_message, reg.audit.find())
    with reg._store.note() as session:
        session.execute(delete(ModelStateRow))
    assert "" == reg.models.overview()[0].proxy_message


def test_every_table_is_logged_or_noted() -> None:
    """A new one has its place in one of the two, or is the log itself."""
    assert {table.name for table in Base.metadata.sorted_tables} == LOGGED | set(NOTED) | {AuditRow.__tablename__}


def test_a_change_has_one_instant(reg: Registry, model: str) -> None:
    """What it wrote and its entries bear the time at which its turn came."""
    reg.models.set_default(created(reg).id, actor=ADMIN)
    heir = created(reg)
    reg.models.delete(model, reassign_to=heir.id, actor=ADMIN)
    base, (deleted, moved) = reg.knowledge_bases.find()[0], reg.audit.find(limit=2).entries
    assert (deleted.at, deleted.at) == (moved.at, base.updated_at)


def test_an_entry_needs_no_change(reg: Registry) -> None:
    """As that of a test or a sync."""
    with changing(reg._store, ADMIN) as change:
        change.log(Action.PROXY_SYNC, Target(TargetKind.PROXY, "id", "name"))
    assert 1 == len(reg.audit.find().entries)


def test_the_clock_is_read_once(reg: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the change, when it has the lock; a clock that fails then leaves no trace."""
    read: list[object] = []

    def failing() -> object:
        read.append(None)
        raise errors.InvalidInputError({"clock": "Must return the time."})

    monkeypatch.setattr(reg._store, "clock", failing)
    with pytest.raises(errors.InvalidInputError):
        created(reg)
    assert (1, [], ()) == (len(read), reg.models.find(), reg.audit.find().entries)
