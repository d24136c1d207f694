"""Runs first on every rerun, whatever page is asked for: the sign-in, then the frame around the pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from registry import Actor, Role, Settings
from registry.errors import RegistryError
from streamlit.navigation.page import StreamlitPage

from pages.ui import feedback, filters, routes, session
from pages.ui.signin import current, view
from pages.ui.signin.identity import SignInError, may
from pages.ui.sitemap import PAGES

HERE = Path(__file__).parent
ICON = HERE / "ui" / "icon.svg"
LOGO = HERE / "ui" / "logo.svg"
SIDEBAR_WIDTH = 220


def main() -> None:
    """Draw the frame, then the page; signed out, how to sign in and nothing else."""
    st.set_page_config(page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    try:
        actor = current.actor()
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
    routes.leave_others(here)
    try:
        page.run()
    except RegistryError as error:
        _unavailable(error)
    if here is not None:
        filters.show(here)
    feedback.show_flashes()  # last: a run that is given up for another page's would take them along, unseen


def _signed_out(error: SignInError) -> None:
    """The same at every path, which stays in the address until it can be answered."""
    routes.leave_others(None)
    st.set_page_config(page_title="Sign in · LLM Model Registry")
    paths = ("", *(page.path for page in PAGES))
    st.navigation(
        [st.Page(lambda: None, title="Sign in", url_path=path or "start", default=not path) for path in paths],
        position="hidden",
    )
    view.draw(error, Settings.from_env().auth, current.sign_out)


def _pages(actor: Actor) -> list[StreamlitPage]:
    """All pages for every user, so that each itself says whom it is for; in the menu only what the role can open.
    ``/``, which has no page of its own, leads to the list of models."""
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
