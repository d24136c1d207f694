"""Makes one call of a model with LiteLLM and evaluates the response, in a process that does nothing else.

The only file that imports litellm. LiteLLM's clients follow redirects and read addresses from the environment; here
each call goes through `registry.probe.transport`, which does neither. This patches LiteLLM for the whole process and
parses untrusted responses: so it runs only in the processes of `registry.probe.process`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from registry.catalog import endpoints
from registry.catalog.egress import Policy
from registry.catalog.providers import PROVIDERS
from registry.probe import diagnosis
from registry.probe.scrub import scrub
from registry.records import Kind, ModelType

if TYPE_CHECKING:
    import httpx

    from registry.probe.process import Say
    from registry.probe.transport import Exchange

MOST_READ: Final = 64 * 1024
"""The number of characters of an error or a reply that are examined."""
_PREVIEW: Final = 100
_KIND_OF_FAILURE: Final = {"dns": Kind.UNREACHABLE, "broken": Kind.BAD_ANSWER}
"""Failures of a transport that are no kinds themselves."""
_ASKS: Final = {
    ModelType.GENERATION: "Answer with the one word: ready",
    ModelType.NER: 'Name the persons and places in this text as JSON like {"persons": [], "places": []}, '
    "without any other word: Ada Lovelace was born in London.",
}
# LiteLLM calls these with the OpenAI SDK, whose HTTP client is set in another way
_BY_SDK: Final = {
    ModelType.EMBEDDING: ("openai", "azure", "mistral"),
    ModelType.GENERATION: ("openai", "azure", "dashscope"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """A call to make. It has no repr, since the parameters hold the key.

    Attributes:
        params: LiteLLM's arguments: ``model``, ``api_base``, ``api_key`` and the provider's other fields.
        secrets: texts to remove from the response.
        config: the model's parameters that a test checks.
        max_tokens: the longest answer to request, in tokens.
        seconds: the time limit.
        policy: the entries of the outbound policy, allowed and denied; None if the proxy is called, to which it does
            not apply.
    """

    type: str
    params: Mapping[str, Any]
    secrets: tuple[str, ...]
    config: Mapping[str, Any]
    max_tokens: int
    seconds: float
    policy: tuple[Sequence[str], Sequence[str]] | None

    @property
    def by_proxy(self) -> bool:
        return self.policy is None


@dataclass(frozen=True, slots=True)
class _Heard:
    """The response to a call, or the error."""

    answer: Any
    exchange: Exchange | None
    said: str
    latency_ms: int

    @property
    def status(self) -> int:
        return self.exchange.status if self.exchange else 0


def load() -> Iterator[None]:
    """Import LiteLLM; then, at each step, load what LiteLLM loads only with the first call of a provider."""
    import litellm  # noqa: TID251 -- here

    litellm.telemetry = False
    return _rest()


def _rest() -> Iterator[None]:
    import httpx

    class Nowhere(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("Not sent.", request=request)

    for provider in PROVIDERS.values():
        for kind in provider.types:
            given = dict.fromkeys(provider.connection, "x")
            params = provider.litellm_params(kind, "x", "http://127.0.0.1:1", given, SecretStr("x"))
            with httpx.Client(transport=Nowhere()) as client, suppress(Exception):
                _asked(Call(kind, params, (), {}, 1, 1, None), client)
            yield


def make(argument: Mapping[str, Any], say: Say) -> None:
    """Call a model; report the failure of each exchange, empty if none, and at the end the fields of a `Finding`."""
    call = Call(**argument)
    heard = _heard(call, lambda exchange: say(exchange.failure))
    is_cooling_down = diagnosis.is_cooling_down(heard.status, heard.said)
    shared = {"latency_ms": heard.latency_ms, "status": heard.status, "is_cooling_down": is_cooling_down}
    say({**shared, **_found(call, heard)})


def _heard(call: Call, report: Callable[[Exchange], None]) -> _Heard:
    import httpx

    from registry.probe.transport import OneOrigin

    values = [value for value in call.params.values() if isinstance(value, str)]
    policy = Policy(*call.policy) if call.policy else None
    transport = OneOrigin(endpoints.origin(call.params["api_base"]), policy, call.seconds, values, report)
    answer, said = None, ""
    with httpx.Client(transport=transport, trust_env=False, follow_redirects=False, timeout=call.seconds) as client:
        try:
            answer = _asked(call, client)
        except Exception as error:  # noqa: BLE001 -- LiteLLM can raise any exception
            said = str(error)[:MOST_READ]
    sent = [exchange for exchange in transport.exchanges if exchange.failure != "elsewhere"] or transport.exchanges
    if sent:  # the response itself is more precise than LiteLLM's error
        said = sent[-1].body[:MOST_READ].decode("utf-8", "replace")
    return _Heard(answer, sent[-1] if sent else None, said, round(transport.seconds * 1000))


def _asked(call: Call, client: httpx.Client) -> Any:
    import litellm  # noqa: TID251 -- here
    from litellm import main  # noqa: TID251 -- its public functions may hand over to native code, these do not
    from litellm.caching.llm_caching_handler import LLMClientCache  # noqa: TID251 -- here
    from litellm.llms.custom_httpx import http_handler  # noqa: TID251 -- here

    # some of LiteLLM's calls take no client and use one of the module's: the property that all of them read is the only
    # place to set ours
    handler: Any = http_handler.HTTPHandler
    handler.client = handler.client.getter(lambda _: client)
    settings: Any = litellm
    settings.in_memory_llm_clients_cache = LLMClientCache()
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
    if prefix in _BY_SDK[ModelType.EMBEDDING if call.type == ModelType.EMBEDDING else ModelType.GENERATION]:
        options["client"] = _sdk_client(prefix, call.params, client)
    if call.type == ModelType.EMBEDDING:
        return main.embedding(input=["ready"], **options)
    if call.by_proxy:
        options["extra_body"] = {"drop_params": True}
    if call.config.get("response_format") == "json":
        options["response_format"] = {"type": "json_object"}
    messages = [{"role": "user", "content": _ASKS[ModelType(call.type)]}]
    return main.completion(messages=messages, max_tokens=call.max_tokens, **options)


def _sdk_client(prefix: str, params: Mapping[str, Any], client: httpx.Client) -> Any:
    import openai

    azure, kind = prefix == "azure", openai.AzureOpenAI if prefix == "azure" else openai.OpenAI
    # LiteLLM sets two retries on the client of an embedding call even if max_retries is 0
    once = type("Once", (kind,), {"max_retries": property(lambda _: 0, lambda *_: None)})
    shared = {"api_key": params["api_key"], "http_client": client}
    if azure:
        made = once(azure_endpoint=params["api_base"], api_version=params["api_version"], **shared)
        made._azure_ad_token = None  # a token from the environment would be sent instead of the key
        return made
    return once(base_url=params["api_base"], organization=params.get("organization"), **shared)


def _kind(call: Call, heard: _Heard) -> Kind:
    exchange = heard.exchange
    if exchange is None:
        return Kind.NOT_SENT
    if exchange.failure:
        if call.by_proxy and exchange.failure not in ("timeout", "elsewhere"):
            return Kind.PROXY_DOWN
        return _KIND_OF_FAILURE.get(exchange.failure) or Kind(exchange.failure)
    read = diagnosis.kind_from_proxy if call.by_proxy else diagnosis.kind_of_answer
    return read(exchange.status, heard.said)


def _found(call: Call, heard: _Heard) -> dict[str, Any]:
    if heard.answer is None or heard.exchange is None:  # a response without an exchange is not from the endpoint
        return _failed(call, heard, _kind(call, heard))
    measure = _measured_vector if call.type == ModelType.EMBEDDING else _measured_text
    return measure(call, heard)


def _measured_vector(call: Call, heard: _Heard) -> dict[str, Any]:
    try:
        vector = [float(number) for number in heard.answer.data[0]["embedding"]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        vector = []
    if not vector or not all(map(math.isfinite, vector)):
        return _failed(call, heard, Kind.BAD_ANSWER)
    config, norm = {"dimensions": len(vector), **call.config}, round(math.hypot(*vector), 6)
    details = {"dimensions": len(vector), "norm": norm}
    if len(vector) != config["dimensions"]:
        words = {"measured": len(vector), "configured": config["dimensions"]}
        return {"kind": Kind.WRONG_DIMENSIONS, "details": details, "words": words}
    more = f": vectors of {len(vector):,} dimensions"
    if config["normalize"] and not math.isclose(norm, 1, abs_tol=0.01):
        more += f". They have the length {norm:g}, not 1: normalize them before storing them"
    return {"kind": Kind.OK, "details": details, "words": {"more": more}}


def _measured_text(call: Call, heard: _Heard) -> dict[str, Any]:
    try:
        message = heard.answer.choices[0].message
        text = str(message.content or getattr(message, "reasoning_content", None) or "")[:MOST_READ].strip()
    except (AttributeError, IndexError, TypeError):
        return _failed(call, heard, Kind.BAD_ANSWER)
    if not text:
        return _failed(call, heard, Kind.EMPTY_REPLY)
    details = {"preview": scrub(text, map(SecretStr, call.secrets), _PREVIEW)}
    is_refused = call.config.get("response_format") == "json" and not _is_json(text)
    return {"kind": Kind.INVALID_JSON if is_refused else Kind.OK, "details": details}


def _is_json(text: str) -> bool:
    """Whether a text is JSON, also inside one Markdown fence, as models without a JSON mode write it."""
    first, _, rest = text.partition("\n")
    inner = rest.removesuffix("```").rstrip(" \t")
    is_fenced = first.rstrip().lower() in ("```", "```json") and rest.endswith("```") and inner.endswith("\n")
    try:
        json.loads(inner if is_fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


def _failed(call: Call, heard: _Heard, kind: Kind) -> dict[str, Any]:
    said = diagnosis.words(heard.said) if heard.answer is None and kind not in diagnosis.UNQUOTED else ""
    shown = scrub(said, map(SecretStr, call.secrets))
    return {"kind": kind, "details": {"answer": shown} if shown else {}}
