"""Many at once: what the locks and constraints of the real stores hold, and what happens without them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, text

from bench.hammer import dangling, hammer_defaults, race_delete_against_bind
from registry import Registry, Settings, errors
from registry.store.store import Store
from tests.support.factories import ADMIN, created, generation
from tests.support.sabotage import remove_constraints, unguarded

SECONDS = float(os.environ.get("HAMMER_SECONDS", "2"))
ROUNDS = int(os.environ.get("HAMMER_ROUNDS", "200"))
CROWD = 8


def at_once(registries: list[Registry], call: Callable[[Registry, int], Any]) -> list[Any]:
    """Make all registries do the same at the same moment; gives their results or errors."""
    barrier = Barrier(len(registries))

    def one(number: int) -> Any:
        barrier.wait()
        try:
            return call(registries[number], number)
        except errors.RegistryError as error:
            return error

    with ThreadPoolExecutor(len(registries)) as pool:
        return list(pool.map(one, range(len(registries))))


@pytest.fixture
def crowd(settings: Settings, connect: Callable[[Settings], Registry]) -> list[Registry]:
    """Eight registries on one store, each with connections of its own."""
    return [connect(settings) for _ in range(CROWD)]


def test_there_is_always_exactly_one_default(reg: Registry, settings: Settings) -> None:
    """16 threads in 4 processes set the default: no call fails, and every reader sees one, never two or none."""
    created(reg, generation(is_default=True))
    result = hammer_defaults(settings, SECONDS)
    assert {} == result.errors
    assert result.violations == 0
    assert result.samples > 0
    assert reg.audit.verify().ok


def test_without_key_and_lock_there_would_be_two_defaults(reg: Registry, raw: Engine, settings: Settings) -> None:
    """The control: the same hammer, on a store whose writers do not take turns and whose table has lost its key."""
    remove_constraints(raw, "defaults")
    assert any(_two_defaults_seen(raw, settings) for _ in range(10))


def _two_defaults_seen(raw: Engine, settings: Settings) -> bool:
    """Whether all who choose the first default at the same moment choose more than one."""
    with raw.begin() as connection:
        connection.execute(text("DELETE FROM defaults"))
    return hammer_defaults(settings, 0.3, unguarded).violations > 0


def test_a_deleted_model_is_bound_to_no_knowledge_base(reg: Registry, settings: Settings) -> None:
    """Deleting races against binding: one side wins, the other gets a typed error, and nothing dangles."""
    outcomes = race_delete_against_bind(settings, ROUNDS)
    assert {("ok", "NotFoundError"), ("InUseError", "ok")} >= set(outcomes)
    assert ROUNDS == outcomes.total()
    assert dangling(settings) == 0


def test_without_foreign_key_and_lock_bindings_would_dangle(reg: Registry, raw: Engine, settings: Settings) -> None:
    """The control: the same race, without the lock and with the foreign keys gone."""
    remove_constraints(raw, "bindings")
    race_delete_against_bind(settings, 100, unguarded)
    assert dangling(settings) > 0


def test_of_two_models_with_one_name_one_is_registered(crowd: list[Registry]) -> None:
    """All others get AlreadyExistsError."""
    spec = generation()
    results = at_once(crowd, lambda registry, _: registry.models.create(spec, actor=ADMIN))
    assert sorted(["Model", *["AlreadyExistsError"] * (CROWD - 1)], key=str) == sorted(
        (type(result).__name__ for result in results), key=str
    )


def test_of_two_edits_of_one_version_one_is_saved(reg: Registry, crowd: list[Registry]) -> None:
    """All others get StaleVersionError: no one's change is overwritten unseen."""
    model = created(reg)
    results = at_once(
        crowd,
        lambda registry, number: registry.models.update(model.id, {"name": f"Edit {number}"}, version=1, actor=ADMIN),
    )
    names = [result.name for result in results if not isinstance(result, errors.RegistryError)]
    assert [reg.models.get(model.id).name] == names
    assert {"StaleVersionError"} == {
        type(result).__name__ for result in results if isinstance(result, errors.RegistryError)
    }


def test_the_audit_log_has_no_gap_when_many_write(reg: Registry, crowd: list[Registry]) -> None:
    """Numbers follow each other, hashes chain, and every change has its entry."""
    at_once(crowd, lambda registry, _: [created(registry) for _ in range(5)])
    entries = reg.audit.find(limit=500).entries
    assert list(range(CROWD * 5, 0, -1)) == [entry.seq for entry in entries]
    assert reg.audit.verify().ok


def test_several_may_set_up_one_store(empty_url: str) -> None:
    """The second caller finds it done."""
    stores = [Store(empty_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Store.setup, stores))
    stores[0].check()
    for store in stores:
        store.close()
