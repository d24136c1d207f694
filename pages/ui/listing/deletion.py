"""Deletes a model, after a confirmation; its knowledge bases move first."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from registry import ModelFilter, Registry
from registry.records import Model, ModelSummary, ModelType, Status

from pages.ui.feedback import errors_shown, plain
from pages.ui.listing import intent
from pages.ui.session import registry
from pages.ui.words import TYPES_IN_TEXT, counted


@st.dialog("Delete model", icon=":material/delete:", on_dismiss=intent.end)
def ask(model: Model | ModelSummary) -> None:
    """Ask whether to delete a model, and which model its knowledge bases move to."""
    with errors_shown():
        _ask_to_delete(registry(), model)


def _ask_to_delete(reg: Registry, model: Model | ModelSummary) -> None:
    if model.is_default:
        _replace_default_first(reg, model)
        return
    about = reg.models.reassignment(model.id)
    users = about.knowledge_bases
    replacement: ModelSummary | None = None
    if users:
        st.markdown(f"**{plain(model.name)}** is used by {counted(len(users), 'knowledge base')}:")
        intent.names(users)
        replacement = _choose(about.candidates, "Move them to", "Compatible active models", f"models_move_{model.id}")
        if not about.candidates:
            st.warning(
                "No other active model is compatible, so this one cannot be deleted now. "
                + (
                    "Only an embedding model that makes the same vectors can replace it: same provider, model ID, "
                    "dimensions, normalization and distance metric. "
                    if model.type == "embedding"
                    else ""
                )
                + ("Register one, or deprecate this model." if _can_be_deprecated(model) else "Register one."),
                icon=":material/warning:",
            )
    else:
        st.markdown(f"Delete **{plain(model.name)}**? No knowledge base uses it.")
    st.caption("This cannot be undone. The audit log keeps its settings, but not its API key.")
    with intent.buttons():
        if st.button("Cancel", key="models_cancel"):
            intent.end()
            st.rerun()
        label = "Move and delete" if users else "Delete"
        if st.button(label, type="primary", key="models_confirm_delete", disabled=bool(users) and replacement is None):
            with errors_shown():
                gone = reg.models.delete(model.id, reassign_to=replacement.id if replacement else None)
                moved = (
                    f", {counted(len(gone.knowledge_bases), 'knowledge base')} moved to “{replacement.name}”"
                    if replacement
                    else ""
                )
                intent.done(f"“{model.name}” was deleted{moved}.", gone.proxy_message)


def _can_be_deprecated(model: Model | ModelSummary) -> bool:
    return not isinstance(model, ModelSummary) or model.is_readable


def _replace_default_first(reg: Registry, model: Model | ModelSummary) -> None:
    others = [
        row for row in reg.models.overview(ModelFilter(type=model.type, status=Status.ACTIVE)) if row.id != model.id
    ]
    kind = TYPES_IN_TEXT[ModelType(model.type)]
    st.markdown(
        f"**{plain(model.name)}** is the default {kind} model. Choose another default first; then it can be deleted."
    )
    replacement = _choose(others, "New default", f"Active {kind} models", f"models_default_{model.id}")
    if not others:
        st.warning("There is no other active model of this type.", icon=":material/warning:")
    with intent.buttons():
        if st.button("Cancel", key="models_cancel"):
            intent.end()
            st.rerun()
        without = st.button("Leave without default", key="models_clear_default")
        if without or st.button(
            "Make it the default", type="primary", key="models_replace_default", disabled=replacement is None
        ):
            with errors_shown():
                if without or replacement is None:
                    reg.models.clear_default(model.type)
                else:
                    reg.models.set_default(replacement.id)
                st.rerun()


def _choose(rows: Sequence[ModelSummary], label: str, placeholder: str, key: str) -> ModelSummary | None:
    return st.selectbox(
        label,
        rows,
        index=0 if len(rows) == 1 else None,
        format_func=lambda row: f"{row.name} ({row.model_id})",
        placeholder=placeholder,
        disabled=not rows,
        key=key,
    )
