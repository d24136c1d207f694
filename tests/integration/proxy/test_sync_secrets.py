"""No failure of a sync reveals a key, not even where the proxy quotes what it was sent."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from registry import Registry, Settings
from registry.errors import ProxyError
from registry.proxy import admin
from registry.store.tables import Base
from tests.support.factories import ADMIN, CANARY, created, generation
from tests.support.fake_proxy import MASTER_KEY, FakeProxy
from tests.support.faulty_server import Answer, Request

HEX_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""As Azure's: nothing about it says that it is a key."""

STATUSES = (301, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503)


class TellingProxy(FakeProxy):
    """A proxy that answers every change with an error that quotes all it was sent."""

    status = 0

    def answer(self, request: Request) -> Answer:
        if self.status and request.method == "POST":
            return Answer(self.status, {"error": {"message": f"Refused: {json.dumps(request._asdict())}"}})
        return super().answer(request)


@pytest.fixture
def telling() -> Iterator[TellingProxy]:
    with TellingProxy() as running:
        yield running


@pytest.fixture
def reg(settings: Settings, telling: TellingProxy, connect: Callable[[Settings], Registry]) -> Registry:
    return connect(settings.replace(litellm_proxy_url=telling.url, litellm_master_key=MASTER_KEY))


def told_by(reg: Registry, telling: TellingProxy, raw: Engine, logged: pytest.LogCaptureFixture) -> str:
    """All that is said, logged and kept while pushes, a sync, an adoption and a test's alias fail at each status."""
    kept, renewed = created(reg), created(reg, generation(api_key=HEX_KEY))
    (foreign, *_) = telling.copied()
    telling.load([*telling.copied(), replace(foreign, id="by-hand", model_info={})])
    said: list[Any] = []
    for telling.status in STATUSES:
        said += [created(reg, generation(api_key=key)).proxy_message for key in (CANARY, HEX_KEY)]
        model = reg.models.get(renewed.id)
        edit = {"model_id": f"m-{telling.status}"}
        said.append(reg.models.update(model.id, edit, version=model.version, actor=ADMIN).proxy_message)
        said += [reg.proxy.plan(), reg.proxy.sync(actor=ADMIN)]
        said += [_failure(lambda: reg.proxy.adopt("by-hand", actor=ADMIN)), _failure(lambda: _use_temporary(reg))]
    said += [reg.models.overview(), reg.models.get(kept.id), reg.audit.find(limit=500)]
    with raw.connect() as connection:
        said += [connection.execute(text(f"SELECT * FROM {table}")).all() for table in Base.metadata.tables]
    return f"{said}{logged.text}{[record.__dict__ for record in logged.records]}"


def _use_temporary(reg: Registry) -> None:
    params = {"model": "openai/gpt-4o", "api_key": CANARY}
    with reg._follower.temporary(params, "chat"):  # type: ignore[union-attr]  # it has a proxy
        raise AssertionError


def _failure(call: Callable[[], object]) -> str:
    """An error as any log would show it: its traceback, and all its chain."""
    with pytest.raises(ProxyError) as caught:
        call()
    told, link = "".join(traceback.format_exception(caught.value)), caught.value
    while isinstance(link, BaseException):
        told += f"{link!r}{vars(link)}"
        link = link.__cause__ or link.__context__  # type: ignore[assignment]  # the chain is of any exceptions
    return told


def test_no_failing_proxy_makes_us_tell_a_key(
    reg: Registry, telling: TellingProxy, raw: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it answers and quotes: no message, report, error, row, audit entry or log record, at any level."""
    caplog.set_level(logging.DEBUG)
    told = told_by(reg, telling, raw, caplog)
    assert "LiteLLM proxy" in told
    assert [] == [key for key in (CANARY, HEX_KEY, MASTER_KEY) if key in told]


@pytest.mark.parametrize("key", ["sk-mäster-key", "sk-master\nkey", "sk–master-key"], ids=ascii)
def test_a_master_key_that_cannot_be_sent_blocks_no_change(
    settings: Settings, telling: TellingProxy, connect: Callable[[Settings], Registry], key: str
) -> None:
    """Pasted with a dash or a line too much: models are saved, the message names the setting, and nothing the key."""
    reg = connect(settings.replace(litellm_proxy_url=telling.url, litellm_master_key=key))
    model = created(reg)
    assert model == reg.models.find()[0]
    assert "LITELLM_MASTER_KEY" in model.proxy_message
    told = _failure(lambda: reg.proxy.sync(actor=ADMIN))
    assert [] == [part for part in (key, key.partition("\n")[0]) if part in told]
    assert [] == telling.requests


def test_control_a_quoted_answer_would_be_seen(
    reg: Registry, telling: TellingProxy, raw: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: an error that repeats what the proxy said is found by the same search."""

    def quoting(self: admin.ProxyApi, send: Callable[[Any], Any], is_done: object = None) -> Any:
        answer = send(self._client)
        if not answer.is_success:
            raise ProxyError(answer.text)
        return answer

    monkeypatch.setattr(admin.ProxyApi, "_sent", quoting)
    told = told_by(reg, telling, raw, caplog)
    assert [CANARY, HEX_KEY, MASTER_KEY] == [key for key in (CANARY, HEX_KEY, MASTER_KEY) if key in told]
