"""The client of the LiteLLM proxy's administration API, and the only code that calls it.

The API's behaviour was verified with LiteLLM 1.106.2, see docs/proxy.md. Errors never repeat a response, since it can
quote the request.
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
"""Concurrent requests. The proxy handles changes one by one, but concurrency hides the network's latency."""

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0  # the slowest change that was seen, on a proxy of a thousand models, took two
_WHOLE_SECONDS = 20.0  # for a complete response
_MOST = 32 * 1024 * 1024  # bytes of a response: a listing has less than two thousand for a model


@dataclass(frozen=True, slots=True)
class Entry:
    """A deployment as the proxy lists it, without its key.

    ``registry`` is the id of the registry that made it; None if no registry did.
    """

    id: str
    alias: str
    params: Mapping[str, Any]
    registry: str | None
    is_blocked: bool = False


@dataclass(frozen=True, slots=True)
class Registration(Unpickled):
    """A deployment to register. ``params`` holds the key in clear and is left out of the repr."""

    id: str
    alias: str
    params: Mapping[str, Any] = field(repr=False)
    mode: str
    registry: str


class UnansweredError(ProxyError):
    """There was no usable response: the request may or may not have been carried out."""


class TimedOutError(UnansweredError):
    """No response came in time. The request is not repeated: a user waits for it with every change."""


class UnreachableError(ProxyError):
    """No request can succeed: the proxy cannot be reached, or refuses the master key."""


class ProxyApi(forks.Watcher):
    """The proxy's administration API. Safe to use from several threads; nothing is sent before the first call.

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
        """Drop the client, but keep a reference to it: garbage collection would close the parent's connections."""
        self._of_parent = self.__dict__.pop("_client", None), self._of_parent

    def entries(self) -> list[Entry]:
        """All deployments, in one request.

        Raises:
            ProxyError: the proxy cannot be reached, refuses the master key, or does not answer as LiteLLM does.
        """
        return self._listed("/model/info", {})

    def entries_of(self, alias: str) -> list[Entry]:
        """The deployments of one alias, without listing the others.

        Raises:
            ProxyError: as `entries`.
        """
        found = self._listed("/v2/model/info", {"model": alias, "size": 1000})
        return [entry for entry in found if entry.alias == alias]

    def add(self, new: Registration) -> None:
        """Register a deployment; succeed if it is registered already.

        After a lost response or an internal error of the proxy, the deployment can be registered, or saved but not
        listed, which blocks its id. So this looks it up, deletes a hidden one, and tries once more.

        Raises:
            ProxyError: the deployment is not registered, or it is not known whether it is.
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
        """Delete the deployment with this id; succeed if there is none.

        Raises:
            ProxyError: the deployment may still exist.
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

        no_url = (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)  # UnicodeError: the host cannot be encoded
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
            # httpx would raise errors that quote it
            raise UnreachableError("LITELLM_MASTER_KEY holds characters that no key has. Set it to the proxy's own.")
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            transport=Bounded(ssl.create_default_context(), _WHOLE_SECONDS, _MOST, PARALLEL),
            trust_env=False,  # the master key must not pass through an HTTP proxy from the environment
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
        return UnansweredError("The LiteLLM proxy is overloaded (429). Try again in a moment.")
    if status >= 500:
        return UnansweredError(
            f"The LiteLLM proxy failed ({status}). Its log says why. It needs STORE_MODEL_IN_DB=True and a database."
        )
    if status in (301, 302, 303, 307, 308):
        return ProxyError("The LiteLLM proxy redirects requests. Set LITELLM_PROXY_URL to the proxy's own address.")
    return ProxyError(f"The LiteLLM proxy refused the request ({status}). Its log says why.")
