"""A stored secret never comes back: the canary key is looked for wherever the library says or keeps something."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from registry import ModelCreate, ModelUpdate, Registry, Settings
from registry.crypto import Keyring
from registry.errors import DecryptionError, EndpointChangedError, RegistryError
from registry.tables import Base
from tests.factories import ADMIN, CANARY, KEY_A, KEY_B, bound, created, generation, ner, ollama
from tests.sabotage import refuse_audit_entries, stored_bytes

AZURE: dict[str, Any] = {"api_endpoint": "https://unit.openai.azure.com", "connection": {"deployment": "names"}}
Connect = Callable[[Settings], Registry]


def _busy(reg: Registry) -> None:
    """Use the key in every way there is: created, edited, replaced, typed again, moved, removed, deleted."""
    model = created(reg, ollama(api_key=CANARY, api_endpoint="http://gpu:11434"))
    model = reg.models.update(model.id, {"api_key": CANARY + "2"}, version=1, actor=ADMIN)
    edit = {"api_endpoint": "http://gpu:9999", "api_key": CANARY}
    model = reg.models.update(model.id, edit, version=model.version, actor=ADMIN)
    model = reg.models.update(model.id, {"api_key": None}, version=model.version, actor=ADMIN)
    reg.models.delete(model.id, actor=ADMIN)
    bound(reg, created(reg, generation(is_default=True)), created(reg, ner(provider="azure", **AZURE)))


def _everything_stored(raw: Engine) -> str:
    with raw.connect() as connection:
        tables = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in Base.metadata.tables]
        return str(tables)


def test_no_table_holds_a_key_in_clear(reg: Registry, raw: Engine) -> None:
    """Neither the models nor the audit log nor any other row."""
    _busy(reg)
    stored = _everything_stored(raw)
    assert "gAAAA" in stored
    assert CANARY not in stored


def test_control_a_key_in_clear_would_be_found(reg: Registry, raw: Engine) -> None:
    """The control: a key written past the keyring is found by the same search."""
    model = created(reg)
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key = :key WHERE id = :id"), {"key": CANARY, "id": model.id})
    assert CANARY in _everything_stored(raw)


def test_no_byte_of_the_file_tells_a_key(sqlite_url: str, connect: Connect) -> None:
    """Neither the SQLite file nor its write-ahead log; the control is a name, which is there."""
    reg = connect(Settings(sqlite_url, [KEY_A]))
    _busy(reg)
    created(reg, generation(name="Findable name"))
    stored = stored_bytes(sqlite_url)
    assert b"Findable name" in stored
    assert (False, False) == (CANARY.encode() in stored, KEY_A.encode() in stored)


def test_only_ciphertext_is_stored_and_an_update_replaces_it(reg: Registry, raw: Engine) -> None:
    """A new key makes a new ciphertext; the same one typed again keeps the old."""
    model = created(reg)

    def ciphertext() -> str:
        with raw.connect() as connection:
            return str(connection.execute(text("SELECT api_key FROM models")).scalar_one())

    first = ciphertext()
    reg.models.update(model.id, {"api_key": CANARY}, version=1, actor=ADMIN)
    assert first == ciphertext()
    reg.models.update(model.id, {"api_key": "sk-another"}, version=1, actor=ADMIN)
    assert first != ciphertext()
    resolved = reg.resolve(model.id).api_key
    assert resolved is not None
    assert "sk-another" == resolved.get_secret_value()


def test_nothing_that_comes_out_shows_a_key(reg: Registry, settings: Settings) -> None:
    """No record, page, handle, input object or settings, printed or pickled; only the SecretStr gives it when asked."""
    _busy(reg)
    model = reg.models.default("generation")
    assert model is not None
    resolved = reg.resolve(type="generation")
    shown: list[Any] = [reg, reg.models, reg.audit, reg.knowledge_bases, reg.acting_as(ADMIN), settings]
    shown += [*reg.models.find(), *reg.models.overview(), reg.models.reassignment(model.id), reg.audit.find()]
    shown += [ModelCreate(**generation()), ModelUpdate(api_key=SecretStr(CANARY)), Keyring([KEY_A]), resolved]
    assert [] == [item for item in shown if CANARY in f"{item!r}{item}" or KEY_A in f"{item!r}{item}"]
    records = [reg.models.find(), reg.audit.find(), reg.knowledge_bases.find()]
    assert records == copy.deepcopy(records) == pickle.loads(pickle.dumps(records))  # noqa: S301 -- our own records
    assert CANARY.encode() not in pickle.dumps(records)
    assert resolved.api_key is not None
    assert CANARY == resolved.api_key.get_secret_value() == resolved.litellm_params()["api_key"]


def _failures(reg: Registry, wrong: Registry) -> dict[str, Callable[[], object]]:
    model = created(reg, generation(name="Taken"))
    base = bound(reg, model)
    elsewhere = {"api_endpoint": "https://elsewhere.example"}
    return {
        "taken name": lambda: created(reg, generation(name="Taken")),
        "key refused": lambda: created(reg, generation(api_key=CANARY + " x")),
        "key in the wrong fields": lambda: created(reg, generation(api_endpoint=CANARY, status=CANARY)),
        "key in the endpoint": lambda: created(reg, generation(api_endpoint=f"https://u:{CANARY}@host")),
        "stale": lambda: reg.models.update(model.id, {"api_key": CANARY}, version=9, actor=ADMIN),
        "moved": lambda: reg.models.update(model.id, elsewhere, version=1, actor=ADMIN),
        "in use": lambda: reg.models.delete(model.id, actor=ADMIN),
        "no default": lambda: reg.resolve(kb=base.id, type="ner"),
        "wrong key, saving": lambda: created(wrong),
        "wrong key, resolving": lambda: wrong.resolve(model.id),
        "no actor": lambda: reg.models.create(generation()),
        "audit refused": lambda: created(reg),
    }


CASES = ("taken name", "key refused", "key in the wrong fields", "key in the endpoint", "stale", "moved", "in use")
MORE_CASES = ("no default", "wrong key, saving", "wrong key, resolving", "no actor", "audit refused")


@pytest.mark.parametrize("case", [*CASES, *MORE_CASES])
def test_no_error_tells_a_key(reg: Registry, connect: Connect, store_url: str, raw: Engine, case: str) -> None:
    """Neither its text nor its causes, contexts, attributes or printed traceback."""
    wrong = connect(Settings(store_url, [KEY_B]))
    failures = _failures(reg, wrong)
    if case == "audit refused":
        refuse_audit_entries(raw)
    with pytest.raises(RegistryError) as caught:
        failures[case]()
    told, link = "".join(traceback.format_exception(caught.value)), caught.value
    while isinstance(link, BaseException):
        told += f"{link!r}{vars(link)}"
        link = link.__cause__ or link.__context__  # type: ignore[assignment]  # the chain is of any exceptions
    assert (False, False) == (CANARY in told, "SELECT" in "".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize(
    "edit",
    [
        {"api_endpoint": "https://elsewhere.example/v1"},
        {"api_endpoint": "http://api.openai.com/v1"},
        {"api_endpoint": "https://api.openai.com:8443/v1"},
        {"provider": "mistral"},
        {"provider": "openai_compatible", "api_endpoint": "https://api.openai.com/v1"},
    ],
    ids=str,
)
def test_another_origin_asks_for_the_key_again(reg: Registry, edit: dict[str, str]) -> None:
    """The stored key is not taken along; with a key given anew the change goes through."""
    model = created(reg)
    with pytest.raises(EndpointChangedError) as caught:
        reg.models.update(model.id, edit, version=1, actor=ADMIN)
    assert ["api_key"] == list(caught.value.fields)
    assert model == reg.models.get(model.id)
    edited = reg.models.update(model.id, {**edit, "api_key": "sk-for-there"}, version=1, actor=ADMIN)
    resolved = reg.resolve(edited.id).api_key
    assert resolved is not None
    assert "sk-for-there" == resolved.get_secret_value()


def test_another_path_of_the_same_origin_keeps_the_key(reg: Registry) -> None:
    """Scheme, host and port decide, not the path, nor how the host is written."""
    model = created(reg)
    edit = {"api_endpoint": "https://API.OpenAI.com:443/v2"}
    reg.models.update(model.id, edit, version=1, actor=ADMIN)
    assert CANARY == reg.resolve(model.id).litellm_params()["api_key"]


REDIRECTIONS = {
    "endpoint": "UPDATE models SET api_endpoint = 'https://evil.example'",
    "provider": "UPDATE models SET provider = 'mistral'",
    "another model": "UPDATE models SET api_key = (SELECT api_key FROM models WHERE name = 'Donor')",
}


@pytest.mark.parametrize("way", list(REDIRECTIONS))
def test_an_edit_in_the_database_cannot_redirect_a_key(reg: Registry, raw: Engine, way: str) -> None:
    """The ciphertext carries its model, provider and origin: elsewhere it does not open."""
    created(reg, generation(name="Donor"))
    model = created(reg)
    with raw.begin() as connection:
        connection.execute(text(REDIRECTIONS[way] + " WHERE name <> 'Donor'"))
    with pytest.raises(DecryptionError, match="Enter the key again"):
        reg.resolve(model.id)
    assert model.id == reg.models.get(model.id).id


@pytest.mark.parametrize("way", list(REDIRECTIONS))
def test_control_a_key_that_is_bound_to_nothing_is_redirected(
    reg: Registry, raw: Engine, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The control: with a keyring that does not compare what the envelope names, the key goes where the edit says."""
    created(reg, generation(name="Donor", api_key="sk-donor"))
    model = created(reg)
    with raw.begin() as connection:
        connection.execute(text(REDIRECTIONS[way] + " WHERE name <> 'Donor'"))

    def open_for_anything(self: Keyring, ciphertext: str, binding: object) -> Any:
        return ModelUpdate(api_key=self._open(ciphertext)["key"]).api_key

    monkeypatch.setattr(Keyring, "open", open_for_anything)
    params = reg.resolve(model.id).litellm_params()
    expected = {
        "endpoint": ("https://evil.example", CANARY),
        "provider": ("https://api.mistral.ai/v1", CANARY),
        "another model": ("https://api.openai.com/v1", "sk-donor"),
    }
    assert expected[way] == (params["api_base"], params["api_key"])
