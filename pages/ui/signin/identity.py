"""Who is signed in: turns the evidence in a request into an actor, or a refusal that says what to do.

Pure: `current` reads requests, `view` draws. Each kind of sign-in reads its own evidence only.
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
    """A signed-in user. ``id`` identifies this sign-in among the user's others, to end it alone."""

    actor: Actor
    id: str


class SignInError(ForbiddenError):
    """No usable sign-in; ``title`` and ``message`` are what the page shows."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title


class SignedOutError(SignInError):
    """The user is not, or no longer, signed in."""

    def __init__(self, title: str = "Sign in", message: str = "You are not signed in.") -> None:
        super().__init__(title, message)


class NoRoleError(SignInError):
    """The signed-in user may not see any page."""


def from_cookies(settings: Settings, passes: Passes, cookies: Mapping[str, str]) -> SignIn:
    """The user who redeemed a link from the console, by the cookie that replaced it.

    Raises:
        SignedOutError: there is no such cookie, or it is no longer valid.
    """
    cookie = cookies.get(passes.cookie_name)
    if cookie is None:
        raise SignedOutError
    found = passes.read("session", cookie, settings.sign_in_hours * 3600)
    if found is None:
        raise SignedOutError("Your sign-in has expired", "Sign in again.")
    return SignIn(found.actor, found.id)


def from_claims(settings: Settings, claims: Mapping[str, Any], issuer: str, now: float) -> SignIn:
    """The user of the OpenID provider, by the claims of the ID token.

    Their age counts from ``iat``, since the groups are as old as the token, and not from ``auth_time``: providers issue
    new tokens with the time of an earlier sign-in, and the user could not sign in again.

    Raises:
        SignedOutError: there are no claims, they are of another issuer, or too old.
        NoRoleError: none of the groups has a role, or the name cannot be used.
    """
    if claims.get("is_logged_in") is not True:
        raise SignedOutError
    if str(claims.get("iss", "")).rstrip("/") != issuer.rstrip("/"):
        raise SignedOutError("Sign in again", "Your sign-in is from a provider that this dashboard does not use.")
    issued = claims.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        raise SignedOutError("Sign in again", "Your sign-in does not say when it was made.")
    if not -_LEEWAY <= now - issued <= settings.sign_in_hours * 3600:
        raise SignedOutError("Your sign-in has expired", "Sign in again.")
    name = _name(claims)
    role = _role(settings, name, _listed(claims.get(settings.groups_claim)))
    return SignIn(_actor(name, role, "oidc"), claimed_id(claims))


def claimed_id(claims: Mapping[str, Any]) -> str:
    """The id of the sign-in with these claims: a digest that is the same for every copy of them."""
    parts = "\n".join(str(claims.get(part)) for part in ("iss", "sub", "iat", "sid", "nonce"))
    return hashlib.sha256(parts.encode()).hexdigest()


def from_headers(settings: Settings, headers: Mapping[str, Sequence[str]]) -> SignIn:
    """The user of the authenticating proxy, by the headers that it adds, with names in any case.

    A repeated header is refused: one of the two may come from the browser.

    Raises:
        SignedOutError: the proxy's secret is missing or wrong, or the proxy does not name a user.
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
    """The user's name in the audit log: the e-mail address, which colleagues recognise, else the preferred name, else
    the provider's id. An address that the provider never verified can be another user's, and so can a preferred name:
    then only the id is used."""
    is_verified = claims.get("email_verified") in (None, True, "true")
    candidates = ("email", "preferred_username", "sub") if is_verified else ("sub",)
    return next((str(claims[claim]).strip() for claim in candidates if claims.get(claim)), "")


def _listed(value: object) -> list[str]:
    """The groups in a claim, if it is a list of texts; none in any other, which has another meaning."""
    return value if isinstance(value, list) and all(isinstance(group, str) for group in value) else []


def _role(settings: Settings, name: str, groups: Sequence[str]) -> Role:
    """The highest role of the groups."""
    roles = {settings.roles[group] for group in groups if group in settings.roles}
    found = [role for role in PEOPLE if role in roles]
    if found:
        return found[-1]
    named = ", ".join(f"“{group}”" for group in groups[:_MOST_NAMED] if group)
    more = f" and {len(groups) - _MOST_NAMED:,} more" if len(groups) > _MOST_NAMED else ""
    what = f"None of your groups has a role here: {named}{more}." if named else "Your sign-in names no group."
    raise NoRoleError(
        "You have no role here",
        f"You are signed in as {name}. {what} Ask the operator of this dashboard to give one of your groups a role "
        "(REGISTRY_ROLES), or the administrator of your account to add you to a group that has one.",
    )


def _actor(name: str, role: Role, via: str) -> Actor:
    try:
        return Actor(name, role, via)
    except ForbiddenError as error:
        raise NoRoleError("Your name cannot be used", error.message) from None
