"""Signing in, in a real Chromium: by a link of the console, at a real OpenID provider, through a proxy."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Page, expect

from pages.ui.signin.headers import TOO_LONG
from registry import Registry, Settings
from tests.support.browser import Server, Visitor, free_port
from tests.support.factories import KEY_A, VIEWER, created, generation
from tests.support.header_proxy import header_proxy

pytestmark = pytest.mark.e2e

RUN = ("-m", "streamlit", "run", "app.py")
ROLES = "registry-admins=admin,data-team=auditor,staff=viewer"
PROVIDERS_STYLES = "cdn.jsdelivr.net"
MANY_GROUPS = [hashlib.sha256(f"{number}".encode()).hexdigest()[:40] for number in range(100)]
"""As long as groups are, and nothing that a cookie could be compressed by."""

SECRET = "a-secret-of-the-proxy-alone"
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def environment(sqlite_url: str) -> dict[str, str]:
    """A store with one model, which nobody sees who is not signed in."""
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])) as reg:
        created(reg, generation(name="Quite secret"))
    return {"REGISTRY_DATABASE_URL": sqlite_url, "REGISTRY_FERNET_KEYS": KEY_A}


def heading(page: Page, title: str) -> None:
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


def assert_signed_out(visitor: Visitor, title: str = "Sign in") -> None:
    """The sign-in is all there is: no other page in the menu, nothing of the store on its way to the browser."""
    heading(visitor.page, title)
    expect(visitor.page.get_by_role("link")).to_have_text(["Skip to main content"])
    expect(visitor.page.get_by_test_id("stDataFrame")).to_have_count(0)


def test_the_link_of_the_console(
    started: Callable[..., Server], visitors: Callable[..., Visitor], environment: dict[str, str]
) -> None:
    """It signs its first user in, who can sign out again, in every tab; then it is of no use any more."""
    running = started(environment)
    link = re.search(r"Sign in: (\S+)", running.log.read_text())
    assert link
    visitor = visitors(running, None)
    visitor.url = link[1].partition("/local-login")[0]
    with visitor.rerun():
        visitor.page.goto(link[1])
    assert visitor.page.url == visitor.url + "/models"
    expect(visitor.page.get_by_text("Local administrator")).to_be_visible()
    (cookie,) = [each for each in visitor.page.context.cookies() if each["name"].startswith("registry-")]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    other_tab = Visitor(visitor.page.context.new_page(), visitor.url)
    other_tab.open("/edit")
    heading(other_tab.page, "Add model")

    stranger = visitors(running, None)
    stranger.url = visitor.url
    assert stranger.page.goto(link[1]).status == 403  # type: ignore[union-attr]  # there is an answer
    heading(stranger.page, "This link is no longer valid")
    expect(stranger.page.get_by_text("It was used before, or is older than 15 minutes.")).to_be_visible()
    expect(stranger.page.get_by_text("python -m registry link", exact=True)).to_be_visible()
    with stranger.rerun():
        stranger.page.get_by_role("link", name="Open the dashboard").click()
    assert_signed_out(stranger)

    with visitor.rerun():
        visitor.page.get_by_role("button", name="Sign out").click()
        visitor.page.wait_for_url(visitor.url + "/models")
    assert_signed_out(visitor)
    assert not [each for each in visitor.page.context.cookies() if each["name"].startswith("registry-")]
    other_tab.choose("Type", "Generation")
    assert_signed_out(other_tab, "You are signed out")


class Neighbour:
    """A server on another port of this machine, which any program may be.

    Attributes:
        page: what it answers to everything.
        cookies: what browsers sent it.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.page = "<title>Neighbour</title>"
        self.cookies: list[str] = []

    def lead(self, visitor: Visitor, host: str = "localhost") -> None:
        """Have a browser open it under this name, as a link would."""
        visitor.page.goto(f"http://{host}:{self.port}/")
        visitor.hosts.discard(f"{host}:{self.port}")


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.cookies.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(found.page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        found = Neighbour(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def assert_nobody_else_signs_out(visitor: Visitor, neighbour: Neighbour) -> None:
    """Neither a link, nor a picture, nor an address that is typed: the next page that is opened is still theirs."""
    sign_out = visitor.url + "/auth/logout"
    neighbour.page = f'<a href="{sign_out}">Win a prize</a><img src="{sign_out}" alt="">'
    neighbour.lead(visitor)
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("link", name="Win a prize").click()
    refusal = visitor.page.get_by_text("To sign out, press Sign out on a page of the dashboard.")
    expect(refusal).to_be_visible()
    visitor.page.goto(sign_out)
    expect(refusal).to_be_visible()
    visitor.open()
    heading(visitor.page, "Models")


def with_the_same_cookies(visitor: Visitor, visitors: Callable[..., Visitor], running: Server) -> Visitor:
    """Another browser, into which this one's cookies were copied."""
    copied = visitors(running, None)
    copied.url = visitor.url
    copied.page.context.add_cookies(visitor.page.context.cookies())  # type: ignore[arg-type]  # as they come out
    return copied


def test_signing_out_is_for_the_dashboards_own_pages(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    neighbour: Neighbour,
) -> None:
    """No other port leads to it, and once it is done, a copy of the cookie is worth nothing."""
    running = started(environment)
    visitor = visitors(running)
    visitor.open()
    assert_nobody_else_signs_out(visitor, neighbour)
    copied = with_the_same_cookies(visitor, visitors, running)
    copied.open()
    heading(copied.page, "Models")
    with visitor.rerun():
        visitor.page.get_by_role("button", name="Sign out").click()
    assert_signed_out(visitor)
    copied.open()
    assert_signed_out(copied, "You are signed out")


def test_no_other_port_is_sent_the_cookie(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    neighbour: Neighbour,
) -> None:
    """A program on another port can lead the browser to it by every name that it knows: none of them is the one that
    the cookie is for. The control: by that name, it would be sent there."""
    running = started(environment)
    visitor = visitors(running)
    visitor.open()
    host = urlsplit(visitor.url).hostname
    (cookie,) = [each for each in visitor.page.context.cookies() if each["name"].startswith("registry-")]
    for name in ("localhost", "127.0.0.1", "registry.localhost", f"x.{host}"):
        neighbour.lead(visitor, name)
    assert not [sent for sent in neighbour.cookies if cookie["name"] in sent]
    neighbour.lead(visitor, host)
    assert [sent for sent in neighbour.cookies if cookie["name"] in sent]

    new_tab = Visitor(visitor.page.context.new_page(), visitor.url)
    new_tab.open("/audit")
    heading(new_tab.page, "Audit log")
    elsewhere = Visitor(visitor.page.context.new_page(), running.url)
    elsewhere.open()
    assert_signed_out(elsewhere)
    expect(elsewhere.page.get_by_text("The dashboard is at the address that the link begins with.")).to_be_visible()


@pytest.mark.parametrize(
    "paths", [("/audit", "/"), ("/edit", "/models"), ("/main", "/dialogs"), ("/proxy", "/?type=ner")]
)
def test_signed_out_every_path_shows_the_sign_in(
    started: Callable[..., Server],
    visitors: Callable[..., Visitor],
    environment: dict[str, str],
    paths: tuple[str, str],
) -> None:
    """On a server that nobody has visited, whatever is asked for first: the sign-in, and nothing else."""
    running = started(environment)
    for path in paths:
        visitor = visitors(running, None)
        visitor.open(path)
        assert_signed_out(visitor)
        sent = b"".join(visitor.frames)
        assert not [secret for secret in (b"Quite secret", b"Audit log", b"Registered models") if secret in sent]


def test_a_link_for_another_role(
    started: Callable[..., Server], visitors: Callable[..., Visitor], environment: dict[str, str]
) -> None:
    """What a viewer's link opens is what a viewer may see, by whatever path."""
    running = started(environment)
    visitor = visitors(running, VIEWER)
    visitor.open()
    expect(visitor.cells("Name")).to_have_text(["Quite secret"])
    expect(visitor.page.get_by_role("link", name="Audit log")).to_have_count(0)
    for path, role in (("/audit", "auditor"), ("/proxy", "auditor"), ("/edit", "admin")):
        visitor.open(path)
        heading(visitor.page, "Not for your role")
        expect(visitor.page.get_by_text(f"This page needs the role {role}.")).to_be_visible()


@pytest.fixture
def issuer() -> Iterator[str]:
    """An OpenID provider that knows four people."""
    people = [
        User(sub="alice", claims={"email": "alice@example.com", "groups": ["staff", "registry-admins"]}),
        User(sub="victor", claims={"email": "victor@example.com", "groups": ["staff"]}),
        User(sub="sally", claims={"email": "sally@example.com", "groups": ["sales"]}),
        User(sub="grace", claims={"email": "grace@example.com", "groups": [*MANY_GROUPS, "staff"]}),
    ]
    with run_server_in_thread(user_claims=people) as provider:
        yield f"http://localhost:{provider.server_port}"


@pytest.fixture
def company(started: Callable[..., Server], environment: dict[str, str], issuer: str, tmp_path: Path) -> Server:
    """A dashboard at which people sign in with the provider."""
    port, secrets = free_port(), tmp_path / "secrets.toml"
    secrets.write_text(
        f"""[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "{"made-at-random-" * 3}"
[auth.company]
client_id = "registry"
client_secret = "registry"
server_metadata_url = "{issuer}/.well-known/openid-configuration"
"""
    )
    mode = {**environment, "REGISTRY_AUTH": "oidc", "REGISTRY_ROLES": ROLES}
    return started(mode, (*RUN, "--secrets.files", str(secrets)), port=port)


def sign_in_at_provider(visitor: Visitor, issuer: str, name: str) -> None:
    """Follow the button to the provider, choose an account there, and come back."""
    visitor.open("/audit")
    assert_signed_out(visitor)
    visitor.page.route(f"https://{PROVIDERS_STYLES}/**", lambda route: route.abort())
    visitor.page.get_by_role("button", name="Sign in", exact=True).click()
    visitor.page.wait_for_url(issuer + "/**")
    with visitor.rerun():
        visitor.page.get_by_role("button", name=name, exact=True).click()
    forget_provider(visitor, issuer)


def forget_provider(visitor: Visitor, issuer: str) -> None:
    """The provider is another host by design; where its pages have their looks from is not our affair."""
    visitor.hosts -= {urlsplit(issuer).netloc, PROVIDERS_STYLES}


@pytest.mark.filterwarnings("ignore:get_jwt_config")  # the provider's own affair
def test_people_sign_in_at_the_provider(
    company: Server, visitors: Callable[..., Visitor], issuer: str, neighbour: Neighbour
) -> None:
    """Each gets the role of their groups; without one they see that; after signing out they are out, in every tab and
    with every copy of the cookie."""
    alice = visitors(company, None)
    sign_in_at_provider(alice, issuer, "alice")
    expect(alice.page.get_by_text("alice@\u2060example.com")).to_be_visible()
    heading(alice.page, "Models")
    expect(alice.page.get_by_role("button", name="Add model")).to_be_visible()

    victor = visitors(company, None)
    sign_in_at_provider(victor, issuer, "victor")
    expect(victor.cells("Name")).to_have_text(["Quite secret"])
    expect(victor.page.get_by_role("button", name="Add model")).to_have_count(0)

    sally = visitors(company, None)
    sign_in_at_provider(sally, issuer, "sally")
    assert_signed_out(sally, "You have no role here")
    expect(sally.page.get_by_text("“sales”")).to_be_visible()

    assert_nobody_else_signs_out(alice, neighbour)
    copied = with_the_same_cookies(alice, visitors, company)
    other_tab = Visitor(alice.page.context.new_page(), company.url)
    other_tab.open("/edit")
    alice.page.get_by_role("button", name="Sign out").click()
    alice.page.wait_for_url(issuer + "/**")
    alice.open()
    forget_provider(alice, issuer)
    assert_signed_out(alice)
    other_tab.choose("Type", "Generation")
    assert_signed_out(other_tab, "You are signed out")
    copied.open()
    assert_signed_out(copied, "You are signed out")


@pytest.mark.filterwarnings("ignore:get_jwt_config")  # the provider's own affair
def test_somebody_in_many_groups_signs_in(company: Server, visitors: Callable[..., Visitor], issuer: str) -> None:
    """Streamlit's cookies hold them all, twice: more than a line of a WebSocket's request may have by default. What
    would be too much is answered all the same."""
    grace = visitors(company, None)
    sign_in_at_provider(grace, issuer, "grace")
    expect(grace.cells("Name")).to_have_text(["Quite secret"])
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in grace.page.context.cookies(company.url))
    assert len(cookies) > 8192
    for kind in ({}, WEBSOCKET):
        assert answer(company.port, "/_stcore/stream", {**kind, "Cookie": cookies * 8}) == (431, TOO_LONG)


def test_headers_are_nothing_to_oidc(company: Server, visitors: Callable[..., Visitor]) -> None:
    """Headers of an authenticating proxy sign nobody in where people sign in at a provider."""
    visitor = visitors(company, None)
    claimed = {"X-Forwarded-Email": "alice@example.com", "X-Forwarded-Groups": "registry-admins"}
    with header_proxy(company.port, claimed) as address:
        visitor.url = address
        visitor.open()
        assert_signed_out(visitor)


def test_the_proxy_says_who_it_is(
    started: Callable[..., Server], visitors: Callable[..., Visitor], environment: dict[str, str]
) -> None:
    """With its secret its headers count, for pages and WebSocket alike; without, there is nothing but a refusal."""
    mode = {"REGISTRY_AUTH": "proxy", "REGISTRY_ROLES": ROLES, "REGISTRY_PROXY_SECRET": SECRET}
    running = started({**environment, **mode})
    audrey = {
        "X-Registry-Proxy-Secret": SECRET,
        "X-Forwarded-Email": "audrey@example.com",
        "X-Forwarded-Groups": "staff,data-team",
        "X-Forwarded-For": "203.0.113.9",
    }
    visitor = visitors(running, None)
    with header_proxy(running.port, audrey) as address:
        visitor.url = address
        visitor.page.set_extra_http_headers({"X-Forwarded-Email": "eve@example.com", "X-Forwarded-Groups": "x"})
        visitor.open("/audit")
        expect(visitor.page.get_by_text("audrey@\u2060example.com")).to_be_visible()
        expect(visitor.page.get_by_text("authenticating proxy")).to_be_visible()
        expect(visitor.cells("Target")).to_have_text(["Quite secret"])
    unrolled = visitors(running, None)
    with header_proxy(running.port, {**audrey, "X-Forwarded-Groups": "sales"}) as address:
        unrolled.url = address
        unrolled.open()
        assert_signed_out(unrolled, "You have no role here")
    for secret in ({}, {"X-Registry-Proxy-Secret": SECRET + "x"}, {"X-Registry-Proxy-Secret": ""}):
        claimed = {**{name: audrey[name] for name in audrey if "Secret" not in name}, **secret}
        for path in ("/", "/audit", "/_stcore/health", "/_stcore/metrics", "/static/x", "/auth/logout"):
            assert answer(running.port, path, claimed) == (
                403,
                "This dashboard answers only to its authenticating proxy.",
            )
        assert answer(running.port, "/_stcore/stream", {**WEBSOCKET, **claimed})[0] == 403
    assert answer(running.port, "/_stcore/stream", {**WEBSOCKET, **audrey})[0] == 101


def answer(port: int, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and text of what the server answers to a request that no browser would send."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}", **headers})
        response = connection.getresponse()
        return response.status, "" if response.status == 101 else response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, "serves only its own machine"),  # noqa: S104  # what must not be
        ({"REGISTRY_DATA_DIR": "/dev/null"}, "which remembers who has signed out, cannot be written to"),
        ({"REGISTRY_AUTH": "none"}, "REGISTRY_AUTH must be one of local, oidc, proxy."),
        ({"REGISTRY_AUTH": "oidc"}, "Set REGISTRY_ROLES"),
        ({"REGISTRY_AUTH": "oidc", "REGISTRY_ROLES": ROLES}, "exactly one provider"),
        ({"REGISTRY_AUTH": "proxy", "REGISTRY_ROLES": ROLES}, "needs REGISTRY_PROXY_SECRET"),
        ({"REGISTRY_AUTH": "proxy", "REGISTRY_ROLES": ROLES, "REGISTRY_PROXY_SECRET": "short"}, "16 characters"),
    ],
    ids=["address", "memory", "mode", "roles", "provider", "secret", "short secret"],
)
def test_it_does_not_start_where_anybody_or_nobody_could_get_in(
    started: Callable[..., Server], environment: dict[str, str], settings: dict[str, str], message: str
) -> None:
    """It ends with a sentence that says what to do, and no other way to sign in takes over."""
    with pytest.raises(RuntimeError, match=f"The dashboard does not start. .*{message}") as refused:
        started({**environment, **settings})
    assert "Traceback" not in str(refused.value)
