"""Decides which requests the server answers, before any page runs, and adds security headers.

It checks each HTTP and WebSocket request, so that no way to start the server bypasses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from registry import Settings
from registry.keys.passes import LINK_MINUTES, LINK_PATH, Passes
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.ui.signin.identity import EMAIL_HEADER, GROUPS_HEADER, SECRET_HEADER, comes_from_proxy
from pages.ui.sitemap import MODELS

OWN_NAMES = ("localhost", "127.0.0.1", "::1")
UNDER_LOCALHOST = ".localhost"  # names that browsers do not look up: this machine, like localhost
METRICS = "/_stcore/metrics"
UPLOADS = "/_stcore/upload_file"
METHODS = ("GET", "HEAD", "OPTIONS")  # all that pages, Streamlit's files and the sign-in need
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
USED_LINK = Path(__file__).parent / "used_link.html"
SIGN_OUT_PATH = "/auth/logout"  # where st.logout() redirects to
PROXY_SIGN_OUT_PATH = "/oauth2/sign_out"  # oauth2-proxy's own

# The minimum that Streamlit 1.67 needs: it sets inline styles, embeds a font as data, and has one inline script, whose
# hash this is
POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
HSTS = "max-age=31536000"


class Doors:
    """Refuses clients that may not see the sign-in page, and requests that no page makes, without reading on. Adds
    security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._public = {name.lower() for name in settings.public_hosts}
        self._hosts = {*OWN_NAMES, *self._public}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        added = dict(HEADERS)
        if self._is_public_https(scope, headers):
            added["Strict-Transport-Security"] = HSTS

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(added)
            await send(message)

        app = self._refusal(scope, headers) or self._app
        await app(_with_host_of_origin(scope, headers), receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The refusal, None if there is none."""
        reason = self._stranger(scope, headers) or _needless(scope)
        # this closes the connection: the rest of the request is not read
        return PlainTextResponse(reason, 403, {"Connection": "close"}) if reason else None

    def _stranger(self, scope: Scope, headers: Headers) -> str | None:
        """Why the client is refused, None if it is not."""
        settings, is_here = self._settings, _is_here(scope, headers)
        if settings.auth == "local" and not is_here:
            return "This dashboard answers only on its own machine: its sign-in uses links from the console."
        if settings.auth == "proxy" and not _is_from_proxy(settings, headers):
            return "This dashboard answers only to its authenticating proxy."
        if _hostname("//" + headers.get("host", "")) not in self._hosts or len(headers.getlist("host")) != 1:
            return "This dashboard is not served under this name: see REGISTRY_PUBLIC_HOSTS."
        if scope["type"] == "websocket" and not self._is_own_origin(headers):
            return "Only the dashboard's own pages may connect."
        if scope["path"].rstrip("/").endswith(METRICS) and settings.auth != "local":
            return "Metrics are answered with REGISTRY_AUTH=local only."
        if scope["path"].rstrip("/").endswith(SIGN_OUT_PATH) and headers.getlist("sec-fetch-site") != ["same-origin"]:
            return "To sign out, press Sign out on a page of the dashboard."
        return None

    def _is_own_origin(self, headers: Headers) -> bool:
        """Streamlit also accepts pages on other ports of localhost, with which the browser sends our cookie."""
        origins = headers.getlist("origin")
        if not origins:
            return True  # not a browser
        scheme, _, host = origins[0].lower().partition("://")
        default = DEFAULT_PORTS.get(scheme)
        if default is None or len(origins) != 1:
            return False
        own, asked = host.removesuffix(default), headers["host"].lower().removesuffix(default)
        return own == asked or (scheme == "https" and own in self._public)

    def _is_public_https(self, scope: Scope, headers: Headers) -> bool:
        is_https = scope["scheme"] in ("https", "wss") or headers.get("x-forwarded-proto") == "https"
        return is_https and _hostname("//" + headers.get("host", "")) in self._public


def allowed_hosts(settings: Settings) -> list[str]:
    """The host names of the dashboard: this machine's own and the public ones."""
    return [*OWN_NAMES, f"*{UNDER_LOCALHOST}", *(name.lower() for name in settings.public_hosts)]


def routes(settings: Settings, passes: Passes) -> Sequence[BaseRoute]:
    """The routes beside the pages: from ``/`` to the list of models, redeeming a link, and signing out where that of
    Streamlit does not work."""

    async def start(request: Request) -> Response:
        # not by a page, whose redirect would make the browser's Back lead here again
        return RedirectResponse(MODELS.path + (f"?{request.url.query}" if request.url.query else ""), 307)

    async def sign_in(request: Request) -> Response:
        actor = passes.redeem(request.query_params.get("token", ""))
        if actor is None:
            return HTMLResponse(USED_LINK.read_text(encoding="utf-8").replace("{minutes}", str(LINK_MINUTES)), 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            passes.cookie_name,
            passes.issue("session", actor),
            max_age=settings.sign_in_hours * 3600,
            httponly=True,
            samesite="strict",
        )
        return answer

    async def sign_out(request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        cookie = request.cookies.get(passes.cookie_name)
        if cookie is not None:
            found = passes.read("session", cookie, settings.sign_in_hours * 3600)
            if found is not None:
                passes.spent.add(found.id)
            answer.delete_cookie(passes.cookie_name, httponly=True, samesite="strict")
        return answer

    async def sign_out_at_proxy(_: Request) -> Response:
        return RedirectResponse(PROXY_SIGN_OUT_PATH, 303)

    ways: list[BaseRoute] = [Route("/", start)]
    if settings.auth == "local":
        ways += [Route(LINK_PATH, sign_in), Route(SIGN_OUT_PATH, sign_out)]
    if settings.auth == "proxy":
        ways += [Route(SIGN_OUT_PATH, sign_out_at_proxy)]
    return ways


def _needless(scope: Scope) -> str | None:
    """Why a request that no page makes is refused, None if it is not."""
    if scope["type"] == "http" and scope["method"] not in METHODS:
        return f"This dashboard answers {', '.join(METHODS)} only."
    if UPLOADS in scope["path"]:
        return "This dashboard does not accept files."
    return None


def _with_host_of_origin(scope: Scope, headers: Headers) -> Scope:
    """Make a WebSocket's Host equal its Origin. If they differ, such as by a default port, Streamlit asks a host on the
    internet for this machine's address, and serves no other user meanwhile."""
    if scope["type"] != "websocket" or "origin" not in headers:
        return scope
    host = headers["origin"].partition("://")[2].encode("latin-1")
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*others, (b"host", host)]}


def is_loopback(address: str) -> bool:
    """Whether an address, of the server or of a client, is a loopback one."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_here(scope: Scope, headers: Headers) -> bool:
    """Whether the client is on this machine. Forwarded requests may be from anywhere."""
    client = scope.get("client")
    forwarded = any(name.startswith("x-forwarded-") or name == "forwarded" for name in headers)
    return client is not None and is_loopback(client[0]) and not forwarded


def _is_from_proxy(settings: Settings, headers: Headers) -> bool:
    once = all(len(headers.getlist(name)) <= 1 for name in (EMAIL_HEADER, GROUPS_HEADER))
    return once and comes_from_proxy(settings, headers.getlist(SECRET_HEADER))


def _hostname(url: str) -> str | None:
    """The host name of an address, None if it has any part besides a port."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a number
    except ValueError:
        return None
    is_plain = parts.username is None and not (parts.path or parts.query or parts.fragment)
    name = parts.hostname.rstrip(".") if parts.hostname and is_plain else None
    return "localhost" if name and name.endswith(UNDER_LOCALHOST) else name
