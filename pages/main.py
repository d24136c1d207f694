"""Runs first on every rerun, whatever page is asked for: the frame around the pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from registry.errors import RegistryError

from pages.ui import feedback, form
from pages.ui.session import current_actor, key_status, registry

HERE = Path(__file__).parent
ICON = HERE / "ui" / "icon.svg"
SIDEBAR_WIDTH = 220
LOGO = HERE / "ui" / "logo.svg"


def main() -> None:
    """Draw the frame, then the page."""
    st.set_page_config(page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    pages = [
        st.Page(HERE / "models.py", title="Models", icon=":material/hub:", url_path="models", default=True),
        st.Page(HERE / "edit.py", title="Model", icon=":material/edit:", url_path="edit", visibility="hidden"),
        st.Page(HERE / "audit.py", title="Audit log", icon=":material/history:", url_path="audit"),
    ]
    page = st.navigation(pages)
    st.set_page_config(page_title=f"{page.title} · LLM Model Registry")
    st.logo(LOGO, size="large", icon_image=ICON)
    _identity()
    try:
        registry()
        _key_banner()
    except RegistryError as error:
        st.title("The registry cannot be opened")
        _unavailable(error)
        return
    if page.url_path != "edit":
        form.discard()
    try:
        page.run()
    except RegistryError as error:
        _unavailable(error)
    feedback.show_flashes()  # last: a run that is given up for another page's would take them along, unseen


def _identity() -> None:
    actor = current_actor()
    with st.sidebar:
        st.caption(f":material/person: {feedback.plain(actor.name)}  \n:material/shield: {actor.role}")


def _unavailable(error: RegistryError) -> None:
    st.error(feedback.plain(error.message), icon=":material/error:")
    st.button("Try again", icon=":material/refresh:")


def _key_banner() -> None:
    status = key_status()
    if not status.ok:
        st.warning(feedback.plain(status.message), icon=":material/key_off:")


main()
