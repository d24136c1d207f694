"""Harm that comes to a sync or a push at each of its requests: one more sync fixes it, and no caller notices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, delete

from registry import Model, Registry, Settings
from registry.errors import ProxyError
from registry.proxy import admin, sync
from registry.proxy.admin import ProxyApi, Registration
from registry.records import Deletion
from tests.conftest import STORES
from tests.support.drift import STATES, Drift, Harm, Killed, MortalApi, Watch, environment, mortal, wanted
from tests.support.factories import ADMIN, created
from tests.support.fake_proxy import FakeProxy
from tests.support.sabotage import deleting_first

REQUESTS = 20
"""What it takes to fix the drift where nothing goes wrong."""

EVERYTHING = "SYNC_FAULTS" in os.environ
KILLS = int(os.environ.get("SYNC_KILLS", "2"))
ONCE = [Harm(what, after) for what in ("die", "drop", "hang", 500, 429) for after in (False, True)]
THRICE = [replace(harm, times=3) for harm in ONCE if harm.what != "die"]  # the second try and the look fail too
SOME = [harm for harm in ONCE + THRICE if harm.what == "die" or (harm.times == 3 and harm.what in ("drop", 500))]
CASES = [
    pytest.param(store, harm, id=f"{store}-{harm}")
    for store, harms in zip(STORES, (ONCE, SOME), strict=True)
    for harm in (ONCE + THRICE if EVERYTHING else harms)
]
each_harm = pytest.mark.parametrize(("store_url", "harm"), CASES, indirect=["store_url"])


class Stage(NamedTuple):
    """Two registries on one store and one proxy: harm comes to the first, the second fixes it."""

    shaky: Registry
    api: MortalApi
    reg: Registry
    proxy: FakeProxy

    def mend(self) -> Watch:
        """One more sync, and what was seen meanwhile."""
        watch = Watch(self.proxy, wanted(self.reg, {}))
        self.reg.proxy.sync(actor=ADMIN)
        watch.look()
        return watch

    def assert_at_rest(self) -> None:
        """There is nothing left to do, and it takes one look to see that."""
        self.proxy.requests.clear()
        assert self.reg.proxy.sync(actor=ADMIN).ok
        assert ["GET"] == [request.method for request in self.proxy.requests]


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    followed: Settings,
    fake_proxy: FakeProxy,
    connect: Callable[[Settings], Registry],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    if followed.database_url.startswith("sqlite"):
        monkeypatch.setattr(sync, "PARALLEL", 1)  # on the other store requests go side by side
    with mortal(followed) as (shaky, api), ExitStack() as patched:
        harm = request.node.callspec.params.get("harm")
        if harm and harm.what == "hang":
            patch = patched.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(admin, "_ANSWER_SECONDS", 0.3)
            assert api._client.timeout.read == 0.3
        yield Stage(shaky, api, connect(followed), fake_proxy)


def harmed(stage: Stage, harm: Harm, at: int, expected: dict[str, Any], change: Callable[[], object]) -> Watch:
    """Make a change or sync with harm at one request; the process dies of nothing but `die`."""
    watch = Watch(stage.proxy, expected)
    watch.harm(harm, at)
    stage.api.live(at if harm.what == "die" else None, after=harm.after)
    if harm.what == "die":
        with pytest.raises(Killed):
            change()
    else:
        change()
        assert watch.harmed > 0 or harm.what == "hang"  # so impatient, it may have given up earlier on a slow machine
    watch.look()
    return watch


@each_harm
def test_one_more_sync_mends_what_harm_left_of_a_sync(stage: Stage, harm: Harm, raw: Engine) -> None:
    """At each of its requests: each wanted entry once and right, none orphaned, foreign ones untouched, no gap."""
    drift = Drift(stage.reg, stage.proxy, raw)

    def attempt() -> None:
        with suppress(ProxyError):
            stage.shaky.proxy.sync(actor=ADMIN)

    for at in range(1, REQUESTS + 1):
        drift.again()
        watches = [harmed(stage, harm, at, drift.right, attempt), stage.mend()]
        assert [] == [gap for watch in watches for gap in watch.gaps], at
        assert drift.is_mended, at
        stage.assert_at_rest()


def test_the_harm_is_done_to_every_request(stage: Stage, raw: Engine) -> None:
    """Unharmed, it takes as many requests as are harmed above; over all, more than 300 faults."""
    drift = Drift(stage.reg, stage.proxy, raw)
    assert REQUESTS == len(stage.mend()._proxy.requests)
    assert drift.is_mended
    assert REQUESTS * len(CASES) >= 300


OPERATIONS: dict[str, tuple[int, Callable[[Registry, Model], Model | Deletion]]] = {
    "create": (2, lambda reg, _: created(reg)),
    "update": (3, lambda reg, model: reg.models.update(model.id, {"model_id": "newer"}, version=1, actor=ADMIN)),
    "set_status": (2, lambda reg, model: reg.models.set_status(model.id, "inactive", actor=ADMIN)),
    "delete": (2, lambda reg, model: reg.models.delete(model.id, actor=ADMIN)),
}


@each_harm
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_no_change_is_lost_or_blocked_by_harm_to_its_push(stage: Stage, harm: Harm, operation: str) -> None:
    """At each request: saved, audited, and reported where the proxy did not follow; one more sync fixes it."""
    requests, change = OPERATIONS[operation]
    created(stage.reg)
    for at in range(1, requests + 1):
        model = created(stage.reg)
        before = wanted(stage.reg, {})
        kept = before if operation in ("create", "update") else {a: p for a, p in before.items() if model.id not in a}
        told: list[str] = []

        def attempt(model: Model = model, told: list[str] = told) -> None:
            told.append(change(stage.shaky, model).proxy_message)

        watch = harmed(stage, harm, at, kept, attempt)
        after = wanted(stage.reg, {})
        assert before != after
        assert f"model:{operation}" == stage.reg.audit.find(limit=1).entries[0].action
        follows, trouble = after == stage.proxy.served(), "".join(told)
        if harm.what != "die":
            noted = {row.proxy_message for row in stage.reg.models.overview()} - {""}
            assert follows or trouble, at
            assert noted == (set() if operation == "delete" else {trouble} - {""})
        if harm.times == 1 and isinstance(harm.what, int) and at > 1:
            assert (True, "") == (follows, trouble), at
        assert [] == watch.gaps + stage.mend().gaps, at
        assert after == stage.proxy.served()
        assert {(True, "")} == {(row.in_step, row.proxy_message) for row in stage.reg.models.overview()}
        stage.assert_at_rest()


def test_an_unharmed_push_takes_as_many_requests_as_are_harmed(stage: Stage) -> None:
    """So that the harm above comes to every one of them, and the proxy follows."""
    for requests, change in OPERATIONS.values():
        model = created(stage.reg)
        watch = Watch(stage.proxy, {})
        done = change(stage.reg, model)
        assert (requests, [], "") == (len(stage.proxy.requests), watch.gaps, done.proxy_message)
        assert wanted(stage.reg, {}) == stage.proxy.served()


def test_a_store_that_was_put_back_leaves_no_gap(stage: Stage, raw: Engine) -> None:
    """It has forgotten that an edited entry was being replaced: the new one is there already, and stays."""
    model = created(stage.reg)
    (row,) = stage.proxy.copied()
    stage.proxy.load([replace(row, litellm_params=row.litellm_params | {"api_base": "https://elsewhere.example"})])
    everything = wanted(stage.reg, {})
    harmed(stage, Harm("die", after=True), 2, everything, lambda: stage.shaky.proxy.sync(actor=ADMIN))
    assert 2 == len(stage.proxy.served()[f"db-{model.id}"])
    with raw.begin() as connection:
        connection.execute(delete(STATES))
    assert [] == stage.mend().gaps
    assert everything == stage.proxy.served()
    stage.assert_at_rest()


def test_control_deleting_before_adding_would_be_seen(
    stage: Stage, raw: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same watch finds gaps in a sync and in an update that delete first."""

    drift = Drift(stage.reg, stage.proxy, raw)
    monkeypatch.setattr(sync.Follower, "_carry_out", deleting_first)
    assert stage.mend().gaps
    assert drift.is_mended
    watch = Watch(stage.proxy, drift.right)
    stage.reg.models.update(drift.rekeyed.id, {"model_id": "newer"}, version=2, actor=ADMIN)
    assert watch.gaps


def test_without_a_second_try_a_ghost_would_stay(stage: Stage, raw: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: an addition that takes an error for the end of it never fixes the drift, and is seen."""

    def once(self: ProxyApi, new: Registration) -> None:
        self._create(new)

    drift = Drift(stage.reg, stage.proxy, raw)
    monkeypatch.setattr(ProxyApi, "add", once)
    stage.mend()
    stage.mend()
    assert not drift.is_mended


@pytest.mark.parametrize("at", [3 + number * (REQUESTS - 3) // KILLS for number in range(KILLS)])
def test_one_more_sync_mends_what_a_killed_process_left(stage: Stage, followed: Settings, raw: Engine, at: int) -> None:
    """The command is killed for real while this request and others are under way; its lock is free again."""
    drift = Drift(stage.reg, stage.proxy, raw)
    watch = Watch(stage.proxy, drift.right)
    stage.proxy.latency = 0.02
    process = subprocess.Popen([sys.executable, "-m", "registry", "sync"], env=environment(followed))

    def kill(number: int, method: str, path: str) -> None:
        watch(number, method, path)
        if number == at:
            process.kill()

    stage.proxy.faults = kill
    assert -signal.SIGKILL == process.wait(60)
    stage.proxy.latency = 0
    assert [] == watch.gaps + stage.mend().gaps
    assert drift.is_mended
    stage.assert_at_rest()
