"""Registering, finding and deleting models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from registry import ModelFilter, Registry, errors
from registry.catalog.providers import PROVIDERS
from registry.records import ModelType, Status
from registry.store.tables import ModelRow, ModelStateRow
from tests.support.factories import (
    ADMIN,
    AUDITOR,
    BUILDERS,
    CANARY,
    VIEWER,
    azure,
    bound,
    created,
    embedding,
    generation,
    ner,
)
from tests.support.factories import ollama as ollama_model


def test_an_empty_registry_lists_nothing(reg: Registry) -> None:
    """No models, no counts, no audit entries: nothing is made up."""
    assert [] == reg.models.find()
    assert [] == reg.models.overview()
    assert {} == reg.models.counts()
    assert () == reg.audit.find().entries


@pytest.mark.parametrize("kind", list(BUILDERS))
def test_a_created_model_is_read_back_as_it_was_given(reg: Registry, kind: str) -> None:
    """Everything that was given round-trips, by id and by name."""
    spec = BUILDERS[kind](config={"tags": ["fast", "eu"]})
    model = created(reg, spec)
    assert model == reg.models.get(model.id) == reg.models.get(spec["name"].upper())
    shown = {field: str(getattr(model, field)) for field in ("type", "provider", "name", "model_id")}
    assert {field: spec[field] for field in shown} == shown
    assert {**spec["config"], "tags": ("fast", "eu")}.items() <= dict(model.config).items()
    assert (model.version, model.status, model.has_api_key) == (1, Status.ACTIVE, True)


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        ("embedding", {"normalize": True, "distance_metric": "cosine", "batch_size": 32, "tags": ()}),
        (
            "generation",
            {"temperature": 0.7, "top_p": 1.0, "top_k": None, "supports_streaming": True, "supports_json_mode": False}
            | {"supports_vision": False, "timeout_seconds": 120, "cost_per_1m_input": None, "tags": ()},
        ),
        (
            "ner",
            {"temperature": 0.0, "top_p": 0.15, "top_k": 30, "response_format": "json", "stop_sequences": ()}
            | {"timeout_seconds": 30, "cost_per_1m_output": None},
        ),
    ],
)
def test_what_is_left_out_gets_its_default(reg: Registry, kind: str, defaults: dict[str, Any]) -> None:
    """A config is stored complete."""
    assert defaults.items() <= dict(created(reg, BUILDERS[kind]()).config).items()


def test_parameters_at_their_limits_survive(reg: Registry) -> None:
    """Temperature 0, top-k and a blank line as a stop sequence are values, not absence."""
    config = {"temperature": 0, "top_k": 1, "stop_sequences": ["\n\n", "<END>"]}
    model = created(reg, ner(config=config))
    edited = reg.models.update(model.id, {"config": {"max_tokens": 8}}, version=model.version, actor=ADMIN)
    expected = {"temperature": 0, "top_k": 1, "stop_sequences": ("\n\n", "<END>"), "max_tokens": 8}
    assert expected.items() <= dict(edited.config).items()


def test_top_k_of_a_generation_model_is_kept(reg: Registry) -> None:
    """`top_k` is a parameter of generation models too."""
    assert 40 == created(reg, generation(config={"top_k": 40})).config["top_k"]


@pytest.mark.parametrize(
    ("kind", "provider"), [(kind, provider) for provider in PROVIDERS.values() for kind in provider.types]
)
def test_every_provider_takes_what_it_serves(reg: Registry, kind: ModelType, provider: Any) -> None:
    """Each provider can be registered for each of its types with just what it requires."""
    needs: dict[str, Any] = {
        "api_key": CANARY if provider.api_key.need == "required" else None,
        "api_endpoint": "https://models.example.com" if provider.endpoint.need == "required" else None,
        "connection": {name: "value" for name, field in provider.connection.items() if field.need == "required"},
    }
    model = created(reg, BUILDERS[kind](provider=provider.id, **needs))
    assert (provider.id, kind) == (model.provider, model.type)


@pytest.mark.parametrize(("spec", "has_key"), [(generation, True), (ollama_model, False)])
def test_has_api_key_tells_whether_there_is_one(reg: Registry, spec: Callable[[], Any], has_key: bool) -> None:
    """Of a key, only whether it is set ever comes out."""
    model = created(reg, spec())
    assert has_key is model.has_api_key is reg.models.overview()[0].has_api_key


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"gpt", "embed", "llama", "azure"}),
        ({"type": "embedding"}, {"embed"}),
        ({"provider": "ollama"}, {"llama"}),
        ({"status": "inactive"}, {"azure"}),
        ({"type": "generation", "status": "active"}, {"gpt", "llama"}),
        ({"type": "generation", "provider": "openai", "status": "active"}, {"gpt"}),
        ({"provider": "nobody"}, set()),
        ({"search": "GPT Four"}, {"gpt"}),
        ({"search": "LLAMA3.1"}, {"llama"}),
        ({"search": "azure openai"}, {"azure"}),
        ({"search": "  "}, {"gpt", "embed", "llama", "azure"}),
        ({"search": "100%"}, {"embed"}),
        ({"search": "%"}, {"embed"}),
        ({"search": "_"}, {"llama"}),
        ({"search": "'; DROP TABLE models; --"}, set()),
        ({"search": "o'brien"}, {"gpt"}),
        ({"search": "\0"}, set()),
        ({"search": " \t "}, {"gpt", "embed", "llama", "azure"}),
        ({"provider": ""}, {"gpt", "embed", "llama", "azure"}),
        ({"search": "\ud800zq"}, set()),
        ({"search": "x" * 1_000_000}, set()),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode() if isinstance(value, dict) else "",
)
def test_filters_and_search(reg: Registry, filters: dict[str, Any], expected: set[str]) -> None:
    """Filters combine; search is text, in any case, never a pattern or SQL."""
    specs = {
        "gpt": generation(name="O'Brien's GPT four"),
        "embed": embedding(name="Embed 100%"),
        "llama": ollama_model(name="Llama_local"),
        "azure": azure(name="Cloud", status="inactive"),
    }
    names = {created(reg, spec).id: short for short, spec in specs.items()}
    assert {names[model.id] for model in reg.models.find(ModelFilter(**filters))} == expected
    assert {names[row.id] for row in reg.models.overview(ModelFilter(**filters))} == expected
    assert sum(reg.models.counts(ModelFilter(**filters)).values()) == len(expected)


@pytest.mark.parametrize("filters", [{"type": "rerank"}, {"status": "asleep"}])
@pytest.mark.parametrize("call", ["find", "overview"])
def test_filtering_by_what_does_not_exist(reg: Registry, call: str, filters: dict[str, str]) -> None:
    """An unknown type or status is refused at its field, not answered with an empty list."""
    with pytest.raises(errors.InvalidInputError) as caught:
        getattr(reg.models, call)(ModelFilter(**filters))
    assert list(filters) == list(caught.value.fields)


def test_lists_are_by_name_in_any_case(reg: Registry) -> None:
    """The order is that of people, and the same on both stores."""
    for name in ("beta", "Alpha", "gamma", "Delta"):
        created(reg, generation(name=name))
    assert [model.name for model in reg.models.find()] == ["Alpha", "beta", "Delta", "gamma"]
    assert [row.name for row in reg.models.overview()] == ["Alpha", "beta", "Delta", "gamma"]


def test_counts_are_by_type_and_status(reg: Registry) -> None:
    """The numbers above the table."""
    for spec in (embedding(), embedding(), generation(status="inactive")):
        created(reg, spec)
    expected = {(ModelType.EMBEDDING, Status.ACTIVE): 2, (ModelType.GENERATION, Status.INACTIVE): 1}
    assert expected == reg.models.counts()


def test_overview_counts_the_bases_that_use_a_model(reg: Registry) -> None:
    """`used_by` is the number of knowledge bases, not of bindings of others."""
    used, free = created(reg), created(reg)
    for _ in range(3):
        bound(reg, used)
    assert {used.id: 3, free.id: 0} == {row.id: row.used_by for row in reg.models.overview()}


def _register_many(reg: Registry, number: int) -> None:
    """Rows like that of the first model, in one go."""
    with Session(reg._store.engine) as session, session.begin():
        first = session.scalars(select(ModelRow)).first()
        columns = {column.name: getattr(first, column.name) for column in ModelRow.__table__.columns}
        own = (
            {"id": str(uuid4()), "name": f"M{number}-{each}", "name_key": f"m{number}-{each}"} for each in range(number)
        )
        session.execute(insert(ModelRow), [{**columns, **each} for each in own])


def test_a_list_costs_as_many_statements_however_many_models(
    reg: Registry, count_statements: Callable[[], Any]
) -> None:
    """`overview` is one statement, `find` at most two, for 3 models as for 500."""
    bound(reg, created(reg, generation(is_default=True)))
    for number in (2, 497):
        _register_many(reg, number)
        with count_statements() as overview:
            rows = reg.models.overview()
        with count_statements() as find:
            assert len(rows) == len(reg.models.find())
        assert 1 == len(overview)
        assert 2 >= len(find)
    assert 500 == len(rows)


@pytest.mark.parametrize("unknown", ["nothing", "", "\0", "\ud800", "a" * 100_000, "' OR 1=1 --"])
def test_an_unknown_model_is_not_found(reg: Registry, unknown: str) -> None:
    """Whatever stands in a link, the answer is NotFoundError, for reading and for changing."""
    created(reg)
    calls: list[Callable[[], object]] = [
        lambda: reg.models.get(unknown),
        lambda: reg.models.update(unknown, {"name": "x"}, version=1, actor=ADMIN),
        lambda: reg.models.set_status(unknown, "inactive", actor=ADMIN),
        lambda: reg.models.delete(unknown, actor=ADMIN),
        lambda: reg.models.reassignment(unknown),
        lambda: reg.knowledge_bases.using(unknown),
        lambda: reg.resolve(unknown),
    ]
    for call in calls:
        with pytest.raises(errors.NotFoundError):
            call()
    assert 1 == len(reg.audit.find().entries)


@pytest.mark.parametrize("between", ["\x1f", "\t", "\n", "\x85", "\0", "\x7f", "\u2028", " \t", "\ud800"], ids=ascii)
def test_a_control_character_is_no_space_in_a_name(reg: Registry, between: str) -> None:
    """No name can hold one, so that no text with one inside names, or finds, a model; around it it is white space."""
    model = created(reg, generation(name="My Model", model_id="my model"))
    for written in (f"my{between}model", f"{model.id[:8]}{between}{model.id[8:]}"):
        for call in (reg.models.get, reg.resolve, reg.models.reassignment):
            with pytest.raises(errors.NotFoundError):
                call(written)
        assert () == reg.audit.find(target=written).entries == reg.audit.find(search=written).entries
    assert (
        []
        == reg.models.find(ModelFilter(search=f"y{between}m"))
        == reg.models.overview(ModelFilter(search=f"y{between}m"))
    )
    assert model == reg.models.get(" \t my\u3000 model\n") == reg.models.find(ModelFilter(search="\ty \u00a0M\n"))[0]


def _short(name: str) -> str:
    return f"{len(name)} of {name[0]!a}"


@pytest.mark.parametrize("name", ["\ufdfa" * 255, "\ufdfa" * 56, "㌀" * 255, "ß" * 255, "x" * 255], ids=_short)
def test_a_name_that_is_taken_is_found(reg: Registry, name: str) -> None:
    """However long the form is in which names are compared: some characters stand for eighteen."""
    model = created(reg, generation(name=name))
    assert model == reg.models.get(name) == reg.resolve(name).model
    assert [model] == reg.models.find(ModelFilter(search=name))
    assert [model.id] == [row.id for row in reg.models.overview(ModelFilter(search=name))]
    assert 1 == len(reg.audit.find(target=name).entries)
    with pytest.raises(errors.AlreadyExistsError):
        created(reg, generation(name=name))


def test_a_deleted_model_is_gone(reg: Registry) -> None:
    """Deleting takes it out of every list, and deleting again finds nothing."""
    model = created(reg)
    reg.models.delete(model.id, actor=ADMIN)
    with pytest.raises(errors.NotFoundError):
        reg.models.get(model.id)
    with pytest.raises(errors.NotFoundError):
        reg.models.delete(model.id, actor=ADMIN)
    assert [] == reg.models.find()


def test_nothing_answers_for_the_id_of_a_deleted_model(reg: Registry) -> None:
    """No model is named like an id, neither when it is registered nor later."""
    gone, model = created(reg), created(reg)
    reg.models.delete(gone.id, actor=ADMIN)
    for take in (
        lambda name: created(reg, generation(name=name)),
        lambda name: reg.models.update(model.id, {"name": name}, version=model.version, actor=ADMIN),
    ):
        for name in (gone.id, gone.id.upper(), model.id):
            with pytest.raises(errors.InvalidModelError) as caught:
                take(name)
            assert ["name"] == list(caught.value.fields)
    for ref in (gone.id, gone.id.upper(), gone, UUID(gone.id)):
        with pytest.raises(errors.NotFoundError):
            reg.resolve(ref)


def test_the_name_of_a_deleted_model_is_free_again(reg: Registry) -> None:
    """Names are unique among the models there are."""
    spec = generation()
    reg.models.delete(created(reg, spec).id, actor=ADMIN)
    assert spec["name"] == created(reg, spec).name


def test_a_viewer_sees_active_models_without_endpoints(reg: Registry) -> None:
    """For a viewer, other models do not exist and connection details are left out; an auditor sees both."""
    active, hidden = created(reg, azure()), created(reg, generation(status="deprecated"))
    as_viewer, as_auditor = reg.acting_as(VIEWER).models, reg.acting_as(AUDITOR).models
    seen = as_viewer.find()
    assert [(active.id, None, {})] == [(model.id, model.api_endpoint, dict(model.connection)) for model in seen]
    assert [active.id] == [row.id for row in as_viewer.overview()]
    assert {(ModelType.GENERATION, Status.ACTIVE): 1} == as_viewer.counts()
    with pytest.raises(errors.NotFoundError):
        as_viewer.get(hidden.id)
    assert active == as_auditor.get(active.id)
    assert hidden == as_auditor.get(hidden.id)


def test_a_viewer_is_not_told_of_tests_and_of_the_proxy(reg: Registry, raw: Engine) -> None:
    """Their messages can name endpoints: a viewer's rows have none of it, in the list and among the defaults."""
    model = created(reg, generation(is_default=True))
    known = {"proxy_message": "down", "test_ok": False, "test_message": "m", "test_ms": 7, "test_at": model.created_at}
    untold = {**dict.fromkeys(known), "proxy_message": "", "in_step": True, "test_is_current": False}
    with raw.begin() as connection:
        connection.execute(insert(ModelStateRow).values(model_ref=model.id, test_version=1, **known))
    for rows in (lambda models: models.overview(), lambda models: models.defaults()):
        (seen,), (row,) = rows(reg.acting_as(VIEWER).models), rows(reg.acting_as(AUDITOR).models)
        assert {**known, "in_step": False, "test_is_current": True}.items() <= asdict(row).items()
        assert replace(row, **untold) == seen
