"""Tests and saves the form, and shows what the registry refuses."""

from __future__ import annotations

import streamlit as st
from registry.catalog.providers import Provider
from registry.errors import ContractError, RegistryError, StaleVersionError
from registry.records import ModelType

from pages.ui.feedback import flash, flash_saved
from pages.ui.form import draft, trial, values
from pages.ui.form.draft import Form
from pages.ui.session import registry
from pages.ui.words import counted

_SAVED = "form_saved"


def was_saved() -> bool:
    """Whether the last run saved the form; true once."""
    return bool(st.session_state.pop(_SAVED, False))


def test(form: Form, kind: ModelType, provider: Provider) -> None:
    """Run the requested connection test."""
    try:
        trial.run(form, kind, provider)
    except RegistryError as error:
        _refused(form, error, "Not tested")
    st.rerun()


def save(form: Form, kind: ModelType, provider: Provider) -> None:
    """Save the form, or show each error at its field."""
    form.forget_faults()
    sent, tested = values.sent(form, kind, provider), trial.of(form, kind, provider)
    try:
        reg = registry()
        if form.model is None:
            saved = reg.models.create(sent, tested=tested)
            flash_saved(f"“{saved.name}” was added.", saved.proxy_message)
        else:
            saved = reg.models.update(form.model.id, sent, version=form.model.version, tested=tested)
            if saved == form.model:
                flash("Nothing was changed.")
            else:
                flash_saved(f"“{saved.name}” was saved.", saved.proxy_message)
    except RegistryError as error:
        _refused(form, error, "Not saved")
        return
    draft.discard()
    st.session_state[_SAVED] = True


def _refused(form: Form, error: RegistryError, what: str) -> None:
    form.errors, form.is_stale = dict(error.fields), isinstance(error, StaleVersionError)
    if "model_id" in form.errors and not form.model and not form.get("name"):
        form.errors.pop("name", None)  # an empty name is taken from the model id
    count = counted(len(form.errors), "field")
    can_correct = form.errors and not isinstance(error, ContractError)
    form.message = f"{what}: {count} to correct above." if can_correct else error.message
