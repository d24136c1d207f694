"""The pages of the dashboard, as data: a new page needs its script and an entry here.

The entry decides its place in the menu, who can open it, and which session data is deleted when it is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry import Role


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        path: its path in the address, and the name of its script.
        title: in the menu and on the browser's tab.
        icon: name of a Material icon, for the menu.
        role: the lowest role that can open it.
        in_menu: whether the menu shows it, to users who can open it.
        keeps: session keys that exist only while the page is open. The form's fields are deleted by `form.draft`.
    """

    path: str
    title: str
    icon: str
    role: Role
    in_menu: bool = True
    keeps: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        """Its file in ``pages/``."""
        return f"{self.path}.py"


MODELS = Page("models", "Models", "hub", Role.VIEWER, keeps=("models_intent", "models_test_result"))
EDIT = Page("edit", "Model", "edit", Role.ADMIN, in_menu=False, keeps=("form_saved",))
AUDIT = Page("audit", "Audit log", "history", Role.AUDITOR, keeps=("audit_trail",))
PROXY = Page("proxy", "Proxy", "cloud_sync", Role.AUDITOR, keeps=("proxy_report", "proxy_adopting"))

PAGES = (MODELS, EDIT, AUDIT, PROXY)
"""All pages; those of the menu in its order."""
