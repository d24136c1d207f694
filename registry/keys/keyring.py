"""The keyring: encrypts each API key for one model, provider and endpoint.

A ciphertext is a Fernet token (https://github.com/fernet/spec) around a JSON envelope that names the model, the
provider and the endpoint's origin. Decrypting it for any other fails, so an edit in the database cannot send a key to
another host.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from registry.catalog.endpoints import KeyScope
from registry.errors import DecryptionError, SettingsError
from registry.secrecy import Unpickled

_ADVICE = "Make one with: python -m registry new-key"
_FOREIGN = (
    "A stored key was encrypted with another key than those in REGISTRY_FERNET_KEYS. "
    "Add the key it was encrypted with, or enter the API key again."
)
_MIN_DISTINCT_BYTES = 12


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the id of the key that encrypted it."""

    ciphertext: str
    key_id: str


class Keyring(Unpickled):
    """Encrypts with its first key, decrypts with any.

    Args:
        keys: Fernet keys, 32 bytes each in URL-safe base64.

    Raises:
        SettingsError: there is no key, or one is malformed, short, listed twice or evidently a placeholder.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise SettingsError(f"No encryption key is configured. {_ADVICE}")
        decoded = [_decode(key.strip(), number) for number, key in enumerate(keys, start=1)]
        if len(set(decoded)) != len(decoded):
            raise SettingsError("REGISTRY_FERNET_KEYS lists the same key twice.")
        fernets = [Fernet(base64.urlsafe_b64encode(raw)) for raw in decoded]
        self._fernet = MultiFernet(fernets)
        self._oldest_first = MultiFernet(fernets[::-1])  # an old key encrypted what is to be rotated
        self.key_ids = tuple(hashlib.sha256(b"registry key id" + raw).hexdigest()[:12] for raw in decoded)

    @property
    def key_id(self) -> str:
        """Id of the key that encrypts. It reveals nothing about the key."""
        return self.key_ids[0]

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(self.key_ids)}>"

    def seal(self, secret: SecretStr, scope: KeyScope) -> Sealed:
        """Encrypt a key for one model, provider and origin."""
        envelope = {"model": scope.model, "provider": scope.provider, "origin": scope.origin}
        text = json.dumps({**envelope, "key": secret.get_secret_value()})
        return Sealed(self._fernet.encrypt(text.encode()).decode(), self.key_id)

    def open(self, ciphertext: str, scope: KeyScope) -> SecretStr:
        """Decrypt a key for the model, provider and origin that it was entered for.

        Raises:
            DecryptionError: no key of the ring decrypts it, or it belongs to another model, provider or origin.
        """
        envelope = self._open(ciphertext)
        found = KeyScope(*(str(envelope.get(part)) for part in ("model", "provider", "origin")))
        if found != scope or not isinstance(envelope.get("key"), str):
            raise DecryptionError(
                "The stored API key was entered for another model, provider or endpoint and is not used here. "
                "Enter the key again."
            )
        return SecretStr(envelope["key"])

    def wrap(self, secret: bytes) -> Sealed:
        """Encrypt the store's own secret."""
        return Sealed(self._fernet.encrypt(json.dumps({"store": secret.hex()}).encode()).decode(), self.key_id)

    def unwrap(self, ciphertext: str) -> bytes:
        """Decrypt the store's own secret.

        Raises:
            DecryptionError: the keys of this ring are not the keys of this store.
        """
        try:
            return bytes.fromhex(self._open(ciphertext)["store"])
        except (KeyError, TypeError, ValueError):
            raise DecryptionError("The store's own secret is damaged. Restore the store from a backup.") from None

    def rotate(self, ciphertext: str) -> str:
        """Re-encrypt with the first key what any key of the ring encrypted. The envelope does not change.

        Raises:
            DecryptionError: no key of the ring decrypts it.
        """
        try:
            envelope = self._oldest_first.decrypt(ciphertext.encode())
        except (InvalidToken, ValueError):
            raise DecryptionError(_FOREIGN) from None
        return self._fernet.encrypt(envelope).decode()

    def _open(self, ciphertext: str) -> dict[str, Any]:
        try:
            envelope = json.loads(self._fernet.decrypt(ciphertext.encode()))
        except (InvalidToken, ValueError):
            raise DecryptionError(_FOREIGN) from None
        if not isinstance(envelope, dict):
            raise DecryptionError("A stored key is damaged. Enter the API key again.")
        return envelope


def new_key() -> str:
    """Generate a random Fernet key in the format of ``REGISTRY_FERNET_KEYS``."""
    return Fernet.generate_key().decode()


def new_store_secret() -> bytes:
    """Generate 32 random bytes for keyed digests; rotating encryption keys does not change them."""
    return secrets.token_bytes(32)


def _decode(key: str, number: int) -> bytes:
    try:
        raw = base64.b64decode(key, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise SettingsError(f"Encryption key {number} is not a Fernet key (32 bytes in URL-safe base64). {_ADVICE}")
    if len(set(raw)) < _MIN_DISTINCT_BYTES or all(32 <= byte < 127 for byte in raw):
        raise SettingsError(f"Encryption key {number} is a placeholder or a typed text, not a random key. {_ADVICE}")
    return raw
