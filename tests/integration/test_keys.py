"""Encryption keys: with the wrong one nothing is lost, several can be had at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Model, Registry, Settings, errors
from registry.keys.vault import Vault
from tests.factories import ADMIN, CANARY, KEY_A, KEY_B, created, generation, ollama

Connect = Callable[[Settings], Registry]


@pytest.fixture(params=["wrong", "missing"])
def locked_out(request: pytest.FixtureRequest, store_url: str, connect: Connect, reg: Registry) -> Registry:
    """A registry with another key than the store's, or none; the store has one model, “Mine”."""
    created(reg, generation(name="Mine", is_default=True))
    return connect(Settings(store_url, [KEY_B] if request.param == "wrong" else []))


def test_the_status_says_that_the_keys_fit(reg: Registry) -> None:
    """All is well, without a message."""
    assert (True, "") == (reg.key_status().ok, reg.key_status().message)


def test_the_status_says_what_to_do(locked_out: Registry) -> None:
    """The message for the page names the setting to mend."""
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
    """Nobody else could open it: refused with advice, and nothing changes."""
    before = (reg.models.find(), reg.audit.find())
    with pytest.raises((errors.DecryptionError, errors.SettingsError), match="REGISTRY_FERNET_KEYS"):
        SAVES[save](locked_out)
    assert before == (reg.models.find(), reg.audit.find())
    assert CANARY == reg.resolve("Mine").litellm_params()["api_key"]


def test_control_without_the_check_a_key_is_lost(
    reg: Registry, connect: Connect, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the check of the keyring taken out, the saved key opens for nobody else."""
    created(reg, generation(name="Mine"))
    monkeypatch.setattr(Vault, "secret", lambda *_: b"")
    SAVES["replace"](connect(Settings(store_url, [KEY_B])))
    with pytest.raises(errors.DecryptionError):
        reg.resolve("Mine")


def test_the_first_key_encrypts_and_all_decrypt(store_url: str, connect: Connect, reg: Registry, raw: Engine) -> None:
    """A second key is put in front: what the old one made opens, and what is saved from now on needs the new one."""
    created(reg, generation(name="Old"))
    both = connect(Settings(store_url, [KEY_B, KEY_A]))
    created(both, generation(name="New"))
    assert both.key_status().ok
    assert [CANARY, CANARY] == [both.resolve(name).litellm_params()["api_key"] for name in ("Old", "New")]
    with pytest.raises(errors.DecryptionError):
        reg.resolve("New")
    with raw.connect() as connection:
        assert 2 == connection.execute(text("SELECT count(DISTINCT api_key_id) FROM models")).scalar_one()


@pytest.mark.parametrize("damage", ["'x'", "''", "'gAAAAAB'", "substr(api_key, 1, 50)", "substr(api_key, 2)"])
def test_a_damaged_key_fails_alone(reg: Registry, raw: Engine, damage: str) -> None:
    """Only the model whose ciphertext is damaged; entering its key again mends it."""
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
    resolved = connect(Settings(store_url, **proxied)).resolve(model.id)
    expected = {"model": f"openai/db-{model.id}", "api_base": "http://proxy:4000", "api_key": "sk-kb-code"}
    assert expected == resolved.litellm_params()
    assert resolved.api_key is None
    assert "sk-kb-code" not in repr(resolved)
