"""What the library relies on of a LiteLLM proxy: the same cases on the fake one and on a real one.

The real one is named by ``LITELLM_PROXY_URL``, ``LITELLM_MASTER_KEY`` and ``TEST_PROVIDERS_PORT``. It may serve others:
the cases add entries under aliases of their own only, and take them away whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from registry.catalog.providers import PROVIDERS
from registry.records import ModelType
from tests.support.fake_proxy import FakeProxy, Params, obliging

GOOD_KEY = "good-key"
"""The one key that the stand-ins of the providers take."""


def as_the_stand_ins(params: Params, body: Params) -> tuple[int, Any]:
    """The fake proxy's providers: they answer as those that the real proxy calls."""
    if params.get("api_key") != GOOD_KEY:
        return 401, {"error": {"message": "Invalid API key"}}
    if params["model"].endswith("no-such-model"):
        return 404, {"error": {"message": "The model `no-such-model` does not exist"}}
    return obliging(params, body)


class Admin:
    """Administers a proxy under one alias, and can take away all that it added."""

    def __init__(self, client: httpx.Client, providers: str) -> None:
        self.client = client
        self.providers = providers
        self.alias = f"db-contract-{uuid4()}"
        self._ids: set[str] = set()

    def new(self, id: str | None = None, info: Params | None = None, **params: Any) -> httpx.Response:
        """Add an entry of a good OpenAI model, but for the parameters given."""
        whole = {"model": "openai/gpt-4o", "api_base": f"{self.providers}/v1", "api_key": GOOD_KEY, **params}
        named = {"id": id} if id else {}
        body = {"model_name": self.alias, "litellm_params": whole, "model_info": {**(info or {}), **named}}
        answer = self.client.post("/model/new", json=body)
        self._ids.add(id or answer.json()["model_id"])
        return answer

    def added(self, **params: Any) -> str:
        """The id of a new entry."""
        id = str(uuid4())
        assert 200 == self.new(id, **params).status_code
        return id

    def delete(self, id: str) -> httpx.Response:
        return self.client.post("/model/delete", json={"id": id})

    def update(self, id: str, change: dict[str, Any]) -> httpx.Response:
        return self.client.patch(f"/model/{id}/update", json=change)

    def listed(self, **query: str | int) -> list[dict[str, Any]]:
        """The entries of the alias."""
        found: list[dict[str, Any]] = self.client.get("/v2/model/info", params={"model": self.alias, **query}).json()[
            "data"
        ]
        return found

    def one(self, id: str) -> httpx.Response:
        return self.client.get("/model/info", params={"litellm_model_id": id})

    def chat(self, alias: str | None = None) -> httpx.Response:
        body = {"model": alias or self.alias, "messages": [{"role": "user", "content": "ping"}]}
        return self.client.post("/v1/chat/completions", json=body)

    def clean_up(self) -> None:
        for id in self._ids | {entry["model_info"]["id"] for entry in self.listed()}:
            self.delete(id)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.proxy)])
def admin(request: pytest.FixtureRequest) -> Iterator[Admin]:
    """Administers the fake proxy, then the real one."""
    if request.param == "real":
        real = request.getfixturevalue("real_proxy")
        url, master_key, port = real.url, real.master_key, real.providers_port
    else:
        fake: FakeProxy = request.getfixturevalue("fake_proxy")
        fake.upstream = as_the_stand_ins
        url, master_key, port = fake.url, fake.master_key, 9
    headers = {"Authorization": f"Bearer {master_key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        admin = Admin(client, f"http://127.0.0.1:{port}")
        yield admin
        admin.clean_up()


def test_health_needs_no_key(admin: Admin) -> None:
    """Liveness and readiness answer to anybody."""
    for path in ("/health/liveliness", "/health/readiness"):
        assert 200 == admin.client.get(path, headers={"Authorization": ""}).status_code
    assert {"status": "healthy", "db": "connected"} == admin.client.get("/health/readiness").json()


@pytest.mark.parametrize(
    ("header", "type", "text"),
    [
        ("Bearer sk-wrong", "token_not_found_in_db", "Invalid proxy server token passed"),
        ("Bearer none", "auth_error", "expected to start with 'sk-'"),
        ("", "auth_error", "No api key passed in"),
    ],
)
def test_a_wrong_master_key_is_refused(admin: Admin, header: str, type: str, text: str) -> None:
    """For reads, writes and calls alike, with a text that distinguishes it from a wrong key at the provider."""
    for method, path in (("GET", "/model/info"), ("POST", "/model/delete"), ("POST", "/v1/chat/completions")):
        answer = admin.client.request(method, path, json={"id": "x"}, headers={"Authorization": header})
        error = answer.json()["error"]
        assert (401, type, "401") == (answer.status_code, error["type"], error["code"])
        assert text in error["message"]
        assert "model group" not in error["message"]


def test_an_added_entry_keeps_our_id_and_is_listed_without_its_key(admin: Admin) -> None:
    """What else we say of it in ``model_info`` comes back as it was, nested values too."""
    id, ours = str(uuid4()), {"registry": "r-1", "fingerprint": {"digest": "00ff", "epoch": 3}, "mode": "chat"}
    answer = admin.new(id, ours, temperature=0, api_version="v1")
    assert (200, id) == (answer.status_code, answer.json()["model_id"])
    assert GOOD_KEY not in answer.text
    for listing in (admin.one(id), admin.client.get("/model/info"), admin.client.get("/v2/model/info?size=1000")):
        assert 200 == listing.status_code
        (entry,) = [entry for entry in listing.json()["data"] if entry["model_name"] == admin.alias]
        params, info = entry["litellm_params"], entry["model_info"]
        assert {"id": id, "db_model": True, "blocked": False, **ours}.items() <= info.items()
        assert "api_key" not in params
        assert ("openai/gpt-4o", f"{admin.providers}/v1", 0, "v1") == (
            params["model"],
            params["api_base"],
            params["temperature"],
            params["api_version"],
        )
        assert params["use_in_pass_through"] is False
        assert GOOD_KEY not in listing.text


def test_without_an_id_one_is_made(admin: Admin) -> None:
    """It is in the answer, and is the one to delete by."""
    id = admin.new().json()["model_id"]
    assert [id] == [entry["model_info"]["id"] for entry in admin.listed()]


def test_an_id_can_be_added_once(admin: Admin) -> None:
    """The second time is an error, and the first entry stays."""
    id = admin.added(model="openai/gpt-4o")
    again = admin.new(id, model="openai/gpt-4o-mini")
    assert 500 == again.status_code
    assert "Failed to add model to db" in again.json()["error"]["message"]
    assert ["openai/gpt-4o"] == [entry["litellm_params"]["model"] for entry in admin.listed()]


def test_an_alias_may_have_several_entries(admin: Admin) -> None:
    """All of them are listed, page by page, until each is deleted by its own id."""
    ids = {admin.added(), admin.added()}
    assert ids == {entry["model_info"]["id"] for entry in admin.listed()}
    page = admin.client.get("/v2/model/info", params={"model": admin.alias, "size": 1, "page": 2}).json()
    assert (1, 2, 2, 2, 1) == (
        len(page["data"]),
        page["total_count"],
        page["current_page"],
        page["total_pages"],
        page["size"],
    )
    gone = ids.pop()
    assert 200 == admin.delete(gone).status_code
    assert ids == {entry["model_info"]["id"] for entry in admin.listed()}
    assert 200 == admin.chat().status_code


def test_an_alias_is_listed_by_its_whole_name_or_searched_by_a_part(admin: Admin) -> None:
    """An unknown name is an empty list, an unknown id an error."""
    id = admin.added()
    assert [] == admin.listed(model=admin.alias[:-1])
    assert [] == admin.listed(page=2)
    assert [] == admin.listed(modelId=str(uuid4()))
    assert [id] == [entry["model_info"]["id"] for entry in admin.listed(modelId=id)]
    found = admin.client.get("/v2/model/info", params={"search": admin.alias[:-1]}).json()["data"]
    assert [id] == [entry["model_info"]["id"] for entry in found]
    assert 400 == admin.one(str(uuid4())).status_code


@pytest.mark.parametrize("model", ["nobody/model", "bare-name-of-no-model"])
def test_a_refused_model_leaves_a_ghost(admin: Admin, model: str) -> None:
    """An error, yet a row is kept: invisible, it holds its id until it is deleted."""
    id = str(uuid4())
    assert 500 == admin.new(id, model=model).status_code
    assert [] == admin.listed()
    assert 400 == admin.one(id).status_code
    assert 400 == admin.chat().status_code
    again = admin.new(id)
    assert 500 == again.status_code
    assert "Failed to add model to db" in again.json()["error"]["message"]
    assert 200 == admin.delete(id).status_code
    assert 200 == admin.new(id).status_code
    assert 200 == admin.chat().status_code


def test_deleting_what_is_not_there_is_an_error(admin: Admin) -> None:
    """An unknown id, one that is deleted already, or an alias."""
    id = admin.added()
    assert 200 == admin.delete(id).status_code
    for unknown in (id, str(uuid4()), admin.alias):
        answer = admin.delete(unknown)
        assert 400 == answer.status_code
        assert f"Model with id={unknown} not found in db" in answer.json()["error"]["message"]


def test_incomplete_requests_are_refused(admin: Admin) -> None:
    """With the path of what is missing."""
    answer = admin.client.post("/model/new", json={"model_name": admin.alias, "litellm_params": {}})
    assert (422, ["body", "litellm_params", "model"]) == (answer.status_code, answer.json()["detail"][0]["loc"])
    answer = admin.client.post("/model/delete", json={})
    assert (422, ["body", "id"]) == (answer.status_code, answer.json()["detail"][0]["loc"])


def test_an_update_merges(admin: Admin) -> None:
    """As an edit by hand on the proxy: what is not given stays, null does not remove, and the listing shows it."""
    id = admin.added(temperature=0.5, info={"registry": "r-1"})
    change = {"litellm_params": {"model": "openai/gpt-4o-mini", "temperature": None}, "model_info": {"note": "by hand"}}
    assert 200 == admin.update(id, change).status_code
    (entry,) = admin.listed()
    params, info = entry["litellm_params"], entry["model_info"]
    assert ("openai/gpt-4o-mini", 0.5) == (params["model"], params["temperature"])
    assert (id, "r-1", "by hand") == (info["id"], info["registry"], info["note"])
    assert 404 == admin.update(str(uuid4()), change).status_code


def test_a_key_changed_on_the_proxy_is_used_but_not_seen(admin: Admin) -> None:
    """So that no listing can show whether the key there is still ours."""
    id = admin.added()
    before = admin.listed()
    assert 200 == admin.update(id, {"litellm_params": {"api_key": "another-key"}}).status_code
    assert before == admin.listed()
    assert 401 == admin.chat().status_code


def test_a_blocked_entry_is_listed_as_blocked_and_not_served(admin: Admin) -> None:
    """Until it is unblocked."""
    id = admin.added()
    admin.update(id, {"blocked": True})
    assert [True] == [entry["model_info"]["blocked"] for entry in admin.listed()]
    assert 403 == admin.chat().status_code
    admin.update(id, {"blocked": False})
    assert 200 == admin.chat().status_code


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_an_alias_that_is_not_registered_cannot_be_called(admin: Admin, prefix: str) -> None:
    """For chat and embeddings, with ``/v1`` and without, with a text that says so."""
    for path, body in (("/chat/completions", {"messages": []}), ("/embeddings", {"input": "x"})):
        answer = admin.client.post(prefix + path, json={"model": admin.alias, **body})
        assert 400 == answer.status_code
        assert f"Invalid model name passed in model={admin.alias}." in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("params", "status", "text"),
    [
        ({"api_key": "wrong-key"}, 401, "litellm.AuthenticationError"),
        ({"model": "openai/no-such-model"}, 404, "litellm.NotFoundError"),
    ],
    ids=["key", "model"],
)
def test_what_the_provider_refuses_says_model_group(
    admin: Admin, params: dict[str, Any], status: int, text: str
) -> None:
    """Which distinguishes it from what the proxy itself refuses."""
    admin.added(**params)
    answer = admin.chat()
    error = answer.json()["error"]
    assert (status, str(status)) == (answer.status_code, error["code"])
    assert text in error["message"]
    assert f"model group '{admin.alias}' failed" in error["message"]


def test_calls_are_answered_in_openai_format(admin: Admin) -> None:
    """Under the alias; an embedding has one vector for each input."""
    admin.added()
    chat = admin.chat().json()
    assert (admin.alias, "pong") == (chat["model"], chat["choices"][0]["message"]["content"])
    body = {"model": admin.alias, "input": ["one", "two"]}
    embedded = admin.client.post("/v1/embeddings", json=body).json()
    assert (admin.alias, "list", [0, 1]) == (
        embedded["model"],
        embedded["object"],
        [vector["index"] for vector in embedded["data"]],
    )
    assert {4} == {len(vector["embedding"]) for vector in embedded["data"]}


def test_every_provider_of_the_catalogue_is_known(admin: Admin) -> None:
    """None of them becomes a ghost."""
    for provider in PROVIDERS.values():
        for kind in set(provider.types) - {ModelType.NER}:
            admin.added(**provider.litellm_params(kind, "some-model", "https://host.invalid", {}, None))
    assert sum(len(set(provider.types) - {ModelType.NER}) for provider in PROVIDERS.values()) == len(admin.listed())
