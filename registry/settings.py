"""Settings: the only reader of the registry's variables in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, SecretStr, ValidationError

from registry.actors import Role
from registry.catalog.egress import Policy
from registry.catalog.endpoints import parse_endpoint
from registry.catalog.faults import shown
from registry.errors import SettingsError
from registry.keys.file import MAX_SIGN_IN_HOURS, key_file
from registry.secrecy import Unpickled, forgetful

STORE_FILE: Final = "registry.db"
KEY_FILE: Final = "fernet.key"
MIN_PROXY_SECRET: Final = 16  # characters
MOST_SECRET: Final = 64 * 1024  # bytes

AuthMode = Literal["local", "oidc", "proxy"]
T = TypeVar("T")
M = TypeVar("M", bound=str)
K = TypeVar("K", covariant=True)
G = TypeVar("G", contravariant=True)


class Kept(Protocol[K, G]):
    """A field that is kept as a ``K`` and may be given as a ``G``. Type checkers take it for a descriptor, whose
    ``__set__`` types the argument and whose ``__get__`` types the attribute; for pydantic it is a ``K``."""

    def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
        return types[0]

    def __get__(self, settings: object, owner: object, /) -> K: ...
    def __set__(self, settings: object, given: G, /) -> None: ...


class Written(str):
    """The text of a variable: the parts of a list are separated by commas."""

    def parts(self) -> list[str]:
        return [part.strip() for part in self.split(",") if part.strip()]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text.")
    return str.strip(value)


def _each(values: object) -> list[object]:
    if isinstance(values, Written):
        return [*values.parts()]
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise ValueError("must be a list.")
    return list(values)


def _secret(value: object) -> SecretStr | None:
    if value is None:
        return None
    text = _text(value.get_secret_value() if isinstance(value, SecretStr) else value)
    return SecretStr(text) if text else None


def _secrets(values: object) -> tuple[SecretStr, ...]:
    return tuple(filter(None, map(_secret, _each(values))))


def _long(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and len(secret) < MIN_PROXY_SECRET:
        raise ValueError(f"must have at least {MIN_PROXY_SECRET} characters, made at random.")
    return secret


def _proxy_url(value: object) -> str | None:
    url = "" if value is None else _text(value)
    if "@" in url:
        raise ValueError("must not hold a user name or password: LITELLM_MASTER_KEY is the key.")
    try:
        return parse_endpoint(url) if url else None
    except ValueError as error:
        raise ValueError(f"is not the URL of a proxy, such as http://proxy:4000. {error}") from None


def _one_of(choices: Iterable[M], value: object) -> M:
    wanted = str.strip(value) if isinstance(value, str) else None
    found = next((choice for choice in choices if choice == wanted), None)
    if found is None:
        raise ValueError(f"must be one of {', '.join(choices)}.")
    return found


def _roles(roles: object) -> dict[str, Role]:
    """The role of each group; written as ``group=role``, where a group's name may hold ``=``."""
    if isinstance(roles, Written):
        pairs = [(group.strip(), role.strip()) for group, _, role in (part.rpartition("=") for part in roles.parts())]
        if not all(group and role for group, role in pairs):
            raise ValueError("must be pairs such as registry-admins=admin,data-team=auditor.")
        roles = dict(pairs)
    if not isinstance(roles, Mapping | None):
        raise ValueError("must be a mapping of groups to roles.")
    return {_text(group): _one_of(Role, role) for group, role in (roles or {}).items()}


def _hours(value: object) -> int:
    hours = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else value
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= MAX_SIGN_IN_HOURS:
        raise ValueError(f"must be a whole number between 1 and {MAX_SIGN_IN_HOURS}.")
    return hours


def _path(value: object) -> Path:
    text = str.strip(value) if isinstance(value, str) else str(value) if isinstance(value, Path) else ""
    try:
        is_usable = text and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_usable = False
    if not is_usable:
        raise ValueError("must be a path.")
    return Path(text)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be True or False.")
    return value


Text = Annotated[str, PlainValidator(_text)]
Texts = Annotated[Kept[tuple[Text, ...], Sequence[str]], BeforeValidator(_each)]
Secret = Annotated[Kept[SecretStr | None, str | SecretStr | None], PlainValidator(_secret)]
Secrets = Annotated[Kept[tuple[SecretStr, ...], Sequence[str | SecretStr]], PlainValidator(_secrets)]
LongSecret = Annotated[Secret, AfterValidator(_long)]
ProxyUrl = Annotated[str | None, PlainValidator(_proxy_url)]
Auth = Annotated[Kept[AuthMode, str], PlainValidator(partial(_one_of, get_args(AuthMode)))]
Roles = Annotated[Kept[Mapping[str, Role], Mapping[str, Role | str] | None], PlainValidator(_roles)]
Hours = Annotated[Kept[int, int | str], PlainValidator(_hours)]
Folder = Kept[Annotated[Path, PlainValidator(_path)] | None, Path | str | None]
Flag = Annotated[bool, PlainValidator(_flag)]


def _setting(variable: str | None, default: object, description: str, *, secret: bool = False) -> Any:
    """A field: its title is the variable that it is read from, and what its repr leaves out can be read from a file,
    which the variable of the same name with _FILE at its end names."""
    return Field(default, title=variable, description=description, repr=not secret)


class Checked(Unpickled, BaseModel, frozen=True, hide_input_in_errors=True):
    """Settings that refuse what does not fit, by the name of its variable.

    A class of its own, since type checkers read the arguments off the fields only where no ``__init__`` stands beside.
    """

    @forgetful
    def __init__(self, /, **given: Any) -> None:
        fields, fault = type(self).model_fields, ""
        if unknown := sorted(given.keys() - fields):
            raise SettingsError(f"There is no setting {', '.join(map(shown, unknown))}.")
        try:
            super().__init__(**given)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = str(first["loc"][0])
            fault = f"{fields[name].title or name} {first.get('ctx', {}).get('error', first['msg'])}"
        if fault:
            raise SettingsError(fault)  # outside of the except: pydantic's error holds the input

    @forgetful
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{shown(name)} cannot be set: settings do not change. Make others with replace().")


class Settings(Checked, frozen=True):
    """How to reach the store and the proxy, and the keys. Each setting is declared in one line.

    Raises:
        SettingsError: a setting is unusable, or there is no such setting.
    """

    database_url: Text = _setting("REGISTRY_DATABASE_URL", "", "sqlite:///path or postgresql+psycopg://…", secret=True)
    fernet_keys: Secrets = _setting("REGISTRY_FERNET_KEYS", (), "The first encrypts, all decrypt.", secret=True)
    litellm_proxy_url: ProxyUrl = _setting("LITELLM_PROXY_URL", None, "Root of the LiteLLM proxy, where there is one.")
    litellm_master_key: Secret = _setting("LITELLM_MASTER_KEY", None, "Administers the proxy.", secret=True)
    litellm_api_key: Secret = _setting("LITELLM_API_KEY", None, "What KB code calls the proxy with.", secret=True)
    auth: Auth = _setting("REGISTRY_AUTH", "local", "How people sign in at the dashboard.")
    roles: Roles = _setting("REGISTRY_ROLES", {}, "Group of the sign-in → role.")
    groups_claim: Text = _setting("REGISTRY_GROUPS_CLAIM", "groups", "With oidc: the ID token's claim of the groups.")
    sign_in_hours: Hours = _setting("REGISTRY_SIGN_IN_HOURS", 8, "How long a sign-in holds, with local and oidc.")
    proxy_secret: LongSecret = _setting("REGISTRY_PROXY_SECRET", None, "Proves an authenticating proxy.", secret=True)
    public_hosts: Texts = _setting("REGISTRY_PUBLIC_HOSTS", (), "Names under which the dashboard is served.")
    endpoint_allow: Texts = _setting("REGISTRY_ENDPOINT_ALLOW", (), "Hosts that models may be called at; empty: any.")
    endpoint_deny: Texts = _setting("REGISTRY_ENDPOINT_DENY", (), "Hosts that models must not be called at.")
    data_dir: Folder = _setting("REGISTRY_DATA_DIR", None, "The dashboard's own files; None: beside app.py.")
    embedded: Flag = _setting(None, False, "The store is the dashboard's own, which it sets up and migrates itself.")

    def model_post_init(self, _: object) -> None:
        Policy(self.endpoint_allow, self.endpoint_deny)  # refuses an unusable entry at start, not at the first call

    def require_keys(self) -> None:
        """Refuse to go on without an encryption key.

        Raises:
            SettingsError: none is configured.
        """
        if not self.fernet_keys:
            raise SettingsError(
                "REGISTRY_FERNET_KEYS is not set: without it no API key can be stored or used. "
                "Make a key with `python -m registry new-key` and give every replica the same one."
            )

    @forgetful
    def replace(self, **changes: Any) -> Self:
        """The same settings but for these, which are checked as all are."""
        return type(self)(**{**dict(self), **changes})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As `replace`, in pydantic's words; a copy without a change is the same settings."""
        return self.replace(**update) if update else self

    @classmethod
    @forgetful
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``REGISTRY_*`` and ``LITELLM_*`` from the environment, which is left untouched, and secrets also from
        the files that it names.

        Raises:
            SettingsError: a setting is unusable, or ``environ`` is no mapping of names to texts.
        """
        env = os.environ if environ is None else environ
        if not isinstance(env, Mapping):
            raise SettingsError("The environment must be a mapping of names to texts.")
        read = {
            name: _read(env, field.title, secret=not field.repr)
            for name, field in cls.model_fields.items()
            if field.title
        }
        given: dict[str, Any] = {name: Written(text) for name, text in read.items() if text}
        return cls(**given)

    @classmethod
    @forgetful
    def for_dashboard(cls, folder: Path | str, environ: Mapping[str, str] | None = None) -> Self:
        """The environment's settings; where they name no store, the embedded one, in their folder or else ``folder``.

        A key file (mode 0600) is made only together with a new embedded store: a lost one is never remade, since a
        new key could not open what the old one encrypted.

        Raises:
            SettingsError: the store is not the embedded one and no keys are configured, or a setting is unusable.
        """
        folder, settings = _checked(_path, "folder", folder), cls.from_env(environ)
        if settings.database_url:
            settings.require_keys()
            return settings
        folder = settings.data_dir or folder
        store = folder / STORE_FILE
        keys = settings.fernet_keys or filter(None, [key_file(folder / KEY_FILE, unless=store)])
        return settings.replace(fernet_keys=tuple(keys), database_url=f"sqlite:///{store}", embedded=True)


def _checked(check: Callable[[object], T], name: str, value: object) -> T:
    try:
        return check(value)
    except ValueError as error:
        raise SettingsError(f"{name} {error}") from None


def _read(env: Mapping[str, str], variable: str, *, secret: bool) -> str:
    """What a variable says; of a secret also the file that the one beside it names."""
    text = _checked(_text, variable, env.get(variable, ""))
    name = f"{variable}_FILE"
    path = _checked(_text, name, env.get(name, "")) if secret else ""
    if not path:
        return text
    if text:
        raise SettingsError(f"{variable} and {name} are both set: take one of them away.")
    try:
        with _checked(_path, name, path).open("rb") as file:
            return file.read(MOST_SECRET).decode().strip()
    except OSError as error:
        raise SettingsError(f"The file that {name} names cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The file that {name} names must hold a text.") from None
