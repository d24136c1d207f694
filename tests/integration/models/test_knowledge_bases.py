"""Knowledge bases: what they are bound to, what that forbids, and how they move to another model."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Registry, errors
from registry.records import ModelType
from tests.support.factories import ADMIN, SERVICE, bound, created, embedding, generation, name, ner

CONTRACT_CHANGES: list[dict[str, Any]] = [
    {"model_id": "text-embedding-3-large"},
    {"config": {"dimensions": 512}},
    {"config": {"normalize": False}},
    {"config": {"distance_metric": "dot"}},
    {"provider": "mistral", "api_key": "sk-another-key"},
]
HARMLESS: list[dict[str, Any]] = [{"name": "Renamed"}, {"config": {"batch_size": 7}}, {"config": {"max_tokens": 99}}]


def test_a_base_is_bound_to_a_model_of_each_type(reg: Registry) -> None:
    """What was bound is read back, by id and in the list, and resolved."""
    models = [created(reg, spec()) for spec in (embedding, generation, ner)]
    base = bound(reg, *models, name="Contracts")
    assert base == reg.knowledge_bases.get(base.id)
    assert [base] == reg.knowledge_bases.find() == reg.knowledge_bases.find(search="CONTR")
    assert [model.id for model in models] == [getattr(base, kind) for kind in ModelType]
    assert models == [reg.resolve(kb=base.id, type=kind).model for kind in ModelType]


def test_models_are_given_by_name_too(reg: Registry) -> None:
    """As everywhere, an id or a name."""
    model = created(reg)
    base = reg.knowledge_bases.bind("kb", name="KB", generation=model.name.upper(), actor=SERVICE)
    assert model.id == base.generation


def test_binding_again_changes_only_what_is_given(reg: Registry) -> None:
    """None unbinds, what is left out stays, the name can change."""
    vectors, text, other = created(reg, embedding()), created(reg), created(reg)
    base = bound(reg, vectors, text)
    moved = reg.knowledge_bases.bind(base.id, generation=other.id, name="New", actor=ADMIN)
    assert (vectors.id, other.id, "New") == (moved.embedding, moved.generation, moved.name)
    assert reg.knowledge_bases.bind(base.id, generation=None, actor=ADMIN).generation is None


def test_binding_as_it_is_changes_nothing(reg: Registry) -> None:
    """KB code may bind at every start: no entry, no time of change."""
    model = created(reg, embedding())
    base = bound(reg, model)
    entries = reg.audit.find().entries
    assert base == reg.knowledge_bases.bind(base.id, name=base.name, embedding=model.id, actor=SERVICE)
    assert entries == reg.audit.find().entries


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"generation": "embedding"}, errors.InvalidInputError),
        ({"embedding": "generation"}, errors.InvalidInputError),
        ({"generation": "inactive"}, errors.InactiveModelError),
        ({"generation": "deprecated"}, errors.InactiveModelError),
        ({"ner": "nothing"}, errors.NotFoundError),
        ({"name": ""}, errors.InvalidInputError),
        ({"name": "x" * 256}, errors.InvalidInputError),
        ({"name": "a\0b"}, errors.InvalidInputError),
        ({"id": ""}, errors.InvalidInputError),
        ({"id": "x" * 256}, errors.InvalidInputError),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else value.__name__,
)
def test_a_refused_binding_saves_nothing(reg: Registry, wish: dict[str, str], error: type[Exception]) -> None:
    """Wrong type, not active, unknown, unusable names: not even the base is made."""
    models = {
        "embedding": created(reg, embedding()),
        "generation": created(reg),
        "inactive": created(reg, generation(status="inactive")),
        "deprecated": created(reg, generation(status="deprecated")),
    }
    arguments: dict[str, Any] = {"id": "kb", "name": "KB", **wish}
    for kind in ModelType:
        chosen = models.get(arguments.get(kind, ""))
        arguments |= {str(kind): chosen.id} if chosen else {}
    with pytest.raises(error):
        reg.knowledge_bases.bind(**arguments, actor=ADMIN)
    assert reg.knowledge_bases.find() == []
    assert () == reg.audit.find(action="knowledge_base:").entries


def test_a_bound_base_keeps_a_model_that_is_retired(reg: Registry) -> None:
    """Deprecated: still used. Inactive: the base stays bound, but the model is not given out."""
    model = created(reg)
    base = bound(reg, model)
    reg.models.set_status(model.id, "deprecated", actor=ADMIN)
    assert model.id == reg.resolve(kb=base.id, type="generation").model.id
    assert base == reg.knowledge_bases.bind(base.id, generation=model.id, actor=ADMIN)
    reg.models.set_status(model.id, "inactive", actor=ADMIN)
    with pytest.raises(errors.InactiveModelError):
        reg.resolve(kb=base.id, type="generation")


def test_a_base_falls_back_to_the_default_but_never_for_embedding(reg: Registry) -> None:
    """The default of another day may make other vectors than those that the base holds."""
    chosen = {kind: created(reg, spec(is_default=True)) for kind, spec in [("embedding", embedding), ("ner", ner)]}
    base = bound(reg)
    assert chosen["ner"] == reg.resolve(kb=base.id, type="ner").model == reg.resolve(type="ner").model
    for kind in ("embedding", "generation"):
        with pytest.raises(errors.NotFoundError):
            reg.resolve(kb=base.id, type=kind)


@pytest.mark.parametrize("unknown", ["nothing", "", "\0", "\ud800", "x" * 100_000])
def test_an_unknown_base_is_not_found(reg: Registry, unknown: str) -> None:
    """NotFoundError, for reading, removing and resolving."""
    with pytest.raises(errors.NotFoundError):
        reg.knowledge_bases.get(unknown)
    with pytest.raises(errors.NotFoundError):
        reg.knowledge_bases.remove(unknown, actor=ADMIN)
    with pytest.raises(errors.NotFoundError):
        reg.resolve(kb=unknown, type="ner")


@pytest.mark.parametrize("id", ["kb\0-1", "kb-1\0", "kb\x1f-1", "kb-\ud800", "KB-1", "kb-1" + " " * 1000 + "x"])
def test_no_other_text_answers_for_an_id(reg: Registry, id: str) -> None:
    """Ids are compared letter by letter; what no id can hold is not taken out of one."""
    bound_base = reg.knowledge_bases.bind("kb-1", name="KB", generation=created(reg).id, actor=ADMIN)
    for call in (
        lambda: reg.knowledge_bases.get(id),
        lambda: reg.resolve(kb=id, type="generation"),
        lambda: reg.knowledge_bases.remove(id, actor=ADMIN),
    ):
        with pytest.raises(errors.NotFoundError):
            call()
    assert [bound_base] == reg.knowledge_bases.find()
    found = [base.id for base in reg.knowledge_bases.find(search=id)]
    assert (["kb-1"] if id == "KB-1" else []) == found  # a search is in any case


@pytest.mark.parametrize("written", ["kb-9", " kb-9 ", "\tkb-9\n", "\u00a0kb-9\u3000"])
@pytest.mark.parametrize("bound_as", ["kb-9", " kb-9 "])
def test_white_space_around_an_id_does_not_count(reg: Registry, bound_as: str, written: str) -> None:
    """What was bound is found, bound again and removed, however it is spaced."""
    base = reg.knowledge_bases.bind(bound_as, name="KB", generation=created(reg, generation(name="G")).id, actor=ADMIN)
    assert "kb-9" == base.id
    assert base == reg.knowledge_bases.get(written) == reg.knowledge_bases.bind(written, generation=" G ", actor=ADMIN)
    assert base.generation == reg.resolve(kb=written, type=" generation ").model.id
    assert [base] == reg.knowledge_bases.find(search=written)
    assert 1 == len(reg.audit.find(target=written, actor=f" {ADMIN.name} ", action=" knowledge_base:bind ").entries)
    reg.knowledge_bases.remove(written, actor=ADMIN)
    assert [] == reg.knowledge_bases.find()


@pytest.mark.parametrize("flag", ["false", "true", 1, 0, None, "yes", [True]])
def test_only_true_says_that_a_base_was_indexed_again(reg: Registry, flag: Any) -> None:
    """Anything else is refused by name: a text such as ``"false"`` must not pass over the contract."""
    vectors, other = created(reg, embedding()), created(reg, embedding(config={"dimensions": 512}))
    base = bound(reg, vectors)
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.knowledge_bases.bind(base.id, embedding=other.id, reindexed=flag, actor=ADMIN)
    assert ["reindexed"] == list(caught.value.fields)
    assert base == reg.knowledge_bases.get(base.id)
    assert other.id == reg.knowledge_bases.bind(base.id, embedding=other.id, reindexed=True, actor=ADMIN).embedding


def test_a_removed_base_frees_its_models(reg: Registry) -> None:
    """Its models stay, and can be deleted again."""
    model = created(reg)
    base = bound(reg, model)
    reg.knowledge_bases.remove(base.id, actor=ADMIN)
    assert reg.knowledge_bases.using(model.id) == []
    reg.models.delete(model.id, actor=ADMIN)


def test_a_model_in_use_is_not_deleted(reg: Registry) -> None:
    """The error names the bases, in the message and as records; nothing changes."""
    model = created(reg)
    bases = [bound(reg, model, name=base) for base in ("Alpha", "Beta")]
    with pytest.raises(errors.InUseError, match="Alpha, Beta") as caught:
        reg.models.delete(model.id, actor=ADMIN)
    assert tuple(bases) == caught.value.knowledge_bases
    assert model == reg.models.get(model.id)
    assert bases == reg.knowledge_bases.using(model.id)


def test_many_bases_are_named_in_short(reg: Registry) -> None:
    """The message names five and goes on, the records are complete."""
    model = created(reg)
    for number in range(7):
        bound(reg, model, name=f"B{number}")
    with pytest.raises(errors.InUseError, match="7 knowledge bases: B0, B1, B2, B3, B4, …") as caught:
        reg.models.delete(model.id, actor=ADMIN)
    assert 7 == len(caught.value.knowledge_bases)


@pytest.mark.parametrize("spec", [embedding, generation, ner])
def test_deleting_with_reassignment_moves_every_base(reg: Registry, spec: Any) -> None:
    """All bases move and the model is deleted, in one step that names them in the audit log."""
    model, heir = created(reg, spec()), created(reg, spec())
    bases = [bound(reg, model) for _ in range(3)]
    reg.models.delete(model.id, reassign_to=heir.id, actor=ADMIN)
    assert [base.id for base in bases] == [base.id for base in reg.knowledge_bases.using(heir.id)]
    entry = reg.audit.find(action="model:delete").entries[0]
    expected = {"knowledge_bases": [base.name for base in bases], "knowledge_base_count": 3}
    assert {**expected, "reassigned_to": heir.name} == entry.context
    assert 3 == len(reg.audit.find(action="knowledge_base:reassign").entries)


@pytest.mark.parametrize(
    ("heir", "error"),
    [
        ({"model_id": "text-embedding-3-large"}, errors.ContractError),
        ({"config": {"dimensions": 512}}, errors.ContractError),
        ({"config": {"distance_metric": "dot"}}, errors.ContractError),
        ({"config": {"normalize": False}}, errors.ContractError),
        ({"provider": "mistral"}, errors.ContractError),
        ({"status": "inactive"}, errors.InactiveModelError),
        ("generation", errors.ContractError),
        ("itself", errors.InvalidInputError),
        ("unknown", errors.NotFoundError),
    ],
    ids=str,
)
def test_a_refused_reassignment_moves_none(reg: Registry, heir: Any, error: type[Exception]) -> None:
    """All bases move or none, and then the model is still there."""
    model = created(reg, embedding())
    bases = [bound(reg, model) for _ in range(2)]
    heirs = {"generation": created(reg).id, "itself": model.id, "unknown": "unknown"}
    other = heirs[heir] if isinstance(heir, str) else created(reg, embedding(**heir)).id
    entries = reg.audit.find().entries
    with pytest.raises(error):
        reg.models.delete(model.id, reassign_to=other, actor=ADMIN)
    assert bases == reg.knowledge_bases.using(model.id)
    assert entries == reg.audit.find().entries


@pytest.mark.parametrize(
    ("heir", "error"),
    [
        ("no such model", errors.NotFoundError),
        ("", errors.NotFoundError),
        ("\udc80", errors.NotFoundError),
        (42, errors.InvalidInputError),
        (object(), errors.InvalidInputError),
        (b"Heir", errors.InvalidInputError),
        ("Old", errors.InvalidInputError),
        ("Other type", errors.ContractError),
        ("Inactive", errors.InactiveModelError),
        ("Other vectors", errors.ContractError),
    ],
    ids=lambda value: ascii(value) if isinstance(value, str | bytes | int) else type(value).__name__,
)
def test_an_heir_is_checked_where_there_is_nothing_to_inherit(
    reg: Registry, heir: Any, error: type[errors.RegistryError]
) -> None:
    """A model that no KB uses is deleted only with an heir that would do: a typing error must not pass."""
    old = created(reg, embedding(name="Old"))
    created(reg, generation(name="Other type"))
    created(reg, embedding(name="Inactive", status="inactive"))
    created(reg, embedding(name="Other vectors", config={"dimensions": 7}))
    with pytest.raises(error) as caught:
        reg.models.delete(old.id, reassign_to=heir, actor=ADMIN)
    assert (["reassign_to"] if error is errors.InvalidInputError else []) == list(caught.value.fields)
    assert old == reg.models.get(old.id)
    reg.models.delete(old.id, reassign_to=created(reg, embedding()).id, actor=ADMIN)
    (entry,) = reg.audit.find(action="model:delete").entries
    assert {} == entry.context


def test_reassignment_offers_what_fits(reg: Registry) -> None:
    """Active models of the same type and, for embedding, of an equal contract; nothing where no base uses it."""
    model, fitting, free = created(reg, embedding()), created(reg, embedding()), created(reg, embedding())
    created(reg, embedding(config={"dimensions": 3}))
    created(reg, embedding(status="inactive"))
    created(reg)
    base = bound(reg, model)
    found = reg.models.reassignment(model.id)
    assert ((base,), {fitting.id, free.id}) == (found.knowledge_bases, {row.id for row in found.candidates})
    assert ((), ()) == (reg.models.reassignment(free.id).knowledge_bases, reg.models.reassignment(free.id).candidates)


@pytest.mark.parametrize("edit", CONTRACT_CHANGES, ids=str)
def test_the_contract_of_a_model_in_use_is_fixed(reg: Registry, edit: dict[str, Any]) -> None:
    """Provider, model id, dimensions, normalization and metric stay while a base holds vectors; else they are free."""
    model, free = created(reg, embedding()), created(reg, embedding())
    base = bound(reg, model)
    with pytest.raises(errors.ContractError) as caught:
        reg.models.update(model.id, edit, version=1, actor=ADMIN)
    assert (base,) == caught.value.knowledge_bases
    changed = {f"config.{name}" for name in edit.get("config", {})} | edit.keys() - {"config", "api_key"}
    assert changed == set(caught.value.fields)
    assert model == reg.models.get(model.id)
    assert 2 == reg.models.update(free.id, edit, version=1, actor=ADMIN).version


@pytest.mark.parametrize("edit", HARMLESS, ids=str)
def test_other_fields_of_a_model_in_use_change_freely(reg: Registry, edit: dict[str, Any]) -> None:
    """What does not change its vectors can be edited."""
    model = created(reg, embedding())
    bound(reg, model)
    assert 2 == reg.models.update(model.id, edit, version=1, actor=ADMIN).version


def test_a_base_changes_its_contract_only_when_indexed_anew(reg: Registry) -> None:
    """Other vectors are refused until the KB code says that all were made again, which the audit log keeps."""
    model, other = created(reg, embedding()), created(reg, embedding(config={"dimensions": 3}))
    base = bound(reg, model)
    for wish in (other.id, None):
        with pytest.raises(errors.ContractError, match="reindexed=True"):
            reg.knowledge_bases.bind(base.id, embedding=wish, actor=SERVICE)
    assert base == reg.knowledge_bases.get(base.id)
    moved = reg.knowledge_bases.bind(base.id, embedding=other.id, reindexed=True, actor=SERVICE)
    assert other.id == moved.embedding
    assert {"reindexed": True} == reg.audit.find().entries[0].context


def test_a_base_moves_freely_within_its_contract(reg: Registry) -> None:
    """Another registration of the same model makes the same vectors."""
    model, twin = created(reg, embedding()), created(reg, embedding())
    base = bound(reg, model)
    assert twin.id == reg.knowledge_bases.bind(base.id, embedding=twin.id, actor=ADMIN).embedding


def test_an_unbound_base_remembers_no_contract(reg: Registry) -> None:
    """Unbound as indexed again, it holds no vectors, so any model will do."""
    base = bound(reg, created(reg, embedding()))
    reg.knowledge_bases.bind(base.id, embedding=None, reindexed=True, actor=ADMIN)
    other = created(reg, embedding(config={"dimensions": 3}))
    assert other.id == reg.knowledge_bases.bind(base.id, embedding=other.id, actor=ADMIN).embedding


@pytest.mark.parametrize(
    ("search", "expected"),
    [("_", ["kb_1"]), ("%", []), ("'", ["o'kb"]), ("KB", ["kb_1", "o'kb"])],
)
def test_bases_are_searched_as_text(reg: Registry, search: str, expected: list[str]) -> None:
    """In ids and names, never as a pattern."""
    for id in ("kb_1", "o'kb"):
        reg.knowledge_bases.bind(id, name=name("Base"), actor=ADMIN)
    assert expected == [base.id for base in reg.knowledge_bases.find(search=search)]


def test_a_contract_that_was_edited_is_put_right_by_indexing_again(reg: Registry, raw: Engine) -> None:
    """As its error advises: bound to the same model once more, which the log names as another contract."""
    model = created(reg, embedding(name="Vectors"))
    base = reg.knowledge_bases.bind("kb", name="Base", embedding=model.id, actor=ADMIN)
    with raw.begin() as connection:
        connection.execute(text("UPDATE knowledge_bases SET contract = '{\"dimensions\": 7}'"))
    with pytest.raises(errors.ContractError, match="reindexed=True"):
        reg.knowledge_bases.bind("kb", embedding=model.id, actor=ADMIN)
    again = reg.knowledge_bases.bind("kb", embedding=model.id, reindexed=True, actor=ADMIN)
    assert again == reg.knowledge_bases.bind("kb", embedding=model.id, actor=ADMIN)
    assert (base.embedding, ["contract"]) == (
        again.embedding,
        [change.field for change in reg.audit.find().entries[0].changes],
    )
