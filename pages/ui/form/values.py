"""The form's initial values, and the values sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.catalog import specs
from registry.catalog.known import known_model
from registry.catalog.providers import Provider
from registry.catalog.specs import config_fields
from registry.records import ModelType, Status

from pages.ui.form import paths
from pages.ui.form.draft import Form


def sent(form: Form, kind: ModelType, provider: Provider) -> dict[str, Any]:
    """The fields' values for the library. They include a key only if one was typed or is to be removed."""
    model_id = form.text(paths.model_id_path(kind, provider))
    found: dict[str, Any] = {
        "provider": provider.id,
        "name": form.text("name") or ("" if form.model else model_id),
        "model_id": model_id,
        "api_endpoint": form.text(paths.own_path("api_endpoint", provider)) or None,
        "connection": {name: form.text(paths.connection_path(name, provider)) or None for name in provider.connection},
        "config": _config(form, kind, provider),
        "status": form.get("status") or Status.ACTIVE,
    }
    if typed_key := form.get(paths.own_path("api_key", provider)):
        found["api_key"] = typed_key
    elif form.get("remove_api_key"):
        found["api_key"] = None
    if form.model is None:
        found |= {"type": kind, "is_default": bool(form.get("is_default"))}
    elif form.get("is_default") and not form.model.is_default:
        found["is_default"] = True
    return found


def mark(kind: ModelType, values: Mapping[str, Any]) -> str:
    """A digest of the call that a test of these values makes, including the key; equal calls have equal digests.

    It is keyed, so that guesses cannot be checked.
    """
    called = specs.called(specs.flat({**values, "type": kind}))
    return specs.digest(called, values.get("api_key", ["as saved"]))


def known(form: Form, kind: ModelType, provider: Provider) -> Mapping[str, Any]:
    """A new model's known parameters; none for a saved one, which never changes unasked."""
    model_id = form.text(paths.model_id_path(kind, provider)).strip()
    found = None if form.model else known_model(kind, provider.id, model_id)
    return found.config if found else {}


def start_config(form: Form, kind: ModelType, known: Mapping[str, Any]) -> None:
    """Set the initial values of a type's parameters where nothing was typed."""
    for item in config_fields(kind):
        if item.kind == "bool":
            form.start(paths.toggle_path(kind, item, known), known.get(item.name, item.default))
        else:
            form.start(paths.config_path(kind, item.name), paths.shown_value(item, item.default))


def _config(form: Form, kind: ModelType, provider: Provider) -> dict[str, Any]:
    """The parameters. An empty field takes the known value, if there is one. Else it is sent as None, which the library
    refuses unless it is optional; a new model's required ones are left out, and the library asks for them."""
    of_model, is_new = known(form, kind, provider), form.model is None
    found: dict[str, Any] = {}
    for item in config_fields(kind):
        path = paths.toggle_path(kind, item, of_model) if item.kind == "bool" else paths.config_path(kind, item.name)
        held = form.get(path)
        value = of_model.get(item.name) if held is None else paths.listed(held) if item.kind == "list" else held
        if value is not None or not (is_new and item.required):
            found[item.name] = value
    return found
