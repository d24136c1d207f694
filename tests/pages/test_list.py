"""The list of models."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pages.ui.feedback import plain
from pages.ui.listing import table
from registry import Registry
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, CANARY, azure, bound, created, embedding, generation, ner, ollama


def test_every_column(dashboard: Dashboard, reg: Registry) -> None:
    """A row says whether it is the default, the name, type, provider, model id, status, key, KBs and last change."""
    model = created(reg, embedding(name="Small", is_default=True))
    created(reg, ollama(name="Llama", status="deprecated"))
    for _ in range(2):
        bound(reg, model)
    table = dashboard.open().table
    llama, small = table.to_dict("records")
    now = datetime.now(UTC)
    assert [list(llama["status"]), list(small["status"])] == [["Deprecated"], ["Active"]]
    assert all((now - row["updated"]).total_seconds() < 60 for row in (llama, small))
    columns = ["default", "name", "type", "provider", "model_id", "api_key", "used_by"]
    assert [llama[column] for column in columns] == ["", "Llama", "Generation", "Ollama", "llama3.1:8b", "", 0]
    assert [small[column] for column in columns] == [
        "★", "Small", "Embedding", "OpenAI", "text-embedding-3-small", "set", 2,
    ]  # fmt: skip


def test_models_are_listed_by_name(dashboard: Dashboard, reg: Registry) -> None:
    """The list begins in alphabetical order, in any case of letters."""
    for name in ("beta", "Alpha", "gamma", "Delta"):
        created(reg, generation(name=name))
    assert dashboard.open().names == ["Alpha", "beta", "Delta", "gamma"]


def test_counts_and_defaults_above_the_table(dashboard: Dashboard, reg: Registry) -> None:
    """For each type: how many models, how many of them active, and which one is the default, or that none is."""
    created(reg, generation(name="First", is_default=True))
    created(reg, generation(status="inactive"))
    created(reg, embedding(name="Vectors"))
    text = dashboard.open().text
    assert "Generation :gray[· 2 models, 1 active]" in text.replace("*", "")
    assert "Embedding :gray[· 1 model, 1 active]" in text.replace("*", "")
    assert "NER :gray[· 0 models, 0 active]" in text.replace("*", "")
    assert "★ First" in text
    assert text.count("No default chosen") == 2


def test_how_many_are_shown(dashboard: Dashboard, reg: Registry) -> None:
    """Above the table stands how many models there are, and how many of them a filter shows."""
    for _ in range(3):
        created(reg, generation())
    created(reg, ner())
    assert "4 models" in dashboard.open().text
    assert "1 of 4 models" in Dashboard().open(type="NER").text


FILTERS = [
    ({"type": "Embedding"}, ["Embed"]),
    ({"type": "NER"}, ["Names"]),
    ({"type": "All"}, ["Azure writer", "Embed", "Llama", "Names"]),
    ({"provider": "Azure OpenAI"}, ["Azure writer"]),
    ({"status": "Deprecated"}, ["Llama"]),
    ({"status": "Active", "provider": "OpenAI"}, ["Embed", "Names"]),
    ({"type": "Generation", "status": "Active", "search": "WRITER"}, ["Azure writer"]),
    ({"search": "llama3.1"}, ["Llama"]),
    ({"search": "azure openai"}, ["Azure writer"]),
    ({"search": " names "}, ["Names"]),
]


@pytest.fixture
def four(reg: Registry) -> Registry:
    """A registry of four models that differ in everything that can be filtered by."""
    created(reg, azure(name="Azure writer"))
    created(reg, embedding(name="Embed"))
    created(reg, ollama(name="Llama", status="deprecated"))
    created(reg, ner(name="Names"))
    return reg


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(("query", "names"), FILTERS)
def test_filters_and_search(dashboard: Dashboard, query: dict[str, str], names: list[str]) -> None:
    """Type, provider, status and search narrow the list together; a link holds them, so that a view can be shared."""
    assert dashboard.open(**query).names == names


HOSTILE = ["'; DROP TABLE models; --", '" OR 1=1', "%", "_", "\\", "[", "x" * 255, "\0", "🙈", "::", "$$"]


@pytest.mark.parametrize("search", HOSTILE)
def test_search_takes_text_as_text(dashboard: Dashboard, reg: Registry, search: str) -> None:
    """SQL, wildcards and odd characters are looked for as they are: nothing matches them by magic, nothing breaks."""
    created(reg, generation(name="Plain"))
    created(reg, generation(name=f"Has {search.strip(chr(0))[:100]} inside"))
    dashboard.open(search=search)
    assert "Plain" not in dashboard.names or search == "\0"
    assert len(reg.models.find()) == 2


def test_nothing_matches(dashboard: Dashboard, reg: Registry) -> None:
    """Where filters leave nothing, the page says so and keeps the filters at hand."""
    created(reg, generation())
    dashboard.open(search="nowhere to be found")
    assert not dashboard.at.dataframe
    assert "No model matches" in dashboard.at.info[0].value
    assert dashboard.at.text_input(key="models_search").value == "nowhere to be found"


def test_an_empty_store(dashboard: Dashboard) -> None:
    """An empty registry says what to do, and its button leads to the form."""
    dashboard.open()
    assert "No models yet" in dashboard.text
    dashboard.click("Add the first model")
    assert dashboard.title == "Add model"


@pytest.mark.parametrize(
    "query",
    [
        {"type": "vision"},
        {"provider": "nobody"},
        {"status": "broken"},
        {"type": "", "provider": "", "status": "", "search": ""},
        {"id": "1", "foo": "bar", "models_table": "x", "intent": "delete", "form": "1"},
    ],
)
def test_unknown_parameters_in_the_link_do_no_harm(dashboard: Dashboard, reg: Registry, query: dict[str, str]) -> None:
    """A link with values that do not exist shows the whole list."""
    model = created(reg, generation())
    assert dashboard.open(**query).names == [model.name]


def test_names_are_text_not_markup(dashboard: Dashboard, reg: Registry) -> None:
    """Markdown, HTML and icons in a name are shown as typed, wherever it stands."""
    name = "**bold** :material/key: <b>x</b> $a$ [l](http://x) _i_ `c` # ~ @ | \\"
    created(reg, generation(name=name, is_default=True))
    dashboard.open()
    shown = [node.value for node in dashboard.at.markdown if "bold" in node.value]
    assert shown
    assert all(plain(name) in text for text in shown)
    assert name in dashboard.text


def test_columns_hold_no_secret(dashboard: Dashboard, reg: Registry) -> None:
    """The list is drawn without ever reading a key: neither it nor its ciphertext goes to the browser."""
    created(reg, generation(api_key=CANARY))
    dashboard.open()
    assert CANARY.encode() not in dashboard.sent()
    assert b"gAAAA" not in dashboard.sent()


def test_the_list_is_always_current(dashboard: Dashboard, reg: Registry) -> None:
    """What another user changes is there on the next run: nothing is cached."""
    model = created(reg, generation(name="Before"))
    assert dashboard.open().names == ["Before"]
    reg.models.update(model.id, {"name": "After"}, version=model.version, actor=ADMIN)
    assert dashboard.run().names == ["After"]


def test_there_may_be_any_number_of_chips() -> None:
    """As many as there are ages of tests: more than one byte can count."""
    texts = [f"Works · {number} d" for number in range(300)]
    assert [[text] for text in texts] == table._chips(texts, texts).to_pylist()
    assert [None, ["b"]] == table._chips([None, "b"], ["a", "b"]).to_pylist()
