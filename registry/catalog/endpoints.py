"""Endpoints of models: parsing them, their origin, and the scope of an API key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_LENGTH = 500
_MAX_LABEL = 63  # DNS limit; a name with a longer label cannot be looked up
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class KeyScope:
    """What an API key belongs to: one model of one provider, called at one origin."""

    model: str
    provider: str
    origin: str


def parse_endpoint(url: str) -> str:
    """The endpoint in its stored form: trimmed, scheme and host in lower case, no default port, no trailing slash.

    Raises:
        ValueError: it is invalid; the message is for the administrator and never repeats the input.
    """
    url = url.strip()
    if len(url) > MAX_LENGTH:
        raise ValueError(f"At most {MAX_LENGTH} characters.")
    if not url.isascii() or not url.isprintable() or re.search(r"[\s\\<>\"'`{}|^]", url):
        raise ValueError("Only plain ASCII characters, without spaces, quotes or backslashes.")
    scheme, host, port, path = _split(url)
    if any(len(label) > _MAX_LABEL for label in host.split(".")):
        raise ValueError(f"No part of the host's name can have more than {_MAX_LABEL} characters.")
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS[scheme] else f':{port}'}{path.rstrip('/')}"


def origin(url: str) -> str:
    """Scheme, host and port of an endpoint, in one spelling: ``https://api.openai.com:443``.

    Raises:
        ValueError: it is not a usable endpoint.
    """
    scheme, host, port, _ = _split(url)
    return f"{scheme}://{host}:{port}"


def _split(url: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("Not a valid URL: check the host and the port.") from None
    scheme, netloc = parts.scheme.lower(), parts.netloc.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError("Must start with https:// or http://.")
    if "@" in parts.netloc:
        raise ValueError("Must not hold a user name or password: enter the key in its own field.")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("Must not hold a query (?…) or a fragment (#…).")
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host) or ".." in host or not re.fullmatch(f"{re.escape(host)}(:[0-9]*)?", netloc):
        raise ValueError("Must name a host, such as https://models.example.com.")
    if port == 0:
        raise ValueError("Port 0 cannot be called.")
    return scheme, host, port or _DEFAULT_PORTS[scheme], parts.path
