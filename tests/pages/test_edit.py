"""The form to edit a model."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Model, Registry
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, CANARY, azure, bound, created, embedding, generation, ner, ollama

NEW_KEY = "sk-another-5d0c7b1e"


def _key(reg: Registry, model: Model) -> str | None:
    key = reg.resolve(model.id).api_key
    return key.get_secret_value() if key else None


def _entries(reg: Registry) -> int:
    return len(reg.audit.find().entries)


AWKWARD = [
    generation(config={"temperature": 0, "top_p": 0, "top_k": None, "cost_per_1m_input": 0, "tags": ["b", "a"]}),
    ner(config={"stop_sequences": ["\n\n", "a\\n", "\t", " ", "\\", ",", "\\,", " , "], "top_k": None}),
    ner(config={"tags": [" x ", "a, b", "\\", "\\s", "\u00a0y"]}),
    embedding(config={"normalize": False, "distance_metric": "dot", "batch_size": 1000}),
    azure(connection={"deployment": "d", "api_version": "2024-10-21"}),
    ollama(api_endpoint="http://gpu-1.example.com:11434/base"),
    generation(api_endpoint="https://gateway.example.com/v1", connection={"organization": "org-1"}),
    generation(name="<b>*x*</b> :material/key: {1}"),
]


@pytest.mark.parametrize("number", range(len(AWKWARD)))
def test_saving_without_a_change_changes_nothing(dashboard: Dashboard, reg: Registry, number: int) -> None:
    """Zero, white space, tags, prices and addresses survive: no new version, no audit entry, and it says so."""
    model = created(reg, AWKWARD[number])
    entries = _entries(reg)
    dashboard.open("edit", id=model.id).click("Save changes")
    assert (reg.models.get(model.id), _entries(reg)) == (model, entries)
    assert (dashboard.title, dashboard.toasts) == ("Models", ["Nothing was changed."])


def test_one_change_is_one_change(dashboard: Dashboard, reg: Registry) -> None:
    """Only the field that was edited is in the audit entry; everything else stays as it was."""
    model = created(reg, ner(config={"stop_sequences": ["\n\n"], "tags": ["eu"]}))
    dashboard.open("edit", id=model.id).put(config__temperature=0.5).click("Save changes")
    saved = reg.models.get(model.id)
    assert saved.config == {**model.config, "temperature": 0.5}
    assert saved.version == model.version + 1
    changes = reg.audit.find().entries[0].changes
    assert [(change.field, change.before, change.after) for change in changes] == [("config.temperature", 0, 0.5)]
    assert dashboard.toasts == [f"“{model.name}” was saved."]


def test_everything_that_may_change(dashboard: Dashboard, reg: Registry) -> None:
    """Name, model id, endpoint, connection, parameters, status and default can be edited in one go."""
    model = created(reg, azure())
    dashboard.open("edit", id=model.id).put(
        name="Renamed",
        model_id="gpt-4.1",
        connection__deployment="other",
        connection__api_version="",
        config__top_k=5,
        config__tags="x",
        config__supports_vision=True,
        is_default=True,
    ).click("Save changes")
    saved = reg.models.get(model.id)
    assert (saved.name, saved.model_id, saved.connection) == ("Renamed", "gpt-4.1", {"deployment": "other"})
    assert (saved.config["top_k"], saved.config["tags"], saved.config["supports_vision"]) == (5, ("x",), True)
    assert (saved.is_default, _key(reg, saved)) == (True, CANARY)


def test_optional_values_can_be_cleared(dashboard: Dashboard, reg: Registry) -> None:
    """An optional parameter, a connection field and tags can be emptied."""
    model = created(
        reg, generation(config={"top_k": 5, "cost_per_1m_input": 1, "tags": ["x"]}, connection={"organization": "o"})
    )
    dashboard.open("edit", id=model.id)
    dashboard.put(config__top_k=None, config__cost_per_1m_input=None, config__tags="", connection__organization="")
    dashboard.click("Save changes")
    saved = reg.models.get(model.id)
    assert [saved.config[name] for name in ("top_k", "cost_per_1m_input", "tags")] == [None, None, ()]
    assert saved.connection == {}


@pytest.mark.parametrize("path", ["config__context_window", "config__temperature", "config__timeout_seconds"])
def test_an_emptied_parameter_is_a_fault(dashboard: Dashboard, reg: Registry, path: str) -> None:
    """Emptying what cannot be empty gives a message at the field; neither the old value nor a default is saved."""
    model = created(reg, generation(config={"temperature": 0.1, "timeout_seconds": 33}))
    dashboard.open("edit", id=model.id).put(**{path: None}).click("Save changes")
    assert list(dashboard.faults) == [path.replace("__", ".")]
    assert reg.models.get(model.id) == model


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"name": " "}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"model_id": ""}, "model_id"),
        ({"api_endpoint": "javascript:alert(1)"}, "api_endpoint"),
        ({"config__temperature": 2.5}, "config.temperature"),
        ({"config__max_output_tokens": 10_000_000}, "config.max_output_tokens"),
        ({"config__tags": "t" * 51}, "config.tags"),
    ],
)
def test_bad_edits_are_told_at_their_field(
    dashboard: Dashboard, reg: Registry, values: dict[str, Any], path: str
) -> None:
    """A refused edit changes nothing, stands under its field, and keeps what was typed."""
    model = created(reg, generation())
    dashboard.open("edit", id=model.id).put(**values).click("Save changes")
    assert list(dashboard.faults) == [path]
    assert dashboard.errors == ["Not saved: 1 field to correct above."]
    assert reg.models.get(model.id) == model


def test_a_name_that_is_taken(dashboard: Dashboard, reg: Registry) -> None:
    """Renaming to another model's name is refused at the name."""
    created(reg, generation(name="Taken"))
    model = created(reg, generation())
    dashboard.open("edit", id=model.id).put(name=" TAKEN ").click("Save changes")
    assert dashboard.faults == {"name": "This name is taken."}


def test_the_saved_key_never_comes_back(dashboard: Dashboard, reg: Registry) -> None:
    """The key field is empty and says that a key is saved; neither key nor ciphertext is on page or in session."""
    model = created(reg, generation(api_key=CANARY))
    dashboard.open("edit", id=model.id)
    field = dashboard.field("api_key")
    assert (field.value, field.placeholder) == ("", "Saved – leave empty to keep")
    for _ in range(2):
        for held in (dashboard.sent(), dashboard.remembered(), repr(dashboard.at).encode()):
            assert CANARY.encode() not in held
            assert b"gAAAA" not in held
        dashboard.run()


def test_trying_another_provider_changes_nothing_else(dashboard: Dashboard, reg: Registry) -> None:
    """A retired model stays retired, and keeps its id, when another provider was looked at."""
    model = created(reg, generation(status="inactive"))
    dashboard.open("edit", id=model.id).put(provider="mistral").put(provider="openai")
    dashboard.put(name="Renamed").click("Save changes")
    saved = reg.models.get(model.id)
    assert ("Renamed", "inactive", model.model_id) == (saved.name, saved.status, saved.model_id)


def test_a_saved_key_is_kept(dashboard: Dashboard, reg: Registry) -> None:
    """Leaving the key field empty keeps the key, through an edit of something else."""
    model = created(reg, generation(api_key=CANARY))
    dashboard.open("edit", id=model.id).put(config__top_k=3).click("Save changes")
    assert _key(reg, model) == CANARY


def test_a_new_key_replaces_the_old_one(dashboard: Dashboard, reg: Registry) -> None:
    """A typed key takes the saved one's place, and leaves the session when it is saved."""
    model = created(reg, generation(api_key=CANARY))
    dashboard.open("edit", id=model.id).put(api_key=NEW_KEY, name="").click("Save changes")
    assert (dashboard.field("api_key").value, _key(reg, model)) == (NEW_KEY, CANARY)
    dashboard.put(name="Fine").click("Save changes")
    assert _key(reg, model) == NEW_KEY
    assert NEW_KEY.encode() not in dashboard.remembered() + dashboard.sent() + repr(dashboard.at).encode()
    dashboard.open("edit", id=model.id)
    assert NEW_KEY.encode() not in dashboard.remembered() + dashboard.sent()


def test_a_saved_key_can_be_removed(dashboard: Dashboard, reg: Registry) -> None:
    """Where a key is optional, the saved one can be removed; its field is closed meanwhile."""
    model = created(reg, ollama(api_key=CANARY))
    dashboard.open("edit", id=model.id).put(remove_api_key=True).run()
    assert dashboard.field("api_key").disabled
    dashboard.click("Save changes")
    assert not reg.models.get(model.id).has_api_key
    assert _key(reg, model) is None


def test_a_needed_key_cannot_be_removed(dashboard: Dashboard, reg: Registry) -> None:
    """Where the provider needs a key, removing it is not offered."""
    model = created(reg, generation())
    assert "remove_api_key" not in dashboard.open("edit", id=model.id).fields


@pytest.mark.parametrize(
    "values",
    [
        {"api_endpoint": "https://elsewhere.example.com/v1"},
        {"api_endpoint": "http://api.openai.com/v1"},
        {"api_endpoint": "https://api.openai.com:8443/v1"},
        {"provider": "mistral"},
    ],
)
def test_a_saved_key_goes_nowhere_else(dashboard: Dashboard, reg: Registry, values: dict[str, str]) -> None:
    """Another scheme, host, port or provider asks for the key again, at the key; entering it saves the change."""
    model = created(reg, generation(api_key=CANARY))
    dashboard.open("edit", id=model.id).put(**values)
    if "provider" in values:
        dashboard.put(model_id="mistral-large-latest")
    dashboard.click("Save changes")
    assert list(dashboard.faults) == ["api_key"]
    assert dashboard.faults["api_key"].startswith("The saved key was entered for another address or provider.")
    assert reg.models.get(model.id) == model
    dashboard.put(api_key=NEW_KEY).click("Save changes")
    assert _key(reg, model) == NEW_KEY


def test_another_path_at_the_same_place_keeps_the_key(dashboard: Dashboard, reg: Registry) -> None:
    """An endpoint with another path has the same origin: the key stays."""
    model = created(reg, generation(api_key=CANARY))
    dashboard.open("edit", id=model.id).put(api_endpoint="https://api.openai.com/v2").click("Save changes")
    assert (reg.models.get(model.id).api_endpoint, _key(reg, model)) == ("https://api.openai.com/v2", CANARY)


def test_a_stale_form_is_told_and_loaded_again(dashboard: Dashboard, reg: Registry) -> None:
    """A change by another user is not overwritten: the form says so, and a button loads what is true now."""
    model = created(reg, generation(name="Before"))
    dashboard.open("edit", id=model.id).put(name="Mine", api_key=NEW_KEY)
    reg.models.update(model.id, {"name": "Theirs"}, version=model.version, actor=ADMIN)
    dashboard.click("Save changes")
    assert "was changed by another user" in dashboard.errors[0]
    assert reg.models.get(model.id).name == "Theirs"
    dashboard.click("Load it again")
    assert (dashboard.field("name").value, dashboard.field("api_key").value) == ("Theirs", "")
    assert NEW_KEY.encode() not in dashboard.remembered()
    dashboard.put(name="Mine after all").click("Save changes")
    assert reg.models.get(model.id).name == "Mine after all"


def test_a_model_that_is_deleted_meanwhile(dashboard: Dashboard, reg: Registry) -> None:
    """Saving what another user deleted says so, and saves nothing."""
    model = created(reg, generation())
    dashboard.open("edit", id=model.id).put(name="Late")
    reg.models.delete(model.id, actor=ADMIN)
    dashboard.click("Save changes")
    assert reg.models.find() == []
    assert "no such model" in dashboard.text.lower()


@pytest.mark.parametrize("id", ["nobody", "' OR 1=1 --", "\0", "x" * 5000, "🙈", "../../etc/passwd", "%00"])
def test_an_unknown_id_in_the_link(dashboard: Dashboard, reg: Registry, id: str) -> None:
    """A link to a model that does not exist says so and leads to the list."""
    created(reg, generation())
    dashboard.open("edit", id=id)
    assert (dashboard.title, dashboard.fields) == ("No such model", [])
    assert "There is no model with this link" in dashboard.errors[0]


def test_a_link_without_an_id_adds_a_model(dashboard: Dashboard) -> None:
    """An empty id is none: the form to add a model."""
    assert dashboard.open("edit", id="").title == "Add model"


def test_another_link_opens_another_form(dashboard: Dashboard, reg: Registry) -> None:
    """The link decides which model is edited; what was typed for one is not carried into another."""
    first, second = created(reg, generation()), created(reg, embedding())
    dashboard.open("edit", id=first.id).put(name="Typed", api_key=NEW_KEY)
    dashboard.open("edit", id=second.id)
    assert (dashboard.field("name").value, dashboard.field("api_key").value) == (second.name, "")
    assert NEW_KEY.encode() not in dashboard.remembered()


def test_the_type_cannot_change(dashboard: Dashboard, reg: Registry) -> None:
    """A model keeps its type: the form shows it, and offers no other."""
    model = created(reg, embedding())
    assert "type" not in dashboard.open("edit", id=model.id).fields
    assert "Embedding model" in dashboard.text


LOCKED = {"provider", "model_id", "config.dimensions", "config.normalize", "config.distance_metric"}


def test_the_contract_is_locked_while_kbs_use_it(dashboard: Dashboard, reg: Registry) -> None:
    """While knowledge bases hold its vectors, what makes them is shown, but fixed; the page names the KBs, says why,
    and does not offer to change it."""
    model = created(reg, embedding(config={"dimensions": 256}))
    bound(reg, model, name="Contracts & co")
    dashboard.open("edit", id=model.id)
    assert {path for path in dashboard.fields if dashboard.field(path).disabled} == LOCKED
    assert "Used by 1 knowledge base: Contracts & co." in dashboard.text
    assert "Provider and model ID are fixed" in dashboard.text
    assert "Dimensions, normalization and distance metric are fixed" in dashboard.text
    assert "Use these values" not in dashboard.buttons
    dashboard.put(config__batch_size=8).click("Save changes")
    assert reg.models.get(model.id).config == {**model.config, "batch_size": 8}


def test_the_contract_is_open_while_nobody_uses_it(dashboard: Dashboard, reg: Registry) -> None:
    """The control: without a knowledge base the same fields can be edited."""
    model = created(reg, embedding())
    bound(reg, created(reg, embedding()))
    dashboard.open("edit", id=model.id)
    assert not any(dashboard.field(path).disabled for path in LOCKED)
    dashboard.put(config__dimensions=512).click("Save changes")
    assert reg.models.get(model.id).config["dimensions"] == 512


BROKEN: list[tuple[dict[str, Any], set[str]]] = [
    ({"model_id": "text-embedding-3-large"}, {"model_id"}),
    ({"config__dimensions": 512, "config__normalize": False}, {"config.dimensions", "config.normalize"}),
    ({"provider": "ollama", "model_id": "nomic-embed-text", "api_key": NEW_KEY}, {"provider", "model_id"}),
]


@pytest.mark.parametrize(("values", "at_fault"), BROKEN, ids=[str(number) for number in range(len(BROKEN))])
def test_a_contract_that_a_kb_came_to_depend_on_is_refused(
    dashboard: Dashboard, reg: Registry, values: dict[str, Any], at_fault: set[str]
) -> None:
    """Where a KB was bound while the form was open, each field at fault is marked and has its saved value again, so
    that the rest of the edit can be saved."""
    model = created(reg, embedding(api_key=CANARY))
    dashboard.open("edit", id=model.id).put(**values, config__batch_size=8)
    bound(reg, model)
    dashboard.click("Save changes")
    assert "would no longer fit" in dashboard.errors[0]
    assert dashboard.faults.keys() == at_fault
    assert {path for path in dashboard.fields if dashboard.field(path).disabled} == LOCKED
    assert reg.models.get(model.id) == model
    dashboard.click("Save changes")
    assert reg.models.get(model.id).config == {**model.config, "batch_size": 8}
    assert _key(reg, model) == CANARY


def test_the_default_stays_active(dashboard: Dashboard, reg: Registry) -> None:
    """On the form of a default, status and default are shown, but closed."""
    model = created(reg, generation(is_default=True))
    dashboard.open("edit", id=model.id)
    assert [path for path in dashboard.fields if dashboard.field(path).disabled] == ["status", "is_default"]
    assert "The default must stay active." in dashboard.text


def test_a_default_that_was_chosen_meanwhile_stays_active(dashboard: Dashboard, reg: Registry) -> None:
    """A form loaded before the model became the default cannot deactivate it."""
    model = created(reg, generation())
    dashboard.open("edit", id=model.id).put(status="inactive")
    reg.models.set_default(model.id, actor=ADMIN)
    dashboard.click("Save changes")
    assert "must stay active" in dashboard.errors[0]
    assert reg.models.get(model.id).status == "active"


def test_a_status_is_saved(dashboard: Dashboard, reg: Registry) -> None:
    """The status can be changed on the form too."""
    model = created(reg, generation())
    dashboard.open("edit", id=model.id).put(status="deprecated").click("Save changes")
    assert reg.models.get(model.id).status == "deprecated"


def test_known_values_are_offered_but_not_taken_unasked(dashboard: Dashboard, reg: Registry) -> None:
    """Choosing another known id for a saved model changes nothing else; a button takes its values."""
    model = created(reg, embedding(model_id="text-embedding-3-small", config={"dimensions": 256}))
    dashboard.open("edit", id=model.id).put(model_id="text-embedding-3-large")
    assert (dashboard.field("config.dimensions").value, dashboard.field("name").value) == (256, model.name)
    dashboard.click("Use these values")
    assert dashboard.field("config.dimensions").value == 3072


def test_a_provider_that_is_gone_from_the_catalogue(dashboard: Dashboard, reg: Registry, raw: Engine) -> None:
    """A model of a provider that is not known any more can still be looked at, without an error."""
    model = created(reg, generation())
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET provider = 'bygone'"))
    assert dashboard.open().table["provider"].tolist() == ["bygone"]
    dashboard.open("edit", id=model.id)
    assert dashboard.title == f"Edit {model.name}"
