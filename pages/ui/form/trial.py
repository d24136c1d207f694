"""The connection test of the form. Its result is shown until a tested value changes."""

from __future__ import annotations

from functools import partial

import streamlit as st
from registry.catalog.providers import Provider
from registry.records import ModelType, TestResult

from pages.ui import result
from pages.ui.form import paths, values
from pages.ui.form.draft import Form
from pages.ui.session import registry


def begin(form: Form, kind: ModelType, provider: Provider) -> bool:
    """Prepare the form before its fields are drawn: discard an outdated result, put measured dimensions into their
    field, and return whether this run makes a test."""
    path = paths.config_path(kind, "dimensions")
    if form.measured and form.get(path) is None:
        form.put(path, form.measured)
    form.measured = None
    if form.result and form.tested != values.mark(kind, values.sent(form, kind, provider)):
        form.result = None
    wanted, form.wants_test = form.wants_test, False
    form.is_watched = wanted or form.result is not None
    return wanted


def ask(form: Form) -> None:
    """Have the next run test it."""
    form.forget_faults()
    form.result, form.tested = None, ""
    form.wants_test = True


def run(form: Form, kind: ModelType, provider: Provider) -> None:
    """Test the form's values. The values sent are not kept: a typed key stays in its field.

    Raises:
        RegistryError: nothing was sent.
    """
    sent, test = values.sent(form, kind, provider), registry().models.test
    call = partial(test, form.model.id, sent) if form.model else partial(test, sent)
    found = result.run(call, f"{sent['model_id'] or 'the model'} at {provider.label}")
    if found.ok and kind is ModelType.EMBEDDING and sent["config"].get("dimensions") is None:
        form.measured = found.details["dimensions"]
        sent["config"]["dimensions"] = form.measured
    form.result, form.tested = found, values.mark(kind, sent)
    form.height = result.height(found)


def of(form: Form, kind: ModelType, provider: Provider) -> TestResult | None:
    """The result of a test of exactly these values, to be saved with them."""
    return form.result if form.tested == values.mark(kind, values.sent(form, kind, provider)) else None


def show(form: Form, kind: ModelType, *, locked: bool) -> None:
    """Draw the result, or that it is outdated: at the same height, so that nothing below moves."""
    if not form.tested:
        return
    with st.container(border=True, height=form.height):
        if form.result is None:
            result.show_outdated()
            return
        result.show(form.result)
        measured = result.measured(form.result)
        if measured and locked:
            st.caption(result.LOCKED)
        elif measured:
            st.button(
                f"Use {measured:,} dimensions",
                icon=":material/input:",
                on_click=_use,
                args=(form, kind, measured),
                key="use_measured",
            )


def _use(form: Form, kind: ModelType, dimensions: int) -> None:
    form.put(paths.config_path(kind, "dimensions"), dimensions)
    ask(form)
