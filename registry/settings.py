"""Settings: the only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from registry.actors import Role
from registry.catalog.egress import Policy
from registry.catalog.endpoints import parse_endpoint
from registry.errors import SettingsError
from registry.keys.file import MAX_SIGN_IN_HOURS, key_file
from registry.secrecy import Unpickled, forgetful

STORE_FILE = "registry.db"
KEY_FILE = "fernet.key"
AUTH_MODES = ("local", "oidc", "proxy")
MIN_PROXY_SECRET = 16  # characters
SECRETS = (
    "REGISTRY_DATABASE_URL",
    "REGISTRY_FERNET_KEYS",
    "LITELLM_MASTER_KEY",
    "LITELLM_API_KEY",
    "REGISTRY_PROXY_SECRET",
)
"""Variables that may stand in a file, which the one of the same name with _FILE at its end names."""
MOST_SECRET = 64 * 1024  # bytes

M = TypeVar("M", bound=str)


@dataclass(frozen=True, slots=True)
class Settings(Unpickled):
    """How to reach the store and the proxy, and the keys.

    Attributes:
        database_url: SQLAlchemy URL, ``sqlite:///path`` or ``postgresql+psycopg://…``.
        fernet_keys: Fernet keys; the first encrypts, all decrypt.
        litellm_proxy_url: root of the LiteLLM proxy, None where there is none.
        litellm_master_key: to administer the proxy.
        litellm_api_key: what KB code calls the proxy with.
        auth: how people sign in at the dashboard: ``local``, ``oidc`` or ``proxy``.
        roles: group of the sign-in → role.
        groups_claim: claim of the ID token that lists the groups, with ``oidc``.
        sign_in_hours: how long a sign-in holds, with ``local`` and ``oidc``.
        proxy_secret: what an authenticating proxy proves itself with.
        public_hosts: names under which the dashboard is served.
        endpoint_allow: hosts that models may be called at; empty for any that is not refused.
        endpoint_deny: hosts that models must not be called at.
        data_dir: where the dashboard keeps its own files; None for beside app.py.
        embedded: the store is the dashboard's own file, which it sets up and migrates itself.
    """

    database_url: str = field(default="", repr=False)
    fernet_keys: tuple[SecretStr, ...] = ()
    litellm_proxy_url: str | None = None
    litellm_master_key: SecretStr | None = None
    litellm_api_key: SecretStr | None = None
    auth: str = "local"
    roles: Mapping[str, Role] = field(default_factory=dict)
    groups_claim: str = "groups"
    sign_in_hours: int = 8
    proxy_secret: SecretStr | None = None
    public_hosts: tuple[str, ...] = ()
    endpoint_allow: tuple[str, ...] = ()
    endpoint_deny: tuple[str, ...] = ()
    data_dir: Path | None = None
    embedded: bool = False

    @forgetful
    def __init__(
        self,
        database_url: str = "",
        fernet_keys: Sequence[str | SecretStr] = (),
        litellm_proxy_url: str | None = None,
        litellm_master_key: str | SecretStr | None = None,
        litellm_api_key: str | SecretStr | None = None,
        auth: str = "local",
        roles: Mapping[str, Role | str] | None = None,
        groups_claim: str = "groups",
        sign_in_hours: int | str = 8,
        proxy_secret: str | SecretStr | None = None,
        public_hosts: Sequence[str] = (),
        endpoint_allow: Sequence[str] = (),
        endpoint_deny: Sequence[str] = (),
        data_dir: Path | str | None = None,
        embedded: bool = False,
    ) -> None:
        put = object.__setattr__
        put(self, "database_url", _text("REGISTRY_DATABASE_URL", database_url))
        keys = (_secret("REGISTRY_FERNET_KEYS", key) for key in _each("REGISTRY_FERNET_KEYS", fernet_keys))
        put(self, "fernet_keys", tuple(filter(None, keys)))
        put(self, "litellm_proxy_url", _plain_url("LITELLM_PROXY_URL", litellm_proxy_url))
        put(self, "litellm_master_key", _secret("LITELLM_MASTER_KEY", litellm_master_key))
        put(self, "litellm_api_key", _secret("LITELLM_API_KEY", litellm_api_key))
        put(self, "auth", _one_of("REGISTRY_AUTH", auth, AUTH_MODES))
        put(self, "roles", _role_of_each("REGISTRY_ROLES", roles))
        put(self, "groups_claim", _text("REGISTRY_GROUPS_CLAIM", groups_claim))
        put(self, "sign_in_hours", _hours("REGISTRY_SIGN_IN_HOURS", sign_in_hours))
        put(self, "proxy_secret", _long("REGISTRY_PROXY_SECRET", _secret("REGISTRY_PROXY_SECRET", proxy_secret)))
        put(self, "public_hosts", _texts("REGISTRY_PUBLIC_HOSTS", public_hosts))
        put(self, "endpoint_allow", _texts("REGISTRY_ENDPOINT_ALLOW", endpoint_allow))
        put(self, "endpoint_deny", _texts("REGISTRY_ENDPOINT_DENY", endpoint_deny))
        put(self, "data_dir", None if data_dir is None else _path("REGISTRY_DATA_DIR", data_dir))
        Policy(self.endpoint_allow, self.endpoint_deny)  # refuses an unusable entry at start, not at the first call
        put(self, "embedded", _flag("embedded", embedded))

    @classmethod
    @forgetful
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``REGISTRY_*`` and ``LITELLM_*`` from the environment, which is left untouched, and from files that it
        names: those of `SECRETS`.

        Raises:
            SettingsError: a setting is unusable, or ``environ`` is no mapping of names to texts.
        """
        env = os.environ if environ is None else environ
        if not isinstance(env, Mapping):
            raise SettingsError("The environment must be a mapping of names to texts.")

        def of(name: str) -> str:
            text = _text(name, env.get(name, ""))
            return _from_file(name, text, env.get(f"{name}_FILE", "")) if name in SECRETS else text

        return cls(
            database_url=of("REGISTRY_DATABASE_URL"),
            fernet_keys=_list(of("REGISTRY_FERNET_KEYS")),
            litellm_proxy_url=of("LITELLM_PROXY_URL"),
            litellm_master_key=of("LITELLM_MASTER_KEY"),
            litellm_api_key=of("LITELLM_API_KEY"),
            auth=of("REGISTRY_AUTH") or "local",
            roles=_roles(of("REGISTRY_ROLES")),
            groups_claim=of("REGISTRY_GROUPS_CLAIM") or "groups",
            sign_in_hours=of("REGISTRY_SIGN_IN_HOURS") or 8,
            proxy_secret=of("REGISTRY_PROXY_SECRET"),
            public_hosts=_list(of("REGISTRY_PUBLIC_HOSTS")),
            endpoint_allow=_list(of("REGISTRY_ENDPOINT_ALLOW")),
            endpoint_deny=_list(of("REGISTRY_ENDPOINT_DENY")),
            data_dir=of("REGISTRY_DATA_DIR") or None,
        )

    @classmethod
    @forgetful
    def for_dashboard(cls, folder: Path | str, environ: Mapping[str, str] | None = None) -> Settings:
        """The environment's settings; where they name no store, the embedded one, in their folder or else ``folder``.

        A key file (mode 0600) is made only together with a new embedded store: a lost one is never remade, since a
        new key could not open what the old one encrypted.

        Raises:
            SettingsError: the store is not the embedded one and no keys are configured, or a setting is unusable.
        """
        folder, settings = _path("folder", folder), cls.from_env(environ)
        if settings.database_url:
            if not settings.fernet_keys:
                raise SettingsError(
                    "REGISTRY_FERNET_KEYS is not set: without it no API key can be stored or used. "
                    "Make a key with `python -m registry new-key` and give every replica the same one."
                )
            return settings
        folder = settings.data_dir or folder
        store = folder / STORE_FILE
        if not settings.fernet_keys:
            key = key_file(folder / KEY_FILE, unless=store)
            settings = replace(settings, fernet_keys=(key,) if key else ())
        return replace(settings, database_url=f"sqlite:///{store}", embedded=True)


def _from_file(name: str, text: str, path: object) -> str:
    """What a secret's variable says, or the file that the one beside it names."""
    path = _text(f"{name}_FILE", path)
    if not path:
        return text
    if text:
        raise SettingsError(f"{name} and {name}_FILE are both set: take one of them away.")
    try:
        with _path(f"{name}_FILE", path).open("rb") as file:
            return file.read(MOST_SECRET).decode().strip()
    except OSError as error:
        raise SettingsError(f"The file that {name}_FILE names cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The file that {name}_FILE names must hold a text.") from None


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _roles(text: str) -> dict[str, str]:
    """``group=role`` pairs, separated by commas; a group's name may hold ``=``."""
    pairs = [part.rpartition("=") for part in _list(text)]
    if any(not group.strip() or not role.strip() for group, _, role in pairs):
        raise SettingsError("REGISTRY_ROLES must be pairs such as registry-admins=admin,data-team=auditor.")
    return {group.strip(): role.strip() for group, _, role in pairs}


def _one_of(name: str, value: object, choices: Iterable[M]) -> M:
    wanted = str.strip(value) if isinstance(value, str) else None
    found = next((choice for choice in choices if choice == wanted), None)
    if found is None:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}.")
    return found


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{name} must be a text.")
    return str.strip(value)


def _each(name: str, values: object) -> list[object]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise SettingsError(f"{name} must be a list.")
    return list(values)


def _texts(name: str, values: object) -> tuple[str, ...]:
    return tuple(_text(name, value) for value in _each(name, values))


def _role_of_each(name: str, roles: object) -> dict[str, Role]:
    if not isinstance(roles, Mapping | None):
        raise SettingsError(f"{name} must be a mapping of groups to roles.")
    return {_text(name, group): _one_of(name, role, Role) for group, role in (roles or {}).items()}


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} must be True or False.")
    return value


def _path(name: str, value: object) -> Path:
    text = str.strip(value) if isinstance(value, str) else str(value) if isinstance(value, Path) else ""
    try:
        is_usable = text and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_usable = False
    if not is_usable:
        raise SettingsError(f"{name} must be a path.")
    return Path(text)


def _plain_url(name: str, value: object) -> str | None:
    url = "" if value is None else _text(name, value)
    if "@" in url:
        raise SettingsError(f"{name} must not hold a user name or password: LITELLM_MASTER_KEY is the key.")
    try:
        return parse_endpoint(url) if url else None
    except ValueError as error:
        raise SettingsError(f"{name} is not the URL of a proxy, such as http://proxy:4000. {error}") from None


def _secret(name: str, value: object) -> SecretStr | None:
    if value is None:
        return None
    text = _text(name, value.get_secret_value() if isinstance(value, SecretStr) else value)
    return SecretStr(text) if text else None


def _long(name: str, secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and len(secret) < MIN_PROXY_SECRET:
        raise SettingsError(f"{name} must have at least {MIN_PROXY_SECRET} characters, made at random.")
    return secret


def _hours(name: str, value: object) -> int:
    hours = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else value
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= MAX_SIGN_IN_HOURS:
        raise SettingsError(f"{name} must be a whole number between 1 and {MAX_SIGN_IN_HOURS}.")
    return hours
