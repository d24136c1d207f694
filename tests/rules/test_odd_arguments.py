"""Every public method, with every odd value at every argument: taken where it is meant, else a typed refusal."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NoReturn
from uuid import UUID

import pandas as pd
import pytest
from pydantic import SecretStr

from registry import Actor, KnowledgeBase, Model, ModelCreate, ModelFilter, ModelUpdate, Registry, Settings, errors
from registry.catalog import arguments
from registry.catalog.specs import CONFIGS
from registry.records import ModelType, Status
from tests.rules.test_roles import FREE, OwnActor, public_methods
from tests.support.factories import ADMIN, BUILDERS, CANARY, KEY_A, created, embedding, generation, ollama
from tests.support.fake_proxy import FakeProxy

COMBINATIONS = int(os.environ.get("ODD_ARGUMENTS", "500"))
AT_MOST = 1000
"""Combinations on one store: each leaves an audit entry, and may leave a model, which the next ones read."""


class Word(StrEnum):
    """Text of a kind that PostgreSQL's driver would send by its name."""

    NAME = "openai"


class Plain(Enum):
    NAME = "embedding"


class Own(str):
    """Text of a user's own class."""


class Broken(tzinfo):
    """A time zone that fails."""

    def utcoffset(self, at: datetime | None) -> NoReturn:
        raise LookupError("no such zone")


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _record(id: Any) -> Model:
    """A record that no registry made."""
    kind, status = ModelType.NER, Status.ACTIVE
    return Model(
        id=id,
        type=kind,
        provider="openai",
        name="Odd",
        model_id="gpt-4o",
        api_endpoint=None,
        connection={},
        config={},
        status=status,
        is_default=False,
        has_api_key=False,
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )


ODD: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "minus": -1,
    "huge": 2**200,
    "float": 1.5,
    "endless": float("inf"),
    "no number": float("nan"),
    "decimal": Decimal("1.5"),
    "bytes": b"embedding",
    "path": Path("embedding"),
    "enum": Plain.NAME,
    "text enum": Word.NAME,
    "own text": Own("  kb-1  "),
    "member": ModelType.NER,
    "uuid": UUID(int=7),
    "list": ["a", 1],
    "empty list": [],
    "tuple": ("kb-1",),
    "set": {1, 2},
    "dict": {"a": object()},
    "numbered": {1: 2},
    "object": object(),
    "class": dict,
    "function": lambda *_: None,
    "empty": "",
    "space": " \t\n ",
    "nul": "kb\0-1",
    "surrogate": "kb-\ud800",
    "direction": "kb-\u202e1",
    "long": "x" * 5000,
    "spaced": "x" + " " * 5000 + "y",
    "pattern": "%_\\'\"--",
    "number": "5",
    "date": "2026-01-01",
    "day": date(2026, 1, 1),
    "naive": datetime(2026, 1, 1),  # noqa: DTZ001 -- what is refused
    "moment": datetime(2026, 1, 1, tzinfo=UTC),
    "last moment": datetime.max.replace(tzinfo=UTC),
    "secret": SecretStr(CANARY),
    "actor": ADMIN,
    "environment": "os.environ/HOME",
    "control": "my\x1fmodel",
    "zoneless": datetime(2026, 1, 1, tzinfo=Broken()),
    "array": pd.Series([1, 2]).to_numpy(),
    "missing": pd.NA,
    "no time": pd.NaT,
    "secret number": SecretStr(42),  # type: ignore[arg-type]  # the point
    "key of bytes": {**ollama(name="Odd"), "api_key": CANARY.encode()},
    "key of a number": {"api_key": SecretStr(42)},  # type: ignore[arg-type]  # the point
    "given twice": {"name": "One", " name": "Other"},
    "record without id": _record(None),
    "record with a number": _record(42),
    "record with a uuid": _record(UUID(int=8)),
    "base without id": KnowledgeBase(None, "Base", None, None, None, NOW),  # type: ignore[arg-type]  # the point
    "base with a uuid": KnowledgeBase(UUID(int=8), "Base", None, None, None, NOW),  # type: ignore[arg-type]  # the point
    "own actor": OwnActor(),
    "filter": ModelFilter(search="\ud800%"),
}


@dataclass
class Stage:
    """A registry with something to be found, and the calls that are valid on it."""

    reg: Registry
    named: dict[str, Any] = field(default_factory=dict)

    def set(self) -> None:
        """Put back what a call may have taken away."""
        models = {model.name: model for model in self.reg.models.find()}
        for name in ("One", "Other", "Heir"):
            self.named[name] = models.get(name) or created(self.reg, ollama(name=name))
        self.named["Vectors"] = models.get("Vectors") or created(self.reg, embedding(name="Vectors"))
        if not self.reg.models.defaults():
            self.reg.models.set_default("Heir", actor=ADMIN)
        if not self.reg.knowledge_bases.find(search="kb-1"):
            self.reg.knowledge_bases.bind("kb-1", name="Base", actor=ADMIN)

    def calls(self) -> dict[str, dict[str, Any]]:
        """Valid arguments of every public method; those that change say who acts."""
        one, vectors = self.named["One"], self.named["Vectors"]
        by = {"actor": ADMIN}
        return {
            "acting_as": {"actor": ADMIN},
            "key_status": {},
            "key_uses": {},
            "rotate_keys": {"progress": None, **by},
            "resolve": {"id_or_name": None, "kb": "kb-1", "type": "generation"},
            "models.get": {"id_or_name": one.id},
            "models.find": {"where": None},
            "models.overview": {"where": None},
            "models.counts": {"where": None},
            "models.default": {"type": "ner"},
            "models.defaults": {},
            "models.reassignment": {"id_or_name": one.id},
            "models.create": {"spec": generation(), "tested": None, **by},
            "models.update": {
                "id_or_name": one.id,
                "edit": {"name": "One"},
                "version": one.version,
                "tested": None,
                **by,
            },
            "models.set_status": {"id_or_name": one.id, "status": "active", **by},
            "models.set_default": {"id_or_name": one.id, **by},
            "models.clear_default": {"type": "generation", **by},
            "models.delete": {"id_or_name": "Other", "reassign_to": None, **by},
            "models.test": {"model": ollama(api_endpoint="http://127.0.0.1:1"), "changes": None, **by},
            "knowledge_bases.get": {"id": "kb-1"},
            "knowledge_bases.find": {"search": "x"},
            "knowledge_bases.using": {"model": one.id},
            "knowledge_bases.bind": {
                "id": "kb-1",
                "name": "Base",
                "embedding": vectors.id,
                "generation": one.id,
                "ner": None,
                "reindexed": True,
                **by,
            },
            "knowledge_bases.remove": {"id": "kb-1", **by},
            "proxy.plan": {},
            "proxy.sync": {"only": [], "progress": None, **by},
            "proxy.adopt": {"entry_id": "no such entry", **by},
            "audit.find": {
                "actor": "x",
                "action": "x",
                "target": "x",
                "since": None,
                "until": None,
                "search": "x",
                "limit": 5,
                "after": 9,
            },
            "audit.actors": {},
            "audit.verify": {},
        }

    def method(self, name: str) -> Callable[..., Any]:
        *part, method = name.split(".")
        return getattr(getattr(self.reg, part[0]) if part else self.reg, method)  # type: ignore[no-any-return]  # found by name


REFUSALS = (errors.NotFoundError, errors.InvalidInputError)
# refusals of a rule of the design, which other arguments than the odd one can bring about
RULES = (
    errors.AlreadyExistsError,
    errors.StaleVersionError,
    errors.InUseError,
    errors.ContractError,
    errors.DefaultModelError,
    errors.InactiveModelError,
)


def outcome(call: Callable[..., Any], given: Mapping[str, Any], odd: Mapping[str, Any]) -> str:
    """What comes of a call: ``taken``, ``refused``, or a description of what should not have come."""
    of_actor = (errors.ForbiddenError,) if "actor" in odd else ()
    expected = (*REFUSALS, *of_actor, *(RULES if len(odd) > 1 else ()))
    try:
        call(**{**given, **odd})
    except expected as error:
        if error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__):
            return f"{error!r} has a cause"
        if isinstance(error, errors.InvalidInputError) and not _names(error, odd):
            return f"{error!r} names {list(error.fields)}, not {list(odd)}"
        return "refused"
    except Exception as error:  # noqa: BLE001 -- the point of the test
        return f"{type(error).__name__}: {error} on {odd!r}"
    return "taken"


def _names(error: errors.InvalidInputError, odd: Mapping[str, Any]) -> bool:
    """Whether the error says which argument, or which field of a model, was refused."""
    whole_models = {"spec", "edit", "changes", "model"}
    return bool(error.fields) and (bool(whole_models & odd.keys()) or bool(odd.keys() & error.fields.keys()))


TEXTS = {"text enum", "own text", "member", "pattern", "number", "date"}
FILTERS = {
    *TEXTS,
    "none",
    "empty",
    "space",
    "nul",
    "surrogate",
    "direction",
    "long",
    "spaced",
    "environment",
    "control",
}
RECORDS = {"record with a uuid", "base with a uuid"}
CALLBACKS = {"none", "function", "class"}
MEANT: dict[str, set[str]] = {
    "acting_as.actor": {"actor"},
    "rotate_keys.progress": CALLBACKS,
    "resolve.id_or_name": {"none"},
    "resolve.kb": {"none", "own text"},
    "models.find.where": {"none", "filter"},
    "models.overview.where": {"none", "filter"},
    "models.counts.where": {"none", "filter"},
    "models.default.type": {"member"},
    "models.clear_default.type": {"member"},
    "models.create.tested": {"none"},
    "models.update.tested": {"none"},
    "models.delete.reassign_to": {"none"},
    "models.test.changes": {"none"},
    "knowledge_bases.get.id": {"own text"},
    "knowledge_bases.remove.id": {"own text"},
    "knowledge_bases.bind.id": {*TEXTS, "uuid", "base with a uuid"},
    "knowledge_bases.bind.name": {*TEXTS, "none"},
    "knowledge_bases.bind.reindexed": {"true", "false"},
    "knowledge_bases.bind.embedding": {"none"},
    "knowledge_bases.bind.generation": {"none"},
    "knowledge_bases.bind.ner": {"none"},
    "proxy.sync.only": {"none", "empty list", "tuple"},
    "proxy.sync.progress": CALLBACKS,
    "proxy.adopt.actor": set(),  # there is no such entry
    "audit.find.actor": FILTERS,
    "audit.find.target": {*FILTERS, *RECORDS, "uuid"},
    "audit.find.since": {"none", "moment", "last moment"},
    "audit.find.until": {"none", "moment", "last moment"},
    "audit.find.after": {"none", "zero", "minus"},
}


def meant(name: str, argument: str) -> set[str]:
    """The odd values that an argument takes all the same."""
    if argument in ("provider", "search", "action"):
        return FILTERS
    return MEANT.get(f"{name}.{argument}", {"actor"} if argument == "actor" else set())


def outcomes(stage: Stage, name: str) -> Iterator[tuple[str, str, str]]:
    """Argument, odd value and what came of it, for each argument alone."""
    for argument in stage.calls()[name]:
        for kind, value in ODD.items():
            yield argument, kind, outcome(stage.method(name), stage.calls()[name], {argument: value})
            stage.set()


@pytest.fixture
def settings(store_url: str, fake_proxy: FakeProxy) -> Settings:
    return Settings(
        database_url=store_url,
        fernet_keys=[KEY_A],
        litellm_proxy_url=fake_proxy.url,
        litellm_master_key=fake_proxy.master_key,
    )


@pytest.fixture
def stage(reg: Registry) -> Stage:
    stage = Stage(reg)
    stage.set()
    return stage


METHODS = sorted({*public_methods()} - FREE | {"acting_as"})


def test_every_method_and_argument_is_called(stage: Stage) -> None:
    """A method, or an argument, that is added needs its line above."""
    methods = {name: method for name, method in public_methods().items() if name in METHODS}
    parameters = {name: {*inspect.signature(method).parameters} - {"self"} for name, method in methods.items()}
    assert parameters == {name: set(arguments) for name, arguments in stage.calls().items()}


@pytest.mark.parametrize("name", METHODS)
def test_an_odd_value_is_taken_where_it_is_meant_or_refused(stage: Stage, name: str) -> None:
    """Nothing but NotFoundError or InvalidInputError, which names the argument; of an actor, ForbiddenError."""
    found = {(argument, kind): what for argument, kind, what in outcomes(stage, name)}
    expected = {(argument, kind): "taken" if kind in meant(name, argument) else "refused" for argument, kind in found}
    assert expected == found
    assert stage.reg.audit.verify().ok


@pytest.mark.parametrize("first", range(0, COMBINATIONS, AT_MOST))
def test_several_odd_values_at_once(stage: Stage, first: int) -> None:
    """Random combinations: `ODD_ARGUMENTS=100000` makes so many of them."""
    random = Random(7 + first)  # noqa: S311 -- the same ones each time
    faults = []
    for _ in range(first, min(first + AT_MOST, COMBINATIONS)):
        name = random.choice(METHODS)
        given = stage.calls()[name]
        odd = {argument: random.choice(list(ODD.values())) for argument in given if random.random() < 0.5}
        what = outcome(stage.method(name), given, odd)
        faults += [] if what in ("taken", "refused") else [f"{name}: {what}"]
        stage.set()
    assert [] == faults
    assert stage.reg.audit.verify().ok


def test_control_an_untyped_error_is_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the rule for text, odd values reach the database."""
    monkeypatch.setattr(arguments, "text", lambda argument, value, expected="": value)
    assert not {"taken", "refused"} >= {what for _, _, what in outcomes(stage, "knowledge_bases.get")}


def test_a_record_or_a_uuid_names_a_model(stage: Stage) -> None:
    """Wherever a model is asked for."""
    reg, model = stage.reg, stage.named["One"]
    (summary,) = (row for row in reg.models.overview() if row.id == model.id)
    for ref in (model, summary, UUID(model.id), f" {model.id}\n", " one ", Own("One")):
        assert model == reg.models.get(ref)
        assert model == reg.resolve(ref).model
        assert model == reg.models.update(ref, {}, version=model.version, actor=ADMIN)
        assert model == reg.models.set_status(ref, "active", actor=ADMIN)
        assert model.id == reg.knowledge_bases.bind("kb-1", generation=ref, actor=ADMIN).generation
        assert ["kb-1"] == [base.id for base in reg.knowledge_bases.using(ref)]
        assert ["kb-1"] == [base.id for base in reg.models.reassignment(ref).knowledge_bases]
        reg.knowledge_bases.bind("kb-1", generation=None, actor=ADMIN)


@pytest.mark.parametrize("form", [str, UUID, lambda id: f" {id}\n", Own], ids=["text", "uuid", "spaced", "own text"])
def test_the_id_of_a_record_is_taken_like_an_id(stage: Stage, form: Callable[[str], Any]) -> None:
    """Whatever an id may be when it is given alone it may be in a record, in every call alike."""
    reg, model, id = stage.reg, stage.named["One"], str(UUID(int=9))
    base = reg.knowledge_bases.bind(id, name="Nine", generation=model.id, actor=ADMIN)
    one, nine = replace(model, id=form(model.id)), replace(base, id=form(id))
    assert model == reg.models.get(one) == reg.resolve(one).model
    assert base == reg.knowledge_bases.bind(nine, generation=one, actor=ADMIN) == reg.knowledge_bases.get(nine)
    assert model == reg.resolve(kb=nine, type="generation").model
    assert {model.id} == {entry.target_id for entry in reg.audit.find(target=one).entries}
    assert {id} == {entry.target_id for entry in reg.audit.find(target=nine).entries}
    reg.knowledge_bases.remove(nine, actor=ADMIN)


@pytest.mark.parametrize("id", [None, 42, "", " ", b"kb-1", ["kb-1"]], ids=repr)
def test_a_record_without_an_id_is_refused(stage: Stage, id: Any) -> None:
    """It names nothing: not even a filter may pass over it."""
    reg, base = stage.reg, stage.reg.knowledge_bases.get("kb-1")
    model, other = replace(stage.named["One"], id=id), replace(base, id=id)
    calls: dict[str, list[Callable[[], object]]] = {
        "id_or_name": [lambda: reg.models.get(model), lambda: reg.resolve(model)],
        "target": [lambda: reg.audit.find(target=model), lambda: reg.audit.find(target=other)],
        "id": [lambda: reg.knowledge_bases.bind(other, actor=ADMIN), lambda: reg.knowledge_bases.get(other)],
        "kb": [lambda: reg.resolve(kb=other, type="ner")],
        "ner": [lambda: reg.knowledge_bases.bind("kb-1", ner=model, actor=ADMIN)],
    }
    for argument, alike in calls.items():
        for call in alike:
            with pytest.raises(errors.InvalidInputError) as caught:
                call()
            assert [argument] == list(caught.value.fields)


FILTER: dict[str, Any] = {"type": "ner", "provider": "openai", "status": "active", "search": "x"}


@pytest.mark.parametrize("name", list(FILTER))
def test_every_filter_that_is_taken_can_be_asked(reg: Registry, name: str) -> None:
    """Whatever text it holds, of which a database may know nothing."""
    taken = 0
    for value in ODD.values():
        if complaint(ModelFilter, {**FILTER, name: value}) is None:
            where = ModelFilter(**{**FILTER, name: value})
            assert [] == reg.models.find(where) == reg.models.overview(where)
            assert {} == reg.models.counts(where)
            taken += 1
    assert taken > 1 or name == "status"


VALID: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Actor": (Actor, {"name": "alice", "role": "admin", "via": "test"}),
    "ModelCreate": (ModelCreate, generation()),
    "ModelFilter": (ModelFilter, FILTER),
    "ModelUpdate": (ModelUpdate, {name: value for name, value in generation().items() if name != "type"}),
    "Registry.connect": (
        Registry.connect,
        {"settings": Settings(database_url="sqlite:////dev/null/none", fernet_keys=[KEY_A])},
    ),
    "Settings": (Settings, {"database_url": "sqlite:///x"}),
    **{kind: (CONFIGS[ModelType(kind)], build()["config"]) for kind, build in BUILDERS.items()},
}


def complaint(make: Callable[..., Any], given: dict[str, Any]) -> errors.RegistryError | None:
    try:
        make(**given)
    except errors.RegistryError as error:
        return error
    return None


@pytest.mark.parametrize("name", list(VALID))
def test_what_is_made_of_odd_values_is_refused_alike(name: str) -> None:
    """The constructors of what the methods take: an error of the registry that names the argument, and has no cause."""
    make, given = VALID[name]
    fields = [*CONFIGS[ModelType(name)].model_fields] if name in BUILDERS else [*inspect.signature(make).parameters]
    tried = {(field, kind): complaint(make, {**given, field: ODD[kind]}) for field, kind in product(fields, ODD)}
    refused = {at: error for at, error in tried.items() if error and not isinstance(error, errors.StoreError)}
    by_fields = {at: error for at, error in refused.items() if not isinstance(error, errors.SettingsError)}
    assert {} == {at: error for at, error in by_fields.items() if not any(f.startswith(at[0]) for f in error.fields)}
    assert all(error.__context__ is None or error.__suppress_context__ for error in refused.values())
    assert set(fields) == {field for field, _ in refused}


def test_a_refused_setting_is_named_and_not_repeated() -> None:
    """It may be a password."""
    for argument, value in product(inspect.signature(Settings).parameters, ODD.values()):
        error = complaint(Settings, {"database_url": "sqlite:///x", argument: value})
        if error is not None:
            assert re.search("REGISTRY_|LITELLM_|embedded", error.message)
            shown = value if isinstance(value, str) else repr(value)
            assert len(shown) < 6 or shown not in error.message
