"""Navigation between pages.

Every link goes through here and sets the query of the next page, so that nothing of the previous page is left in the
address, and the list of models keeps its filters.
"""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from pages.ui import filters
from pages.ui.sitemap import MODELS, Page


def go(page: Page, **query: str) -> NoReturn:
    """Go to a page, with this query in its address."""
    st.switch_page(page.script, query_params=query)


def back_to_models() -> NoReturn:
    """Go to the list of models, which then puts its own filters into the address.

    The query stays unchanged until then: Streamlit would record a shorter one in the browser's history under the page
    being left, and Back would lead there.
    """
    st.switch_page(MODELS.script, query_params=st.query_params.to_dict())


def link_to_models(label: str = "All models") -> None:
    """Draw a link to the filtered list of models."""
    st.page_link(
        MODELS.script, label=label, icon=":material/arrow_back:", query_params=filters.remembered_address(MODELS)
    )
