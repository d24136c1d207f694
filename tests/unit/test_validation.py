"""The input of models: each fault is reported at the field it belongs to, without repeating the input."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from registry import EmbeddingConfig, ModelCreate, ModelUpdate
from registry.catalog.providers import PROVIDERS
from registry.catalog.specs import CONFIGS, config_fields, name_key
from registry.catalog.validation import check_text, parse_create, parse_test, parse_update
from registry.errors import InvalidInputError, InvalidModelError
from registry.records import ModelType
from tests.support.factories import BUILDERS, CANARY, azure, embedding, generation, ner, ollama

LONG = "x" * 256
NO_KEYS = (5, b"sk-bytes", bytearray(b"sk-bytes"), SecretStr(42), SecretStr(None), SecretStr(b"sk-bytes"), ["sk"])  # type: ignore[arg-type]  # the point
MEGABYTE = "x" * 1_000_000
NAN, INFINITY = float("nan"), float("inf")


def faults(spec: Any, **options: Any) -> dict[str, str]:
    """The fields at fault, with their messages."""
    with pytest.raises(InvalidModelError) as refusal:
        parse_create(spec, **options)
    return refusal.value.fields


def refused(make: Callable[[], object]) -> dict[str, str]:
    """The fields of what is refused."""
    with pytest.raises(InvalidModelError) as refusal:
        make()
    return refusal.value.fields


@pytest.mark.parametrize("kind", list(ModelType))
def test_a_valid_model_comes_out_with_its_defaults(kind: ModelType) -> None:
    """What was given stays, and every parameter that was not has its default."""
    spec = parse_create(BUILDERS[kind]())
    assert set(CONFIGS[kind].model_fields) == set(spec.config)


def test_defaults_are_those_of_the_design() -> None:
    """Normalized cosine vectors in batches of 32; 0.7 for generation; a cold, narrow NER that answers in JSON."""
    vectors, text, names = (parse_create(builder()).config for builder in (embedding, generation, ner))
    assert {"normalize": True, "distance_metric": "cosine", "batch_size": 32, "tags": []}.items() <= vectors.items()
    assert {"temperature": 0.7, "top_p": 1.0, "top_k": None, "timeout_seconds": 120}.items() <= text.items()
    assert {"supports_streaming": True, "supports_json_mode": False, "supports_vision": False}.items() <= text.items()
    cold = {"temperature": 0.0, "top_p": 0.15, "top_k": 30, "response_format": "json", "timeout_seconds": 30}
    assert cold.items() <= names.items()


def test_a_pydantic_object_is_taken_like_a_mapping() -> None:
    """`create` takes either, and a config class in the place of a mapping."""
    mapping = embedding()
    spec = ModelCreate(**{**mapping, "config": EmbeddingConfig(dimensions=1536, max_tokens=8191)})
    assert parse_create(mapping) == parse_create(spec)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "rerank"}, "type"),
        ({"type": None}, "type"),
        ({"type": ["embedding"]}, "type"),
        ({"provider": "acme"}, "provider"),
        ({"provider": None}, "provider"),
        ({"provider": {"a": 1}}, "provider"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": LONG}, "name"),
        ({"name": MEGABYTE}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": 7}, "name"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": LONG}, "model_id"),
        ({"model_id": "a\tb"}, "model_id"),
        ({"model_id": "os.environ/OPENAI_API_KEY"}, "model_id"),
        ({"status": "retired"}, "status"),
        ({"is_default": "perhaps"}, "is_default"),
        ({"api_endpoint": 5}, "api_endpoint"),
        ({"api_endpoint": "javascript:alert(1)"}, "api_endpoint"),
        ({"api_endpoint": MEGABYTE}, "api_endpoint"),
        ({"api_endpoint": "https://os.environ/SECRET"}, "api_endpoint"),
        ({"api_key": "two words"}, "api_key"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"api_key": "schlüssel"}, "api_key"),
        ({"api_key": MEGABYTE}, "api_key"),
        ({"api_key": "os.environ/OPENAI_API_KEY"}, "api_key"),
        ({"api_key": "**********"}, "api_key"),
        ({"api_key": "sk-...4f2a"}, "api_key"),
        *(({"api_key": key}, "api_key") for key in NO_KEYS),
        ({"connection": {"deployment": "x"}}, "connection"),
        ({"connection": {"organization": "a\x07b"}}, "connection.organization"),
        ({"connection": {"organization": MEGABYTE}}, "connection.organization"),
        ({"connection": {"organization": "os.environ/ORG"}}, "connection.organization"),
        ({"connection": "organization"}, "connection"),
        ({"config": "none"}, "config"),
        ({"config": None}, "config"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_each_fault_is_told_at_its_field(change: dict[str, Any], field: str) -> None:
    """The field is named, the message is a sentence, and nothing of the input is in it."""
    found = faults({**generation(), **change})
    assert [field] == list(found)
    assert found[field].endswith(".")
    assert not any(len(value) > 3 and value in found[field] for value in change.values() if isinstance(value, str))


@pytest.mark.parametrize("value", [pd.NA, pd.NaT, pd.Series([1, 2]).to_numpy()], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("field", [name for name in ModelCreate.model_fields if name != "connection"])
def test_what_cannot_be_compared_is_refused(field: str, value: Any) -> None:
    """A value whose comparisons are neither true nor false is no value of any field."""
    assert [field] == list(faults({**generation(), field: value}))
    with pytest.raises(InvalidModelError) as refusal:
        ModelCreate(**{**generation(), field: value})
    assert [field] == list(refusal.value.fields)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("embedding", "dimensions", 0),
        ("embedding", "dimensions", 8193),
        ("embedding", "dimensions", -1),
        ("embedding", "dimensions", 1.5),
        ("embedding", "dimensions", "many"),
        ("embedding", "dimensions", True),
        ("embedding", "dimensions", 10**400),
        ("embedding", "dimensions", NAN),
        ("embedding", "dimensions", None),
        ("embedding", "max_tokens", 0),
        ("embedding", "max_tokens", 200_001),
        ("embedding", "normalize", "yes"),
        ("embedding", "distance_metric", "manhattan"),
        ("embedding", "batch_size", 0),
        ("embedding", "batch_size", 1001),
        ("embedding", "temperature", 0.5),
        ("generation", "context_window", 1023),
        ("generation", "context_window", 10_000_001),
        ("generation", "max_output_tokens", 0),
        ("generation", "max_output_tokens", 128_001),
        ("generation", "temperature", -0.1),
        ("generation", "temperature", 2.1),
        ("generation", "temperature", NAN),
        ("generation", "temperature", INFINITY),
        ("generation", "top_p", 1.01),
        ("generation", "top_k", 0),
        ("generation", "top_k", 1001),
        ("generation", "timeout_seconds", 601),
        ("generation", "cost_per_1m_input", -1),
        ("generation", "cost_per_1m_output", NAN),
        ("generation", "tags", ["x" * 51]),
        ("generation", "tags", ["a"] * 21),
        ("generation", "tags", [""]),
        ("generation", "tags", ["a\x00b"]),
        ("generation", "tags", "word"),
        ("generation", "dimensions", 3),
        ("ner", "max_tokens", 100_001),
        ("ner", "response_format", "xml"),
        ("ner", "stop_sequences", [""]),
        ("ner", "stop_sequences", ["x" * 101]),
        ("ner", "stop_sequences", ["a\x00b"]),
        ("ner", "stop_sequences", ["os.environ/X"]),
        ("ner", "stop_sequences", ["a"] * 9),
    ],
)
def test_parameters_out_of_range_are_told_at_their_field(kind: str, name: str, value: Any) -> None:
    """Ranges are those of the design, numbers are finite, and unknown parameters are refused."""
    assert [f"config.{name}"] == list(faults(BUILDERS[kind](config={name: value})))


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("embedding", "dimensions", 1),
        ("embedding", "dimensions", 8192),
        ("generation", "temperature", 0),
        ("generation", "temperature", 2),
        ("generation", "max_output_tokens", 128_000),
        ("generation", "cost_per_1m_input", 0),
        ("generation", "top_k", None),
        ("ner", "stop_sequences", ["\n\n", "<END>", "\t"]),
        ("ner", "tags", ["a", "b"]),
    ],
)
def test_the_ends_of_the_ranges_are_valid(kind: str, name: str, value: Any) -> None:
    """0 is a temperature, a blank line is a stop sequence, and the largest value is allowed."""
    assert value == parse_create(BUILDERS[kind](config={name: value})).config[name]


def test_all_faults_are_told_at_once() -> None:
    """A user who fills in a form does not find them one by one."""
    found = faults({"type": "generation", "provider": "azure", "name": " ", "config": {"temperature": 9}})
    required = {"name", "model_id", "api_endpoint", "api_key", "connection.deployment"}
    assert required | {"config.context_window", "config.max_output_tokens", "config.temperature"} == set(found)


def escaped(text: str) -> str:
    return "".join(f"%{ord(char):02x}" for char in text)


NOTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "escaped": (CANARY, {"api_endpoint": f"https://host/{escaped(CANARY)}"}, "api_endpoint"),
    "escaped twice": (CANARY, {"api_endpoint": f"https://host/{quote(escaped(CANARY))}/v1"}, "api_endpoint"),
    "escaped four times": (
        CANARY,
        {"api_endpoint": f"https://host/{quote(quote(quote(escaped(CANARY))))}"},
        "api_endpoint",
    ),
    "a label of the host": (CANARY.upper(), {"api_endpoint": f"https://{CANARY}.example.com/v1"}, "api_endpoint"),
    "in upper case": (CANARY, {"name": CANARY.upper()}, "name"),
    "with zero-width characters": (CANARY, {"name": "\u200b".join(CANARY)}, "name"),
    "with soft hyphens": (CANARY, {"name": "Model " + "\u00ad".join(CANARY)}, "name"),
    "with accents": (CANARY, {"name": "\u0301".join(CANARY)}, "name"),
    "full-width": (CANARY, {"name": "".join(chr(ord(char) + 0xFEE0) for char in CANARY)}, "name"),
    "with underscores": (CANARY, {"model_id": CANARY.replace("-", "_")}, "model_id"),
    "without dashes": (CANARY, {"model_id": CANARY.replace("-", "")}, "model_id"),
    "with spaces": (CANARY, {"name": f"My {' '.join(CANARY)} model"}, "name"),
    "its end": (CANARY, {"model_id": CANARY[3:]}, "model_id"),
    "all but its end": (CANARY + "x", {"config": {"tags": [CANARY]}}, "config.tags"),
    "a word of it": (f"Bearer-{CANARY}", {"name": f"Model of {CANARY}"}, "name"),
    "a label of it": (f"Bearer-{CANARY}", {"api_endpoint": f"https://{CANARY}.example.com/v1"}, "api_endpoint"),
    "a segment of it": (f"Bearer-{CANARY}", {"api_endpoint": f"https://host/{escaped(CANARY)}/v1"}, "api_endpoint"),
    "the key is escaped": (escaped(CANARY), {"name": CANARY}, "name"),
    "few letters": ("--a--b--c--d--e-", {"name": "My --a--b--c--d--e- model"}, "name"),
    "short, as a whole": ("sk-short", {"name": "SK-Short"}, "name"),
}


@pytest.mark.parametrize("way", NOTED)
def test_a_key_is_found_in_another_field_however_it_is_written(way: str) -> None:
    """Whole, or 16 of its characters as a word; at that field, and without repeating it."""
    key, given, field = NOTED[way]
    said = faults(generation(api_key=key, **given))
    assert [field] == list(said)
    assert "Holds the API key" in said[field]


NO_KEY_IN_IT = [
    ("sk-openai-7f3a9e51c2d84b06", {"name": "openai"}),
    ("sk-openai-7f3a9e51c2d84b06", {"name": "SK openai"}),
    ("gpt-4o-mini-7f3a9e51c2d84b06", {"name": "The gpt-4o-mini", "model_id": "gpt-4o-mini"}),
    ("api.example.com-7f3a9e51c2d84b06", {"api_endpoint": "https://api.example.com/v1"}),
    ("hunter2-hunter2", {"name": "My hunter2-hunter2 model"}),
    ("gpt", {"name": "\u30e2\u30c7\u30eb gpt"}),
    ("----------------", {"name": "A"}),
    (CANARY, {"name": CANARY[:12], "model_id": CANARY[12:]}),
    ("sk-no-key-required", {"name": "sk-no-key-required"}),
]


@pytest.mark.parametrize(("key", "given"), NO_KEY_IN_IT, ids=[str(at) for at in range(len(NO_KEY_IN_IT))])
def test_an_ordinary_field_is_not_taken_for_a_key(key: str, given: dict[str, Any]) -> None:
    """Fewer than 16 characters may be a word of both, and a short key a part of a word."""
    spec = parse_create(generation(api_key=key, **given))
    assert given == {name: getattr(spec, name) for name in given}


def test_a_message_never_repeats_a_key() -> None:
    """A key that was pasted into any field, under any name, is in no message and in no cause."""
    for path in ("type", "provider", "status", "is_default", "connection", "config", "anything", CANARY):
        with pytest.raises(InvalidModelError) as refusal:
            parse_create({**generation(), path: CANARY})
        told = f"{refusal.value!r} {refusal.value} {refusal.value.__cause__!r} {refusal.value.__context__!r}"
        assert CANARY[:8] not in told


SHOWN = {
    "temprature": "temprature",
    "cost_per_1m_inptu": "cost_per_1m_inptu",
    "Temperature": "“Tem…”",
    CANARY: "“sk-…”",
    "x" * 25: "“xxx…”",
    "0123456789abcdef": "“012…”",
    "größe": "“grö…”",
    "": "“”",
    "a b": "“a b”",
    "\ud800name": "“\\ud800na…”",
    "\0": "“\\x00”",
}


@pytest.mark.parametrize("name", list(SHOWN), ids=ascii)
def test_an_unknown_field_is_named_if_it_looks_like_a_field(name: str) -> None:
    """A typing error can be seen; of anything else only the beginning is shown, and it can be read."""
    shown = SHOWN[name]
    spec = {**generation(), name: 1, "config": {**generation()["config"], name: 1}, "connection": {name: 1}}
    found = faults(spec)
    assert {shown: "There is no such setting.", f"config.{shown}": "There is no such setting."}.items() <= found.items()
    assert {shown, f"config.{shown}", "connection"} >= {path for path in found if not path.startswith("connection.")}
    assert [shown] == list(refused(lambda: ModelCreate(**{**generation(), name: 1})))
    assert [shown] == list(refused(lambda: ModelUpdate.model_validate({name: 1})))
    assert [shown] == list(refused(lambda: parse_update({f" {name}": 1, f"{name} ": 2})))
    assert len(name) <= 24 or not any(name[:8] in f"{path}{message}" for path, message in found.items())


@pytest.mark.parametrize(
    "name",
    [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "0F8FAD5B-D9CB-469F-A165-70867728950E",
        " 0f8fad5b-d9cb-469f-a165-70867728950e\n",
        "０f8fad5b-d9cb-469f-a165-70867728950e",
        "0f8fad5b－d9cb－469f－a165－70867728950e",
    ],
    ids=ascii,
)
def test_a_name_is_no_id(name: str) -> None:
    """In no spelling that is looked for as one: it would answer for a model that is gone."""
    assert ["name"] == list(faults(generation(name=name)))
    assert ["name"] == list(refused(lambda: parse_update({"name": name})))
    assert ["name"] == list(refused(lambda: ModelUpdate(name=name)))
    assert name.strip() == check_text("id", name) == parse_create(generation(model_id=name)).model_id


@pytest.mark.parametrize("name", ["0f8fad5bd9cb469fa16570867728950e", "Copy of 0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_a_name_may_hold_an_id(name: str) -> None:
    """What is looked for as an id is nothing but one."""
    assert name == parse_create(generation(name=name)).name


@pytest.mark.parametrize("provider", list(PROVIDERS.values()), ids=list(PROVIDERS))
@pytest.mark.parametrize("kind", list(ModelType))
def test_a_provider_takes_the_types_it_serves(provider: Any, kind: ModelType) -> None:
    """Every provider with every type: served ones pass with all that is needed, others are refused at the provider."""
    spec = BUILDERS[kind](
        provider=provider.id,
        api_endpoint="https://models.example.com",
        connection=dict.fromkeys(provider.connection, "value"),
    )
    if kind in provider.types:
        assert kind == parse_create(spec).type
    else:
        assert list(faults(spec)) == ["provider"]


def test_anthropic_has_no_embedding_models() -> None:
    """The message says what it has instead."""
    assert "generation and ner" in faults(embedding(provider="anthropic"))["provider"]


def test_azure_needs_endpoint_key_and_deployment() -> None:
    """Each is asked for at its field; the API version may be left out."""
    bare = azure(api_endpoint=None, api_key=None, connection={})
    assert sorted(faults(bare)) == ["api_endpoint", "api_key", "connection.deployment"]
    assert parse_create(azure()).connection == {"deployment": "gpt-4o-prod"}


def test_ollama_needs_neither_key_nor_endpoint() -> None:
    """A model of this machine's own Ollama takes two clicks."""
    spec = parse_create(ollama())
    assert (spec.api_endpoint, spec.api_key) == (None, None)


@pytest.mark.parametrize("key", NO_KEYS, ids=lambda key: type(getattr(key, "_secret_value", key)).__name__)
@pytest.mark.parametrize(
    "take",
    [
        lambda key: parse_create({**ollama(), "api_key": key}),
        lambda key: parse_create(ModelCreate.model_construct({"api_key"}, api_key=key)),
        lambda key: parse_test({**ollama(), "api_key": key}),
        lambda key: parse_update({"api_key": key}),
        lambda key: ModelCreate(**{**ollama(), "api_key": key}),
        lambda key: ModelUpdate(api_key=key),
    ],
    ids=["create", "unchecked", "test", "update", "ModelCreate", "ModelUpdate"],
)
def test_a_key_is_a_text_everywhere(take: Any, key: Any) -> None:
    """Also of a provider that needs none: a key is never decoded, nor left out, nor taken for a wish to clear one."""
    with pytest.raises(InvalidModelError) as refusal:
        take(key)
    assert "Must be a text." == refusal.value.fields["api_key"]
    assert "sk-bytes" not in str(refusal.value)


@pytest.mark.parametrize(
    "key", [CANARY, SecretStr(CANARY), f" {CANARY}\n", SecretStr(f" {CANARY} ")], ids=["a", "b", "c", "d"]
)
def test_a_key_may_come_in_a_secret(key: Any) -> None:
    """White space around it does not count in either."""
    for spec in (parse_create({**ollama(), "api_key": key}), parse_test(ModelCreate(**{**ollama(), "api_key": key}))):
        assert SecretStr(CANARY) == spec.api_key


@pytest.mark.parametrize("parse", [parse_create, parse_test, parse_update])
def test_a_field_is_given_once(parse: Any) -> None:
    """White space around a field's name does not count, so that it could hide a second one."""
    with pytest.raises(InvalidModelError) as refusal:
        parse({**generation(name="A"), " name ": "B", "provider\n": "openai"})
    assert ["name", "provider"] == sorted(refusal.value.fields)


def test_a_stored_key_need_not_be_given_again() -> None:
    """An edit leaves the key out; without a stored one it is asked for."""
    bare = generation(api_key=None)
    assert list(faults(bare)) == ["api_key"]
    assert parse_create(bare, has_stored_key=True).api_key is None


def test_only_an_active_model_is_registered_as_default() -> None:
    """The message stands at the switch."""
    assert list(faults(generation(status="deprecated", is_default=True))) == ["is_default"]


def test_names_endpoints_and_keys_are_trimmed() -> None:
    """White space that came along with a paste is no part of them."""
    spec = parse_create(
        generation(
            name="  GPT  ", model_id=" gpt-4o ", api_key=f" {CANARY}\n", api_endpoint=" HTTPS://Api.Example.COM/v1/ "
        )
    )
    assert spec.api_key is not None
    given = (spec.name, spec.model_id, spec.api_endpoint, spec.api_key.get_secret_value())
    assert given == ("GPT", "gpt-4o", "https://api.example.com/v1", CANARY)


@pytest.mark.parametrize(
    ("one", "other"), [("GPT-4o", "gpt-4O"), ("GPT 4o", " GPT  4o "), ("Straße", "STRASSE"), ("GPT", "ＧＰＴ")]
)
def test_names_are_compared_without_case_width_and_spacing(one: str, other: str) -> None:
    """Two models whose names look the same would be taken for each other."""
    assert name_key(one) == name_key(other)


def test_an_update_names_only_what_changes() -> None:
    """What is not given is not in it, None is, and the type cannot change."""
    assert parse_update({"name": " New ", "api_key": None}) == {"name": "New", "api_key": None}
    with pytest.raises(InvalidModelError) as refusal:
        parse_update({"type": "ner", "colour": "red"})
    assert {"type", "colour"} == set(refusal.value.fields)


@pytest.mark.parametrize("value", ["", " ", LONG, "a\x00b"])
def test_a_knowledge_base_needs_a_plain_name(value: str) -> None:
    """The message stands at the field that was named."""
    with pytest.raises(InvalidInputError) as refusal:
        check_text("id", value)
    assert list(refusal.value.fields) == ["id"]


def test_fields_of_a_form_follow_from_the_declaration() -> None:
    """Label, help, kind, range and choices are those that validate."""
    fields = {item.name: item for item in config_fields("embedding")}
    dimensions, metric = fields["dimensions"], fields["distance_metric"]
    assert (dimensions.kind, dimensions.required, dimensions.minimum, dimensions.maximum) == ("int", True, 1, 8192)
    assert (metric.kind, metric.choices, metric.default) == ("choice", ("cosine", "dot", "euclidean"), "cosine")
    for kind in ModelType:
        assert all(item.label and item.help for item in config_fields(kind))
    optional = [item.name for item in config_fields("generation") if item.optional]
    assert optional == ["top_k", "cost_per_1m_input", "cost_per_1m_output"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = st.sampled_from([*ModelCreate.model_fields, "config.temperature", "anything"])


@given(st.dictionaries(FIELDS, JSON), st.sampled_from(list(ModelType)), st.sampled_from(list(PROVIDERS)))
def test_whatever_comes_in_the_answer_is_a_typed_error(junk: dict[str, Any], kind: ModelType, provider: str) -> None:
    """No input makes anything but a model or an InvalidModelError."""
    for spec in (junk, {**BUILDERS[kind](provider=provider), **junk}):
        for parse in (parse_create, parse_update):
            with suppress(InvalidModelError):
                parse(spec)
