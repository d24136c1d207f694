"""The dashboard as one ASGI app. Start it with ``streamlit run app.py``."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from pages.ui import session
from pages.ui.signin import current, doors, headers, sockets, startup
from registry import Actor, Settings
from registry.errors import SettingsError

try:
    settings = Settings.from_env()
    startup.check(settings)
    passes = startup.passes(settings)
    if settings.auth != "proxy":  # the authenticating proxy ends sign-ins itself
        passes.spent.prepare()
except SettingsError as error:
    raise SystemExit(f"The dashboard does not start. {error.message}") from None


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Warm up while the server starts: the first page then finds its libraries loaded and its store open."""
    config.set_option("server.allowedHosts", doors.allowed_hosts(settings))
    sockets.set_page_bytes()
    threading.Thread(target=session.warm_up, name="warm-up", daemon=True).start()
    if settings.auth == "local":
        administrator = Actor("Local administrator", role="admin", via="local")
        print(f"\n  Sign in: {passes.url(administrator, st.get_option('server.port'))}\n", flush=True)
    yield


app = st.App(
    Path(__file__).parent / "pages" / "main.py",
    lifespan=lifespan,
    routes=[*doors.routes(settings, passes), sockets.left_route()],
    middleware=[
        Middleware(doors.Doors, settings=settings),
        Middleware(headers.Bound),
        Middleware(
            sockets.SignedOut,
            is_signed_in=partial(current.is_signed_in, settings),
            most=sockets.most_signed_out(sockets.raise_open_files()),
        ),
    ],
)
headers.bound()
sockets.bound()
