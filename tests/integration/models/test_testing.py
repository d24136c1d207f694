"""Testing a model through the registry: with which key, by which way, and what is remembered of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Model, ModelCreate, ModelUpdate, Registry, Settings, errors
from registry.catalog.egress import Policy
from registry.catalog.validation import parse_create
from registry.errors import ProxyError
from registry.keys.keyring import Keyring
from registry.keys.vault import Vault
from registry.models.models import Models
from registry.probe import probe
from registry.probe.probe import Carrier
from registry.store.store import Store
from registry.store.tables import Base
from tests.support.factories import ADMIN, CANARY, KEY_A, KEY_B, created, generation
from tests.support.providers import Answer, Listener, Provider, Proxy, Request, model_at

MASTER = "sk-master-e51c2d84b06a"
Connect = Callable[[Settings], Registry]
Through = Callable[[Carrier], Models]


@pytest.fixture
def through(settings: Settings) -> Iterator[Through]:
    """The models of the same store, tested through a proxy."""
    with closing(Store(settings.database_url)) as store:
        yield lambda carrier: Models(store, Vault(Keyring([KEY_A])), carrier=carrier)


def last_entry(reg: Registry) -> tuple[Any, ...]:
    entry = reg.audit.find(limit=1).entries[0]
    return entry.action, entry.target_kind, entry.target_id, entry.target_name, entry.changes, dict(entry.context)


def test_the_result_of_a_saved_model_is_remembered(reg: Registry, server: Provider) -> None:
    """In the list and the audit log; the model itself, including its version, does not change."""
    model = created(reg, model_at(server.url))
    result = reg.models.test(model.name, actor=ADMIN)
    (row,) = reg.models.overview()
    assert (True, result.message, result.latency_ms) == (row.test_ok, row.test_message, row.test_ms)
    assert row.test_at is not None
    assert reg.models.get(model.id) == model
    outcome = {"ok": True, "kind": "ok", "stage": "capability", "latency_ms": result.latency_ms}
    expected = ("model:test", "model", model.id, model.name, (), {**outcome, "via": "direct", "edited": False})
    assert expected == last_entry(reg)
    assert reg.audit.verify().ok


def test_a_later_result_takes_its_place(reg: Registry, server: Provider) -> None:
    """A failure after a success is what the list shows, and what proxy state there is stays."""
    model = created(reg, model_at(server.url))
    reg.models.test(model.id, actor=ADMIN)
    server.fail(401)
    result = reg.models.test(model.id, actor=ADMIN)
    (row,) = reg.models.overview()
    assert (False, result.message) == (row.test_ok, row.test_message)
    assert ["wrong_key", "ok"] == [entry.context["kind"] for entry in reg.audit.find(action="model:test").entries]


@pytest.mark.parametrize("make", [dict, lambda spec: ModelCreate(**spec)], ids=["mapping", "object"])
def test_an_unsaved_model_is_tested(reg: Registry, server: Provider, make: Callable[[Any], Any]) -> None:
    """With the key that it brings; nothing is saved, the audit log names it all the same."""
    spec = model_at(server.url, name="Not saved yet")
    assert reg.models.test(make(spec), actor=ADMIN).ok
    assert [] == reg.models.find()
    assert ("model:test", "model", "unsaved", "Not saved yet", ()) == last_entry(reg)[:5]
    assert [CANARY] == [request.key for request in server.requests]


EDITS: dict[str, tuple[Any, str, str]] = {
    "another model": ({"model_id": "edited"}, "edited", CANARY),
    "another key": (ModelUpdate(api_key="sk-typed-0123456789"), "gpt-4o", "sk-typed-0123456789"),  # type: ignore[arg-type]  # pydantic takes text
    "a parameter": ({"config": {"max_output_tokens": 5}}, "gpt-4o", CANARY),
    "all at once": ({"model_id": "edited", "api_key": "sk-typed-0123456789"}, "edited", "sk-typed-0123456789"),
}


@pytest.mark.parametrize("edit", list(EDITS))
def test_an_edit_is_tested_as_edited(reg: Registry, server: Provider, edit: str) -> None:
    """With the stored key unless it brings one; what is saved, and its last result, stay."""
    change, model_id, key = EDITS[edit]
    model = created(reg, model_at(server.url))
    assert reg.models.test(model.id, change, actor=ADMIN).ok
    (request,) = server.requests
    assert (model_id, key) == (json.loads(request.body)["model"], request.key)
    assert (None, model) == (reg.models.overview()[0].test_ok, reg.models.get(model.id))
    assert (model.id, True) == (last_entry(reg)[2], last_entry(reg)[5]["edited"])


def test_an_edit_that_changes_nothing_of_the_call_is_none(reg: Registry, server: Provider) -> None:
    """A form that sends all saved values unchanged tests the saved model, whose result is stored."""
    model = created(reg, model_at(server.url))
    same = {"model_id": model.model_id, "api_endpoint": model.api_endpoint, "name": "Another name"}
    reg.models.test(model.id, same, actor=ADMIN)
    assert (True, False) == (reg.models.overview()[0].test_ok, last_entry(reg)[5]["edited"])


def test_a_removed_key_is_not_used(reg: Registry, server: Provider) -> None:
    """An edit that clears the key is tested without one."""
    model = created(reg, model_at(server.url, "lmstudio"))
    assert reg.models.test(model.id, {"api_key": None}, actor=ADMIN).ok
    assert ["none"] == [request.key for request in server.requests]


def test_nothing_is_sent_where_the_call_is_refused(reg: Registry, server: Provider, connect: Connect) -> None:
    """Wrong input, another origin for the stored key, a refused address, no such model: errors, without an entry."""
    model = created(reg, model_at(server.url))
    entries = reg.audit.find()
    calls: list[tuple[type[errors.RegistryError], Callable[[], object]]] = [
        (errors.EndpointChangedError, lambda: reg.models.test(model.id, {"api_endpoint": "http://x:1"}, actor=ADMIN)),
        (errors.EndpointChangedError, lambda: reg.models.test(model.id, {"provider": "mistral"}, actor=ADMIN)),
        (errors.InvalidModelError, lambda: reg.models.test(model.id, {"model_id": ""}, actor=ADMIN)),
        (errors.InvalidModelError, lambda: reg.models.test(model.id, {"type": "ner"}, actor=ADMIN)),
        (errors.InvalidModelError, lambda: reg.models.test({}, actor=ADMIN)),
        (errors.InvalidModelError, lambda: reg.models.test(model_at(server.url), {"name": "x"}, actor=ADMIN)),
        (errors.UnsafeEndpointError, lambda: reg.models.test(model_at("http://169.254.1.1"), actor=ADMIN)),
        (errors.NotFoundError, lambda: reg.models.test("no such model", actor=ADMIN)),
        (errors.ForbiddenError, lambda: reg.models.test(model.id)),
    ]
    for expected, refused in calls:
        with pytest.raises(expected) as caught:
            refused()
        assert type(caught.value) is expected
    assert ([], entries) == (server.requests, reg.audit.find())


def test_a_key_that_cannot_be_read_is_not_tested(reg: Registry, server: Provider, connect: Connect) -> None:
    """With the wrong encryption key, or none."""
    model = created(reg, model_at(server.url))
    store = reg._settings.database_url
    for keys, error in (([KEY_B], errors.DecryptionError), ([], errors.SettingsError)):
        with pytest.raises(error, match="REGISTRY_FERNET_KEYS"):
            connect(Settings(database_url=store, fernet_keys=keys)).models.test(model.id, actor=ADMIN)
    assert [] == server.requests


@pytest.mark.parametrize("column", ["api_endpoint", "provider"])
def test_an_edit_in_the_database_leads_no_test_astray(
    reg: Registry, raw: Engine, server: Provider, column: str
) -> None:
    """The stored key opens only for the origin and provider that it was entered for: not one byte is sent elsewhere."""
    model = created(reg, model_at(server.url))
    with closing(Listener()) as canary:
        value = {"api_endpoint": f"{canary.url}/v1", "provider": "mistral"}[column]
        with raw.begin() as connection:
            connection.execute(text(f"UPDATE models SET {column} = :value"), {"value": value})
        with pytest.raises(errors.DecryptionError):
            reg.models.test(model.id, actor=ADMIN)
        assert ([], 0) == (server.requests, canary.connections)


def test_a_model_that_is_deleted_meanwhile_leaves_only_the_entry(reg: Registry, server: Provider) -> None:
    """No transaction is open during the call, so that others can change what is tested."""
    model = created(reg, model_at(server.url))

    def delete_first(request: Request) -> Answer:
        reg.models.delete(model.id, actor=ADMIN)
        return server.speak(request)

    server.answer = delete_first
    assert reg.models.test(model.id, actor=ADMIN).ok
    assert ([], "model:test") == (reg.models.find(), last_entry(reg)[0])


def test_a_result_is_not_remembered_of_a_model_that_changed_meanwhile(reg: Registry, server: Provider) -> None:
    """It was of the model as it had been."""
    model = created(reg, model_at(server.url))

    def edit_first(request: Request) -> Answer:
        reg.models.update(model.id, {"model_id": "another"}, version=1, actor=ADMIN)
        return server.speak(request)

    server.answer = edit_first
    assert reg.models.test(model.id, actor=ADMIN).ok
    assert reg.models.overview()[0].test_ok is None


def test_an_echoed_key_is_stored_nowhere(reg: Registry, raw: Engine, server: Provider) -> None:
    """Neither with the model nor in the audit log."""
    model = created(reg, model_at(server.url))
    server.echo()
    reg.models.test(model.id, actor=ADMIN)
    reg.models.test(model_at(server.url), actor=ADMIN)
    with raw.connect() as connection:
        stored = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in Base.metadata.tables]
    assert "wrong_key" in str(stored)
    assert CANARY not in str(stored)


POLICIES: dict[str, Mapping[str, Any]] = {
    "denied": {"endpoint_deny": ["127.0.0.0/8"]},
    "not allowed": {"endpoint_allow": ["*.example.com"]},
}


@pytest.mark.parametrize("policy", list(POLICIES))
def test_the_outbound_policy_holds_everywhere(
    reg: Registry, settings: Settings, connect: Connect, server: Provider, policy: str
) -> None:
    """At create, update, test and resolve; a model from before the policy stays listed."""
    model = created(reg, model_at(server.url))
    strict = connect(Settings(database_url=settings.database_url, fernet_keys=[KEY_A], **POLICIES[policy]))
    for refused in (
        lambda: created(strict, model_at(server.url)),
        lambda: strict.models.update(model.id, {"name": "New"}, version=1, actor=ADMIN),
        lambda: strict.models.test(model.id, actor=ADMIN),
        lambda: strict.models.test(model_at(server.url), actor=ADMIN),
        lambda: strict.resolve(model.id),
    ):
        with pytest.raises(errors.UnsafeEndpointError, match="REGISTRY_ENDPOINT_") as refusal:
            refused()
        assert ["api_endpoint"] == list(refusal.value.fields)
    assert (reg.models.find(), []) == (strict.models.find(), server.requests)


def test_a_providers_own_endpoint_is_under_the_policy_too(settings: Settings, connect: Connect) -> None:
    """Leaving the endpoint empty is no way round it."""
    strict = connect(
        Settings(database_url=settings.database_url, fernet_keys=[KEY_A], endpoint_deny=["api.openai.com"])
    )
    with pytest.raises(errors.UnsafeEndpointError):
        created(strict, generation())


def followed_by_a_proxy(raw: Engine, model: Model) -> None:
    """Record that the proxy serves a model in its present state."""
    statement = "INSERT INTO model_states (model_id, proxy_version, proxy_epoch, proxy_message) VALUES (:id, 1, 0, '')"
    with raw.begin() as connection:
        connection.execute(text(statement), {"id": model.id})


def test_through_the_proxy_a_served_model_is_called_by_its_alias(
    reg: Registry, raw: Engine, server: Provider, through: Through
) -> None:
    """With the master key; the proxy has the model's own."""
    proxy = Proxy(server.url, MASTER)
    for status in ("active", "deprecated"):
        model = created(reg, model_at("https://models.example.com", status=status))
        followed_by_a_proxy(raw, model)
        assert through(proxy).test(model.id, actor=ADMIN).ok
        assert (f"db-{model.id}", MASTER) == (_model(server.requests[-1]), server.requests[-1].key)
    assert ([], "proxy") == (proxy.served, last_entry(reg)[5]["via"])


@pytest.mark.parametrize("case", ["unsaved", "edited", "inactive"])
def test_what_the_proxy_does_not_serve_is_served_for_a_while(
    reg: Registry, server: Provider, through: Through, case: str
) -> None:
    """Under a temporary alias, with what LiteLLM needs to call it directly."""
    proxy, spec = Proxy(server.url, MASTER), model_at("https://models.example.com")
    handle = through(proxy)
    if case == "unsaved":
        result = handle.test(spec, actor=ADMIN)
    else:
        model = created(reg, {**spec, "status": "inactive" if case == "inactive" else "active"})
        result = handle.test(model.id, {"model_id": "edited"} if case == "edited" else None, actor=ADMIN)
    assert result.ok, result
    (served,) = proxy.served
    model_id = "edited" if case == "edited" else "gpt-4o"
    assert ("chat", f"openai/{model_id}", CANARY) == (served["mode"], served["model"], served["api_key"])
    assert "https://models.example.com/v1" == served["api_base"]
    assert [("db-test-1", MASTER)] == [(_model(request), request.key) for request in server.requests]


def _model(request: Request) -> str:
    return str(json.loads(request.body)["model"])


def _of_provider(kind: str, said: str) -> str:
    return json.dumps({"error": {"message": f"litellm.{kind}: {said}\n\nLiteLLM: model group 'db-1' failed"}})


COOLING = '{"error": {"message": "No deployments available for selected model, Try again in 5 seconds"}}'
PROXY_FAILURES: dict[str, tuple[str, int, str]] = {
    "wrong master key": ("wrong_master_key", 401, '{"error": {"message": "Invalid proxy server token passed"}}'),
    "not a key of it": ("wrong_master_key", 401, '{"error": {"message": "LiteLLM Virtual Key expected."}}'),
    "not registered": ("not_registered", 400, '{"error": {"message": "Invalid model name passed in model=db-1"}}'),
    "wrong key": ("wrong_key", 401, _of_provider("AuthenticationError", "OpenAIException - no")),
    "forbidden": ("forbidden", 403, _of_provider("APIError", "OpenAIException - no")),
    "no model": ("no_model", 404, _of_provider("NotFoundError", "OpenAIException - no")),
    "rate limited": ("rate_limited", 429, _of_provider("RateLimitError", "OpenAIException - slow down")),
    "provider down": ("provider_down", 503, _of_provider("ServiceUnavailableError", "OpenAIException - down")),
    "unreachable": ("unreachable", 500, _of_provider("InternalServerError", "OpenAIException - Connection error.")),
    "no such host": ("unreachable", 500, _of_provider("APIConnectionError", "Cannot connect to host x:80")),
    "TLS": ("tls", 500, _of_provider("InternalServerError", "Cannot connect to host x:1 [[SSL: WRONG_VERSION_NUMBER]")),
    "timeout": ("timeout", 408, _of_provider("Timeout", "APITimeoutError - Request timed out.")),
    "web page": ("bad_answer", 500, _of_provider("InternalServerError", "Received: '<html>'")),
    "not JSON": ("bad_answer", 500, '{"error": {"message": "litellm.APIConnectionError: Expecting value: line 1"}}'),
    "cooling down": ("rate_limited", 429, COOLING),
    "gateway": ("proxy_down", 502, "<html>Bad gateway</html>"),
    "no proxy": ("proxy_down", 200, "<html>Welcome</html>"),
    "its own fault": ("proxy_down", 500, '{"error": {"message": "No connected db."}}'),
}


@pytest.mark.parametrize("failure", list(PROXY_FAILURES))
def test_the_proxys_failures_are_told_from_the_providers(
    reg: Registry, server: Provider, through: Through, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the proxy itself refuses, and what it reports of the provider, by status and text."""
    monkeypatch.setattr(probe, "COOL_DOWN", 0)
    kind, status, body = PROXY_FAILURES[failure]
    server.fail(status, body)
    model = created(reg, model_at("https://models.example.com"))
    result = through(Proxy(server.url, MASTER)).test(model.id, actor=ADMIN)
    assert (False, kind) == (result.ok, result.kind), result
    assert "model group" not in str(result.details)


def test_a_proxy_that_is_not_there(reg: Registry, through: Through) -> None:
    """No one listens at its address, or it does not take the temporary model."""
    model = created(reg, model_at("https://models.example.com"))
    assert "proxy_down" == through(Proxy("http://127.0.0.1:1", MASTER)).test(model.id, actor=ADMIN).kind

    def refuse(_params: Mapping[str, Any], _mode: str) -> Any:
        raise ProxyError(f"The proxy said: {CANARY} and {MASTER}")

    result = through(Proxy("http://127.0.0.1:1", MASTER, refuse)).test(model_at("http://x"), actor=ADMIN)
    assert ("proxy_down", "The proxy said: [hidden] and [hidden]") == (result.kind, result.details["answer"])


def test_a_cool_down_is_waited_out_once(server: Provider) -> None:
    """After a corrected key the proxy benches a model for five seconds: no rate limit of the provider's."""
    waits: list[float] = []
    server.fail(429, COOLING)

    def warm_up(seconds: float) -> None:
        waits.append(seconds)
        server.answer = server.speak

    spec = parse_create(model_at("https://models.example.com"))
    result = probe.run(spec, "1", Proxy(server.url, MASTER), Policy(), wait=warm_up)
    assert (True, [probe.COOL_DOWN], 2) == (result.ok, waits, len(server.requests))


@pytest.mark.parametrize("status", [401, 404, 500])
def test_neither_key_is_shown_when_the_proxy_tells_them(
    reg: Registry, server: Provider, through: Through, raw: Engine, status: int
) -> None:
    """The model's own, which the proxy's redaction may miss, and the master key."""
    model = created(reg, model_at("https://models.example.com"))
    server.answer = lambda request: Answer(status, _of_provider("APIError", f"X - {request.key} {CANARY.upper()}"))
    result = through(Proxy(server.url, MASTER)).test(model.id, actor=ADMIN)
    assert "[hidden]" in result.details["answer"]
    with raw.connect() as connection:
        stored = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in Base.metadata.tables]
    told = f"{result!r}{stored}".lower()
    assert (False, False) == (CANARY in told, MASTER in told)
