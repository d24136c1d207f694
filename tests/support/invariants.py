"""What must always be true of a store, checked in SQL of its own, past the library: the rules' common measure."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

_TWO_DEFAULTS = "SELECT type FROM defaults GROUP BY type HAVING count(*) > 1"
_UNFIT_DEFAULT = """
    SELECT d.type FROM defaults d LEFT JOIN models m ON m.id = d.model_id AND m.type = d.type AND m.status = 'active'
    WHERE m.id IS NULL"""
_DANGLING = """
    SELECT b.knowledge_base_id FROM bindings b LEFT JOIN models m ON m.id = b.model_id AND m.type = b.type
    WHERE m.id IS NULL"""
_EMBEDDINGS = """
    SELECT k.id, k.contract, m.provider, m.model_id, m.config FROM knowledge_bases k
    JOIN bindings b ON b.knowledge_base_id = k.id AND b.type = 'embedding' JOIN models m ON m.id = b.model_id"""
_UNLOGGED = """
    SELECT id FROM models m WHERE version <>
    (SELECT count(*) FROM audit_log a
     WHERE a.target_id = m.id AND a.action IN ('model:create', 'model:update', 'model:set_status'))"""


def broken(connection: Connection) -> set[str]:
    """The invariants that do not hold now; empty is good."""

    def rows(statement: str) -> list[Any]:
        return list(connection.execute(text(statement)))

    found = {
        "two defaults of one type": rows(_TWO_DEFAULTS),
        "a default that is missing, inactive or of another type": rows(_UNFIT_DEFAULT),
        "a knowledge base bound to a model that is gone": rows(_DANGLING),
        "vectors of two contracts": [row for row in rows(_EMBEDDINGS) if _mixes(row)],
        "a change without its audit entry, or an entry without its change": rows(_UNLOGGED),
    }
    return {name for name, faults in found.items() if faults}


def _mixes(row: Any) -> bool:
    kept, config = _json(row.contract), _json(row.config)
    names = ("dimensions", "normalize", "distance_metric")
    return bool(kept != {"provider": row.provider, "model_id": row.model_id, **{name: config[name] for name in names}})


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
