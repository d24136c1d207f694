"""What every page holds: the registry, acting for whoever is signed in."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from registry import Actor, Registry, Settings
from registry.errors import RegistryError
from registry.records import KeyStatus

DATA = Path(__file__).parents[2] / ".data"

LOCAL_ADMINISTRATOR = Actor("Local administrator", role="admin", via="local")


def current_actor() -> Actor:
    """Who is signed in. Without a sign-in, that is whoever sits at this machine."""
    return LOCAL_ADMINISTRATOR


def registry() -> Registry:
    """The registry, acting for whoever is signed in.

    Raises:
        RegistryError: it cannot be reached, or a setting is unusable.
    """
    return _connected().acting_as(current_actor())


@st.cache_resource(show_spinner=False)
def key_status() -> KeyStatus:
    """Whether the encryption keys fit the store; asked once, since neither changes while the server runs."""
    return registry().key_status()


@st.cache_resource(show_spinner=False)
def _connected() -> Registry:
    settings = Settings.for_dashboard(DATA)
    return Registry.connect(settings)


def warm_up() -> None:
    """Load what the first page needs. What fails here is told by the page itself."""
    import pandas  # noqa: F401, ICN001  # loaded for its effect

    try:
        registry()
    except RegistryError:
        return
