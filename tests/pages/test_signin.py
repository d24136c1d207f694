"""Which settings the dashboard starts with, and which OpenID provider it finds in Streamlit's secrets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st

from pages.ui.signin import current, startup
from pages.ui.signin.identity import EMAIL_HEADER, GROUPS_HEADER, SECRET_HEADER, SignedOutError
from pages.ui.signin.startup import Provider
from registry import Role, Settings
from registry.errors import SettingsError
from tests.support.driver import Dashboard
from tests.support.factories import KEY_A

ROLES = {"registry-admins": "admin"}
COMPANY = {
    "client_id": "registry",
    "client_secret": "registry",
    "server_metadata_url": "https://id.example.com/realms/x/.well-known/openid-configuration",
}
SHARED = {"redirect_uri": "http://localhost:8501/oauth2callback", "cookie_secret": "made-at-random-" * 3}
OIDC = Settings(auth="oidc", roles=ROLES)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Streamlit's options, as the configuration that comes with the dashboard has them."""
    options: dict[str, Any] = {"server.address": "127.0.0.1", "server.trustedUserHeaders": {}}
    monkeypatch.setattr(st, "get_option", options.get)
    return options


def secrets(monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any]) -> None:
    monkeypatch.setattr(st, "secrets", {"auth": auth} if auth else {})


@pytest.mark.parametrize(("address"), ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_local_starts_on_loopback(options: dict[str, Any], address: str) -> None:
    options["server.address"] = address
    startup.check(Settings())


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.168.1.9", "registry.example.com"])  # noqa: S104 -- addresses to listen on, in a setting
def test_local_starts_nowhere_else(options: dict[str, Any], address: str | None) -> None:
    """A link on the console is no sign-in for a network."""
    options["server.address"] = address
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1"):
        startup.check(Settings())


@pytest.mark.parametrize("roles", [{}, {"ingestion": "service"}], ids=str)
@pytest.mark.parametrize("mode", ["oidc", "proxy"])
def test_without_roles_nobody_could_get_in(options: dict[str, Any], mode: str, roles: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="REGISTRY_ROLES"):
        startup.check(Settings(auth=mode, roles=roles, proxy_secret="x" * 16))


def test_the_proxy_needs_a_secret(options: dict[str, Any]) -> None:
    """Of at least 16 characters; without one, anybody could say who they are."""
    with pytest.raises(SettingsError, match="REGISTRY_PROXY_SECRET"):
        startup.check(Settings(auth="proxy", roles=ROLES))
    with pytest.raises(SettingsError, match="16 characters"):
        Settings(auth="proxy", roles=ROLES, proxy_secret="x" * 15)
    startup.check(Settings(auth="proxy", roles=ROLES, proxy_secret="x" * 16))


@pytest.mark.parametrize("mode", ["oidc", "proxy"])
def test_streamlits_own_trust_in_headers_is_refused(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """It would put a browser's own headers in place of what the provider said."""
    secrets(monkeypatch, {**SHARED, **COMPANY})
    settings = Settings(auth=mode, roles=ROLES, proxy_secret="x" * 16)
    startup.check(settings)
    options["server.trustedUserHeaders"] = {"X-Forwarded-Email": "email"}
    with pytest.raises(SettingsError, match="trustedUserHeaders"):
        startup.check(settings)


@pytest.mark.parametrize(
    ("auth", "name"),
    [({**SHARED, **COMPANY}, None), ({**SHARED, "company": COMPANY}, "company")],
    ids=["plain", "named"],
)
def test_the_provider_and_its_issuer(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any], name: str | None
) -> None:
    """The issuer is where its configuration is, as the standard has it."""
    secrets(monkeypatch, auth)
    startup.check(OIDC)
    assert startup.provider() == Provider(name, "https://id.example.com/realms/x")


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({}, "exactly one provider"),
        (SHARED, "exactly one provider"),
        ({**SHARED, "one": COMPANY, "two": COMPANY}, "there are 2"),
        ({**SHARED, **COMPANY, "two": COMPANY}, "there are 2"),
        ({**SHARED, **COMPANY, "server_metadata_url": "https://id.example.com"}, "must end in"),
        ({**SHARED, **COMPANY, "cookie_secret": "short"}, "32 characters"),
        ({**SHARED, **COMPANY, "redirect_uri": "https://registry.example.com/oauth2callback"}, "REGISTRY_PUBLIC_HOSTS"),
        ({**COMPANY, "cookie_secret": SHARED["cookie_secret"]}, "redirect_uri"),
    ],
    ids=["no section", "none", "two named", "plain and named", "no discovery", "cookie secret", "host", "redirect"],
)
def test_secrets_that_do_not_do(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any], message: str
) -> None:
    """The message says what is wrong, and repeats no secret."""
    secrets(monkeypatch, auth)
    with pytest.raises(SettingsError, match=message) as refused:
        startup.check(OIDC)
    assert SHARED["cookie_secret"] not in refused.value.message


def test_a_public_host_may_be_redirected_to(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: once it is named in the settings."""
    secrets(monkeypatch, {**SHARED, **COMPANY, "redirect_uri": "https://registry.example.com/oauth2callback"})
    startup.check(Settings(auth="oidc", roles=ROLES, public_hosts=["Registry.example.com"]))


def test_a_tab_that_stays_open_is_believed_for_so_long(
    sqlite_url: str, environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authenticating proxy speaks when a tab is opened, and cannot take it back: hours later it is asked again."""
    secret = "x" * 16
    environment(
        REGISTRY_DATABASE_URL=sqlite_url,
        REGISTRY_FERNET_KEYS=KEY_A,
        REGISTRY_AUTH="proxy",
        REGISTRY_ROLES="staff=viewer",
        REGISTRY_PROXY_SECRET=secret,
        REGISTRY_SIGN_IN_HOURS="2",
    )
    headers = {SECRET_HEADER: [secret], EMAIL_HEADER: ["vera@example.com"], GROUPS_HEADER: ["staff"]}
    monkeypatch.setattr(current, "evidence", lambda auth: headers)
    dashboard, opened = Dashboard().open(), time.time()
    assert dashboard.title == "Models"
    monkeypatch.setattr(current, "time", SimpleNamespace(time=lambda: opened + 2 * 3600 - 60))
    assert dashboard.run().title == "Models"
    monkeypatch.setattr(current, "time", SimpleNamespace(time=lambda: opened + 2 * 3600 + 60))
    assert dashboard.run().title == "Your sign-in has expired"
    assert Dashboard().open().title == "Models"


@pytest.mark.parametrize("groups", [["staff"], ["sales"]], ids=["a role", "no role"])
def test_signing_out_ends_every_copy_of_a_sign_in(
    sqlite_url: str,
    environment: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: dict[str, Any],
    groups: list[str],
) -> None:
    """Streamlit's cookie is good for as long as its signature holds: what is remembered is the sign-in that it is of,
    also of a user who had no role then."""
    environment(
        REGISTRY_DATABASE_URL=sqlite_url,
        REGISTRY_FERNET_KEYS=KEY_A,
        REGISTRY_AUTH="oidc",
        REGISTRY_ROLES="staff=viewer",
        REGISTRY_DATA_DIR=str(tmp_path),
    )
    secrets(monkeypatch, {**SHARED, **COMPANY})
    issuer = startup.provider().issuer
    claims = {"is_logged_in": True, "iss": issuer, "sub": "vera", "iat": time.time(), "groups": groups}
    monkeypatch.setattr(current, "evidence", lambda auth: claims)
    left = []
    monkeypatch.setattr(st, "logout", lambda: left.append(True))
    current.sign_out()
    assert [True] == left
    claims["groups"] = ["staff"]
    with pytest.raises(SignedOutError) as refused:
        current.signed_in()
    assert refused.value.title == "You are signed out"
    claims["iat"] += 1
    assert current.signed_in().actor.role is Role.VIEWER
