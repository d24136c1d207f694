"""The schema: set up once, checked at every start, the same in the migration and in the code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text

from registry import Registry, Settings, errors
from registry.store.store import SCHEMA_VERSION, Store
from registry.store.tables import Base
from tests.support import postgres
from tests.support.factories import KEY_A, created, generation, ollama
from tests.support.sabotage import plain_engine, remove_constraints

Connect = Callable[[Settings], Registry]
FROM_0005_TO_0004 = (
    "ALTER TABLE models DROP COLUMN api_key_print",
    "ALTER TABLE model_states ADD COLUMN proxy_at TEXT",
    "ALTER TABLE model_states ADD COLUMN test_kind TEXT",
)
FROM_0004_TO_0003 = {
    "sqlite": ("DROP TRIGGER audit_log_follows",),
    "postgresql": ("DROP TRIGGER audit_log_follows ON audit_log", "DROP FUNCTION audit_log_follows"),
}
OLD_ENTRIES = (  # as revision 0003 wrote them
    (
        *(1, "2026-03-01 09:30:00.000000", "alice@example.com", "admin", "oidc", "model:create", "model", "7d0c"),
        'Größe 東京 🙂 "q" \\ \u2028',
        '{"api_key":[null,"set"],"config.tags":[null,[]],"config.temperature":[null,0.7],"config.top_p":[null,1.0],'
        '"name":[null,"Größe"]}',
        "{}",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "9dcda776b991bb32d686be0c626949129a06d47024e38f25c1a84cc361cef216",
    ),
    (
        *(2, "2026-03-01 09:31:02.000450", "alice@example.com", "admin", "oidc", "model:test", "model", "7d0c"),
        "Größe",
        "{}",
        '{"big":1180591620717411303424,"cost":1e-07,"far":1e+300,"kind":"wrong_key","latency_ms":95,"ok":false,'
        '"tab":"a\\tb\x7f","zero":-0.0}',
        "9dcda776b991bb32d686be0c626949129a06d47024e38f25c1a84cc361cef216",
        "47e21fc9dab33b49a5af7dc9f4c73e7687827d73a4526da76547c8f71b98ecf8",
    ),
)


def _set_up(url: str) -> None:
    store = Store(url)
    try:
        store.setup()
    finally:
        store.close()


def _differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    found = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    return list(found) + _different_constraints(connection)


def _different_constraints(connection: Connection) -> list[object]:
    """Names of checks and primary keys, which Alembic does not compare."""
    found = inspect(connection)
    differing: list[object] = []
    for name, table in Base.metadata.tables.items():
        ours = {str(each.name) for each in table.constraints if type(each).__name__ == "CheckConstraint"}
        theirs = {str(each["name"]) for each in found.get_check_constraints(name)}
        differing += [(name, ours ^ theirs)] if ours != theirs else []
        columns = [column.name for column in table.primary_key]
        differing += [] if columns == found.get_pk_constraint(name)["constrained_columns"] else [(name, columns)]
    return differing


def test_the_migration_makes_what_the_code_expects(reg: Registry, raw: Engine) -> None:
    """Tables, columns, types, indexes, keys and checks: Alembic finds no difference."""
    with raw.connect() as connection:
        assert [] == _differences(connection)


@pytest.mark.parametrize(
    "change",
    [
        "DROP INDEX models_provider_idx",
        "ALTER TABLE models ADD COLUMN colour TEXT",
        "ALTER TABLE store DROP COLUMN secret",
    ],
)
def test_control_a_difference_is_seen(reg: Registry, raw: Engine, change: str) -> None:
    """The control: a missing index, another column and a missing one are each found."""
    with raw.begin() as connection:
        connection.execute(text(change))
        assert 1 == len(_differences(connection))


def test_control_missing_constraints_are_seen(reg: Registry, raw: Engine) -> None:
    """The control: a table that lost its keys and checks is found."""
    remove_constraints(raw, "defaults")
    with raw.connect() as connection:
        assert _differences(connection)


def test_a_store_that_was_not_set_up(empty_url: str, tmp_path: Path) -> None:
    """Nothing works before that, and the message names the command."""
    store = Store(empty_url)
    if store.path is not None:
        store.path.parent.mkdir()
        store.path.touch()
    with pytest.raises(errors.SchemaError, match="python -m registry migrate"):
        store.check()
    with pytest.raises(errors.SchemaError, match="python -m registry migrate"), store.read() as session:
        session.execute(text("SELECT * FROM models"))
    store.close()


def test_tests_of_an_older_store_are_of_what_is_there(store_url: str, raw: Engine, connect: Connect) -> None:
    """A store from before `test_version`: a model that was not changed since its test is as it was tested."""
    reg = connect(Settings(database_url=store_url, fernet_keys=[KEY_A]))
    models = {name: created(reg, generation(name=name)) for name in ("Same", "Changed", "Never tested")}
    with raw.begin() as connection:
        connection.execute(text("ALTER TABLE model_states DROP COLUMN test_version"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
        for name, seconds in {"Same": 0, "Changed": -1}.items():
            state = {"test_ok": True, "test_at": models[name].updated_at + timedelta(seconds=seconds)}
            table = Base.metadata.tables["model_states"]
            columns = {"model_id": models[name].id, "proxy_epoch": 0, "proxy_message": "", **state}
            connection.execute(table.insert().values(columns))
        for statement in (*FROM_0005_TO_0004, *FROM_0004_TO_0003[raw.dialect.name]):
            connection.execute(text(statement))
    _set_up(store_url)
    assert {"Same": True, "Changed": False, "Never tested": False} == {
        row.name: row.test_is_current for row in reg.models.overview()
    }


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_log_of_an_older_store_goes_on(
    empty_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A store from before `audit_log_follows`: its entries verify with the hashes that they have, and more follow."""
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _, upgrade=command.upgrade: upgrade(config, "0003"))
        _set_up(empty_url)
    engine = plain_engine(empty_url)
    mark, zone = ("?", "") if engine.dialect.name == "sqlite" else ("%s", "+00")
    with engine.begin() as connection:
        for seq, at, *texts in OLD_ENTRIES[:number]:
            row = (seq, at + zone, *texts)
            connection.exec_driver_sql(f"INSERT INTO audit_log VALUES ({', '.join(mark for _ in row)})", row)
            connection.exec_driver_sql(f"UPDATE store SET audit_seq = {mark}, audit_hash = {mark}", (seq, texts[-1]))
    engine.dispose()
    _set_up(empty_url)
    reg = connect(Settings(database_url=empty_url))
    assert (True, number, number) == (reg.audit.verify().ok, reg.audit.verify().checked, len(reg.audit.find().entries))
    created(reg, ollama())
    assert (True, number + 1) == (reg.audit.verify().ok, reg.audit.verify().checked)


def test_an_empty_sqlite_store_is_set_up_at_once(tmp_path: Path, connect: Connect) -> None:
    """`connect` makes the file and its folder; a second start finds it and changes nothing."""
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'new' / 'registry.db'}", fernet_keys=[KEY_A])
    first = connect(settings)
    model = created(first)
    assert [model] == connect(settings).models.find()


def test_an_empty_postgresql_store_is_not_set_up_by_the_way(postgresql: postgres.Databases) -> None:
    """It needs the owner of the tables: `connect` names the command instead."""
    url = postgresql.make()
    with pytest.raises(errors.SchemaError, match="python -m registry migrate"):
        Registry.connect(Settings(database_url=url, fernet_keys=[KEY_A]))
    postgresql.drop(url)


@pytest.mark.parametrize(
    ("version", "advice"), [("0000", "python -m registry migrate"), ("9999", "Install that version or a later one")]
)
def test_another_schema_is_refused(settings: Settings, raw: Engine, version: str, advice: str) -> None:
    """An older store wants migrating, a newer one a newer library; neither is touched."""
    with raw.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
    with pytest.raises(errors.SchemaError, match=advice):
        Registry.connect(settings)
    with raw.connect() as connection:
        assert version == connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()


def test_a_newer_store_is_not_migrated_back(store_url: str, raw: Engine) -> None:
    """`migrate` refuses it too."""
    with raw.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(errors.SchemaError, match="newer version"):
        _set_up(store_url)


def test_setting_up_again_changes_nothing(store_url: str, reg: Registry) -> None:
    """Models, entries and the registry's id stay."""
    model, id = created(reg), reg._store.registry_id()
    _set_up(store_url)
    assert ([model], id, True) == (reg.models.find(), reg._store.registry_id(), reg.audit.verify().ok)


def test_many_may_set_up_at_once(empty_url: str) -> None:
    """Replicas that start together make one schema and one registry id, without an error."""
    with ThreadPoolExecutor(8) as pool:
        assert [None] * 8 == list(pool.map(_set_up, [empty_url] * 8))
    engine = plain_engine(empty_url)
    with engine.connect() as connection:
        assert [(1,)] == connection.execute(text("SELECT count(*) FROM store")).all()
        assert SCHEMA_VERSION == connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        assert [] == _differences(connection)
    engine.dispose()


def test_two_registries_have_two_ids(empty_url: str, reg: Registry) -> None:
    """An id of its own distinguishes a registry's entries on a shared proxy."""
    _set_up(empty_url)
    other = Store(empty_url)
    assert other.registry_id() != reg._store.registry_id()
    other.close()


def test_the_command_migrates(empty_url: str) -> None:
    """`python -m registry migrate`, as the messages advise, makes the store usable."""
    environment = {"REGISTRY_DATABASE_URL": empty_url, "REGISTRY_FERNET_KEYS": KEY_A}
    command = [sys.executable, "-m", "registry", "migrate"]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    with Registry.connect(Settings(database_url=empty_url, fernet_keys=[KEY_A])) as reg:
        assert reg.key_status().ok
        assert created(reg) == reg.models.find()[0]
