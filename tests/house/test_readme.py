"""What the documentation shows works as shown."""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from registry import Registry, Settings
from registry.keys import keyring
from tests.support.factories import ADMIN, KEY_A, created

ROOT = Path(__file__).parents[2]


def blocks(file: str, language: str) -> list[str]:
    """The fenced blocks of one language in a file."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / file).read_text(), re.DOTALL | re.MULTILINE)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_readmes_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library example, on a store as a reader has it: named by the environment, empty."""
    monkeypatch.setenv("REGISTRY_DATABASE_URL", f"sqlite:///{tmp_path / 'registry.db'}")
    monkeypatch.setenv("REGISTRY_FERNET_KEYS", keyring.new_key())
    monkeypatch.delenv("LITELLM_PROXY_URL", raising=False)
    (example,) = blocks("README.md", "python")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102  # our own README
    assert capsys.readouterr().out == "text-embedding-3-small llama3.1:8b\n"


def test_readmes_commands_name_files_that_are_there() -> None:
    start, test = blocks("README.md", "sh")
    assert start.startswith("python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && ")
    assert test.startswith("python3 -m venv .venv && .venv/bin/pip install -q -r tests/requirements.txt && ")
    for file in ("requirements.txt", "tests/requirements.txt", "app.py"):
        assert (ROOT / file).exists()


@pytest.mark.parametrize("file", ["README.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(file: str) -> None:
    """To files of this repository, and to headings that they have. Screenshots are made by a script of their own."""
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / file).read_text()):
        path, _, heading = target.partition("#")
        if "://" in target:
            continue
        linked = (ROOT / file).parent / path if path else ROOT / file
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
        assert not heading or heading in [text.lower().replace(" ", "-") for text in headings], target


def test_the_license_is_unaltered() -> None:
    """The text of Apache-2.0 as its publisher has it, no holder named."""
    text = (ROOT / "LICENSE").read_bytes()
    assert "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30" == sha256(text).hexdigest()


def test_every_setting_is_in_readmes_table() -> None:
    """And none that is not read."""
    read = {field.title for field in Settings.model_fields.values()} - {None}
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert read == told


def missing_tests(text: str) -> list[str]:
    """The tests that a text names and that do not exist: ``file: the_beginning_of_a_name, another; other_file``."""
    paths = {path.relative_to(ROOT / "tests").with_suffix("").as_posix(): path for path in ROOT.glob("tests/**/test_*")}
    missing = []
    for named in re.finditer(r"((?:\w+/)*test_\w+)(?:\.py)?(?::((?: *(?:\w|\(|\)|…| )+,?)+))?", text):
        name, tests = named.groups()
        said = name if "/" in name else f"(integration/.*|rules)/{name}"
        found = [path for path in paths if re.fullmatch(said, path)]
        if len(found) != 1:
            missing.append(name)
            continue
        code = paths[found[0]].read_text()
        started = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", tests or ""))
        missing += [f"{name}: {test}" for test in started if not re.search(rf"^def (test_)?{test}", code, re.MULTILINE)]
    return missing


def test_the_tests_that_are_named_exist() -> None:
    """Each by its file, in `integration/` or `rules/` where no folder is named, and the beginning of its name."""
    rows = "\n".join(re.findall(r"^\|.*\|$", (ROOT / "tests" / "README.md").read_text(), re.MULTILINE))
    assert missing_tests(rows) == []


@pytest.mark.parametrize("named", ["test_nothing", "house/test_readme: nothing", "test_readme"])
def test_control_a_test_that_does_not_exist_is_found(named: str) -> None:
    assert missing_tests(f"| a rule | house/test_readme: links_lead…; {named} |") == [named]


def test_every_secret_is_in_readmes_list() -> None:
    """Of the variables that may stand in files."""
    secrets = {field.title for field in Settings.model_fields.values() if not field.repr}
    (told,) = re.findall(
        r"^The secrets among them, (.*?), can be read from files",
        (ROOT / "README.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert secrets == set(re.findall(r"`([A-Z_]+)`", told))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A store with a few entries, as `registry.db` in its folder."""
    with Registry.connect(Settings(database_url=f"sqlite:///{tmp_path / 'registry.db'}", fernet_keys=[KEY_A])) as reg:
        for name in ("Überblick", "“quoted” \\ / \u2028", "plain"):
            reg.knowledge_bases.bind(f"kb-{len(name)}", name=name.replace("\u2028", ""), actor=ADMIN)
        created(reg)
    return tmp_path


def test_the_documented_check_agrees_with_the_library(log: Path) -> None:
    """The hash rule, as docs/audit.md states it, is enough to check a log."""
    (script,) = blocks("docs/audit.md", "python")
    done = run(script, log)
    assert (done.stdout, done.stderr) == ("All 4 entries are as they were written.\n", "")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE audit_log SET actor = 'nobody' WHERE seq = 2", "changed at entry 2"),
        ("UPDATE audit_log SET changes = replace(changes, ',', ', ') WHERE seq = 2", "changed at entry 2"),
        ("UPDATE audit_log SET changes = 'no json' WHERE seq = 2", "changed at entry 2"),
        ("UPDATE audit_log SET changes = CAST(changes AS BLOB) WHERE seq = 2", "changed at entry 2"),
        ("UPDATE audit_log SET actor = CAST(X'ff' AS TEXT) WHERE seq = 2", "changed at entry 2"),
        ("UPDATE audit_log SET at = replace(at, ' ', 'T') WHERE seq = 2", "changed at entry 2"),
        ("UPDATE audit_log SET at = 5 WHERE seq = 2", "changed at entry 2"),
        ("DELETE FROM audit_log WHERE seq = 3", "changed at entry 3"),
        ("DELETE FROM audit_log WHERE seq = 4", "newest entries are missing"),
    ],
)
def test_the_documented_check_finds_what_was_changed(log: Path, statement: str, message: str) -> None:
    """Positive control: with the triggers gone, each kind of change is found."""
    import sqlite3

    with sqlite3.connect(log / "registry.db") as store:
        for (trigger,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.execute(f"DROP TRIGGER {trigger}")
        store.execute(statement)
    store.close()
    (script,) = blocks("docs/audit.md", "python")
    done = run(script, log)
    assert done.returncode == 1
    assert message in done.stderr
