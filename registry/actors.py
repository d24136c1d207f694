"""Actors and roles. Each public method declares the roles that may call it with `reads` or `changes`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

from registry.errors import ForbiddenError
from registry.secrecy import forgetful


class Role(StrEnum):
    """``viewer`` reads active models, ``auditor`` everything; ``admin`` also changes things; ``service`` is KB code."""

    VIEWER = "viewer"
    AUDITOR = "auditor"
    ADMIN = "admin"
    SERVICE = "service"


PEOPLE: Final = (Role.VIEWER, Role.AUDITOR, Role.ADMIN)
"""Roles of people, lowest first: each includes the rights of those before it."""

MAX_NAME: Final = 255
MAX_VIA: Final = 50


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: ``name`` as the sign-in gave it, ``via`` how it was established (``local``, ``oidc``, ``library``…).

    Raises:
        ForbiddenError: ``name`` is not printable text of 1–255 characters, ``via`` not of 1–50, or the role does not
            exist; ``fields`` names the argument.
    """

    name: str
    role: Role
    via: str = "library"

    def __init__(self, name: str, role: Role | str, via: str = "library") -> None:
        object.__setattr__(self, "name", _printable("name", name, MAX_NAME))
        object.__setattr__(self, "role", _role(role))
        object.__setattr__(self, "via", _printable("via", via, MAX_VIA))


class Acting(Protocol):
    """A part of the registry, bound to one actor or, for trusted code, to none."""

    @property
    def actor(self) -> Actor | None: ...


BOUND: Final[Any] = None
"""Default of ``actor`` on changing methods: the actor that the handle is bound to."""

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A", bound=Acting)
Method = Callable[Concatenate[A, P], R]

EVERYONE = (Role.VIEWER, Role.AUDITOR, Role.ADMIN, Role.SERVICE)
READERS = (Role.AUDITOR, Role.ADMIN)


def reads(*roles: Role) -> Callable[[Method[A, P, R]], Method[A, P, R]]:
    """Let only these roles call a reading method of a bound handle. A bare `Registry` is trusted and not checked."""

    def decorate(method: Method[A, P, R]) -> Method[A, P, R]:
        @forgetful
        @functools.wraps(method)
        def checked(self: A, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if self.actor is not None:
                _demand(self.actor, roles, method.__name__)
            return method(self, *args, **kwargs)

        checked.__roles__ = frozenset(roles)  # type: ignore[attr-defined]  # read by the test of all rules
        return checked

    return decorate


def changes(*roles: Role) -> Callable[[Method[A, P, R]], Method[A, P, R]]:
    """Let only these roles call a changing method. It receives the bound actor, or the one passed, as ``actor``.

    Trusted code passes an actor with every change; a bound handle refuses any other actor than its own.
    """

    def decorate(method: Method[A, P, R]) -> Method[A, P, R]:
        @forgetful
        @functools.wraps(method)
        def checked(self: A, /, *args: Any, **kwargs: Any) -> R:
            named = kwargs.pop("actor", None)
            actor = acting(self.actor if named is None else named)
            if self.actor not in (None, actor):
                raise ForbiddenError("This handle acts for another actor: leave out actor.")
            _demand(actor, roles, method.__name__)
            return cast(Any, method)(self, *args, actor=actor, **kwargs)  # type: ignore[no-any-return]  # the method's own type

        checked.__roles__ = frozenset(roles)  # type: ignore[attr-defined]  # read by the test of all rules
        return checked

    return decorate


def acting(value: object) -> Actor:
    """Check that a value is an actor, and return it.

    Raises:
        ForbiddenError: it is not an `Actor`. Subclasses are refused: they can override what `Actor` checks.
    """
    if type(value) is not Actor:
        raise ForbiddenError("Say who acts: pass actor=Actor(name, role).")
    return value


def _demand(actor: Actor, roles: tuple[Role, ...], what: str) -> None:
    if actor.role not in roles:
        allowed = " or ".join(roles)
        raise ForbiddenError(f"{actor.name} is signed in as {actor.role}; “{what}” needs the role {allowed}.")


def _printable(field: str, value: object, most: int) -> str:
    text = str.strip(value) if isinstance(value, str) else ""
    if not text or len(text) > most or not text.isprintable():
        raise ForbiddenError(
            f"The {field} of an actor must be printable text of 1 to {most} characters.",
            fields={field: f"Must be printable text of 1 to {most} characters."},
        )
    return text


def _role(value: object) -> Role:
    wanted = str.strip(value) if isinstance(value, str) else None
    found = next((role for role in Role if role.value == wanted), None)
    if found is None:
        message = f"There is no such role. Roles are {', '.join(Role)}."
        raise ForbiddenError(message, fields={"role": message})
    return found
