"""The dashboard as one ASGI app. Start it with ``streamlit run app.py``."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages.ui.loopback import LoopbackOnly


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Warm up beside the server's start: the first page then finds its libraries loaded and its store open."""
    from pages.ui.session import warm_up

    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    yield


app = st.App(
    Path(__file__).parent / "pages" / "main.py",
    lifespan=lifespan,
    middleware=[Middleware(LoopbackOnly)],
)
