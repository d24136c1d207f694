"""The keyring: what opens for whom, and which keys it takes."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from registry.catalog.endpoints import KeyScope
from registry.errors import DecryptionError, SettingsError
from registry.keys.keyring import Keyring, new_key, new_store_secret
from tests.support.factories import CANARY, KEY_A, KEY_B

HERE = KeyScope("model-1", "openai", "https://api.openai.com:443")


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def test_a_key_opens_for_what_it_was_entered_for() -> None:
    """What was sealed comes back, and the ciphertext does not hold it."""
    sealed = Keyring([KEY_A]).seal(SecretStr(CANARY), HERE)
    assert CANARY not in sealed.ciphertext
    assert Keyring([KEY_A]).open(sealed.ciphertext, HERE).get_secret_value() == CANARY


@pytest.mark.parametrize(
    "elsewhere",
    [
        KeyScope("model-2", HERE.provider, HERE.origin),
        KeyScope(HERE.model, "azure", HERE.origin),
        KeyScope(HERE.model, HERE.provider, "https://evil.example:443"),
        KeyScope(HERE.model, HERE.provider, "http://api.openai.com:80"),
        KeyScope(HERE.model, HERE.provider, ""),
    ],
)
def test_a_key_opens_for_nothing_else(elsewhere: KeyScope) -> None:
    """Another model, provider or origin gets a DecryptionError, whose text contains neither key nor ciphertext."""
    sealed = Keyring([KEY_A]).seal(SecretStr(CANARY), HERE)
    with pytest.raises(DecryptionError) as refusal:
        Keyring([KEY_A]).open(sealed.ciphertext, elsewhere)
    assert CANARY not in str(refusal.value)
    assert sealed.ciphertext not in str(refusal.value)


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    """That is how keys are rotated: add one in front, and the old ciphertexts still open."""
    old = Keyring([KEY_A]).seal(SecretStr(CANARY), HERE)
    both = Keyring([KEY_B, KEY_A])
    new = both.seal(SecretStr(CANARY), HERE)
    assert Keyring([KEY_B]).key_id == new.key_id
    assert both.open(old.ciphertext, HERE).get_secret_value() == CANARY
    with pytest.raises(DecryptionError):
        Keyring([KEY_A]).open(new.ciphertext, HERE)


def test_rotating_changes_the_key_and_nothing_else() -> None:
    """Whichever key made it, the first key alone opens it then, for exactly what it did before."""
    sealed = Keyring([KEY_A]).seal(SecretStr(CANARY), HERE).ciphertext
    for ring in (Keyring([KEY_B, KEY_A]), Keyring([KEY_B, new_key(), KEY_A]), Keyring([KEY_B, KEY_A, new_key()])):
        rotated = ring.rotate(sealed)
        assert Keyring([KEY_B]).open(rotated, HERE).get_secret_value() == CANARY
        with pytest.raises(DecryptionError):
            Keyring([KEY_B]).open(rotated, KeyScope("model-2", HERE.provider, HERE.origin))
    for unreadable in ("", "x", "ünïcode", sealed[:-4], Keyring([new_key()]).wrap(b"x").ciphertext):
        with pytest.raises(DecryptionError):
            Keyring([KEY_B, KEY_A]).rotate(unreadable)


def test_a_damaged_ciphertext_is_a_decryption_error() -> None:
    """Never a stack trace of the cryptography library, nor a wrong key."""
    sealed = Keyring([KEY_A]).seal(SecretStr(CANARY), HERE).ciphertext
    for damaged in ("", "x", sealed[:-4], sealed[:20] + "A" + sealed[21:], Keyring([KEY_A]).wrap(b"x").ciphertext):
        with pytest.raises(DecryptionError):
            Keyring([KEY_A]).open(damaged, HERE)


def test_the_store_secret_is_wrapped_like_a_key() -> None:
    """It comes back with the same ring only, and a model's ciphertext is none."""
    secret = new_store_secret()
    wrapped = Keyring([KEY_A]).wrap(secret).ciphertext
    assert secret == Keyring([KEY_B, KEY_A]).unwrap(wrapped)
    with pytest.raises(DecryptionError):
        Keyring([KEY_B]).unwrap(wrapped)
    with pytest.raises(DecryptionError):
        Keyring([KEY_A]).unwrap(Keyring([KEY_A]).seal(SecretStr(CANARY), HERE).ciphertext)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "not base64!",
        encoded(bytes(range(100, 116))),
        encoded(bytes(range(100, 133))),
        encoded(b"0" * 32),
        encoded(bytes(32)),
        encoded(b"change-me-change-me-change-me-00"),
        encoded(b"0123456789abcdef0123456789abcdef"),
    ],
)
def test_short_known_and_malformed_keys_are_refused(key: str) -> None:
    """A placeholder in the place of a key protects nothing; the message says how to make one, not what was given."""
    with pytest.raises(SettingsError, match="new-key") as refusal:
        Keyring([key])
    assert not key or key not in str(refusal.value)


def test_no_key_and_twice_the_same_key_are_refused() -> None:
    """Both are slips made when the variable was set."""
    for keys in ([], [KEY_A, KEY_A]):
        with pytest.raises(SettingsError):
            Keyring(keys)


def test_a_new_key_is_a_usable_one() -> None:
    """Different every time, and the ring takes it."""
    assert Keyring([new_key(), new_key()]).key_ids[0] != Keyring([new_key()]).key_id


def test_a_ring_shows_no_key() -> None:
    """Its repr names keys by what is no part of them."""
    ring = Keyring([KEY_A])
    assert KEY_A not in repr(ring)
    assert ring.key_id in repr(ring)
    assert ring.key_id not in KEY_A
