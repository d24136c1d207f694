"""The demo: it fills an empty store with a year that could have happened, and touches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry import ModelFilter, Registry, Settings
from registry.catalog.providers import PROVIDERS
from registry.entrypoints import demo
from registry.errors import SettingsError
from registry.keys import keyring
from registry.records import ModelType, Status
from tests.support.sabotage import plain_engine, remove_audit_triggers


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        database_url=f"sqlite:///{tmp_path_factory.mktemp('demo') / 'registry.db'}", fernet_keys=[keyring.new_key()]
    )


@pytest.fixture(scope="module")
def filled(settings: Settings) -> Iterator[Registry]:
    """A registry that the demo filled. Nothing changes it."""
    demo.fill(settings)
    with Registry.connect(settings) as registry:
        yield registry


def test_models_of_every_provider_in_every_state(filled: Registry) -> None:
    models = filled.models.find()
    assert {model.provider for model in models} == set(PROVIDERS)
    assert {model.type for model in models} == set(ModelType)
    assert {model.status for model in models} == set(Status)
    assert 20 <= len(models) <= 30


def test_each_type_has_a_default(filled: Registry) -> None:
    assert {model.type for model in filled.models.defaults()} == set(ModelType)


def test_knowledge_bases_use_models(filled: Registry) -> None:
    bases = filled.knowledge_bases.find()
    assert len(bases) == 12
    assert all(base.embedding for base in bases)


def test_the_log_holds_a_year_and_verifies(filled: Registry) -> None:
    """Entries are in the order of their times, from a year ago to the last hour, and none is of the future."""
    report = filled.audit.verify()
    times = [entry.at for entry in reversed(filled.audit.find(limit=500).entries)]
    now = datetime.now(UTC)
    assert report.ok
    assert report.checked == len(times) > 150
    assert times == sorted(times)
    assert times[0] < now - timedelta(days=360)
    assert now - timedelta(hours=1) < times[-1] <= now


def test_the_log_tells_of_several_people_and_kinds_of_change(filled: Registry) -> None:
    entries = filled.audit.find(limit=500).entries
    assert len({entry.actor for entry in entries}) >= 5
    assert {entry.actor_role for entry in entries} == {"admin", "service"}
    assert {"model:create", "model:update", "model:set_status", "model:set_default", "model:delete"} <= {
        entry.action for entry in entries
    }
    assert {"knowledge_base:bind", "knowledge_base:reassign", "knowledge_base:remove"} <= {
        entry.action for entry in entries
    }
    assert [entry for entry in entries if any(change.field == "api_key" for change in entry.changes)]


def test_keys_are_made_up_each_time(filled: Registry, tmp_path: Path) -> None:
    """No key stands in the source, where it would be the same on every machine."""
    other = Settings(database_url=f"sqlite:///{tmp_path / 'other.db'}", fernet_keys=[keyring.new_key()])
    demo.fill(other)
    with Registry.connect(other) as registry:
        keys = [reg.resolve("GPT-4.1").api_key for reg in (filled, registry)]
    assert None not in keys
    assert keys[0] != keys[1]


def test_a_store_is_filled_once(settings: Settings, filled: Registry) -> None:
    """A second time changes nothing: the store is not empty any more."""
    before = filled.audit.find(limit=1).entries
    with pytest.raises(SettingsError, match="not empty"):
        demo.fill(settings)
    assert filled.audit.find(limit=1).entries == before


@pytest.mark.parametrize("changes", ["changes", "'no json'"], ids=["as written", "altered"])
def test_a_store_that_was_emptied_is_not_empty(tmp_path: Path, changes: str) -> None:
    """What happened in a store stays in its log, readable or not, and no made-up year is put behind it."""
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'used.db'}", fernet_keys=[keyring.new_key()])
    with Registry.connect(settings) as registry:
        registry.knowledge_bases.bind("kb", name="Any", actor=demo.INGESTION)
        registry.knowledge_bases.remove("kb", actor=demo.INGESTION)
    engine = plain_engine(settings.database_url)
    remove_audit_triggers(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE audit_log SET changes = {changes}")
    engine.dispose()
    with pytest.raises(SettingsError, match="not empty"):
        demo.fill(settings)


def test_a_store_that_the_dashboard_has_set_up_is_empty(tmp_path: Path) -> None:
    """A user who looks at the dashboard first can fill it then."""
    settings = Settings.for_dashboard(tmp_path, {})
    Registry.connect(settings).close()
    assert demo.fill(settings).knowledge_bases == 12


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"litellm_proxy_url": "http://localhost:4000"}, "LITELLM_PROXY_URL"),
        ({"database_url": "postgresql+psycopg://localhost/registry"}, "SQLite"),
        ({"database_url": ""}, "SQLite"),
        ({"fernet_keys": []}, "REGISTRY_FERNET_KEYS"),
        ({"fernet_keys": [keyring.new_key()], "used": True}, "not the keys of this store"),
    ],
    ids=["proxy", "PostgreSQL", "no store", "no keys", "other keys"],
)
def test_what_the_demo_refuses(changed: dict[str, object], message: str, tmp_path: Path) -> None:
    """It refuses before it writes: a store with a proxy, another kind of store, no keys, or the wrong ones."""
    file = tmp_path / "registry.db"
    url, keys = f"sqlite:///{file}", [keyring.new_key()]
    if changed.pop("used", False):
        Registry.connect(Settings(database_url=url, fernet_keys=keys)).close()
    refused = Settings(**{"database_url": url, "fernet_keys": keys, **changed})  # type: ignore[arg-type]  # a mapping of mixed types
    with pytest.raises(SettingsError, match=message):
        demo.fill(refused)
    if file.exists():
        with Registry.connect(Settings(database_url=url, fernet_keys=keys)) as registry:
            assert registry.models.find() == []


@pytest.mark.parametrize("days", range(7))
def test_the_story_works_out_on_every_day_of_the_week(
    days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens depends on where the weekends lie; whatever they cut, each change must be one that is allowed."""
    now = datetime(2026, 3, 2, 0, 5, tzinfo=UTC) + timedelta(days=days)
    monkeypatch.setattr(demo, "utcnow", lambda: now)
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'registry.db'}", fernet_keys=[keyring.new_key()])
    assert demo.fill(settings).knowledge_bases == 12
    with Registry.connect(settings) as registry:
        assert registry.audit.verify().ok
        times = [entry.at for entry in registry.audit.find(limit=500).entries]
    assert times == sorted(times, reverse=True)
    assert times[0] <= now


def test_more_models_can_be_generated(tmp_path: Path) -> None:
    """For trying long lists: of all providers and types, each as valid as one that a user typed."""
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'registry.db'}", fernet_keys=[keyring.new_key()])
    filled = demo.fill(settings, generated=100)
    assert filled.models > 120
    with Registry.connect(settings) as registry:
        generated = registry.models.find(ModelFilter(search="0"))
        assert {model.provider for model in generated} == set(PROVIDERS)
        assert registry.audit.verify().ok
