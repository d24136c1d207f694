"""A stored secret never comes back: the canary key is looked for wherever the library says or keeps something."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from registry import ModelCreate, ModelUpdate, Registry, Settings, Status, errors
from registry.catalog.providers import DUMMY_KEYS
from registry.errors import DecryptionError, EndpointChangedError, RegistryError
from registry.keys.keyring import Keyring
from registry.models.models import Models
from registry.store.tables import Base
from tests.support.factories import ADMIN, CANARY, KEY_A, KEY_B, bound, created, generation, ner, ollama
from tests.support.sabotage import refuse_audit_entries, stored_bytes

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
    reg = connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A]))
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
    wrong = connect(Settings(database_url=store_url, fernet_keys=[KEY_B]))
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


def frames_with(error: BaseException | None, *secrets: str) -> set[str]:
    """The functions of the library in whose local variables an error, or one behind it, has left one of these."""
    found = set()
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            is_ours = str(frame.f_globals.get("__name__")).startswith("registry")
            if is_ours and any(secret in repr(frame.f_locals) for secret in secrets):
                found.add(frame.f_code.co_name)
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize("case", [*CASES, *MORE_CASES])
def test_no_frame_keeps_a_key(reg: Registry, connect: Connect, store_url: str, raw: Engine, case: str) -> None:
    """What an error leaves of the library's own local variables, which reports of errors write down."""
    failures = _failures(reg, connect(Settings(database_url=store_url, fernet_keys=[KEY_B])))
    if case == "audit refused":
        refuse_audit_entries(raw)
    with pytest.raises(RegistryError) as caught:
        failures[case]()
    assert set() == frames_with(caught.value, CANARY, KEY_A, KEY_B)


PASSWORD = "very-secret-word-of-a-database"
AT_START: dict[str, Callable[[], object]] = {
    "nobody there": lambda: Registry.connect(
        Settings(database_url=f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:1/x", fernet_keys=[KEY_A])
    ),
    "a bad port": lambda: Registry.connect(
        Settings(database_url=f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:99999/x", fernet_keys=[KEY_A])
    ),
    "a bad parameter": lambda: Registry.connect(
        Settings(database_url=f"postgresql+psycopg://127.0.0.1/x?passwort={PASSWORD}")
    ),
    "no store": lambda: Registry.connect(Settings(database_url="sqlite:////dev/null/x.db", fernet_keys=[KEY_A])),
    "a bad key": lambda: Registry.connect(Settings(database_url="sqlite://", fernet_keys=[f"{PASSWORD}-"])),
    "a bad setting": lambda: Settings(
        database_url=f"postgresql+psycopg://u:{PASSWORD}@h/x", fernet_keys=[KEY_A], auth="nobody"
    ),
    "a bad variable": lambda: Settings.from_env({"REGISTRY_FERNET_KEYS": KEY_A, "REGISTRY_AUTH": "nobody"}),
    "a bad model": lambda: ModelCreate(**generation(name=7)),
}


@pytest.mark.parametrize("case", AT_START)
def test_no_frame_keeps_a_key_or_password_at_the_start(case: str) -> None:
    """Nor does the error say it."""
    with pytest.raises(RegistryError) as caught:
        AT_START[case]()
    assert set() == frames_with(caught.value, PASSWORD, KEY_A, CANARY)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_control_a_key_that_a_frame_keeps_is_found(reg: Registry) -> None:
    """The same call without what clears up behind it."""
    with pytest.raises(RegistryError) as caught:
        inspect.unwrap(Models.create)(reg.models, generation(api_endpoint="x", name="Taken"), actor=ADMIN)
    assert "create" in frames_with(caught.value, CANARY)


def test_what_the_caller_is_handling_keeps_its_frames(reg: Registry) -> None:
    """An error that was there before belongs to the caller, and so do its local variables."""
    try:
        _fail(7)
    except ValueError as mine:
        with pytest.raises(RegistryError):
            reg.models.get("nobody")
        frames = [frame for frame, _ in traceback.walk_tb(mine.__traceback__)]
    assert {"mine": 7} == frames[-1].f_locals


def _fail(mine: int) -> None:
    raise ValueError


def test_what_holds_secrets_is_not_pickled(reg: Registry, settings: Settings) -> None:
    """A copy is as good as the original, and goes nowhere."""
    created(reg, generation(is_default=True))
    holders = settings, reg.resolve(type="generation"), reg, Keyring([KEY_A]), ModelCreate(**generation())
    for holder in holders:
        assert holder == copy.copy(holder) == copy.deepcopy(holder)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps([holder], protocol)


SHORT = "sk-short"
HOLDING: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": f"Model of {CANARY}"}, "name"),
    "model id": ({"model_id": CANARY}, "model_id"),
    "endpoint": ({"api_endpoint": f"https://api.openai.com/{CANARY}/v1"}, "api_endpoint"),
    "endpoint, escaped": ({"api_endpoint": f"https://api.openai.com/{CANARY.replace('-', '%2D')}/v1"}, "api_endpoint"),
    "connection": ({"connection": {"organization": f"org-{CANARY}"}}, "connection.organization"),
    "tags": ({"config": {"tags": ["fast", CANARY]}}, "config.tags"),
    "short, as a whole": ({"name": SHORT, "api_key": SHORT}, "name"),
}


@pytest.fixture(params=["create", "update", "update, the key alone", "test", "test of an edit"])
def saving(request: pytest.FixtureRequest, reg: Registry) -> Callable[[dict[str, Any]], object]:
    """Each way in which what is typed comes in."""

    def save(given: dict[str, Any]) -> object:
        if request.param == "create":
            return reg.models.create(generation(**given), actor=ADMIN)
        if request.param == "test":
            return reg.models.test(generation(**given), actor=ADMIN)
        key = given.pop("api_key", CANARY)
        if request.param == "update, the key alone":
            model = created(reg, generation(**given, api_key="sk-another-key-of-it"))
            return reg.models.update(model.id, {"api_key": key}, version=1, actor=ADMIN)
        model = created(reg, generation(api_key=key))
        if request.param == "update":
            return reg.models.update(model.id, given, version=1, actor=ADMIN)
        return reg.models.test(model.id, given, actor=ADMIN)

    return save


@pytest.mark.parametrize("place", HOLDING)
def test_a_key_in_another_field_is_refused(
    reg: Registry, saving: Callable[[dict[str, Any]], object], raw: Engine, place: str
) -> None:
    """Where it would be shown and logged: at that field, without repeating it, and before anything is written."""
    given, field = HOLDING[place]
    with pytest.raises(errors.InvalidModelError) as refused:
        saving(dict(given))
    assert [field] == list(refused.value.fields)
    assert "Remove it" in refused.value.fields[field]
    key = given.get("api_key", CANARY)
    assert key not in str(refused.value)
    assert not [entry for entry in reg.audit.find(search=key).entries if entry.action != "model:create"]


@pytest.mark.parametrize("key", [*sorted(DUMMY_KEYS), "gpt", "4o-mini"])
def test_what_is_no_secret_may_stand_in_another_field(reg: Registry, key: str) -> None:
    """The words that stand for a key where none is asked for, and a short one that is a part of another word."""
    name = key if key in DUMMY_KEYS else f"The gpt-4o-mini {key}"
    spec = generation(provider="openai_compatible", api_endpoint="http://127.0.0.1:1/v1", api_key=key, name=name)
    model = created(reg, spec)
    assert (name, True) == (model.name, model.has_api_key)


def test_a_model_that_holds_its_key_can_be_mended(reg: Registry, raw: Engine) -> None:
    """One from before: what does not touch that field goes on, and so does taking it out."""
    model = created(reg)
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET model_id = :key"), {"key": CANARY})
    assert Status.INACTIVE == reg.models.update(model.id, {"status": "inactive"}, version=1, actor=ADMIN).status
    assert "gpt-4o" == reg.models.update(model.id, {"model_id": "gpt-4o"}, version=2, actor=ADMIN).model_id


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
    """The stored key is not taken along; with a key given again the change goes through."""
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
