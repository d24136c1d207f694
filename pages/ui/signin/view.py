"""The sign-in page, and the signed-in user."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st
from registry import Actor, Role, Settings
from registry.keys.passes import LINK_MINUTES
from streamlit.errors import StreamlitPageNotFoundError

from pages.ui import routes
from pages.ui.feedback import plain
from pages.ui.signin import current, startup
from pages.ui.signin.identity import NoRoleError, SignInError

VIA = {"local": "link from the console", "oidc": "company account", "proxy": "authenticating proxy"}


def draw(error: SignInError) -> None:
    """Draw the page without a usable sign-in."""
    auth = Settings.from_env().auth
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
        st.button("Sign out", icon=":material/logout:", on_click=current.sign_out)


def draw_forbidden(role: Role) -> None:
    """Draw the page for a role that is too low."""
    st.title("Not for your role", anchor=False)
    st.error(f"This page needs the role {role}.", icon=":material/lock:")
    with suppress(StreamlitPageNotFoundError):  # where a page's script runs alone, there is no other page
        routes.link_to_models()


def draw_identity(actor: Actor) -> None:
    """Draw the user's name and role."""
    st.caption(
        f":material/person: {plain(actor.name)}  \n:material/shield: {actor.role}  \n:material/key: {VIA[actor.via]}"
    )


def _sign_in() -> None:
    st.login(startup.provider().name)
