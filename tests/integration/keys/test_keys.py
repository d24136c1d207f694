"""Encryption keys: with the wrong one nothing is lost, several can be had at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Model, Registry, Settings, errors
from registry.keys.vault import Vault
from tests.support.factories import ADMIN, CANARY, KEY_A, KEY_B, created, generation, ollama

Connect = Callable[[Settings], Registry]


@pytest.fixture(params=["wrong", "missing"])
def locked_out(request: pytest.FixtureRequest, store_url: str, connect: Connect, reg: Registry) -> Registry:
    """A registry with another key than the store's, or none; the store has one model, “Mine”."""
    created(reg, generation(name="Mine", is_default=True))
    return connect(Settings(database_url=store_url, fernet_keys=[KEY_B] if request.param == "wrong" else []))


def test_the_status_says_that_the_keys_fit(reg: Registry) -> None:
    """All is well, without a message."""
    assert (True, "") == (reg.key_status().ok, reg.key_status().message)


def test_the_status_says_what_to_do(locked_out: Registry) -> None:
    """The message for the page names the setting to fix."""
    status = locked_out.key_status()
    assert not status.ok
    assert "REGISTRY_FERNET_KEYS" in status.message


def test_models_are_listed_all_the_same(locked_out: Registry, reg: Registry) -> None:
    """Everything can be read but the keys, and it is still known that there is one."""
    assert reg.models.find() == locked_out.models.find()
    assert reg.audit.find() == locked_out.audit.find()
    assert (True, True) == (locked_out.models.get("Mine").has_api_key, locked_out.audit.verify().ok)


def test_only_what_needs_the_key_fails(locked_out: Registry) -> None:
    """`resolve` of a model with a key; one without a key resolves."""
    free = created(locked_out, ollama())
    with pytest.raises((errors.DecryptionError, errors.SettingsError), match="REGISTRY_FERNET_KEYS"):
        locked_out.resolve("Mine")
    assert locked_out.resolve(free.id).api_key is None


CHANGES: dict[str, Callable[[Registry, Model], object]] = {
    "edit": lambda reg, model: reg.models.update(model.id, {"name": "New"}, version=1, actor=ADMIN),
    "status": lambda reg, model: reg.models.set_status(model.id, "inactive", actor=ADMIN),
    "default": lambda reg, model: reg.models.set_default(model.id, actor=ADMIN),
    "delete": lambda reg, model: reg.models.delete(model.id, actor=ADMIN),
    "remove the key": lambda reg, model: reg.models.update(model.id, {"api_key": None}, version=1, actor=ADMIN),
    "create without a key": lambda reg, _: created(reg, ollama()),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_other_changes_go_through(reg: Registry, locked_out: Registry, change: str) -> None:
    """Whatever does not touch a key can be changed, and the stored keys stay readable with the right one."""
    model = created(reg, ollama(api_key=CANARY))
    CHANGES[change](locked_out, model)
    assert CANARY == reg.resolve("Mine").litellm_params()["api_key"]
    assert reg.audit.verify().ok


SAVES: dict[str, Callable[[Registry], object]] = {
    "create": lambda reg: created(reg),
    "replace": lambda reg: reg.models.update("Mine", {"api_key": "sk-new"}, version=1, actor=ADMIN),
}


@pytest.mark.parametrize("save", list(SAVES))
def test_a_key_is_not_saved_with_keys_that_are_not_the_stores(reg: Registry, locked_out: Registry, save: str) -> None:
    """No one else could open it: refused with advice, and nothing changes."""
    before = (reg.models.find(), reg.audit.find())
    with pytest.raises((errors.DecryptionError, errors.SettingsError), match="REGISTRY_FERNET_KEYS"):
        SAVES[save](locked_out)
    assert before == (reg.models.find(), reg.audit.find())
    assert CANARY == reg.resolve("Mine").litellm_params()["api_key"]


def test_control_without_the_check_a_key_is_lost(
    reg: Registry, connect: Connect, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the check of the keyring taken out, the saved key opens for no one else."""
    created(reg, generation(name="Mine"))
    monkeypatch.setattr(Vault, "secret", lambda *_: b"")
    SAVES["replace"](connect(Settings(database_url=store_url, fernet_keys=[KEY_B])))
    with pytest.raises(errors.DecryptionError):
        reg.resolve("Mine")


def test_the_first_key_encrypts_and_all_decrypt(store_url: str, connect: Connect, reg: Registry, raw: Engine) -> None:
    """A second key is put in front: what the old one made opens, and what is saved from now on needs the new one."""
    created(reg, generation(name="Old"))
    both = connect(Settings(database_url=store_url, fernet_keys=[KEY_B, KEY_A]))
    created(both, generation(name="New"))
    assert both.key_status().ok
    assert [CANARY, CANARY] == [both.resolve(name).litellm_params()["api_key"] for name in ("Old", "New")]
    with pytest.raises(errors.DecryptionError):
        reg.resolve("New")
    with raw.connect() as connection:
        assert 2 == connection.execute(text("SELECT count(DISTINCT api_key_id) FROM models")).scalar_one()


@pytest.mark.parametrize("damage", ["'x'", "''", "'gAAAAAB'", "substr(api_key, 1, 50)", "substr(api_key, 2)"])
def test_a_damaged_key_fails_alone(reg: Registry, raw: Engine, damage: str) -> None:
    """Only the model whose ciphertext is damaged; entering its key again fixes it."""
    broken, whole = created(reg), created(reg)
    with raw.begin() as connection:
        connection.exec_driver_sql(f"UPDATE models SET api_key = {damage} WHERE id = '{broken.id}'")
    with pytest.raises(errors.DecryptionError):
        reg.resolve(broken.id)
    assert CANARY == reg.resolve(whole.id).litellm_params()["api_key"]
    reg.models.update(broken.id, {"api_key": CANARY}, version=1, actor=ADMIN)
    assert CANARY == reg.resolve(broken.id).litellm_params()["api_key"]


def test_through_the_proxy_no_key_is_needed(store_url: str, connect: Connect, reg: Registry) -> None:
    """KB code that calls the proxy gets its address and its own key, and decrypts nothing."""
    model = created(reg)
    proxied: dict[str, Any] = {"litellm_proxy_url": "http://proxy:4000/", "litellm_api_key": "sk-kb-code"}
    resolved = connect(Settings(database_url=store_url, **proxied)).resolve(model.id)
    expected = {"model": f"openai/db-{model.id}", "api_base": "http://proxy:4000", "api_key": "sk-kb-code"}
    assert expected == resolved.litellm_params()
    assert resolved.api_key is None
    assert "sk-kb-code" not in repr(resolved)


OTHER_KEY = "sk-another-long-enough-key"
SHORT_KEY = "sk-short"


def _told(reg: Registry, model: Model) -> list[tuple[Any, Any]]:
    """What the audit log says of a model's key, oldest first."""
    entries = reg.audit.find(target=model.id).entries[::-1]
    return [(each.before, each.after) for entry in entries for each in entry.changes if each.field == "api_key"]


def test_a_key_has_one_fingerprint(connect: Connect, store_url: str, reg: Registry) -> None:
    """In every model, after rotation and when it comes back; another key has another one."""
    mine, other = created(reg), created(reg, ollama(api_key=OTHER_KEY))
    connect(Settings(database_url=store_url, fernet_keys=[KEY_B, KEY_A])).rotate_keys(actor=ADMIN)
    for version, key in enumerate((OTHER_KEY, CANARY), start=1):
        connect(Settings(database_url=store_url, fernet_keys=[KEY_B])).models.update(
            mine.id, {"api_key": key}, version=version, actor=ADMIN
        )
    ((_, theirs),) = _told(reg, other)
    (_, first), (before, second), (again, last) = _told(reg, mine)
    assert (first, theirs, theirs, first) == (before, second, again, last)
    assert first != theirs


def test_fingerprints_of_two_stores_differ(reg: Registry, connect: Connect, tmp_path: Path) -> None:
    """They are keyed with a secret of the store: no one can look a key up."""
    elsewhere = connect(Settings(database_url=f"sqlite:///{tmp_path / 'other.db'}", fernet_keys=[KEY_A]))
    assert _told(reg, created(reg)) != _told(elsewhere, created(elsewhere))


def test_a_short_key_has_no_fingerprint(reg: Registry, raw: Engine) -> None:
    """It could be guessed from one; that it was replaced is logged all the same."""
    model = created(reg, generation(api_key=SHORT_KEY))
    reg.models.update(model.id, {"api_key": f"{SHORT_KEY}2"}, version=1, actor=ADMIN)
    reg.models.update(model.id, {"name": "Same key", "api_key": f"{SHORT_KEY}2"}, version=2, actor=ADMIN)
    assert [(None, "set"), ("set", "changed")] == _told(reg, model)
    with raw.connect() as connection:
        assert [None] == connection.execute(text("SELECT api_key_print FROM models")).scalars().all()


def _without_print(raw: Engine) -> None:
    """As a row that was saved before there were any."""
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key_print = NULL"))


def test_a_key_from_before_is_marked_when_it_is_opened_anyway(reg: Registry, raw: Engine) -> None:
    """By an edit, which looks for the key in the fields. A change of status opens none; nor does a save of nothing."""
    model = created(reg)
    ((_, mark),) = _told(reg, model)
    _without_print(raw)
    reg.models.set_status(model.id, "deprecated", actor=ADMIN)
    reg.models.update(model.id, {"name": model.name}, version=2, actor=ADMIN)
    with raw.connect() as connection:
        assert [None] == connection.execute(text("SELECT api_key_print FROM models")).scalars().all()
    reg.models.update(model.id, {"name": "Edited"}, version=2, actor=ADMIN)
    reg.models.update(model.id, {"api_key": OTHER_KEY}, version=3, actor=ADMIN)
    assert [(None, mark), mark] == [_told(reg, model)[0], _told(reg, model)[1][0]]


def test_replacing_a_key_from_before_is_told(reg: Registry, raw: Engine) -> None:
    """As set before, and by its fingerprint after."""
    model = created(reg)
    _without_print(raw)
    reg.models.update(model.id, {"api_key": OTHER_KEY}, version=1, actor=ADMIN)
    assert ("set", "key ") == (_told(reg, model)[1][0], _told(reg, model)[1][1][:4])


@pytest.mark.parametrize("keys", [(), (KEY_B,)], ids=["none", "others"])
def test_without_the_right_keys_edits_go_on(
    reg: Registry, connect: Connect, store_url: str, raw: Engine, keys: tuple[str, ...]
) -> None:
    """Nothing opens a key to get its fingerprint: a name, a status, the key taken out."""
    model = created(reg)
    _without_print(raw)
    locked_out = connect(Settings(database_url=store_url, fernet_keys=keys))
    locked_out.models.update(model.id, {"name": "Renamed"}, version=1, actor=ADMIN)
    locked_out.models.set_status(model.id, "deprecated", actor=ADMIN)
    locked_out.models.set_status(model.id, "active", actor=ADMIN)
    reg.models.update(model.id, {"status": "active"}, version=4, actor=ADMIN)
    assert "Renamed" == reg.models.get(model.id).name
    assert CANARY == reg.resolve(model.id).litellm_params()["api_key"]


@pytest.mark.parametrize("garbage", [CANARY, "gAAAAAB", "x" * 16, ""])
def test_only_a_fingerprint_gets_into_the_log(reg: Registry, raw: Engine, garbage: str) -> None:
    """Any value that an edit by SQL put in its place: otherwise the log would contain it."""
    model = created(reg)
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key_print = :garbage"), {"garbage": garbage[:16]})
    reg.models.delete(model.id, actor=ADMIN)
    assert ("set", None) == _told(reg, model)[-1]
