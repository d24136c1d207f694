"""What comes out about the encryption keys: frozen records, none of which can hold a secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """Whether the configured encryption keys fit this store. ``message`` says what to do when they do not."""

    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one encryption key made that is stored now.

    Attributes:
        key_id: names the key, without telling anything about it.
        position: its place in ``REGISTRY_FERNET_KEYS``, where 1 encrypts; None where it is not configured.
        api_keys: how many API keys it encrypted.
        store_secret: whether it encrypted the store's own secret.
    """

    key_id: str
    position: int | None
    api_keys: int
    store_secret: bool


@dataclass(frozen=True, slots=True)
class RotationReport:
    """Outcome of encrypting the stored API keys anew.

    Attributes:
        key_id: names the key that encrypts from now on.
        rotated: how many API keys were encrypted anew.
        already_current: how many were encrypted with this key before.
        unreadable: names of the models whose API key no configured key opens; it was left as it is.
    """

    key_id: str
    rotated: int
    already_current: int
    unreadable: tuple[str, ...]
