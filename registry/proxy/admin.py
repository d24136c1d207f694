"""The LiteLLM proxy over HTTP: the only place that speaks to its administration.

Its contract was tried on LiteLLM 1.106.2, see docs/proxy.md. What it answers is never repeated in an error, since it
may quote what it was sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from registry.errors import ProxyError
from registry.secrecy import Unpickled
from registry.store import forks

if TYPE_CHECKING:
    import httpx

PARALLEL = 16
"""Requests at a time. The proxy handles changes one after the other, but a far one is reached sooner."""

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0  # the slowest change that was seen, on a proxy of a thousand models, took two
_WHOLE_SECONDS = 20.0  # for all of an answer, however it comes in
_MOST = 32 * 1024 * 1024  # bytes of an answer: a listing has less than two thousand for a model


@dataclass(frozen=True, slots=True)
class Entry:
    """A deployment as the proxy lists it: never with its key.

    ``registry`` is the stamp of the registry that made it, None on entries that no registry made.
    """

    id: str
    alias: str
    params: Mapping[str, Any]
    registry: str | None
    is_blocked: bool = False


@dataclass(frozen=True, slots=True)
class Registration(Unpickled):
    """A deployment to register. ``params`` hold the key in clear and are not shown."""

    id: str
    alias: str
    params: Mapping[str, Any] = field(repr=False)
    mode: str
    registry: str


class UnansweredError(ProxyError):
    """The request may or may not have been carried out."""


class TimedOutError(UnansweredError):
    """No answer came in time. Nobody waits for a second try: an administrator does, with every change."""


class UnreachableError(ProxyError):
    """Nothing gets through: no further request is worth a try."""


class ProxyApi(forks.Watcher):
    """The proxy's administration. Safe to use from several threads; nothing is sent before the first call.

    Args:
        url: root of the proxy.
        key: its master key.
    """

    def __init__(self, url: str, key: SecretStr) -> None:
        self.url = url
        self.key = key
        self._of_parent: object = None
        forks.watch(self)

    def __repr__(self) -> str:
        return f"<ProxyApi {self.url}>"

    def after_fork_in_child(self) -> None:
        """Connect on its own; the parent's connections are kept, since to collect them would be to close them."""
        self._of_parent = self.__dict__.pop("_client", None), self._of_parent

    def entries(self) -> list[Entry]:
        """All deployments, in one request.

        Raises:
            ProxyError: it cannot be reached, refuses the master key, or answers as no LiteLLM proxy does.
        """
        return self._listed("/model/info", {})

    def entries_of(self, alias: str) -> list[Entry]:
        """The deployments of one alias, whatever the number of others.

        Raises:
            ProxyError: as `entries`.
        """
        found = self._listed("/v2/model/info", {"model": alias, "size": 1000})
        return [entry for entry in found if entry.alias == alias]

    def add(self, new: Registration) -> None:
        """Make sure that a deployment is registered.

        After an answer that is lost or an error of the proxy's own, the deployment may be there, or be saved where
        nobody sees it and block its id: so look, remove what is in the way, and try once more.

        Raises:
            ProxyError: it is not registered.
        """
        try:
            self._create(new)
        except UnansweredError as error:
            if any(entry.id == new.id for entry in self.entries_of(new.alias)):
                return
            if isinstance(error, TimedOutError):
                raise
            self.delete(new.id)
            self._create(new)

    def delete(self, id: str) -> None:
        """Make sure that no deployment has this id; that there is none is as good.

        Raises:
            ProxyError: it may still be there.
        """
        try:
            self._remove(id)
        except TimedOutError:
            raise
        except UnansweredError:
            self._remove(id)

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    def _create(self, new: Registration) -> None:
        info = {"id": new.id, "mode": new.mode, "registry": new.registry}
        body = {"model_name": new.alias, "litellm_params": dict(new.params), "model_info": info}
        self._sent(lambda client: client.post("/model/new", json=body))

    def _remove(self, id: str) -> None:
        self._sent(lambda client: client.post("/model/delete", json={"id": id}), is_done=_is_not_found)

    def _listed(self, path: str, query: Mapping[str, Any]) -> list[Entry]:
        answer = self._sent(lambda client: client.get(path, params=query))
        try:
            return [_entry(row) for row in answer.json()["data"]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ProxyError(
                f"{self.url} does not answer as a LiteLLM proxy does. Check LITELLM_PROXY_URL: it is the proxy's root, "
                "without a path."
            ) from None

    def _sent(
        self, send: Callable[[httpx.Client], httpx.Response], is_done: Callable[[httpx.Response], bool] | None = None
    ) -> httpx.Response:
        # imported here: code that uses no proxy must not pay for it
        import httpx

        no_url = (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)  # the last: a host that cannot be encoded
        try:
            answer = send(self._client)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, *no_url):
            raise UnreachableError(
                f"The LiteLLM proxy at {self.url} cannot be reached. Check that it runs and LITELLM_PROXY_URL is right."
            ) from None
        except httpx.TimeoutException:
            raise TimedOutError("The LiteLLM proxy did not answer in time. Try again.") from None
        except httpx.HTTPError:
            raise UnansweredError("The connection to the LiteLLM proxy broke off. Try again.") from None
        if not answer.is_success and not (is_done and is_done(answer)):
            raise _refusal(answer.status_code)
        return answer

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        from registry.probe.transport import Bounded

        key = self.key.get_secret_value()
        if not (key.isascii() and key.isprintable()):
            # else httpx would raise errors that quote it
            raise UnreachableError("LITELLM_MASTER_KEY holds characters that no key has. Set it to the proxy's own.")
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            transport=Bounded(ssl.create_default_context(), _WHOLE_SECONDS, _MOST, PARALLEL),
            trust_env=False,  # the master key goes to the proxy, not through what the environment names
        )


def _entry(row: Mapping[str, Any]) -> Entry:
    info, stamp = row["model_info"], row["model_info"].get("registry")
    return Entry(
        id=str(info["id"]),
        alias=str(row["model_name"]),
        params=dict(row["litellm_params"]),
        registry=stamp if isinstance(stamp, str) else None,
        is_blocked=bool(info.get("blocked")),
    )


def _is_not_found(answer: httpx.Response) -> bool:
    return answer.status_code in (400, 404) and b"not found in db" in answer.content


def _refusal(status: int) -> ProxyError:
    if status in (401, 403):
        return UnreachableError("The LiteLLM proxy refuses LITELLM_MASTER_KEY. Set it to the proxy's own master key.")
    if status == 429:
        return UnansweredError("The LiteLLM proxy has too much to do (429). Try again in a moment.")
    if status >= 500:
        return UnansweredError(
            f"The LiteLLM proxy failed ({status}). Its log says why. It needs STORE_MODEL_IN_DB=True and a database."
        )
    if status in (301, 302, 303, 307, 308):
        return ProxyError("The LiteLLM proxy sends requests elsewhere. Set LITELLM_PROXY_URL to where it really is.")
    return ProxyError(f"The LiteLLM proxy refused the request ({status}). Its log says why.")
