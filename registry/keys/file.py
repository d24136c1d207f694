"""Key files that only their owner can read: the embedded store's encryption key, and the local sign-in's key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from registry.errors import SettingsError
from registry.keys.keyring import new_key

MAX_SIGN_IN_HOURS: Final = 7 * 24
"""The longest sign-in; revoked passes need not be kept longer."""


def key_file(path: Path, *, unless: Path | None = None) -> SecretStr | None:
    """Return the Fernet key in a file. Create the file, readable by its owner only, if it is missing.

    If the file ``unless`` exists, a missing key file is not created, and the result is None: the contents of
    ``unless`` were encrypted with a key that is lost.

    Raises:
        SettingsError: the file can be neither read nor created.
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
        raise SettingsError(
            f"The key file {path} cannot be read or created: {error.strerror}. Check its permissions and its folder's."
        ) from None
    return SecretStr(text) if text else None
