"""The doors: who is let in to the sign-in at all, for callers that no test machine can be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from streamlit import config, net_util
from streamlit.web import bootstrap
from streamlit.web.server.starlette import starlette_websocket

from pages.ui.signin.doors import HEADERS, Doors, allowed_hosts
from registry import Settings

SECRET = "a-secret-of-the-proxy-alone"
LOCAL = Settings(public_hosts=["Registry.example.com"])
OIDC = Settings(auth="oidc", public_hosts=["registry.example.com"])
PROXY = Settings(auth="proxy", proxy_secret=SECRET, public_hosts=["registry.example.com"])
HERE = ("127.0.0.1", 4711)
ELSEWHERE = ("203.0.113.9", 4711)


async def _page(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def _answer(scope: dict[str, Any], settings: Settings, behind: Any = _page) -> tuple[bool, dict[str, Any]]:
    """Whether the app behind the doors was reached, and the start of the answer."""
    reached = []
    answers: list[dict[str, Any]] = []

    async def app(*connection: Any) -> None:
        reached.append(True)
        await behind(*connection)

    async def send(message: Any) -> None:
        answers.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("the doors read what is sent")

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(Doors(app, settings)(scope, receive, send))
    finally:
        loop.close()
    return bool(reached), answers[0]


def _let_in(scope: dict[str, Any], settings: Settings = LOCAL) -> bool:
    """Whether the app behind the doors is reached; otherwise they answer by themselves."""
    reached, answer = _answer(scope, settings)
    assert reached or answer["status"] == 403
    return reached


def _scope(
    kind: str, client: tuple[str, int] | None, *headers: tuple[bytes, bytes] | bytes, path: str = "/", **changed: Any
) -> dict[str, Any]:
    """A request by its caller and headers: pairs, or names whose value does not matter."""
    pairs = [header if isinstance(header, tuple) else (header, b"x") for header in headers]
    host = [] if any(name == b"host" for name, _ in pairs) else [(b"host", b"localhost:8501")]
    extensions = {"websocket.http.response": {}}
    scheme = "http" if kind == "http" else "ws"
    whole = {"type": kind, "scheme": scheme, "path": path, "client": client, "headers": [*host, *pairs]}
    whole |= {"method": "GET"} if kind == "http" else {}
    return {**whole, "extensions": extensions, **changed}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_let_in(kind: str, address: str) -> None:
    """Every loopback address is this machine."""
    assert _let_in(_scope(kind, (address, 4711)))


OTHERS = ["10.0.0.5", "192.168.1.9", "203.0.113.9", "0.0.0.0", "fe80::1", "2001:db8::1", "localhost", "", "testclient"]  # noqa: S104 -- where requests come from


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("address", OTHERS)
def test_others_are_refused(kind: str, address: str) -> None:
    """Any other address, and what is no address, is another machine."""
    assert not _let_in(_scope(kind, (address, 4711)))


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_nobody_is_refused(kind: str) -> None:
    """A caller without an address, as behind a Unix socket, is not known to be here."""
    assert not _let_in(_scope(kind, None))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("header", [b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"forwarded"])
def test_forwarders_are_refused(kind: str, header: bytes) -> None:
    """A header that forwarders set gives them away, whatever address they have."""
    assert not _let_in(_scope(kind, ("127.0.0.1", 4711), b"accept", header))


def test_the_lifespan_is_no_caller() -> None:
    """The server's own start and end pass, as they are."""
    reached, answer = _answer({"type": "lifespan"}, LOCAL)
    assert reached
    assert answer["headers"] == []


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_where_people_sign_in_they_may_be_elsewhere(kind: str) -> None:
    """With oidc and proxy, other machines and what forwards for them are answered; the sign-in says who it is."""
    host = (b"host", b"registry.example.com")
    assert _let_in(_scope(kind, ELSEWHERE, host, b"x-forwarded-for"), OIDC)
    secret = (b"x-registry-proxy-secret", SECRET.encode())
    assert _let_in(_scope(kind, ELSEWHERE, host, secret, b"x-forwarded-for"), PROXY)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-registry-proxy-secret", b"")],
        [(b"x-registry-proxy-secret", SECRET.encode() + b"x")],
        [(b"x-registry-proxy-secret", b"\xff")],
        [(b"x-registry-proxy-secret", SECRET.encode())] * 2,
        [(b"x-registry-proxy-secret", SECRET.encode()), b"x-forwarded-email", b"x-forwarded-email"],
        [(b"x-registry-proxy-secret", SECRET.encode()), b"x-forwarded-groups", b"x-forwarded-groups"],
    ],
    ids=["none", "empty", "wrong", "no text", "twice", "two people", "two lists of groups"],
)
def test_only_the_proxy_is_answered(kind: str, headers: list[Any]) -> None:
    """Without its secret, or with a header twice that it sends once, not even from this machine."""
    assert not _let_in(_scope(kind, HERE, *headers), PROXY)


HOSTS = [
    "localhost",
    "localhost:8501",
    "LOCALHOST",
    "127.0.0.1:8501",
    "[::1]:8501",
    "registry-0123456789abcdef.localhost:8501",
    "registry.example.com",
    "registry.example.com.",
]
OTHER_HOSTS = [
    "",
    "evil.example",
    "evillocalhost",
    "localhost.evil.example",
    "registry.example.com.evil.example",
    "evil.example/registry.example.com",
    "x@localhost",
    "localhost:x",
    "[::1",
    "localhost, evil.example",
    "127.0.0.1.nip.io",
]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(("hosts", "is_let_in"), [(HOSTS, True), (OTHER_HOSTS, False)], ids=["ours", "others"])
def test_names_that_it_is_served_under(kind: str, hosts: list[str], is_let_in: bool) -> None:
    """This machine's own and the public ones; a name that others point here is refused."""
    found = {host: _let_in(_scope(kind, HERE, (b"host", host.encode()))) for host in hosts}
    assert found == dict.fromkeys(hosts, is_let_in)


def test_a_request_has_one_host() -> None:
    """None, or a second one, which another reader could take instead, is refused."""
    assert not _let_in(_scope("http", HERE, (b"host", b"localhost"), (b"host", b"evil.example")))
    assert not _let_in(_scope("http", HERE, headers=[]))


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        (None, True),
        ("http://localhost:8501", True),
        ("https://registry.example.com", True),
        ("https://Registry.Example.com", True),
        ("https://registry.example.com:443", True),
        ("https://registry.example.com:9999", False),
        ("http://registry.example.com", False),
        ("http://[", False),
        ("http://localhost:3000", False),
        ("http://127.0.0.1:8501", False),
        ("https://evil.example", False),
        ("https://registry.example.com.evil.example", False),
        ("null", False),
    ],
)
def test_only_our_own_pages_connect(origin: str | None, is_let_in: bool) -> None:
    """Not those of another port of this machine either, with whose requests the browser would send our cookie."""
    headers = [] if origin is None else [(b"origin", origin.encode())]
    assert _let_in(_scope("websocket", HERE, *headers)) == is_let_in


AUTHS = pytest.mark.parametrize("settings", [LOCAL, OIDC, PROXY], ids=["local", "oidc", "proxy"])
ORIGINS = [
    *(f"{scheme}://{host}" for host in [*HOSTS, *OTHER_HOSTS] for scheme in ("http", "https", "ws", "HTTPS")),
    *("https://registry.example.com:443", "https://Registry.Example.com:443", "http://registry.example.com:80"),
    *("https://registry.example.com:9", "http://localhost:9", "http://10.0.0.5:8501", "http://203.0.113.9"),
    *(
        "",
        "null",
        "http://[",
        "://localhost:8501",
        "localhost:8501",
        "http://localhost:8501/",
        "http://x@localhost:8501",
    ),
]
ASKED = ["localhost", "localhost:8501", "LOCALHOST:8501", "127.0.0.1:8501", "[::1]:8501", "registry.example.com"]
ASKED += ["registry.example.com:443", "registry.example.com:80", "registry.example.com:8501", "Registry.Example.com"]
ASKED += ["registry-0123456789abcdef.localhost:8501"]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of this machine's addresses Streamlit looked up; the one by asking another host on the internet."""
    asked: list[str] = []
    monkeypatch.setattr(net_util, "get_internal_ip", lambda: asked.append("internal"))
    monkeypatch.setattr(net_util, "get_external_ip", lambda: asked.append("external"))
    return asked


@AUTHS
@pytest.mark.parametrize("host", ASKED)
def test_no_origin_makes_the_server_ask_others(
    settings: Settings, host: str, lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit takes what the doors let in unchanged, and is not asked about the rest; with no Origin neither."""
    hosts = config.get_options_for_section("server") | {"allowedHosts": allowed_hosts(settings)}
    monkeypatch.setattr(config, "get_option", lambda name: hosts[name.removeprefix("server.")])
    secret = (b"x-registry-proxy-secret", SECRET.encode())
    judged: dict[str, bool] = {}

    async def streamlit(scope: Any, _receive: Any, send: Any) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        judged[str(origin)] = starlette_websocket._is_origin_allowed(origin, headers.get("host"))
        await send({"type": "websocket.accept", "headers": []})

    for origin in (None, f"http://{host}", *ORIGINS):
        pairs = [secret, (b"host", host.encode()), *([] if origin is None else [(b"origin", origin.encode())])]
        _answer(_scope("websocket", HERE, *pairs), settings, streamlit)
    assert {"None", "https://registry.example.com:443", f"http://{host}"} <= judged.keys()
    assert dict.fromkeys(judged, True) == judged
    assert lookups == []


def test_control_a_lookup_would_be_seen(lookups: list[str]) -> None:
    """What Streamlit does with an Origin of another port by itself."""
    assert not starlette_websocket._is_origin_allowed("https://registry.example.com:9", "localhost")
    assert lookups == ["internal", "external"]


def test_the_start_asks_nobody(lookups: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The address that the server prints is in its settings."""
    bootstrap._print_url(is_running_hello=False)
    assert "http://localhost:" in capsys.readouterr().out
    assert lookups == []


@pytest.mark.parametrize(
    ("host", "origin", "is_let_in"),
    [
        ("registry.example.com", "https://registry.example.com:443", True),
        ("registry.example.com:443", "https://registry.example.com", True),
        ("registry.example.com:80", "http://registry.example.com", True),
        ("registry.example.com:443", "http://registry.example.com", False),
        ("registry.example.com", "http://registry.example.com:443", False),
        ("registry.example.com:8501", "http://registry.example.com", False),
        ("localhost:8501", "ws://localhost:8501", False),
        ("localhost:8501", "", False),
    ],
)
def test_a_default_port_may_be_left_out(host: str, origin: str, is_let_in: bool) -> None:
    """That of the Origin's own scheme, and of no other."""
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    assert _let_in(_scope("websocket", HERE, *headers)) == is_let_in


METHODS = ["GET", "HEAD", "OPTIONS"]
OTHER_METHODS = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", ""]


@AUTHS
@pytest.mark.parametrize(("methods", "is_let_in"), [(METHODS, True), (OTHER_METHODS, False)], ids=["read", "change"])
def test_only_what_reads_is_answered(settings: Settings, methods: list[str], is_let_in: bool) -> None:
    """No page sends anything but by its WebSocket, and what is sent with a request is not read."""
    secret = (b"x-registry-proxy-secret", SECRET.encode())
    found = {method: _let_in(_scope("http", HERE, secret, method=method), settings) for method in methods}
    assert found == dict.fromkeys(methods, is_let_in)


@pytest.mark.parametrize("method", [*METHODS, "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/_stcore/upload_file/s/f", "/base/_stcore/upload_file/s/f", "/_stcore/upload_file"])
def test_there_is_nothing_to_upload_to(method: str, path: str) -> None:
    """For nobody, by whatever method and below whatever path; the connection ends, whatever is still being sent."""
    reached, answer = _answer(_scope("http", HERE, path=path, method=method), LOCAL)
    assert (False, 403) == (reached, answer["status"])
    assert (b"connection", b"close") in answer["headers"]


@AUTHS
@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout/", "//auth/logout"])
@pytest.mark.parametrize(
    ("sites", "is_let_in"),
    [
        (["same-origin"], True),
        (["same-site"], False),
        (["cross-site"], False),
        (["none"], False),
        ([""], False),
        ([], False),
        (["cross-site", "same-origin"], False),
    ],
    ids=["own page", "another port", "another site", "no page", "empty", "unknown", "both"],
)
def test_only_our_own_pages_sign_out(settings: Settings, path: str, sites: list[str], is_let_in: bool) -> None:
    """By what the browser says of where a request comes from, which no page can change. An address that was typed is
    refused as well: the button ends the sign-in on the server first."""
    secret = (b"x-registry-proxy-secret", SECRET.encode())
    said = [(b"sec-fetch-site", site.encode()) for site in sites]
    assert _let_in(_scope("http", HERE, secret, *said, path=path), settings) == is_let_in


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "//_stcore/metrics"])
def test_metrics_are_for_this_machine(path: str) -> None:
    """Asked for here and not through something that forwards. Where others sign in they are open to nobody: what
    forwards for them may be on this machine, too, and need not say so."""
    assert _let_in(_scope("http", HERE, path=path), LOCAL)
    assert not _let_in(_scope("http", ELSEWHERE, path=path), LOCAL)
    assert not _let_in(_scope("http", HERE, b"x-forwarded-for", path=path), LOCAL)
    secret = (b"x-registry-proxy-secret", SECRET.encode())
    for client in (HERE, ELSEWHERE):
        assert not _let_in(_scope("http", client, path=path), OIDC)
        assert not _let_in(_scope("http", client, secret, path=path), PROXY)


@pytest.mark.parametrize("client", [HERE, ELSEWHERE], ids=["answer", "refusal"])
def test_every_answer_carries_the_security_headers(client: tuple[str, int]) -> None:
    """Refusals too; no other host is named in the policy."""
    _, answer = _answer(_scope("http", client), LOCAL)
    sent = {name.decode(): value.decode() for name, value in answer["headers"]}
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= sent.items()
    assert "frame-ancestors 'none'" in sent["content-security-policy"]
    assert "//" not in sent["content-security-policy"].replace("+/", "")
    assert "strict-transport-security" not in sent


@pytest.mark.parametrize(
    ("host", "proto", "is_sent"),
    [
        (b"registry.example.com", b"https", True),
        (b"registry.example.com", b"http", False),
        (b"localhost", b"https", False),
    ],
)
def test_https_is_asked_for_where_it_is_served(host: bytes, proto: bytes, is_sent: bool) -> None:
    """Under a public name and by https; this machine's own names have to go on working without."""
    _, answer = _answer(_scope("http", ELSEWHERE, (b"host", host), (b"x-forwarded-proto", proto)), OIDC)
    assert (b"strict-transport-security" in dict(answer["headers"])) == is_sent
