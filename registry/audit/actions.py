"""What an audit entry can be about: the actions, and the kinds of their targets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """``subject:verb``, as entries name what was done. An entry of a later version may name another."""

    MODEL_CREATE = "model:create"
    MODEL_UPDATE = "model:update"
    MODEL_SET_STATUS = "model:set_status"
    MODEL_SET_DEFAULT = "model:set_default"
    MODEL_CLEAR_DEFAULT = "model:clear_default"
    MODEL_DELETE = "model:delete"
    MODEL_TEST = "model:test"
    KNOWLEDGE_BASE_BIND = "knowledge_base:bind"
    KNOWLEDGE_BASE_REASSIGN = "knowledge_base:reassign"
    KNOWLEDGE_BASE_REMOVE = "knowledge_base:remove"
    PROXY_SYNC = "proxy:sync"
    PROXY_ADOPT = "proxy:adopt"
    KEYS_ROTATE = "keys:rotate"


class TargetKind(StrEnum):
    """What kind of thing an entry is about."""

    MODEL = "model"
    KNOWLEDGE_BASE = "knowledge_base"
    PROXY = "proxy"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry is about, with its name as it is at the time."""

    kind: TargetKind
    id: str
    name: str
