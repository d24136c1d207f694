"""The registry that all pages use, acting for the signed-in user."""

from __future__ import annotations

import gc
from contextlib import suppress

import streamlit as st
from registry import Actor, Registry, Role, Settings
from registry.errors import RegistryError
from registry.keys.records import KeyStatus

from pages.ui.signin import current, identity, view
from pages.ui.signin.identity import SignInError
from pages.ui.signin.startup import DATA
from pages.ui.sitemap import Page

STARTUP = Actor("Dashboard", Role.ADMIN, via="startup")


def registry() -> Registry:
    """The registry, acting for the user who is signed in now.

    Raises:
        RegistryError: no user is, the registry cannot be reached, or a setting is invalid.
    """
    actor = current.actor()
    return _connected().acting_as(actor)


def require(page: Page) -> Registry:
    """The registry, for a user whose role can open this page; every page calls it first. For other users it shows why
    not and ends the page.

    Raises:
        RegistryError: the registry cannot be reached, or a setting is invalid.
    """
    try:
        reg = registry()
    except SignInError as error:
        view.draw(error)
        st.stop()
    if reg.actor is None or not identity.may(reg.actor, page.role):
        view.draw_forbidden(page.role)
        st.stop()
    return reg


@st.cache_resource(show_spinner=False)
def key_status() -> KeyStatus:
    """Whether the encryption keys match the store; cached, since neither changes while the server runs."""
    return registry().key_status()


@st.cache_resource(show_spinner=False)
def _connected() -> Registry:
    return Registry.connect(Settings.for_dashboard(DATA))


def warm_up() -> None:
    """Load what the first page needs, then sync the proxy. The pages show any errors."""
    import pandas  # noqa: F401, ICN001  # imported to load it

    with suppress(RegistryError):
        reg = _connected()
        if reg.proxy.is_configured:
            reg.proxy.sync(actor=STARTUP)
    gc.collect()
    gc.freeze()  # Streamlit collects garbage after each script run: exclude objects that live as long as the server
