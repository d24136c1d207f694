"""The audit log: what a change leaves behind, and how it is found again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from registry import Actor, AuditEntry, Registry, Role, Settings, errors
from registry.audit.change import Target, changing
from registry.audit.records import Action, TargetKind
from registry.store.store import Store
from tests.rules.test_odd_arguments import Broken
from tests.support.factories import (
    ADMIN,
    CANARY,
    KEY_A,
    KEY_B,
    SERVICE,
    azure,
    bound,
    created,
    embedding,
    generation,
    ollama,
)
from tests.support.fake_proxy import FakeProxy

START = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)


def _changes(entry: AuditEntry) -> dict[str, tuple[Any, Any]]:
    return {change.field: (_unmarked(change.before), _unmarked(change.after)) for change in entry.changes}


def _unmarked(value: Any) -> Any:
    """The value; of the fingerprint of a key, that it is one."""
    return "key …" if re.fullmatch("key [0-9a-f]{16}", str(value)) else value


def _last(reg: Registry) -> AuditEntry:
    return reg.audit.find(limit=1).entries[0]


def test_every_action_leaves_one_entry(store_url: str, connect: Any, fake_proxy: FakeProxy) -> None:
    """Each use case logs an action of its own, in order, with actor, target and origin."""
    created(connect(Settings(database_url=store_url, fernet_keys=[KEY_A])))
    reg = connect(
        Settings(
            database_url=store_url,
            fernet_keys=[KEY_B, KEY_A],
            litellm_proxy_url=fake_proxy.url,
            litellm_master_key=fake_proxy.master_key,
        )
    )
    reg.rotate_keys(actor=ADMIN)
    reg.proxy.sync(actor=ADMIN)
    fake_proxy.add("foreign", "db-legacy")
    reg.proxy.adopt("foreign", actor=ADMIN)
    reg.models.test(ollama(api_endpoint="http://127.0.0.1:1"), actor=ADMIN)
    model, heir = created(reg), created(reg)
    reg.models.update(model.id, {"name": "Edited"}, version=1, actor=ADMIN)
    reg.models.set_status(model.id, "deprecated", actor=ADMIN)
    reg.models.set_default(heir.id, actor=ADMIN)
    reg.models.clear_default("generation", actor=ADMIN)
    reg.models.set_status(model.id, "active", actor=ADMIN)
    base = bound(reg, model)
    reg.models.delete(model.id, reassign_to=heir.id, actor=ADMIN)
    reg.knowledge_bases.remove(base.id, actor=SERVICE)
    entries = reg.audit.find().entries
    assert set(Action) == {entry.action for entry in entries}
    assert list(range(16, 0, -1)) == [entry.seq for entry in entries]
    assert (SERVICE.name, "service", "test") == (entries[0].actor, entries[0].actor_role, entries[0].actor_via)
    assert ("knowledge_base", base.id, base.name) == tuple(
        getattr(entries[0], f"target_{part}") for part in ("kind", "id", "name")
    )


def test_creating_tells_all_there_is(reg: Registry) -> None:
    """Every field, from nothing to its value; the key as its fingerprint."""
    model = created(reg, azure())
    told = _changes(_last(reg))
    expected: dict[str, Any] = {"name": model.name, "api_endpoint": model.api_endpoint, "api_key": "key …"}
    expected |= {"connection.deployment": "gpt-4o-prod", "config.temperature": 0.7, "status": "active"}
    assert {field: (None, value) for field, value in expected.items()}.items() <= told.items()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"name": "New", "model_id": "gpt-5"}, {"name": ("Old", "New"), "model_id": ("gpt-4o", "gpt-5")}),
        ({"config": {"temperature": 0}}, {"config.temperature": (0.7, 0.0)}),
        ({"config": {"tags": ["a"]}}, {"config.tags": ([], ["a"])}),
        ({"connection": {"organization": "org"}}, {"connection.organization": (None, "org")}),
        ({"status": "inactive"}, {"status": ("active", "inactive")}),
        ({"api_key": "sk-another"}, {"api_key": ("key …", "set")}),
        ({"api_key": "sk-another-long-one"}, {"api_key": ("key …", "key …")}),
        ({"api_endpoint": "https://api.openai.com/v2"}, {"api_endpoint": (None, "https://api.openai.com/v2")}),
    ],
    ids=str,
)
def test_an_update_names_every_field_that_changed(
    reg: Registry, edit: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Field, before, after; of a key its fingerprint; and nothing that stayed."""
    model = created(reg, generation(name="Old"))
    reg.models.update(model.id, edit, version=1, actor=ADMIN)
    assert expected == _changes(_last(reg))


def test_setting_and_removing_a_key_are_told(reg: Registry) -> None:
    """As its fingerprint, and gone."""
    model = created(reg, ollama())
    model = reg.models.update(model.id, {"api_key": CANARY}, version=1, actor=ADMIN)
    assert {"api_key": (None, "key …")} == _changes(_last(reg))
    reg.models.update(model.id, {"api_key": None}, version=2, actor=ADMIN)
    assert {"api_key": ("key …", None)} == _changes(_last(reg))


def test_a_change_of_a_model_in_use_tells_its_impact(reg: Registry) -> None:
    """The entry names the knowledge bases that the change touched."""
    model = created(reg)
    base = bound(reg, model)
    reg.models.set_status(model.id, "deprecated", actor=ADMIN)
    assert {"knowledge_bases": [base.name], "knowledge_base_count": 1} == _last(reg).context


def test_the_default_before_is_told(reg: Registry) -> None:
    """Setting a default names the one that it replaces."""
    old = created(reg, generation(is_default=True))
    new = created(reg)
    reg.models.set_default(new.id, actor=ADMIN)
    assert {"default": (old.name, new.name)} == _changes(_last(reg))


def test_an_entry_keeps_the_name_of_its_time(reg: Registry) -> None:
    """Renamed and deleted models are found under either name, and by their id."""
    model = created(reg, generation(name="First"))
    reg.models.update(model.id, {"name": "Second"}, version=1, actor=ADMIN)
    reg.models.delete(model.id, actor=ADMIN)
    assert ["model:create"] == [entry.action for entry in reg.audit.find(target="First").entries]
    assert ["model:delete", "model:update"] == [entry.action for entry in reg.audit.find(target="Second").entries]
    assert 3 == len(reg.audit.find(target=model.id).entries)


@pytest.fixture
def history(store_url: str) -> Any:
    """A registry with a clock of a second per reading, three actors and names that look like patterns and SQL."""
    seconds = iter(range(1000))
    store = Registry.connect(
        Settings(database_url=store_url, fernet_keys=[KEY_A]), clock=lambda: START + timedelta(seconds=next(seconds))
    )
    with store as reg:
        bob = Actor("bob", Role.ADMIN)
        for actor, name in [(ADMIN, "100% sure"), (bob, "a_b"), (ADMIN, "O'Brien"), (bob, "Größe 東京 🙂")]:
            reg.models.create(generation(name=name), actor=actor)
        reg.knowledge_bases.bind("kb-1", name="Contracts", actor=SERVICE)
        yield reg


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"actor": "bob"}, [4, 2]),
        ({"actor": "bo"}, []),
        ({"action": "model:create"}, [4, 3, 2, 1]),
        ({"action": "model:"}, [4, 3, 2, 1]),
        ({"action": "knowledge_base:"}, [5]),
        ({"action": "model"}, []),
        ({"action": "%:"}, []),
        ({"target": "a_b"}, [2]),
        ({"target": "kb-1"}, [5]),
        ({"target": "Contracts"}, [5]),
        ({"search": "%"}, [1]),
        ({"search": "a_b"}, [2]),
        ({"search": "o'brien"}, [3]),
        ({"search": "東京 🙂"}, [4]),
        ({"search": "CONTRACTS"}, [5]),
        ({"search": "gpt-4o"}, [4, 3, 2, 1]),
        ({"search": "\\"}, []),
        ({"search": "'; DELETE FROM audit_log; --"}, []),
        ({"search": "  "}, [5, 4, 3, 2, 1]),
        ({"search": "x" * 1_000_000}, []),
        ({"actor": "bob", "search": "_b", "action": "model:"}, [2]),
        ({"limit": 2}, [5, 4]),
        ({"limit": 1}, [5]),
        ({"after": 3}, [2, 1]),
    ],
    ids=lambda value: repr(value)[:50].encode("ascii", "replace").decode(),
)
def test_filters(history: Registry, filters: dict[str, Any], expected: list[int]) -> None:
    """Filters combine; text is looked for as text, never as a pattern or SQL."""
    assert expected == [entry.seq for entry in history.audit.find(**filters).entries]


def test_times_are_half_open_and_exact(history: Registry) -> None:
    """`since` is included, `until` is not, to the microsecond, in any time zone."""
    third = next(entry for entry in history.audit.find().entries if entry.seq == 3)
    assert UTC.utcoffset(None) == third.at.utcoffset()
    assert 123456 == third.at.microsecond
    zone = third.at.astimezone(tz=None)
    assert [5, 4, 3] == [entry.seq for entry in history.audit.find(since=zone).entries]
    assert [2, 1] == [entry.seq for entry in history.audit.find(until=third.at).entries]


@pytest.mark.parametrize("bound_name", ["since", "until"])
def test_times_without_a_zone_are_refused(reg: Registry, bound_name: str) -> None:
    """A naive time would mean another moment on another machine."""
    bounds: dict[str, Any] = {bound_name: START.replace(tzinfo=None)}
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.audit.find(**bounds)
    assert [bound_name] == list(caught.value.fields)


@pytest.mark.parametrize("zone", [Broken(), tzinfo()], ids=["fails", "says nothing"])
@pytest.mark.parametrize("bound_name", ["since", "until"])
def test_times_with_a_zone_that_does_not_work_are_refused(reg: Registry, bound_name: str, zone: tzinfo) -> None:
    """As those without one."""
    bounds: dict[str, Any] = {bound_name: START.replace(tzinfo=zone)}
    with pytest.raises(errors.InvalidInputError) as caught:
        reg.audit.find(**bounds)
    assert [bound_name] == list(caught.value.fields)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_pages_cover_all_exactly_once(history: Registry, size: int) -> None:
    """Following the cursor gives every entry once, newest first; new entries meanwhile shift nothing."""
    seen, cursor = [], None
    while True:
        page = history.audit.find(limit=size, after=cursor)
        seen += [entry.seq for entry in page.entries]
        if page.next is None:
            break
        cursor = page.next
        created(history, embedding())
    assert [5, 4, 3, 2, 1] == seen


def test_a_page_has_at_most_five_hundred_entries(reg: Registry) -> None:
    """Whatever is asked for."""
    store = Store(reg._settings.database_url)
    with changing(store, ADMIN) as change:
        for number in range(501):
            change.log(Action.MODEL_CREATE, Target(TargetKind.MODEL, str(number), "x"))
    store.close()
    page = reg.audit.find(limit=10_000)
    assert (500, 2) == (len(page.entries), page.next)
    assert reg.audit.verify().ok


def test_actors_are_listed_once(history: Registry) -> None:
    """In order, for the page's filter."""
    assert sorted([ADMIN.name, "bob", SERVICE.name]) == history.audit.actors()
