"""The entry script of every rerun: it checks the sign-in, then draws the frame and the requested page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from registry import Actor, Role
from registry.errors import RegistryError
from streamlit.navigation.page import StreamlitPage

from pages.ui import feedback, filters, routes, session
from pages.ui.form import draft
from pages.ui.signin import current, view
from pages.ui.signin.identity import SignInError, may
from pages.ui.sitemap import EDIT, PAGES, Page

HERE = Path(__file__).parent
ICON = HERE / "ui" / "icon.svg"
LOGO = HERE / "ui" / "logo.svg"
SIDEBAR_WIDTH = 220


def main() -> None:
    """Draw the frame and the page; for signed-out users only the sign-in page."""
    st.set_page_config(page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    try:
        actor = current.actor()
    except SignInError as error:
        _signed_out(error)
        return
    except RegistryError as error:
        st.title("Sign-in is not available")
        _unavailable(error)
        return
    page = st.navigation(_pages(actor))
    st.set_page_config(page_title=f"{page.title} · LLM Model Registry")
    st.logo(LOGO, size="large", icon_image=ICON)
    with st.sidebar:
        view.draw_identity(actor)
        st.button("Sign out", type="tertiary", icon=":material/logout:", on_click=current.sign_out)
    try:
        session.registry()
        if may(actor, Role.AUDITOR):
            _key_banner()
    except RegistryError as error:
        st.title("The registry cannot be opened")
        _unavailable(error)
        return
    _run(page)


def _run(page: StreamlitPage) -> None:
    here = next((known for known in PAGES if known.path == page.url_path), None)
    _leave_others(here)
    try:
        page.run()
    except RegistryError as error:
        _unavailable(error)
    if here is not None:
        filters.show(here)
    feedback.show_flashes()  # last: a run that ends in a page switch would discard them unseen


def _leave_others(here: Page | None) -> None:
    """Delete the session data that all pages but this one keep only while open."""
    if here is not EDIT:
        draft.discard()
    for page in PAGES:
        if page is not here:
            for key in (*page.keeps, filters.open_key(page)):
                st.session_state.pop(key, None)


def _signed_out(error: SignInError) -> None:
    """Draw the sign-in page at every path; the address keeps the path."""
    _leave_others(None)
    st.set_page_config(page_title="Sign in · LLM Model Registry")
    paths = ("", *(page.path for page in PAGES))
    st.navigation(
        [st.Page(lambda: None, title="Sign in", url_path=path or "start", default=not path) for path in paths],
        position="hidden",
    )
    view.draw(error)


def _pages(actor: Actor) -> list[StreamlitPage]:
    """All pages, for every user: a page itself refuses a role that is too low. The menu has only pages that the role
    can open. ``/`` redirects to the list of models."""
    return [
        st.Page(routes.back_to_models, title="Models", default=True, visibility="hidden"),
        *(
            st.Page(
                HERE / page.script,
                title=page.title,
                icon=f":material/{page.icon}:",
                url_path=page.path,
                visibility="visible" if page.in_menu and may(actor, page.role) else "hidden",
            )
            for page in PAGES
        ),
    ]


def _unavailable(error: RegistryError) -> None:
    st.error(feedback.plain(error.message), icon=":material/error:")
    st.button("Try again", icon=":material/refresh:")


def _key_banner() -> None:
    status = session.key_status()
    if not status.ok:
        st.warning(feedback.plain(status.message), icon=":material/key_off:")


main()
