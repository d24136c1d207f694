"""The connection test: one real call of a model, through the LiteLLM proxy if there is one, else directly.

`registry.probe.litellm_call` makes the call and reads the response, in a separate process.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, Final, Protocol

from pydantic import ConfigDict, NonNegativeInt, SecretStr, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from registry.catalog.call import mode_of
from registry.catalog.egress import Policy
from registry.catalog.providers import PROVIDERS
from registry.catalog.specs import MOST_TOKENS, ModelCreate
from registry.errors import ProxyError, SettingsError
from registry.probe import diagnosis
from registry.probe.litellm_call import Call
from registry.probe.process import Said, Warm
from registry.probe.scrub import MAX_LENGTH, scrub
from registry.records import Kind, ModelType, TestResult

SECONDS: Final = {ModelType.EMBEDDING: 10, ModelType.GENERATION: 15, ModelType.NER: 15}
COOL_DOWN: Final = 5.5
"""LiteLLM's cool-down for a model after a failure, in seconds, plus a margin."""
VARIABLES: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise importing LiteLLM downloads a file
    "LITELLM_MODE": "PRODUCTION",  # otherwise LiteLLM reads a .env file
}
"""The only LiteLLM settings in its process's environment."""

_LOOKED_AT: Final = ("dimensions", "normalize", "response_format")
_MAKE: Final = "registry.probe.litellm_call:make"
_warm = Warm("registry.probe.litellm_call:load", VARIABLES)


class Carrier(Protocol):
    """The part of the LiteLLM proxy that a test uses."""

    @property
    def url(self) -> str: ...

    @property
    def key(self) -> SecretStr: ...

    def alias(self, id: str) -> str:
        """The name under which the proxy serves a registered model."""

    def temporary(self, params: Mapping[str, Any], mode: str) -> AbstractContextManager[str]:
        """Serve a model under the returned alias during the block, and always remove it afterwards.

        Args:
            params: LiteLLM's parameters for the call, with the key in clear.
            mode: ``chat`` or ``embedding``.

        Raises:
            ProxyError: the proxy did not register it.
        """


Short = Annotated[str, StringConstraints(max_length=MAX_LENGTH)]


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class Finding:
    """The outcome of a call, with the words for the message of its kind."""

    kind: Kind
    latency_ms: NonNegativeInt = 0
    status: NonNegativeInt = 0
    details: dict[str, int | float | Short] = dataclasses.field(default_factory=dict)
    words: dict[str, int | Short] = dataclasses.field(default_factory=dict)
    is_cooling_down: bool = False


def start() -> None:
    """Start the process that makes calls, in the background."""
    if _is_installed():
        _warm.start()


def run(
    spec: ModelCreate,
    served_id: str | None,
    carrier: Carrier | None,
    policy: Policy,
    wait: Callable[[float], None] = time.sleep,
) -> TestResult:
    """Call a model once and report how far it got.

    Args:
        spec: the whole model, checked, with its key.
        served_id: its id, if the proxy already serves exactly this.
        carrier: the proxy; None to call the provider directly.
        wait: waits for a number of seconds, for the proxy's cool-down.

    Raises:
        SettingsError: LiteLLM is not installed, or no process can be started. Every other failure is a result.
    """
    if not _is_installed():
        raise SettingsError(
            "Connection tests need LiteLLM, which is not installed: pip install llm-model-registry[dashboard]"
        )
    direct = PROVIDERS[spec.provider].litellm_params(
        spec.type, spec.model_id, spec.api_endpoint, _given(spec.connection), spec.api_key
    )
    if carrier is None:
        return _result(spec, _call(spec, direct, (spec.api_key,), policy), wait)
    secrets, mode = (spec.api_key, carrier.key), mode_of(spec.type)
    try:
        with nullcontext(carrier.alias(served_id)) if served_id else carrier.temporary(direct, mode) as alias:
            key = carrier.key.get_secret_value()
            params = {"model": f"openai/{alias}", "api_base": carrier.url, "api_key": key}
            return _result(spec, _call(spec, params, secrets, None), wait)
    except ProxyError as error:
        shown = scrub(error.message, secrets)
        return diagnosis.result(Kind.PROXY_DOWN, 0, {"answer": shown} if shown else {})


def _is_installed() -> bool:
    return importlib.util.find_spec("litellm") is not None


def _call(
    spec: ModelCreate, params: Mapping[str, Any], secrets: tuple[SecretStr | None, ...], policy: Policy | None
) -> Call:
    longest = spec.config.get("max_output_tokens") or spec.config.get("max_tokens", MOST_TOKENS)
    return Call(
        type=spec.type,
        params=params,
        secrets=tuple(secret.get_secret_value() for secret in secrets if secret),
        config={name: spec.config[name] for name in _LOOKED_AT if name in spec.config},
        max_tokens=min(MOST_TOKENS, longest),
        seconds=min(SECONDS[spec.type], spec.config.get("timeout_seconds", math.inf)),
        policy=policy.entries if policy else None,
    )


def _result(spec: ModelCreate, call: Call, wait: Callable[[float], None]) -> TestResult:
    found = _found(call)
    if call.by_proxy and found.is_cooling_down:
        wait(COOL_DOWN)
        found = _found(call)
    shared = {
        "where": PROVIDERS[spec.provider].label,
        "by": " by the LiteLLM proxy" if call.by_proxy else "",
        "seconds": call.seconds,
        "status": found.status,
        "type": spec.type,
    }
    try:
        return diagnosis.result(found.kind, found.latency_ms, found.details, **found.words | shared)
    except (KeyError, TypeError, ValueError):  # the words do not fit the message of the kind
        return diagnosis.result(Kind.UNREADABLE, found.latency_ms, {}, **shared)


def _found(call: Call) -> Finding:
    begun = time.monotonic()
    try:
        said = _warm.call(_MAKE, dataclasses.asdict(call), call.seconds)
    except ChildProcessError:
        raise SettingsError(
            "Connection tests run in a separate process, which does not start here. Make sure that this machine has "
            "memory and processes left for it."
        ) from None
    return _read(said, round((time.monotonic() - begun) * 1000))


def _read(said: Said, latency_ms: int) -> Finding:
    """The finding that a call's process reported last; if it was ended early, one that shows how far it got."""
    with_answer = "" in said.values
    try:
        found: Finding = TypeAdapter(Finding).validate_python(said.values[-1] if said.is_whole else None)
    except (ValidationError, IndexError):
        return Finding(Kind.UNREADABLE if with_answer else Kind.TIMEOUT, latency_ms)
    return found


def _given(connection: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in connection.items() if value}
