"""The embedding contract of a model: what its vectors depend on. Vectors of different contracts must not be mixed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from registry.catalog.specs import CONTRACT_FIELDS
from registry.errors import ContractError
from registry.records import KnowledgeBase, ModelType
from registry.store import rows
from registry.store.tables import KnowledgeBaseRow, ModelRow

Contract = dict[str, Any]


def of(row: ModelRow) -> Contract | None:
    """The contract of a model; None for other types than embedding."""
    if row.type != ModelType.EMBEDDING:
        return None
    config = rows.parameters(row)
    return {"provider": row.provider, "model_id": row.model_id, **{name: config.get(name) for name in CONTRACT_FIELDS}}


def require_kept(
    row: ModelRow, before: Contract | None, changed: Collection[str], users: Sequence[KnowledgeBase]
) -> None:
    """Refuse an edit of a model that would change its contract while KBs use it.

    Args:
        changed: the paths of the fields that the edit changes.

    Raises:
        ContractError: it would; ``fields`` names the fields that cannot change.
    """
    if not users or of(row) == before:
        return
    fixed = ("provider", "model_id", *(f"config.{name}" for name in CONTRACT_FIELDS))
    raise ContractError(
        f"The vectors that “{row.name}” made for {rows.counted(users)} would no longer fit: its provider, model id, "
        "dimensions, normalization and distance metric cannot change. Register another model instead.",
        users,
        fields={path: "Cannot change: knowledge bases hold vectors made with it." for path in fixed if path in changed},
    )


def require_same(new: ModelRow, old: ModelRow, users: Sequence[KnowledgeBase]) -> None:
    """Refuse to replace a model by one of another contract.

    Raises:
        ContractError: the contracts differ.
    """
    if of(new) != of(old):
        raise ContractError(
            f"“{new.name}” makes other vectors than “{old.name}”. An embedding model is replaced only by one of the "
            "same provider, model id, dimensions, normalization and distance metric.",
            users,
        )


def is_kept(base: KnowledgeBaseRow, new: Contract | None) -> bool:
    """Whether the vectors that a KB holds, if any, were made under this contract."""
    return base.contract is None or base.contract == new


def refusal(base: KnowledgeBaseRow, users: Sequence[KnowledgeBase]) -> ContractError:
    """The error of binding a KB to a model of another contract than its vectors have."""
    return ContractError(
        f"“{base.name}” holds vectors made by {_maker(base.contract)}. "
        "Index it again with the other model, then bind it with reindexed=True.",
        users,
    )


def _maker(contract: object) -> str:
    """The model id and provider of a contract, as far as they can be read."""
    parts = [contract.get(part) for part in ("model_id", "provider")] if isinstance(contract, dict) else []
    texts = [part for part in parts if isinstance(part, str)]
    return " of ".join(texts) if len(texts) == 2 else "a model that cannot be read any more"
