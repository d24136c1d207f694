"""Until people sign in, only this machine is let in, however the server was started."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class LoopbackOnly:
    """Refuses every HTTP and WebSocket request that comes from another machine, or through something that forwards."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_local(scope):
            refusal = PlainTextResponse("This dashboard has no sign-in and answers only on its own machine.", 403)
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    forwarded = any(name.startswith(b"x-forwarded-") or name == b"forwarded" for name, _ in scope.get("headers", ()))
    try:
        return client is not None and ip_address(client[0]).is_loopback and not forwarded
    except ValueError:
        return False
