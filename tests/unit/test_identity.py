"""Who is signed in: from what a request brings along to an actor, or to a refusal, for each way to sign in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pages.ui.signin import identity
from pages.ui.signin.identity import NoRoleError, SignedOutError, SignIn
from registry import Actor, Role, Settings
from registry.keys.passes import Passes
from tests.support.factories import LOCAL_ADMINISTRATOR

NOW = 1_800_000_000.0
HOUR = 3600
ISSUER = "https://id.example.com"
SECRET = "a-secret-of-the-proxy-alone"
ROLES = {"registry-admins": "admin", "data-team": "auditor", "staff": "viewer", "ingestion": "service"}
OIDC = Settings(auth="oidc", roles=ROLES)
PROXY = Settings(auth="proxy", roles=ROLES, proxy_secret=SECRET)


def claims(**changed: Any) -> dict[str, Any]:
    """Those of an administrator, signed in a minute ago; None leaves one out."""
    whole = {
        "is_logged_in": True,
        "iss": ISSUER,
        "sub": "248289761001",
        "iat": NOW - 60,
        "email": "alice@example.com",
        "groups": ["registry-admins"],
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


def from_claims(settings: Settings = OIDC, **changed: Any) -> SignIn:
    return identity.from_claims(settings, claims(**changed), ISSUER, NOW)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["registry-admins"], Role.ADMIN),
        (["data-team"], Role.AUDITOR),
        (["staff"], Role.VIEWER),
        (["staff", "registry-admins", "data-team"], Role.ADMIN),
        (["data-team", "staff"], Role.AUDITOR),
        (["unknown", "staff"], Role.VIEWER),
        (["ingestion", "staff"], Role.VIEWER),
    ],
)
def test_the_highest_role_of_ones_groups(groups: Any, role: Role) -> None:
    """Groups without a role do not count; no group makes a person a service."""
    assert from_claims(groups=groups).actor == Actor("alice@example.com", role, "oidc")


@pytest.mark.parametrize(
    "groups",
    [None, [], ["unknown"], ["Staff"], [" staff"], ["staff,registry-admins"], ["ingestion"]],
)
def test_without_a_role_nobody_gets_in(groups: Any) -> None:
    """A group counts only in its exact spelling; there is no role to fall back on."""
    with pytest.raises(NoRoleError, match=r"alice@example\.com"):
        from_claims(groups=groups)


@pytest.mark.parametrize(
    "groups",
    [
        "",
        "staff",
        b"staff",
        7,
        True,
        {"staff": 1},
        {"x": "staff"},
        ("staff",),
        {"staff"},
        [["staff"]],
        [{"staff": 1}],
        ["staff", 7],
        ["staff", None],
        ["staff", ["registry-admins"]],
    ],
    ids=repr,
)
def test_groups_are_a_list_of_texts(groups: Any) -> None:
    """A claim of any other type gives no role at all, not even by those of its parts that are names of groups."""
    with pytest.raises(NoRoleError, match="names no group"):
        from_claims(groups=groups)


def test_the_refusal_names_the_groups() -> None:
    """So that the administrator knows what to add; of very many, the first."""
    with pytest.raises(NoRoleError, match=r"“sales”, “berlin”\. .*REGISTRY_ROLES"):
        from_claims(groups=["sales", "berlin"])
    with pytest.raises(NoRoleError, match="“g9” and 190 more"):
        from_claims(groups=[f"g{number}" for number in range(200)])


def test_the_groups_claim_can_be_another() -> None:
    """Providers call it differently."""
    settings = Settings(auth="oidc", roles=ROLES, groups_claim="roles")
    assert from_claims(settings, roles=["staff"]).actor.role is Role.VIEWER


@pytest.mark.parametrize(
    "changed",
    [
        {"is_logged_in": None},
        {"is_logged_in": False},
        {"is_logged_in": "true"},
        {"iss": None},
        {"iss": "https://evil.example.com"},
        {"iss": "https://id.example.com.evil.example"},
        {"iss": ISSUER + "/tenant"},
        {"iat": None},
        {"iat": "1800000000"},
        {"iat": True},
        {"iat": float("nan")},
        {"iat": NOW - 8 * HOUR - 1},
        {"iat": 0},
        {"iat": NOW + 61},
    ],
    ids=str,
)
def test_a_sign_in_that_does_not_hold(changed: dict[str, Any]) -> None:
    """Signed out, of another issuer, too old, from the future, or of no known age."""
    with pytest.raises(SignedOutError):
        from_claims(**changed)


@pytest.mark.parametrize(
    "changed", [{"iat": NOW - 8 * HOUR}, {"iat": NOW + 60}, {"iss": ISSUER + "/"}, {"exp": NOW - 30}], ids=str
)
def test_a_sign_in_that_just_holds(changed: dict[str, Any]) -> None:
    """The control: at its limits. How long the ID token itself holds says nothing of the sign-in."""
    assert from_claims(**changed).actor.role is Role.ADMIN


def test_how_long_a_sign_in_holds_is_a_setting() -> None:
    """In hours."""
    short = Settings(auth="oidc", roles=ROLES, sign_in_hours=1)
    assert from_claims(short, iat=NOW - HOUR)
    with pytest.raises(SignedOutError) as refused:
        from_claims(short, iat=NOW - HOUR - 1)
    assert refused.value.title == "Your sign-in has expired"


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "alice@example.com"),
        ({"email_verified": True}, "alice@example.com"),
        ({"email_verified": False}, "248289761001"),
        ({"email_verified": "false"}, "248289761001"),
        ({"email_verified": False, "preferred_username": "bob@example.com"}, "248289761001"),
        ({"email": None, "preferred_username": "alice"}, "alice"),
        ({"email": None}, "248289761001"),
        ({"email": ""}, "248289761001"),
    ],
    ids=str,
)
def test_what_the_audit_log_calls_somebody(changed: dict[str, Any], name: str) -> None:
    """An address that was never verified may be another user's, and no one can pass off another's name."""
    assert from_claims(**changed).actor.name == name


@pytest.mark.parametrize("name", ["x" * 256, "alice\nadmin", "alice\u202e", "   "])
def test_names_that_the_log_cannot_hold_are_refused(name: str) -> None:
    """Too long, or not what they look like."""
    with pytest.raises(NoRoleError):
        from_claims(email=name, sub=name)


def test_every_sign_in_is_another() -> None:
    """Ending one ends neither an earlier nor a later one, nor anybody else's."""
    ids = {from_claims().id, from_claims(iat=NOW - 61).id, from_claims(sub="2").id, from_claims(sid="other").id}
    assert len(ids) == 4
    assert from_claims().id == from_claims().id


def headers(**changed: list[str]) -> dict[str, list[str]]:
    """What the proxy sends for an auditor; underscores stand for dashes."""
    whole = {
        "X_Registry_Proxy_Secret": [SECRET],
        "X_Forwarded_Email": ["audrey@example.com"],
        "X_Forwarded_Groups": ["staff,data-team"],
        **changed,
    }
    return {name.replace("_", "-"): values for name, values in whole.items()}


def test_the_proxy_says_who_it_is() -> None:
    """By its headers, in whatever case they come."""
    audrey = Actor("audrey@example.com", Role.AUDITOR, "proxy")
    assert identity.from_headers(PROXY, headers()).actor == audrey
    lower = {name.lower(): values for name, values in headers().items()}
    assert identity.from_headers(PROXY, lower).actor == audrey


@pytest.mark.parametrize(
    "changed",
    [
        {"X_Registry_Proxy_Secret": []},
        {"X_Registry_Proxy_Secret": [""]},
        {"X_Registry_Proxy_Secret": [SECRET + "x"]},
        {"X_Registry_Proxy_Secret": [SECRET[:-1]]},
        {"X_Registry_Proxy_Secret": [SECRET.upper()]},
        {"X_Registry_Proxy_Secret": ["ü€"]},
        {"X_Registry_Proxy_Secret": [SECRET, SECRET]},
        {"X_Forwarded_Email": []},
        {"X_Forwarded_Email": [" "]},
        {"X_Forwarded_Email": ["eve@example.com", "audrey@example.com"]},
        {"X_Forwarded_Groups": ["registry-admins", "staff"]},
    ],
    ids=str,
)
def test_headers_that_the_proxy_did_not_send(changed: dict[str, list[str]]) -> None:
    """Without its secret nothing counts; and what is there twice may be half the browser's own."""
    with pytest.raises(SignedOutError):
        identity.from_headers(PROXY, headers(**changed))


@pytest.mark.parametrize("groups", [[], [""], ["sales"], ["registry-admins;staff"]], ids=str)
def test_the_proxys_groups_need_a_role_too(groups: list[str]) -> None:
    """Being signed in at the proxy is not enough."""
    with pytest.raises(NoRoleError):
        identity.from_headers(PROXY, headers(X_Forwarded_Groups=groups))


def test_without_a_secret_no_header_counts() -> None:
    """An empty one in the request does not match a missing one in the settings."""
    settings = Settings(auth="proxy", roles=ROLES)
    for value in ("", "None"):
        with pytest.raises(SignedOutError):
            identity.from_headers(settings, headers(X_Registry_Proxy_Secret=[value]))


@pytest.fixture
def passes(tmp_path: Path) -> Passes:
    return Passes(tmp_path, lambda: NOW)


def test_the_cookie_of_a_link(passes: Passes) -> None:
    """Says who redeemed it."""
    cookies = {passes.cookie_name: passes.issue("session", LOCAL_ADMINISTRATOR), "other": "x"}
    assert identity.from_cookies(Settings(), passes, cookies).actor == LOCAL_ADMINISTRATOR


def test_other_cookies_are_none(passes: Passes, tmp_path: Path) -> None:
    """None, one of another dashboard, a link instead, something made up, or one of nine hours ago."""
    old = Passes(tmp_path, lambda: NOW - 8 * HOUR - 1).issue("session", LOCAL_ADMINISTRATOR)
    foreign = Passes(tmp_path / "other").issue("session", LOCAL_ADMINISTRATOR)
    with pytest.raises(SignedOutError, match="not signed in"):
        identity.from_cookies(Settings(), passes, {})
    for cookie in (old, foreign, passes.issue("link", LOCAL_ADMINISTRATOR), "", "admin"):
        with pytest.raises(SignedOutError):
            identity.from_cookies(Settings(), passes, {passes.cookie_name: cookie})


def test_roles_include_those_below() -> None:
    """Viewer, auditor, admin; a service is none of them."""
    allowed = {role: [other for other in identity.PEOPLE if identity.may(Actor("x", role), other)] for role in Role}
    assert allowed == {
        Role.VIEWER: [Role.VIEWER],
        Role.AUDITOR: [Role.VIEWER, Role.AUDITOR],
        Role.ADMIN: [Role.VIEWER, Role.AUDITOR, Role.ADMIN],
        Role.SERVICE: [],
    }
