"""The audit log only grows: the database refuses every way of altering it, and `verify` finds what happened anyway."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from registry import Registry, audit, errors
from registry.audit import GENESIS, digest
from tests.factories import ADMIN, bound, created, generation
from tests.sabotage import remove_audit_triggers

COLUMNS = (
    "seq, at, actor, actor_role, actor_via, action, target_kind, target_id, target_name, changes, context, "
    "prev_hash, hash"
)
COPY = f"SELECT {COLUMNS.replace('actor,', chr(39) + 'mallory' + chr(39) + ',')} FROM audit_log WHERE seq = 2"
BOTH = (
    "UPDATE audit_log SET actor = 'mallory' WHERE seq = 2",
    "UPDATE audit_log SET seq = 99 WHERE seq = 2",
    "UPDATE audit_log SET hash = hash",
    "DELETE FROM audit_log WHERE seq = 2",
    "DELETE FROM audit_log WHERE seq = 4",
    "DELETE FROM audit_log",
    f"INSERT INTO audit_log ({COLUMNS}) {COPY}",
    f"INSERT INTO audit_log ({COLUMNS}) {COPY} ON CONFLICT (seq) DO UPDATE SET actor = 'mallory'",
)
SQLITE = (
    f"INSERT OR REPLACE INTO audit_log ({COLUMNS}) {COPY}",
    f"REPLACE INTO audit_log ({COLUMNS}) {COPY}",
    "UPDATE OR REPLACE audit_log SET seq = 3 WHERE seq = 2",
    "UPDATE OR IGNORE audit_log SET actor = 'mallory'",
    f"INSERT OR IGNORE INTO audit_log ({COLUMNS}) {COPY}",
)
POSTGRESQL = (
    "TRUNCATE audit_log",
    "TRUNCATE audit_log CASCADE",
    "MERGE INTO audit_log a USING (SELECT 2 AS seq) s ON a.seq = s.seq WHEN MATCHED THEN UPDATE SET actor = 'mallory'",
    "MERGE INTO audit_log a USING (SELECT 2 AS seq) s ON a.seq = s.seq WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM audit_log RETURNING *) SELECT count(*) FROM gone",
)
# each store has its own further forms; a test takes the one of its store
FORMS = [
    *({"sqlite": statement, "postgresql": statement} for statement in BOTH),
    *({"sqlite": ours, "postgresql": theirs} for ours, theirs in zip(SQLITE, POSTGRESQL, strict=True)),
]
EFFECTIVE = [FORMS[0], FORMS[3], FORMS[7], FORMS[8], FORMS[9], FORMS[10], FORMS[11]]

START = datetime(2026, 1, 1, tzinfo=UTC)
Run = Callable[..., None]


@pytest.fixture
def run(raw: Engine) -> Run:
    """Run statements past the library, committed."""

    def execute(*statements: str) -> None:
        with raw.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    return execute


@pytest.fixture
def log(reg: Registry) -> Registry:
    """A registry with four entries."""
    for number in range(3):
        created(reg, generation(name=f"Model {number} – größer"))
    bound(reg)
    return reg


def _ids(form: dict[str, str]) -> str:
    return form["sqlite"][:45]


@pytest.mark.parametrize("form", FORMS, ids=_ids)
def test_every_way_of_altering_the_log_is_refused(log: Registry, raw: Engine, run: Run, form: dict[str, str]) -> None:
    """The database itself refuses, also past the library, and the log is as it was."""
    entries = log.audit.find().entries
    with pytest.raises(SQLAlchemyError):
        run(form[raw.dialect.name])
    assert entries == log.audit.find().entries
    assert log.audit.verify().ok


@pytest.mark.parametrize("form", EFFECTIVE, ids=_ids)
def test_control_without_triggers_the_log_is_altered(
    log: Registry, raw: Engine, run: Run, form: dict[str, str]
) -> None:
    """The control: with the triggers dropped the same statements go through, and the hash chain shows it."""
    entries = log.audit.find().entries
    remove_audit_triggers(raw)
    run(form[raw.dialect.name])
    assert entries != log.audit.find().entries
    assert not log.audit.verify().ok


def test_an_untouched_log_is_in_order(log: Registry) -> None:
    """All entries are checked, from none at all on."""
    report = log.audit.verify()
    assert (True, 4, None, "") == (report.ok, report.checked, report.first_bad, report.reason)


def test_an_empty_log_is_in_order(reg: Registry) -> None:
    """There is nothing to find fault with."""
    assert (True, 0) == (reg.audit.verify().ok, reg.audit.verify().checked)


def _swap(column: str) -> tuple[str, ...]:
    return (
        f"UPDATE audit_log SET {column} = (SELECT o.{column} FROM audit_log o WHERE o.seq = 5 - audit_log.seq) "
        "WHERE seq IN (2, 3)",
    )


@pytest.mark.parametrize(
    ("tampering", "first_bad"),
    [
        *(
            ((f"UPDATE audit_log SET {column} = 'mallory' WHERE seq = 2",), 2)
            for column in ("actor", "actor_role", "actor_via", "action", "target_kind", "target_id", "target_name")
        ),
        (("UPDATE audit_log SET changes = '{}' WHERE seq = 2",), 2),
        (("UPDATE audit_log SET changes = 'no json' WHERE seq = 2",), 2),
        (("UPDATE audit_log SET context = '{\"a\":1}' WHERE seq = 4",), 4),
        (("UPDATE audit_log SET at = '2020-01-01 00:00:00.000000' WHERE seq = 1",), 1),
        (("UPDATE audit_log SET prev_hash = hash WHERE seq = 3",), 3),
        (("UPDATE audit_log SET hash = prev_hash WHERE seq = 3",), 3),
        (("DELETE FROM audit_log WHERE seq = 1",), 1),
        (("DELETE FROM audit_log WHERE seq = 2",), 2),
        (("DELETE FROM audit_log WHERE seq = 4",), 4),
        (("DELETE FROM audit_log WHERE seq > 2",), 3),
        (("DELETE FROM audit_log",), 1),
        (
            (
                "DELETE FROM audit_log WHERE seq = 2",
                "UPDATE audit_log SET seq = 2 WHERE seq = 3",
                "UPDATE audit_log SET seq = 3 WHERE seq = 4",
            ),
            2,
        ),
        (_swap("actor") + _swap("target_name"), 2),
        (
            (
                "UPDATE audit_log SET seq = 99 WHERE seq = 2",
                "UPDATE audit_log SET seq = 2 WHERE seq = 3",
                "UPDATE audit_log SET seq = 3 WHERE seq = 99",
            ),
            2,
        ),
        (("UPDATE store SET audit_seq = 9",), 5),
        (("UPDATE store SET audit_hash = 'x'",), 5),
    ],
    ids=str,
)
def test_tampering_is_found(log: Registry, raw: Engine, run: Run, tampering: tuple[str, ...], first_bad: int) -> None:
    """An edit of any column, a deletion at any place, a swap, a cut tail: the report says where the chain breaks."""
    remove_audit_triggers(raw)
    run(*tampering)
    report = log.audit.verify()
    assert (False, first_bad, first_bad - 1) == (report.ok, report.first_bad, report.checked)
    assert report.reason.endswith(".")


def test_anyone_can_check_the_log_with_the_written_rule(log: Registry) -> None:
    """The hash is SHA-256 of the canonical JSON of the entry as `digest` describes it, worked out here by hand."""
    previous = GENESIS
    for entry in reversed(log.audit.find().entries):
        fields = ("seq", "actor", "actor_role", "actor_via", "action", "target_kind", "target_id", "target_name")
        document: dict[str, Any] = {name: getattr(entry, name) for name in fields}
        document["format"] = 1
        document["at"] = entry.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        document["changes"] = {change.field: [change.before, change.after] for change in entry.changes}
        document["context"] = dict(entry.context)
        document["prev_hash"] = previous
        canonical = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(canonical.encode()).hexdigest()
        assert previous == entry.hash == digest(entry)


CRUEL = "nul \0, surrogate \ud800, " + "long " * 100


def _append(reg: Registry, at: datetime = START, **odd: Any) -> None:
    """Add an entry past the use cases, with these values."""
    entry = {"action": "model:test", "target": ("model", "id", "name"), "changes": {}, "context": {}, **odd}
    with reg._store.write() as session:
        audit.append(session, lambda: at, entry.pop("actor", ADMIN), *entry.values())


@pytest.mark.parametrize(
    "odd",
    [
        {"target": ("model", CRUEL, CRUEL)},
        {"changes": {CRUEL: (CRUEL, [CRUEL, 1e300, -0.0, 2**70, None, True])}},
        {"context": {"b": (1, 2), "a": {"z": CRUEL}, CRUEL: {}}},
        {"at": datetime(1, 1, 1, tzinfo=UTC)},
        {"at": datetime(2026, 10, 25, 2, 30, 0, 999_999, ZoneInfo("Europe/Berlin"))},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_what_is_stored_is_what_was_hashed(reg: Registry, odd: dict[str, Any]) -> None:
    """Whatever a store could not keep as it is, is made storable before it is hashed: the chain verifies."""
    _append(reg, **odd)
    _append(reg)
    assert (True, 2) == (reg.audit.verify().ok, reg.audit.verify().checked)


@pytest.mark.parametrize("via", [42, True, 1.5, None])
def test_a_value_that_is_no_text_reaches_no_column_of_text(reg: Registry, via: Any) -> None:
    """The append itself refuses what a column would change, whoever let it through."""
    actor = copy(ADMIN)
    object.__setattr__(actor, "via", via)
    with pytest.raises(TypeError, match="actor_via"):
        _append(reg, actor=actor)
    assert (True, 0) == (reg.audit.verify().ok, reg.audit.verify().checked)


def test_control_without_that_the_chain_would_break(reg: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a number that the column turns into text is stored, and the entry looks altered for ever."""
    monkeypatch.setattr(audit, "_storable", lambda column, value: value)
    actor = copy(ADMIN)
    object.__setattr__(actor, "via", 42)
    with suppress(errors.StoreError):  # PostgreSQL's driver refuses it
        _append(reg, actor=actor)
        assert not reg.audit.verify().ok
