"""A test that was made before saving is remembered with exactly what it was of; and what a test can do without."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from registry import ModelUpdate, Registry, errors
from registry.catalog import call, specs
from registry.records import TestResult
from registry.store.tables import Base
from tests.support.factories import ADMIN, CANARY, created
from tests.support.providers import Provider, model_at

OTHER_KEY = "sk-other-51d7e0b2c9f84a63"


def remembered(reg: Registry) -> tuple[bool | None, str | None, datetime | None, bool]:
    """What the list shows of the only model's last test."""
    (row,) = reg.models.overview()
    return row.test_ok, row.test_message, row.test_at, row.test_is_current


NOTHING = (None, None, None, False)


def of(result: TestResult) -> tuple[bool, str, datetime | None, bool]:
    """The same, as it has to be after this test."""
    return result.ok, result.message, result.at, True


@pytest.mark.parametrize("kind", ["embedding", "generation", "ner"])
@pytest.mark.parametrize("status", [200, 401])
def test_a_test_before_saving_is_remembered(reg: Registry, server: Provider, kind: str, status: int) -> None:
    """With its outcome and its time, also a failure, without another call; nothing more enters the audit log."""
    if status != 200:
        server.fail(status)
    spec = model_at(server.url, kind=kind)
    result = reg.models.test(spec, actor=ADMIN)
    model = reg.models.create(spec, tested=result, actor=ADMIN)
    assert of(result) == remembered(reg)
    assert (1, 1) == (len(server.requests), model.version)
    assert ["model:create", "model:test"] == [entry.action for entry in reg.audit.find().entries]


OTHERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "another endpoint": lambda url: {"api_endpoint": f"{url}/v2"},
    "another key": lambda _: {"api_key": OTHER_KEY},
    "another model": lambda _: {"model_id": "another"},
    "another provider": lambda _: {"provider": "mistral"},
    "a connection field": lambda _: {"connection": {"organization": "org-2"}},
    "dimensions": lambda _: {"config": {"dimensions": 3, "max_tokens": 512}},
    "normalize": lambda _: {"config": {"dimensions": 2, "max_tokens": 512, "normalize": False}},
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_test_of_something_else_is_not_believed(reg: Registry, server: Provider, other: str) -> None:
    """What differs in anything that has a part in the call is saved as not tested."""
    spec = model_at(server.url, kind="embedding", config={"max_tokens": 512})
    result = reg.models.test(spec, actor=ADMIN)
    reg.models.create({**spec, **OTHERS[other](server.url)}, tested=result, actor=ADMIN)
    assert NOTHING == remembered(reg)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("generation", {"max_output_tokens": 5}),
        ("generation", {"timeout_seconds": 7}),
        ("generation", {"temperature": 0}),
        ("ner", {"max_tokens": 5}),
        ("ner", {"response_format": "text"}),
        ("ner", {"stop_sequences": ["END"]}),
    ],
)
def test_a_test_with_other_parameters_is_not_believed(
    reg: Registry, server: Provider, kind: str, change: dict[str, Any]
) -> None:
    """Also those that a call of the model has, but a test may leave out one day."""
    spec = model_at(server.url, kind=kind)
    result = reg.models.test(spec, actor=ADMIN)
    reg.models.create({**spec, "config": {**spec["config"], **change}}, tested=result, actor=ADMIN)
    assert NOTHING == remembered(reg)


FORGED: dict[str, Callable[[TestResult], TestResult]] = {
    "another outcome": lambda result: replace(result, ok=True, kind="ok"),
    "another message": lambda result: replace(result, message="It works."),
    "another time": lambda result: replace(result, at=datetime.now(UTC) + timedelta(days=9)),
    "other details": lambda result: replace(result, details={"preview": "ready"}),
    "no seal": lambda result: replace(result, seal=""),
    "an odd seal": lambda result: replace(result, seal="ü"),
    "no text as seal": lambda result: replace(result, seal=7),
    "no details": lambda result: replace(result, details=None),
}


@pytest.mark.parametrize("forge", FORGED)
def test_a_result_that_was_altered_is_not_believed(reg: Registry, server: Provider, forge: str) -> None:
    """A result is taken as it was made, or not at all."""
    server.fail(500)
    spec = model_at(server.url)
    forged = FORGED[forge](reg.models.test(spec, actor=ADMIN))
    reg.models.create(spec, tested=forged, actor=ADMIN)
    assert NOTHING == remembered(reg)


def test_a_result_of_another_process_is_not_believed(
    reg: Registry, server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its seal was made with another key."""
    spec = model_at(server.url)
    result = reg.models.test(spec, actor=ADMIN)
    monkeypatch.setattr(specs, "_process_key", b"another process")
    reg.models.create(spec, tested=result, actor=ADMIN)
    assert NOTHING == remembered(reg)


def test_control_without_the_seal_anything_would_be_believed(
    reg: Registry, server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with no comparison, the test of another endpoint is remembered."""
    result = reg.models.test(model_at(server.url), actor=ADMIN)
    monkeypatch.setattr(call, "is_of", lambda *_: True)
    reg.models.create(model_at("https://models.example.com"), tested=result, actor=ADMIN)
    assert of(result) == remembered(reg)


@pytest.mark.parametrize("tested", ["It works.", 7, {"ok": True}, object(), True])
def test_what_is_no_result_is_refused(reg: Registry, server: Provider, tested: Any) -> None:
    """With a word on the argument, and nothing is saved."""
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.models.create(model_at(server.url), tested=tested, actor=ADMIN)
    assert (["tested"], []) == (list(caught.value.fields), reg.models.find())
    model = created(reg, model_at(server.url))
    with pytest.raises(errors.InvalidInputError):
        reg.models.update(model.id, {"name": "N"}, version=1, tested=tested, actor=ADMIN)
    assert model == reg.models.get(model.id)


EDITS: list[dict[str, Any]] = [
    {"model_id": "edited"},
    {"model_id": "edited", "api_key": OTHER_KEY, "name": "Edited"},
    {"config": {"max_output_tokens": 9}, "status": "deprecated"},
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_saved_with_its_test(reg: Registry, server: Provider, edit: dict[str, Any]) -> None:
    """With the stored key or the one that the edit brings; the test of another edit is not taken."""
    model = created(reg, model_at(server.url))
    result = reg.models.test(model.id, edit, actor=ADMIN)
    other = reg.models.test(model.id, {**edit, "model_id": "another"}, actor=ADMIN)
    assert NOTHING == remembered(reg)
    reg.models.update(model.id, edit, version=1, tested=result, actor=ADMIN)
    assert of(result) == remembered(reg)
    reg.models.update(model.id, {"model_id": "a third"}, version=2, tested=other, actor=ADMIN)
    assert (*of(result)[:3], False) == remembered(reg)


def test_the_later_of_two_tests_is_kept(reg: Registry, server: Provider) -> None:
    """A test made while another user tested the same model takes no later result away."""
    model = created(reg, model_at(server.url))
    first = reg.models.test(model.id, {"config": {"tags": ["x"]}}, actor=ADMIN)
    server.fail(500)
    second = reg.models.test(model.id, actor=ADMIN)
    reg.models.update(model.id, {"config": {"tags": ["x"]}}, version=1, tested=first, actor=ADMIN)
    assert of(second) == remembered(reg)


SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("generation", {"name": "Renamed"}),
    "status": ("generation", {"status": "deprecated"}),
    "default": ("generation", {"is_default": True}),
    "tags": ("ner", {"config": {"tags": ["eu"]}}),
    "prices": ("generation", {"config": {"cost_per_1m_input": 1.5, "cost_per_1m_output": 2}}),
    "abilities": ("generation", {"config": {"supports_vision": True, "supports_json_mode": True}}),
    "what fits into it": ("generation", {"config": {"context_window": 64_000}}),
    "a limit above what a test asks for": ("generation", {"config": {"max_output_tokens": 2048}}),
    "the longest text": ("embedding", {"config": {"max_tokens": 99}}),
    "for the vector store": ("embedding", {"config": {"distance_metric": "dot", "batch_size": 8}}),
    "the same key": ("generation", {"api_key": CANARY, "name": "Renamed"}),
}


@pytest.mark.parametrize("case", SAME)
def test_an_edit_that_changes_nothing_of_the_call_keeps_the_test(reg: Registry, server: Provider, case: str) -> None:
    """A model's test result is current until a field that affects it changes."""
    kind, edit = SAME[case]
    model = created(reg, model_at(server.url, kind=kind))
    result = reg.models.test(model.id, actor=ADMIN)
    reg.models.update(model.id, edit, version=1, actor=ADMIN)
    assert of(result) == remembered(reg)
    reg.models.set_status(model.id, "active", actor=ADMIN)
    assert of(result) == remembered(reg)


OF_THE_CALL: list[dict[str, Any]] = [
    {"model_id": "another"},
    {"api_key": OTHER_KEY},
    {"api_endpoint": None, "api_key": OTHER_KEY},
    {"connection": {"organization": "org-1"}},
    {"config": {"timeout_seconds": 9}},
    {"config": {"max_output_tokens": 1023}},
]


@pytest.mark.parametrize("edit", OF_THE_CALL, ids=str)
def test_an_edit_of_the_call_makes_the_test_one_of_before(
    reg: Registry, server: Provider, edit: Mapping[str, Any]
) -> None:
    """The control: the result stays, as one of the model before its last change."""
    model = created(reg, model_at(server.url))
    result = reg.models.test(model.id, actor=ADMIN)
    reg.models.update(model.id, edit, version=1, actor=ADMIN)
    assert (*of(result)[:3], False) == remembered(reg)
    reg.models.update(model.id, {"name": "Renamed"}, version=2, actor=ADMIN)
    assert not remembered(reg)[3]


NOT_NEEDED = [
    ("embedding", ["dimensions"]),
    ("embedding", ["max_tokens"]),
    ("embedding", ["dimensions", "max_tokens"]),
    ("generation", ["context_window"]),
    ("generation", ["max_output_tokens"]),
    ("generation", ["context_window", "max_output_tokens"]),
    ("ner", ["max_tokens"]),
]


@pytest.mark.parametrize(("kind", "names"), NOT_NEEDED)
def test_a_test_needs_no_parameter(reg: Registry, server: Provider, kind: str, names: list[str]) -> None:
    """Each that must be given for saving may be missing from a test, or be None; saving asks for it all the same."""
    spec = model_at(server.url, kind=kind)
    given = {name: value for name, value in spec["config"].items() if name not in names}
    for config in (given, {**given, **dict.fromkeys(names)}):
        assert reg.models.test({**spec, "config": config}, actor=ADMIN).ok
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.models.create({**spec, "config": given}, actor=ADMIN)
    assert {f"config.{name}" for name in names} == set(caught.value.fields)


@pytest.mark.parametrize(("given", "asked"), [({}, 1024), ({"max_tokens": 5}, 5), ({"max_tokens": 90_000}, 1024)])
def test_a_limit_is_an_upper_bound(reg: Registry, server: Provider, given: dict[str, int], asked: int) -> None:
    """The longest answer that a test asks for: what is given, but not more than a test needs."""
    assert reg.models.test({**model_at(server.url, kind="ner"), "config": given}, actor=ADMIN).ok
    assert asked == json.loads(server.requests[-1].body)["max_tokens"]


INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("embedding", {"dimensions": 0}, "config.dimensions"),
    ("embedding", {"max_tokens": "many"}, "config.max_tokens"),
    ("embedding", {"colour": "red"}, "config.colour"),
    ("generation", {"context_window": 5}, "config.context_window"),
    ("generation", {"context_window": 2000, "max_output_tokens": 2001}, "config.max_output_tokens"),
    ("generation", {"temperature": 9.0}, "config.temperature"),
    ("ner", {"max_tokens": 0}, "config.max_tokens"),
]


@pytest.mark.parametrize(("kind", "config", "path"), INVALID)
def test_what_is_given_must_be_valid(
    reg: Registry, server: Provider, kind: str, config: dict[str, Any], path: str
) -> None:
    """A value that could not be saved is refused before anything is sent."""
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.models.test({**model_at(server.url, kind=kind), "config": config}, actor=ADMIN)
    assert ([path], []) == (list(caught.value.fields), server.requests)


@pytest.mark.parametrize(("dimensions", "is_believed"), [(2, True), (3, False)])
def test_measured_dimensions_are_what_was_tested(
    reg: Registry, server: Provider, dimensions: int, is_believed: bool
) -> None:
    """Without dimensions the test measures them, and is one of a model that has just those."""
    spec = {**model_at(server.url, kind="embedding"), "config": {}}
    result = reg.models.test(spec, actor=ADMIN)
    assert (True, 2) == (result.ok, result.details["dimensions"])
    reg.models.create({**spec, "config": {"dimensions": dimensions, "max_tokens": 9}}, tested=result, actor=ADMIN)
    assert is_believed == remembered(reg)[3]


def test_an_edit_that_empties_the_dimensions_measures_them(reg: Registry, server: Provider) -> None:
    """For a test only: saving such an edit is refused."""
    model = created(reg, model_at(server.url, kind="embedding", config={"dimensions": 768}))
    edit = ModelUpdate(config={"dimensions": None})
    result = reg.models.test(model.id, edit, actor=ADMIN)
    assert (True, 2) == (result.ok, result.details["dimensions"])
    assert NOTHING == remembered(reg)
    with pytest.raises(errors.InvalidInputError):
        reg.models.update(model.id, edit, version=1, actor=ADMIN)


def test_a_seal_tells_nothing(reg: Registry, raw: Engine, server: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """It depends on the key that was used and on a key of this process, and is shown and stored nowhere."""
    spec = model_at(server.url)
    result = reg.models.test(spec, actor=ADMIN)
    reg.models.create(spec, tested=result, actor=ADMIN)
    fields = specs.flat(spec)
    seals = {call.seal(result, fields, key).seal for key in (None, SecretStr(CANARY), SecretStr(OTHER_KEY))}
    monkeypatch.setattr(specs, "_process_key", b"another process")
    seals.add(call.seal(result, fields, None).seal)
    assert 4 == len(seals)
    assert result.seal not in repr(result)
    with raw.connect() as connection:
        stored = str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in Base.metadata.tables])
    assert result.message in stored
    assert result.seal not in stored
