"""The list of models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import streamlit as st
from registry import ModelFilter, Registry, Role
from registry.catalog.providers import PROVIDERS
from registry.records import ModelType, Status

from pages.ui import routes, tables
from pages.ui.feedback import plain
from pages.ui.filters import Filters, one_of, some_text
from pages.ui.listing import bar, batch, dialogs, intent
from pages.ui.listing.table import models_table, offered_table
from pages.ui.session import require
from pages.ui.sitemap import EDIT, MODELS
from pages.ui.words import STATUSES, TYPES, counted

ALL = "all"


def main() -> None:
    """Draw the page."""
    reg = require(MODELS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Models", anchor=False, width="content")
        if _role(reg) is Role.ADMIN and st.button("Add model", type="primary", icon=":material/add:"):
            routes.go(EDIT)
    counts = reg.models.counts()
    if not counts:
        _empty(reg)
        return
    _cards(reg, counts)
    where = _filters(reg)
    if batch.is_open() and _role(reg) is Role.ADMIN:
        batch.draw()
        return
    rows = reg.models.overview(where)
    if not rows:
        st.info("No model matches. Change the filters or the search.", icon=":material/filter_alt_off:")
        if _role(reg) is Role.ADMIN:
            dialogs.show(reg)  # an action from before the list became empty
        return
    total = counted(sum(counts.values()), "model")
    count = total if len(rows) == sum(counts.values()) else f"{len(rows):,} of {total}"
    if _role(reg) is Role.VIEWER:
        st.caption(f"{count}.")
        offered_table(rows)
        return
    may_change = _role(reg) is Role.ADMIN
    above = tables.bar()
    selected = models_table(rows, intent.start if may_change else None, with_proxy=reg.proxy.is_configured)
    with above:
        bar.draw(reg, selected, count, may_change=may_change)
    if may_change:
        dialogs.show(reg)


def _role(reg: Registry) -> Role | None:
    return reg.actor.role if reg.actor else None


def _empty(reg: Registry) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.header("No models yet", anchor=False, text_alignment="center")
        if _role(reg) is not Role.ADMIN:
            st.markdown("Models are listed here as soon as an administrator has added them.", text_alignment="center")
            return
        st.markdown(
            "Register the embedding, generation and NER models that your knowledge bases may use. "
            "Have the provider's key at hand, or the address of your own server.",
            text_alignment="center",
        )
        if st.button("Add the first model", type="primary", icon=":material/add:", key="models_first"):
            routes.go(EDIT)


def _cards(reg: Registry, counts: Mapping[tuple[ModelType, Status], int]) -> None:
    """Draw per type the number of models and the default."""
    per_type: Counter[ModelType] = Counter()
    for (kind, _), number in counts.items():
        per_type[kind] += number
    defaults = {row.type: row for row in reg.models.defaults()}
    for column, kind in zip(st.columns(len(TYPES)), TYPES, strict=True):
        active = "" if _role(reg) is Role.VIEWER else f", {counts.get((kind, Status.ACTIVE), 0):,} active"
        with column.container(border=True, height="stretch", gap="xsmall"):
            st.markdown(f"**{TYPES[kind]}** :gray[· {counted(per_type[kind], 'model')}{active}]")
            if kind in defaults:
                st.markdown(f"★ {plain(defaults[kind].name)}", wrap=False)
            else:
                st.markdown(":orange[☆ No default chosen]")


def _filters(reg: Registry) -> ModelFilter:
    """Draw the filters. The address keeps them, so a filtered list can be shared."""
    sees_all = _role(reg) is not Role.VIEWER  # viewers see active models only
    providers = {id: provider.label for id, provider in PROVIDERS.items()}
    readers = {"type": one_of(TYPES, ALL), "provider": one_of(providers), "search": some_text}
    filters = Filters(MODELS, **readers, **({"status": one_of(STATUSES)} if sees_all else {}))
    filters.begin()
    with st.container(horizontal=True, vertical_alignment="top"):
        st.radio(
            "Type",
            [ALL, *TYPES],
            format_func=lambda kind: TYPES.get(kind, "All"),
            horizontal=True,
            key=filters.key("type"),
            width="content",
        )
        filters.choose("provider", "Provider", providers, any="All providers", width=200)
        if sees_all:
            filters.choose("status", "Status", STATUSES, any="Any status", width=160)
        filters.search("Name, model ID or provider")
    return ModelFilter(**filters.end())


main()
