"""The connection test on the pages: in the form, from the list, of several models. Providers are on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pages.ui import result
from pages.ui.listing import batch
from registry import Actor, Model, Registry, Settings
from registry.records import FrozenDict, ModelType, TestResult
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, AUDITOR, CANARY, KEY_A, KEY_B, VIEWER, bound, created, generation
from tests.support.providers import Answer, Provider, Request, loaded, model_at

PASSED, FAILED, AHEAD = "check_circle", "cancel", "radio_button_unchecked"


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """LiteLLM takes seconds to load, which is not to count as a slow page."""
    loaded()


@pytest.fixture
def strict(server: Provider) -> Provider:
    """One that lets nobody in but with the canary key, and says so with the key in its answer."""

    def answer(request: Request) -> Answer:
        if request.key == CANARY:
            return server.speak(request)
        return Answer(401, json.dumps({"error": {"message": f"Nobody knows {request.key}."}}))

    server.answer = answer
    return server


def embedding_form(form: Dashboard, url: str, dimensions: int | None = 2) -> Dashboard:
    """The form with an embedding model of Ollama, called at this address."""
    form.put(provider="ollama", model_id="my-embed", name="Vectors", api_endpoint=url)
    return form.put(config__dimensions=dimensions, config__max_tokens=512)


def writer_form(form: Dashboard, url: str, key: str = CANARY) -> Dashboard:
    """The form with a generation model of OpenAI, called at this address."""
    form.put(type=ModelType.GENERATION, provider="openai", model_id="gpt-4o", name="Writer")
    return form.put(api_endpoint=f"{url}/v1", api_key=key)


def marks(dashboard: Dashboard) -> list[str]:
    """The marks of the four stages, in order; none where no result is shown."""
    line = next((line for line in dashboard.text.split("\n") if " → " in line), "")
    return [stage.split(":material/")[1].split(":")[0] for stage in line.split(" → ") if line]


def at(server: Provider, **overrides: Any) -> dict[str, Any]:
    """Input of an embedding model at this server, whose dimensions are right."""
    return model_at(server.url, "ollama", "embedding", **overrides)


def logged(reg: Registry) -> list[tuple[str, str, bool]]:
    """Name, kind and whether it was an edit, of each test in the audit log, the first one first."""
    entries = reg.audit.find(action="model:test").entries
    return [(entry.target_name, entry.context["kind"], entry.context["edited"]) for entry in reversed(entries)]


def test_litellm_is_loaded_where_a_test_may_be_next(
    dashboard: Dashboard, reg: Registry, sign_in: Callable[[Actor], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the form, and where a model is selected; not for people who only look."""
    begun: list[str] = []
    monkeypatch.setattr(Registry, "warm_up", lambda _: begun.append("begun"))
    created(reg, generation())
    dashboard.open()
    assert [] == begun
    dashboard.select_row(0)
    assert begun
    begun.clear()
    dashboard.open("edit")
    assert begun
    begun.clear()
    sign_in(AUDITOR)
    dashboard.open().select_row(0)
    assert [] == begun


def test_a_new_model_is_tested_before_it_is_saved(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """All four stages, what was measured and how long it took; nothing is saved by it."""
    embedding_form(dashboard.open("edit"), server.url).click("Test connection")
    assert marks(dashboard) == [PASSED] * 4
    assert "It works: vectors of 2 dimensions." in dashboard.text
    assert "2 dimensions, length 1" in dashboard.text
    assert reg.models.find() == []
    assert logged(reg) == [("Vectors", "ok", False)]
    dashboard.click("Add model")
    assert [model.name for model in reg.models.find()] == ["Vectors"]
    assert [list(chip) for chip in dashboard.table["test"]] == [["Works · now"]]
    assert "before its last change" not in dashboard.select_row(0).text
    assert len(server.requests) == 1


def test_what_was_tested_is_remembered_after_a_correction(
    dashboard: Dashboard, reg: Registry, server: Provider
) -> None:
    """A refused attempt to save takes the result away neither from the page nor from the model."""
    embedding_form(dashboard.open("edit"), server.url).put(name=" ").put(config__batch_size=8)
    dashboard.put(name="Vectors").click("Test connection").put(name=" ").click("Add model")
    assert (set(dashboard.faults), marks(dashboard)) == ({"name"}, [PASSED] * 4)
    dashboard.put(name="Named", config__max_tokens=99, config__tags="eu", status="deprecated").click("Add model")
    assert [(row.name, row.test_is_current) for row in reg.models.overview()] == [("Named", True)]


def test_an_edit_is_remembered_as_tested(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """A test of what was edited is one of the model as soon as it is saved."""
    model = created(reg, model_at(server.url, name="M"))
    dashboard.open("edit", id=model.id).put(model_id="other").click("Test connection").click("Save changes")
    assert [(row.test_ok, row.test_is_current) for row in reg.models.overview()] == [(True, True)]
    assert len(server.requests) == 1


def test_a_result_of_something_else_is_not_remembered(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """What was changed after the test is saved as not tested."""
    writer_form(dashboard.open("edit"), server.url).click("Test connection").put(config__timeout_seconds=7)
    dashboard.put(config__context_window=128_000, config__max_output_tokens=4096).click("Add model")
    assert [(row.test_ok, row.test_is_current) for row in reg.models.overview()] == [(None, False)]


def test_nothing_but_what_is_called_is_needed(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """Neither a name nor a limit; dimensions are measured and put into their empty field, and the result stays."""
    dashboard.open("edit").put(provider="ollama", model_id="my-embed", api_endpoint=server.url)
    dashboard.click("Test connection")
    assert (marks(dashboard), dashboard.field("config.dimensions").value) == ([PASSED] * 4, 2)
    dashboard.click("Add model")
    assert set(dashboard.faults) == {"config.max_tokens"}
    dashboard.put(config__max_tokens=512).click("Add model")
    assert [(row.name, row.test_is_current) for row in reg.models.overview()] == [("my-embed", True)]


@pytest.mark.parametrize("kind", [ModelType.GENERATION, ModelType.NER])
def test_a_writer_needs_no_limit(form: Dashboard, server: Provider, kind: ModelType) -> None:
    """A test asks for a short answer anyway."""
    form.put(type=kind, provider="ollama", model_id="my-model", api_endpoint=server.url).click("Test connection")
    assert marks(form) == [PASSED] * 4


def test_the_reply_of_a_writer_is_shown(form: Dashboard, server: Provider) -> None:
    """A short preview, as text: no Markdown of a model works on the page."""
    server.text = "**Ready** at https://evil.example"
    writer_form(form, server.url).click("Test connection")
    assert "“**Ready** at https://evil.example”" in form.text
    assert any(r"\*\*Ready\*\*" in caption.value for caption in form.at.caption)


FAILURES: list[tuple[int, list[str], str]] = [
    (500, [FAILED, AHEAD, AHEAD, AHEAD], "OpenAI answers, but with an error of its own."),
    (401, [PASSED, FAILED, AHEAD, AHEAD], "OpenAI refuses the API key."),
    (404, [PASSED, PASSED, FAILED, AHEAD], "OpenAI has no such model or deployment."),
]


@pytest.mark.parametrize(("status", "stages", "message"), FAILURES)
def test_how_far_a_failed_test_came(
    form: Dashboard, server: Provider, status: int, stages: list[str], message: str
) -> None:
    """The stage that failed is marked, what to do is said, and so is what the provider answered."""
    server.fail(status, '{"error": {"message": "It *failed*."}}')
    writer_form(form, server.url).click("Test connection")
    assert marks(form) == stages
    assert message in form.text
    assert "Answer: It *failed*." in form.text


def test_a_failed_test_does_not_keep_from_saving(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """A model can be registered before its server runs."""
    server.fail(500)
    writer_form(dashboard.open("edit"), server.url).click("Test connection").click("Add model")
    assert [(row.name, row.test_ok) for row in reg.models.overview()] == [("Writer", False)]


def test_wrong_dimensions_are_put_right_by_one_click(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """The measured value goes into the field, and the test is made again with it."""
    embedding_form(dashboard.open("edit"), server.url, dimensions=768).click("Test connection")
    assert marks(dashboard) == [PASSED] * 3 + [FAILED]
    dashboard.click("Use 2 dimensions")
    assert dashboard.field("config.dimensions").value == 2
    assert marks(dashboard) == [PASSED] * 4
    dashboard.click("Add model")
    assert [model.config["dimensions"] for model in reg.models.find()] == [2]


def test_dimensions_that_kbs_depend_on_are_not_offered(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """Where KBs hold vectors of the contract, form and dialog say why the value cannot be taken over."""
    model = created(reg, at(server, name="M", config={"dimensions": 768}))
    bound(reg, model)
    dashboard.open("edit", id=model.id).click("Test connection")
    assert (result.LOCKED in dashboard.text, "Use 2 dimensions" in dashboard.buttons) == (True, False)
    dashboard.open().act("M", "Test")
    assert (result.LOCKED in dashboard.text, "Save 2 dimensions" in dashboard.buttons) == (True, False)


def test_what_cannot_be_tested_is_said_at_its_field(form: Dashboard, server: Provider) -> None:
    """Faults of the form are shown as on saving, and nothing is sent."""
    writer_form(form, server.url).put(name=" ", config__temperature=9.0).click("Test connection")
    assert set(form.faults) == {"name", "config.temperature"}
    assert form.errors == ["Not tested: 2 fields to correct above."]
    assert server.requests == []
    form.put(name="Writer", config__temperature=1.0).click("Test connection")
    assert (form.faults, form.errors, marks(form)) == ({}, [], [PASSED] * 4)


def test_an_edit_is_tested_with_the_stored_key(dashboard: Dashboard, reg: Registry, strict: Provider) -> None:
    """As edited, and before it is saved: neither the model nor its last result changes."""
    model = created(reg, model_at(strict.url, name="M"))
    dashboard.open("edit", id=model.id).put(model_id="other").click("Test connection")
    assert marks(dashboard) == [PASSED] * 4
    assert json.loads(strict.requests[-1].body)["model"] == "other"
    (row,) = reg.models.overview()
    assert (reg.models.get(model.id), row.test_ok) == (model, None)
    assert logged(reg) == [("M", "ok", True)]


def test_an_unchanged_form_is_a_test_of_the_model(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """What the form shows is what is saved: the list remembers the result."""
    model = created(reg, model_at(server.url))
    dashboard.open("edit", id=model.id).click("Test connection")
    assert [row.test_ok for row in reg.models.overview()] == [True]


def test_a_stored_key_goes_nowhere_else(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """With another endpoint the key is asked for again, at its field; with it the test goes on."""
    model = created(reg, generation(name="M"))
    dashboard.open("edit", id=model.id).put(api_endpoint=f"{server.url}/v1").click("Test connection")
    assert set(dashboard.faults) == {"api_key"}
    assert server.requests == []
    dashboard.put(api_key="k-new").click("Test connection")
    assert [request.key for request in server.requests] == ["k-new"]


LEAVE: dict[str, Callable[[Dashboard], object]] = {
    "another type": lambda form: form.put(type=ModelType.NER),
    "another provider": lambda form: form.put(provider="ollama"),
    "another model": lambda form: form.put(model_id="gpt-4o-mini"),
    "another endpoint": lambda form: form.put(api_endpoint="https://models.example.com/v1").run(),
    "another key": lambda form: form.put(api_key="k-another").run(),
    "a connection field": lambda form: form.put(connection__organization="org-1").run(),
    "a parameter": lambda form: form.put(config__timeout_seconds=9).run(),
    "a limit": lambda form: form.put(config__max_output_tokens=9).run(),
    "another test": lambda form: form.put(name=" ").click("Test connection"),
    "another page": lambda form: form.click("Cancel").open("edit"),
}


@pytest.mark.parametrize("leave", LEAVE)
def test_a_result_goes_with_what_it_is_about(form: Dashboard, server: Provider, leave: str) -> None:
    """It is there as long as all of it is as it was, and never comes back."""
    writer_form(form, server.url).click("Test connection")
    assert marks(form.run()) == [PASSED] * 4
    LEAVE[leave](form)
    assert marks(form) == []
    assert marks(form.run()) == []


STAY: dict[str, Callable[[Dashboard], object]] = {
    "another name": lambda form: form.put(name="Other").run(),
    "a status": lambda form: form.put(status="deprecated"),
    "a default": lambda form: form.put(is_default=True).run(),
    "tags": lambda form: form.put(config__tags="eu").run(),
    "prices": lambda form: form.put(config__cost_per_1m_input=1.0, config__cost_per_1m_output=2.0).run(),
    "an ability": lambda form: form.put(config__supports_vision=False).run(),
    "a window": lambda form: form.put(config__context_window=64_000).run(),
    "a limit above what a test asks for": lambda form: form.put(config__max_output_tokens=2048).run(),
    "an attempt to save": lambda form: form.put(name=" ").click("Add model"),
}


@pytest.mark.parametrize("stay", STAY)
def test_a_result_outlives_what_has_no_part_in_it(form: Dashboard, server: Provider, stay: str) -> None:
    """The control: what says nothing of the call takes nothing away."""
    writer_form(form, server.url).click("Test connection")
    STAY[stay](form)
    assert marks(form) == [PASSED] * 4


def test_a_result_of_a_saved_model_goes_with_its_key(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """Typing another key, or removing the saved one, is another call."""
    model = created(reg, model_at(server.url, "lmstudio"))
    for change in ({"api_key": "k-another"}, {"remove_api_key": True}):
        dashboard.open().open("edit", id=model.id).click("Test connection")
        assert marks(dashboard) == [PASSED] * 4
        dashboard.put(**change).run()
        assert marks(dashboard) == []


def test_a_typed_key_stays_in_its_field(form: Dashboard, strict: Provider) -> None:
    """A test keeps nothing of what it sends: the session holds the key once, in its field, and the page nowhere."""
    key = "k-typed-5d2a7c9e41"
    writer_form(form, strict.url, key).click("Test connection")
    assert strict.requests[-1].key == key
    assert form.at.session_state[form.field("api_key").key] == key
    assert form.remembered().count(key.encode()) == 1
    assert key.encode() not in form.sent()
    assert b"Nobody knows" in form.sent()


def test_a_model_of_the_list(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """The row's action opens a dialog with the result, which can be repeated; the list behind knows it at once."""
    created(reg, at(server, name="M", status="inactive"))
    dashboard.open().act("M", "Test")
    assert (dashboard.dialog, marks(dashboard)) == ("Test connection", [PASSED] * 4)
    assert [list(chip) for chip in dashboard.table["test"]] == [["Works · now"]]
    server.fail(500)
    dashboard.click("Test again")
    assert marks(dashboard) == [FAILED] + [AHEAD] * 3
    dashboard.click("Done")
    assert dashboard.dialog is None
    assert [list(chip) for chip in dashboard.table["test"]] == [["Fails · now"]]
    assert len(server.requests) == 2


def test_a_test_is_made_once(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """An open dialog tests nothing by itself when the page runs again."""
    created(reg, at(server, name="M"))
    dashboard.open().act("M", "Test").run().run()
    assert (marks(dashboard), len(server.requests)) == ([PASSED] * 4, 1)


def test_from_the_dialog_to_the_form(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """What a test found is mended in the form."""
    created(reg, at(server, name="M"))
    dashboard.open().act("M", "Test").click_in_dialog("Edit")
    assert dashboard.title == "Edit M"


def test_measured_dimensions_are_saved_from_the_dialog(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """One click saves the measured value and tests what is saved."""
    model = created(reg, at(server, name="M", config={"dimensions": 768}))
    dashboard.open().act("M", "Test").click("Save 2 dimensions")
    assert marks(dashboard) == [PASSED] * 4
    assert reg.models.get(model.id).config["dimensions"] == 2
    assert dashboard.toasts == ["“M” now has 2 dimensions."]


def test_dimensions_are_not_saved_where_a_kb_was_bound_meanwhile(
    dashboard: Dashboard, reg: Registry, server: Provider
) -> None:
    """The rule holds to the last moment."""
    model = created(reg, at(server, name="M", config={"dimensions": 768}))
    dashboard.open().act("M", "Test")
    bound(reg, model)
    next(button for button in dashboard.at.button if button.label == "Save 2 dimensions").click()
    dashboard.run()
    assert result.LOCKED in dashboard.text
    assert reg.models.get(model.id).config["dimensions"] == 768


def test_what_cannot_be_tested_is_said_in_the_dialog(
    sqlite_url: str, environment: Callable[..., None], server: Provider
) -> None:
    """Without encryption keys a stored key cannot be used: the dialog says so and can be closed."""
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])) as reg:
        created(reg, model_at(server.url, name="M"))
    environment(REGISTRY_DATABASE_URL=sqlite_url, REGISTRY_FERNET_KEYS=KEY_B)
    dashboard = Dashboard().open().act("M", "Test")
    assert dashboard.dialog == "Test connection"
    assert len(dashboard.errors) == 1
    assert server.requests == []
    assert dashboard.click("Done").dialog is None


@pytest.fixture
def three(reg: Registry, server: Provider) -> list[Model]:
    """A model that works, one of other dimensions, and one that nobody listens to."""
    return [
        created(reg, at(server, name="A works")),
        created(reg, at(server, name="B other", config={"dimensions": 3})),
        created(reg, {**at(server, name="C gone"), "api_endpoint": "http://127.0.0.1:9"}),
    ]


@pytest.mark.usefixtures("three")
def test_several_models_at_once(dashboard: Dashboard, reg: Registry) -> None:
    """The bar offers to test what is selected; the summary has the failures first, and the list knows them all."""
    dashboard.open().select_rows(0, 1, 2)
    assert dashboard.buttons == ["Add model", "Test 3 models"]
    assert "3 models selected" in dashboard.text
    dashboard.click("Test 3 models")
    assert [title.value for title in dashboard.at.header] == ["1 of 3 models work"]
    assert list(dashboard.table["model"]) in (["B other", "C gone", "A works"], ["C gone", "B other", "A works"])
    assert [list(chip) for chip in dashboard.table["result"]] == [["Fails"], ["Fails"], ["Works"]]
    assert any("Its vectors have 2 dimensions, but 3 are configured." in text for text in dashboard.table["message"])
    dashboard.click("Close")
    assert [list(chip) for chip in dashboard.table["test"]] == [["Works · now"], ["Fails · now"], ["Fails · now"]]
    assert sorted(name for name, _, _ in logged(reg)) == ["A works", "B other", "C gone"]


def test_all_work(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """Where nothing fails, the summary says just that."""
    for _ in range(2):
        created(reg, at(server))
    dashboard.open().select_rows(0, 1).click("Test 2 models")
    assert [title.value for title in dashboard.at.header] == ["All 2 models work"]


def test_a_model_that_is_deleted_meanwhile(dashboard: Dashboard, reg: Registry, three: list[Model]) -> None:
    """What cannot be tested counts as a failure, and does not stop the others."""
    dashboard.open().select_rows(0, 1, 2)
    reg.models.delete(three[0].id, actor=ADMIN)
    dashboard.click("Test 3 models")
    assert "0 of 3 models work" in dashboard.text
    assert dashboard.table["message"][0].startswith("There is no such model.")


def test_a_stopped_test_goes_on_where_it_was(dashboard: Dashboard, reg: Registry, three: list[Model]) -> None:
    """Results from before the stop are kept; the rest is tested when asked for."""
    dashboard.open()
    begun = batch.Batch({model.id: model.name for model in three}, is_wanted=False)
    begun.outcomes[three[0].id] = batch._Outcome(True, "It works.", 12)
    dashboard.at.session_state[batch._KEY] = begun
    dashboard.run()
    assert "Stopped: 1 of 3 models tested, 0 failed" in dashboard.text
    assert logged(reg) == []
    dashboard.click("Test the other 2")
    assert "1 of 3 models work" in dashboard.text
    assert sorted(name for name, _, _ in logged(reg)) == ["B other", "C gone"]


def test_columns_and_words_of_the_last_test(dashboard: Dashboard, reg: Registry, server: Provider) -> None:
    """The list shows whether it works and when that was found; the selected row says it in words."""
    model = created(reg, at(server, name="M"))
    dashboard.open().select_row(0)
    assert list(dashboard.table["test"]) == [None]
    assert "not tested yet" in dashboard.text
    server.fail(500)
    reg.models.test(model.id, actor=ADMIN)
    dashboard.run()
    assert [list(chips) for chips in dashboard.table["test"]] == [["Fails · now"]]
    assert "Tested just now: Ollama answers, but with an error of its own." in dashboard.text
    reg.models.update(model.id, {"name": "N"}, version=1, actor=ADMIN)
    assert "Tested just now: Ollama answers" in dashboard.run().text
    reg.models.update(model.id, {"model_id": "another"}, version=2, actor=ADMIN)
    assert "Tested just now, before its last change:" in dashboard.run().text


@pytest.mark.parametrize(("actor", "is_told"), [(AUDITOR, True), (VIEWER, False)])
def test_who_sees_tests(
    dashboard: Dashboard, reg: Registry, server: Provider, sign_in: Callable[..., None], actor: Any, is_told: bool
) -> None:
    """Auditors see how tests went; viewers, who see what is offered, do not; neither can make one."""
    reg.models.test(created(reg, at(server)).id, actor=ADMIN)
    sign_in(actor)
    dashboard.open()
    assert ("test" in dashboard.table) == is_told
    assert "proxy" not in dashboard.table
    if is_told:
        assert "Tested just now" in dashboard.select_row(0).text
    assert dashboard.buttons == []


def test_the_marks_of_a_result() -> None:
    """Each stage has its word and a mark of its own shape, so that nobody needs to see the colours."""
    found = TestResult(False, "model", "no_model", "…", 0, FrozenDict())
    line = result._path(found)
    assert [FAILED in part for part in line.split(" → ")] == [False, False, True, False]
    assert all(word in line for word in ("Endpoint", "Sign-in", "Model", "Capability"))
