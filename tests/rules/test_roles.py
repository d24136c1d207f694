"""Who may do what: the rules are read off the code, and every method of every part has one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pandas as pd
import pytest

from registry import Actor, Registry, Role, Settings, errors
from registry.audit.audit import Audit
from registry.models.knowledge_bases import KnowledgeBases
from registry.models.models import Models
from registry.proxy.proxy import Proxy
from tests.support.factories import (
    ADMIN,
    AUDITOR,
    KEY_A,
    SERVICE,
    VIEWER,
    bound,
    created,
    embedding,
    generation,
    ollama,
)
from tests.support.fake_proxy import FakeProxy

PARTS: dict[str, type[Any]] = {
    "": Registry,
    "models": Models,
    "knowledge_bases": KnowledgeBases,
    "proxy": Proxy,
    "audit": Audit,
}
FREE = {"acting_as", "close", "connect", "warm_up"}
ID = UUID(int=7)
ACTORS = (VIEWER, AUDITOR, ADMIN, SERVICE)


@dataclass
class Things:
    """What the calls below are made on."""

    used: str
    free: str
    base: str
    entry: str


EVERYONE, READERS, ADMINS = frozenset(Role), frozenset({Role.AUDITOR, Role.ADMIN}), frozenset({Role.ADMIN})
KB_READERS, KB_WRITERS = READERS | {Role.SERVICE}, ADMINS | {Role.SERVICE}

Call = Callable[[Registry, Things], object]
TABLE: dict[str, tuple[frozenset[Role], Call]] = {
    "key_status": (READERS, lambda reg, _: reg.key_status()),
    "key_uses": (READERS, lambda reg, _: reg.key_uses()),
    "rotate_keys": (ADMINS, lambda reg, _: reg.rotate_keys()),
    "resolve": (KB_WRITERS, lambda reg, on: reg.resolve(on.used)),
    "models.get": (EVERYONE, lambda reg, on: reg.models.get(on.used)),
    "models.find": (EVERYONE, lambda reg, _: reg.models.find()),
    "models.overview": (EVERYONE, lambda reg, _: reg.models.overview()),
    "models.counts": (EVERYONE, lambda reg, _: reg.models.counts()),
    "models.default": (EVERYONE, lambda reg, _: reg.models.default("ner")),
    "models.defaults": (EVERYONE, lambda reg, _: reg.models.defaults()),
    "models.reassignment": (READERS, lambda reg, on: reg.models.reassignment(on.used)),
    "models.create": (ADMINS, lambda reg, _: reg.models.create(generation())),
    "models.update": (ADMINS, lambda reg, on: reg.models.update(on.used, {"name": "New"}, version=1)),
    "models.set_status": (ADMINS, lambda reg, on: reg.models.set_status(on.used, "deprecated")),
    "models.set_default": (ADMINS, lambda reg, on: reg.models.set_default(on.used)),
    "models.clear_default": (ADMINS, lambda reg, _: reg.models.clear_default("embedding")),
    "models.test": (ADMINS, lambda reg, _: reg.models.test(ollama(api_endpoint="http://127.0.0.1:1"))),
    "models.delete": (ADMINS, lambda reg, on: reg.models.delete(on.free)),
    "knowledge_bases.get": (KB_READERS, lambda reg, on: reg.knowledge_bases.get(on.base)),
    "knowledge_bases.find": (KB_READERS, lambda reg, _: reg.knowledge_bases.find()),
    "knowledge_bases.using": (KB_READERS, lambda reg, on: reg.knowledge_bases.using(on.used)),
    "knowledge_bases.bind": (KB_WRITERS, lambda reg, on: reg.knowledge_bases.bind("new", name="New", ner=None)),
    "knowledge_bases.remove": (KB_WRITERS, lambda reg, on: reg.knowledge_bases.remove(on.base)),
    "proxy.plan": (READERS, lambda reg, _: reg.proxy.plan()),
    "proxy.sync": (ADMINS, lambda reg, _: reg.proxy.sync()),
    "proxy.adopt": (ADMINS, lambda reg, on: reg.proxy.adopt(on.entry)),
    "audit.find": (READERS, lambda reg, _: reg.audit.find()),
    "audit.actors": (READERS, lambda reg, _: reg.audit.actors()),
    "audit.verify": (READERS, lambda reg, _: reg.audit.verify()),
}


def public_methods() -> dict[str, Any]:
    """Every public method of the parts, as ``part.method``."""
    return {
        f"{part}.{name}".removeprefix("."): method
        for part, kind in PARTS.items()
        for name, method in inspect.getmembers(kind, callable)
        if not name.startswith("_")
    }


def unruled(methods: dict[str, Any]) -> set[str]:
    """Those for which nothing says who may call them."""
    return {name for name, method in methods.items() if not getattr(method, "__roles__", None)}


def test_every_public_method_has_a_rule() -> None:
    """A method that is forgotten is one that everyone may call; the exceptions read and change nothing."""
    assert FREE == unruled(public_methods())


def test_control_a_method_without_a_rule_is_seen() -> None:
    """The control: the same search finds a method whose decorator was taken off."""
    methods = {"models.create": inspect.unwrap(Models.create), "models.get": Models.get}
    assert {"models.create"} == unruled(methods)


def test_the_rules_are_those_of_the_design() -> None:
    """A new method needs a line in the table, and a changed rule a change here."""
    ruled = {name: frozenset(method.__roles__) for name, method in public_methods().items() if name not in FREE}
    assert {name: roles for name, (roles, _) in TABLE.items()} == ruled


@pytest.fixture
def settings(store_url: str, fake_proxy: FakeProxy) -> Settings:
    return Settings(
        database_url=store_url,
        fernet_keys=[KEY_A],
        litellm_proxy_url=fake_proxy.url,
        litellm_master_key=fake_proxy.master_key,
    )


@pytest.fixture
def things(reg: Registry, fake_proxy: FakeProxy) -> Things:
    used, free = created(reg, generation()), created(reg, embedding())
    fake_proxy.add("foreign", "db-foreign")
    return Things(used.id, free.id, bound(reg, used).id, "foreign")


@pytest.mark.parametrize("actor", ACTORS, ids=lambda actor: actor.role)
@pytest.mark.parametrize("method", list(TABLE))
def test_a_bound_handle_allows_what_the_role_allows(reg: Registry, things: Things, method: str, actor: Actor) -> None:
    """Allowed calls go through in the actor's name; others are ForbiddenError, change nothing and are not logged."""
    roles, call = TABLE[method]
    handle, before = reg.acting_as(actor), reg.audit.find()
    if actor.role in roles:
        call(handle, things)
        new = [entry for entry in reg.audit.find().entries if entry not in before.entries]
        assert {(actor.name, actor.role.value, actor.via)} >= {(e.actor, e.actor_role, e.actor_via) for e in new}
    else:
        with pytest.raises(errors.ForbiddenError, match=actor.name):
            call(handle, things)
        assert before == reg.audit.find()


@pytest.mark.parametrize("method", [name for name, (roles, _) in TABLE.items() if roles in (ADMINS, KB_WRITERS)])
def test_a_bare_registry_names_its_actor_on_every_change(reg: Registry, things: Things, method: str) -> None:
    """Trusted code may read without a name; a change without one is refused."""
    _, call = TABLE[method]
    if method == "resolve":
        call(reg, things)
        return
    before = reg.audit.find()
    with pytest.raises(errors.ForbiddenError, match="actor"):
        call(reg, things)
    assert before == reg.audit.find()


def test_a_bare_registry_checks_the_role_of_the_named_actor(reg: Registry) -> None:
    """Also trusted code cannot change in the name of a user who may not."""
    for actor in (VIEWER, AUDITOR, SERVICE):
        with pytest.raises(errors.ForbiddenError):
            reg.models.create(generation(), actor=actor)


@pytest.mark.parametrize("other", [VIEWER, Actor("bob", "admin"), Actor(ADMIN.name, "admin", "elsewhere")])
def test_a_bound_handle_acts_for_nobody_else(reg: Registry, other: Actor) -> None:
    """Neither by naming another actor nor by rebinding; its own name is fine."""
    handle = reg.acting_as(ADMIN)
    with pytest.raises(errors.ForbiddenError):
        handle.models.create(generation(), actor=other)
    with pytest.raises(errors.ForbiddenError):
        handle.acting_as(other)
    assert handle.models.create(generation(), actor=ADMIN) == handle.acting_as(ADMIN).models.find()[0]


@pytest.mark.parametrize("actor", ["alice", None, {"name": "alice", "role": "admin"}, 7], ids=repr)
def test_only_an_actor_is_an_actor(reg: Registry, actor: Any) -> None:
    """A mere name has no role."""
    with pytest.raises(errors.ForbiddenError):
        reg.models.create(generation(), actor=actor)


@dataclass(frozen=True)
class OwnActor(Actor):
    """One that says what no check has seen."""

    via: object = 42  # type: ignore[assignment]  # the point

    def __init__(self) -> None:
        object.__setattr__(self, "name", "alice")
        object.__setattr__(self, "role", Role.ADMIN)


@pytest.mark.parametrize(
    "actor", [OwnActor(), pd.NA, pd.Series([1, 2]).to_numpy()], ids=lambda actor: type(actor).__name__
)
def test_what_only_looks_like_an_actor_is_refused(reg: Registry, actor: Any) -> None:
    """On a bare handle, on one that is bound and where one is made: before anything is asked of it."""
    calls: list[Callable[[], object]] = [
        lambda: reg.knowledge_bases.bind("kb-1", name="Base", actor=actor),
        lambda: reg.acting_as(ADMIN).knowledge_bases.bind("kb-1", name="Base", actor=actor),
        lambda: reg.acting_as(actor),
        lambda: reg.acting_as(ADMIN).acting_as(actor),
    ]
    for call in calls:
        with pytest.raises(errors.ForbiddenError):
            call()
    assert ([], ()) == (reg.knowledge_bases.find(), reg.audit.find().entries)


@pytest.mark.parametrize("actor", [None, "alice", 0, False, {"name": "alice", "role": "admin"}], ids=repr)
def test_only_an_actor_is_acted_for(reg: Registry, actor: Any) -> None:
    """Passing None does not return the fully trusted registry; nor can a handle change its actor."""
    for handle in (reg, reg.acting_as(ADMIN)):
        with pytest.raises(errors.ForbiddenError, match="Actor"):
            handle.acting_as(actor)


@pytest.mark.parametrize("via", [42, True, 1.5, None, "", " ", "x" * 51, "a\nb", "\ud800", b"library", ID], ids=repr)
def test_an_actor_says_in_printable_text_how_it_came(via: Any) -> None:
    """What a column would turn into text later is not what the audit log's hash was made of."""
    with pytest.raises(errors.ForbiddenError) as caught:
        Actor("alice", "admin", via=via)
    assert ["via"] == list(caught.value.fields)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *((name, "admin") for name in (None, 42, b"alice", ID, "\ud800", "a\u202eb")),
        *(("alice", role) for role in (None, 42, ["admin"], "ADMIN", b"admin", pd.NA, pd.Series([1, 2]).to_numpy())),
        ("", "admin"),
        ("  ", "admin"),
        ("x" * 256, "admin"),
        ("a\0b", "admin"),
        ("a\nb", "admin"),
        ("alice", "root"),
    ],
)
def test_an_actor_has_a_printable_name_and_a_role(name: Any, role: Any) -> None:
    """Other names could forge a line of the log, other roles mean nothing."""
    with pytest.raises(errors.ForbiddenError):
        Actor(name, role)
