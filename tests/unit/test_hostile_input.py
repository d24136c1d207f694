"""Input that means harm, or nothing at all, by the hundred thousand: every refusal is a typed one.

``FUZZ_INPUTS`` says how many; the same ones each time. A value is a hostile one, a valid one, or a valid one that was
cut, doubled or mixed with hostile text; a model is a valid one with some of its fields replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from random import Random
from typing import Any

import pytest

from registry import errors
from registry.catalog import validation
from registry.catalog.arguments import ModelFilter
from registry.catalog.egress import Policy
from registry.catalog.endpoints import parse_endpoint
from registry.catalog.providers import PROVIDERS
from registry.store import rows
from tests.support.factories import azure, embedding, generation, ner, ollama

INPUTS = int(os.environ.get("FUZZ_INPUTS", "20000"))

TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\n\n",
        "\x7f",
        "\u202e",
        "\ud800",
        "\ufeff",
        "é" * 256,
        "𝔞",
        "x" * 4097,
        "%s%n",
        "' OR 1=1 --",
        "*",
    ),
    *("os.environ/PATH", "OS.ENVIRON/x", "../../etc/passwd", "<script>", "{{7*7}}", "${jndi:x}", "_", "\\", '"', "NaN"),
    *("http://", "https://[::1", "http://[::ffff:169.254.169.254]/", "http://0xa9fea9fe", "http://2852039166/latest"),
    *("javascript:alert(1)", "http://a@b", "http://a:b@c", "file:///etc/passwd", "http://h:99999", "http://h:0", "//h"),
    *(
        "http://127.1",
        "http://0177.0.0.1",
        "http://①②⑦.0.0.1",
        "http://h\t/",
        "http://h/?x=1",
        "http://h/#f",
        "ftp://h",
    ),
    *(
        "http://metadata.google.internal.",
        "https://xn--n3h.example",
        "http://..",
        "http://-",
        "http://a..b",
        "http://%",
    ),
)
OTHERS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**30, -(10**30), 0.1, float("nan"), float("inf"), float("-inf"), b"x", 1j),
    *((), [], {}, set(), {"a": {"b": []}}, [[[]]], object(), "x", ["\ud800"], {1: 2}, {None: None}, range(3), ...),
)
VALID = (generation(), embedding(), ner(), azure(), ollama())


def value(random: Random) -> Any:
    """A hostile value."""
    match random.randrange(6):
        case 0 | 1:
            return random.choice(TEXTS)
        case 2 | 3:
            return random.choice(OTHERS)
        case 4:
            return "".join(random.choice(TEXTS)[:9] for _ in range(random.randrange(4)))
        case _:
            return "".join(chr(random.choice((random.randrange(128), random.randrange(0x110000)))) for _ in range(6))


def endpoint(random: Random) -> str:
    """An address, or what a user would try to pass off as one."""
    parts = (
        "http",
        "https",
        "://",
        "[",
        "]",
        ":",
        "@",
        "/",
        ".",
        "0x7f",
        "169.254",
        "1",
        "255",
        "::",
        "ffff",
        "h",
        "%",
    )
    if random.random() < 0.3:
        return str(value(random))
    return random.choice(("", "http://", "https://")) + "".join(random.choices(parts, k=random.randrange(9)))


def model(random: Random) -> dict[str, Any]:
    """A valid model with some of its fields replaced."""
    spec = dict(random.choice(VALID))
    spec["config"] = dict(spec["config"])
    for _ in range(random.randrange(4)):
        where = random.choice((spec, spec, spec["config"]))
        if not isinstance(where, dict):
            continue
        fields = [*where, "api_endpoint", "connection", "tags", "top_k", "temperature", "unknown"]
        where[random.choice(fields)] = endpoint(random) if random.random() < 0.2 else value(random)
    return spec


FILTERS = [field.name for field in fields(ModelFilter)]
POLICY = Policy(deny=("*.internal", "10.1.0.0/16"))
TARGETS: dict[str, tuple[Callable[[Random], Any], Callable[[Any], object], type[Exception]]] = {
    "a model to register": (model, validation.parse_create, errors.InvalidModelError),
    "an edit": (model, lambda spec: validation.parse_update({**spec, "type": None}), errors.InvalidModelError),
    "an endpoint": (endpoint, parse_endpoint, ValueError),
    "the outbound policy": (endpoint, POLICY.check, errors.UnsafeEndpointError),
    "filters": (
        lambda random: [str(value(random)) for _ in range(4)],
        lambda texts: rows.matching(ModelFilter(**dict(zip(FILTERS, texts, strict=True)))),
        errors.InvalidInputError,
    ),
    "a search": (
        lambda random: str(value(random)),
        lambda text: rows.matching(ModelFilter(provider=text, search=text)),
        ValueError,
    ),
    "an origin": (
        lambda random: (random.choice([*PROVIDERS, "?"]), endpoint(random)),
        lambda pair: rows.origin_of(*pair),
        ValueError,
    ),
}


def outcomes(target: str, number: int) -> Iterator[str]:
    """What comes of each input: ``ok``, ``refused``, or the name of an error that no one expects."""
    make, call, expected = TARGETS[target]
    random = Random(target)  # noqa: S311 -- the same ones each time
    for _ in range(number):
        given = make(random)
        try:
            call(given)
        except expected as error:
            yield "refused" if error.__cause__ is None else f"a cause: {error.__cause__!r}"
        except Exception as error:  # noqa: BLE001 -- the point of the test
            yield f"{type(error).__name__} on {given!r}"
        else:
            yield "ok"


@pytest.mark.parametrize("target", list(TARGETS))
def test_whatever_is_sent_is_taken_or_refused_with_a_typed_error(target: str) -> None:
    """No other exception, and no cause that could repeat what was sent."""
    assert {"ok", "refused"} >= set(outcomes(target, INPUTS // len(TARGETS)))


@pytest.mark.parametrize("target", ["a model to register", "an edit", "an endpoint", "the outbound policy"])
def test_both_happen(target: str) -> None:
    """The inputs are not so hostile that nothing gets through, nor so tame that nothing is refused."""
    assert {"ok", "refused"} == set(outcomes(target, 2000))


def test_control_an_untyped_error_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without its check of the type, a field that is no text breaks the key's check."""
    monkeypatch.setattr(validation, "_plain_key", lambda key: key.nothing)
    assert not {"ok", "refused"} >= set(outcomes("a model to register", 200))
