"""Key files, readable for their owner only: the embedded store's encryption key, and the key of the local sign-in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from registry.errors import SettingsError
from registry.keys.keyring import new_key

MAX_SIGN_IN_HOURS: Final = 7 * 24
"""The longest sign-in: what is remembered of passes can be forgotten after it."""


def key_file(path: Path, *, unless: Path | None = None) -> SecretStr | None:
    """The Fernet key in a file; where there is none, a new one, which only its owner can read.

    None where a file ``unless`` is there: what that holds was encrypted with a key that is gone.

    Raises:
        SettingsError: the file can be neither read nor made.
    """
    try:
        if unless is None or not unless.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass
            else:
                with os.fdopen(descriptor, "w") as file:
                    file.write(new_key())
        text = path.read_text().strip() if path.exists() else ""
    except OSError as error:
        raise SettingsError(f"The key file {path} cannot be read or made: {error.strerror}.") from None
    return SecretStr(text) if text else None
