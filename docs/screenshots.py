"""Takes the screenshots of README again: ``python docs/screenshots.py``, from the project's root.

Starts the dashboard on a demo store of its own and photographs it in Chromium, light and dark.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser
from pydantic import SecretStr

from registry import Actor, Registry, Settings
from registry.entrypoints import demo
from registry.keys.keyring import new_key
from tests.support.browser import Server, Visitor, chromium, server
from tests.support.fake_proxy import MASTER_KEY, FakeProxy

KEY = SecretStr(MASTER_KEY)
PHOTOGRAPHER = Actor("m.okafor@example.com", "admin", via="oidc")
FOLDER = Path(__file__).parent / "screenshots"
SIZE = {"width": 1360, "height": 860}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def models(visitor: Visitor) -> None:
    """The list, with a model selected and its actions above."""
    visitor.open("/")
    _select(visitor, 4)


def edit(visitor: Visitor) -> None:
    """Adding an embedding model that the catalogue knows."""
    visitor.open("/edit")
    visitor.choose("Provider", "OpenAI")
    visitor.enter("Model ID", "text-embedding-3-small")
    visitor.page.mouse.move(5, 400)


def audit(visitor: Visitor) -> None:
    """Edits of models, one of them in full."""
    visitor.open("/audit?action=Model+edited")
    _select(visitor, 2)


def delete(visitor: Visitor) -> None:
    """Deleting a model that knowledge bases use."""
    visitor.open("/?type=Generation")
    visitor.open_menu("Command R+")
    with visitor.rerun():
        visitor.page.get_by_role("menuitem", name="Delete").click()
    visitor.choose("Move them to", "GPT-4.1 (gpt-4.1)")
    visitor.page.mouse.move(5, 400)


def proxy(visitor: Visitor) -> None:
    """What differs on the proxy, one of it selected."""
    visitor.open("/proxy")
    _select(visitor, 1)


PICTURES: dict[str, Callable[[Visitor], None]] = {
    "models": models,
    "edit": edit,
    "audit": audit,
    "delete": delete,
    "proxy": proxy,
}


def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, FakeProxy() as litellm:
        settings = Settings(database_url=f"sqlite:///{folder}/registry.db", fernet_keys=[key := new_key()])
        demo.fill(settings)
        with Registry.connect(settings.replace(litellm_proxy_url=litellm.url, litellm_master_key=KEY)) as registry:
            registry.proxy.sync(actor=PHOTOGRAPHER)
        environment = {
            "REGISTRY_DATABASE_URL": settings.database_url,
            "REGISTRY_FERNET_KEYS": key,
            "LITELLM_PROXY_URL": litellm.url,
            "LITELLM_MASTER_KEY": KEY.get_secret_value(),
        }
        with server(environment) as running:
            for name, prepare in PICTURES.items():
                if prepare is proxy:
                    _spoil(litellm)
                for scheme in SCHEMES:
                    _take(browser, running, name, prepare, scheme)


def _spoil(litellm: FakeProxy) -> None:
    """Change the proxy by hand: remove an entry, edit one, and add one of an earlier system."""
    first, second, *others = litellm.copied()
    second.litellm_params["api_base"] = "http://models.example.com/v1"
    litellm.load([second, *others])
    litellm.add(first.id, "db-7d0c7f1e-legacy")


def _select(visitor: Visitor, row: int) -> None:
    grid = visitor.page.locator('[data-testid="stDataFrame"] canvas').first
    with visitor.rerun():
        grid.click(position={"x": 17, "y": 36 * row + 18}, force=True)
    visitor.page.mouse.move(5, 400)


def _take(
    browser: Browser, running: Server, name: str, prepare: Callable[[Visitor], None], scheme: Literal["light", "dark"]
) -> None:
    with browser.new_context(viewport=SIZE, color_scheme=scheme) as context:  # type: ignore[arg-type]  # it is a size
        visitor = Visitor(context.new_page(), running.url)
        visitor.sign_in(running.link())
        prepare(visitor)
        visitor.page.screenshot(path=FOLDER / f"{name}-{scheme}.png")


if __name__ == "__main__":
    main()
