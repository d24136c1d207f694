"""The actions on a model of the list, for the row's menu and for the bar."""

from __future__ import annotations

from dataclasses import dataclass

from registry.records import Status


@dataclass(frozen=True, slots=True)
class RowAction:
    """An action on one model. ``status`` is the status that it sets."""

    id: str
    label: str
    icon: str
    status: Status | None = None

    @property
    def menu_label(self) -> str:
        return f":material/{self.icon}: {self.label}"


EDIT = RowAction("edit", "Edit", "edit")
TEST = RowAction("test", "Test", "network_check")
DEFAULT = RowAction("default", "Set as default", "star")
ACTIVATE = RowAction("activate", "Activate", "check_circle", Status.ACTIVE)
DEACTIVATE = RowAction("deactivate", "Deactivate", "block", Status.INACTIVE)
DEPRECATE = RowAction("deprecate", "Deprecate", "hourglass_bottom", Status.DEPRECATED)
DELETE = RowAction("delete", "Delete", "delete")

ROW_ACTIONS = (EDIT, TEST, DEFAULT, ACTIVATE, DEACTIVATE, DEPRECATE, DELETE)


def offered(status: Status | str, is_default: bool, is_readable: bool = True) -> list[RowAction]:
    """The actions that are possible for a model in this state. A default must be replaced before it can be retired."""
    if not is_readable:
        return [EDIT, DELETE]
    retiring = [] if is_default else [action for action in (ACTIVATE, DEACTIVATE, DEPRECATE) if action.status != status]
    promoting = [DEFAULT] if status == Status.ACTIVE and not is_default else []
    return [EDIT, TEST, *promoting, *retiring, DELETE]
