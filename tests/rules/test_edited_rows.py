"""Rows that were edited by SQL: the values in a column affect one model, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from sqlalchemy import JSON, Boolean, Column, Engine, Integer, inspect, text
from sqlalchemy.exc import DBAPIError

from registry import KnowledgeBase, Model, ModelFilter, Registry, Settings, errors
from registry.proxy.records import alias_of
from registry.store.tables import AuditRow, Base, UtcDateTime
from tests.support.factories import ADMIN, CANARY, bound, created, embedding, generation
from tests.support.fake_proxy import MASTER_KEY, FakeProxy

Connect = Callable[[Settings], Registry]

DEEP = "[" * 100_000 + "]" * 100_000
BLOB, NO_UTF8 = "X'ff00fe'", "CAST(X'ff41' AS TEXT)"
ANYTHING = ("NULL", "''", "7", "1.5", "'garbage'", BLOB, NO_UTF8)
GARBAGE: dict[str, tuple[str, ...]] = {
    "text": (*ANYTHING, "'no-uuid'", "'banana'", "'x' || char(10) || 'y'"),
    "json": (
        *ANYTHING,
        *("'[1]'", "'{}'", "'\"x\"'", "'null'", "'{\"a\": 1e999}'", "'{\"a\": [[1]]}'"),
        *('\'{"dimensions": "x"}\'', '\'{"a": ' + "9" * 5000 + "}'", f"'{DEEP}'"),
    ),
    "number": (*ANYTHING, "-1", "2147483647", "9223372036854775807"),
    "time": (*ANYTHING, "'infinity'", "'-infinity'", "'0001-01-01 00:00:00 BC'", "'20000-01-01'", "'2026-01-01'"),
}
TABLES = [name for name in Base.metadata.tables if name != AuditRow.__tablename__]
COLUMNS = [column for name in TABLES for column in Base.metadata.tables[name].columns]
HEALTHY = {  # what in each table must not change
    "models": "id = '{model}'",
    "model_states": "model_id = '{model}'",
    "defaults": "type = 'embedding'",
    "knowledge_bases": "id = '{base}'",
    "bindings": "knowledge_base_id = '{base}'",
    "store": "1 = 0",
}


class Scene(NamedTuple):
    """Two models that the proxy serves, each the default of its type and bound to a base of its own; one is edited."""

    reg: Registry
    proxied: Registry
    edited: Model
    healthy: Model
    edited_base: KnowledgeBase
    base: KnowledgeBase


@pytest.fixture
def scene(reg: Registry, settings: Settings, fake_proxy: FakeProxy, connect: Connect, raw: Engine) -> Scene:
    proxied = connect(
        Settings(
            database_url=settings.database_url,
            fernet_keys=settings.fernet_keys,
            litellm_proxy_url=fake_proxy.url,
            litellm_master_key=MASTER_KEY,
            litellm_api_key="sk-kb",
        )
    )
    edited = created(reg, generation(name="Edited", is_default=True))
    healthy = created(reg, embedding(name="Healthy", is_default=True))
    bases = bound(reg, edited, name="Edited base"), bound(reg, healthy, name="Healthy base")
    proxied.proxy.sync(actor=ADMIN)
    with raw.begin() as connection:
        for table in TABLES:
            where = HEALTHY[table].format(model=healthy.id, base=bases[1].id)
            connection.execute(text(f"CREATE TABLE kept_{table} AS SELECT * FROM {table} WHERE NOT ({where})"))
            if connection.dialect.name == "postgresql":
                found = inspect(connection)
                for rule in (*found.get_check_constraints(table), *found.get_foreign_keys(table)):
                    connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{rule["name"]}"'))
    return Scene(reg, proxied, reg.models.get(edited.id), reg.models.get(healthy.id), *bases)


def garbage(column: Column[Any]) -> tuple[str, ...]:
    impl = getattr(column.type, "impl", column.type)
    if isinstance(impl, JSON):
        return GARBAGE["json"]
    if isinstance(impl, Integer | Boolean):
        return GARBAGE["number"]
    return GARBAGE["time" if isinstance(impl, UtcDateTime) else "text"]


def edit(raw: Engine, scene: Scene, column: Column[Any], value: str) -> bool:
    """Put something into a column of all rows but the healthy ones, and return whether the database accepted it."""
    table, where = column.table.name, HEALTHY[column.table.name].format(model=scene.healthy.id, base=scene.base.id)
    with raw.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        try:
            statement = f"UPDATE {table} SET {column.name} = {value} WHERE NOT ({where})"
            connection.exec_driver_sql(statement)
            connection.commit()
        except DBAPIError:
            return False
    return True


def put_back(raw: Engine, scene: Scene, column: Column[Any]) -> None:
    """Make the table as it was; the store's own row goes on from where the audit log is now."""
    table = column.table.name
    if table == "store":
        assert edit(raw, scene, column, f"(SELECT {column.name} FROM kept_store)")
        return
    where = HEALTHY[table].format(model=scene.healthy.id, base=scene.base.id)
    with raw.begin() as connection:
        connection.execute(text(f"DELETE FROM {table} WHERE NOT ({where})"))
        connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))


def reads(reg: Registry, scene: Scene) -> Iterator[Callable[[], object]]:
    """All that only reads."""
    models, bases = reg.models, reg.knowledge_bases
    for key in (scene.edited.id, "Edited"):
        yield lambda key=key: models.get(key)
        yield lambda key=key: models.reassignment(key)
        yield lambda key=key: bases.using(key)
        yield lambda key=key: reg.resolve(key)
    for kind in ("generation", "embedding", "ner"):
        yield lambda kind=kind: models.default(kind)
        yield lambda kind=kind: reg.resolve(type=kind)
        yield lambda kind=kind: reg.resolve(kb=scene.edited_base.id, type=kind)
    yield from (models.defaults, models.counts, models.find, models.overview, reg.key_status, reg.key_uses, bases.find)
    yield lambda: models.find(ModelFilter(type="generation", search="e"))
    yield lambda: bases.get(scene.edited_base.id)
    yield from (reg.audit.find, reg.audit.verify, reg.audit.actors)


def changes(reg: Registry, scene: Scene) -> Iterator[Callable[[], object]]:
    """What changes the edited model, or something that points at it; then what gets rid of it."""
    models, bases, id = reg.models, reg.knowledge_bases, scene.edited.id
    yield lambda: models.update(id, {"config": {"temperature": 0.1}}, version=1, actor=ADMIN)
    yield lambda: models.update(id, {"name": "Mended", "api_key": CANARY}, version=1, actor=ADMIN)
    yield lambda: bases.bind(scene.edited_base.id, generation=id, actor=ADMIN)
    yield lambda: bases.bind(scene.edited_base.id, embedding=scene.healthy.id, actor=ADMIN)
    yield lambda: bases.bind(scene.edited_base.id, name="Mended base", reindexed=True, embedding=None, actor=ADMIN)
    yield lambda: models.set_status(id, "deprecated", actor=ADMIN)
    yield lambda: models.set_default(id, actor=ADMIN)
    yield lambda: models.clear_default("generation", actor=ADMIN)
    yield lambda: models.set_default(created(reg, generation()).id, actor=ADMIN)
    yield lambda: reg.rotate_keys(actor=ADMIN)
    yield lambda: bases.remove(scene.edited_base.id, actor=ADMIN)
    yield lambda: models.delete(id, actor=ADMIN)


def harm(scene: Scene, fake_proxy: FakeProxy) -> list[str]:
    """What became of the healthy model, by all that shows or uses it."""
    reg, healthy = scene.reg, scene.healthy
    params = reg.resolve(kb=scene.base.id, type="embedding").litellm_params()
    found = {
        "get": reg.models.get(healthy.id) == healthy,
        "find": healthy in reg.models.find(),
        "overview": [True] == [row.is_readable for row in reg.models.overview() if row.id == healthy.id],
        "default": reg.models.default("embedding") == healthy,
        "key": params["api_key"] == CANARY,
        "base": scene.base.id in [base.id for base in reg.knowledge_bases.using(healthy.id)],
        "served": alias_of(healthy.id) in fake_proxy.served(),
    }
    return [name for name, is_well in found.items() if not is_well]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_an_edited_column_harms_no_other_model(
    scene: Scene, raw: Engine, fake_proxy: FakeProxy, column: Column[Any]
) -> None:
    """Whatever stands in it, readers and sync raise nothing but errors of the registry, and the healthy model is
    listed, resolved and served as before."""
    taken = 0
    for value in garbage(column):
        if not edit(raw, scene, column, value):
            continue
        taken += 1
        fake_proxy._rows.clear()
        for read in (*reads(scene.reg, scene), lambda: scene.proxied.resolve("Edited")):
            with suppress(errors.RegistryError):
                read()
        if column.table.name != "store":
            report = scene.proxied.proxy.sync(actor=ADMIN)
            assert alias_of(scene.healthy.id) not in [failure.step.alias for failure in report.failed], value[:40]
            scene.proxied.proxy.plan()
            assert [] == harm(scene, fake_proxy), value[:40]
        else:
            for step in (scene.proxied.proxy.plan, lambda: scene.proxied.proxy.sync(actor=ADMIN)):
                with suppress(errors.RegistryError):
                    step()
            assert [] == [name for name in harm(scene, fake_proxy) if name != "served"], value[:40]
        put_back(raw, scene, column)
    assert taken


HARSHEST = (BLOB, "'[1]'", "'infinity'", "2147483647", "7", "FALSE", "'garbage'")


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_what_an_edit_touched_can_be_changed_or_is_refused(scene: Scene, raw: Engine, column: Column[Any]) -> None:
    """Every change, too, is made or refused by an error of the registry; none touches the healthy model."""
    assert any(edit(raw, scene, column, value) for value in HARSHEST)
    for change in changes(scene.proxied, scene):
        with suppress(errors.RegistryError):
            change()
    assert scene.healthy == scene.reg.models.get(scene.healthy.id)


UNUSABLE = {
    "connection": ("'[1]'", "'{\"organization\": [1]}'"),
    "config": ("'[1]'", "'{}'", '\'{"context_window": 1e999, "max_output_tokens": 1}\''),
    "version": ("2147483647",),
}
CASES = [(column, value) for column, values in UNUSABLE.items() for value in values]


@pytest.mark.parametrize(("column", "value"), CASES, ids=[f"{column}={value}" for column, value in CASES])
def test_a_model_that_cannot_be_read_says_so(scene: Scene, raw: Engine, column: str, value: str) -> None:
    """The list still has it; using or changing it raises an error that says what to do, and sends nothing to the
    proxy. It can be deleted, and its name is free again."""
    reg, id = scene.reg, scene.edited.id
    assert edit(raw, scene, Base.metadata.tables["models"].columns[column], value)
    rows = {row.name: row.is_readable for row in reg.models.overview()}
    assert {"Edited": False, "Healthy": True} == rows
    assert ["Healthy"] == [model.name for model in reg.models.find()]
    uses: list[Callable[[], object]] = [
        lambda: reg.models.get(id),
        lambda: reg.resolve(id),
        lambda: reg.resolve(kb=scene.edited_base.id, type="generation"),
        lambda: reg.models.test(id, actor=ADMIN),
        lambda: reg.models.update(id, {"name": "Other"}, version=1, actor=ADMIN),
        lambda: reg.models.set_status(id, "inactive", actor=ADMIN),
    ]
    for use in uses:
        with pytest.raises(errors.StoredValueError, match=r"“Edited” cannot be read: .* restore the store"):
            use()
    (step,) = scene.proxied.proxy.plan().steps
    assert ("refused", "Edited") == (step.reason, step.name)
    assert "cannot be read" in step.why
    (failure,) = scene.proxied.proxy.sync(actor=ADMIN).failed
    assert step == failure.step
    reg.models.clear_default("generation", actor=ADMIN)
    heir = created(reg, generation())
    reg.models.delete(id, reassign_to=heir.id, actor=ADMIN)
    assert heir.id == reg.knowledge_bases.get(scene.edited_base.id).generation
    assert created(reg, generation(name="Edited")).name == "Edited"


@pytest.mark.parametrize("value", ["'[1]'", "'{}'", "'{\"model_id\": [1]}'"])
def test_vectors_of_an_unreadable_contract_are_not_mixed(scene: Scene, raw: Engine, value: str) -> None:
    """A base whose contract was edited is bound to another model only when it is indexed again."""
    other = created(scene.reg, embedding())
    with raw.begin() as connection:
        connection.exec_driver_sql(f"UPDATE knowledge_bases SET contract = {value}")
    with pytest.raises(errors.ContractError, match="a model that cannot be read"):
        scene.reg.knowledge_bases.bind(scene.base.id, embedding=other.id, actor=ADMIN)
    bind = scene.reg.knowledge_bases.bind
    assert other.id == bind(scene.base.id, embedding=other.id, reindexed=True, actor=ADMIN).embedding
