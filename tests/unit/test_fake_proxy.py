"""The fake proxy's faults do what they are named after; what else it does is in integration/test_proxy_contract."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.support.factories import CANARY
from tests.support.fake_proxy import COOLDOWN, FakeProxy
from tests.support.faulty_server import Fault

ENTRY = {
    "model_name": "db-one",
    "litellm_params": {"model": "openai/gpt-4o", "api_key": CANARY},
    "model_info": {"id": "one"},
}
CALL = {"model": "db-one", "messages": [{"role": "user", "content": "ping"}]}


@pytest.fixture
def client(fake_proxy: FakeProxy) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {fake_proxy.master_key}"}
    with httpx.Client(base_url=fake_proxy.url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", ["drop", "hang", 500, 429])
def test_a_fault_loses_the_answer_before_or_after_the_effect(
    fake_proxy: FakeProxy, client: httpx.Client, what: Any, after: bool
) -> None:
    """The client sees the same either way; only the proxy's rows differ."""
    fake_proxy.faults = [Fault(what, after=after)]
    if isinstance(what, int):
        assert what == client.post("/model/new", json=ENTRY).status_code
    else:
        expected = httpx.ReadTimeout if what == "hang" else httpx.RemoteProtocolError
        with pytest.raises(expected):
            client.post("/model/new", json=ENTRY, timeout=0.2 if what == "hang" else 30)
    fake_proxy.stop()  # which waits for what is under way
    fake_proxy.start()
    assert after == (fake_proxy.entry("one") is not None)
    assert 200 == client.get("/model/info").status_code, "the fault was used up"


def test_faults_may_depend_on_the_request(fake_proxy: FakeProxy, client: httpx.Client) -> None:
    """A function is asked at each request, with its number, method and path."""
    fake_proxy.faults = lambda number, method, path: Fault(503) if (number, path) == (2, "/model/info") else None
    assert [200, 503, 200] == [client.get("/model/info").status_code for _ in range(3)]


def test_a_login_page_may_come_in_place_of_the_answer(fake_proxy: FakeProxy, client: httpx.Client) -> None:
    """As from a gateway in front of the proxy."""
    fake_proxy.faults = [Fault(200, text="<html>Sign in</html>")]
    answer = client.get("/model/info")
    assert (200, "text/html", "<html>Sign in</html>") == (
        answer.status_code,
        answer.headers["content-type"],
        answer.text,
    )


def test_stopping_ends_hanging_requests_and_starting_finds_the_rows_again(
    fake_proxy: FakeProxy, client: httpx.Client
) -> None:
    """As a proxy that is restarted while a client waits."""
    client.post("/model/new", json=ENTRY)
    arrived = Event()
    failed: list[Exception] = []

    def hang(_number: int, _method: str, _path: str) -> Fault:
        arrived.set()
        return Fault("hang")

    def wait() -> None:
        try:
            httpx.get(f"{fake_proxy.url}/model/info", timeout=30, trust_env=False)
        except httpx.TransportError as error:
            failed.append(error)

    waiting = Thread(target=wait)
    fake_proxy.faults = hang
    waiting.start()
    arrived.wait()
    fake_proxy.stop()
    waiting.join()
    assert [httpx.RemoteProtocolError] == [type(error) for error in failed]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{fake_proxy.url}/health/liveliness", trust_env=False)
    fake_proxy.faults = ()
    fake_proxy.start()
    assert {"db-one"} == fake_proxy.served().keys()
    assert ["db-one"] == [entry["model_name"] for entry in client.get("/model/info").json()["data"]]


def test_reads_and_writes_are_counted(fake_proxy: FakeProxy, client: httpx.Client) -> None:
    """Failed ones too; a call of a model is neither."""
    client.get("/v2/model/info", params={"model": "db-one"})
    client.post("/model/new", json=ENTRY)
    client.post("/model/delete", json={"id": "unknown"})
    client.post("/v1/chat/completions", json=CALL)
    assert ["/v2/model/info"] == [request.path for request in fake_proxy.reads]
    assert ["/model/new", "/model/delete"] == [request.path for request in fake_proxy.writes]
    assert ENTRY == fake_proxy.writes[0].body


def test_a_deployment_cools_down_after_a_wrong_key(fake_proxy: FakeProxy, client: httpx.Client) -> None:
    """Deleting and adding it again under the same id does not help; under a new id it answers at once."""
    fake_proxy.cooldowns = True
    fake_proxy.upstream = lambda params, body: (401, {"error": {"message": "Invalid API key"}})
    client.post("/model/new", json=ENTRY)
    assert 401 == client.post("/v1/chat/completions", json=CALL).status_code

    fake_proxy.upstream = FakeProxy().upstream
    client.post("/model/delete", json={"id": "one"})
    client.post("/model/new", json=ENTRY)
    benched = client.post("/v1/chat/completions", json=CALL)
    assert (429, str(COOLDOWN)) == (benched.status_code, benched.headers["retry-after"])
    assert "Try again in 5 seconds" in benched.json()["error"]["message"]

    client.post("/model/new", json={**ENTRY, "model_info": {"id": "two"}})
    assert 200 == client.post("/v1/chat/completions", json=CALL).status_code
    client.post("/model/delete", json={"id": "two"})
    fake_proxy.now += COOLDOWN
    assert 200 == client.post("/v1/chat/completions", json=CALL).status_code
