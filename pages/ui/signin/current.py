"""The sign-in of a request.

Every call reads it again from what the browser sent; the session never keeps it: a tab that was left open must not
work after its sign-in has ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import streamlit as st
from registry import Actor, Settings
from registry.errors import RegistryError, SettingsError
from starlette.requests import HTTPConnection
from streamlit.web.server.starlette import starlette_websocket
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from pages.ui.signin import identity, startup
from pages.ui.signin.identity import SignedOutError, SignIn, SignInError
from pages.ui.signin.startup import passes

_OPENED = "opened_at"


def signed_in() -> SignIn:
    """Who is signed in, and how.

    Raises:
        SignInError: there is no usable sign-in.
        SettingsError: a setting is invalid.
    """
    settings = Settings.from_env()
    found = _sign_in(settings, evidence(settings.auth))
    if settings.auth == "proxy":
        # the proxy's headers date from when this tab was opened; only a new tab gets current ones
        opened = st.session_state.setdefault(_OPENED, time.time())
        if time.time() - opened > settings.sign_in_hours * 3600:
            raise SignedOutError("Your sign-in has expired", "Load the page again.")
    return found


def actor() -> Actor:
    """Who is signed in; raises as `signed_in`."""
    return signed_in().actor


def is_signed_in(settings: Settings, connection: HTTPConnection) -> bool:
    """Whether a signed-in user opens this WebSocket, by the browser's cookies. Every run of a page checks that
    again."""
    if settings.auth == "proxy":
        return True  # others are refused earlier, by `Doors`
    try:
        _sign_in(settings, connection.cookies if settings.auth == "local" else _claims(connection))
    except RegistryError:
        return False
    return True


def sign_out() -> None:
    """End the sign-in, in every tab and copy of its cookie, and redirect to where the cookie is deleted."""
    settings = Settings.from_env()
    spent = passes(settings).spent
    # it has ended already; or no folder can store this, and only the cookie is deleted
    with suppress(SignInError, SettingsError):
        if settings.auth == "local":
            spent.add(signed_in().id)
        elif settings.auth == "oidc":
            spent.add(identity.claimed_id(evidence(settings.auth)))  # also of a user without a role
    st.logout()  # the authenticating proxy ends its sign-ins itself


def evidence(auth: str) -> Mapping[str, Any]:
    """The evidence that the browser or the proxy sent: cookies, claims or headers."""
    if auth == "local":
        return st.context.cookies.to_dict()
    if auth == "oidc":
        return st.user.to_dict()
    return {name: st.context.headers.get_all(name) for name in st.context.headers}


def _sign_in(settings: Settings, seen: Mapping[str, Any]) -> SignIn:
    """The sign-in of this evidence; raises as `signed_in`."""
    ours = passes(settings)
    if settings.auth == "local":
        found = identity.from_cookies(settings, ours, seen)
    elif settings.auth == "oidc":
        found = identity.from_claims(settings, seen, startup.provider().issuer, time.time())
    else:
        found = identity.from_headers(settings, seen)
    if found.id in ours.spent:
        raise SignedOutError("You are signed out", "Sign in to go on.")
    return found


def _claims(connection: HTTPConnection) -> Mapping[str, Any]:
    """The claims in Streamlit's cookie, as `st.user` has them."""
    cookie = starlette_websocket._get_signed_cookie_with_chunks(connection.cookies, USER_COOKIE_NAME)
    origin = connection.headers.get("origin", "")
    return starlette_websocket._parse_decoded_user_cookie(cookie, origin) if cookie else {}
