"""A page view takes at most five SQL statements, however many models there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from registry import Registry
from registry.records import ModelSummary
from registry.store import rows
from registry.store.tables import ModelRow
from tests.conftest import STORES
from tests.support.driver import Dashboard
from tests.support.factories import bound, created, embedding, generation, ner

MOST = 5


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=[1, 25])
def models(reg: Registry, request: pytest.FixtureRequest) -> list[Any]:
    """Few or more models of each type, with knowledge bases that use them."""
    found = []
    for number in range(request.param):
        for build in (embedding, generation, ner):
            found.append(created(reg, build(is_default=number == 0)))
            bound(reg, found[-1])
    return found


def _viewed(dashboard: Dashboard, count_statements: Callable[[], Any], page: str, query: dict[str, str]) -> list[str]:
    Dashboard().open()  # the server has started: a view does not pay for that
    with count_statements() as counted:
        dashboard.open(page, **query)
    return list(counted.statements)


VIEWS: list[tuple[str, dict[str, str]]] = [
    ("models", {}),
    ("models", {"type": "Embedding", "provider": "OpenAI", "status": "Active", "search": "e"}),
    ("models", {"search": "nothing like it"}),
    ("edit", {}),
    ("edit", {"id": "nobody"}),
    ("audit", {}),
    ("audit", {"action": "Model registered", "search": "e", "time": "Last 24 hours"}),
]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("page", "query"), VIEWS)
def test_first_views(
    dashboard: Dashboard, count_statements: Callable[[], Any], page: str, query: dict[str, str]
) -> None:
    """Opening a page, with and without filters."""
    assert 0 < len(_viewed(dashboard, count_statements, page, query)) + (page == "edit") <= MOST


def test_the_form_of_a_model(dashboard: Dashboard, count_statements: Callable[[], Any], models: list[Any]) -> None:
    """Opening the form of a model that KBs use, and every rerun of it."""
    statements = _viewed(dashboard, count_statements, "edit", {"id": models[0].id})
    assert dashboard.title == f"Edit {models[0].name}"
    assert 0 < len(statements) <= MOST
    with count_statements() as again:
        dashboard.run()
    assert 0 < len(again) <= MOST


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("page", ["models", "audit"])
def test_selecting_a_row(dashboard: Dashboard, count_statements: Callable[[], Any], page: str) -> None:
    """Selecting a model or an entry reads no more than the page itself."""
    dashboard.open(page)
    with count_statements() as counted:
        dashboard.select_row(0)
    assert 0 < len(counted) <= MOST


def test_a_sixth_statement_would_be_seen(
    dashboard: Dashboard,
    reg: Registry,
    count_statements: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: a statement per model, the usual mistake, breaks the limit that the tests above set."""
    for _ in range(3):
        created(reg, generation())
    real = rows.summaries

    def one_by_one(session: Any, conditions: Any) -> list[ModelSummary]:
        rows = real(session, conditions)
        for row in rows:
            session.execute(select(ModelRow.name).where(ModelRow.id == row.id))
        return rows

    honest = _viewed(dashboard, count_statements, "models", {})
    monkeypatch.setattr(rows, "summaries", one_by_one)
    assert len(_viewed(dashboard, count_statements, "models", {})) == len(honest) + 3 > MOST


@pytest.mark.parametrize("number", [2, 30])
def test_a_question_does_not_grow_with_the_models(
    dashboard: Dashboard, reg: Registry, count_statements: Callable[[], Any], number: int
) -> None:
    """Asking whether to delete a model that KBs use takes as many statements with 2 other models as with 30."""
    model = created(reg, generation(name="A"))
    for _ in range(number):
        bound(reg, model)
        created(reg, generation())
    dashboard.open().select_row(0)
    with count_statements() as counted:
        dashboard.click("Delete")
    assert dashboard.dialog == "Delete model"
    assert len(counted) <= 11
