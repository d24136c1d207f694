"""A server, a store and a browser for every test. Whatever a test does, three things hold at its end: the browser asked
nobody but the server for anything, no script failed in it, and the server met no error that it did not expect."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from registry import Actor
from tests.support.browser import NoBrowserError, Server, Visitor, chromium, server
from tests.support.factories import KEY_A, LOCAL_ADMINISTRATOR
from tests.support.missing import missing


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as started:
            yield started
    except NoBrowserError as error:
        missing(str(error))


@pytest.fixture
def started() -> Iterator[Callable[..., Server]]:
    """Start servers, which end with the test."""
    servers: list[Server] = []
    with ExitStack() as stack:

        def start(environment: Mapping[str, str], *command: Sequence[str], port: int | None = None) -> Server:
            servers.append(stack.enter_context(server(environment, *command, port=port)))
            return servers[-1]

        yield start
        for each in servers:
            assert "Traceback" not in each.log.read_text()


@pytest.fixture(scope="session")
def lasting_file(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `lasting`."""
    return Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("lasting") / "registry.db"))


@pytest.fixture(scope="session")
def _lasting(lasting_file: Path) -> Iterator[Server]:
    with server({"REGISTRY_DATABASE_URL": f"sqlite:///{lasting_file}", "REGISTRY_FERNET_KEYS": KEY_A}) as started:
        yield started


@pytest.fixture
def lasting_url(lasting_file: Path, sqlite_template: Path) -> str:
    """The store of `lasting`, as empty as it was at first."""
    with closing(sqlite3.connect(sqlite_template)) as empty, closing(sqlite3.connect(lasting_file)) as store:
        empty.backup(store)
    return f"sqlite:///{lasting_file}"


@pytest.fixture
def lasting(_lasting: Server, lasting_url: str) -> Iterator[Server]:
    """A server that many tests share, one after the other, since it takes seconds to start; each begins with an empty
    store. For what depends neither on the store nor on the server's environment."""
    before = len(_lasting.log.read_text())
    yield _lasting
    assert "Traceback" not in _lasting.log.read_text()[before:]


@pytest.fixture
def environment(store_url: str) -> dict[str, str]:
    """The server's settings: the store of `reg`."""
    return {"REGISTRY_DATABASE_URL": store_url, "REGISTRY_FERNET_KEYS": KEY_A}


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """New visitors, each with a browser of its own as far as cookies and cache go, signed in with a link of the console
    unless they come as nobody."""
    made: list[Visitor] = []

    def visit(running: Server, actor: Actor | None = LOCAL_ADMINISTRATOR) -> Visitor:
        context = browser.new_context(viewport={"width": 1360, "height": 850})
        visitor = Visitor(context.new_page(), running.url)
        made.append(visitor)
        if actor:
            visitor.sign_in(running.link(actor))
        return visitor

    yield visit
    for visitor in made:
        visitor.page.context.close()
        assert visitor.faults == []
        assert visitor.hosts <= {urlsplit(visitor.url).netloc}, "the browser was sent elsewhere"


@pytest.fixture
def running(started: Callable[..., Server], environment: dict[str, str]) -> Server:
    """A dashboard that has just been started."""
    return started(environment)


@pytest.fixture
def visitor(running: Server, visitors: Callable[..., Visitor]) -> Visitor:
    """The administrator, signed in at `running`, with no page open yet."""
    return visitors(running)
