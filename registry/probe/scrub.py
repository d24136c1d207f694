"""Removes our own secrets from texts of other systems, before they are shown.

A provider can repeat the key that it was sent, in whole, truncated or encoded: in each form that is known here, every
run of eight characters or more is hidden. The whole text is dropped if a secret is too short to distinguish from
ordinary words, or if eight characters of one are still readable: backwards, with separators, in other Unicode forms, or
encoded in another way or repeatedly.
"""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from pydantic import SecretStr

from registry.catalog.specs import letters

HIDDEN = "[hidden]"
MAX_LENGTH = 300
_RUN = 8
_MOST_READ = 20_000
_LAYERS = 3  # encodings on top of each other
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]+")
_HEX = re.compile(r"[0-9a-f]{16,}")
_ESCAPES = re.compile(
    r"[\\%]u([0-9a-f]{4})|\\u\{([0-9a-f]{1,6})\}|\\U([0-9a-f]{8})|\\x([0-9a-f]{2})|=([0-9a-f]{2})", re.I
)


def scrub(text: str, secrets: Iterable[SecretStr | None], limit: int = MAX_LENGTH) -> str:
    """The text on one line without control characters and our secrets, at most ``limit`` characters long.

    Empty if a secret is shorter than eight characters, since it cannot be found reliably.
    """
    known = [secret.get_secret_value() for secret in secrets if secret and secret.get_secret_value()]
    if any(len(secret) < _RUN for secret in known):
        return ""
    plain = _one_line(text[:_MOST_READ])
    folded = "".join(char.lower() if len(char.lower()) == 1 else char for char in plain)
    runs = {run for secret in known for form in _forms(secret) for run in _runs(form.lower())}
    shown = _without(plain, [at for at in range(len(folded) - _RUN + 1) if folded[at : at + _RUN] in runs])
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return "" if _can_be_read(shown, known) else shown


def _one_line(text: str) -> str:
    visible = (" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    return " ".join("".join(char for char in visible if unicodedata.category(char) not in ("Cf", "Cs")).split())


def _runs(form: str) -> Iterator[str]:
    return (form[at : at + _RUN] for at in range(len(form) - _RUN + 1))


def _without(text: str, starts: list[int]) -> str:
    """The text with the eight characters after each start hidden; adjacent runs share one mark."""
    shown, end = "", 0
    for start in starts:
        if start > end or not end:
            shown += text[end:start] + HIDDEN
        end = start + _RUN
    return shown + text[end:]


def _can_be_read(text: str, secrets: Iterable[str]) -> bool:
    runs = {run for secret in secrets for way in (1, -1) for run in _runs(letters(secret)[::way])}
    plain = unicodedata.normalize("NFKD", text)
    seen: set[str] = set()
    readings = {plain, plain[::-1]}
    for _ in range(_LAYERS + 1):
        if any(run in runs for reading in readings for run in _runs(letters(reading))):
            return True
        seen |= readings
        readings = {decoded for reading in readings for decoded in _decoded(reading)} - seen
    return False


def _decoded(text: str) -> Iterator[str]:
    """The texts that this one can be an encoding of."""
    yield unquote(text)
    yield html.unescape(text)
    yield _ESCAPES.sub(_escaped, text)
    joined = _NOT_BASE64.sub("", text)
    yield " ".join(_unpacked(joined[start:]) for start in range(4))
    digits = _HEX.findall(letters(text).replace("0x", ""))
    yield " ".join(_from_hex(each[start:]) for each in digits for start in range(2))


def _escaped(found: re.Match[str]) -> str:
    return chr(min(int(next(filter(None, found.groups())), 16), sys.maxunicode))


def _unpacked(text: str) -> str:
    whole = text[: len(text) // 4 * 4 if len(text) % 4 == 1 else None]
    return base64.urlsafe_b64decode(whole.replace("+", "-").replace("/", "_") + "=" * (-len(whole) % 4)).decode(
        "latin-1"
    )


def _from_hex(text: str) -> str:
    return bytes.fromhex(text[: len(text) // 2 * 2]).decode("latin-1")


def _forms(secret: str) -> Iterator[str]:
    """The forms of a secret: plain, escaped for URLs, JSON or HTML, in hex, and inside a base64 text at any offset."""
    raw = secret.encode()
    yield from (secret, quote(secret), quote(secret, safe=""), html.escape(secret), json.dumps(secret)[1:-1], raw.hex())
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    for before, shared in enumerate((0, 2, 3)):  # the outer characters also encode bits of the neighbouring text
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + raw).decode().rstrip("=")[shared:-1]
