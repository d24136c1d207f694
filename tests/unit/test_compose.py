"""What can be told of the containers without an engine that runs them: compose.yaml, Dockerfile and what they name."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]

SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN")
REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
OPTIONAL = "${REGISTRY_PROXY_SECRET:-}"
"""The one secret that not every installation has: where it has to be there, the dashboard checks that it is."""

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
    """Images without a version of at least two numbers."""
    return [image for image in images(services) if not re.search(r":v?\d+\.\d+[\w.-]*$", image)]


def literal_secrets(services: Services) -> list[str]:
    """Variables that hold a secret which is not taken from the environment, or that may be left unset."""
    return [
        f"{name}: {variable}"
        for name, service in services.items()
        for variable, value in service["environment"].items()
        if (SECRET.search(variable) and not REQUIRED.fullmatch(value) and value != OPTIONAL)
        or re.search(r"://[^/]*:[^/]*@", value)
    ]


def published(services: Services) -> list[str]:
    """Ports that others than this machine reach."""
    ports = [str(port) for service in services.values() for port in service.get("ports", ())]
    return [port for port in ports if not port.startswith("127.0.0.1:")]


def loose(services: Services) -> list[str]:
    """Services that can gain rights, or write to their own file system without need."""
    return [
        name
        for name, service in services.items()
        if "no-new-privileges:true" not in service.get("security_opt", ())
        or not (service.get("read_only") or name == "litellm")
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


CHECKS: list[Callable[[Services], list[str]]] = [unpinned, literal_secrets, published, loose, unchecked]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_containers_keep_the_rules(check: Callable[[Services], list[str]]) -> None:
    """Versions are pinned, secrets come from outside, only loopback is published, rights are few, health is checked."""
    assert [] == check(SERVICES)


@pytest.mark.parametrize(
    ("check", "service", "change"),
    [
        (unpinned, "litellm", {"image": "ghcr.io/berriai/litellm:latest"}),
        (unpinned, "registry-db", {"image": "postgres"}),
        (literal_secrets, "litellm-db", {"environment": {"POSTGRES_PASSWORD": "postgres"}}),
        (literal_secrets, "litellm-db", {"environment": {"POSTGRES_PASSWORD": "${LITELLM_DB_PASSWORD:-postgres}"}}),
        (literal_secrets, "litellm", {"environment": {"DATABASE_URL": "postgresql://litellm:pw@litellm-db/litellm"}}),
        (published, "litellm", {"ports": ["4000:4000"]}),
        (loose, "dashboard", {"read_only": False}),
        (loose, "litellm", {"security_opt": []}),
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
    ours = {name for name in SERVICES["dashboard"]["environment"] if name.startswith(("REGISTRY_", "LITELLM_"))}
    assert settings() - NOT_FOR_THE_DASHBOARD == ours


def test_the_filled_in_example_is_not_committed() -> None:
    """It holds every secret of the installation."""
    assert "compose.env" in (ROOT / ".gitignore").read_text().splitlines()


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
