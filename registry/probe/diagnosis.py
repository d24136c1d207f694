"""What came out of a connection test, in words for the administrator: one kind each, with what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from registry.records import FrozenDict, TestResult

STAGES: Final = ("endpoint", "sign_in", "model", "capability")
_ENDPOINT, _SIGN_IN, _MODEL, _CAPABILITY = STAGES

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "ok": (_CAPABILITY, "It works{more}."),
    "unreachable": (
        _ENDPOINT,
        "{where} cannot be reached{by}. Check the endpoint's host and port, and that the server runs there.",
    ),
    "tls": (
        _ENDPOINT,
        "No secure connection to {where}: its certificate is not trusted here, or it speaks no TLS. "
        "Check that the endpoint's https:// is right, and the server's certificate.",
    ),
    "timeout": (
        _ENDPOINT,
        "No answer within {seconds:g} seconds. Test again: a model may have to be loaded first. "
        "If it stays so, check the endpoint and the server's load.",
    ),
    "redirected": (
        _ENDPOINT,
        "{where} redirects to another address, which is not followed with a key. Enter the final address as endpoint.",
    ),
    "elsewhere": (
        _ENDPOINT,
        "The call was meant to go to another address than the endpoint, so it was not sent. Look for a setting of "
        "LiteLLM in the environment, such as USE_LITELLM_PROXY, and remove it.",
    ),
    "not_sent": (_ENDPOINT, "LiteLLM did not send the call. Its message says why."),
    "unsafe": (
        _ENDPOINT,
        "The endpoint's name leads to an address that the outbound policy refuses. Nothing was sent. "
        "Enter the address of the model's own server.",
    ),
    "provider_down": (
        _ENDPOINT,
        "{where} answers, but with an error of its own. Wait and test again; see the provider's status page, or the "
        "server's log.",
    ),
    "bad_answer": (
        _ENDPOINT,
        "{where} answers, but not as a model does. Check the endpoint's path and the provider: this may be a web page "
        "or another service.",
    ),
    "unreadable": (
        _ENDPOINT,
        "{where} answers, but with what takes too long or too much memory to read. Check the endpoint's path and the "
        "provider: this may be another service.",
    ),
    "proxy_down": (
        _ENDPOINT,
        "The LiteLLM proxy cannot be reached, or is not working. Check LITELLM_PROXY_URL, and that the proxy runs.",
    ),
    "wrong_master_key": (
        _SIGN_IN,
        "The LiteLLM proxy refuses the master key. Set LITELLM_MASTER_KEY to the one that the proxy was started with.",
    ),
    "wrong_key": (_SIGN_IN, "{where} refuses the API key. Enter a valid key of this provider."),
    "forbidden": (
        _SIGN_IN,
        "{where} knows the key but does not let it use this model. Give the key the right to, or use another key.",
    ),
    "not_registered": (_MODEL, "The LiteLLM proxy does not serve this model yet. Sync it on the page Proxy."),
    "no_model": (
        _MODEL,
        "{where} has no such model or deployment. Check the model id, letter by letter, and the endpoint's path.",
    ),
    "rate_limited": (
        _MODEL,
        "{where} takes no more calls now: the rate limit or the credit is used up. Wait and test again, or check the "
        "account's limits.",
    ),
    "refused": (_MODEL, "{where} refuses the request (status {status}). Its answer says why."),
    "wrong_type": (
        _CAPABILITY,
        "This model is not of the type {type}. Check the model id, or register it under its own type.",
    ),
    "wrong_dimensions": (
        _CAPABILITY,
        "Its vectors have {measured:,} dimensions, but {configured:,} are configured. Set Dimensions to {measured}.",
    ),
    "empty_reply": (
        _CAPABILITY,
        "It answers, but with an empty text. Test again; if it stays so, check that this model writes text, and that "
        "max output tokens leaves room for it.",
    ),
    "invalid_json": (
        _CAPABILITY,
        "It answers, but not with valid JSON. Use a model that can, or set Response format to text.",
    ),
}

UNQUOTED: Final = ("wrong_master_key", "not_registered")
"""Where the proxy's own words add nothing, and tell part of its key."""

_LIMITS = re.compile(r"No deployments available", re.I)
_NOT_REGISTERED = re.compile(r"Invalid model name passed in model=", re.I)
_BAD_KEY = re.compile(r"API_KEY_INVALID|API key not valid|invalid[_ ]api[_ ]key|incorrect api key", re.I)
_WRONG_TYPE = re.compile(
    r"not a chat model|does ?n[o']t support (chat|generat|embed|completion)|not support(ed)? (for|with) \w*embed"
    r"|not an? embedding model|OperationNotSupported|operation does not work with the specified model"
    r"|cannot be used (for|with) (chat|embedding)",
    re.I,
)
_NO_MODEL = re.compile(
    r"model[_ ]not[_ ](found|exist)|invalid[_ ]model\b|unknown model|deployment.{0,80}does not exist"
    r"|model.{0,120}(not found|does not exist|is not available|not exist)",
    re.I | re.S,
)
_LITELLM_BEFORE = re.compile(r"^((litellm\.)?(\w+Error: |litellm\.\w+: )+(\w+Exception( \w+)? - )?)+")
_LITELLM_AFTER: Final = "LiteLLM: model group "
_BY_STATUS: Final = {401: "wrong_key", 403: "forbidden", 404: "no_model", 408: "timeout", 429: "rate_limited"}
_TLS = re.compile(r"\[SSL: |certificate verify failed|CERTIFICATE_VERIFY", re.I)
_NO_CONNECTION = re.compile(r"Connection error\.|Cannot connect to host|Connect call failed|Name or service not", re.I)
_NOT_JSON = re.compile(
    r"invalid response from LLM endpoint|Expecting value|Unable to get json|has no attribute 'model_dump'"
    r"|<!doctype|<html|KeyError|JSONDecodeError|Extra data|Unterminated string|APIConnectionError",
    re.I,
)


def kind_of_answer(status: int, body: str) -> str:
    """What an answer of a provider means, by its status and, where providers differ, its text."""
    page = body.lstrip()[:1] == "<"
    if status in (401, 403):
        return _BY_STATUS[status]
    if page and status < 500:
        return "bad_answer"
    if status >= 400 and _WRONG_TYPE.search(body):
        return "wrong_type"
    if status == 400 and _BAD_KEY.search(body):
        return "wrong_key"
    if status in (400, 422) and _NO_MODEL.search(body):
        return "no_model"
    if status >= 500:
        return "provider_down"
    return _BY_STATUS.get(status, "refused" if status >= 400 else "bad_answer")


def kind_from_proxy(status: int, body: str) -> str:
    """What an answer of the LiteLLM proxy means: its own refusal, or what it tells of the provider's."""
    of_provider = "litellm." in body or "model group" in body.lower()
    if not of_provider:
        return _proxys_own(status, body)
    if status < 500 and not _NOT_JSON.search(body):
        return kind_of_answer(status, body)
    if _TLS.search(body):
        return "tls"
    if _NO_CONNECTION.search(body):
        return "unreachable"
    return "bad_answer" if _NOT_JSON.search(body) else kind_of_answer(status, body)


def is_cooling_down(status: int, body: str) -> bool:
    """Whether the proxy benches a model for some seconds after a failure, rather than the provider limiting calls."""
    return status == 429 and bool(_LIMITS.search(body))


def words(body: str) -> str:
    """The message in an error, as most providers write it, without what LiteLLM puts around it, however often."""
    while True:
        try:
            whole = json.loads(body)
            error = whole.get("error", whole) if isinstance(whole, dict) else whole
            said = error.get("message", error) if isinstance(error, dict) else error
            if not isinstance(said, str):
                return json.dumps(said)
        except (ValueError, RecursionError):
            said = _LITELLM_BEFORE.sub("", body).partition(_LITELLM_AFTER)[0].rstrip()
            if said == body.rstrip():
                return body
        body = said


def result(kind: str, latency_ms: int, details: Mapping[str, Any], **words: Any) -> TestResult:
    """The outcome, with the message of its kind filled in with these words."""
    stage, message = KINDS[kind]
    told = message.format(**{"more": "", **words})
    return TestResult(
        ok=kind == "ok",
        stage=stage,
        kind=kind,
        message=told,
        latency_ms=latency_ms,
        details=FrozenDict(details),
    )


def _proxys_own(status: int, body: str) -> str:
    if _NOT_REGISTERED.search(body):
        return "not_registered"
    if status in (401, 403):
        return "wrong_master_key"
    if is_cooling_down(status, body):
        return "rate_limited"
    return "proxy_down" if status >= 500 or body.lstrip()[:1] != "{" else kind_of_answer(status, body)
