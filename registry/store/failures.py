"""Errors of the database as errors of the registry, by the constraint or the fault that they name."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from registry.errors import (
    AlreadyExistsError,
    DefaultModelError,
    InUseError,
    RegistryError,
    SchemaError,
    StoredValueError,
    StoreError,
)

LOG_BROKEN_OFF: Final = (
    "The store refused the change: the audit log does not end where the registry ended it, and until it does nothing "
    "can be changed. Run: python -m registry verify"
)

_CONSTRAINTS: dict[str, Callable[[], RegistryError]] = {
    "must follow the newest": lambda: StoreError(LOG_BROKEN_OFF),
    "models_name_key": lambda: AlreadyExistsError("A model with this name exists already.", fields={"name": "Taken."}),
    "models.name_key": lambda: AlreadyExistsError("A model with this name exists already.", fields={"name": "Taken."}),
    "bindings_model_fkey": lambda: InUseError("Knowledge bases use this model, or it is gone. Load the page again."),
    "defaults_model_fkey": lambda: DefaultModelError("The default of a type must be an active model of that type."),
    "FOREIGN KEY": lambda: InUseError("Something still refers to this model, or it is gone. Load the page again."),
}


@contextmanager
def translated(*, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Turn the database's errors into ours; the original is left out, since it can quote rows."""
    try:
        yield
    except but:
        raise
    except IntegrityError as error:
        raise _from_constraint(error) from None
    except (DataError, OverflowError):
        raise StoredValueError(
            "A value in the store was edited and is out of range: nothing was saved. Fix it in the database, or "
            "restore the store from a backup."
        ) from None
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _from_failure(error) from None


def _from_constraint(error: IntegrityError) -> RegistryError:
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or str(error.orig)
    for constraint, make in _CONSTRAINTS.items():
        if constraint in name:
            return make()
    return StoreError("The store refused the change: it would violate a constraint. Load the page again and retry.")


def _from_failure(error: Exception) -> StoreError:
    cause = str(getattr(error, "orig", None) or getattr(error, "strerror", None) or error).lower()
    if "readonly" in cause or "read-only" in cause:
        return StoreError("The store is read-only: nothing was saved. Check the file's and the folder's permissions.")
    if "did not answer in time" in cause:
        return StoreError("The database server does not answer. Whether a change was saved shows when it does again.")
    if "queuepool limit" in cause:
        return StoreError("The store is busy with many calls at once. Try again in a moment.")
    if "locked" in cause or "lock timeout" in cause or isinstance(error, TimeoutError):
        return StoreError("The store is busy with another change: nothing was saved. Try again in a moment.")
    if "not a database" in cause or "malformed" in cause:
        return StoreError("The store's file is damaged or not a database. Restore it from a backup.")
    if "disk" in cause or "no space" in cause:
        return StoreError("The store cannot write: its disk is full or failing. Nothing was saved.")
    if "unable to open database file" in cause or isinstance(error, OSError):
        return StoreError(
            "The store's file, or its folder, cannot be opened or written. Check the path in REGISTRY_DATABASE_URL, "
            "and the permissions of both."
        )
    if "no such table" in cause or "undefinedtable" in type(getattr(error, "orig", None)).__name__.lower():
        return SchemaError("The store has not been set up. Run: python -m registry migrate")
    if "permission denied" in cause or "insufficient" in cause:
        return StoreError("The store refused access: check the rights of the database role.")
    return StoreError("The store cannot be reached. Check that the database runs and REGISTRY_DATABASE_URL is right.")
