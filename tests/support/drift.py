"""A proxy that has drifted from its registry in every way at once, and faults that occur while that is mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal
from uuid import uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import Engine, delete, insert, select

from registry import Model, Registry, Settings, Status
from registry.keys.keyring import Keyring
from registry.keys.vault import Vault
from registry.proxy.admin import ProxyApi
from registry.store.store import Store
from registry.store.tables import ModelStateRow
from tests.support.factories import ADMIN, CANARY, created, embedding, generation, ner
from tests.support.fake_proxy import MASTER_KEY, FakeProxy, Params, Row
from tests.support.faulty_server import Fault

NEW_KEY = CANARY + "2"
OPENAI = "https://api.openai.com/v1"
STATES = ModelStateRow.__table__


@dataclass(frozen=True, slots=True)
class Harm:
    """What happens at one request, before or after it takes effect.

    ``die`` ends the process that sends it; all else the proxy does, ``times`` requests in a row.
    """

    what: Literal["drop", "hang", "die"] | int
    after: bool
    times: int = 1

    def __str__(self) -> str:
        return f"{self.what}-{'after' if self.after else 'before'}" + (f"-x{self.times}" if self.times > 1 else "")


class Killed(BaseException):
    """In the place of a process that ends."""


class MortalApi(ProxyApi):
    """A proxy's administration whose process dies at a request that the test chooses."""

    def __init__(self, url: str, key: SecretStr) -> None:
        super().__init__(url, key)
        self._counting = Lock()
        self.live()

    def live(self, until: int | None = None, *, after: bool = False) -> None:
        """From now on, die at this request, before or after it is sent; never, if none is given."""
        self.sent, self._until, self._after = 0, until, after

    def _sent(self, send: Callable[[httpx.Client], httpx.Response], is_done: Any = None) -> httpx.Response:
        with self._counting:
            self.sent += 1
            number = self.sent
        if self._until is not None and number >= self._until + self._after:
            raise Killed
        answer = super()._sent(send, is_done)
        if self._until == number:
            raise Killed
        return answer


@contextmanager
def mortal(settings: Settings) -> Iterator[tuple[Registry, MortalApi]]:
    """A registry on the store and the proxy, and the means to end it."""
    api = MortalApi(settings.litellm_proxy_url or "", settings.litellm_master_key or SecretStr(""))
    vault = Vault(Keyring([key.get_secret_value() for key in settings.fernet_keys]))
    with Registry(settings, Store(settings.database_url), vault, api=api) as registry:
        yield registry, api


def environment(settings: Settings) -> dict[str, str]:
    """What the command line has to be given to use the same store and proxy."""
    return os.environ | {
        "REGISTRY_DATABASE_URL": settings.database_url,
        "REGISTRY_FERNET_KEYS": ",".join(key.get_secret_value() for key in settings.fernet_keys),
        "LITELLM_PROXY_URL": settings.litellm_proxy_url or "",
        "LITELLM_MASTER_KEY": MASTER_KEY,
    }


class Watch:
    """Looks before each request whether every alias that was served still is, and causes the test's fault.

    Attributes:
        gaps: the numbers of the requests before which an alias was not served, and the aliases.
        harmed: how many requests came to harm.
    """

    def __init__(self, proxy: FakeProxy, wanted: Mapping[str, object]) -> None:
        self._proxy = proxy
        self._served = wanted.keys() & proxy.served().keys()
        self._harm, self._at = Harm("die", False), 0
        self.gaps: list[tuple[int, set[str]]] = []
        self.harmed = 0
        proxy.requests.clear()
        proxy.faults = self

    def harm(self, harm: Harm, at: int) -> None:
        """Do this from the request of this number on."""
        self._harm, self._at = harm, at

    def __call__(self, number: int, _method: str, _path: str) -> Fault | None:
        self.look(number)
        if self._harm.what == "die" or not self._at <= number < self._at + self._harm.times:
            return None
        self.harmed += 1
        return Fault(self._harm.what, after=self._harm.after)

    def look(self, number: int = 0) -> None:
        """Note what is not served now."""
        missing = self._served - self._proxy.served().keys()
        if missing:
            self.gaps.append((number, missing))


class Drift:
    """Models, and a proxy that has each of them differently; `again` brings that back after it was mended.

    Attributes:
        right: what the proxy should serve, per alias: what the models say, and what is foreign.
    """

    def __init__(self, reg: Registry, proxy: FakeProxy, raw: Engine) -> None:
        self._proxy, self._raw = proxy, raw
        self._changed_while_down(reg)
        self._changed_by_hand(reg)
        self.right = wanted(reg, {self.rekeyed.id: NEW_KEY})
        for alias, params in self._foreign.items():
            self.right.setdefault(alias, []).append(params)
        self._rows = proxy.copied()
        with raw.connect() as connection:
            self._states = [dict(row) for row in connection.execute(select(STATES)).mappings()]

    def again(self) -> None:
        """Everything as it was at first: the proxy's rows, and what the registry has noted of it."""
        self._proxy.load(self._rows)
        with self._raw.begin() as connection:
            connection.execute(delete(STATES))
            connection.execute(insert(STATES), self._states)

    @property
    def is_mended(self) -> bool:
        """Whether the proxy serves what it should, each alias as often as it should, and has no other row."""
        served = self._proxy.served()
        same = {alias: sorted(params, key=str) for alias, params in served.items()} == {
            alias: sorted(params, key=str) for alias, params in self.right.items()
        }
        return same and len(self._proxy.copied()) == sum(len(params) for params in served.values())

    def _changed_while_down(self, reg: Registry) -> None:
        builders = (generation, embedding, ner)
        self.in_step, old, gone, idle = (created(reg, build()) for build in (*builders, generation))
        self.rekeyed = created(reg)
        self._proxy.stop()
        for build in builders:
            created(reg, build())
        reg.models.update(old.id, {"model_id": "gpt-newer"}, version=1, actor=ADMIN)
        reg.models.update(self.rekeyed.id, {"api_key": NEW_KEY}, version=1, actor=ADMIN)
        reg.models.delete(gone.id, actor=ADMIN)
        reg.models.set_status(idle.id, "inactive", actor=ADMIN)
        self._proxy.start()

    def _changed_by_hand(self, reg: Registry) -> None:
        edited, blocked, doubled, ghost, kept = (created(reg) for _ in range(5))
        reg.models.set_status(kept.id, "deprecated", actor=ADMIN)
        rows = {row.model_name: row for row in self._proxy.copied()}
        row_of = {model.id: rows[f"db-{model.id}"] for model in (self.in_step, edited, blocked, doubled, ghost)}
        row_of[edited.id].litellm_params["api_base"] = "https://elsewhere.example"
        row_of[blocked.id].blocked = True
        row_of[ghost.id].litellm_params["model"] = "nobody/knows"
        more = [_copy(row_of[doubled.id]), _copy(row_of[doubled.id], "db-test-5f000000-left")]
        foreign = [_copy(row_of[self.in_step.id], registry=None), _copy(row_of[doubled.id], f"db-{uuid4()}", None)]
        foreign += [_copy(row_of[doubled.id], f"db-{uuid4()}", "another"), _copy(row_of[doubled.id], "gpt-4o", None)]
        self._foreign = {row.model_name: row.litellm_params for row in foreign}
        self._proxy.load([*rows.values(), *more, *foreign])


def wanted(reg: Registry, keys: Mapping[str, str]) -> dict[str, list[Params]]:
    """What a proxy should serve of these models, all of OpenAI and, but for those given, with the canary key."""
    return {
        f"db-{model.id}": [_params(model, keys.get(model.id, CANARY))]
        for model in reg.models.find()
        if model.status != Status.INACTIVE
    }


def _params(model: Model, key: str) -> Params:
    timeout = model.config.get("timeout_seconds")
    params: Params = {"model": f"openai/{model.model_id}", "api_base": OPENAI, "api_key": key}
    return params | ({"timeout": timeout} if timeout else {})


def _copy(row: Row, alias: str = "", registry: str | None = "") -> Row:
    """The same under another id; with another alias or stamp where one is given, None for no stamp."""
    info = deepcopy(row.model_info) | ({"registry": registry} if registry else {})
    if registry is None:
        del info["registry"]
    return replace(row, id=str(uuid4()), model_name=alias or row.model_name, model_info=info)
