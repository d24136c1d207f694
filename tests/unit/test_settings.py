"""Settings: what the environment says, and what the dashboard's own store adds."""

from __future__ import annotations

import copy
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import SecretStr

from registry import Registry, Settings
from registry.errors import SettingsError
from registry.settings import KEY_FILE, STORE_FILE
from tests.support.factories import KEY_A, KEY_B

ENVIRONMENT = {
    "REGISTRY_DATABASE_URL": "postgresql+psycopg://registry:hidden@db/registry",
    "REGISTRY_FERNET_KEYS": f" {KEY_B}, {KEY_A} ,",
    "LITELLM_PROXY_URL": "http://proxy:4000/",
    "LITELLM_MASTER_KEY": "sk-master-hidden",
    "LITELLM_API_KEY": "sk-call-hidden",
}


def variables() -> list[str]:
    """All that are read of an environment."""
    asked: list[str] = []

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return default

    Settings.from_env(Environment())
    return asked


SECRETS = [name.removesuffix("_FILE") for name in variables() if name.endswith("_FILE")]


def test_settings_come_from_the_environment() -> None:
    """Keys in their order, white space and a trailing slash left out."""
    settings = Settings.from_env(ENVIRONMENT)
    assert settings.database_url == ENVIRONMENT["REGISTRY_DATABASE_URL"]
    assert [key.get_secret_value() for key in settings.fernet_keys] == [KEY_B, KEY_A]
    assert settings.litellm_proxy_url == "http://proxy:4000"


def test_secrets_may_stand_in_files(tmp_path: Path) -> None:
    """With the same meaning: of the variable with _FILE at its end, without the line break that files end with."""
    secrets = {name: ENVIRONMENT[name] for name in SECRETS if name in ENVIRONMENT} | {"REGISTRY_PROXY_SECRET": "x" * 16}
    files = {f"{name}_FILE": str(tmp_path / name) for name in secrets}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret + "\n")
    assert set(SECRETS) == secrets.keys()
    assert Settings.from_env(secrets) == Settings.from_env(files)


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_holds_no_secret_is_told(name: str, tmp_path: Path) -> None:
    """By the variable that names it, and without a word of what it holds. An empty file is an empty variable."""
    (tmp_path / "empty").touch()
    assert Settings.from_env({f"{name}_FILE": str(tmp_path / "empty")}) == Settings()
    (tmp_path / "garbage").write_bytes(b"\xffhidden")
    for path in ("garbage", "missing", ".", "a\0b"):
        with pytest.raises(SettingsError, match=f"{name}_FILE") as refused:
            Settings.from_env({f"{name}_FILE": str(tmp_path / path)})
        assert "hidden" not in str(refused.value)
        assert refused.value.__cause__ is None
    with pytest.raises(SettingsError, match="both set"):
        Settings.from_env({name: "x", f"{name}_FILE": str(tmp_path / "empty")})


@pytest.mark.parametrize("name", ["REGISTRY_AUTH", "REGISTRY_ROLES", "LITELLM_PROXY_URL"])
def test_what_is_no_secret_is_read_from_no_file(name: str, tmp_path: Path) -> None:
    """The control: only secrets have such a variable."""
    assert Settings.from_env({f"{name}_FILE": str(tmp_path / "missing")}) == Settings()


@pytest.mark.parametrize(
    "value", [pd.NA, pd.Series([1, 2]).to_numpy(), 42, None], ids=lambda value: type(value).__name__
)
def test_a_choice_is_one_of_the_words(value: Any) -> None:
    """Also where the value cannot even be compared."""
    with pytest.raises(SettingsError, match="REGISTRY_AUTH must be one of local, oidc, proxy"):
        Settings(auth=value)
    with pytest.raises(SettingsError, match="REGISTRY_ROLES must be one of viewer"):
        Settings(roles={"staff": value})


@pytest.mark.parametrize("secret", [SecretStr(42), SecretStr(None), 42, b"sk", ["sk"], pd.NA], ids=repr)  # type: ignore[arg-type]  # the point
@pytest.mark.parametrize("name", ["litellm_master_key", "litellm_api_key", "proxy_secret", "fernet_keys"])
def test_a_secret_is_a_text(name: str, secret: Any) -> None:
    """Alone or in a SecretStr; anything else is no secret that could be used."""
    with pytest.raises(SettingsError, match="must be a text"):
        Settings(**{name: [secret] if name == "fernet_keys" else secret})


def test_a_setting_that_there_is_not_is_told() -> None:
    """By its beginning: it may be a secret in the wrong place."""
    with pytest.raises(SettingsError, match="no setting “sk-…”") as refused:
        Settings(**{"sk-hidden\ud800": "hidden"})
    assert "hidden" not in str(refused.value)


def test_changed_settings_are_checked_too() -> None:
    """As new ones are; what is not named stays."""
    settings = Settings(database_url="sqlite:///x", fernet_keys=[KEY_A], sign_in_hours=12)
    assert Settings(database_url="sqlite:///x", fernet_keys=[KEY_B], sign_in_hours=12) == settings.replace(
        fernet_keys=[KEY_B]
    )
    with pytest.raises(SettingsError, match="REGISTRY_FERNET_KEYS must be a list"):
        settings.replace(fernet_keys=KEY_B)


def test_settings_do_not_change() -> None:
    """Not even their copies; what was to be set is not repeated."""
    settings = Settings()
    assert settings is copy.copy(settings) is copy.deepcopy(settings) is settings.model_copy()
    with pytest.raises(AttributeError, match=r"^litellm_api_key cannot be set: .*replace\(\)\.$"):
        settings.litellm_api_key = "hidden"  # type: ignore[misc]  # the point
    assert "oidc" == settings.model_copy(update={"auth": "oidc"}).auth != settings.auth
    with pytest.raises(SettingsError, match="REGISTRY_AUTH"):
        settings.model_copy(update={"auth": "nonsense"})


@pytest.mark.parametrize("environ", [42, "x", [("REGISTRY_AUTH", "local")], pd.NA], ids=repr)
def test_an_environment_is_a_mapping(environ: Any, tmp_path: Path) -> None:
    """For the dashboard's settings too."""
    with pytest.raises(SettingsError, match="environment"):
        Settings.from_env(environ)
    with pytest.raises(SettingsError, match="environment"):
        Settings.for_dashboard(tmp_path, environ)


@pytest.mark.parametrize("name", variables())
@pytest.mark.parametrize("value", [42, None, b"x", ["x"]], ids=repr)
def test_a_variable_is_a_text(name: str, value: Any) -> None:
    """As all are in a real environment."""
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({name: value})


@pytest.mark.parametrize("folder", [42, None, b"x", "", " ", "a\0b", Path("a\0b"), Path("a\ud800b"), ["x"]], ids=ascii)
def test_a_folder_is_a_path(folder: Any) -> None:
    """One that the system could have; the setting is named."""
    with pytest.raises(SettingsError, match="folder must be a path"):
        Settings.for_dashboard(folder, {})
    if folder is not None:
        with pytest.raises(SettingsError, match="REGISTRY_DATA_DIR must be a path"):
            Settings(data_dir=folder)


def test_a_folder_may_be_a_text(tmp_path: Path) -> None:
    """With the same meaning as its path."""
    assert Settings.for_dashboard(tmp_path, {}) == Settings.for_dashboard(f" {tmp_path} ", {})
    assert Settings(data_dir=tmp_path) == Settings(data_dir=str(tmp_path))


def test_an_empty_environment_names_no_store() -> None:
    """KB code gets an error then, not an empty registry."""
    settings = Settings.from_env({"REGISTRY_DATABASE_URL": " ", "LITELLM_API_KEY": ""})
    assert Settings() == settings
    with pytest.raises(SettingsError, match="REGISTRY_DATABASE_URL"):
        Registry.connect(settings)


def test_settings_show_no_secret() -> None:
    """Neither the keys nor the password in the store's URL are in the repr."""
    shown = repr(Settings.from_env(ENVIRONMENT))
    assert not any(secret in shown for secret in (KEY_A, KEY_B, "hidden"))


@pytest.mark.parametrize(
    "url", ["mysql://db/x", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql+asyncpg://db/x", "oracle://x"]
)
def test_other_databases_are_refused(url: str) -> None:
    """The message says which URLs there are."""
    with pytest.raises(SettingsError, match="REGISTRY_DATABASE_URL"):
        Registry.connect(Settings(database_url=url, fernet_keys=[KEY_A]))


def test_the_dashboard_makes_a_store_and_its_key(tmp_path: Path) -> None:
    """The key file is its owner's alone, and so is the store."""
    folder = tmp_path / "data"
    with Registry.connect(Settings.for_dashboard(folder, {})) as registry:
        assert registry.key_status().ok
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in (KEY_FILE, STORE_FILE)}
    assert modes == {KEY_FILE: 0o600, STORE_FILE: 0o600}


def test_the_key_file_is_used_again(tmp_path: Path) -> None:
    """A second start finds the first one's key."""
    first = Settings.for_dashboard(tmp_path, {})
    Registry.connect(first).close()
    assert first == Settings.for_dashboard(tmp_path, {})


def test_a_lost_key_file_is_never_made_anew(tmp_path: Path) -> None:
    """A new key could open nothing that the old one encrypted: the dashboard says so, and lists its models."""
    Registry.connect(Settings.for_dashboard(tmp_path, {})).close()
    (tmp_path / KEY_FILE).unlink()
    with Registry.connect(Settings.for_dashboard(tmp_path, {})) as registry:
        assert not (tmp_path / KEY_FILE).exists()
        assert not registry.key_status().ok
        assert registry.models.find() == []


def test_configured_keys_come_before_the_key_file(tmp_path: Path) -> None:
    """With REGISTRY_FERNET_KEYS no file is made."""
    settings = Settings.for_dashboard(tmp_path, {"REGISTRY_FERNET_KEYS": KEY_A})
    assert [key.get_secret_value() for key in settings.fernet_keys] == [KEY_A]
    assert not (tmp_path / KEY_FILE).exists()


def test_the_dashboards_folder_can_be_elsewhere(tmp_path: Path) -> None:
    """REGISTRY_DATA_DIR goes before the folder beside app.py."""
    settings = Settings.for_dashboard(tmp_path / "beside", {"REGISTRY_DATA_DIR": str(tmp_path / "there")})
    assert settings.database_url == f"sqlite:///{tmp_path / 'there' / STORE_FILE}"
    assert (tmp_path / "there" / KEY_FILE).exists()
    assert not (tmp_path / "beside").exists()


def test_how_people_sign_in_comes_from_the_environment() -> None:
    """What is not set has its default."""
    settings = Settings.from_env({"REGISTRY_GROUPS_CLAIM": " roles ", "REGISTRY_SIGN_IN_HOURS": "12"})
    assert (settings.groups_claim, settings.sign_in_hours) == ("roles", 12)
    assert (Settings().groups_claim, Settings().sign_in_hours, Settings().auth) == ("groups", 8, "local")


@pytest.mark.parametrize("hours", ["0", "-1", "169", "8.5", "eight"])
def test_a_sign_in_holds_for_whole_hours_up_to_a_week(hours: str) -> None:
    with pytest.raises(SettingsError, match="REGISTRY_SIGN_IN_HOURS"):
        Settings.from_env({"REGISTRY_SIGN_IN_HOURS": hours})


def test_the_dashboard_does_not_start_without_keys_on_another_store(tmp_path: Path) -> None:
    """A key file beside one of several replicas would be a key that the others do not have."""
    with pytest.raises(SettingsError, match="REGISTRY_FERNET_KEYS"):
        Settings.for_dashboard(tmp_path, {"REGISTRY_DATABASE_URL": "postgresql+psycopg://db/registry"})
    assert not (tmp_path / KEY_FILE).exists()


def test_kb_code_needs_no_encryption_key(tmp_path: Path) -> None:
    """It may list and bind; only what needs a key fails."""
    with Registry.connect(Settings(database_url=f"sqlite:///{tmp_path / 'r.db'}")) as registry:
        assert registry.models.find() == []


def test_a_proxys_url_holds_no_credentials() -> None:
    """It is shown; the key has a setting of its own. The message does not repeat it."""
    with pytest.raises(SettingsError, match="LITELLM_PROXY_URL") as caught:
        Settings(litellm_proxy_url="http://user:hidden@proxy:4000")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "secret-word",
        "ftp://proxy",
        "http://",
        "http://proxy:$PORT",
        "http://proxy:65536",
        "http://proxy:0",
        "http://a..b",
        "http://" + "a" * 64,
        "http://proxy\ud800",
        "http://pröxy",
        "http://proxy:4000?key=secret-word",
        "http://proxy:4000#secret-word",
        "http://pro xy",
    ],
    ids=ascii,
)
def test_what_is_no_proxys_url_is_refused_without_being_repeated(url: str) -> None:
    """When the settings are made, not at the first change that the proxy should follow."""
    with pytest.raises(SettingsError, match="LITELLM_PROXY_URL") as caught:
        Settings.from_env({"LITELLM_PROXY_URL": url})
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [(" http://proxy:4000/ ", "http://proxy:4000"), ("https://PROXY/litellm/", "https://proxy/litellm"), ("", None)],
)
def test_a_proxys_url_is_kept_in_one_spelling(url: str, kept: str | None) -> None:
    """A path stays; no URL is no proxy."""
    assert kept == Settings(litellm_proxy_url=url).litellm_proxy_url
