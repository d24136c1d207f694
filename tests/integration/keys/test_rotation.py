"""Rotation: all that is stored moves to a new encryption key, whatever happens meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, bindparam, or_, text, update

from bench.rotation import fill
from registry import KeyUse, Registry, RotationReport, Settings, errors
from registry.catalog.endpoints import KeyScope
from registry.keys import rotation
from registry.keys.keyring import Keyring
from registry.keys.vault import Vault
from registry.store.store import Store
from registry.store.tables import Base
from tests.support.factories import ADMIN, CANARY, KEY_A, KEY_B, azure, bound, created, embedding, generation, ollama
from tests.support.sabotage import refuse_audit_entries

KILLS = int(os.environ.get("ROTATION_KILLS", "6"))
KEY_C = "PTb1JbI2WyRqxk5hJHnsb6RVVrZOe4xGVhjAUPjo0Ek="
ID_A, ID_B, ID_C = (Keyring([key]).key_id for key in (KEY_A, KEY_B, KEY_C))

Connect = Callable[[Settings], Registry]


@pytest.fixture
def both(reg: Registry, store_url: str, connect: Connect) -> Registry:
    """The store of `reg`, with a new key in front of the one that it was made with."""
    return connect(Settings(database_url=store_url, fernet_keys=[KEY_B, KEY_A]))


@pytest.fixture
def new_only(both: Registry, store_url: str, connect: Connect) -> Registry:
    """The same store, with the new key alone."""
    return connect(Settings(database_url=store_url, fernet_keys=[KEY_B]))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH", 3)


def rotated(registry: Registry, **options: Any) -> RotationReport:
    return registry.rotate_keys(actor=ADMIN, **options)


def key_of(registry: Registry, model: str) -> str | None:
    """The API key of a model, given by id or name, in clear."""
    key = registry.resolve(model).api_key
    return key.get_secret_value() if key else None


def stored(raw: Engine) -> dict[str, list[Any]]:
    """All rows of all tables."""
    with raw.connect() as connection:
        return {
            name: sorted(connection.execute(table.select()), key=str) for name, table in Base.metadata.tables.items()
        }


def ciphertexts(raw: Engine) -> dict[str, str]:
    """What is stored in the place of each model's key."""
    with raw.connect() as connection:
        return {row.name: row.api_key for row in connection.execute(text("SELECT name, api_key FROM models"))}


def test_everything_opens_with_the_new_key_alone(reg: Registry, both: Registry, new_only: Registry) -> None:
    """Every stored key, of whatever provider, and the store's own secret: keys can be used and saved as before."""
    specs = [generation(), embedding(api_key="sk-other"), azure(), ollama(), ollama(api_key="sk-" + "x" * 500)]
    models = [created(reg, spec) for spec in specs]
    assert RotationReport(ID_B, rotated=4, already_current=0, unreadable=()) == rotated(both)
    assert [spec.get("api_key") for spec in specs] == [key_of(new_only, model.id) for model in models]
    assert new_only.key_status().ok
    assert CANARY == key_of(new_only, created(new_only).id)


def test_the_old_key_opens_nothing_any_more(reg: Registry, both: Registry) -> None:
    """Who has only that one can use no key of any row, nor save any."""
    model = created(reg)
    rotated(both)
    assert not reg.key_status().ok
    with pytest.raises(errors.DecryptionError):
        reg.resolve(model.id)


def test_a_model_is_none_the_newer_for_it(reg: Registry, both: Registry, new_only: Registry) -> None:
    """Neither version nor time of change, nor anything else that comes out: an open form can still be saved."""
    model = created(reg, generation(is_default=True))
    bound(reg, model)
    before = (reg.models.find(), reg.models.overview(), reg.knowledge_bases.find())
    rotated(both)
    assert before == (both.models.find(), both.models.overview(), both.knowledge_bases.find())
    both.models.update(model.id, {"name": "Saved"}, version=model.version, actor=ADMIN)
    assert CANARY == key_of(new_only, "Saved")


def test_the_stores_own_secret_keeps_its_value(reg: Registry, both: Registry, store_url: str) -> None:
    """Digests made with it before stay good: only what it is wrapped in changes."""

    def secret(key: str) -> bytes:
        with store.read() as session:
            return Vault(Keyring([key])).secret(session)

    store = Store(store_url)
    before = secret(KEY_A)
    assert RotationReport(ID_B, rotated=0, already_current=0, unreadable=()) == rotated(both)
    assert before == secret(KEY_B)
    store.close()


def test_one_entry_tells_of_a_run(reg: Registry, both: Registry, raw: Engine, small_batches: None) -> None:
    """Who, with which key and how many; the log stays whole, and contains no key."""
    for _ in range(7):
        created(reg)
    before = reg.audit.find().entries
    rotated(both)
    entry, *others = both.audit.find().entries
    assert list(before) == others
    assert ("keys:rotate", "alice@example.com", "registry") == (entry.action, entry.actor, entry.target_kind)
    assert ("encryption keys", ()) == (entry.target_name, entry.changes)
    assert {"key_id": ID_B, "rotated": 7, "unreadable": 0} == entry.context
    assert both.audit.verify().ok
    assert [] == [secret for secret in (CANARY, KEY_A, KEY_B) if secret in str(stored(raw))]


def test_a_second_run_changes_nothing(reg: Registry, both: Registry, raw: Engine) -> None:
    """Not a byte of any table, and there is no entry for it."""
    created(reg)
    rotated(both)
    before = stored(raw)
    assert RotationReport(ID_B, rotated=0, already_current=1, unreadable=()) == rotated(both)
    assert before == stored(raw)


def test_progress_is_told_after_each_batch(reg: Registry, both: Registry, small_batches: None) -> None:
    """How many are done, of how many; where there is nothing to do, it is not called."""
    for _ in range(7):
        created(reg)
    told: list[tuple[int, int]] = []
    rotated(both, progress=lambda done, total: told.append((done, total)))
    assert [(3, 7), (6, 7), (7, 7)] == told
    rotated(both, progress=lambda done, total: told.append((done, total)))
    assert 3 == len(told)


class Interrupted(Exception):
    """Stands for whatever ends a run early."""


def interrupt(*_: int) -> None:
    raise Interrupted


def test_an_interrupted_run_is_taken_up(reg: Registry, both: Registry, new_only: Registry, small_batches: None) -> None:
    """What is done stays done, all can be read in between, and the next run does the rest and writes the entry."""
    models = [created(reg) for _ in range(7)]
    with pytest.raises(Interrupted):
        rotated(both, progress=interrupt)
    assert (KeyUse(ID_B, 1, 3, False), KeyUse(ID_A, 2, 4, True)) == both.key_uses()
    assert {CANARY} == {key_of(both, model.id) for model in models}
    assert "keys:rotate" != both.audit.find().entries[0].action
    assert RotationReport(ID_B, rotated=4, already_current=3, unreadable=()) == rotated(both)
    assert {"key_id": ID_B, "rotated": 4, "unreadable": 0} == both.audit.find().entries[0].context
    assert {CANARY} == {key_of(new_only, model.id) for model in models}


def test_without_its_entry_a_run_does_not_end(reg: Registry, both: Registry, raw: Engine, small_batches: None) -> None:
    """The last batch and the store's secret commit with the entry: no rotation ends without one."""
    for _ in range(7):
        created(reg)
    refuse_audit_entries(raw)
    for _ in range(2):
        with pytest.raises(errors.StoreError):
            rotated(both)
        assert (KeyUse(ID_B, 1, 6, False), KeyUse(ID_A, 2, 1, True)) == both.key_uses()


EDITS: dict[str, tuple[Callable[[Registry], object], str | None]] = {
    "new key": (lambda reg: reg.models.update("Mine", {"api_key": "sk-edit"}, version=1, actor=ADMIN), "sk-edit"),
    "no key": (lambda reg: reg.models.update("Mine", {"api_key": None}, version=1, actor=ADMIN), None),
    "other field": (lambda reg: reg.models.update("Mine", {"model_id": "gpt-5"}, version=1, actor=ADMIN), CANARY),
}


@contextmanager
def meanwhile(monkeypatch: pytest.MonkeyPatch, edit: Callable[[], object]) -> Iterator[None]:
    """Do this once after the keys were read for rotation and before any is written."""
    encrypt, edits = Keyring.rotate, [edit]

    def rotate(self: Keyring, ciphertext: str) -> str:
        if edits:
            edits.pop()()
        return encrypt(self, ciphertext)

    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "rotate", rotate)
        yield
    assert [] == edits


@pytest.mark.parametrize("editor", ["new key first", "old key first"])
@pytest.mark.parametrize("edit", list(EDITS))
def test_an_edit_in_between_is_kept(
    reg: Registry,
    both: Registry,
    new_only: Registry,
    monkeypatch: pytest.MonkeyPatch,
    connect: Connect,
    store_url: str,
    edit: str,
    editor: str,
) -> None:
    """Also one of a process that still encrypts with the old key: in the end it opens with the new one."""
    created(reg, ollama(name="Mine", api_key=CANARY))
    created(reg, generation(name="Other"))
    other = connect(Settings(database_url=store_url, fernet_keys=[KEY_A, KEY_B])) if editor == "old key first" else both
    change, expected = EDITS[edit]
    with meanwhile(monkeypatch, lambda: change(other)):
        rotated(both)
    assert (expected, CANARY) == (key_of(new_only, "Mine"), key_of(new_only, "Other"))
    assert 2 == new_only.models.get("Mine").version


def test_a_model_deleted_in_between_stays_deleted(
    reg: Registry, both: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing brings its row back, and it is not counted."""
    created(reg, generation(name="Mine"))
    with meanwhile(monkeypatch, lambda: both.models.delete("Mine", actor=ADMIN)):
        assert 0 == rotated(both).rotated
    assert [] == both.models.find()


def test_control_without_comparing_an_edit_is_lost(
    reg: Registry, both: Registry, new_only: Registry, monkeypatch: pytest.MonkeyPatch, small_batches: None
) -> None:
    """The control: written whatever the row holds by now, the old key is back in the place of the edit. (The last batch
    is read again under the lock.)"""
    for name in ("Mine", "A", "B", "C"):
        created(reg, generation(name=name))
    table = Base.metadata.tables["models"]
    any_key = or_(table.c.api_key == bindparam("old"), table.c.api_key.is_not(None))
    careless = update(table).where(table.c.id == bindparam("model"), any_key)
    monkeypatch.setattr(rotation, "_REPLACE", careless.values(api_key=bindparam("new"), api_key_id=bindparam("new_id")))
    with meanwhile(monkeypatch, lambda: EDITS["new key"][0](both)):
        rotated(both)
    assert CANARY == key_of(new_only, "Mine")


TAMPER = "UPDATE models SET api_endpoint = 'https://evil.example' WHERE name = 'Mine'"


def test_a_redirected_key_stays_refused(reg: Registry, both: Registry, new_only: Registry, raw: Engine) -> None:
    """Rotation opens no envelope: what a row's key belongs to is what it was entered for, not where it lies."""
    created(reg, generation(name="Mine"))
    with raw.begin() as connection:
        connection.execute(text(TAMPER))
    assert 1 == rotated(both).rotated
    with pytest.raises(errors.DecryptionError, match="entered for another"):
        new_only.resolve("Mine")


def test_control_a_rotation_that_binds_anew_would_redirect_it(
    reg: Registry, both: Registry, new_only: Registry, raw: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the key sealed for where its row says that it goes, the edit in the database succeeds."""
    model = created(reg, generation(name="Mine"))
    with raw.begin() as connection:
        connection.execute(text(TAMPER))

    def bind_anew(self: Keyring, ciphertext: str) -> str:
        envelope = self._open(ciphertext)
        if "store" in envelope:
            return self.wrap(bytes.fromhex(envelope["store"])).ciphertext
        return self.seal(
            SecretStr(envelope["key"]), KeyScope(model.id, "openai", "https://evil.example:443")
        ).ciphertext

    monkeypatch.setattr(Keyring, "rotate", bind_anew)
    rotated(both)
    assert CANARY == key_of(new_only, "Mine")


def test_what_no_key_opens_stops_nothing(
    reg: Registry, both: Registry, new_only: Registry, raw: Engine, small_batches: None
) -> None:
    """It is named and not changed; the others go on. Once its key is entered again, all is well."""
    for name in ("A", "Damaged", "B", "Foreign", "C", "D", "E"):
        created(reg, generation(name=name))
    foreign = Keyring([KEY_C]).wrap(b"anything")
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key = substr(api_key, 1, 50) WHERE name = 'Damaged'"))
        statement = "UPDATE models SET api_key = :ciphertext, api_key_id = :id WHERE name = 'Foreign'"
        connection.execute(text(statement), {"ciphertext": foreign.ciphertext, "id": foreign.key_id})
    before = ciphertexts(raw)
    report = rotated(both)
    assert (5, ["Damaged", "Foreign"]) == (report.rotated, sorted(report.unreadable))
    assert {"Damaged", "Foreign"} == {
        name for name, ciphertext in ciphertexts(raw).items() if ciphertext == before[name]
    }
    assert {CANARY} == {key_of(new_only, name) for name in "ABCDE"}
    assert {"key_id": ID_B, "rotated": 5, "unreadable": 2} == both.audit.find().entries[0].context
    for name in report.unreadable:
        new_only.models.update(name, {"api_key": CANARY}, version=1, actor=ADMIN)
    assert RotationReport(ID_B, rotated=0, already_current=7, unreadable=()) == rotated(both)


@pytest.mark.parametrize("keys", [[], [KEY_B], [KEY_B, KEY_C]], ids=["none", "wrong", "two wrong"])
def test_with_other_keys_nothing_is_touched(
    reg: Registry, connect: Connect, store_url: str, raw: Engine, keys: list[str]
) -> None:
    """Refused with advice before the first row, and all opens with the right key as before."""
    created(reg, generation(name="Mine"))
    before = stored(raw)
    with pytest.raises((errors.DecryptionError, errors.SettingsError), match="REGISTRY_FERNET_KEYS"):
        rotated(connect(Settings(database_url=store_url, fernet_keys=keys)))
    assert before == stored(raw)
    assert CANARY == key_of(reg, "Mine")


def test_two_runs_at_once_share_the_work(
    reg: Registry, both: Registry, new_only: Registry, connect: Connect, store_url: str, small_batches: None
) -> None:
    """Each key is re-encrypted once, and counted by the run that did it."""
    models = [created(reg) for _ in range(20)]
    pair, start = (both, connect(Settings(database_url=store_url, fernet_keys=[KEY_B, KEY_A]))), Barrier(2)

    def run(registry: Registry) -> RotationReport:
        start.wait()
        return rotated(registry)

    with ThreadPoolExecutor(2) as pool:
        assert 20 == sum(report.rotated for report in pool.map(run, pair))
    assert {CANARY} == {key_of(new_only, model.id) for model in models}
    assert both.audit.verify().ok


def test_the_uses_of_each_key_are_counted(
    reg: Registry, both: Registry, new_only: Registry, store_url: str, connect: Connect
) -> None:
    """In the order of the ring, then what it does not hold: so one sees which key can go, and which is missing."""
    created(reg)
    created(both)
    created(both)
    assert (KeyUse(ID_B, 1, 2, False), KeyUse(ID_A, 2, 1, True)) == both.key_uses()
    assert (KeyUse(ID_A, 1, 1, True), KeyUse(ID_B, None, 2, False)) == reg.key_uses()
    assert {(ID_A, None), (ID_B, None)} == {
        (use.key_id, use.position) for use in connect(Settings(database_url=store_url)).key_uses()
    }
    rotated(both)
    assert (KeyUse(ID_B, 1, 3, True), KeyUse(ID_A, 2, 0, False)) == both.key_uses()
    assert (KeyUse(ID_B, 1, 3, True),) == new_only.key_uses()


ROTATE_SLOWLY = """
from registry import Actor, Registry
from registry.keys import rotation
rotation.BATCH = 10
with Registry.connect() as registry:
    by = Actor("to be killed", "admin")
    registry.rotate_keys(actor=by, progress=lambda done, total: print(done, flush=True))
"""


def rotate_and_kill(url: str, ring: list[str], batches: int) -> bool:
    """Rotate in a process of its own and kill it after so many batches; whether that came before its end."""
    keys = ",".join(ring)
    environment = {**os.environ, "REGISTRY_DATABASE_URL": url, "REGISTRY_FERNET_KEYS": keys}
    with subprocess.Popen([sys.executable, "-c", ROTATE_SLOWLY], env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(batches):
            child.stdout.readline()
        child.kill()
    assert child.returncode in (0, -9)
    return child.returncode == -9


class Storm:
    """A user reads keys and a user enters new ones, until stopped; what was ever entered is remembered."""

    def __init__(self, settings: Settings, keys: dict[str, str]) -> None:
        self.settings = settings
        self.entered = {model: [key] for model, key in keys.items()}
        self.over = Event()
        self.reads = self.edits = 0

    def read(self) -> None:
        """Each key that is read is one that was entered."""
        with Registry.connect(self.settings) as registry:
            while not self.over.is_set():
                model = random.choice(list(self.entered))  # noqa: S311 -- any will do
                assert key_of(registry, model) in self.entered[model]
                self.reads += 1

    def edit(self) -> None:
        with Registry.connect(self.settings) as registry:
            while not self.over.is_set():
                model, entered = random.choice(list(self.entered.items()))  # noqa: S311 -- any will do
                version = len(entered)
                entered.append(f"sk-edit-{self.edits}")
                registry.models.update(model, {"api_key": entered[-1]}, version=version, actor=ADMIN)
                self.edits += 1


def test_killed_at_any_point_nothing_is_lost(reg: Registry, both: Registry, new_only: Registry, store_url: str) -> None:
    """While others read and edit, rotation is killed again and again: each key can be read at all times, no edit is
    lost, and in the end all open with the new key alone. The number of kills is ROTATION_KILLS.
    """
    store, ring = Store(store_url), [KEY_B, KEY_A]
    storm = Storm(Settings(database_url=store_url, fernet_keys=ring), fill(store, Keyring([KEY_A]), 400))
    store.close()
    kills = 0
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(storm.read), pool.submit(storm.edit)]
        try:
            while kills < KILLS and not any(other.done() for other in others):
                if rotate_and_kill(store_url, ring, random.randrange(1, 6)):  # noqa: S311 -- any will do
                    kills += 1
                else:
                    ring = ring[::-1]  # all done: now back to the other key
        finally:
            storm.over.set()
        for other in others:
            other.result()
    assert not rotated(both).unreadable
    assert {model: entered[-1] for model, entered in storm.entered.items()} == {
        model: key_of(new_only, model) for model in storm.entered
    }
    assert {model: len(entered) for model, entered in storm.entered.items()} == {
        model.id: model.version for model in new_only.models.find()
    }
    assert (KILLS, True, True) == (kills, storm.reads > 0, storm.edits > 0)
    assert (KeyUse(ID_B, 1, 400, True),) == new_only.key_uses()
    assert new_only.audit.verify().ok
