"""Bad input on its way to the store: a typed error at the right field that repeats nothing, and nothing saved."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from registry import ModelFilter, Registry, errors
from tests.support.factories import ADMIN, CANARY, azure, created, embedding, generation, ner

MEGABYTE = "mega" * 250_000
NAN, INFINITE = float("nan"), float("inf")

# what is changed in a valid spec, and the field at which the fault must stand
CASES: list[tuple[Any, dict[str, Any], str]] = [
    (generation, {"name": ""}, "name"),
    (generation, {"name": " \t "}, "name"),
    (generation, {"name": "n" * 256}, "name"),
    (generation, {"name": "bell\x07"}, "name"),
    (generation, {"name": "nul\0"}, "name"),
    (generation, {"name": "lone\ud800"}, "name"),
    (generation, {"name": "right\u202eleft"}, "name"),
    (generation, {"model_id": "m" * 256}, "model_id"),
    (generation, {"model_id": "line\nbreak"}, "model_id"),
    (generation, {"model_id": "os.environ/SECRET"}, "model_id"),
    (generation, {"type": "rerank"}, "type"),
    (generation, {"type": None}, "type"),
    (generation, {"provider": "skynet"}, "provider"),
    (generation, {"provider": None}, "provider"),
    (generation, {"status": "asleep"}, "status"),
    (generation, {"colour": "blue-ish"}, "colour"),
    (generation, {"config": {"colour": "blue-ish"}}, "config.colour"),
    (embedding, {"provider": "anthropic"}, "provider"),
    (azure, {"api_endpoint": None}, "api_endpoint"),
    (azure, {"api_key": None}, "api_key"),
    (azure, {"connection": {}}, "connection.deployment"),
    (generation, {"api_key": None}, "api_key"),
    (generation, {"api_key": "two words"}, "api_key"),
    (generation, {"api_key": "nul\0inside"}, "api_key"),
    (generation, {"api_key": "os.environ/OPENAI_API_KEY"}, "api_key"),
    (embedding, {"config": {"dimensions": 0}}, "config.dimensions"),
    (embedding, {"config": {"dimensions": 8193}}, "config.dimensions"),
    (embedding, {"config": {"dimensions": "1536x"}}, "config.dimensions"),
    (embedding, {"config": {"max_tokens": 10**30}}, "config.max_tokens"),
    (embedding, {"config": {"distance_metric": "manhattan"}}, "config.distance_metric"),
    (generation, {"config": {"temperature": NAN}}, "config.temperature"),
    (generation, {"config": {"temperature": INFINITE}}, "config.temperature"),
    (generation, {"config": {"temperature": 2.1}}, "config.temperature"),
    (generation, {"config": {"top_k": 0}}, "config.top_k"),
    (generation, {"config": {"cost_per_1m_input": NAN}}, "config.cost_per_1m_input"),
    (generation, {"config": {"max_output_tokens": 128_001}}, "config.max_output_tokens"),
    (ner, {"config": {"stop_sequences": ["a\0b"]}}, "config.stop_sequences"),
    (ner, {"config": {"response_format": "yaml-ish"}}, "config.response_format"),
    (generation, {"api_endpoint": "javascript:alert(1)"}, "api_endpoint"),
    (generation, {"api_endpoint": "https://user:secret-word@api.openai.com"}, "api_endpoint"),
    (generation, {"api_endpoint": "https://api.openai.com/v1?key=secret-word"}, "api_endpoint"),
    (generation, {"api_endpoint": "file:///etc/passwd"}, "api_endpoint"),
    (generation, {"api_endpoint": "https://host/\x1b[31m"}, "api_endpoint"),
    *((generation, {field: MEGABYTE}, field) for field in ("name", "model_id", "type", "provider", "status")),
    *((generation, {field: MEGABYTE}, field) for field in ("api_key", "api_endpoint")),
    (generation, {"connection": {"organization": MEGABYTE}}, "connection.organization"),
    (generation, {"config": {"temperature": MEGABYTE}}, "config.temperature"),
    (generation, {"config": {"tags": [MEGABYTE]}}, "config.tags"),
    (generation, {"config": {"tags": ["t"] * 1_000_000}}, "config.tags"),
    (ner, {"config": {"stop_sequences": [MEGABYTE]}}, "config.stop_sequences"),
]
IDS = [f"{field}={str(change)[:40].encode('ascii', 'backslashreplace').decode()}" for _, change, field in CASES]


def _texts(value: Any) -> list[str]:
    """Every text in the input that is worth hiding: long enough not to be found by chance."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return _texts(value[0])
    return [value[:200]] if isinstance(value, str) and len(value) > 5 else []


def assert_repeats_nothing(error: BaseException, *inputs: str) -> None:
    """Neither the error, nor its causes, nor the traceback as it would be logged hold the input."""
    told = "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        told += f"{link!r}{link}{vars(link)}"
        link = link.__cause__ or link.__context__
    assert [] == [text for text in inputs if text in told]


@pytest.mark.parametrize(("spec", "change", "field"), CASES, ids=IDS)
def test_a_refused_model_leaves_nothing_behind(reg: Registry, spec: Any, change: dict[str, Any], field: str) -> None:
    """The error names the field, its message helps and repeats nothing, and neither row nor entry is made."""
    with pytest.raises(errors.InvalidModelError) as caught:
        created(reg, spec(**change))
    assert [field] == list(caught.value.fields)
    assert field in caught.value.message
    assert all(message.endswith(".") for message in caught.value.fields.values())
    assert_repeats_nothing(caught.value, CANARY, *_texts(change))
    assert ([], ()) == (reg.models.find(), reg.audit.find().entries)


@pytest.mark.parametrize("name", ["gpt four", "GPT FOUR", "  GPT   four  ", "ＧＰＴ four"])
def test_a_taken_name_is_refused(reg: Registry, name: str) -> None:
    """Also in another case, width or spacing; the message says which model has it."""
    created(reg, generation(name="GPT four"))
    with pytest.raises(errors.AlreadyExistsError, match="GPT four") as caught:
        created(reg, generation(name=name))
    assert ["name"] == list(caught.value.fields)
    assert (1, 1) == (len(reg.models.find()), len(reg.audit.find().entries))


def test_all_faults_are_told_at_once(reg: Registry) -> None:
    """A user who fills in a form sees every field that is wrong, not one at a time."""
    config = {"temperature": 3, "max_output_tokens": 0}
    with pytest.raises(errors.InvalidModelError) as caught:
        created(reg, azure(name=" ", api_endpoint="ftp://x", api_key=None, connection={}, config=config))
    expected = {"name", "api_endpoint", "api_key", "connection.deployment"}
    assert expected | {"config.temperature", "config.max_output_tokens"} == set(caught.value.fields)


@pytest.mark.parametrize("spec", [None, 7, "text", [], [("name", "x")]], ids=repr)
def test_what_is_no_mapping_is_refused(reg: Registry, spec: Any) -> None:
    """As a typed error too."""
    with pytest.raises(errors.InvalidModelError):
        reg.models.create(spec, actor=ADMIN)


@pytest.mark.parametrize("call", ["find", "default", "resolve", "set_status", "filter"])
def test_a_key_in_the_wrong_place_is_not_repeated(reg: Registry, call: str) -> None:
    """A secret that was pasted where a type or a status belongs is in no error and no cause of it."""
    model = created(reg)
    calls: dict[str, Callable[[], object]] = {
        "find": lambda: reg.models.find(ModelFilter(type=CANARY)),
        "filter": lambda: reg.models.overview(ModelFilter(status=CANARY)),
        "default": lambda: reg.models.default(CANARY),
        "resolve": lambda: reg.resolve(type=CANARY),
        "set_status": lambda: reg.models.set_status(model.id, CANARY, actor=ADMIN),
    }
    with pytest.raises(errors.InvalidInputError) as caught:
        calls[call]()
    assert_repeats_nothing(caught.value, CANARY)
