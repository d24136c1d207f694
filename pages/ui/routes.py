"""The ways from page to page.

All of them go through here: each says what the address of the next page holds, so that nothing of the page before is
left in it, and the list of models is found as it was left.
"""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from pages.ui import filters
from pages.ui.sitemap import MODELS, PAGES, Page


def go(page: Page, **query: str) -> NoReturn:
    """Leave for a page whose address is to hold this query."""
    st.switch_page(page.script, query_params=query)


def back_to_models() -> NoReturn:
    """Leave a page for the list of models, which then puts its own filters into the address.

    The query stays as it is until then: Streamlit would note a shorter one in the browser's history as an address of
    the page that is left, and Back would lead there.
    """
    st.switch_page(MODELS.script, query_params=st.query_params.to_dict())


def link_to_models(label: str = "All models") -> None:
    """Draw a link to the list of models as it was left."""
    st.page_link(
        MODELS.script, label=label, icon=":material/arrow_back:", query_params=filters.remembered_address(MODELS)
    )


def leave_others(here: Page | None) -> None:
    """Forget what the pages but this one keep in the session only while they are open."""
    left = tuple(key for page in PAGES if page is not here for key in (*page.keeps, filters.open_key(page)))
    for key in [key for key in st.session_state if str(key).startswith(left)]:
        del st.session_state[key]
