"""Records about the encryption keys: frozen, and never with a secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """Whether the configured encryption keys belong to this store. If not, ``message`` says what to do."""

    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The stored secrets that one encryption key encrypted.

    Attributes:
        key_id: identifies the key and reveals nothing about it.
        position: its place in ``REGISTRY_FERNET_KEYS``; 1 is the key that encrypts, None one that is not configured.
        api_keys: the number of API keys that it encrypted.
        store_secret: whether it encrypted the store's own secret.
    """

    key_id: str
    position: int | None
    api_keys: int
    store_secret: bool


@dataclass(frozen=True, slots=True)
class RotationReport:
    """Outcome of re-encrypting the stored API keys.

    Attributes:
        key_id: identifies the key that encrypts from now on.
        rotated: the number of API keys that were re-encrypted.
        already_current: the number that was encrypted with this key before.
        unreadable: names of the models whose API key no configured key decrypts; it was left unchanged.
    """

    key_id: str
    rotated: int
    already_current: int
    unreadable: tuple[str, ...]
