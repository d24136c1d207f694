"""Passes of the local sign-in: the one-time link on the console, and the cookie that it is exchanged for.

Both are Fernet tokens that contain the name, the role and the time of issue. Their key, from which the host name in the
links is derived, is a file beside the dashboard's own store: only the dashboard's owner on this machine can read it,
and losing it only signs people out.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.fernet import Fernet, InvalidToken

from registry.actors import PEOPLE, Actor
from registry.errors import ForbiddenError, SettingsError
from registry.keys.file import MAX_SIGN_IN_HOURS, key_file

SIGN_IN_KEY_FILE = "sign-in.key"
SPENT_FOLDER = "signed-out"
LINK_PATH = "/local-login"
LINK_MINUTES = 15
_FORGET_AFTER = (MAX_SIGN_IN_HOURS + 1) * 3600  # seconds; by then no pass is valid any more

Kind = Literal["link", "session"]


@dataclass(frozen=True, slots=True)
class Pass:
    """The actor that a pass was issued to; ``id`` is unique to the pass."""

    actor: Actor
    id: str


class Passes:
    """Issues and reads passes with the key in ``folder``; the key file is created if it is missing."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.spent = Spent(folder / SPENT_FOLDER, clock)
        self._path = folder / SIGN_IN_KEY_FILE
        self._clock = clock

    @property
    def cookie_name(self) -> str:
        """Derived from the key: browsers share cookies between the ports of a host, and so between two dashboards."""
        return "registry-" + hashlib.sha256(b"registry cookie" + self._key()).hexdigest()[:8]

    @property
    def host(self) -> str:
        """The host name in the links, which resolves to this machine. Browsers send its cookies to all of its ports,
        and so to other programs; but these cannot guess the name, and so cannot lead a browser there."""
        return f"registry-{hashlib.sha256(b'registry host' + self._key()).hexdigest()[:16]}.localhost"

    def issue(self, kind: Kind, actor: Actor) -> str:
        """Issue a pass to this actor.

        Raises:
            ForbiddenError: the role is not one of `PEOPLE`.
            SettingsError: the key file cannot be read or created.
        """
        if actor.role not in PEOPLE:
            raise ForbiddenError(f"People sign in as {', '.join(PEOPLE)}.")
        content = {"for": kind, "id": secrets.token_hex(16), "name": actor.name, "role": actor.role}
        text = json.dumps(content, ensure_ascii=False)  # a cookie has at most 4,096 bytes
        return self._fernet().encrypt_at_time(text.encode(), int(self._clock())).decode()

    def read(self, kind: Kind, token: str, seconds: int) -> Pass | None:
        """The pass in a token; None if it is not ours, of another kind, or was issued more than `seconds` ago."""
        try:
            text = self._fernet().decrypt_at_time(token.encode(), seconds, int(self._clock()))
        except InvalidToken:
            return None
        content = json.loads(text)
        if content["for"] != kind:
            return None
        return Pass(Actor(content["name"], content["role"], via="local"), content["id"])

    def redeem(self, token: str) -> Actor | None:
        """Use up a link and return its actor; None if it was used before, has expired, or is not ours."""
        link = self.read("link", token, LINK_MINUTES * 60)
        return link.actor if link and self.spent.add(link.id) else None

    def url(self, actor: Actor, port: int) -> str:
        """A link that signs this actor in at the dashboard on this machine."""
        return f"http://{self.host}:{port}{LINK_PATH}?token={self.issue('link', actor)}"

    def _fernet(self) -> Fernet:
        try:
            return Fernet(self._key())
        except ValueError:
            raise SettingsError(
                f"{self._path} holds no key. Delete it: a new one is made, and everyone signs in again."
            ) from None

    def _key(self) -> bytes:
        key = key_file(self._path)
        return key.get_secret_value().encode() if key else b""


class Spent:
    """Revoked ids, one file each, so that they survive a restart."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def add(self, id: str) -> bool:
        """Revoke an id; return False if it was revoked before.

        Raises:
            SettingsError: the folder cannot be written to.
        """
        self.prepare()
        try:
            self._forget_old()
            (self._folder / id).touch(mode=0o600, exist_ok=False)
            os.utime(self._folder / id, (self._clock(), self._clock()))
        except FileExistsError:
            return False
        except OSError as error:
            raise self._unusable(error) from None
        return True

    def prepare(self) -> None:
        """Create the folder if it is missing, and check that it is writable.

        Raises:
            SettingsError: it cannot be written to.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._folder).close()
        except OSError as error:
            raise self._unusable(error) from None

    def __contains__(self, id: str) -> bool:
        return (self._folder / id).exists()

    def _unusable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"The folder {self._folder}, which remembers who has signed out, cannot be written to: {error.strerror}. "
            "REGISTRY_DATA_DIR names the folder that it is in."
        )

    def _forget_old(self) -> None:
        oldest = self._clock() - _FORGET_AFTER
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another process has deleted it already
                if path.stat().st_mtime < oldest:
                    path.unlink()
