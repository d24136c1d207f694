"""The sync on a real LiteLLM proxy, which calls stand-ins of the providers and may serve others meanwhile."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from threading import Event
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from registry import Model, ModelType, Registry, Settings
from registry.catalog.providers import PROVIDERS
from registry.errors import ProxyError
from registry.proxy import admin, sync
from registry.proxy.admin import Entry, ProxyApi
from registry.proxy.records import alias_of
from tests.conftest import RealProxy
from tests.support.drift import Harm, Killed, MortalApi, mortal
from tests.support.factories import ADMIN, KEY_A, created
from tests.support.faulty_server import Answer, Fault, FaultyServer, Request
from tests.support.providers import model_at
from tests.support.sabotage import deleting_first

pytestmark = pytest.mark.proxy

GOOD_KEY = "good-key"
HARMS = [Harm("drop", after=True), Harm(500, after=False), Harm("hang", after=True)]
if "SYNC_FAULTS" in os.environ:
    HARMS = [Harm(what, after) for what in ("drop", 500, "hang", "die", 429) for after in (False, True)]
    HARMS += [replace(harm, times=3) for harm in HARMS if harm.what != "die"]
REQUESTS = 7
"""What it takes to fix the drift of the models below where nothing goes wrong."""

Connect = Callable[[Settings], Registry]


@dataclass
class Live:
    """A registry whose models are served by a real proxy, from stand-ins of their providers."""

    settings: Settings
    reg: Registry
    offline: Registry  # the same store: changes that the proxy does not hear of
    api: ProxyApi
    client: httpx.Client
    port: int

    def model(self, provider: str = "openai", kind: str = "generation") -> Model:
        """A new one, whose provider answers."""
        special = kind == "embedding" and provider in ("ollama", "gemini")
        number = 2 if special else 1 if provider in ("ollama", "lmstudio") else 0
        model = created(self.reg, model_at(self._stand_in(number), provider, kind, api_key=GOOD_KEY))
        assert "" == model.proxy_message
        return model

    def call(self, model: Model) -> int:
        """Call a model's alias and give the status."""
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "ping"}]}
        path = "chat/completions"
        if model.type is ModelType.EMBEDDING:
            body, path = {"input": "ping"}, "embeddings"
        for _ in range(2):
            answer = self.client.post(f"/v1/{path}", json={"model": alias_of(model.id), **body})
            if "Connection error" not in answer.text:  # an idle connection, which the provider closed as it was taken
                break
        return answer.status_code

    def ours(self) -> list[Entry]:
        """The entries with this registry's stamp."""
        stamp = self.reg._store.registry_id()
        return [entry for entry in self.api.entries() if entry.registry == stamp]

    def id_of(self, model: Model) -> str:
        """The id of its one entry."""
        (id,) = [entry.id for entry in self.ours() if entry.alias == alias_of(model.id)]
        return id

    def add(self, alias: str, info: dict[str, Any], model: str = "openai/gpt-4o") -> int:
        """Register something by hand, and give the status."""
        params = {"model": model, "api_base": f"{self._stand_in(0)}/v1", "api_key": GOOD_KEY}
        body = {"model_name": alias, "litellm_params": params, "model_info": info}
        return self.client.post("/model/new", json=body).status_code

    def assert_in_step(self) -> None:
        """Each model has one entry, which says what the model says, and answers; no one else has one."""
        models = [model for model in self.reg.models.find() if model.status != "inactive"]
        assert {alias_of(model.id): 1 for model in models} == Counter(entry.alias for entry in self.ours())
        served = {entry.alias: entry.params["model"] for entry in self.ours()}
        assert {alias_of(model.id): f"openai/{model.model_id}" for model in models} == served
        assert {200} == {self.call(model) for model in models}
        assert not self.reg.proxy.plan().changes

    def _stand_in(self, number: int) -> str:
        return f"http://127.0.0.1:{self.port + number}"


@pytest.fixture
def live(real_proxy: RealProxy, sqlite_url: str, connect: Connect) -> Iterator[Live]:
    """A registry of its own on the real proxy, from which everything of it is removed whatever happens."""
    key = SecretStr(real_proxy.master_key)
    settings = Settings(
        database_url=sqlite_url, fernet_keys=[KEY_A], litellm_proxy_url=real_proxy.url, litellm_master_key=key
    )
    headers = {"Authorization": f"Bearer {real_proxy.master_key}"}
    with (
        closing(ProxyApi(real_proxy.url, key)) as api,
        httpx.Client(base_url=real_proxy.url, headers=headers, timeout=60, trust_env=False) as client,
    ):
        offline = connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A]))
        live = Live(settings, connect(settings), offline, api, client, real_proxy.providers_port)
        try:
            yield live
        finally:
            for entry in live.ours():
                api.delete(entry.id)


def test_all_types_of_all_providers_are_served_until_deleted(live: Live) -> None:
    """Registered with the model, they answer by the proxy; deleted, their aliases are gone."""
    combinations = [(provider.id, kind) for provider in PROVIDERS.values() for kind in provider.types]
    models = {combination: live.model(*combination) for combination in combinations}
    assert dict.fromkeys(combinations, 200) == {combination: live.call(model) for combination, model in models.items()}
    assert not live.reg.proxy.plan().changes
    for model in models.values():
        assert "" == live.reg.models.delete(model.id, actor=ADMIN).proxy_message
    assert [] == live.ours()
    assert {400} == {live.call(models[combination]) for combination in (combinations[0], combinations[-1])}


def _called_all_the_while(live: Live, models: list[Model], change: Callable[[], None]) -> Counter[int]:
    """Statuses of the calls that three threads make, one after the other, before, during and after a change."""
    is_over = Event()

    def loop(model: Model) -> Counter[int]:
        statuses = Counter([live.call(model)])
        while not is_over.is_set():
            statuses[live.call(model)] += 1
        return statuses

    with ThreadPoolExecutor(len(models)) as pool:
        calling = [pool.submit(loop, model) for model in models]
        try:
            change()
        finally:
            is_over.set()
        return sum((one.result() for one in calling), Counter())


def _replace_all(live: Live, models: list[Model]) -> None:
    """By an update each, then all of them by one sync."""
    for model in models:
        changed = live.reg.models.update(model.id, {"config": {"timeout_seconds": 30}}, version=1, actor=ADMIN)
        assert "" == changed.proxy_message
    for model in models:
        live.offline.models.update(model.id, {"model_id": "gpt-newer"}, version=2, actor=ADMIN)
    assert len(models) == len(live.reg.proxy.sync(actor=ADMIN).applied)


def test_no_call_fails_while_models_are_replaced(live: Live) -> None:
    """By updates and by a sync, while three threads call them in a loop."""
    models = [live.model() for _ in range(3)]
    statuses = _called_all_the_while(live, models, lambda: _replace_all(live, models))
    assert [200] == list(statuses)
    assert statuses[200] > 10
    live.assert_in_step()


def test_control_deleting_before_adding_fails_calls(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same loop, with a sync that deletes first."""

    models = [live.model() for _ in range(3)]
    monkeypatch.setattr(sync.Follower, "_carry_out", deleting_first)
    assert _called_all_the_while(live, models, lambda: _replace_all(live, models))[400] > 0


class Forwarder(FaultyServer):
    """Stands before a real proxy, and does harm."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__()
        self._client = client

    def answer(self, request: Request) -> Answer:
        headers = {"Authorization": request.authorization or ""}
        answer = self._client.request(
            request.method, request.path, params=request.query, json=request.body, headers=headers
        )
        return Answer(answer.status_code, answer.json())


@pytest.fixture
def forwarder(live: Live) -> Iterator[Forwarder]:
    with Forwarder(live.client) as running:
        yield running


def _drift(live: Live, missing: Model, outdated: Model, edited: Model) -> None:
    """One model that the proxy lacks, one changed, one edited by hand, and an entry whose model was deleted."""
    live.api.delete(live.id_of(missing))
    edit = {"model_id": f"gpt-{uuid4()}"}
    live.offline.models.update(outdated.id, edit, version=live.reg.models.get(outdated.id).version, actor=ADMIN)
    change = {"litellm_params": {"model": "openai/by-hand"}}
    live.client.patch(f"/model/{live.id_of(edited)}/update", json=change).raise_for_status()
    assert 200 == live.add(alias_of(str(uuid4())), {"id": str(uuid4()), "registry": live.reg._store.registry_id()})


@pytest.mark.parametrize("harm", HARMS, ids=str)
def test_one_more_sync_mends_what_harm_left(
    live: Live, forwarder: Forwarder, harm: Harm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Harm to each request on its way to the proxy: then its list, and a call to each alias, match the registry."""
    models = [live.model() for _ in range(4)]
    monkeypatch.setattr(sync, "PARALLEL", 1)
    with mortal(live.settings.replace(litellm_proxy_url=forwarder.url)) as (shaky, api):
        if harm.what == "hang":
            _make_impatient(api)
        for at in range(1, REQUESTS + 1):
            _drift(live, *models[:3])
            forwarder.requests.clear()
            _sync_harmed(shaky, api, forwarder, harm, at)
            assert len(forwarder.requests) >= at
            live.reg.proxy.sync(actor=ADMIN)
            live.assert_in_step()


def test_unharmed_it_takes_as_many_requests_as_are_harmed(live: Live, forwarder: Forwarder) -> None:
    """So that harm comes to every one of them above."""
    _drift(live, *[live.model() for _ in range(4)][:3])
    with Registry.connect(live.settings.replace(litellm_proxy_url=forwarder.url)) as registry:
        assert registry.proxy.sync(actor=ADMIN).ok
    assert REQUESTS == len(forwarder.requests)
    live.assert_in_step()


def _make_impatient(api: MortalApi) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin, "_ANSWER_SECONDS", 2)
        assert 2 == api._client.timeout.read


def _sync_harmed(shaky: Registry, api: MortalApi, forwarder: Forwarder, harm: Harm, at: int) -> None:
    api.live(at if harm.what == "die" else None, after=harm.after)
    faults: list[Fault | None] = [None] * (at - 1)
    if harm.what != "die":
        faults += [Fault(harm.what, after=harm.after)] * harm.times
    forwarder.faults = faults
    with suppress(ProxyError, Killed):
        shaky.proxy.sync(actor=ADMIN)


def test_a_ghost_is_healed(live: Live) -> None:
    """A row that LiteLLM saved and refused holds the model's id, is in no list, and gives way to the model."""
    model = live.model()
    id = live.id_of(model)
    live.api.delete(id)
    try:
        assert 500 == live.add(alias_of(model.id), {"id": id}, model="nobody/knows")
        assert ([], 400) == (live.ours(), live.call(model))
        assert live.reg.proxy.sync(actor=ADMIN).ok
        assert id == live.id_of(model)
        live.assert_in_step()
    finally:
        live.api.delete(id)  # a ghost that is not healed would be in no list


def test_two_registries_leave_each_other_alone(live: Live, tmp_path: Any, connect: Connect) -> None:
    """Each sees the other's entry as foreign, not to be adopted, and no sync touches it."""
    other = connect(live.settings.replace(database_url=f"sqlite:///{tmp_path / 'other.db'}"))
    theirs = replace(live, reg=other, offline=other)
    mine, their = live.model(), theirs.model()
    try:
        for side, foreign in ((live, their), (theirs, mine)):
            assert () == side.reg.proxy.sync(actor=ADMIN).applied
            (step,) = [step for step in side.reg.proxy.plan().steps if step.alias == alias_of(foreign.id)]
            assert ("foreign", False) == (step.reason, step.adoptable)
        live.reg.models.delete(mine.id, actor=ADMIN)
        assert 200 == theirs.call(their)
    finally:
        other.models.delete(their.id, actor=ADMIN)
    assert [] == theirs.ours()


def test_an_entry_that_no_registry_made_is_adopted(live: Live) -> None:
    """With an id of LiteLLM's own and no stamp it is foreign and stays; adopted, the model's own is left alone."""
    model = live.model()
    alias = alias_of(model.id)
    assert 200 == live.add(alias, {})
    (foreign,) = [step for step in live.reg.proxy.sync(actor=ADMIN).foreign if step.alias == alias]
    assert (True, model.name) == (foreign.adoptable, foreign.name)
    live.reg.proxy.adopt(*foreign.deletes, actor=ADMIN)
    assert [live.id_of(model)] == [entry.id for entry in live.api.entries_of(alias)]
    live.assert_in_step()
