"""The vault: opens and seals the API keys in rows, and knows the store's own secret.

It alone knows what it means that no encryption key is configured, or that those are another store's.
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
"""Characters of a key that gets a fingerprint."""
_NO_KEYRING = (
    "No encryption key is configured: saved API keys cannot be used, nor new ones saved. "
    "Restore the key file, or set REGISTRY_FERNET_KEYS to the keys that this store was made with."
)
_UNTIED = (
    "The store is not tied to any encryption keys yet. Set REGISTRY_FERNET_KEYS and run: python -m registry migrate"
)
_OTHER_STORES = (
    "The configured encryption keys are not the keys of this store. Set REGISTRY_FERNET_KEYS to the keys "
    "it was made with; until then saved API keys cannot be used, nor new ones saved."
)


class Vault(Unpickled):
    """Opens and seals with a keyring.

    Args:
        keyring: the configured encryption keys; None where there are none.
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
        """Names the configured keys, the one that encrypts first."""
        return self._keyring.key_ids if self._keyring else ()

    def adopt(self, store: Store) -> None:
        """Give a new store its secret. A store that has one keeps it, and nothing happens without a keyring."""
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
        """The store's own secret, for keyed digests: it opens only with the keys of this store.

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
        """Put a key into a row with its fingerprint, or take it out, and tell whether another was put in.

        The same key typed again keeps its ciphertext: nothing changed.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: the keys are not those of this store: nobody else could open what they made.
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
        """Put its fingerprint beside the key in a row that was saved before there were any.

        Args:
            key: that in the row, which was opened for another reason: none is opened for this.
        """
        if row.api_key_print is None:
            with suppress(DecryptionError):  # the store's secret is wrapped by a key that is not configured
                row.api_key_print = _fingerprint(self.secret(session), key)

    def open(self, row: ModelRow) -> SecretStr | None:
        """The key in a row, None where it has none.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: no configured key opens it, or it was entered for another model, provider or endpoint.
        """
        return None if row.api_key is None else self.keyring.open(row.api_key, key_scope(row))

    def readable(self, row: ModelRow) -> SecretStr | None:
        """As `open`, but None where the key cannot be opened, and so not be compared."""
        try:
            return self.open(row)
        except (DecryptionError, SettingsError):
            return None


def _fingerprint(secret: bytes, key: SecretStr) -> str | None:
    """The same for the same key, in every model and whatever encrypts it. A short key gets none: it could be guessed
    by whoever knows the store's secret."""
    text = key.get_secret_value()
    if len(text) < MIN_MARKED:
        return None
    return hmac.digest(secret, b"api key " + text.encode(), "sha256").hex()[:16]
