"""Finds the model for KB code to use: a given one, the one bound to a knowledge base, or the default of a type."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.catalog import arguments
from registry.catalog.arguments import KnowledgeBaseRef, ModelRef
from registry.catalog.egress import Policy
from registry.errors import InactiveModelError, InvalidInputError, NotFoundError
from registry.keys.vault import Vault
from registry.records import ModelType, Status
from registry.resolve.answer import ResolvedModel
from registry.settings import Settings
from registry.store import rows
from registry.store.store import Store
from registry.store.tables import DefaultRow, KnowledgeBaseRow, ModelRow

_ASK = "Ask for a model alone, for a type alone, or for a type of a knowledge base (kb=, type=)."


class Resolver:
    """Resolves models. The caller has checked the role; see `registry.client.Registry.resolve`."""

    def __init__(self, store: Store, vault: Vault, policy: Policy, settings: Settings) -> None:
        self._store = store
        self._vault = vault
        self._policy = policy
        self._settings = settings

    def resolve(
        self, id_or_name: ModelRef | None, kb: KnowledgeBaseRef | None, type: ModelType | str | None
    ) -> ResolvedModel:
        """The model to use, with its key if it is called directly."""
        with self._store.read() as session:
            row, is_default = _find(session, id_or_name, kb, type)
            if row.status == Status.INACTIVE:
                raise InactiveModelError(f"“{row.name}” is inactive. Activate it, or bind another model.")
            rows.require_provider(row)
            self._policy.check(rows.origin_of(row.provider, row.api_endpoint))
            # the proxy has the key: do not decrypt it here
            key = None if self._settings.litellm_proxy_url else self._vault.open(row)
            model = rows.to_record(row, is_default=is_default)
        settings = self._settings
        return ResolvedModel(model, key, settings.litellm_proxy_url, settings.litellm_api_key)


def _find(
    session: Session,
    id_or_name: ModelRef | None,
    kb: KnowledgeBaseRef | None,
    type: ModelType | str | None,
) -> tuple[ModelRow, bool]:
    if id_or_name is not None and kb is None and type is None:
        row = rows.fetch(session, id_or_name)
        return row, row.id in rows.default_ids(session)
    if id_or_name is not None or type is None:
        given = {"id_or_name": id_or_name, "kb": kb}
        at_fault = [name for name, value in given.items() if value is not None]
        raise InvalidInputError(dict.fromkeys([*at_fault, "type"], _ASK), _ASK)
    kind = arguments.member(ModelType, "type", type)
    pointer = session.get(DefaultRow, kind.value)
    default = pointer.model_ref if pointer else None
    chosen = default if kb is None else _bound(session, arguments.knowledge_base("kb", kb), kind, default)
    if chosen is None:
        raise NotFoundError(f"There is no default {kind} model. Choose one on the dashboard's page Models.")
    return rows.fetch(session, chosen), chosen == default


def _bound(session: Session, kb: str, kind: ModelType, default: str | None) -> str | None:
    base = rows.bases(session, (rows.equals(KnowledgeBaseRow.id, kb),))
    if not base:
        raise NotFoundError("There is no such knowledge base. Bind it to its models first.")
    bound: str | None = getattr(base[0], kind.value)
    if bound is None and kind is ModelType.EMBEDDING:
        raise NotFoundError(f"“{base[0].name}” has no embedding model. Bind it to the one that made its vectors.")
    return bound or default
