"""The sign-in that a request comes with.

It is read again on every call from what the browser sent, and never kept in the session: a tab that was left open must
not go on after its sign-in has ended.
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


def sign_in() -> SignIn:
    """Who is signed in, and how.

    Raises:
        SignInError: nobody whom the registry could act for.
        SettingsError: a setting is unusable.
    """
    settings = Settings.from_env()
    found = _sign_in(settings, evidence(settings.auth))
    if settings.auth == "proxy":
        # what the proxy said when this tab was opened: whom it let in since, or did not, it says to a new one
        opened = st.session_state.setdefault(_OPENED, time.time())
        if time.time() - opened > settings.sign_in_hours * 3600:
            raise SignedOutError("Your sign-in has expired", "Load the page again.")
    return found


def actor() -> Actor:
    """Who is signed in; raises what `sign_in` does."""
    return sign_in().actor


def is_signed_in(settings: Settings, connection: HTTPConnection) -> bool:
    """Whether somebody who is signed in opens this WebSocket, by what the browser sends along. Every run of a page
    judges that again."""
    if settings.auth == "proxy":
        return True  # nobody else is let in
    try:
        _sign_in(settings, connection.cookies if settings.auth == "local" else _claims(connection))
    except RegistryError:
        return False
    return True


def sign_out() -> None:
    """End the sign-in, in every tab and every copy of its cookie, and lead the browser to where that is deleted."""
    settings = Settings.from_env()
    spent = passes(settings).spent
    with suppress(SignInError, SettingsError):  # already ended; or no folder to remember it in, and the cookie goes
        if settings.auth == "local":
            spent.add(sign_in().id)
        elif settings.auth == "oidc":
            spent.add(identity.claimed_id(evidence(settings.auth)))  # also of somebody who has no role, so far
    st.logout()  # and the authenticating proxy knows by itself who is still signed in


def evidence(auth: str) -> Mapping[str, Any]:
    """What the browser, or the proxy before us, sent to show who it is: cookies, claims or headers."""
    if auth == "local":
        return st.context.cookies.to_dict()
    if auth == "oidc":
        return st.user.to_dict()
    return {name: st.context.headers.get_all(name) for name in st.context.headers}


def _sign_in(settings: Settings, seen: Mapping[str, Any]) -> SignIn:
    """What this evidence proves; raises what `sign_in` does."""
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
    """What Streamlit's cookie says of somebody, as `st.user` will."""
    cookie = starlette_websocket._get_signed_cookie_with_chunks(connection.cookies, USER_COOKIE_NAME)
    origin = connection.headers.get("origin", "")
    return starlette_websocket._parse_decoded_user_cookie(cookie, origin) if cookie else {}
