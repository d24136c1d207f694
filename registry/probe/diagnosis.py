"""Classifies the outcome of a connection test and words it for the administrator, with what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from registry.records import FrozenDict, Kind, Stage, TestResult

MESSAGES: Final[Mapping[Kind, tuple[Stage, str]]] = {
    Kind.OK: (Stage.CAPABILITY, "It works{more}."),
    Kind.UNREACHABLE: (
        Stage.ENDPOINT,
        "{where} cannot be reached{by}. Check the endpoint's host and port, and that the server runs there.",
    ),
    Kind.TLS: (
        Stage.ENDPOINT,
        "No secure connection to {where}: its certificate is not trusted here, or it speaks no TLS. "
        "Check that the endpoint's https:// is right, and the server's certificate.",
    ),
    Kind.TIMEOUT: (
        Stage.ENDPOINT,
        "No answer within {seconds:g} seconds. Test again: a model may have to be loaded first. "
        "If it still fails, check the endpoint and the server's load.",
    ),
    Kind.REDIRECTED: (
        Stage.ENDPOINT,
        "{where} redirects to another address, which is not followed with a key. Enter the final address as endpoint.",
    ),
    Kind.ELSEWHERE: (
        Stage.ENDPOINT,
        "LiteLLM tried to call another address than the endpoint, so the call was not sent. Look for a setting of "
        "LiteLLM in the environment, such as USE_LITELLM_PROXY, and remove it.",
    ),
    Kind.NOT_SENT: (Stage.ENDPOINT, "LiteLLM did not send the call. Its message says why."),
    Kind.UNSAFE: (
        Stage.ENDPOINT,
        "The endpoint's name leads to an address that the outbound policy refuses. Nothing was sent. "
        "Enter the address of the model's own server.",
    ),
    Kind.PROVIDER_DOWN: (
        Stage.ENDPOINT,
        "{where} answers, but with an error of its own. Wait and test again; see the provider's status page, or the "
        "server's log.",
    ),
    Kind.BAD_ANSWER: (
        Stage.ENDPOINT,
        "{where} answers, but not as a model does. Check the endpoint's path and the provider: this may be a web page "
        "or another service.",
    ),
    Kind.UNREADABLE: (
        Stage.ENDPOINT,
        "{where} answers, but with what takes too long or too much memory to read. Check the endpoint's path and the "
        "provider: this may be another service.",
    ),
    Kind.PROXY_DOWN: (
        Stage.ENDPOINT,
        "The LiteLLM proxy cannot be reached, or is not working. Check LITELLM_PROXY_URL, and that the proxy runs.",
    ),
    Kind.WRONG_MASTER_KEY: (
        Stage.SIGN_IN,
        "The LiteLLM proxy refuses the master key. Set LITELLM_MASTER_KEY to the one that the proxy was started with.",
    ),
    Kind.WRONG_KEY: (Stage.SIGN_IN, "{where} refuses the API key. Enter a valid key of this provider."),
    Kind.FORBIDDEN: (
        Stage.SIGN_IN,
        "{where} knows the key but does not let it use this model. Give the key the right to, or use another key.",
    ),
    Kind.NOT_REGISTERED: (Stage.MODEL, "The LiteLLM proxy does not serve this model yet. Sync it on the page Proxy."),
    Kind.NO_MODEL: (
        Stage.MODEL,
        "{where} has no such model or deployment. Check the model id, letter by letter, and the endpoint's path.",
    ),
    Kind.RATE_LIMITED: (
        Stage.MODEL,
        "{where} takes no more calls now: the rate limit or the credit is used up. Wait and test again, or check the "
        "account's limits.",
    ),
    Kind.REFUSED: (Stage.MODEL, "{where} refuses the request (status {status}). Its answer says why."),
    Kind.WRONG_TYPE: (
        Stage.CAPABILITY,
        "This model is not of the type {type}. Check the model id, or register it under its own type.",
    ),
    Kind.WRONG_DIMENSIONS: (
        Stage.CAPABILITY,
        "Its vectors have {measured:,} dimensions, but {configured:,} are configured. Set Dimensions to {measured}.",
    ),
    Kind.EMPTY_REPLY: (
        Stage.CAPABILITY,
        "It answers, but with an empty text. Test again; if it stays so, check that this model writes text, and that "
        "max output tokens leaves room for it.",
    ),
    Kind.INVALID_JSON: (
        Stage.CAPABILITY,
        "It answers, but not with valid JSON. Use a model that can, or set Response format to text.",
    ),
}

UNQUOTED: Final = (Kind.WRONG_MASTER_KEY, Kind.NOT_REGISTERED)
"""Kinds whose message from the proxy is not shown: it adds nothing and contains part of the proxy's key."""

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
_BY_STATUS: Final = {
    401: Kind.WRONG_KEY,
    403: Kind.FORBIDDEN,
    404: Kind.NO_MODEL,
    408: Kind.TIMEOUT,
    429: Kind.RATE_LIMITED,
}
_TLS = re.compile(r"\[SSL: |certificate verify failed|CERTIFICATE_VERIFY", re.I)
_NO_CONNECTION = re.compile(r"Connection error\.|Cannot connect to host|Connect call failed|Name or service not", re.I)
_NOT_JSON = re.compile(
    r"invalid response from LLM endpoint|Expecting value|Unable to get json|has no attribute 'model_dump'"
    r"|<!doctype|<html|KeyError|JSONDecodeError|Extra data|Unterminated string|APIConnectionError",
    re.I,
)


def kind_of_answer(status: int, body: str) -> Kind:
    """Classify a provider's response by its status and, where providers differ, its text."""
    page = body.lstrip()[:1] == "<"
    if status in (401, 403):
        return _BY_STATUS[status]
    if page and status < 500:
        return Kind.BAD_ANSWER
    if status >= 400 and _WRONG_TYPE.search(body):
        return Kind.WRONG_TYPE
    if status == 400 and _BAD_KEY.search(body):
        return Kind.WRONG_KEY
    if status in (400, 422) and _NO_MODEL.search(body):
        return Kind.NO_MODEL
    if status >= 500:
        return Kind.PROVIDER_DOWN
    return _BY_STATUS.get(status, Kind.REFUSED if status >= 400 else Kind.BAD_ANSWER)


def kind_from_proxy(status: int, body: str) -> Kind:
    """Classify a response of the LiteLLM proxy: its own error, or the provider's error that it reports."""
    of_provider = "litellm." in body or "model group" in body.lower()
    if not of_provider:
        return _proxys_own(status, body)
    if status < 500 and not _NOT_JSON.search(body):
        return kind_of_answer(status, body)
    if _TLS.search(body):
        return Kind.TLS
    if _NO_CONNECTION.search(body):
        return Kind.UNREACHABLE
    return Kind.BAD_ANSWER if _NOT_JSON.search(body) else kind_of_answer(status, body)


def is_cooling_down(status: int, body: str) -> bool:
    """Whether a 429 is the proxy's cool-down after a failure, rather than a rate limit of the provider."""
    return status == 429 and bool(_LIMITS.search(body))


def words(body: str) -> str:
    """The message in an error response, without the wrappers that LiteLLM adds, however many."""
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


def result(kind: Kind, latency_ms: int, details: Mapping[str, Any], **words: Any) -> TestResult:
    """The test result for a kind; ``words`` fill the placeholders in the kind's message."""
    stage, template = MESSAGES[kind]
    message = template.format(**{"more": "", **words})
    return TestResult(
        ok=kind is Kind.OK,
        stage=stage,
        kind=kind,
        message=message,
        latency_ms=latency_ms,
        details=FrozenDict(details),
    )


def _proxys_own(status: int, body: str) -> Kind:
    if _NOT_REGISTERED.search(body):
        return Kind.NOT_REGISTERED
    if status in (401, 403):
        return Kind.WRONG_MASTER_KEY
    if is_cooling_down(status, body):
        return Kind.RATE_LIMITED
    return Kind.PROXY_DOWN if status >= 500 or body.lstrip()[:1] != "{" else kind_of_answer(status, body)
