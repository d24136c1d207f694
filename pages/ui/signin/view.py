"""Signing in as people see it, and whether this server's settings allow it at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from registry import Actor, Role, Settings
from registry.actors import PEOPLE
from registry.errors import SettingsError
from registry.keys.passes import LINK_MINUTES
from streamlit.errors import StreamlitPageNotFoundError, StreamlitSecretNotFoundError

from pages.ui import routes
from pages.ui.feedback import plain
from pages.ui.signin.doors import OWN_NAMES, allowed_hosts, is_loopback
from pages.ui.signin.identity import NoRoleError, SignInError

DISCOVERY = "/.well-known/openid-configuration"
MIN_COOKIE_SECRET = 32  # characters
VIA = {"local": "link from the console", "oidc": "company account", "proxy": "authenticating proxy"}


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID provider: its name in the secrets, None for the one without, and what its tokens name as issuer."""

    name: str | None
    issuer: str


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
    """Whether the server may start with these settings.

    Raises:
        SettingsError: nobody could sign in, or anybody could.
    """
    if settings.auth == "local":
        address = st.get_option("server.address")
        if address != "localhost" and not is_loopback(address or ""):
            raise SettingsError(
                "With REGISTRY_AUTH=local the dashboard serves only its own machine, and server.address is "
                f"{address or 'not set, which means every address'}. Set it to 127.0.0.1, or have people sign in by "
                "oidc or proxy."
            )
        return
    if not set(settings.roles.values()) & set(PEOPLE):
        raise SettingsError(
            "No group has a role, so nobody could sign in. Set REGISTRY_ROLES, for example to "
            "registry-admins=admin,data-team=auditor,staff=viewer."
        )
    if st.get_option("server.trustedUserHeaders"):
        raise SettingsError(
            "server.trustedUserHeaders lets anybody say who they are. Take it out of Streamlit's settings."
        )
    if settings.auth == "proxy" and settings.proxy_secret is None:
        raise SettingsError("REGISTRY_AUTH=proxy needs REGISTRY_PROXY_SECRET: what the proxy proves itself with.")
    if settings.auth == "oidc":
        _check_oidc(settings)


def draw(error: SignInError, auth: str, sign_out: Callable[[], None]) -> None:
    """The page of somebody for whom there is nothing to see. ``sign_out`` ends the sign-in of one who has no role."""
    st.title(plain(error.title), anchor=False)
    st.markdown(plain(error.message))
    if auth == "local":
        st.markdown(
            "Open the link that the dashboard printed on its console when it started. Signed in already? The dashboard "
            f"is at the address that the link begins with. A link works once, for {LINK_MINUTES} minutes. For a new "
            "one, run this in the dashboard's folder:"
        )
        st.code("python -m registry link", language=None)
    elif auth == "oidc" and not isinstance(error, NoRoleError):
        st.button("Sign in", type="primary", icon=":material/login:", on_click=_sign_in)
    else:
        st.button("Sign out", icon=":material/logout:", on_click=sign_out)


def draw_forbidden(role: Role) -> None:
    """The page of somebody whose role is too low for it."""
    st.title("Not for your role", anchor=False)
    st.error(f"This page needs the role {role}.", icon=":material/lock:")
    with suppress(StreamlitPageNotFoundError):  # where a page's own script is run, it is the only page
        routes.link_to_models()


def draw_identity(actor: Actor) -> None:
    """Who is signed in, as what and how."""
    st.caption(
        f":material/person: {plain(actor.name)}  \n:material/shield: {actor.role}  \n:material/key: {VIA[actor.via]}"
    )


def _sign_in() -> None:
    st.login(provider().name)


def _check_oidc(settings: Settings) -> None:
    provider()
    auth = _secrets()
    if len(str(auth.get("cookie_secret", ""))) < MIN_COOKIE_SECRET:
        raise SettingsError(
            f"cookie_secret in the [auth] section of .streamlit/secrets.toml must have at least {MIN_COOKIE_SECRET} "
            "characters, made at random: whoever guesses it can sign in as anybody."
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
