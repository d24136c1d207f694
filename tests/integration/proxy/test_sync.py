"""The LiteLLM proxy follows the registry: pushed with each change, synced as a whole, never touched beyond that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from registry import Model, Registry, Settings, SyncPlan, SyncStep, errors
from registry.catalog.providers import PROVIDERS
from registry.catalog.specs import NerConfig
from registry.proxy import plan, sync
from registry.proxy.admin import ProxyApi
from registry.store.store import Store
from tests.support.factories import (
    ADMIN,
    AUDITOR,
    CANARY,
    KEY_A,
    KEY_B,
    azure,
    created,
    embedding,
    generation,
    ner,
    ollama,
)
from tests.support.fake_proxy import MASTER_KEY, FakeProxy
from tests.support.faulty_server import Fault

Connect = Callable[[Settings], Registry]


@pytest.fixture
def settings(store_url: str, fake_proxy: FakeProxy) -> Settings:
    """A registry whose models are served by a proxy."""
    return Settings(
        database_url=store_url, fernet_keys=[KEY_A], litellm_proxy_url=fake_proxy.url, litellm_master_key=MASTER_KEY
    )


@pytest.fixture
def hand(fake_proxy: FakeProxy) -> Iterator[httpx.Client]:
    """A user who changes things on the proxy past the registry."""
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    with httpx.Client(base_url=fake_proxy.url, headers=headers) as client:
        yield client


@pytest.fixture
def add_by_hand(hand: httpx.Client) -> Callable[..., str]:
    """Add an entry that the registry does not know of; gives its id."""

    def add(alias: str, registry: str | None = None, **params: Any) -> str:
        stamp = {"registry": registry} if registry else {}
        body = {"model_name": alias, "litellm_params": {"model": "openai/other", **params}, "model_info": stamp}
        answer = hand.post("/model/new", json=body)
        assert answer.status_code == 200
        return str(answer.json()["model_id"])

    return add


@pytest.fixture
def requests(fake_proxy: FakeProxy) -> Callable[[], list[str]]:
    """The requests that the proxy got since the last time this was asked, as ``POST /model/new``."""
    seen = 0

    def new() -> list[str]:
        nonlocal seen
        found = [f"{request.method} {request.path}" for request in fake_proxy.requests[seen:]]
        seen += len(found)
        return found

    return new


def alias(model: Model) -> str:
    return f"db-{model.id}"


def served(proxy: FakeProxy) -> dict[str, list[str]]:
    """Which models the proxy serves under which alias."""
    return {name: [params["model"] for params in entries] for name, entries in proxy.served().items()}


def reasons(found: SyncPlan) -> list[tuple[str, str]]:
    return [(step.alias, step.reason) for step in found.steps]


def row(reg: Registry, model: Model) -> tuple[bool, str]:
    """What the list says of a model: whether the proxy follows it, and what is wrong."""
    found = next(each for each in reg.models.overview() if each.id == model.id)
    return found.in_step, found.proxy_message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (generation(), {"model": "openai/gpt-4o", "api_base": "https://api.openai.com/v1", "timeout": 120}),
        (embedding(), {"model": "openai/text-embedding-3-small", "api_base": "https://api.openai.com/v1"}),
        (ner(), {"model": "openai/gpt-4o-mini", "api_base": "https://api.openai.com/v1", "timeout": 30}),
        (ollama(), {"model": "ollama_chat/llama3.1:8b", "api_base": "http://localhost:11434", "timeout": 120}),
        (
            azure(),
            {
                "model": "azure/gpt-4o-prod",
                "api_base": "https://unit.openai.azure.com",
                "api_version": "2024-10-21",
                "timeout": 120,
            },
        ),
    ],
)
def test_a_new_model_is_registered(
    reg: Registry, fake_proxy: FakeProxy, spec: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Under ``db-`` and its id, with its key, what the provider needs, and how long a call may take."""
    model = created(reg, {**spec, "name": "New"})
    assert model.proxy_message == ""
    key = spec.get("api_key", "none")
    assert {alias(model): [{**expected, "api_key": key}]} == fake_proxy.served()
    assert (True, "") == row(reg, model)


def test_an_entry_is_stamped(reg: Registry, fake_proxy: FakeProxy, hand: httpx.Client) -> None:
    """It names this registry and what the model is for; its id is the one that the registry gave it."""
    created(reg, embedding())
    (entry,) = hand.get("/model/info").json()["data"]
    info = entry["model_info"]
    assert (info["registry"], info["mode"]) == (reg._store.registry_id(), "embedding")
    assert [info["id"]] == [request.body["model_info"]["id"] for request in fake_proxy.writes]


CHANGES: dict[str, tuple[Callable[[Registry, Model], object], list[str], list[str]]] = {
    "another name": (
        lambda reg, model: reg.models.update(model.id, {"name": "Other"}, version=1, actor=ADMIN),
        [],
        ["openai/gpt-4o"],
    ),
    "another model id": (
        lambda reg, model: reg.models.update(model.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN),
        ["/model/new", "/model/delete"],
        ["openai/gpt-4.1"],
    ),
    "another key": (
        lambda reg, model: reg.models.update(model.id, {"api_key": CANARY + "2"}, version=1, actor=ADMIN),
        ["/model/new", "/model/delete"],
        ["openai/gpt-4o"],
    ),
    "deprecated": (
        lambda reg, model: reg.models.set_status(model.id, "deprecated", actor=ADMIN),
        [],
        ["openai/gpt-4o"],
    ),
    "inactive": (lambda reg, model: reg.models.set_status(model.id, "inactive", actor=ADMIN), ["/model/delete"], []),
    "deleted": (lambda reg, model: reg.models.delete(model.id, actor=ADMIN), ["/model/delete"], []),
}


@pytest.mark.parametrize("case", list(CHANGES))
def test_a_change_is_followed_at_once(reg: Registry, fake_proxy: FakeProxy, case: str) -> None:
    """Just what has to change is changed, the new entry before the old one goes; inactive models are not served."""
    model = created(reg)
    before = len(fake_proxy.writes)
    change, writes, expected = CHANGES[case]
    change(reg, model)
    assert writes == [request.path for request in fake_proxy.writes[before:]]
    assert ({alias(model): expected} if expected else {}) == served(fake_proxy)
    assert not reg.proxy.plan().changes


def test_saving_without_a_change_asks_the_proxy_nothing(reg: Registry, requests: Callable[[], list[str]]) -> None:
    """No request at all."""
    model = created(reg)
    requests()
    reg.models.update(model.id, {"name": model.name}, version=1, actor=ADMIN)
    reg.models.set_status(model.id, "active", actor=ADMIN)
    assert [] == requests()


def test_an_inactive_model_is_not_registered_by_an_edit(reg: Registry, fake_proxy: FakeProxy) -> None:
    """It is when it is activated."""
    model = created(reg, generation(status="inactive"))
    reg.models.update(model.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN)
    assert {} == served(fake_proxy)
    assert (True, "") == row(reg, model)
    reg.models.set_status(model.id, "active", actor=ADMIN)
    assert {alias(model): ["openai/gpt-4.1"]} == served(fake_proxy)


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://h", "http://h:port", "http://" + "a" * 64, "http://h\ud800"], ids=ascii
)
def test_a_url_that_cannot_be_called_is_a_proxy_that_cannot_be_reached(url: str) -> None:
    """The settings refuse most of them; what is left must not end a change that was saved already."""
    with closing(ProxyApi(url, SecretStr("sk-master"))) as api, pytest.raises(errors.ProxyError, match="PROXY_URL"):
        api.entries()


def test_a_proxy_that_is_down_blocks_no_change(reg: Registry, fake_proxy: FakeProxy) -> None:
    """The change is saved, the row says what is wrong, and a sync puts it right."""
    kept, gone = created(reg), created(reg, ollama())
    fake_proxy.stop()
    changed = reg.models.update(kept.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN)
    assert "cannot be reached" in changed.proxy_message
    assert (False, changed.proxy_message) == row(reg, changed)
    assert "cannot be reached" in reg.models.delete(gone.id, actor=ADMIN).proxy_message
    with pytest.raises(errors.ProxyError, match="LITELLM_PROXY_URL"):
        reg.proxy.sync(actor=ADMIN)
    fake_proxy.start()
    assert {(alias(kept), "outdated"), (alias(gone), "orphaned")} == set(reasons(reg.proxy.plan()))
    report = reg.proxy.sync(actor=ADMIN)
    assert (True, 1, 1) == (report.ok, report.in_step, report.models)
    assert {alias(kept): ["openai/gpt-4.1"]} == served(fake_proxy)
    assert (True, "") == row(reg, changed)


def test_nothing_changed_is_one_request(reg: Registry, requests: Callable[[], list[str]]) -> None:
    """However many models there are; and it leaves no trace in the audit log."""
    for build in (generation, embedding, ner):
        created(reg, build())
    reg.proxy.sync(actor=ADMIN)
    requests()
    before = reg.audit.find(limit=1)
    report = reg.proxy.sync(actor=ADMIN)
    assert ["GET /model/info"] == requests()
    assert ((), (), (), 3, 3) == (report.applied, report.failed, report.foreign, report.in_step, report.models)
    assert before == reg.audit.find(limit=1)


def test_k_of_n_changed_take_at_most_2k_writes(reg: Registry, fake_proxy: FakeProxy) -> None:
    """The other models are left alone."""
    models = [created(reg) for _ in range(6)]
    fake_proxy.stop()
    for model in models[:2]:
        reg.models.update(model.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN)
    fake_proxy.start()
    before = len(fake_proxy.writes)
    reg.proxy.sync(actor=ADMIN)
    assert len(fake_proxy.writes) - before == 4
    assert {tuple(each) for each in served(fake_proxy).values()} == {("openai/gpt-4.1",), ("openai/gpt-4o",)}


Deed = Callable[[httpx.Client, Callable[..., str], FakeProxy, Model], object]


def _ours(proxy: FakeProxy, model: Model) -> str:
    return next(id for id, row in proxy._rows.items() if row.model_name == alias(model))


def _registry_of(proxy: FakeProxy, model: Model) -> str:
    row = proxy.entry(_ours(proxy, model))
    assert row is not None
    return str(row.model_info["registry"])


DEEDS: dict[str, tuple[Deed, str, str]] = {
    "missing": (
        lambda hand, _add, proxy, model: hand.post("/model/delete", json={"id": _ours(proxy, model)}),
        "missing",
        "does not have it",
    ),
    "another parameter": (
        lambda hand, _add, proxy, model: hand.patch(
            f"/model/{_ours(proxy, model)}/update", json={"litellm_params": {"api_base": "http://elsewhere"}}
        ),
        "edited",
        "api_base",
    ),
    "blocked": (
        lambda hand, _add, proxy, model: hand.patch(f"/model/{_ours(proxy, model)}/update", json={"blocked": True}),
        "edited",
        "blocked",
    ),
    "renamed": (
        lambda hand, _add, proxy, model: hand.patch(
            f"/model/{_ours(proxy, model)}/update", json={"model_name": "elsewhere"}
        ),
        "edited",
        "model_name",
    ),
    "twice": (
        lambda _hand, add, proxy, model: add(alias(model), _registry_of(proxy, model)),
        "duplicate",
        "more than once",
    ),
    "of a model that is gone": (
        lambda _hand, add, proxy, model: add("db-0000", _registry_of(proxy, model)),
        "orphaned",
        "deleted",
    ),
    "of a test, long ago": (
        lambda _hand, add, proxy, model: add("db-test-1-abc", _registry_of(proxy, model)),
        "leftover",
        "test",
    ),
}


@pytest.mark.parametrize("case", list(DEEDS))
def test_drift_is_found_told_and_mended(
    reg: Registry, fake_proxy: FakeProxy, hand: httpx.Client, add_by_hand: Callable[..., str], case: str
) -> None:
    """The plan lists each deviation with its reason and changes nothing; a sync fixes exactly that."""
    model = created(reg)
    expected = fake_proxy.served()
    deed, reason, why = DEEDS[case]
    deed(hand, add_by_hand, fake_proxy, model)
    before = len(fake_proxy.writes)
    found = [step for step in reg.proxy.plan().steps if step.reason == reason]
    assert len(found) == 1
    assert why in found[0].why
    assert len(fake_proxy.writes) == before
    report = reg.proxy.sync(actor=ADMIN)
    assert found[0] in report.applied
    assert expected == fake_proxy.served()
    assert reg.proxy.plan().steps == ()


def test_an_entry_edited_by_hand_is_replaced_without_a_gap(
    reg: Registry, fake_proxy: FakeProxy, hand: httpx.Client
) -> None:
    """Its id is taken, so the new entry gets another; also the next time."""
    model = created(reg)
    seen = {_ours(fake_proxy, model)}
    for _ in range(3):
        id = _ours(fake_proxy, model)
        hand.patch(f"/model/{id}/update", json={"litellm_params": {"model": "openai/other"}})
        before = len(fake_proxy.writes)
        reg.proxy.sync(actor=ADMIN)
        assert ["/model/new", "/model/delete"] == [each.path for each in fake_proxy.writes[before:]]
        seen.add(_ours(fake_proxy, model))
    assert len(seen) == 4
    assert reg.models.get(model.id).version == 1


def test_what_is_not_ours_is_never_touched(
    reg: Registry, fake_proxy: FakeProxy, add_by_hand: Callable[..., str]
) -> None:
    """Neither other models of the proxy, nor ``db-`` entries of no one or of another registry, whatever their alias."""
    model = created(reg)
    ids = {
        add_by_hand("gpt-4o"),
        add_by_hand("db-old-system"),
        add_by_hand("db-other", "another registry"),
        add_by_hand(alias(model)),
        add_by_hand(alias(model), "another registry"),
    }
    found = reg.proxy.plan()
    assert not found.changes
    assert [("db-old-system", True), ("db-other", False)] == [
        (step.alias, step.adoptable) for step in found.steps if step.alias != alias(model)
    ]
    assert [True, False] == [step.adoptable for step in found.steps if step.alias == alias(model)]
    reg.proxy.sync(actor=ADMIN)
    reg.models.update(model.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN)
    reg.models.delete(model.id, actor=ADMIN)
    assert ids == set(fake_proxy._rows)


def test_adopting_replaces_a_foreign_entry(
    reg: Registry, fake_proxy: FakeProxy, add_by_hand: Callable[..., str]
) -> None:
    """The model's own entry is there before the foreign one goes, and the log says whose decision it was."""
    model = created(reg)
    fake_proxy._rows.clear()
    foreign = add_by_hand(alias(model))
    reg.proxy.adopt(foreign, actor=ADMIN)
    assert {alias(model): ["openai/gpt-4o"]} == served(fake_proxy)
    assert reg.proxy.plan().steps == ()
    entry = reg.audit.find(limit=1).entries[0]
    assert ("proxy:adopt", alias(model), {"model": model.name}) == (entry.action, entry.target_name, entry.context)


def test_adopting_what_has_no_model_removes_it(reg: Registry, add_by_hand: Callable[..., str]) -> None:
    """Such as what the system before left behind."""
    reg.proxy.adopt(add_by_hand("db-old-system"), actor=ADMIN)
    assert reg.proxy.plan().steps == ()


def test_an_inactive_models_foreign_entry_stays(
    reg: Registry, fake_proxy: FakeProxy, add_by_hand: Callable[..., str]
) -> None:
    """There is nothing to put in its place: it would be served no more, and its key be lost."""
    model = created(reg, generation(status="inactive"))
    foreign = add_by_hand(alias(model))
    (step,) = reg.proxy.plan().steps
    assert ("foreign", False) == (step.reason, step.adoptable)
    with pytest.raises(errors.ProxyError, match="inactive"):
        reg.proxy.adopt(foreign, actor=ADMIN)
    assert fake_proxy.entry(foreign) is not None


def test_only_what_nobody_made_can_be_adopted(
    reg: Registry, fake_proxy: FakeProxy, add_by_hand: Callable[..., str]
) -> None:
    """Not another registry's, not our own, not what is gone, and not what is no ``db-`` entry."""
    model = created(reg)
    theirs, plain = add_by_hand("db-other", "another registry"), add_by_hand("gpt-4o")
    with pytest.raises(errors.ProxyError, match="Another registry"):
        reg.proxy.adopt(theirs, actor=ADMIN)
    for id in (plain, _ours(fake_proxy, model), "gone"):
        with pytest.raises(errors.NotFoundError):
            reg.proxy.adopt(id, actor=ADMIN)
    assert len(fake_proxy._rows) == 3


def test_two_registries_on_one_proxy_leave_each_other_alone(
    reg: Registry, fake_proxy: FakeProxy, connect: Connect, tmp_path: Any
) -> None:
    """Each sees the other's entries as foreign."""
    other = connect(
        Settings(
            database_url=f"sqlite:///{tmp_path / 'other' / 'r.db'}",
            fernet_keys=[KEY_B],
            litellm_proxy_url=fake_proxy.url,
            litellm_master_key=MASTER_KEY,
        )
    )
    ours, theirs = created(reg), created(other, ollama())
    for one in (reg, other, reg):
        assert ("foreign",) == tuple(step.reason for step in one.proxy.sync(actor=ADMIN).foreign)
    reg.models.delete(ours.id, actor=ADMIN)
    assert {alias(theirs)} == set(served(fake_proxy))


def test_one_unreadable_key_does_not_stop_the_others(reg: Registry, raw: Engine, fake_proxy: FakeProxy) -> None:
    """Its entry stays served as it was, its row says what to do, all others are brought up to date."""
    broken, fine = created(reg), created(reg)
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key = 'x', version = 2 WHERE id = :id"), {"id": broken.id})
    fake_proxy._rows.pop(_ours(fake_proxy, fine))
    report = reg.proxy.sync(actor=ADMIN)
    assert ["missing"] == [step.reason for step in report.applied]
    assert [(alias(broken), "refused")] == [(each.step.alias, each.step.reason) for each in report.failed]
    assert "REGISTRY_FERNET_KEYS" in report.failed[0].message
    assert {alias(broken), alias(fine)} == set(served(fake_proxy))
    assert (False, report.failed[0].message) == row(reg, broken)
    assert (True, "") == row(reg, fine)


def test_a_host_that_was_denied_is_served_no_more(
    reg: Registry, settings: Settings, fake_proxy: FakeProxy, connect: Connect
) -> None:
    """The policy is checked at each sync: what must not be called is taken off the proxy, and the row says why."""
    denied, fine = created(reg), created(reg, ollama())
    strict = connect(settings.replace(endpoint_deny=("api.openai.com",)))
    assert [(alias(denied), "refused")] == reasons(strict.proxy.plan())
    report = strict.proxy.sync(actor=ADMIN)
    assert ["refused"] == [failure.step.reason for failure in report.failed]
    assert {alias(fine)} == set(served(fake_proxy))
    assert "REGISTRY_ENDPOINT_DENY" in row(reg, denied)[1]


@pytest.mark.parametrize(
    "change",
    [
        "provider = 'acme'",
        "api_endpoint = 'http://elsewhere.example/v1'",
        """connection = '{"organization": "os.environ/HOME"}'""",
        "model_id = 'os.environ/HOME'",
        """connection = '{"organization": {"a": 1}}'""",
    ],
)
def test_an_edit_in_the_database_leads_no_key_elsewhere(
    reg: Registry, raw: Engine, fake_proxy: FakeProxy, change: str
) -> None:
    """A model of a provider that is not known, or whose endpoint was changed past the registry, is not registered
    again: what the proxy serves stays as it was."""
    model = created(reg)
    before = fake_proxy.served()
    with raw.begin() as connection:
        connection.execute(text(f"UPDATE models SET {change}, version = 2 WHERE id = :id"), {"id": model.id})
    (failure,) = reg.proxy.sync(actor=ADMIN).failed
    assert failure.step.reason == "refused"
    assert before == fake_proxy.served()


def test_nothing_but_what_the_provider_declares_is_passed_on(reg: Registry, raw: Engine, fake_proxy: FakeProxy) -> None:
    """An address that a user writes among the connection fields leads the key nowhere, by proxy or directly."""
    model = created(reg)
    expected = fake_proxy.served()
    statement = """UPDATE models SET connection = '{"api_base": "http://elsewhere.example"}', version = 2"""
    with raw.begin() as connection:
        connection.execute(text(statement))
    reg.proxy.sync(actor=ADMIN)
    assert expected == fake_proxy.served()
    params = PROVIDERS["openai"].litellm_params(
        model.type, model.model_id, None, {"api_base": "http://elsewhere.example", "organization": "org-1"}, None
    )
    assert ("https://api.openai.com/v1", "org-1") == (params["api_base"], params["organization"])


def test_a_limit_that_is_no_number_is_not_passed_on(reg: Registry, raw: Engine, fake_proxy: FakeProxy) -> None:
    """Nor looked up in the environment: what the proxy serves stays as it was."""
    created(reg)
    before = fake_proxy.served()
    with raw.begin() as connection:
        statement = """UPDATE models SET config = '{"timeout_seconds": "os.environ/HOME"}', version = 2"""
        connection.execute(text(statement))
    (failure,) = reg.proxy.sync(actor=ADMIN).failed
    assert failure.step.reason == "refused"
    assert before == fake_proxy.served()


def test_a_version_that_the_proxy_does_not_serve_yet_is_not_tested_by_its_alias(
    reg: Registry, fake_proxy: FakeProxy
) -> None:
    """Else the old one would answer for it."""
    model = created(reg)
    fake_proxy.faults = lambda _number, _method, path: Fault(429) if path.startswith("/model") else None
    reg.models.update(model.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN)
    fake_proxy.faults = ()
    assert reg.models.test(model.id, actor=ADMIN).ok
    (called,) = [each.body["model"] for each in fake_proxy.requests if "/chat/" in each.path]
    assert called.startswith("db-test-")


def test_the_wrong_keyring_changes_nothing(
    reg: Registry, settings: Settings, fake_proxy: FakeProxy, connect: Connect
) -> None:
    """Without the store's own secret nothing can be distinguished: a sync refuses, a change is saved all the same."""
    model = created(reg)
    wrong = connect(settings.replace(fernet_keys=[KEY_B]))
    with pytest.raises(errors.DecryptionError):
        wrong.proxy.sync(actor=ADMIN)
    renamed = wrong.models.update(model.id, {"name": "Renamed"}, version=1, actor=ADMIN)
    assert "not the keys of this store" in renamed.proxy_message
    assert {alias(model): ["openai/gpt-4o"]} == served(fake_proxy)


FAULTS: dict[str, tuple[Fault, str]] = {
    "an error of its own": (Fault(500), "STORE_MODEL_IN_DB"),
    "overloaded": (Fault(429), "overloaded"),
    "no such path": (Fault(404), "refused the request"),
    "elsewhere": (Fault(302), "redirects requests"),
    "another program": (Fault(200, text="<html>Welcome</html>"), "without a path"),
    "cut off": (Fault("drop"), "broke off"),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_each_failure_of_the_proxy_has_its_message(reg: Registry, fake_proxy: FakeProxy, case: str) -> None:
    """It says what to look at; what the proxy answered is not repeated."""
    fault, message = FAULTS[case]
    fake_proxy.faults = lambda *_: fault
    with pytest.raises(errors.ProxyError, match=message) as caught:
        reg.proxy.plan()
    assert "Welcome" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_answer_that_does_not_come(reg: Registry, fake_proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that hangs is given up after the time limit."""
    monkeypatch.setattr("registry.proxy.admin._ANSWER_SECONDS", 0.05)
    fake_proxy.faults = lambda *_: Fault("hang")
    with pytest.raises(errors.ProxyError, match="did not answer"):
        reg.proxy.plan()


@pytest.mark.parametrize("key", ["sk-wrong", "unlike-a-key"])
def test_a_wrong_master_key(settings: Settings, connect: Connect, key: str) -> None:
    """The message names the setting; the key is nowhere in it."""
    reg = connect(settings.replace(litellm_master_key=key))
    with pytest.raises(errors.ProxyError, match="LITELLM_MASTER_KEY") as caught:
        reg.proxy.plan()
    assert key not in str(caught.value)


def test_a_url_without_its_key_is_told_apart(store_url: str, connect: Connect) -> None:
    """KB code is sent to a proxy on which no models are registered: that is worth a warning."""
    with pytest.raises(errors.SettingsError, match="nothing registers the models there"):
        connect(
            Settings(database_url=store_url, fernet_keys=[KEY_A], litellm_proxy_url="http://127.0.0.1:9")
        ).proxy.plan()


def test_without_a_proxy_there_is_nothing_to_sync(store_url: str, connect: Connect) -> None:
    """The message names the settings; changes work as ever. A URL without the key is not enough."""
    for reg in (
        connect(Settings(database_url=store_url, fernet_keys=[KEY_A])),
        connect(Settings(database_url=store_url, fernet_keys=[KEY_A], litellm_proxy_url="http://127.0.0.1:9")),
    ):
        assert not reg.proxy.is_configured
        for call in (reg.proxy.plan, lambda reg=reg: reg.proxy.sync(actor=ADMIN)):
            with pytest.raises(errors.SettingsError, match="LITELLM_MASTER_KEY"):
                call()
        assert created(reg).proxy_message == ""


@pytest.mark.parametrize("only", [False, True])
def test_a_change_in_the_middle_of_a_sync_is_taken_along(
    only: bool,
    reg: Registry,
    settings: Settings,
    fake_proxy: FakeProxy,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own push finds the sync at work and leaves it the change; the sync compares once more before it ends."""
    monkeypatch.setattr(sync, "_PUSH_WAIT_SECONDS", 0.0)
    model = created(reg)
    fake_proxy._rows.clear()
    other, told = connect(settings), []

    def edit(number: int, method: str, path: str) -> None:
        if path == "/model/new" and not told:
            told.append("once")
            changed = other.models.update(model.id, {"model_id": "gpt-4.1"}, version=1, actor=ADMIN)
            told.append(changed.proxy_message)

    fake_proxy.faults = edit
    report = reg.proxy.sync(only=[alias(model)] if only else None, actor=ADMIN)
    assert "busy" in told[1]
    assert {alias(model): ["openai/gpt-4.1"]} == served(fake_proxy)
    assert ["missing", "outdated"] == [step.reason for step in report.applied]
    assert (True, "") == row(reg, model)


def test_one_sync_at_a_time(
    reg: Registry, store_url: str, monkeypatch: pytest.MonkeyPatch, fake_proxy: FakeProxy
) -> None:
    """Over all processes: a second one waits, and then says so."""
    monkeypatch.setattr(sync, "_SYNC_WAIT_SECONDS", 0.0)
    store = Store(store_url)
    with store.exclusive("sync", 0), pytest.raises(errors.ProxyError, match="busy"):
        reg.proxy.sync(actor=ADMIN)
    assert fake_proxy.requests == []
    reg.proxy.sync(actor=ADMIN)
    store.close()


def test_a_sync_is_in_the_audit_log(reg: Registry, fake_proxy: FakeProxy) -> None:
    """Who asked for it, and how much of what it did."""
    models = [created(reg), created(reg)]
    fake_proxy._rows.clear()
    reg.proxy.sync(actor=ADMIN)
    entry = reg.audit.find(limit=1).entries[0]
    assert ("proxy:sync", ADMIN.name, reg._store.registry_id()) == (entry.action, entry.actor, entry.target_id)
    assert {"applied": {"missing": len(models)}} == entry.context


def test_a_part_of_the_plan(reg: Registry, fake_proxy: FakeProxy) -> None:
    """One alias is applied, the others do not change; progress is reported."""
    one, two = created(reg), created(reg)
    fake_proxy._rows.clear()
    steps: list[tuple[int, int]] = []
    report = reg.proxy.sync(only=[alias(one)], progress=lambda done, of: steps.append((done, of)), actor=ADMIN)
    assert [(1, 1)] == steps
    assert (1, 2) == (report.in_step, report.models)
    assert {alias(one)} == set(served(fake_proxy))
    assert [(alias(two), "missing")] == reasons(reg.proxy.plan())


def test_auditors_read_the_plan_and_change_nothing(reg: Registry) -> None:
    """Only administrators sync and adopt."""
    handle = reg.acting_as(AUDITOR)
    assert handle.proxy.plan().steps == ()
    for call in (handle.proxy.sync, lambda: handle.proxy.adopt("x")):
        with pytest.raises(errors.ForbiddenError):
            call()


def test_a_temporary_alias_is_removed_whatever_happens(reg: Registry, fake_proxy: FakeProxy) -> None:
    """It serves while the block runs; one that is in use is not swept by a sync."""
    assert reg._follower is not None
    with suppress(ZeroDivisionError), reg._follower.temporary({"model": "openai/x"}, "chat") as name:
        assert name.startswith("db-test-")
        assert {name: ["openai/x"]} == served(fake_proxy)
        assert not reg.proxy.plan().changes
        raise ZeroDivisionError
    assert {} == served(fake_proxy)


def test_a_test_goes_the_way_that_will_be_used(reg: Registry, fake_proxy: FakeProxy) -> None:
    """A model is tested by its alias; an unsaved, edited or inactive one by an alias that is gone afterwards."""
    model, resting = created(reg), created(reg, generation(status="inactive"))
    before = fake_proxy.served()
    assert reg.models.test(model.id, actor=ADMIN).ok
    assert [alias(model)] == [each.body["model"] for each in fake_proxy.requests if "/chat/" in each.path]
    assert reg.models.test(generation(), actor=ADMIN).ok
    assert reg.models.test(model.id, {"model_id": "gpt-4.1"}, actor=ADMIN).ok
    assert reg.models.test(resting.id, actor=ADMIN).ok
    called = [each.body["model"] for each in fake_proxy.requests if "/chat/" in each.path][1:]
    assert [True] * 3 == [name.startswith("db-test-") for name in called]
    assert before == fake_proxy.served()


def test_the_id_of_an_entry_belongs_to_what_is_registered() -> None:
    """The same content has the same id; another model, epoch, key, parameter, mode or store another one."""
    base: dict[str, Any] = {
        "id": "m",
        "epoch": 0,
        "params": {"model": "openai/x", "api_key": "k"},
        "mode": "chat",
        "registry": "r",
        "secret": b"s" * 32,
    }
    other: dict[str, Any] = {
        "id": "n",
        "epoch": 1,
        "params": {"model": "openai/x", "api_key": "other"},
        "mode": "embedding",
        "secret": b"t" * 32,
    }
    id = plan.registration(**base).id
    assert id == plan.registration(**base).id
    changed = {plan.registration(**{**base, name: value}).id for name, value in other.items()}
    assert len(changed - {id}) == len(other)


def test_keys_are_in_no_repr(fake_proxy: FakeProxy) -> None:
    """Of what is to be registered, and of the connection to the proxy."""
    new = plan.registration("m", 0, {"api_key": CANARY}, "chat", "r", b"s" * 32)
    step = SyncStep(alias="a", reason="missing", why="", name="", model=None, adds=True, deletes=())
    task = plan.Task(step, plan.Wanted("m", "n", 1, served=new), new)
    assert CANARY not in repr(task) + repr(ProxyApi(fake_proxy.url, SecretStr(CANARY)))


def test_ner_timeouts_are_the_models_own(reg: Registry, fake_proxy: FakeProxy) -> None:
    """The time limit on the proxy is the one of the model's configuration."""
    model = created(reg, ner(config={"timeout_seconds": 45}))
    assert NerConfig.model_fields["timeout_seconds"].default != 45
    assert [45] == [params["timeout"] for params in fake_proxy.served()[alias(model)]]
