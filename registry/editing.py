"""What an edit does to a model: merging it, filling the row, and telling what changed. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry import audit, queries, validation
from registry.errors import AlreadyExistsError, EndpointChangedError
from registry.specs import ModelCreate
from registry.tables import ModelRow


def merged(row: ModelRow, given: Mapping[str, Any]) -> ModelCreate:
    """The whole model as the edit would leave it, checked.

    Raises:
        InvalidModelError: ``fields`` says what is wrong where.
        EndpointChangedError: the stored key would go to another origin or provider.
    """
    provider = given.get("provider", row.provider)
    whole = {
        "type": row.type,
        "provider": provider,
        "name": given.get("name", row.name),
        "model_id": given.get("model_id", row.model_id),
        "api_endpoint": given.get("api_endpoint", row.api_endpoint),
        "api_key": given.get("api_key"),
        "connection": {**(row.connection if provider == row.provider else {}), **given.get("connection", {})},
        "config": {**row.config, **given.get("config", {})},
        "status": given.get("status", row.status),
        "is_default": given.get("is_default", False),
    }
    keeps_key = row.api_key is not None and "api_key" not in given
    spec = validation.parse_create(whole, has_stored_key=keeps_key)
    moved = (provider, queries.origin_of(provider, spec.api_endpoint)) != (
        row.provider,
        queries.origin_of(row.provider, row.api_endpoint),
    )
    if keeps_key and moved:
        raise EndpointChangedError(
            {"api_key": "The saved key was entered for another address or provider. Enter the key for this one."}
        )
    return spec


def fill(row: ModelRow, spec: ModelCreate) -> None:
    """Write a checked model into its row; the key is sealed and put by the caller."""
    row.provider, row.name, row.name_key = spec.provider, spec.name, validation.name_key(spec.name)
    row.model_id, row.api_endpoint = spec.model_id, spec.api_endpoint
    row.connection, row.config, row.status = dict(spec.connection), dict(spec.config), spec.status.value


def refuse_taken_name(session: Session, row: ModelRow) -> None:
    """Make sure that no other model has the row's name.

    Raises:
        AlreadyExistsError: one has.
    """
    other = session.scalars(select(ModelRow).where(ModelRow.name_key == row.name_key, ModelRow.id != row.id)).first()
    if other is not None:
        raise AlreadyExistsError(
            f"There is a model “{other.name}” already. Choose another name.", fields={"name": "This name is taken."}
        )


def delta(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs; of the key only that it was set, changed or removed."""
    found = audit.diff(before, after)
    if "api_key" in found:
        old, new = found["api_key"]
        found["api_key"] = ("set" if old else None, ("changed" if old else "set") if new else None)
    return found
