"""Startup checks of the sign-in: valid settings, exactly one OpenID provider, and a folder for the passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from registry import Settings
from registry.actors import PEOPLE
from registry.errors import SettingsError
from registry.keys.passes import Passes
from streamlit.errors import StreamlitSecretNotFoundError

from pages.ui.signin.doors import OWN_NAMES, allowed_hosts, is_loopback

DATA = Path(__file__).parents[3] / ".data"
"""The dashboard's own files, unless REGISTRY_DATA_DIR names another folder."""
DISCOVERY = "/.well-known/openid-configuration"
MIN_COOKIE_SECRET = 32  # characters


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID provider: its name in the secrets, None if it has none, and the issuer of its tokens."""

    name: str | None
    issuer: str


def passes(settings: Settings) -> Passes:
    """The passes of this dashboard."""
    return Passes(settings.data_dir or DATA)


def provider() -> Provider:
    """The one provider in Streamlit's secrets.

    Raises:
        SettingsError: there is none, or more than one.
    """
    auth = _secrets()
    sections = {name: part for name, part in auth.items() if hasattr(part, "get") and "server_metadata_url" in part}
    if "server_metadata_url" in auth:
        sections = {**sections, None: auth}
    if len(sections) != 1:
        raise SettingsError(
            "REGISTRY_AUTH=oidc needs exactly one provider, with client_id, client_secret and server_metadata_url, in "
            f"the [auth] section of .streamlit/secrets.toml; there are {len(sections)}."
        )
    ((name, section),) = sections.items()
    address = str(section["server_metadata_url"])
    if not address.endswith(DISCOVERY):
        raise SettingsError(f"server_metadata_url in .streamlit/secrets.toml must end in {DISCOVERY}.")
    return Provider(name, address.removesuffix(DISCOVERY))


def check(settings: Settings) -> None:
    """Refuse settings that the server must not use.

    Raises:
        SettingsError: no one could sign in, or anyone could.
    """
    if settings.auth == "local":
        address = st.get_option("server.address")
        if address != "localhost" and not is_loopback(address or ""):
            raise SettingsError(
                "With REGISTRY_AUTH=local the dashboard serves only its own machine, and server.address is "
                f"{address or 'not set, which means every address'}. Set it to 127.0.0.1, or set "
                "REGISTRY_AUTH to oidc or proxy."
            )
        return
    if not set(settings.roles.values()) & set(PEOPLE):
        raise SettingsError(
            "No group has a role, so no one could sign in. Set REGISTRY_ROLES, for example to "
            "registry-admins=admin,data-team=auditor,staff=viewer."
        )
    if st.get_option("server.trustedUserHeaders"):
        raise SettingsError(
            "server.trustedUserHeaders lets a client claim any identity. Remove it from Streamlit's settings."
        )
    if settings.auth == "proxy" and settings.proxy_secret is None:
        raise SettingsError(
            "REGISTRY_AUTH=proxy needs REGISTRY_PROXY_SECRET, which the proxy sends to identify itself."
        )
    if settings.auth == "oidc":
        _check_oidc(settings)


def _check_oidc(settings: Settings) -> None:
    provider()
    auth = _secrets()
    if len(str(auth.get("cookie_secret", ""))) < MIN_COOKIE_SECRET:
        raise SettingsError(
            f"cookie_secret in the [auth] section of .streamlit/secrets.toml must have at least {MIN_COOKIE_SECRET} "
            "characters, generated at random: anyone who guesses it can sign in as any user."
        )
    host = urlsplit(str(auth.get("redirect_uri", ""))).hostname
    if host not in allowed_hosts(settings):
        raise SettingsError(
            "redirect_uri in the [auth] section of .streamlit/secrets.toml must be the dashboard's own address with "
            f"/oauth2callback, its host one of {', '.join(OWN_NAMES)} or of REGISTRY_PUBLIC_HOSTS."
        )


def _secrets() -> dict[Any, Any]:
    try:
        return dict(st.secrets.get("auth", {}))
    except StreamlitSecretNotFoundError:
        return {}
