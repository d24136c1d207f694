"""The list of models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from registry import Registry, Role
from registry.plan import alias_of
from registry.providers import PROVIDERS
from registry.records import ModelSummary, ModelType, Status

from pages.ui import batch, dialogs
from pages.ui.actions import TEST, offered
from pages.ui.feedback import flash, plain, told
from pages.ui.session import require
from pages.ui.table import MENU_KEY, chosen_action, models_table, offered_table
from pages.ui.words import FAILS, IN_STEP, STATUSES, TYPES, WORKS, ago, counted, duration, follows

EDIT_PAGE = "edit.py"
ALL = "all"
_BAR = 40  # pixels: as high as a button


def main() -> None:
    """Draw the page."""
    reg = require(Role.VIEWER)
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.title("Models", anchor=False, width="content")
        if _role(reg) is Role.ADMIN and st.button("Add model", type="primary", icon=":material/add:"):
            st.switch_page(EDIT_PAGE)
    counts = reg.models.counts()
    if not counts:
        _empty(reg)
        return
    _cards(reg, counts)
    filters = _filters(reg)
    if batch.is_open() and _role(reg) is Role.ADMIN:
        batch.draw()
        return
    rows = reg.models.overview(**filters)
    if not rows:
        st.info("No model matches. Change the filters or the search.", icon=":material/filter_alt_off:")
        if _role(reg) is Role.ADMIN:
            dialogs.show(reg)  # what was asked for before the list became empty
        return
    total = counted(sum(counts.values()), "model")
    count = total if len(rows) == sum(counts.values()) else f"{len(rows):,} of {total}"
    if _role(reg) is Role.VIEWER:
        st.caption(f"{count}.")
        offered_table(rows)
        return
    may_change = _role(reg) is Role.ADMIN
    st.session_state["row_ids"] = [row.id for row in rows]
    bar = st.container()
    selected = models_table(rows, _remember_choice if may_change else None, with_proxy=reg.proxy.is_configured)
    with bar:
        _bar(reg, selected, count, may_change=may_change)
    if may_change:
        dialogs.show(reg)


def _role(reg: Registry) -> Role | None:
    return reg.actor.role if reg.actor else None


def _empty(reg: Registry) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.subheader("No models yet", anchor=False, text_alignment="center")
        if _role(reg) is not Role.ADMIN:
            st.markdown("Models are listed here as soon as an administrator has added them.", text_alignment="center")
            return
        st.markdown(
            "Register the embedding, generation and NER models that your knowledge bases may use. "
            "Have the provider's key at hand, or the address of your own server.",
            text_alignment="center",
        )
        if st.button("Add the first model", type="primary", icon=":material/add:", key="first"):
            st.switch_page(EDIT_PAGE)


def _cards(reg: Registry, counts: Mapping[tuple[ModelType, Status], int]) -> None:
    """Per type: how many there are, and which one is the default."""
    per_type: Counter[ModelType] = Counter()
    for (kind, _), number in counts.items():
        per_type[kind] += number
    defaults = {row.type: row for row in reg.models.defaults()}
    for column, kind in zip(st.columns(len(TYPES)), TYPES, strict=True):
        active = "" if _role(reg) is Role.VIEWER else f", {counts.get((kind, Status.ACTIVE), 0):,} active"
        with column.container(border=True, height="stretch", gap="xsmall"):
            st.markdown(f"**{TYPES[kind]}** :gray[· {counted(per_type[kind], 'model')}{active}]")
            if kind in defaults:
                st.markdown(f"★ {plain(defaults[kind].name)}")
            else:
                st.markdown(":orange[☆ No default chosen]")


def _filters(reg: Registry) -> dict[str, str | None]:
    """The filters; they stand in the address, so that a filtered list can be shared."""
    with st.container(horizontal=True, vertical_alignment="top"):
        kind = st.segmented_control(
            "Type",
            [ALL, *TYPES],
            format_func=lambda kind: TYPES.get(kind, "All"),
            default=ALL,
            required=True,
            key="type",
            bind="query-params",
        )
        provider = st.selectbox(
            "Provider",
            list(PROVIDERS),
            index=None,
            format_func=lambda id: PROVIDERS[id].label,
            placeholder="All providers",
            key="provider",
            bind="query-params",
            width=200,
        )
        status = None
        if _role(reg) is not Role.VIEWER:  # who sees active models only
            status = st.selectbox(
                "Status",
                list(STATUSES),
                index=None,
                format_func=STATUSES.__getitem__,
                placeholder="Any status",
                key="status",
                bind="query-params",
                width=160,
            )
        search = st.text_input(
            "Search",
            type="search",
            placeholder="Name, model ID or provider",
            icon=":material/search:",
            key="search",
            bind="query-params",
            max_chars=255,
        )
    return {"type": None if kind == ALL else kind, "provider": provider, "status": status, "search": search}


def _bar(reg: Registry, selected: Sequence[ModelSummary], count: str, *, may_change: bool) -> None:
    """The actions of what is selected, for hands that stay on the keyboard. Always two lines, so that the table stays
    where it is while one selects."""
    if len(selected) == 1:
        _actions(selected[0], may_change=may_change)
        _news(reg, selected[0], may_change=may_change)
    elif not selected or not may_change:
        with st.container(vertical_alignment="center", height=_BAR, border=False):
            st.markdown(f"**{count}**")
        hint = "To change one, open its menu :material/more_vert: or select it (Shift + Space)."
        st.caption(f"{hint} Select several to test them together." if may_change else "Select one to read how it does.")
    else:
        chosen = counted(len(selected), "model")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{chosen} selected**", width="content")
            icon = f":material/{TEST.icon}:"
            st.button(f"Test {chosen}", icon=icon, key="test_selected", on_click=batch.start, args=(selected,))
        st.caption("A test calls each of them once.")


def _actions(row: ModelSummary, *, may_change: bool) -> None:
    height: Any = "content" if may_change else _BAR
    with st.container(horizontal=True, vertical_alignment="center", gap="small", height=height, border=False):
        st.markdown(f"**{plain(row.name)}**", width="content")
        for action in offered(Status(row.status), row.is_default) if may_change else ():
            st.button(
                action.label,
                icon=f":material/{action.icon}:",
                key=f"bar_{action.id}",
                on_click=dialogs.start,
                args=(action, row.id),
            )


def _news(reg: Registry, row: ModelSummary, *, may_change: bool) -> None:
    """How the last test of a model went, and what keeps the proxy from following."""
    st.caption(_last_test(row))
    if not reg.proxy.is_configured or follows(row) == IN_STEP:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        why = row.proxy_message or "this version was not sent to it yet."
        st.caption(f":orange[:material/sync_problem:] The LiteLLM proxy does not follow: {plain(why)}")
        if may_change and st.button("Sync with proxy", icon=":material/sync:", type="tertiary", key="sync_row"):
            _sync(reg, row)


def _last_test(row: ModelSummary) -> str:
    if row.test_at is None or row.test_ms is None:
        return "Its connection was not tested yet."
    mark = WORKS if row.test_ok else FAILS
    before = "" if row.test_is_current else ", before its last change"
    return f"{mark}] Tested {ago(row.test_at)}{before}: {plain(row.test_message or '')} ({duration(row.test_ms)})"


def _sync(reg: Registry, row: ModelSummary) -> None:
    with told(), st.spinner("Syncing with the proxy…"):
        report = reg.proxy.sync(only=[alias_of(row.id)])
        if report.ok:
            flash(f"“{row.name}” is in step with the LiteLLM proxy.")
        st.rerun()


def _remember_choice() -> None:
    choice = st.session_state[MENU_KEY]
    dialogs.start(chosen_action(choice.label), st.session_state["row_ids"][choice.row])


main()
