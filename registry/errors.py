"""The exceptions that the registry raises on purpose.

::

    RegistryError
    ├── SettingsError              a setting is missing or unusable
    ├── StoreError                 the store cannot be read or written right now
    │   └── SchemaError            its schema is missing, older or newer than this library
    ├── InvalidInputError          an argument was refused; ``fields`` names it and gives the reason
    │   └── InvalidModelError      a model was refused; ``fields`` gives the reason for each field
    │       ├── EndpointChangedError   a stored key would go to another origin
    │       └── UnsafeEndpointError    the outbound policy refuses the endpoint
    ├── AlreadyExistsError         the name is taken
    ├── NotFoundError              no such model, knowledge base or default
    ├── StaleVersionError          another user changed the model in the meantime
    ├── InUseError                 knowledge bases use the model
    ├── ContractError              vectors of two embedding contracts would mix
    ├── DefaultModelError          the model is the default of its type
    ├── InactiveModelError         only an active model can be used for this
    ├── ForbiddenError             the actor's role does not allow this
    ├── DecryptionError            a stored key cannot be read with the configured keys
    ├── StoredValueError           a row that was edited by SQL cannot be read
    └── ProxyError                 the LiteLLM proxy refused or did not answer

Messages are for administrators: each states what is wrong and what to do.
Neither a message nor its cause contains a secret or the refused input.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.records import KnowledgeBase


class RegistryError(Exception):
    """Base of all errors of this library.

    ``fields`` maps the path of an input field (``"name"``, ``"config.dimensions"``) to what is wrong with it,
    so that a form can show the message next to the field. It is empty when no single field is at fault.
    """

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields: dict[str, str] = dict(fields or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the attributes: constructors of subclasses take other arguments than the message."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # typeshed


class SettingsError(RegistryError):
    """A setting is missing or unusable."""


class StoreError(RegistryError):
    """The store cannot be read or written right now."""


class SchemaError(StoreError):
    """The store's schema is missing, older or newer than this library."""


class InvalidInputError(RegistryError):
    """An argument was refused; ``fields`` names every argument, or field of one, at fault."""

    def __init__(self, fields: Mapping[str, str], message: str | None = None) -> None:
        super().__init__(message or _summary(fields), fields=fields)


class InvalidModelError(InvalidInputError):
    """A model was refused; ``fields`` names every field at fault."""


class EndpointChangedError(InvalidModelError):
    """The endpoint's origin or the provider changed while a key is stored: enter the key again."""


class UnsafeEndpointError(InvalidModelError):
    """The outbound policy refuses the endpoint."""


class AlreadyExistsError(RegistryError):
    """The name is taken."""


class NotFoundError(RegistryError):
    """There is no such model, knowledge base or default."""


class StaleVersionError(RegistryError):
    """Another user changed the model since it was read."""


class _WithKnowledgeBases(RegistryError):
    def __init__(
        self, message: str, knowledge_bases: Sequence[KnowledgeBase] = (), *, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, fields=fields)
        self.knowledge_bases = tuple(knowledge_bases)


class InUseError(_WithKnowledgeBases):
    """Knowledge bases use the model; ``knowledge_bases`` lists them."""


class ContractError(_WithKnowledgeBases):
    """Vectors of two embedding contracts would mix in ``knowledge_bases``."""


class DefaultModelError(RegistryError):
    """The model is the default of its type: make another one the default first."""


class InactiveModelError(RegistryError):
    """Only an active model can be used for this."""


class ForbiddenError(RegistryError):
    """The actor's role does not allow this."""


class DecryptionError(RegistryError):
    """A stored key cannot be read with the configured encryption keys."""


class StoredValueError(RegistryError):
    """A row of the store was edited by SQL and holds values that the registry never writes; ``fields`` names them."""


class ProxyError(RegistryError):
    """The LiteLLM proxy refused a request or did not answer."""


def _summary(fields: Mapping[str, str]) -> str:
    return " ".join(f"{path}: {text}" for path, text in fields.items())
