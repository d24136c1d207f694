"""The audit log as a page."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from pages.ui import session
from pages.ui.feedback import plain
from registry import Actor, Registry, Role
from registry.audit.change import Change, Target
from tests.integration.audit.test_audit_chain import GARBAGE, ON_SQLITE, WRITTEN
from tests.support.driver import Dashboard
from tests.support.factories import ADMIN, CANARY, bound, created, embedding, generation, ner
from tests.support.fake_proxy import FakeProxy
from tests.support.sabotage import let_any_audit_row_in, remove_audit_triggers

ADVICE = "altered in the database and cannot be shown. Others may be altered, too: run `python -m registry verify`"

BOB = Actor("bob@example.com", Role.ADMIN, "test")


def _rows(dashboard: Dashboard) -> list[tuple[str, str, str, str]]:
    if not dashboard.at.dataframe:
        return []
    return list(dashboard.table[["actor", "action", "target", "changes"]].itertuples(index=False, name=None))


def _targets(dashboard: Dashboard) -> list[str]:
    return [row[2] for row in _rows(dashboard)]


def test_newest_first(dashboard: Dashboard, reg: Registry) -> None:
    """Each entry says when, who, what, on what, and which fields changed from what to what; the newest comes first."""
    model = created(reg, generation(name="Old name"))
    reg.models.update(model.id, {"name": "New name", "config": {"temperature": 0}}, version=1, actor=BOB)
    reg.models.set_status(model.id, "inactive", actor=BOB)
    rows = _rows(dashboard.open("audit"))
    assert [row[:3] for row in rows] == [
        ("bob@example.com", "Status changed", "New name"),
        ("bob@example.com", "Model edited", "New name"),
        ("alice@example.com", "Model registered", "Old name"),
    ]
    assert [row[3] for row in rows[:2]] == [
        "Status: active → inactive",
        "Temperature: 0.7 → 0.0; Name: Old name → New name",
    ]
    times = list(dashboard.table["at"])
    assert times == sorted(times, reverse=True)
    assert datetime.now(UTC) - times[0] < timedelta(minutes=1)


def test_an_entry_in_full(dashboard: Dashboard, reg: Registry) -> None:
    """Selecting an entry shows every field before and after, who acted how, and the knowledge bases concerned."""
    model = created(reg, generation(name="M"))
    bound(reg, model, name="Contracts")
    reg.models.update(model.id, {"api_key": "sk-new", "config": {"tags": ["a"]}}, version=1, actor=BOB)
    dashboard.open("audit").select_row(0)
    fields = dashboard.at.table[0].value
    (field, before, after), tags = fields.to_numpy().tolist()
    assert (["Tags", "none", "a"], "API key", "set") == (tags, field, after)
    assert re.fullmatch("key [0-9a-f]{16}", before)
    assert list(fields.columns) == ["Field", "Before", "After"]
    for part in ("Model edited", "bob@example.com (admin, via test)", model.id, "Knowledge bases: Contracts", "UTC"):
        assert part in dashboard.text


def test_what_changed_no_field_tells_what_came_of_it(proxied: Dashboard, fake_proxy: FakeProxy) -> None:
    """A connection test how it went, a sync what it did."""
    reg = session._connected()
    created(reg, generation(name="M"))
    fake_proxy.load([])
    reg.proxy.sync(actor=ADMIN)
    reg.models.test("M", actor=ADMIN)
    fake_proxy.upstream = lambda *_: (401, {"error": {"message": "No."}})
    reg.models.test("M", actor=ADMIN)
    told = [(row[1], re.sub(r"[\d.]+ m?s$", "…", row[3])) for row in _rows(proxied.open("audit"))[:3]]
    assert told == [
        ("Connection tested", "Fails: wrong key, …"),
        ("Connection tested", "Works, …"),
        ("Proxy synchronised", "Applied: missing 1"),
    ]


def test_of_keys_the_log_tells_a_fingerprint(dashboard: Dashboard, reg: Registry) -> None:
    """Of a key the log has its fingerprint; neither it nor its ciphertext goes to the browser."""
    model = created(reg, generation(provider="ollama", model_id="x", api_key=CANARY))
    reg.models.update(model.id, {"api_key": None}, version=1, actor=ADMIN)
    dashboard.open("audit").select_row(0)
    ((field, mark, gone),) = dashboard.at.table[0].value.to_numpy().tolist()
    assert ("API key", "–") == (field, gone)
    dashboard.select_row(1)
    assert ["API key", "–", mark] in dashboard.at.table[0].value.to_numpy().tolist()
    assert CANARY.encode() not in dashboard.sent()
    assert b"gAAAA" not in dashboard.sent()


def test_white_space_is_written_out(dashboard: Dashboard, reg: Registry) -> None:
    """Values that would not be seen, such as a blank line, are shown as they are typed."""
    model = created(reg, ner())
    reg.models.update(model.id, {"config": {"stop_sequences": ["\n\n"]}}, version=1, actor=ADMIN)
    assert _rows(dashboard.open("audit"))[0][3] == "Stop sequences: none → \\n\\n"


FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({"action": "Model registered"}, ["Two", "One"]),
    ({"action": "Status changed"}, ["One"]),
    ({"action": "Model deleted"}, []),
    ({"actor": "bob@example.com"}, ["One", "Two"]),
    ({"actor": "bob@example.com", "action": "Model registered"}, ["Two"]),
    ({"target": "One"}, ["One", "One"]),
    ({"target": "on"}, []),
    ({"search": "INACTIVE"}, ["One"]),
    ({"search": "wo"}, ["Two"]),
    ({"time": "Last 24 hours"}, ["One", "Two", "One"]),
    ({"action": "nothing", "actor": "nobody", "time": "ever"}, ["One", "Two", "One"]),
]


@pytest.fixture
def history(reg: Registry) -> Registry:
    """A registry in which two people did three things."""
    one = created(reg, generation(name="One"))
    reg.models.create(embedding(name="Two"), actor=BOB)
    reg.models.set_status(one.id, "inactive", actor=BOB)
    return reg


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("query", "targets"), FILTERS)
def test_filters(dashboard: Dashboard, query: dict[str, str], targets: list[str]) -> None:
    """Action, actor, target, time and text narrow the log together; a link holds them; unknown values are left out."""
    assert _targets(dashboard.open("audit", **query)) == targets


def test_a_target_is_found_by_its_id(dashboard: Dashboard, history: Registry) -> None:
    """The id finds a model's whole history, also under names that it had before."""
    model = history.models.get("One")
    history.models.update(model.id, {"name": "Uno"}, version=model.version, actor=BOB)
    assert _targets(dashboard.open("audit", target=model.id)) == ["Uno", "One", "One"]


def test_between_two_dates(dashboard: Dashboard, history: Registry) -> None:
    """Both dates are included; one that is not given limits nothing."""
    today = datetime.now(UTC).date()
    dashboard.open("audit", time="dates")
    for first, last, found in [
        (today, today, 3),
        (today - timedelta(days=9), today - timedelta(days=2), 0),
        (today - timedelta(days=9), None, 3),
        (None, today - timedelta(days=1), 0),
        (None, None, 3),
    ]:
        dashboard.at.date_input(key="audit_from").set_value(first)
        dashboard.at.date_input(key="audit_to").set_value(last)
        dashboard.run()
        assert len(_targets(dashboard)) == found
        assert not dashboard.at.warning
    dashboard.at.date_input(key="audit_from").set_value(today)
    dashboard.at.date_input(key="audit_to").set_value(today - timedelta(days=1))
    assert "“From” is after “To”, so no entry matches. Change one of them." == dashboard.run().at.warning[0].value


@pytest.mark.parametrize("text", ["'; DROP TABLE audit_log; --", "%", "_", "\\", "\0", "x" * 255, "🙈", '{"a":1}'])
@pytest.mark.parametrize("field", ["search", "target"])
def test_text_is_text(dashboard: Dashboard, history: Registry, field: str, text: str) -> None:
    """SQL, wildcards and odd characters match nothing by magic and break nothing."""
    dashboard.open("audit", **{field: text})
    assert len(_targets(dashboard)) == (0 if field == "target" else len(_found(history, text)))
    assert len(history.audit.find().entries) == 3


def _found(reg: Registry, text: str) -> list[Any]:
    return [
        entry
        for entry in reg.audit.find().entries
        if text in entry.target_name or any(text in change.field for change in entry.changes)
    ]


def test_nothing_matches(dashboard: Dashboard, history: Registry) -> None:
    """Where filters leave nothing, the page says so."""
    dashboard.open("audit", search="nowhere to be found")
    assert "No entry matches" in dashboard.at.info[0].value


def test_an_empty_log(dashboard: Dashboard) -> None:
    """An empty log says what it is for."""
    dashboard.open("audit")
    assert "Nothing has happened yet" in dashboard.at.info[0].value


def test_paging(dashboard: Dashboard, reg: Registry) -> None:
    """Fifty entries a page; older and newer lead through all of them, each once, and end at the ends."""
    model = created(reg, generation())
    for number in range(119):
        reg.models.set_status(model.id, ("inactive", "active")[number % 2], actor=ADMIN)
    pages = [_times(dashboard.open("audit"))]
    assert _disabled(dashboard) == ["Newer"]
    pages += [_times(dashboard.click("Older")), _times(dashboard.click("Older"))]
    assert _disabled(dashboard) == ["Older"]
    assert [len(page) for page in pages] == [50, 50, 20]
    whole = [time for page in pages for time in page]
    assert whole == sorted(set(whole), reverse=True)
    assert _times(dashboard.click("Newer")) == pages[1]
    assert _times(dashboard.click("Newer")) == pages[0]


def test_paging_leaves_nothing_out_while_entries_are_added(dashboard: Dashboard, reg: Registry) -> None:
    """Entries that are written meanwhile push none off the pages: every one that was there is shown."""
    model = created(reg, generation())
    for number in range(60):
        reg.models.set_status(model.id, ("inactive", "active")[number % 2], actor=ADMIN)
    first = _times(dashboard.open("audit"))
    reg.models.set_status(model.id, "deprecated", actor=ADMIN)
    second = _times(dashboard.click("Older"))
    assert set(first) | set(second) == {entry.at for entry in reg.audit.find(limit=100).entries[1:]}


def test_a_filter_begins_at_the_newest(dashboard: Dashboard, reg: Registry) -> None:
    """Changing a filter on an older page leads back to the first page of what it finds."""
    model = created(reg, generation(name="M"))
    for number in range(60):
        reg.models.set_status(model.id, ("inactive", "active")[number % 2], actor=ADMIN)
    dashboard.open("audit").click("Older")
    dashboard.at.selectbox(key="audit_action").set_value("model:set_status")
    dashboard.run()
    assert len(_targets(dashboard)) == 50
    assert _disabled(dashboard) == ["Newer"]


def test_a_selection_does_not_carry_over(dashboard: Dashboard, reg: Registry) -> None:
    """An entry selected on one page is not taken for another one on the next."""
    model = created(reg, generation())
    for number in range(60):
        reg.models.set_status(model.id, ("inactive", "active")[number % 2], actor=ADMIN)
    dashboard.open("audit").select_row(0)
    assert dashboard.at.table
    assert not dashboard.click("Older").at.table


def test_names_are_text_not_markup(dashboard: Dashboard, reg: Registry) -> None:
    """Markdown in names is shown as typed in the details."""
    name = "**b** :material/key: $x$ [l](http://x)"
    created(reg, generation(name=name))
    dashboard.open("audit").select_row(0)
    assert f"**Model registered** · {plain(name)}" in [node.value for node in dashboard.at.markdown]


def test_everything_that_is_done_on_the_pages_is_told(dashboard: Dashboard, reg: Registry) -> None:
    """Status, default, moving and deleting from the list stand in the log, under the name of the signed-in user."""
    created(reg, generation(name="Heir"))
    bound(reg, created(reg, generation(name="M")), name="Contracts")
    dashboard.open().act("Heir", "Set as default").act("M", "Deprecate").act("M", "Delete").click("Move and delete")
    rows = _rows(dashboard.open("audit"))[:4]
    assert [row[:3] for row in rows] == [
        ("Local administrator", "Model deleted", "M"),
        ("Local administrator", "Knowledge base moved", "Contracts"),
        ("Local administrator", "Status changed", "M"),
        ("Local administrator", "Default chosen", "Heir"),
    ]
    assert [row[3] for row in rows[1:]] == [
        "Generation model: M → Heir",
        "Status: active → deprecated",
        "Default: – → Heir",
    ]
    dashboard.select_row(0)
    assert "Reassigned to: Heir" in dashboard.text


@ON_SQLITE
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_any_column_leaves_the_rest(dashboard: Dashboard, reg: Registry, raw: Engine, garbage: str) -> None:
    """Each column of another entry holds it: those that cannot be read are named in one line, the others are shown."""
    for number in range(len(WRITTEN) + 1):
        created(reg, generation(name=f"M {number}"))
    let_any_audit_row_in(raw)
    with raw.begin() as connection:
        for seq, column in enumerate(WRITTEN, 2):
            value = GARBAGE[garbage]("sqlite")
            connection.exec_driver_sql(f"UPDATE audit_log SET {column} = {value} WHERE seq = {seq}")
    page = reg.audit.find()
    dashboard.open("audit")
    (error,) = dashboard.errors
    assert 2 in page.unreadable
    assert ", ".join(map(str, page.unreadable[:10])) in error
    assert error.endswith(
        "altered in the database and cannot be shown. Others may be altered, too: run `python -m registry verify`"
    )
    assert len(page.entries) == len(_rows(dashboard))
    assert "M 0" in _targets(dashboard)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "12026-01-01 00:00+00", "0044-03-15 00:00+00 BC"])
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_time_that_is_none_leaves_the_rest(dashboard: Dashboard, history: Registry, raw: Engine, moment: str) -> None:
    """PostgreSQL keeps times that Python does not know."""
    remove_audit_triggers(raw)
    _run(raw, f"UPDATE audit_log SET at = '{moment}' WHERE seq = 2")
    assert ["One", "One"] == _targets(dashboard.open("audit"))
    assert [f"Entry 2 was {ADVICE}"] == dashboard.errors


def test_a_page_of_nothing_but_garbage_leads_on(dashboard: Dashboard, reg: Registry, raw: Engine) -> None:
    """Older leads past entries that cannot be read."""
    model = created(reg, generation())
    for number in range(59):
        reg.models.set_status(model.id, ("inactive", "active")[number % 2], actor=ADMIN)
    remove_audit_triggers(raw)
    _run(raw, "UPDATE audit_log SET changes = 'no json' WHERE seq > 10")
    dashboard.open("audit")
    assert "Entries 60, 59, 58, 57, 56, 55, 54, 53, 52, 51 and 40 more were altered" in dashboard.errors[0]
    assert [] == _rows(dashboard)
    assert 10 == len(_rows(dashboard.click("Older")))
    assert ["Older"] == _disabled(dashboard)
    assert [] == dashboard.errors


@pytest.mark.parametrize(
    ("action", "changes", "context"),
    [
        ("model:test", {}, {"latency_ms": "x", "kind": {"a": [1]}, "ok": "no"}),
        ("model:test", {}, {"latency_ms": 10**400}),
        ("model:test", {}, {"latency_ms": 1e300, "ok": []}),
        ("model:update", {}, {"knowledge_bases": 5, "knowledge_base_count": 5}),
        ("model:update", {}, {"knowledge_bases": {"a": 1}, "knowledge_base_count": "x"}),
        ("model:update", {"": (None, [[[]]]), "config.": ({"": {}}, 10**4000)}, {"": None}),
        ("proxy:sync", {"a": (None, json.loads("[" * 45 + "]" * 45))}, {"a": json.loads("[" * 45 + "]" * 45)}),
        ("", {}, {}),
    ],
    ids=["texts", "long", "far", "number", "object", "empty", "deep", "nothing"],
)
@pytest.mark.parametrize("year", [1, 2026, 9999])
def test_values_of_any_kind_are_shown(
    dashboard: Dashboard, reg: Registry, year: int, action: str, changes: dict[str, Any], context: dict[str, Any]
) -> None:
    """What is well-formed is shown whatever it says, in the table and in full."""
    with reg._store.write() as session:
        at = datetime(year, 12, 31, 23, 59, 59, 999_999, UTC)
        Change(session, ADMIN, at).log(action, Target("model", "x", "x"), changes, context)
    dashboard.open("audit").select_row(0)
    assert ["x"] == _targets(dashboard)
    assert "Entry 1" in dashboard.text


def _run(raw: Engine, statement: str) -> None:
    with raw.begin() as connection:
        connection.exec_driver_sql(statement)


def _times(dashboard: Dashboard) -> list[Any]:
    return list(dashboard.table["at"])


def _disabled(dashboard: Dashboard) -> list[str]:
    return [button.label for button in dashboard.at.button if button.disabled]
