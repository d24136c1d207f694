"""What the dashboard says when its store or its keys are not as they should be: a sentence, never a traceback."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from pages.ui import session
from registry import Registry
from registry.store import store
from registry.store.filelock import file_lock
from tests.conftest import STORES
from tests.pages.test_add import filled
from tests.support.driver import Dashboard
from tests.support.factories import CANARY, KEY_A, KEY_B, LOCAL_ADMINISTRATOR, bound, created, embedding, generation

PAGES = ("models", "edit", "audit")


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@contextmanager
def gone(url: str) -> Iterator[None]:
    """The store is not there: the file is moved away, the database renamed."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        away = path.rename(path.with_suffix(".away"))
        try:
            yield
        finally:
            away.rename(path)
        return
    name = str(make_url(url).database)
    engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"), {"n": name}
        )
        connection.execute(text(f'ALTER DATABASE "{name}" RENAME TO "{name}_away"'))
        try:
            yield
        finally:
            connection.execute(text(f'ALTER DATABASE "{name}_away" RENAME TO "{name}"'))
    engine.dispose()


@contextmanager
def read_only() -> Iterator[None]:
    """The databases themselves refuse to write: taking away rights would not stop root, nor a superuser."""
    event.listen(Engine, "begin", _refuse_writing)
    try:
        yield
    finally:
        event.remove(Engine, "begin", _refuse_writing)


def _refuse_writing(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("PRAGMA query_only = ON" if sqlite else "SET TRANSACTION READ ONLY")


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_is_gone_at_start(dashboard: Dashboard, store_url: str, page: str) -> None:
    """Each page says that the store cannot be opened; once it is back, “Try again” is all it takes."""
    with gone(store_url):
        if store_url.startswith("sqlite"):  # an SQLite store that was never there is set up: it must not come to that
            Path(store_url.removeprefix("sqlite:///")).write_bytes(b"not a database, but not empty either" * 100)
        dashboard.at.run()
        assert not dashboard.at.exception
        assert dashboard.title == "The registry cannot be opened"
        assert len(dashboard.errors) == 1
        assert CANARY not in dashboard.text
        if store_url.startswith("sqlite"):
            Path(store_url.removeprefix("sqlite:///")).unlink()
    dashboard.click("Try again")
    dashboard.open(page)
    assert not dashboard.errors


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_goes_while_a_page_is_open(dashboard: Dashboard, reg: Registry, store_url: str, page: str) -> None:
    """The page says so instead of failing, and works again once the store is back."""
    model = created(reg, generation())
    query = {"id": model.id} if page == "edit" else {}
    dashboard.open(page, **query)
    reg.close()
    with gone(store_url):
        dashboard.run()
        assert len(dashboard.errors) == 1
        assert "store" in dashboard.errors[0]
    dashboard.click("Try again")
    assert not dashboard.errors


def test_saving_into_a_store_that_is_gone(dashboard: Dashboard, reg: Registry, store_url: str) -> None:
    """The form says that it was not saved, and keeps what was typed for when the store is back."""
    filled(dashboard)
    reg.close()
    with gone(store_url):
        dashboard.at.button(key="save").click().run()
        assert not dashboard.at.exception
        assert "store" in dashboard.errors[0]
    dashboard.run()
    assert dashboard.field("name").value == "Some model"
    dashboard.click("Add model")
    assert reg.models.get("Some model").has_api_key


def test_a_store_that_is_read_only(dashboard: Dashboard, reg: Registry) -> None:
    """Everything can be read; a change says that the store is read-only, where it was made, and changes nothing."""
    model = created(reg, generation(name="M"))
    with read_only():
        assert dashboard.open().names == ["M"]
        dashboard.act("M", "Set as default")
        assert "read-only" in dashboard.errors[0]
        dashboard.open().act("M", "Delete").click_in_dialog("Delete")
        assert "read-only" in dashboard.errors[0]
        dashboard.open("edit", id=model.id).put(name="N").click("Save changes")
        assert "read-only" in dashboard.errors[0]
    assert (reg.models.find(), reg.models.default("generation")) == ([model], None)


def test_a_store_that_is_locked(
    dashboard: Dashboard, reg: Registry, store_url: str, raw: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program holds the store for too long, a change says to try again, and can be."""
    monkeypatch.setattr("registry.store.store.LOCK_SECONDS", 0.2)
    st.cache_resource.clear()
    created(reg, generation(name="M"))
    dashboard.open()
    with _locked(store_url, raw):
        dashboard.act("M", "Set as default")
        assert "busy" in dashboard.errors[0]
    dashboard.act("M", "Set as default")
    assert dashboard.table["default"].tolist() == ["★"]


@contextmanager
def _locked(url: str, raw: Engine) -> Iterator[None]:
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        with file_lock(path.with_name(path.name + ".lock"), 1):
            yield
        return
    with raw.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": store._PG_WRITE_LOCK})
        yield


def test_a_store_of_a_newer_version(dashboard: Dashboard, raw: Engine) -> None:
    """A store that a newer registry made is left alone; the message says what to install."""
    with raw.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    dashboard.open()
    assert dashboard.title == "The registry cannot be opened"
    assert "newer version" in dashboard.errors[0]


def test_a_store_that_was_not_set_up(empty_url: str, environment: Callable[..., None]) -> None:
    """A PostgreSQL store without a schema names the command that makes one; an SQLite store is set up at once."""
    environment(REGISTRY_DATABASE_URL=empty_url, REGISTRY_FERNET_KEYS=KEY_A)
    dashboard = Dashboard().open()
    if empty_url.startswith("sqlite"):
        assert "No models yet" in dashboard.text
    else:
        assert "python -m registry migrate" in dashboard.errors[0]


BAD_SETTINGS = [
    ({"REGISTRY_FERNET_KEYS": ""}, "REGISTRY_FERNET_KEYS is not set"),
    ({"REGISTRY_FERNET_KEYS": "short"}, "Encryption key 1 is not a Fernet key"),
    ({"REGISTRY_FERNET_KEYS": "A" * 43 + "="}, "Encryption key 1 is a placeholder"),
    ({"REGISTRY_DATABASE_URL": "mysql://root:hunter2@db/x"}, "REGISTRY_DATABASE_URL"),
    ({"REGISTRY_DATABASE_URL": "hunter2"}, "REGISTRY_DATABASE_URL"),
]


@pytest.mark.parametrize(("variables", "message"), BAD_SETTINGS)
def test_a_bad_setting_is_named(
    store_url: str, environment: Callable[..., None], variables: dict[str, str], message: str
) -> None:
    """A missing, short or well-known encryption key and a wrong address are reported, but not their values."""
    environment(**{"REGISTRY_DATABASE_URL": store_url, "REGISTRY_FERNET_KEYS": KEY_A, **variables})
    dashboard = Dashboard().open()
    assert dashboard.title == "The registry cannot be opened"
    assert message in dashboard.errors[0]
    assert "hunter2" not in dashboard.text


@pytest.fixture
def wrong_key(reg: Registry, store_url: str, environment: Callable[..., None]) -> Dashboard:
    """The dashboard with another store's encryption key, on a store with models."""
    created(reg, generation(name="With key"))
    bound(reg, created(reg, embedding(name="Vectors")), name="Contracts")
    environment(REGISTRY_DATABASE_URL=store_url, REGISTRY_FERNET_KEYS=KEY_B)
    return Dashboard()


@pytest.mark.parametrize("page", PAGES)
def test_a_wrong_key_is_told_on_every_page(wrong_key: Dashboard, page: str) -> None:
    """With another key nothing is lost: each page works, and says which setting to mend."""
    wrong_key.open(page)
    assert len(wrong_key.at.warning) == 1
    assert "not the keys of this store" in wrong_key.at.warning[0].value
    assert not wrong_key.errors


def test_what_still_works_with_a_wrong_key(wrong_key: Dashboard, reg: Registry) -> None:
    """Models are listed, and what needs no key can be changed; the saved key is still there afterwards."""
    assert wrong_key.open().names == ["Vectors", "With key"]
    model = reg.models.get("With key")
    wrong_key.open("edit", id=model.id).put(config__top_k=3).click("Save changes")
    wrong_key.act("With key", "Set as default")
    assert reg.models.get(model.id).config["top_k"] == 3
    key = reg.resolve(model.id).api_key
    assert key is not None
    assert key.get_secret_value() == CANARY


def test_no_key_is_saved_with_a_wrong_key(wrong_key: Dashboard, reg: Registry) -> None:
    """A key that nobody could ever open again is refused, with the reason; the form keeps what was typed."""
    filled(wrong_key).click("Add model")
    assert "not the keys of this store" in wrong_key.errors[0]
    assert len(reg.models.find()) == 2
    assert wrong_key.field("api_key").value == CANARY


def test_no_banner_with_the_right_key(dashboard: Dashboard) -> None:
    """The control: with its own key the store needs no warning."""
    assert not dashboard.open().at.warning


def test_the_embedded_store_makes_itself(
    tmp_path: Path, environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any setting the dashboard makes its store and its key, for its owner only, and works."""
    monkeypatch.setattr(session, "DATA", tmp_path / "data")
    environment()
    filled(Dashboard()).click("Add model")
    assert Dashboard().open().names == ["Some model"]
    key = tmp_path / "data" / "fernet.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    st.cache_resource.clear()
    dashboard = Dashboard().open()
    assert dashboard.names == ["Some model"]
    assert "No encryption key is configured" in dashboard.at.warning[0].value
    assert not key.exists()


EDITS = {
    "no object": "connection = '[1]'",
    "no parameters": "config = '{}'",
    "not the name": "connection = '[1]', name = '*new* name'",
}


@pytest.mark.parametrize("edit", list(EDITS))
def test_a_model_that_cannot_be_read(dashboard: Dashboard, reg: Registry, raw: Engine, edit: str) -> None:
    """The list shows it as such and offers only to delete it; its page says what to do; the others stay."""
    model = created(reg, generation(name="Edited", is_default=True))
    created(reg, generation(name="Fine"))
    with raw.begin() as connection:
        connection.execute(text(f"UPDATE models SET {EDITS[edit]} WHERE id = :id"), {"id": model.id})
    name = "*new* name" if edit == "not the name" else "Edited"
    dashboard.open()
    assert {name: ["Unreadable"], "Fine": ["Active"]} == {
        row: list(state) for row, state in zip(dashboard.table["name"], dashboard.table["status"], strict=True)
    }
    dashboard.open("edit", id=model.id)
    assert dashboard.title == "This model cannot be read"
    assert "restore the store" in dashboard.errors[0]
    reg.models.set_default("Fine", actor=LOCAL_ADMINISTRATOR)
    dashboard.open().act(name, "Delete").click_in_dialog("Delete")
    assert dashboard.open().names == ["Fine"]
