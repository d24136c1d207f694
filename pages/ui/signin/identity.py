"""Who is signed in: from what a request brings along to an actor, or to a refusal that says what to do.

Pure: reading requests is left to `session`, drawing to `signin`. Each way to sign in looks at its own evidence only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry import Actor, Role, Settings
from registry.actors import PEOPLE
from registry.errors import ForbiddenError
from registry.keys.passes import Passes

EMAIL_HEADER = "X-Forwarded-Email"
GROUPS_HEADER = "X-Forwarded-Groups"
SECRET_HEADER = "X-Registry-Proxy-Secret"  # noqa: S105  # the header's name
_LEEWAY = 60  # seconds by which the provider's clock may be ahead
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody who is signed in. ``id`` tells this sign-in from others of the same person, to end it alone."""

    actor: Actor
    id: str


class SignInError(ForbiddenError):
    """Nobody is signed in for whom the registry could act: ``title`` and ``message`` are the page that says so."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title


class SignedOutError(SignInError):
    """Nobody is signed in, or no longer: signing in helps."""

    def __init__(self, title: str = "Sign in", message: str = "You are not signed in.") -> None:
        super().__init__(title, message)


class NoRoleError(SignInError):
    """Somebody is signed in who may not see anything."""


def from_cookies(settings: Settings, passes: Passes, cookies: Mapping[str, str]) -> SignIn:
    """Who redeemed a link of the console, by the cookie that it was exchanged for.

    Raises:
        SignedOutError: there is no such cookie, or it is not valid any more.
    """
    cookie = cookies.get(passes.cookie_name)
    if cookie is None:
        raise SignedOutError
    found = passes.read("session", cookie, settings.sign_in_hours * 3600)
    if found is None:
        raise SignedOutError("Your sign-in has expired", "Sign in again.")
    return SignIn(found.actor, found.id)


def from_claims(settings: Settings, claims: Mapping[str, Any], issuer: str, now: float) -> SignIn:
    """Who signed in at the OpenID provider, by the claims of the ID token.

    Their age counts from ``iat``, since the groups are as old as the token. ``auth_time`` does not count: a provider at
    which somebody signed in this morning hands out new tokens with the old time, and they could not get in at all.

    Raises:
        SignedOutError: there are no claims, they are of another issuer, or too old.
        NoRoleError: none of the groups has a role, or the name cannot be used.
    """
    if claims.get("is_logged_in") is not True:
        raise SignedOutError
    if str(claims.get("iss", "")).rstrip("/") != issuer.rstrip("/"):
        raise SignedOutError("Sign in again", "Your sign-in is from another provider than the one that is used here.")
    issued = claims.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        raise SignedOutError("Sign in again", "Your sign-in does not say when it was made.")
    if not -_LEEWAY <= now - issued <= settings.sign_in_hours * 3600:
        raise SignedOutError("Your sign-in has expired", "Sign in again.")
    name = _name(claims)
    role = _role(settings, name, _listed(claims.get(settings.groups_claim)))
    return SignIn(_actor(name, role, "oidc"), claimed_id(claims))


def claimed_id(claims: Mapping[str, Any]) -> str:
    """What tells the sign-in that these claims are of from all others: a digest that is the same in every copy."""
    parts = "\n".join(str(claims.get(part)) for part in ("iss", "sub", "iat", "sid", "nonce"))
    return hashlib.sha256(parts.encode()).hexdigest()


def from_headers(settings: Settings, headers: Mapping[str, Sequence[str]]) -> SignIn:
    """Who signed in at the authenticating proxy, by the headers that it adds; their names may be in any case.

    A header that is there twice is refused: one of the two may be the browser's own.

    Raises:
        SignedOutError: the proxy's secret is missing or wrong, or the proxy does not say who it is.
        NoRoleError: none of the groups has a role, or the name cannot be used.
    """
    found = {name.lower(): list(values) for name, values in headers.items()}
    if not comes_from_proxy(settings, found.get(SECRET_HEADER.lower(), [])):
        raise SignedOutError("Sign in", "This dashboard answers only to its authenticating proxy.")
    emails, groups = found.get(EMAIL_HEADER.lower(), []), found.get(GROUPS_HEADER.lower(), [])
    if len(emails) != 1 or len(groups) > 1 or not emails[0].strip():
        raise SignedOutError("Sign in", f"The proxy has to send {EMAIL_HEADER} once, and {GROUPS_HEADER} at most once.")
    name = emails[0].strip()
    role = _role(settings, name, [group.strip() for group in ",".join(groups).split(",")])
    return SignIn(_actor(name, role, "proxy"), hashlib.sha256(name.encode()).hexdigest())


def comes_from_proxy(settings: Settings, secrets: Sequence[str]) -> bool:
    """Whether these values of the secret's header are the configured secret, once."""
    if settings.proxy_secret is None or len(secrets) != 1:
        return False
    return hmac.compare_digest(secrets[0].encode(), settings.proxy_secret.get_secret_value().encode())


def may(actor: Actor, role: Role) -> bool:
    """Whether an actor's role is this one or a higher one."""
    return actor.role in PEOPLE[PEOPLE.index(role) :]


def _name(claims: Mapping[str, Any]) -> str:
    """What the audit log calls somebody: the e-mail address, which colleagues recognise; else what they are called at
    the provider; else its id for them. Where the provider says that the address was never verified, it may be
    somebody else's, as may a name that people give themselves: then only the id tells who it is."""
    is_verified = claims.get("email_verified") in (None, True, "true")
    candidates = ("email", "preferred_username", "sub") if is_verified else ("sub",)
    return next((str(claims[claim]).strip() for claim in candidates if claims.get(claim)), "")


def _listed(value: object) -> list[str]:
    """The groups in a claim that is a list of texts; none in any other, since who wrote it meant something else."""
    return value if isinstance(value, list) and all(isinstance(group, str) for group in value) else []


def _role(settings: Settings, name: str, groups: Sequence[str]) -> Role:
    """The highest role that one of the groups has."""
    roles = {settings.roles[group] for group in groups if group in settings.roles}
    found = [role for role in PEOPLE if role in roles]
    if found:
        return found[-1]
    named = ", ".join(f"“{group}”" for group in groups[:_MOST_NAMED] if group)
    more = f" and {len(groups) - _MOST_NAMED:,} more" if len(groups) > _MOST_NAMED else ""
    what = f"None of your groups has a role here: {named}{more}." if named else "Your sign-in names no group."
    raise NoRoleError(
        "You have no role here",
        f"You are signed in as {name}. {what} Ask whoever runs this dashboard to give one of your groups a role "
        "(REGISTRY_ROLES), or whoever manages your account to add you to a group that has one.",
    )


def _actor(name: str, role: Role, via: str) -> Actor:
    try:
        return Actor(name, role, via)
    except ForbiddenError as error:
        raise NoRoleError("Your name cannot be used", error.message) from None
