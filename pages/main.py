"""Runs first on every rerun, whatever page is asked for: the sign-in, then the frame around the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import streamlit as st
from registry import Actor, Role, Settings
from registry.errors import RegistryError
from streamlit.navigation.page import StreamlitPage

from pages.ui import feedback, filters, session
from pages.ui.form import draft
from pages.ui.signin import view
from pages.ui.signin.identity import SignInError, may

HERE = Path(__file__).parent
ICON = HERE / "ui" / "icon.svg"
PATHS = ("models", "edit", "audit", "proxy")
SIDEBAR_WIDTH = 220
# what a page keeps in the session while it is open: who comes back to it begins anew
LEFT_BEHIND = {"audit": ["audit_trail"], "proxy": ["proxy_report", "proxy_adopting"]}
LOGO = HERE / "ui" / "logo.svg"


def main() -> None:
    """Draw the frame, then the page; signed out, how to sign in and nothing else."""
    st.set_page_config(page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    try:
        actor = session.current_actor()
    except SignInError as error:
        _signed_out(error)
        return
    except RegistryError as error:
        st.title("Nobody can sign in")
        _unavailable(error)
        return
    page = st.navigation(_pages(actor))
    st.set_page_config(page_title=f"{page.title} · LLM Model Registry")
    st.logo(LOGO, size="large", icon_image=ICON)
    with st.sidebar:
        view.draw_identity(actor)
        st.button("Sign out", type="tertiary", icon=":material/logout:", on_click=session.sign_out)
    try:
        session.registry()
        if may(actor, Role.AUDITOR):
            _key_banner()
    except RegistryError as error:
        st.title("The registry cannot be opened")
        _unavailable(error)
        return
    path = page.url_path or PATHS[0]
    _leave_others(path)
    try:
        page.run()
    except RegistryError as error:
        _unavailable(error)
    filters.show(path)
    feedback.show_flashes()  # last: a run that is given up for another page's would take them along, unseen


def _leave_others(path: str) -> None:
    """Forget what the pages but this one keep in the session only while they are open."""
    if path != "edit":
        draft.discard()
    for other in PATHS:
        if other != path:
            filters.leave(other)
            for key in LEFT_BEHIND.get(other, ()):
                st.session_state.pop(key, None)


def _signed_out(error: SignInError) -> None:
    """The same at every path, which stays in the address until it can be answered."""
    draft.discard()
    st.set_page_config(page_title="Sign in · LLM Model Registry")
    paths = ("start", *PATHS)
    st.navigation(
        [st.Page(lambda: None, title="Sign in", url_path=path, default=path == paths[0]) for path in paths],
        position="hidden",
    )
    view.draw(error, Settings.from_env().auth, session.sign_out)


def _pages(actor: Actor) -> list[StreamlitPage]:
    """All pages for everybody, so that each itself says whom it is for; in the menu only what the role may see. The
    list of models is found at ``/`` and, as people type it, at ``/models``."""
    reading: Literal["visible", "hidden"] = "visible" if may(actor, Role.AUDITOR) else "hidden"
    return [
        st.Page(HERE / "models.py", title="Models", icon=":material/hub:", url_path="start", default=True),
        st.Page(HERE / "models.py", title="Models", icon=":material/hub:", url_path="models", visibility="hidden"),
        st.Page(HERE / "edit.py", title="Model", icon=":material/edit:", url_path="edit", visibility="hidden"),
        st.Page(HERE / "audit.py", title="Audit log", icon=":material/history:", url_path="audit", visibility=reading),
        st.Page(HERE / "proxy.py", title="Proxy", icon=":material/cloud_sync:", url_path="proxy", visibility=reading),
    ]


def _unavailable(error: RegistryError) -> None:
    st.error(feedback.plain(error.message), icon=":material/error:")
    st.button("Try again", icon=":material/refresh:")


def _key_banner() -> None:
    status = session.key_status()
    if not status.ok:
        st.warning(feedback.plain(status.message), icon=":material/key_off:")


main()
