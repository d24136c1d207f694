"""The vault: encrypts and decrypts the API keys in rows, and the store's own secret.

It alone handles missing encryption keys, and keys of another store.
"""

from __future__ import annotations

import hmac
from contextlib import suppress
from typing import Final

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.errors import DecryptionError, SettingsError
from registry.keys.keyring import Keyring, new_store_secret
from registry.secrecy import Unpickled
from registry.store.rows import key_scope
from registry.store.store import Store
from registry.store.tables import ModelRow, StoreRow

MIN_MARKED: Final = 16
"""Minimum length, in characters, of a key that gets a fingerprint."""
_NO_KEYRING = (
    "No encryption key is configured: saved API keys cannot be used, nor new ones saved. "
    "Restore the key file, or set REGISTRY_FERNET_KEYS to the keys that this store was created with."
)
_UNTIED = (
    "The store is not tied to any encryption keys yet. Set REGISTRY_FERNET_KEYS and run: python -m registry migrate"
)
_OTHER_STORES = (
    "The configured encryption keys are not the keys of this store. Set REGISTRY_FERNET_KEYS to the keys "
    "it was created with; until then saved API keys cannot be used, nor new ones saved."
)


class Vault(Unpickled):
    """Encrypts and decrypts with a keyring.

    Args:
        keyring: the configured encryption keys; None if there are none.
    """

    def __init__(self, keyring: Keyring | None) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return f"<Vault of {self._keyring!r}>"

    @property
    def keyring(self) -> Keyring:
        """The keyring.

        Raises:
            SettingsError: no encryption key is configured.
        """
        if self._keyring is None:
            raise SettingsError(_NO_KEYRING)
        return self._keyring

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the configured keys; the first one encrypts."""
        return self._keyring.key_ids if self._keyring else ()

    def adopt(self, store: Store) -> None:
        """Give a new store its secret. A store that has one keeps it; without a keyring, nothing is done."""
        if self._keyring is None:
            return
        with store.read() as session:
            if session.scalars(select(StoreRow.secret)).one() is not None:
                return
        with store.note() as session:
            row = session.scalars(select(StoreRow)).one()
            if row.secret is None:
                sealed = self._keyring.wrap(new_store_secret())
                row.secret, row.secret_key_id = sealed.ciphertext, sealed.key_id

    def secret(self, session: Session) -> bytes:
        """The store's own secret, for keyed digests. Only the keys of this store decrypt it.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: the keys are not those of this store.
        """
        keyring = self.keyring
        wrapped = session.scalars(select(StoreRow.secret)).one()
        if wrapped is None:
            raise DecryptionError(_UNTIED)
        try:
            return keyring.unwrap(wrapped)
        except DecryptionError:
            raise DecryptionError(_OTHER_STORES) from None

    def seal(self, session: Session, row: ModelRow, key: SecretStr | None) -> bool:
        """Set a row's key and its fingerprint, or clear both; return whether a different key was set.

        If the key is the stored one, the ciphertext stays, and nothing changes.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: the keys are not those of this store: its other processes could not decrypt the result.
        """
        if key is None:
            row.api_key = row.api_key_id = row.api_key_print = None
            return False
        fingerprint = _fingerprint(self.secret(session), key)
        if self.readable(row) == key:
            return False
        sealed = self.keyring.seal(key, key_scope(row))
        row.api_key, row.api_key_id, row.api_key_print = sealed.ciphertext, sealed.key_id, fingerprint
        return True

    def mark(self, session: Session, row: ModelRow, key: SecretStr) -> None:
        """Add the missing fingerprint of a row's key, which was saved before fingerprints existed.

        Args:
            key: the row's key, which the caller has decrypted anyway.
        """
        if row.api_key_print is None:
            with suppress(DecryptionError):  # the store's secret is encrypted with a key that is not configured
                row.api_key_print = _fingerprint(self.secret(session), key)

    def open(self, row: ModelRow) -> SecretStr | None:
        """The decrypted key of a row; None if it has none.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: no configured key decrypts it, or it was entered for another model, provider or endpoint.
        """
        return None if row.api_key is None else self.keyring.open(row.api_key, key_scope(row))

    def readable(self, row: ModelRow) -> SecretStr | None:
        """As `open`, but None if the key cannot be decrypted."""
        try:
            return self.open(row)
        except (DecryptionError, SettingsError):
            return None


def _fingerprint(secret: bytes, key: SecretStr) -> str | None:
    """The fingerprint of a key, independent of the model and the encryption key. A short key gets none: an attacker who
    knows the store's secret could guess it."""
    text = key.get_secret_value()
    if len(text) < MIN_MARKED:
        return None
    return hmac.digest(secret, b"api key " + text.encode(), "sha256").hex()[:16]
