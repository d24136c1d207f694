"""The command line, run as administrators run it: in a process of its own."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from registry import Actor, Registry, Settings
from registry.entrypoints.cli import main
from registry.keys import keyring
from registry.keys.passes import Passes
from tests.support.factories import KEY_A, KEY_B, created
from tests.support.sabotage import remove_audit_triggers

ROOT = Path(__file__).parents[3]
ME = Actor("alice@example.com", role="admin")


def run(*arguments: str, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """``python -m registry …`` with these environment variables and no other settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "LITELLM_"))}
    return subprocess.run(
        [sys.executable, "-m", "registry", *arguments],
        env={**inherited, "PYTHONPATH": str(ROOT), **variables},
        cwd=folder or ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Exit code 1, one line on standard error for the user, and nothing else."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("registry: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_migrate_sets_up_an_empty_store(empty_url: str, again: bool) -> None:
    """The same command sets up a store and brings it up to date; run again it changes nothing."""
    variables = {"REGISTRY_DATABASE_URL": empty_url, "REGISTRY_FERNET_KEYS": KEY_A}
    if again:
        run("migrate", **variables)
    done = run("migrate", **variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "The store is up to date.\n", "")
    with Registry.connect(Settings(database_url=empty_url, fernet_keys=[KEY_A])) as reg:
        assert reg.key_status().ok
        assert created(reg).has_api_key


def test_migrate_without_keys_leaves_the_store_without_secret(empty_url: str) -> None:
    """Who owns the tables need not know the keys; the first run with keys gives the store its secret."""
    run("migrate", REGISTRY_DATABASE_URL=empty_url)
    with Registry.connect(Settings(database_url=empty_url)) as reg:
        assert not reg.key_status().ok
    run("migrate", REGISTRY_DATABASE_URL=empty_url, REGISTRY_FERNET_KEYS=KEY_A)
    with Registry.connect(Settings(database_url=empty_url, fernet_keys=[KEY_A])) as reg:
        assert reg.key_status().ok


@pytest.fixture
def granted_url(postgresql_url: str) -> Iterator[str]:
    """A store on PostgreSQL, as seen by the role that the dashboard runs as; the role's name needs quoting."""
    role = f"registry app {uuid4().hex}"
    owner = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(text(f'CREATE ROLE "{role}" LOGIN'))
        done = run("migrate", "--grant", role, REGISTRY_DATABASE_URL=postgresql_url)
        assert done.returncode == 0, done.stderr
        yield make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)
        connection.execute(text(f'DROP OWNED BY "{role}"'))
        connection.execute(text(f'DROP ROLE "{role}"'))
    owner.dispose()


def test_migrate_grants_what_the_dashboard_needs(granted_url: str) -> None:
    """The role that the dashboard runs as can do all that the library does, the audit log included."""
    with Registry.connect(Settings(database_url=granted_url, fernet_keys=[KEY_B, KEY_A])) as reg:
        model = created(reg)
        reg.rotate_keys(actor=ME)
        reg.models.set_default(model.id, actor=ME)
        reg.knowledge_bases.bind("kb", name="Any", **{model.type: model.id}, actor=ME)
        reg.models.clear_default(model.type, actor=ME)
        reg.knowledge_bases.remove("kb", actor=ME)
        reg.models.delete(model.id, actor=ME)
        assert reg.audit.verify().checked == 7


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "DROP TABLE audit_log",
        "CREATE TABLE more (id integer)",
        "UPDATE alembic_version SET version_num = '9999'",
    ],
)
def test_migrate_grants_no_more_than_that(granted_url: str, statement: str) -> None:
    """For that role the log only grows, even without the triggers, which it cannot touch; nor can it change a table."""
    engine = create_engine(granted_url)
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


SHADOW = "CREATE TEMPORARY TABLE audit_log AS SELECT 98 AS seq, repeat('f', 64) AS hash"


@pytest.mark.parametrize("before", ["SELECT 1", SHADOW, "SET search_path = pg_temp"], ids=["plain", "shadow", "path"])
@pytest.mark.parametrize("number", [-1, 0, 1, 3, 99])
def test_what_that_role_writes_follows_the_newest_entry(granted_url: str, number: int, before: str) -> None:
    """It cannot number an entry otherwise than as the next, whichever table it puts in the place of the log."""
    with Registry.connect(Settings(database_url=granted_url, fernet_keys=[KEY_A])) as reg:
        created(reg)
        engine = create_engine(granted_url)
        texts = ", ".join(["'x'"] * 7)
        entry = f"{number}, now(), {texts}, '{{}}', '{{}}', repeat('f', 64), repeat('0', 64)"
        with engine.begin() as connection:
            connection.execute(text(before))
            with pytest.raises(IntegrityError, match="must follow the newest"):
                connection.execute(text(f"INSERT INTO public.audit_log VALUES ({entry})"))
        engine.dispose()
        created(reg)
        assert (True, 2) == (reg.audit.verify().ok, reg.audit.verify().checked)


def test_grant_needs_a_role_that_exists(postgresql_url: str) -> None:
    """The message names the role and says how to make one."""
    done = run("migrate", "--grant", "no such role", REGISTRY_DATABASE_URL=postgresql_url)
    assert_refused(done, "no role “no such role”. Create it")


def test_verify_tells_an_intact_log_from_an_altered_one(store_url: str, reg: Registry, raw: Engine) -> None:
    """Exit code 0, the number of entries and the newest one's hash, or 1 and the first entry that is not as it was
    written."""
    variables = {"REGISTRY_DATABASE_URL": store_url, "REGISTRY_FERNET_KEYS": KEY_A}
    done = run("verify", **variables)
    assert (done.returncode, done.stdout) == (0, "The audit log is intact: 0 entries.\n")
    created(reg)
    created(reg)
    done = run("verify", **variables)
    told = f"The audit log is intact: 2 entries.\nNote outside the database: entry 2, hash {_newest_hash(reg)}\n"
    assert (done.returncode, done.stdout) == (0, told)
    remove_audit_triggers(raw)
    with raw.begin() as connection:
        connection.execute(text("UPDATE audit_log SET actor = 'somebody else' WHERE seq = 2"))
    assert_refused(run("verify", **variables), "intact up to entry 1. Entry 2 was altered.")


def _newest_hash(reg: Registry) -> str:
    return reg.audit.find(limit=1).entries[0].hash


@pytest.mark.parametrize(
    "edit",
    ["at = 'yesterday'", "changes = 'no json'", "changes = CAST(X'7bff' AS TEXT)", "actor = X'00'"],
    ids=["time", "json", "bytes", "blob"],
)
def test_verify_names_what_cannot_be_read(sqlite_url: str, edit: str) -> None:
    """In one line, as what was altered."""
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])) as reg:
        created(reg)
        created(reg)
    engine = create_engine(sqlite_url)
    remove_audit_triggers(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE audit_log SET {edit} WHERE seq = 2"))
    engine.dispose()
    done = run("verify", REGISTRY_DATABASE_URL=sqlite_url, REGISTRY_FERNET_KEYS=KEY_A)
    assert_refused(done, "intact up to entry 1. Entry 2 was altered.")


KEYS = {"new": KEY_B, "old": KEY_A, "both": f"{KEY_B},{KEY_A}"}
NEW, OLD = (keyring.Keyring([key]).key_id for key in (KEY_B, KEY_A))


def test_rotate_keys_leaves_nothing_to_the_old_key(store_url: str, reg: Registry) -> None:
    """It says how many keys it re-encrypted, and check-keys before and after which key can be removed."""
    created(reg)
    created(reg)
    variables = {"REGISTRY_DATABASE_URL": store_url, "REGISTRY_FERNET_KEYS": KEYS["both"]}
    before = f"Key 1 ({NEW}): nothing\nKey 2 ({OLD}): 2 API keys and the store's own secret\n"
    after = f"Key 1 ({NEW}): 2 API keys and the store's own secret\nKey 2 ({OLD}): nothing; it can be removed\n"
    done = [run(command, **variables) for command in ("check-keys", "rotate-keys", "check-keys", "rotate-keys")]
    told = [before, "Encrypted again: 2 API keys.\n", after, "Encrypted again: 0 API keys.\n"]
    assert [(0, each, "") for each in told] == [(each.returncode, each.stdout, each.stderr) for each in done]
    with Registry.connect(Settings(database_url=store_url, fernet_keys=[KEY_B])) as registry:
        assert (True, 2) == (registry.key_status().ok, len(registry.models.find()))
        assert ("keys:rotate", "command line") == _newest(registry)


def _newest(registry: Registry) -> tuple[str, str]:
    entry = registry.audit.find(limit=1).entries[0]
    return entry.action, entry.actor_via


def test_rotate_keys_names_what_it_cannot_open(store_url: str, reg: Registry, raw: Engine) -> None:
    """The others are done; exit code 1 and one line with the names and what to do."""
    created(reg)
    broken = created(reg)
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key = 'x' WHERE id = :id"), {"id": broken.id})
    done = run("rotate-keys", REGISTRY_DATABASE_URL=store_url, REGISTRY_FERNET_KEYS=KEYS["both"])
    assert (1, "Encrypted again: 1 API key.\n") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"registry: No configured key opens the API keys of “{broken.name}”; they were left")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_rotate_keys_shows_progress_on_a_terminal(sqlite_url: str) -> None:
    """On a line that is written over and over; elsewhere there is none."""
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_A])) as registry:
        created(registry)
    master, terminal = os.openpty()
    subprocess.run(
        [sys.executable, "-m", "registry", "rotate-keys"],
        env={**os.environ, "REGISTRY_DATABASE_URL": sqlite_url, "REGISTRY_FERNET_KEYS": KEYS["both"]},
        cwd=ROOT,
        stdout=terminal,
        timeout=60,
        check=True,
    )
    screen = os.read(master, 1000).decode()
    os.close(master)
    os.close(terminal)
    assert screen == "\r1 of 1 API key\r\nEncrypted again: 1 API key.\r\n"


def test_rotate_keys_needs_no_user_name(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log names the system's user; in a container there may be a number only, which stops nothing."""

    def no_name() -> str:
        raise KeyError("getpwuid(): uid not found: 1000680000")

    monkeypatch.setattr(getpass, "getuser", no_name)
    monkeypatch.setenv("REGISTRY_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("REGISTRY_FERNET_KEYS", KEYS["both"])
    assert 0 == main(["rotate-keys"])
    with Registry.connect(Settings(database_url=sqlite_url, fernet_keys=[KEY_B])) as registry:
        assert "unnamed" == registry.audit.find().entries[0].actor


@pytest.mark.parametrize("command", ["check-keys", "rotate-keys"])
@pytest.mark.parametrize(
    ("keys", "message"),
    [("new", "are not the keys of this store"), (None, "REGISTRY_FERNET_KEYS is not set")],
    ids=["wrong", "missing"],
)
def test_other_keys_than_the_stores_are_an_exit_code(
    store_url: str, reg: Registry, command: str, keys: str | None, message: str
) -> None:
    """1, and standard error says what to set; nothing is changed."""
    model = created(reg)
    done = run(command, REGISTRY_DATABASE_URL=store_url, **({"REGISTRY_FERNET_KEYS": KEYS[keys]} if keys else {}))
    assert (1, True) == (done.returncode, message in done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert reg.resolve(model.id).api_key


def test_check_keys_counts_what_no_key_opens(store_url: str, reg: Registry, raw: Engine) -> None:
    """A key that is not configured but made something is missing: exit code 1."""
    created(reg)
    with raw.begin() as connection:
        connection.execute(text("UPDATE models SET api_key_id = 'elsewhere'"))
    done = run("check-keys", REGISTRY_DATABASE_URL=store_url, REGISTRY_FERNET_KEYS=KEYS["old"])
    assert done.stdout == f"Key 1 ({OLD}): the store's own secret\nNot configured (elsewhere): 1 API key\n"
    assert (1, True) == (done.returncode, "No configured key opens 1 API key." in done.stderr)


def test_grant_is_for_postgresql(sqlite_url: str) -> None:
    assert_refused(run("migrate", "--grant", "app", REGISTRY_DATABASE_URL=sqlite_url), "Only PostgreSQL has roles")


def test_new_key_prints_a_usable_key() -> None:
    """What it prints is what REGISTRY_FERNET_KEYS takes, and another one each time."""
    keys = [run("new-key").stdout.strip() for _ in range(2)]
    assert keys[0] != keys[1]
    assert len(keyring.Keyring(keys).key_ids) == 2


def test_demo_fills_the_dashboards_store(tmp_path: Path) -> None:
    """Without further words it is the store that the dashboard opens, with the key file beside it."""
    done = run("demo", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The store holds 26 models, 12 knowledge bases and ")
    key = tmp_path / ".data" / "fernet.key"
    assert key.stat().st_mode & 0o777 == 0o600
    with Registry.connect(
        Settings(database_url=f"sqlite:///{tmp_path / '.data' / 'registry.db'}", fernet_keys=[key.read_text()])
    ) as reg:
        assert len(reg.models.find()) == 26
    assert_refused(run("demo", folder=tmp_path), "The store is not empty")


def test_demo_refuses_a_store_with_a_proxy(tmp_path: Path) -> None:
    done = run("demo", folder=tmp_path, LITELLM_PROXY_URL="http://localhost:4000")
    assert_refused(done, "unset LITELLM_PROXY_URL")
    assert not (tmp_path / ".data" / "registry.db").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "Set REGISTRY_DATABASE_URL"),
        ({"REGISTRY_DATABASE_URL": "mysql://localhost/registry"}, "must start with postgresql+psycopg://"),
        ({"REGISTRY_DATABASE_URL": "nonsense"}, "is not a database URL"),
        ({"REGISTRY_DATABASE_URL": "postgresql://u:hidden-password@127.0.0.1:1/x"}, "cannot be reached"),
        ({"REGISTRY_DATABASE_URL": "sqlite:///{folder}/a.db", "REGISTRY_FERNET_KEYS": "short"}, "not a Fernet key"),
        ({"REGISTRY_DATABASE_URL": "sqlite:////proc/registry/a.db"}, "cannot be opened"),
    ],
    ids=["no store", "other database", "no URL", "no server", "bad key", "no folder"],
)
def test_migrate_says_what_is_wrong(variables: dict[str, str], message: str, tmp_path: Path) -> None:
    """One line for the administrator, which repeats no password, and no traceback."""
    done = run("migrate", **{name: value.format(folder=tmp_path) for name, value in variables.items()})
    assert_refused(done, message)
    assert "hidden-password" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("no-such-command",), ("demo", "--models", "-1"), ("demo", "--models", "many"), ("migrate", "x")]
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m registry" in done.stderr
    assert "Traceback" not in done.stderr


def test_link_signs_somebody_in_once(tmp_path: Path) -> None:
    """At the dashboard whose folder it is, with the name, role and port that were asked for."""
    done = run("link", "--role", "viewer", "--name", "Vera", "--port", "8601", REGISTRY_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "It works once, within 15 minutes.\n")
    link = urlsplit(done.stdout.strip())
    passes = Passes(tmp_path)
    assert link.netloc == f"{passes.host}:8601"
    token = parse_qs(link.query)["token"][0]
    assert passes.redeem(token) == Actor("Vera", "viewer", "local")
    assert passes.redeem(token) is None


@pytest.mark.parametrize("mode", ["oidc", "proxy"])
def test_link_is_for_local_only(tmp_path: Path, mode: str) -> None:
    """Where people sign in otherwise, a link would lead nowhere."""
    assert_refused(run("link", REGISTRY_DATA_DIR=str(tmp_path), REGISTRY_AUTH=mode), f"sign in by {mode}")


def test_link_knows_the_roles_of_people(tmp_path: Path) -> None:
    """A service does not sign in."""
    done = run("link", "--role", "service", REGISTRY_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
