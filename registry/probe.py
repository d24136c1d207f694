"""The connection test: one real call of a model, through the LiteLLM proxy where there is one, else directly.

The only file that imports litellm, and only when a test is made. LiteLLM's clients follow redirects and read addresses
from the environment; here each call goes through `registry.transport`, which does neither.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import json
import logging
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import SecretStr

from registry import diagnosis, endpoints
from registry.called import MOST_TOKENS
from registry.egress import Policy
from registry.errors import ProxyError, SettingsError
from registry.plan import mode_of
from registry.providers import PROVIDERS
from registry.records import ModelType, TestResult
from registry.scrub import scrub
from registry.specs import ModelCreate

if TYPE_CHECKING:
    import httpx

    from registry.transport import Exchange, OneOrigin

SECONDS: Final = {ModelType.EMBEDDING: 10, ModelType.GENERATION: 15, ModelType.NER: 15}
COOL_DOWN: Final = 5.5
"""Seconds for which LiteLLM's proxy benches a model after a failure, and a little more."""
_PREVIEW: Final = 100
_ASKS: Final = {
    ModelType.GENERATION: "Answer with the one word: ready",
    ModelType.NER: 'Name the persons and places in this text as JSON like {"persons": [], "places": []}, '
    "without any other word: Ada Lovelace was born in London.",
}
# for these LiteLLM calls the OpenAI SDK, which takes its HTTP client in another way
_BY_SDK: Final = {
    ModelType.EMBEDDING: ("openai", "azure", "mistral"),
    ModelType.GENERATION: ("openai", "azure", "dashscope"),
}
_LOGGERS: Final = (
    "LiteLLM",
    "LiteLLM Router",
    "LiteLLM Proxy",
    "openai._base_client",
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
)
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.I | re.S)
_MAP_IS_LOCAL: Final = "LITELLM_LOCAL_MODEL_COST_MAP"
_loading = threading.Lock()


def _renew_lock() -> None:
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True, slots=True)
class _Guard:
    """What LiteLLM uses during a test, in its thread: our HTTP client, and a cache of SDK clients that ends with it."""

    client: httpx.Client
    clients: Any


_guarded: contextvars.ContextVar[_Guard | None] = contextvars.ContextVar("registry_probe", default=None)


class _Clients:
    """LiteLLM's cache of SDK clients, in the place of ``own``. What a test puts there is closed with the test, and must
    not be met by calls that others make."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        guard = _guarded.get()
        return getattr(guard.clients if guard else self._own, name)


class Carrier(Protocol):
    """The LiteLLM proxy, as far as a test needs it."""

    @property
    def url(self) -> str: ...

    @property
    def key(self) -> SecretStr: ...

    def alias(self, model_id: str) -> str:
        """What it serves a registered model as."""

    def temporary(self, params: Mapping[str, Any], mode: str) -> AbstractContextManager[str]:
        """Serve a model for a while, under the alias that comes out, and remove it whatever happens.

        Args:
            params: what LiteLLM calls the model with, its key in clear.
            mode: ``chat`` or ``embedding``.

        Raises:
            ProxyError: the proxy did not take it.
        """


@dataclass(frozen=True, slots=True, repr=False)
class _Call:
    """What is called, and what is said about it. Without a repr: the parameters hold the key."""

    spec: ModelCreate
    params: Mapping[str, Any]
    secrets: tuple[SecretStr | None, ...]
    by_proxy: bool
    policy: Policy | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Heard:
    """The answer to a call, or what came instead of it."""

    answer: Any
    exchange: Exchange | None
    said: str
    latency_ms: int

    @property
    def status(self) -> int:
        return self.exchange.status if self.exchange else 0


def run(
    spec: ModelCreate,
    served_id: str | None,
    carrier: Carrier | None,
    policy: Policy,
    wait: Callable[[float], None] = time.sleep,
) -> TestResult:
    """Call a model once and say how far it came.

    Args:
        spec: the whole model, checked, with its key.
        served_id: its id, where the proxy serves exactly this already.
        carrier: the proxy, None to call the provider directly.
        wait: how the proxy's cool-down is waited out.

    Raises:
        SettingsError: LiteLLM is not installed. Whatever else happens is a result.
    """
    load()
    direct = PROVIDERS[spec.provider].litellm_params(
        spec.type, spec.model_id, spec.api_endpoint, _given(spec.connection), spec.api_key
    )
    seconds = min(SECONDS[spec.type], spec.config.get("timeout_seconds", math.inf))
    if carrier is None:
        return _told(_Call(spec, direct, (spec.api_key,), False, policy, seconds), wait)
    secrets = (spec.api_key, carrier.key)
    mode = mode_of(spec.type)
    try:
        with nullcontext(carrier.alias(served_id)) if served_id else carrier.temporary(direct, mode) as alias:
            key = carrier.key.get_secret_value()
            params = {"model": f"openai/{alias}", "api_base": carrier.url, "api_key": key}
            return _told(_Call(spec, params, secrets, True, None, seconds), wait)
    except ProxyError as error:
        return diagnosis.result("proxy_down", 0, _quoted(error.message, secrets))


def load() -> None:
    """Import LiteLLM, which takes seconds, and make it quiet and guardable. Outside of tests it works as ever.

    Raises:
        SettingsError: it is not installed.
    """
    with _loading, _settled():  # tests may begin side by side
        _load()


@functools.cache
def _load() -> None:
    with _variable(_MAP_IS_LOCAL, "True"):  # else importing it fetches a file from the network
        try:
            import litellm  # noqa: TID251 -- here
            from litellm.llms.custom_httpx import http_handler  # noqa: TID251 -- here
        except ImportError:
            raise SettingsError(
                "Connection tests need LiteLLM, which is not installed: pip install llm-model-registry[dashboard]"
            ) from None
    settings: Any = litellm
    settings.suppress_debug_info = True
    settings.telemetry = False
    settings.in_memory_llm_clients_cache = _Clients(settings.in_memory_llm_clients_cache)
    # some of LiteLLM's calls take no client and use one of the module's: the property that all of them read is the one
    # place to put ours in, for the thread of a test only
    handler: Any = http_handler.HTTPHandler
    own: property = handler.client
    handler.client = own.getter(lambda self: guard.client if (guard := _guarded.get()) else own.__get__(self))
    # with USE_LITELLM_PROXY it would call everything as a LiteLLM proxy, with a client of its own
    by_proxy: Any = settings.LiteLLMProxyChatConfig
    asked = by_proxy.should_use_litellm_proxy_by_default
    by_proxy.should_use_litellm_proxy_by_default = staticmethod(
        lambda *args, **kwargs: not _guarded.get() and asked(*args, **kwargs)
    )
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(lambda _: _guarded.get() is None)


@contextmanager
def _settled() -> Iterator[None]:
    """Keep what LiteLLM loads in the block out of full runs of the garbage collector: they take half a second more with
    its objects, and Streamlit makes one after each click."""
    before = len(sys.modules)
    try:
        yield
    finally:
        if len(sys.modules) != before:
            gc.collect()
            gc.freeze()


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment that is not set, for as long as the block runs."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _told(call: _Call, wait: Callable[[float], None]) -> TestResult:
    heard = _heard(call)
    if call.by_proxy and diagnosis.is_cooling_down(heard.status, heard.said):
        wait(COOL_DOWN)
        heard = _heard(call)
    if heard.answer is None or heard.exchange is None:  # an answer from elsewhere says nothing
        return _failed(call, heard, _kind(call, heard))
    measure = _measured_vector if call.spec.type is ModelType.EMBEDDING else _measured_text
    return measure(call, heard)


def _heard(call: _Call) -> _Heard:
    from registry.transport import OneOrigin

    values = [value for value in call.params.values() if isinstance(value, str)]
    transport = OneOrigin(endpoints.origin(call.params["api_base"]), call.policy, call.seconds, values)
    answer, said, started = None, "", time.monotonic()
    with _settled(), _guard(transport, call.seconds) as client:
        try:
            answer = _asked(call, client)
        except Exception as error:  # noqa: BLE001 -- LiteLLM raises of any kind
            said = str(error)
    latency = round((time.monotonic() - started) * 1000)
    sent = [exchange for exchange in transport.exchanges if exchange.failure != "elsewhere"] or transport.exchanges
    if sent:  # what was sent and what came back tell more exactly what went wrong than LiteLLM's error
        said = sent[-1].body.decode("utf-8", "replace")
    return _Heard(answer, sent[-1] if sent else None, said, latency)


@contextmanager
def _guard(transport: OneOrigin, seconds: float) -> Iterator[httpx.Client]:
    import httpx

    with httpx.Client(transport=transport, trust_env=False, follow_redirects=False, timeout=seconds) as client:
        token = _guarded.set(_Guard(client, _new_clients()))
        try:
            yield client
        finally:
            _guarded.reset(token)


def _new_clients() -> Any:
    from litellm.caching.llm_caching_handler import LLMClientCache  # noqa: TID251 -- here

    return LLMClientCache()


def _asked(call: _Call, client: httpx.Client) -> Any:
    from litellm import main  # noqa: TID251 -- here; its public functions may hand over to native code, these do not

    kind = call.spec.type
    options: dict[str, Any] = {
        **call.params,
        "timeout": call.seconds,
        "max_retries": 0,
        "num_retries": 0,
        "drop_params": True,
        "no-log": True,
        "cache": {"no-cache": True, "no-store": True},
    }
    prefix = call.params["model"].partition("/")[0]
    if prefix in _BY_SDK[ModelType.EMBEDDING if kind is ModelType.EMBEDDING else ModelType.GENERATION]:
        options["client"] = _sdk_client(prefix, call.params, client)
    if kind is ModelType.EMBEDDING:
        return main.embedding(input=["ready"], **options)
    if call.by_proxy:
        options["extra_body"] = {"drop_params": True}
    if call.spec.config.get("response_format") == "json":
        options["response_format"] = {"type": "json_object"}
    longest = call.spec.config.get("max_output_tokens") or call.spec.config.get("max_tokens", MOST_TOKENS)
    messages = [{"role": "user", "content": _ASKS[kind]}]
    return main.completion(messages=messages, max_tokens=min(MOST_TOKENS, longest), **options)


def _sdk_client(prefix: str, params: Mapping[str, Any], client: httpx.Client) -> Any:
    import openai

    azure, kind = prefix == "azure", openai.AzureOpenAI if prefix == "azure" else openai.OpenAI
    # LiteLLM sets two retries on the client of an embedding call even where it is told none
    once = type("Once", (kind,), {"max_retries": property(lambda _: 0, lambda *_: None)})
    shared = {"api_key": params["api_key"], "http_client": client}
    if azure:
        made = once(azure_endpoint=params["api_base"], api_version=params["api_version"], **shared)
        made._azure_ad_token = None  # one of the environment would be sent in the place of the key
        return made
    return once(base_url=params["api_base"], organization=params.get("organization"), **shared)


def _kind(call: _Call, heard: _Heard) -> str:
    exchange = heard.exchange
    if exchange is None:
        return "not_sent"
    if exchange.failure:
        if call.by_proxy and exchange.failure not in ("timeout", "elsewhere"):
            return "proxy_down"
        return {"dns": "unreachable", "broken": "bad_answer"}.get(exchange.failure, exchange.failure)
    read = diagnosis.kind_from_proxy if call.by_proxy else diagnosis.kind_of_answer
    return read(exchange.status, heard.said)


def _measured_vector(call: _Call, heard: _Heard) -> TestResult:
    try:
        vector = [float(number) for number in heard.answer.data[0]["embedding"]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        vector = []
    if not vector or not all(map(math.isfinite, vector)):
        return _failed(call, heard, "bad_answer")
    config, norm = {"dimensions": len(vector), **call.spec.config}, round(math.hypot(*vector), 6)
    details = {"dimensions": len(vector), "norm": norm}
    if len(vector) != config["dimensions"]:
        words = {"measured": len(vector), "configured": config["dimensions"]}
        return _failed(call, heard, "wrong_dimensions", details, **words)
    more = f": vectors of {len(vector):,} dimensions"
    if config["normalize"] and not math.isclose(norm, 1, abs_tol=0.01):
        more += f". They come with the length {norm:g}, not 1: whoever stores them must normalize them"
    return diagnosis.result("ok", heard.latency_ms, details, more=more)


def _measured_text(call: _Call, heard: _Heard) -> TestResult:
    try:
        message = heard.answer.choices[0].message
        text = str(message.content or getattr(message, "reasoning_content", None) or "").strip()
    except (AttributeError, IndexError, TypeError):
        return _failed(call, heard, "bad_answer")
    if not text:
        return _failed(call, heard, "empty_reply")
    details = {"preview": scrub(text, call.secrets, _PREVIEW)}
    if call.spec.config.get("response_format") == "json" and not _is_json(text):
        return _failed(call, heard, "invalid_json", details)
    return diagnosis.result("ok", heard.latency_ms, details)


def _is_json(text: str) -> bool:
    """Also inside one Markdown fence, where models without a JSON mode put it."""
    fenced = _FENCED.fullmatch(text)
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


def _failed(
    call: _Call, heard: _Heard, kind: str, details: Mapping[str, Any] | None = None, **words: Any
) -> TestResult:
    shared = {
        "where": PROVIDERS[call.spec.provider].label,
        "by": " by the LiteLLM proxy" if call.by_proxy else "",
        "seconds": call.seconds,
        "status": heard.status,
        "type": call.spec.type,
    }
    said = diagnosis.words(heard.said) if heard.answer is None and kind not in diagnosis.UNQUOTED else ""
    return diagnosis.result(kind, heard.latency_ms, details or _quoted(said, call.secrets), **shared, **words)


def _quoted(text: str, secrets: Sequence[SecretStr | None]) -> dict[str, str]:
    """What somebody else said, as a detail; none where nothing may be shown of it."""
    shown = scrub(text, secrets)
    return {"answer": shown} if shown else {}


def _given(connection: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in connection.items() if value}
