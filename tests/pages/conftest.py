"""The dashboard on a store of the test's own, which reaches it as in production: by the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import streamlit as st

from pages.ui import session
from registry.errors import RegistryError
from tests.factories import KEY_A
from tests.pages.driver import Dashboard


@pytest.fixture(autouse=True)
def _main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves the page as the process's main module, which processes that later tests start would run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Start the dashboard's server anew with these variables."""

    def start(**variables: str) -> None:
        for name in ("REGISTRY_DATABASE_URL", "REGISTRY_FERNET_KEYS", "LITELLM_PROXY_URL"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        st.cache_resource.clear()

    yield start
    with suppress(RegistryError):
        session._connected().close()
    st.cache_resource.clear()


@pytest.fixture
def dashboard(store_url: str, environment: Callable[..., None]) -> Dashboard:
    """A visitor of the dashboard, on the store of `reg`."""
    environment(REGISTRY_DATABASE_URL=store_url, REGISTRY_FERNET_KEYS=KEY_A)
    return Dashboard()


@pytest.fixture
def form(sqlite_url: str, environment: Callable[..., None]) -> Dashboard:
    """A visitor of the form to add a model, where it does not matter which store is behind it."""
    environment(REGISTRY_DATABASE_URL=sqlite_url, REGISTRY_FERNET_KEYS=KEY_A)
    return Dashboard().open("edit")
