"""The filters of a page and its address: complete, in ids, read with patience, and each page's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from registry import Actor, Registry
from registry.records import ModelType
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, AUDITOR, VIEWER, azure, created, embedding, generation, ner, ollama

TODAY = datetime.now(UTC).date().isoformat()
MODELS = {"type": "generation", "provider": "azure", "status": "active", "search": "writer"}
AUDIT = {
    "action": "model:create",
    "actor": ADMIN.name,
    "time": "dates",
    "from": TODAY,
    "to": TODAY,
    "target": "Azure writer",
    "search": "azure",
}
WHOLE = {"models": MODELS, "audit": AUDIT}
VALUES = {"type": ModelType.GENERATION, "from": date.fromisoformat(TODAY), "to": date.fromisoformat(TODAY)}


@pytest.fixture(autouse=True)
def four(reg: Registry) -> Registry:
    """A registry of four models that differ in everything that can be filtered by."""
    created(reg, azure(name="Azure writer"))
    created(reg, embedding(name="Embed"))
    created(reg, ollama(name="Llama", status="deprecated"))
    created(reg, ner(name="Names"))
    return reg


def found(dashboard: Dashboard) -> list[str]:
    """The names in the table of the page."""
    return list(dashboard.table["name" if "name" in dashboard.table else "target"]) if dashboard.at.dataframe else []


@pytest.mark.parametrize("page", WHOLE)
def test_a_link_holds_all_filters(dashboard: Dashboard, page: str) -> None:
    """Each filter stands in the address, which opens the same view and does not change."""
    dashboard.open(page, **WHOLE[page])
    assert found(dashboard) == ["Azure writer"]
    assert dashboard.at.query_params == WHOLE[page]


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, whole in WHOLE.items() for name in whole])
def test_each_filter_is_put_into_the_address(dashboard: Dashboard, page: str, name: str) -> None:
    """What is chosen is there at once, and gone when it is chosen no more."""
    dates = {"time": "dates"} if name in ("from", "to") else {}
    dashboard.open(page, **dates)
    widget(dashboard, f"{page}_{name}").set_value(VALUES.get(name, WHOLE[page][name]))
    assert dashboard.run().at.query_params == {**dates, name: WHOLE[page][name]}
    widget(dashboard, f"{page}_{name}").set_value("all" if name == "type" else None)
    assert dashboard.run().at.query_params == dates


def widget(dashboard: Dashboard, key: str) -> Any:
    return next(node for node in dashboard.nodes if node.key == key)


def test_a_name_copied_from_a_page_is_found(dashboard: Dashboard, reg: Registry) -> None:
    """With the marks without width that it holds there; the address is without them."""
    created(reg, ner(name=":star: www"))
    for page, name in (("models", "search"), ("audit", "target")):
        dashboard.open(page)
        widget(dashboard, f"{page}_{name}").set_value(":\u2060star:\u2060 www\u2060")
        assert dashboard.run().at.query_params == {name: ":star: www"}
        assert found(dashboard) == [":star: www"]


EMBED = {"target": "Embed"}
ALL = ["Azure writer", "Embed", "Llama", "Names"]
TOLERANT = [
    ("models", {"type": "Embedding"}, {"type": "embedding"}, ["Embed"]),
    ("models", {"type": "EMBEDDING"}, {"type": "embedding"}, ["Embed"]),
    ("models", {"type": " ner "}, {"type": "ner"}, ["Names"]),
    ("models", {"provider": "Azure OpenAI"}, {"provider": "azure"}, ["Azure writer"]),
    ("models", {"provider": "AZURE"}, {"provider": "azure"}, ["Azure writer"]),
    ("models", {"status": "Deprecated"}, {"status": "deprecated"}, ["Llama"]),
    ("models", {"type": "ner", "status": "broken", "utm": "x"}, {"type": "ner"}, ["Names"]),
    ("models", {"type": "All", "provider": "", "search": " "}, {}, ALL),
    ("models", {"id": "1", "models_type": "ner"}, {}, ALL),
    ("audit", {"action": "Model registered", **EMBED}, {"action": "model:create", **EMBED}, ["Embed"]),
    ("audit", {"actor": ADMIN.name.upper(), **EMBED}, {"actor": ADMIN.name, **EMBED}, ["Embed"]),
    ("audit", {"time": "Last 24 hours", **EMBED}, {"time": "day", **EMBED}, ["Embed"]),
    ("audit", {"time": "dates", "from": "soon", "to": "9999-12-31", **EMBED}, {"time": "dates", **EMBED}, ["Embed"]),
    ("audit", {"from": TODAY, **EMBED}, EMBED, ["Embed"]),
]


@pytest.mark.parametrize(("page", "query", "address", "names"), TOLERANT)
def test_a_link_is_read_with_patience(
    dashboard: Dashboard, page: str, query: dict[str, str], address: dict[str, str], names: list[str]
) -> None:
    """Ids and labels in any case; what is unknown is left out, of the address too, without an error."""
    dashboard.open(page, **query)
    assert found(dashboard) == names
    assert dashboard.at.query_params == address


@pytest.mark.parametrize(("page", "other"), [("models", "audit"), ("audit", "models")])
def test_a_page_keeps_its_filters_to_itself(dashboard: Dashboard, page: str, other: str) -> None:
    """What is searched for on one page is not searched for on another, and is still there when one comes back."""
    dashboard.open(page, search="llama")
    assert found(dashboard) == ["Llama"]
    dashboard.open(other)
    assert len(found(dashboard)) == 4
    assert dashboard.at.query_params == {}
    dashboard.open(page)
    assert found(dashboard) == ["Llama"]
    assert dashboard.at.query_params == {"search": "llama"}


def test_the_form_leads_back_to_the_list_as_it_was(dashboard: Dashboard, four: Registry) -> None:
    """By “Cancel”, by saving and by its link."""
    for leave in ("Cancel", "Save changes"):
        dashboard.open(**MODELS).act("Azure writer", "Edit").click(leave)
        assert (found(dashboard), dashboard.at.query_params) == (["Azure writer"], MODELS)
    dashboard.act("Azure writer", "Edit")
    (link,) = (node.proto for node in dashboard.nodes if node.type == "page_link")
    assert "type=generation&provider=azure&search=writer&status=active" == link.query_string


def test_a_link_counts_more_than_what_is_remembered(dashboard: Dashboard) -> None:
    """A user who opens the list with a filter sees what that says, and nothing that they had filtered before."""
    dashboard.open(type="ner").open("audit").open(status="deprecated")
    assert (found(dashboard), dashboard.at.query_params) == (["Llama"], {"status": "deprecated"})


@pytest.mark.parametrize(("actor", "names"), [(VIEWER, []), (AUDITOR, ["Llama"])])
def test_a_filter_that_is_not_for_a_role(
    dashboard: Dashboard, sign_in: Callable[[Actor], None], actor: Actor, names: list[str]
) -> None:
    """Viewers see active models only, whatever their link says; it is taken out of the address."""
    sign_in(actor)
    dashboard.open(status="deprecated", search="llama")
    assert found(dashboard) == names
    assert ("status" in dashboard.at.query_params) is bool(names)


def test_there_are_no_limits_to_what_is_typed(dashboard: Dashboard, reg: Registry) -> None:
    """Text comes back as it was typed."""
    created(reg, generation(name="a&b=c?d#e %20+ ü"))
    dashboard.open(search="a&b=c?d#e %20+ ü")
    assert found(dashboard) == ["a&b=c?d#e %20+ ü"]
    assert dashboard.at.query_params == {"search": "a&b=c?d#e %20+ ü"}
