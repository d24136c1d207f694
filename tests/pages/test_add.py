"""The form to add a model."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pages.ui.feedback import plain
from registry import Registry
from registry.catalog.known import known_model, known_models
from registry.catalog.providers import PROVIDERS, Need
from registry.catalog.specs import config_fields
from registry.records import ModelType
from tests.support.driver import Dashboard, unescaped
from tests.support.factories import CANARY, created, embedding, generation

SERVED = {
    "embedding": ["ollama", "openai", "azure", "gemini", "cohere", "qwen", "mistral", "lmstudio", "openai_compatible"],
    "generation": [
        "ollama", "openai", "azure", "gemini", "anthropic", "cohere", "deepseek", "qwen", "mistral", "lmstudio",
        "openai_compatible",
    ],
}  # fmt: skip
SERVED["ner"] = SERVED["generation"]

CONNECTION = {
    "ollama": ["Endpoint (optional)", "API key (optional)"],
    "openai": ["Endpoint (optional)", "API key", "Organization (optional)"],
    "azure": ["Endpoint", "API key", "Deployment", "API version (optional)"],
    "gemini": ["Endpoint (optional)", "API key"],
    "anthropic": ["Endpoint (optional)", "API key"],
    "cohere": ["Endpoint (optional)", "API key"],
    "deepseek": ["Endpoint (optional)", "API key"],
    "qwen": ["Endpoint (optional)", "API key"],
    "mistral": ["Endpoint (optional)", "API key"],
    "lmstudio": ["Endpoint (optional)", "API key (optional)"],
    "openai_compatible": ["Endpoint", "API key (optional)"],
}
PARAMETERS = {
    "embedding": ["dimensions", "max_tokens", "normalize", "distance_metric", "batch_size", "tags"],
    "generation": [
        "context_window", "max_output_tokens", "temperature", "top_p", "top_k", "supports_streaming",
        "supports_json_mode", "supports_vision", "timeout_seconds", "cost_per_1m_input", "cost_per_1m_output", "tags",
    ],
    "ner": [
        "max_tokens", "temperature", "top_p", "top_k", "response_format", "stop_sequences", "timeout_seconds",
        "cost_per_1m_input", "cost_per_1m_output", "tags",
    ],
}  # fmt: skip
PAIRS = [(kind, provider) for kind, providers in SERVED.items() for provider in providers]

GOOD: dict[str, dict[str, Any]] = {
    "embedding": {"config__dimensions": 768, "config__max_tokens": 512},
    "generation": {"config__context_window": 128_000, "config__max_output_tokens": 4096},
    "ner": {"config__max_tokens": 4096},
}


def filled(dashboard: Dashboard, kind: str = "generation", provider: str = "openai", **values: Any) -> Dashboard:
    """The form with a valid model in it, except for what is given."""
    needs = PROVIDERS[provider]
    dashboard.open("edit").put(type=ModelType(kind), provider=provider)
    whole: dict[str, Any] = {"model_id": "some-model", "name": "Some model", **GOOD[kind]}
    if needs.endpoint.need is Need.REQUIRED:
        whole["api_endpoint"] = "https://models.example.com"
    if needs.api_key.need is Need.REQUIRED:
        whole["api_key"] = CANARY
    for name, field in needs.connection.items():
        if field.need is Need.REQUIRED:
            whole[f"connection__{name}"] = "something"
    return dashboard.put(**{**whole, **values})


@pytest.mark.parametrize("kind", SERVED)
def test_only_providers_that_serve_the_type(form: Dashboard, kind: str) -> None:
    """The choice of providers follows the type: Anthropic and DeepSeek have no embedding models."""
    form.put(type=ModelType(kind))
    assert list(map(unescaped, form.field("provider").options)) == [PROVIDERS[id].label for id in SERVED[kind]]


def test_the_table_of_providers_is_complete() -> None:
    """Every provider of the catalogue stands in the tables of this file: a new one has to be looked at here."""
    assert set(CONNECTION) == set(PROVIDERS) == set(SERVED["generation"])


def test_nothing_but_type_and_provider_at_first(form: Dashboard) -> None:
    """The form begins with the type and the provider; the rest comes once it is known what it is."""
    assert form.fields == ["type", "provider"]
    assert "Add model" not in form.buttons


@pytest.mark.parametrize(("kind", "provider"), PAIRS)
def test_exactly_the_fields_that_are_needed(form: Dashboard, kind: str, provider: str) -> None:
    """Provider and type decide on the fields: connection by the provider, parameters by the type, nothing else."""
    form.put(type=ModelType(kind), provider=provider)
    assert {path for path in form.fields if path.startswith("config.")} == {f"config.{p}" for p in PARAMETERS[kind]}
    frame = ["type", "provider", "model_id", "name", "status", "is_default"]
    rest = [path for path in form.fields if path not in frame and not path.startswith("config.")]
    assert [form.field(path).label for path in rest] == CONNECTION[provider]
    assert set(frame) < set(form.fields)


@pytest.mark.parametrize(("kind", "provider"), PAIRS)
def test_every_provider_and_type_can_be_registered(
    dashboard: Dashboard, reg: Registry, kind: str, provider: str
) -> None:
    """What the form asks for is all that the library needs, for each provider and type, on each store."""
    filled(dashboard, kind, provider).click("Add model")
    model = reg.models.get("Some model")
    assert (model.type, model.provider, model.model_id) == (kind, provider, "some-model")
    assert {name: model.config[name] for name in map(_plain, GOOD[kind])} == {
        _plain(name): value for name, value in GOOD[kind].items()
    }
    assert dashboard.title == "Models"
    assert dashboard.toasts == ["“Some model” was added."]


def _plain(path: str) -> str:
    return path.removeprefix("config__")


@pytest.mark.parametrize("kind", SERVED)
def test_parameters_begin_with_their_defaults(form: Dashboard, kind: str) -> None:
    """Parameters with a default begin with it; those that must be known begin empty."""
    form.put(type=ModelType(kind), provider="ollama")
    for item in config_fields(kind):
        value = form.field(f"config.{item.name}").value
        assert value == ("" if item.kind == "list" else item.default), item.name


def test_all_that_was_entered_is_saved(dashboard: Dashboard, reg: Registry) -> None:
    """Every field of the form arrives in the model, connection, prices, tags, status and default included."""
    filled(
        dashboard,
        name="  Whole  ",
        api_endpoint="https://Gateway.example.com/v1/",
        connection__organization="org-1",
        config__temperature=0.0,
        config__top_p=0.5,
        config__top_k=7,
        config__supports_streaming=False,
        config__supports_json_mode=True,
        config__supports_vision=True,
        config__timeout_seconds=600,
        config__cost_per_1m_input=0.0,
        config__cost_per_1m_output=12.5,
        config__tags="fast, eu",
        is_default=True,
    ).click("Add model")
    model = reg.models.get("Whole")
    assert (model.name, model.api_endpoint) == ("Whole", "https://gateway.example.com/v1")
    assert (model.is_default, model.has_api_key, model.connection) == (True, True, {"organization": "org-1"})
    assert model.config == {
        "context_window": 128_000, "max_output_tokens": 4096, "temperature": 0, "top_p": 0.5, "top_k": 7,
        "supports_streaming": False, "supports_json_mode": True, "supports_vision": True, "timeout_seconds": 600,
        "cost_per_1m_input": 0, "cost_per_1m_output": 12.5, "tags": ("fast", "eu"),
    }  # fmt: skip
    key = reg.resolve(model.id).api_key
    assert key is not None
    assert key.get_secret_value() == CANARY


def test_stop_sequences_are_typed_as_they_are_seen(dashboard: Dashboard, reg: Registry) -> None:
    """Between commas; a line break is typed as backslash and n, a backslash as two."""
    filled(dashboard, "ner", config__stop_sequences="\\n\\n, END,, a\\\\n ,\\s\\,").click("Add model")
    assert reg.models.get("Some model").config["stop_sequences"] == ("\n\n", "END", "a\\n", " ,")


def known_of(kind: str, model_id: str) -> dict[str, Any]:
    """What is known of a model of OpenAI."""
    known = known_model(kind, "openai", model_id)
    assert known is not None
    return dict(known.config)


def test_what_is_known_stands_in_empty_fields(form: Dashboard) -> None:
    """In grey, with where it comes from; the id stands for the name. Nothing is put into a field, where it could meet
    what is being typed."""
    form.put(type=ModelType.EMBEDDING, provider="openai", model_id="text-embedding-3-large")
    known = known_of("embedding", "text-embedding-3-large")
    for name in ("dimensions", "max_tokens"):
        field = form.field(f"config.{name}")
        assert (field.value, field.placeholder) == (None, str(known[name]))
    name = form.field("name")
    assert (name.value, name.placeholder) == ("", "If left empty: text-embedding-3-large")
    assert "price map" in form.text


def test_what_is_left_empty_is_saved_as_known(dashboard: Dashboard, reg: Registry) -> None:
    """Name, limits, prices and abilities of a known model need no typing."""
    dashboard.open("edit").put(type=ModelType.GENERATION, provider="openai", model_id="gpt-4o", api_key=CANARY)
    dashboard.click("Add model")
    model = reg.models.get("gpt-4o")
    assert known_of("generation", "gpt-4o").items() <= model.config.items()


def test_typed_values_come_before_what_is_known(dashboard: Dashboard, reg: Registry) -> None:
    """Typed before or after the model was chosen; a switch that was set by hand stays, too."""
    dashboard.open("edit").put(type=ModelType.GENERATION, provider="openai", name="Mine", config__context_window=50_000)
    dashboard.put(model_id="gpt-4o").put(config__cost_per_1m_input=9.0, config__supports_vision=False, api_key=CANARY)
    dashboard.click("Add model")
    own = {"context_window": 50_000, "cost_per_1m_input": 9, "supports_vision": False}
    known = {**known_of("generation", "gpt-4o"), **own}
    assert known.items() <= reg.models.get("Mine").config.items()


def test_known_values_can_take_the_place_of_typed_ones(form: Dashboard) -> None:
    """A button empties the fields that hold something else; the name stays."""
    form.put(type=ModelType.GENERATION, provider="openai", name="Mine", model_id="gpt-4o")
    assert "Use these values" not in form.buttons
    form.put(config__context_window=5000, config__supports_vision=False).run().click("Use these values")
    assert (form.field("config.context_window").value, form.field("config.supports_vision").value) == (None, True)
    assert form.field("name").value == "Mine"
    assert "Use these values" not in form.buttons


@pytest.mark.parametrize("other", [{"model_id": "unknown"}, {"provider": "mistral"}], ids=str)
def test_nothing_of_another_model_stays(form: Dashboard, other: dict[str, Any]) -> None:
    """What was known of a model goes with it: limits, prices and abilities, but not what was typed."""
    form.put(type=ModelType.GENERATION, provider="openai", model_id="gpt-4o", config__max_output_tokens=77)
    assert form.field("config.supports_vision").value
    form.put(**other)
    assert not form.field("config.supports_vision").value
    empty = [form.field(f"config.{name}") for name in ("context_window", "cost_per_1m_input", "cost_per_1m_output")]
    assert [(field.value, field.placeholder) for field in empty] == [(None, "")] * 3
    assert form.field("config.max_output_tokens").value == 77


def test_another_known_model_takes_its_place(form: Dashboard) -> None:
    """What is shown is of the model that is chosen now."""
    form.put(type=ModelType.EMBEDDING, provider="openai", model_id="text-embedding-3-large")
    form.put(model_id="text-embedding-3-small")
    assert form.field("config.dimensions").placeholder == "1536"
    assert form.field("name").placeholder == "If left empty: text-embedding-3-small"


def test_known_models_are_found_by_parts_of_their_name(form: Dashboard) -> None:
    """All are offered, then those that hold what is typed, in any case and order; choosing one enters its id."""

    def offered() -> list[str]:
        return [unescaped(id) for id in form.at.button_group(key="known_1").options]

    form.put(type=ModelType.GENERATION, provider="openai")
    assert offered() == [model.model_id for model in known_models("generation", "openai")]
    form.put(model_id="MINI 4.1")
    assert offered() == ["gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"]
    form.at.button_group(key="known_1").set_value("gpt-4.1-mini")
    form.run()
    assert form.field("model_id").value == "gpt-4.1-mini"
    assert offered() == ["gpt-4.1-mini-2025-04-14"]
    form.put(model_id="no such thing")
    assert "Not a known model: enter the parameters from its provider's documentation." in form.text


def test_each_provider_keeps_what_was_typed_for_it(form: Dashboard) -> None:
    """Trying another type or provider and coming back loses nothing but the key's visibility."""
    form.put(type=ModelType.GENERATION, provider="azure", name="Mine", config__temperature=0.0)
    form.put(connection__deployment="prod", model_id="typed-id").put(provider="openai")
    assert form.field("model_id").value == ""
    form.put(type=ModelType.EMBEDDING).put(type=ModelType.GENERATION, provider="azure")
    assert form.field("connection.deployment").value == "prod"
    assert form.field("model_id").value == "typed-id"
    assert (form.field("name").value, form.field("config.temperature").value) == ("Mine", 0)


def test_an_endpoint_and_a_key_go_to_no_other_provider(form: Dashboard) -> None:
    """What was typed for one provider is not in the fields of the next; the endpoint is there on coming back."""
    form.put(type=ModelType.GENERATION, provider="openai", api_endpoint="https://one.example/v1", api_key=CANARY)
    form.run().put(provider="cohere")
    assert ("", "") == (form.field("api_endpoint").value, form.field("api_key").value)
    form.put(provider="openai")
    assert ("https://one.example/v1", "") == (form.field("api_endpoint").value, form.field("api_key").value)


def test_a_name_that_follows_the_model_id_is_not_asked_for(form: Dashboard) -> None:
    """Without both, only the model id is marked: a name that is left empty is taken from it."""
    form.put(type=ModelType.GENERATION, provider="ollama").click("Add model")
    assert form.faults["model_id"] == "Required."
    assert "name" not in form.faults
    assert form.errors == [f"Not saved: {len(form.faults)} fields to correct above."]


def copied(text: str) -> str:
    """What is copied where this text stands."""
    return re.sub(r"\\(.)", r"\1", plain(text))


def test_what_was_copied_from_a_page_is_saved_as_it_reads(dashboard: Dashboard, reg: Registry) -> None:
    """Texts on the pages hold marks without width, which do not come into a name, a model id or an endpoint."""
    name, model_id, endpoint = (copied(text) for text in ("a@b", "llama3.1:8b", "http://127.0.0.1:9"))
    assert "\u2060" in name
    assert "\u2060" in endpoint
    filled(dashboard, "generation", "ollama", name=name, model_id=model_id, api_endpoint=endpoint).click("Add model")
    model = reg.models.get("a@b")
    assert ("llama3.1:8b", "http://127.0.0.1:9") == (model.model_id, model.api_endpoint)


def test_a_provider_that_does_not_serve_the_new_type_is_let_go(form: Dashboard) -> None:
    """After choosing Anthropic, a change to embedding leaves no provider chosen, and says why; back at the type before,
    it is chosen again, with what was typed."""
    form.put(type=ModelType.GENERATION, provider="anthropic", name="Mine").put(type=ModelType.EMBEDDING)
    assert form.field("provider").value is None
    assert form.fields == ["type", "provider"]
    assert "Anthropic has no embedding models here. Choose another provider." in [info.value for info in form.at.info]
    form.put(type=ModelType.GENERATION)
    assert (form.field("provider").value, form.field("name").value) == ("anthropic", "Mine")


def test_a_provider_cannot_be_taken_back(form: Dashboard) -> None:
    """Only another one can be chosen: the fields below do not vanish with what was typed."""
    form.put(provider="openai", name="Mine").put(provider=None)
    assert (form.field("provider").value, form.field("name").value) == ("openai", "Mine")


MEGABYTE = "x" * 1_000_000
TOO_LONG = "At most 255 characters."
CONTROL = "Must not hold control characters."
BAD: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    ("generation", "openai", {"name": "", "model_id": ""}, {"model_id": "Required."}),
    ("generation", "openai", {"name": "   "}, {"name": "Required."}),
    ("generation", "openai", {"name": "n" * 256}, {"name": TOO_LONG}),
    ("generation", "openai", {"name": MEGABYTE}, {"name": TOO_LONG}),
    ("generation", "openai", {"name": "a\x07b"}, {"name": CONTROL}),
    ("generation", "openai", {"name": "a\u202eb"}, {"name": CONTROL}),
    ("generation", "openai", {"name": "os.environ/HOME"}, {"name": "Must not refer to the environment"}),
    ("generation", "openai", {"model_id": ""}, {"model_id": "Required."}),
    ("generation", "openai", {"model_id": "m" * 256}, {"model_id": TOO_LONG}),
    ("generation", "openai", {"model_id": MEGABYTE}, {"model_id": TOO_LONG}),
    ("generation", "openai", {"model_id": "a\nb"}, {"model_id": CONTROL}),
    ("generation", "openai", {"api_key": ""}, {"api_key": "OpenAI needs an API key."}),
    ("generation", "openai", {"api_key": "   "}, {"api_key": "OpenAI needs an API key."}),
    ("generation", "openai", {"api_key": "k\x00"}, {"api_key": "Must hold only plain ASCII"}),
    ("generation", "openai", {"api_key": "two words"}, {"api_key": "Must hold only plain ASCII"}),
    ("generation", "openai", {"api_key": MEGABYTE}, {"api_key": "At most 4,096 characters."}),
    ("generation", "openai", {"api_key": "os.environ/OPENAI_API_KEY"}, {"api_key": "Must not refer to the env"}),
    ("generation", "openai", {"api_endpoint": "javascript:alert(1)"}, {"api_endpoint": "Must start with https"}),
    ("generation", "openai", {"api_endpoint": "file:///etc/passwd"}, {"api_endpoint": "Must start with https"}),
    ("generation", "openai", {"api_endpoint": "https://u:p@x.example"}, {"api_endpoint": "Must not hold a user name"}),
    ("generation", "openai", {"api_endpoint": "https://x.example/?key=1"}, {"api_endpoint": "Must not hold a query"}),
    ("generation", "openai", {"api_endpoint": "https://"}, {"api_endpoint": "Must name a host"}),
    ("generation", "openai", {"api_endpoint": "https://" + MEGABYTE}, {"api_endpoint": "At most 500 characters."}),
    ("generation", "openai", {"connection__organization": MEGABYTE}, {"connection.organization": TOO_LONG}),
    ("generation", "openai", {"connection__organization": "a\x1bb"}, {"connection.organization": CONTROL}),
    ("generation", "azure", {"api_endpoint": ""}, {"api_endpoint": "Azure OpenAI needs an endpoint."}),
    ("generation", "azure", {"connection__deployment": " "}, {"connection.deployment": "Required."}),
    (
        "embedding",
        "azure",
        {"api_endpoint": "", "api_key": "", "connection__deployment": "", "config__dimensions": None},
        {
            "api_endpoint": "Azure OpenAI needs an endpoint.",
            "api_key": "Azure OpenAI needs an API key.",
            "connection.deployment": "Required.",
            "config.dimensions": "Required.",
        },
    ),
    ("generation", "openai_compatible", {"api_endpoint": ""}, {"api_endpoint": "OpenAI-compatible needs an endpoint."}),
    ("embedding", "ollama", {"config__dimensions": 0}, {"config.dimensions": "Must be at least 1."}),
    ("embedding", "ollama", {"config__dimensions": 8193}, {"config.dimensions": "Must be at most 8,192."}),
    ("embedding", "ollama", {"config__max_tokens": 200_001}, {"config.max_tokens": "Must be at most 200,000."}),
    ("embedding", "ollama", {"config__batch_size": -1}, {"config.batch_size": "Must be at least 1."}),
    ("embedding", "ollama", {"config__tags": "t" * 51}, {"config.tags": "At most 50 characters."}),
    ("embedding", "ollama", {"config__tags": MEGABYTE}, {"config.tags": "At most 50 characters."}),
    ("embedding", "ollama", {"config__tags": ",".join(map(str, range(21)))}, {"config.tags": "At most 20 entries."}),
    ("generation", "ollama", {"config__temperature": 2.05}, {"config.temperature": "Must be at most 2."}),
    ("generation", "ollama", {"config__temperature": -0.1}, {"config.temperature": "Must be at least 0."}),
    ("generation", "ollama", {"config__temperature": float("nan")}, {"config.temperature": "Must be a number."}),
    ("generation", "ollama", {"config__top_p": float("inf")}, {"config.top_p": "Must be a number."}),
    ("generation", "ollama", {"config__top_k": 1001}, {"config.top_k": "Must be at most 1,000."}),
    ("generation", "ollama", {"config__timeout_seconds": 0}, {"config.timeout_seconds": "Must be at least 1."}),
    ("generation", "ollama", {"config__context_window": 1023}, {"config.context_window": "Must be at least 1,024."}),
    ("generation", "ollama", {"config__cost_per_1m_input": -1}, {"config.cost_per_1m_input": "Must be at least 0."}),
    (
        "generation",
        "ollama",
        {"config__context_window": 2000, "config__max_output_tokens": 2001},
        {"config.max_output_tokens": "Must not exceed the context window (2,000)."},
    ),
    ("ner", "ollama", {"config__max_tokens": None}, {"config.max_tokens": "Required."}),
    ("ner", "ollama", {"config__stop_sequences": "\x00"}, {"config.stop_sequences": "Must not hold control"}),
    ("ner", "ollama", {"config__stop_sequences": "a,b,c,d,e,f,g,h,i"}, {"config.stop_sequences": "At most 8 entries."}),
    ("ner", "ollama", {"config__stop_sequences": MEGABYTE}, {"config.stop_sequences": "At most 100 characters."}),
    ("generation", "ollama", {"status": "inactive", "is_default": True}, {"is_default": "Only an active model"}),
]


def _case(case: tuple[str, str, dict[str, Any], dict[str, str]]) -> str:
    return "-".join([*case[:2], *(f"{name}={str(value)[:12]!a}" for name, value in case[2].items())])


@pytest.mark.parametrize("case", BAD, ids=_case)
def test_bad_input_is_told_at_its_field(
    dashboard: Dashboard, reg: Registry, case: tuple[str, str, dict[str, Any], dict[str, str]]
) -> None:
    """Each fault stands under its own field, at no other, nothing is saved, and what was typed stays."""
    kind, provider, values, expected = case
    filled(dashboard, kind, provider, **values).click("Add model")
    assert dashboard.faults.keys() == expected.keys()
    assert all(dashboard.faults[path].startswith(text) for path, text in expected.items()), dashboard.faults
    count = "1 field" if len(expected) == 1 else f"{len(expected)} fields"
    assert dashboard.errors == [f"Not saved: {count} to correct above."]
    assert reg.models.find() == []
    assert reg.audit.find().entries == ()
    assert dashboard.title == "Add model"


@pytest.mark.parametrize("name", ["GPT four", "gpt FOUR", "  GPT  four ", "ＧＰＴ four"])
def test_a_name_that_is_taken(dashboard: Dashboard, reg: Registry, name: str) -> None:
    """The name of another model, also in other letters, widths and spaces, is refused at the name."""
    created(reg, generation(name="GPT four"))
    filled(dashboard, name=name).click("Add model")
    assert dashboard.faults == {"name": "This name is taken."}
    assert len(reg.models.find()) == 1


def test_a_corrected_form_is_saved(dashboard: Dashboard, reg: Registry) -> None:
    """Faults go away when they are corrected; nothing has to be typed again."""
    filled(dashboard, config__temperature=3.0).click("Add model").put(config__temperature=0.0).click("Add model")
    assert reg.models.get("Some model").config["temperature"] == 0


def test_adding_a_default_replaces_the_one_before(dashboard: Dashboard, reg: Registry) -> None:
    """A model added as the default takes the place of the present one."""
    old = created(reg, generation(is_default=True))
    filled(dashboard, is_default=True).click("Add model")
    default = reg.models.default("generation")
    assert default is not None
    assert (default.name, reg.models.get(old.id).is_default) == ("Some model", False)


def test_a_typed_key_stays_in_its_field_until_it_is_saved(dashboard: Dashboard, reg: Registry) -> None:
    """After a failed save the key need not be typed again; after a saved one it is nowhere any more."""
    filled(dashboard, name=" ").click("Add model")
    assert dashboard.field("api_key").value == CANARY
    assert CANARY.encode() in dashboard.remembered()  # the control: it would be found
    assert CANARY.encode() not in dashboard.sent()
    dashboard.put(name="Now it has one").click("Add model")
    assert reg.models.get("Now it has one").has_api_key
    _assert_no_trace(dashboard)


@pytest.mark.parametrize("way", ["cancel", "leave", "another"])
def test_a_typed_key_is_forgotten_when_the_form_is_left(dashboard: Dashboard, way: str) -> None:
    """Cancelling, going to another page and opening another form all let go of the key."""
    filled(dashboard, name=" ").click("Add model")
    if way == "cancel":
        dashboard.click("Cancel")
    elif way == "leave":
        dashboard.open("audit")
    else:
        dashboard.open("edit", id="another")
    _assert_no_trace(dashboard)


def _assert_no_trace(dashboard: Dashboard) -> None:
    for _ in range(2):
        assert CANARY.encode() not in dashboard.remembered()
        assert CANARY not in repr(dashboard.at)
        assert CANARY.encode() not in dashboard.sent()
        dashboard.run()


def test_cancel_saves_nothing(dashboard: Dashboard, reg: Registry) -> None:
    """Cancel leads back to the list and forgets what was typed."""
    filled(dashboard).click("Cancel")
    assert (dashboard.title, reg.models.find()) == ("Models", [])
    dashboard.open("edit")
    assert dashboard.fields == ["type", "provider"]


def test_two_visitors_do_not_share_a_form(dashboard: Dashboard, reg: Registry) -> None:
    """What one visitor types is not seen by another."""
    created(reg, embedding())
    filled(dashboard)
    other = Dashboard().open("edit")
    assert other.fields == ["type", "provider"]
    assert CANARY.encode() not in other.remembered()
