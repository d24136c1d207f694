"""The dashboard on a store of the test's own, which reaches it as in production: by the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import streamlit as st

from pages.ui import session
from pages.ui.signin import current, startup
from registry import Actor, Settings
from registry.errors import RegistryError
from tests.support.driver import Dashboard
from tests.support.factories import KEY_A, LOCAL_ADMINISTRATOR
from tests.support.fake_proxy import FakeProxy


@pytest.fixture(autouse=True)
def _main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves the page as the process's main module, which processes that later tests start would run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(params=["sqlite"])
def store_url(request: pytest.FixtureRequest) -> str:
    """One store is enough for what the pages make of the library, which is tested on both; `test_failures` and
    `test_statements` look at what differs, and the journeys of the browser tests go through both."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Actor | None], None]:
    """Make every visitor come with the cookie of this actor from now on, or with none."""

    def sign_in(actor: Actor | None) -> None:
        passes = startup.passes(Settings.from_env())
        cookies = {passes.cookie_name: passes.issue("session", actor)} if actor else {}
        monkeypatch.setattr(current, "evidence", lambda auth: cookies)

    return sign_in


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sign_in: Callable[[Actor | None], None]
) -> Iterator[Callable[..., None]]:
    """Restart the dashboard's server with these variables; its administrator is signed in."""
    monkeypatch.setenv("REGISTRY_DATA_DIR", str(tmp_path / "data"))
    sign_in(LOCAL_ADMINISTRATOR)

    def start(**variables: str) -> None:
        for name in ("REGISTRY_DATABASE_URL", "REGISTRY_FERNET_KEYS", "LITELLM_PROXY_URL", "LITELLM_MASTER_KEY"):
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
def proxied(sqlite_url: str, fake_proxy: FakeProxy, environment: Callable[..., None]) -> Dashboard:
    """A visitor of a dashboard with a LiteLLM proxy, where it does not matter which store is behind it."""
    environment(
        REGISTRY_DATABASE_URL=sqlite_url,
        REGISTRY_FERNET_KEYS=KEY_A,
        LITELLM_PROXY_URL=fake_proxy.url,
        LITELLM_MASTER_KEY=fake_proxy.master_key,
    )
    return Dashboard()


@pytest.fixture
def form(sqlite_url: str, environment: Callable[..., None]) -> Dashboard:
    """A visitor of the form to add a model, where it does not matter which store is behind it."""
    environment(REGISTRY_DATABASE_URL=sqlite_url, REGISTRY_FERNET_KEYS=KEY_A)
    return Dashboard().open("edit")
