"""What can be checked of the containers without running them: compose.yaml, Dockerfile and what they name."""

from __future__ import annotations

import copy
import os
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from registry import Settings
from registry.keys.keyring import Keyring

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]

SECRET_FILES: dict[str, dict[str, str]] = yaml.safe_load(COMPOSE)["secrets"]
SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|URL$|URL_FILE$")
MOUNTED = "/run/secrets/"
NO_SECRET = {"LITELLM_PROXY_URL"}

NOT_FOR_THE_DASHBOARD = {"LITELLM_API_KEY"}

Services = dict[str, dict[str, Any]]


def settings() -> set[str]:
    """The names in README's table of settings."""
    return set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))


def examples() -> dict[str, str]:
    """The variables of compose.env.example."""
    lines = (ROOT / "compose.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def images(services: Services) -> Iterator[str]:
    """What containers are made of."""
    yield from (service["image"] for service in services.values())
    yield from re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)


def unpinned(services: Services) -> list[str]:
    """Images without a whole version: two numbers of PostgreSQL, three of all others."""
    whole = r"postgres:\d+\.\d+[\w.-]*|[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*"
    return [image for image in images(services) if not re.fullmatch(f"(?:{whole})(?:@sha256:[0-9a-f]{{64}})?", image)]


def mounted(service: dict[str, Any]) -> set[str]:
    """The files that a service reads its secrets from, by its variables, its command and the scripts that it runs."""
    scripts = [path.split(":")[0] for path in service.get("volumes", ()) if str(path).startswith("./")]
    read = [yaml.safe_dump([service["environment"], service.get("entrypoint")], width=1000)]
    return set(re.findall(MOUNTED + r"(\w+)", "\n".join([*read, *((ROOT / path).read_text() for path in scripts)])))


def secrets_elsewhere(services: Services) -> list[str]:
    """Variables that hold a secret themselves, and services that are given other secrets than those that they read."""
    return [
        f"{name}: {variable}"
        for name, service in services.items()
        for variable, value in service["environment"].items()
        if (SECRET.search(variable) and variable not in NO_SECRET and not value.startswith(MOUNTED))
        or re.search(r"://[^/]*:[^/]*@", value)
    ] + [name for name, service in services.items() if mounted(service) != set(service.get("secrets", ()))]


def published(services: Services) -> list[str]:
    """Ports that others than this machine reach."""
    ports = [str(port) for service in services.values() for port in service.get("ports", ())]
    return [port for port in ports if not port.startswith("127.0.0.1:")]


def loose(services: Services) -> list[str]:
    """Services that have or can gain rights, or write to their own file system without need."""
    return [
        name
        for name, service in services.items()
        if "no-new-privileges:true" not in service.get("security_opt", ())
        or service.get("cap_drop") != ["ALL"]
        or service.get("cap_add")
        or not (service.get("read_only") or name == "litellm")
    ]


def unbounded(services: Services) -> list[str]:
    """Services that could use up the machine's memory, processes or open files."""
    return [
        name
        for name, service in services.items()
        if not re.fullmatch(r"\d+[mg]", str(service.get("mem_limit")))
        or not 0 < service.get("pids_limit", 0) <= 4096
        or not 0 < service.get("ulimits", {}).get("nofile", 0) <= 65536
        or not all(":size=" in folder for folder in service.get("tmpfs", ()))
    ]


def unchecked(services: Services) -> list[str]:
    """Services that run on without a health check, or start without waiting for what they need."""
    ours = {"dashboard"} if "\nHEALTHCHECK " in DOCKERFILE else set()
    return [
        name
        for name, service in services.items()
        if not (name in ours or name == "migrate" or service.get("healthcheck", {}).get("test"))
        or not all(
            needed in services and "condition" in how for needed, how in dict(service.get("depends_on", {})).items()
        )
    ]


CHECKS: list[Callable[[Services], list[str]]] = [unpinned, secrets_elsewhere, published, loose, unbounded, unchecked]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_containers_keep_the_rules(check: Callable[[Services], list[str]]) -> None:
    """Versions are pinned, secrets are files, only loopback is published, no service has rights, all have limits, and
    health is checked."""
    assert [] == check(SERVICES)


@pytest.mark.parametrize(
    ("check", "service", "change"),
    [
        (unpinned, "litellm", {"image": "ghcr.io/berriai/litellm:latest"}),
        (unpinned, "registry-db", {"image": "postgres"}),
        (secrets_elsewhere, "litellm-db", {"environment": {"POSTGRES_PASSWORD": "postgres"}}),
        (secrets_elsewhere, "litellm-db", {"environment": {"POSTGRES_PASSWORD": "${LITELLM_DB_PASSWORD:?set it}"}}),
        (secrets_elsewhere, "litellm", {"environment": {"DATABASE": "postgresql://litellm:pw@litellm-db/litellm"}}),
        (secrets_elsewhere, "registry-db", {"secrets": ["registry_owner_password"]}),
        (secrets_elsewhere, "migrate", {"secrets": [*SECRET_FILES]}),
        (published, "litellm", {"ports": ["4000:4000"]}),
        (loose, "dashboard", {"read_only": False}),
        (loose, "litellm", {"security_opt": []}),
        (loose, "litellm", {"cap_drop": []}),
        (loose, "registry-db", {"cap_add": ["CHOWN"]}),
        (unbounded, "dashboard", {"mem_limit": None}),
        (unbounded, "litellm", {"pids_limit": -1}),
        (unbounded, "registry-db", {"ulimits": {}}),
        (unbounded, "litellm-db", {"tmpfs": ["/run"]}),
        (unchecked, "litellm", {"healthcheck": {"disable": True}}),
        (unchecked, "migrate", {"depends_on": {"database": {"condition": "service_healthy"}}}),
    ],
)
def test_control_the_checks_catch(check: Callable[[Services], list[str]], service: str, change: dict[str, Any]) -> None:
    """Positive control: a compose file that breaks a rule is found out."""
    services = copy.deepcopy(SERVICES)
    services[service] |= change
    assert check(services)


def test_variables_are_all_in_the_example_without_values() -> None:
    """And those that are the dashboard's settings are in README's table; no other is made up in their names."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE))
    assert used == examples().keys()
    assert {""} == set(examples().values())
    variables = SERVICES["dashboard"]["environment"]
    ours = {name.removesuffix("_FILE") for name in variables if name.startswith(("REGISTRY_", "LITELLM_"))}
    assert settings() - NOT_FOR_THE_DASHBOARD == ours


def test_what_belongs_to_an_installation_is_not_committed() -> None:
    """Its settings, and above all its secrets."""
    assert {"compose.env", "secrets/"} <= set((ROOT / ".gitignore").read_text().splitlines())


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Path]:
    """The secrets that the script makes in a new installation."""
    (tmp_path / "deploy").mkdir()
    script = shutil.copy(ROOT / "deploy" / "secrets.sh", tmp_path / "deploy")
    subprocess.run(["sh", script], check=True)
    return {name: tmp_path / secret["file"] for name, secret in SECRET_FILES.items()}


def test_the_script_makes_all_secrets(made: dict[str, Path]) -> None:
    """Each that is named, and no other; no one but its owner gets into the folder, and containers read their own."""
    folder = made["litellm_salt_key"].parent
    assert {path.name for path in folder.iterdir()} == made.keys()
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert {0o644} == {stat.S_IMODE(path.stat().st_mode) for path in made.values()}
    assert len({path.read_text() for path in made.values()}) == len(made)


def test_the_dashboard_can_use_what_the_script_makes(made: dict[str, Path]) -> None:
    """The keys are keys, and the URLs have the passwords that the roles are made with."""
    for service, role in (("dashboard", "app"), ("migrate", "owner")):
        variables = SERVICES[service]["environment"]
        paths = {name: value for name, value in variables.items() if name.endswith("_FILE")}
        settings = Settings.from_env({name: str(made[value.removeprefix(MOUNTED)]) for name, value in paths.items()})
        url = make_url(settings.database_url)
        assert ("registry_" + role, "registry-db") == (url.username, url.host)
        assert made[f"registry_{role}_password"].read_text().strip() == url.password
        assert Keyring([key.get_secret_value() for key in settings.fernet_keys])


def test_the_script_touches_nothing_that_is_there(made: dict[str, Path]) -> None:
    """Run once more, when a secret is missing: a new key could not open what the old one encrypted."""
    before = {name: path.read_text() for name, path in made.items()}
    made["registry_proxy_secret"].unlink()
    subprocess.run(["sh", made["registry_proxy_secret"].parents[1] / "deploy" / "secrets.sh"], check=True)
    changed = [name for name, path in made.items() if path.read_text() != before[name]]
    assert ["registry_proxy_secret"] == changed


def test_litellm_finds_its_secrets_in_its_environment(made: dict[str, Path], tmp_path: Path) -> None:
    """It reads no files: what is run in its container hands them over, and the arguments as well."""
    (tmp_path / "docker").mkdir()
    proxy = tmp_path / "docker" / "prod_entrypoint.sh"
    proxy.write_text('#!/bin/sh\necho "$@"\nenv\n')
    proxy.chmod(0o700)
    litellm = SERVICES["litellm"]
    command = [part.replace("$$", "$") for part in [*litellm["entrypoint"], *litellm["command"]]]
    command = [part.replace(MOUNTED, f"{made['litellm_salt_key'].parent}/") for part in command]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env={"PATH": os.defpath})
    arguments, *variables = said.stdout.splitlines()
    found = dict(line.split("=", 1) for line in variables)
    assert "--port 4000" == arguments
    assert found.items() >= {
        ("LITELLM_MASTER_KEY", made["litellm_master_key"].read_text().strip()),
        ("LITELLM_SALT_KEY", made["litellm_salt_key"].read_text().strip()),
        ("DATABASE_PASSWORD", made["litellm_db_password"].read_text().strip()),
    }


def test_our_image_has_our_version() -> None:
    """So that a rollback finds the image of the version before."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("dashboard", "migrate"):
        assert f"llm-model-registry:{version}" == SERVICES[name]["image"]


def test_the_image_holds_what_it_copies_and_runs_as_nobody_in_particular() -> None:
    """Each source is there and let through by .dockerignore, which starts with refusing everything."""
    everything, *rules = (ROOT / ".dockerignore").read_text().split()
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    copied = [path for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for path in line.split()]
    assert "*" == everything
    assert {path.rstrip("/") for path in copied} == set(let_in)
    for path in copied:
        assert (ROOT / path).exists(), path
    assert not any(fnmatch(".streamlit/secrets.toml", rule) for rule in let_in)
    assert "--require-hashes -r requirements.txt" in DOCKERFILE
    assert ["10001"] == re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)


def test_mounted_files_are_there() -> None:
    """Those of this repository: Docker would make a folder in the place of a missing one."""
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    mounted = [volume.split(":")[0] for volume in volumes if isinstance(volume, str) and volume.startswith("./")]
    assert ["./deploy/app-role.sql"] == mounted
    assert (ROOT / mounted[0]).is_file()
