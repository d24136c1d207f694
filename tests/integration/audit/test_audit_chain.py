"""The audit log only grows: the database refuses every way of altering it, and `verify` finds what happened anyway."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from registry import Registry, errors
from registry.audit import chain
from registry.audit.chain import GENESIS, digest
from registry.audit.change import Change, Target, changing
from registry.audit.records import Action, TargetKind
from tests.support.factories import ADMIN, KEY_A, bound, created, generation
from tests.support.sabotage import let_any_audit_row_in, remove_audit_triggers

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

ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
ROOT = Path(__file__).parents[3]
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


def _row(seq: str, prev_hash: str = "hash") -> str:
    """SELECT of a row like the newest entry, with these: SQL over that entry's columns."""
    columns = COLUMNS.replace("seq", seq, 1).replace("prev_hash", prev_hash)
    return f"SELECT {columns.removesuffix('hash')}'{'f' * 64}' FROM audit_log WHERE seq = 4"


VALUES = "'2026-01-01 00:00:00.000000', 'a', 'a', 'a', 'a', 'a', 'a', 'a', '{}', '{}'"
NOT_FOLLOWING = {
    "number 0": _row("0"),
    "below 0": _row("-1"),
    "no number": _row("NULL"),
    "a number that is taken": _row("4"),
    "a gap": _row("seq + 2"),
    "far ahead": _row("1000000"),
    "the last number there is": _row("9223372036854775807"),
    "the hash of another entry": _row("seq + 1", "prev_hash"),
    "no hash": _row("seq + 1", "NULL"),
    "the hash of none": _row("seq + 1", f"'{GENESIS}'"),
    "one that follows, one that does not": f"{_row('seq + 1')} UNION ALL {_row('seq + 3')} ORDER BY 1",
}


@pytest.mark.parametrize("rows", NOT_FOLLOWING.values(), ids=NOT_FOLLOWING)
def test_what_does_not_follow_the_newest_entry_is_refused(log: Registry, raw: Engine, run: Run, rows: str) -> None:
    """The database lets an entry in with the next number and the newest entry's hash only, from any writer."""
    with pytest.raises(SQLAlchemyError, match="must follow the newest"):
        run(f"INSERT INTO audit_log ({COLUMNS}) {rows}")
    created(log)
    assert (True, 5) == (log.audit.verify().ok, log.audit.verify().checked)


@pytest.mark.parametrize("rows", [_row("0"), _row("seq + 2"), _row("seq + 1", "prev_hash")], ids=["0", "gap", "hash"])
def test_control_without_the_trigger_it_is_let_in(log: Registry, raw: Engine, run: Run, rows: str) -> None:
    """The control: it was the trigger, and the chain shows what it would have let in."""
    remove_audit_triggers(raw)
    run(f"INSERT INTO audit_log ({COLUMNS}) {rows}")
    assert not log.audit.verify().ok


def test_a_first_entry_follows_no_other(reg: Registry, raw: Engine, run: Run) -> None:
    """In an empty log it has the number 1 and the hash of none."""
    for seq, prev_hash in [(0, GENESIS), (2, GENESIS), (1, "f" * 64)]:
        with pytest.raises(SQLAlchemyError, match="must follow the newest"):
            run(f"INSERT INTO audit_log ({COLUMNS}) VALUES ({seq}, {VALUES}, '{prev_hash}', 'h')")
    created(reg)
    assert (True, 1) == (reg.audit.verify().ok, reg.audit.verify().checked)


def test_entries_that_follow_each_other_are_let_in_together(log: Registry, raw: Engine, run: Run) -> None:
    """In one transaction, and in one statement: each row is compared with the one before it."""
    with changing(log._store, ADMIN) as change:
        for number in range(3):
            change.log(Action.MODEL_TEST, Target(TargetKind.MODEL, str(number), "x"))
    assert (True, 7) == (log.audit.verify().ok, log.audit.verify().checked)
    head = log.audit.verify().head
    run(f"INSERT INTO audit_log ({COLUMNS}) VALUES (8, {VALUES}, '{head}', 'h'), (9, {VALUES}, 'h', 'i')")


END_ELSEWHERE = {
    "a number ahead": "audit_seq = 9",
    "a number behind": "audit_seq = 3",
    "another hash": "audit_hash = 'f'",
}
ODD_END = {"no number": "audit_seq = 'x'", "a blob for a number": "audit_seq = X'00'", "a blob": "audit_hash = X'00'"}


@pytest.mark.parametrize("edit", END_ELSEWHERE.values(), ids=END_ELSEWHERE)
def test_a_change_does_not_go_on_behind_another_end(log: Registry, run: Run, edit: str) -> None:
    """Where the store's note of the log's end was edited, nothing is changed, and the message names the command."""
    _refuses_changes(log, run, edit, errors.StoreError, "python -m registry verify")


@ON_SQLITE
@pytest.mark.parametrize("edit", ODD_END.values(), ids=ODD_END)
def test_a_change_does_not_go_on_behind_an_end_that_cannot_be_read(log: Registry, run: Run, edit: str) -> None:
    """SQLite keeps anything in any column."""
    _refuses_changes(log, run, edit, errors.StoredValueError, "in the table “store”")


def _refuses_changes(log: Registry, run: Run, edit: str, kind: type[errors.RegistryError], says: str) -> None:
    models, entries = log.models.find(), log.audit.find()
    run(f"UPDATE store SET {edit}")
    with pytest.raises(kind, match=says):
        created(log)
    assert (models, entries) == (log.models.find(), log.audit.find())
    report = log.audit.verify()
    assert (False, 4, 5) == (report.ok, report.checked, report.first_bad)


def test_an_untouched_log_is_in_order(log: Registry) -> None:
    """All entries are checked, from none at all on."""
    report = log.audit.verify()
    assert (True, 4, None, "") == (report.ok, report.checked, report.first_bad, report.reason)
    assert log.audit.find().entries[0].hash == report.head


def test_an_empty_log_is_in_order(reg: Registry) -> None:
    """There is nothing to find fault with."""
    report = reg.audit.verify()
    assert (True, 0, GENESIS) == (report.ok, report.checked, report.head)


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
        (("UPDATE audit_log SET seq = 0 WHERE seq = 1",), 0),
        (("UPDATE store SET audit_seq = 9",), 5),
        (("UPDATE store SET audit_seq = 3",), 5),
        (("UPDATE store SET audit_hash = 'x'",), 5),
    ],
    ids=str,
)
def test_tampering_is_found(log: Registry, raw: Engine, run: Run, tampering: tuple[str, ...], first_bad: int) -> None:
    """An edit of any column, a deletion at any place, a swap, a cut tail: the report says where the chain breaks."""
    remove_audit_triggers(raw)
    run(*tampering)
    report = log.audit.verify()
    assert (False, first_bad, max(first_bad - 1, 0)) == (report.ok, report.first_bad, report.checked)
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


SAME_MEANING = {
    "spaces": "changes = replace(changes, ',', ', ')",
    "a line break at the end": "changes = changes || '\n'",
    "a line break in the context": "context = '{\n}'",
    "duplicate keys": """changes = '{"type":[null,"ner"],' || substr(changes, 2)""",
    "another order": """changes = '{"type":[null,"generation"],' || replace(substr(changes, 2),
                      ',"type":[null,"generation"]', '')""",
    "zeros behind a number": "changes = replace(changes, '0.7', '0.70')",
    "an exponent": "changes = replace(changes, '0.7', '7e-1')",
    "an escaped letter": "changes = replace(changes, 'openai', '\\u006fpenai')",
    "an escaped umlaut": "changes = replace(changes, 'größer', 'gr\\u00f6ßer')",
}
SAME_MOMENT = {
    "a T": "at = replace(at, ' ', 'T')",
    "a zone": "at = at || '+00:00'",
    "a Z": "at = at || 'Z'",
    "another zone": "at = strftime('%Y-%m-%d %H:%M:%f', at, '+1 hour') || substr(at, 24) || '+01:00'",
    "zeros at the end": "at = at || '000'",
    "a space": "at = at || ' '",
    "a comma": "at = replace(at, '.', ',')",
}


@pytest.mark.parametrize("edit", SAME_MEANING.values(), ids=SAME_MEANING)
def test_the_same_meaning_in_another_text_is_found(log: Registry, raw: Engine, run: Run, edit: str) -> None:
    """The stored text is what is hashed: JSON that is read as the same values is altered all the same."""
    remove_audit_triggers(raw)
    run(f"UPDATE audit_log SET {edit} WHERE seq = 2")
    assert _found_at_entry_2(log)


@ON_SQLITE
@pytest.mark.parametrize("edit", SAME_MOMENT.values(), ids=SAME_MOMENT)
def test_the_same_moment_in_another_text_is_found(log: Registry, raw: Engine, run: Run, edit: str) -> None:
    """On SQLite a time is a text. PostgreSQL keeps a time without its notation: there is nothing to distinguish."""
    remove_audit_triggers(raw)
    run(f"UPDATE audit_log SET {edit} WHERE seq = 2")
    assert _found_at_entry_2(log)


def test_control_the_same_text_is_no_change(log: Registry, raw: Engine, run: Run) -> None:
    """The control: writing what is there leaves every entry as it was."""
    remove_audit_triggers(raw)
    run("UPDATE audit_log SET changes = changes || '', context = replace(context, 'x', 'x'), at = at")
    assert (True, 4) == (log.audit.verify().ok, len(log.audit.find().entries))


def _found_at_entry_2(log: Registry) -> bool:
    report, page = log.audit.verify(), log.audit.find()
    told = (report.ok, report.checked, report.first_bad, report.reason, page.unreadable)
    return told == (False, 1, 2, "Entry 2 was altered.", (2,)) and [4, 3, 1] == [entry.seq for entry in page.entries]


def _deep(levels: int, dialect: str) -> str:
    """SQL for JSON of so many levels, whose own text would be longer than a statement may be."""
    opening = "replace(hex(zeroblob({})), '00', '{}')" if dialect == "sqlite" else "repeat('{1}', {0})"
    parts = [opening.format(levels, text) for text in ('{"a":', "}")]
    return f"{parts[0]} || '1' || {parts[1]}"


GARBAGE: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "NULL",
    "an empty text": lambda _: "''",
    "a word": lambda _: "'mallory'",
    "a number": lambda _: "5",
    "a fraction": lambda _: "1.5",
    "a blob": lambda _: "X'7b7d'",
    "a blob that is no text": lambda _: "X'00ff'",
    "bytes that are no text": lambda dialect: "CAST(X'7bff7d' AS TEXT)" if dialect == "sqlite" else "E'\\xff'",
    "a text with a nul": lambda dialect: "CAST(X'610062' AS TEXT)" if dialect == "sqlite" else "E'a\\000b'",
    "infinity": lambda _: "'infinity'",
    "minus infinity": lambda _: "'-infinity'",
    "a year too far": lambda _: "'12026-01-01 00:00:00+00'",
    "a year too early": lambda _: "'0044-03-15 00:00:00+00 BC'",
    "half an object": lambda _: """'{"a":[1,'""",
    "a JSON list": lambda _: "'[]'",
    "a JSON number": lambda _: "'5'",
    "no pairs": lambda _: """'{"a":5,"b":"xy","c":{"x":1,"y":2},"d":[1,2,3]}'""",
    "no number": lambda _: """'{"a":[NaN,Infinity]}'""",
    "half a letter": lambda _: """'{"a":[null,"\\ud800"]}'""",
    "an endless number": lambda dialect: f"""'{{"a":[1,1' || {_zeros(dialect)} || ']}}'""",
    "51 levels": lambda dialect: _deep(51, dialect),
    "900 levels": lambda dialect: _deep(900, dialect),
    "100,000 levels": lambda dialect: _deep(100_000, dialect),
}


def _zeros(dialect: str) -> str:
    return "hex(zeroblob(5000))" if dialect == "sqlite" else "repeat('0', 10000)"


WRITTEN = COLUMNS.split(", ")[1:]
NO_TEXT = {  # PostgreSQL makes a text of the blobs, and refuses the bytes
    "sqlite": {"nothing", "a blob", "a blob that is no text", "bytes that are no text"},
    "postgresql": {"nothing"},
}
LOOKED_FOR: list[dict[str, Any]] = [
    {"actor": ADMIN.name},
    {"action": "model:"},
    {"target": "kb"},
    {"since": START, "until": START},
    {"search": "größer"},
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_any_column_is_found_and_harms_nothing(log: Registry, raw: Engine, garbage: str) -> None:
    """Where the store lets it in: `verify` calls that entry altered; the page numbers what cannot be read and shows the
    rest; the cursor leads past it; and no search fails."""
    let_any_audit_row_in(raw)
    with raw.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT * FROM audit_log")
    for column in WRITTEN:
        if not _put(raw, column, GARBAGE[garbage](raw.dialect.name)):
            continue
        report = log.audit.verify()
        assert (False, 1, 2) == (report.ok, report.checked, report.first_bad), column
        assert report.reason == "Entry 2 was altered.", column
        page = log.audit.find()
        unreadable = () if _is_read(column, garbage, raw.dialect.name) else (2,)
        assert unreadable == page.unreadable, column
        assert [seq for seq in (4, 3, 2, 1) if seq not in unreadable] == [entry.seq for entry in page.entries], column
        assert [4, 3, 2, 1] == _all_seqs(log), column
        for wanted in LOOKED_FOR:
            assert {2} >= set(log.audit.find(**wanted).unreadable), column
        assert all(isinstance(name, str) for name in log.audit.actors()), column
        assert _put(raw, column, f"(SELECT kept.{column} FROM kept WHERE kept.seq = 2)")
    assert log.audit.verify().ok


@ON_SQLITE
def test_deep_json_does_not_end_a_process_that_recurses_deeper(log: Registry, raw: Engine) -> None:
    """A parser that follows it runs out of the C stack where the recursion limit is high: nothing parses it."""
    let_any_audit_row_in(raw)
    assert _put(raw, "changes", _deep(100_000, "sqlite"))
    given = {"database_url": log._settings.database_url, "fernet_keys": [KEY_A]}
    script = (
        "import sys, registry; sys.setrecursionlimit(10**6); "
        f"reg = registry.Registry.connect(registry.Settings(**{given!r})); "
        "print(reg.audit.find().unreadable, reg.audit.verify().reason)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "(2,) Entry 2 was altered.\n") == (done.returncode, done.stdout), done.stderr


def test_the_cursor_leads_to_numbers_below_one(log: Registry, raw: Engine, run: Run) -> None:
    """What a user numbered so is not lost, and the last page is the last one."""
    remove_audit_triggers(raw)
    for number in (0, -7):
        run(f"INSERT INTO audit_log ({COLUMNS}) SELECT {number}, {COLUMNS[5:]} FROM audit_log WHERE seq = 4")
    assert [4, 3, 2, 1, 0, -7] == _all_seqs(log)
    assert (0, -7, "Entry -7 was inserted.") == (
        log.audit.verify().checked,
        log.audit.verify().first_bad,
        log.audit.verify().reason,
    )


def _is_read(column: str, garbage: str, dialect: str) -> bool:
    """Whether the column may hold this, even though no registry put it there."""
    if column in ("at", "changes") or garbage in NO_TEXT[dialect]:
        return False
    return column != "context" or garbage == "no pairs"


def _put(engine: Engine, column: str, value: str) -> bool:
    """Whether the store lets this value into the column of the second entry."""
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE audit_log SET {column} = {value} WHERE seq = 2")
    except SQLAlchemyError:
        return False
    return True


def _all_seqs(log: Registry) -> list[int]:
    """Every row that the cursor leads to, page by page, as entries or as what cannot be read."""
    found: list[int] = []
    page = log.audit.find(limit=1)
    while True:
        found += [*(entry.seq for entry in page.entries), *page.unreadable]
        if page.next is None:
            return found
        page = log.audit.find(limit=1, after=page.next)


CRUEL = "nul \0, surrogate \ud800, " + "long " * 100


def _append(reg: Registry, at: datetime = START, **odd: Any) -> None:
    """Add an entry past the use cases, with these values."""
    entry = {"action": "model:test", "target": ("model", "id", "name"), "changes": {}, "context": {}, **odd}
    with reg._store.write() as session:
        change = Change(session, entry.pop("actor", ADMIN), at)
        change.log(entry["action"], Target(*entry["target"]), entry["changes"], entry["context"])


@pytest.mark.parametrize(
    "odd",
    [
        {"target": ("model", CRUEL, CRUEL)},
        {"changes": {CRUEL: (CRUEL, [CRUEL, 1e300, -0.0, 2**70, None, True])}},
        {"context": {"b": (1, 2), "a": {"z": CRUEL}, CRUEL: {}}},
        {"context": {2: "numbers are sorted otherwise", 10: "than their texts"}},
        {"context": {"z": "before a half letter", "\ud800": "and behind what takes its place"}},
        {"context": {"\ud800": "two keys", "?": "of which one is left"}},
        {"at": datetime(1, 1, 1, tzinfo=UTC)},
        {"at": datetime(2026, 10, 25, 2, 30, 0, 999_999, ZoneInfo("Europe/Berlin"))},
    ],
    ids=["texts", "changes", "context", "number keys", "half letters", "two half letters", "year 1", "zone"],
)
def test_what_is_stored_is_what_was_hashed(reg: Registry, odd: dict[str, Any]) -> None:
    """A value that a store cannot keep unchanged is made storable before it is hashed: the chain verifies."""
    _append(reg, **odd)
    _append(reg)
    assert (True, 2) == (reg.audit.verify().ok, reg.audit.verify().checked)


def test_what_nests_too_deep_to_be_read_is_not_written(reg: Registry) -> None:
    """The append refuses it, and the log is as it was: 49 levels are taken, 50 are not."""
    _append(reg, context={"a": json.loads("[" * 48 + "]" * 48)})
    with pytest.raises(ValueError, match="too deep"):
        _append(reg, context={"a": json.loads("[" * 49 + "]" * 49)})
    assert (True, 1, ()) == (reg.audit.verify().ok, reg.audit.verify().checked, reg.audit.find().unreadable)


@pytest.mark.parametrize("via", [42, True, 1.5, None])
def test_a_value_that_is_no_text_reaches_no_column_of_text(reg: Registry, via: Any) -> None:
    """The append itself refuses a value that a column would change, even if a check before it did not."""
    actor = copy(ADMIN)
    object.__setattr__(actor, "via", via)
    with pytest.raises(TypeError, match="actor_via"):
        _append(reg, actor=actor)
    assert (True, 0) == (reg.audit.verify().ok, reg.audit.verify().checked)


def test_control_without_that_the_chain_would_break(reg: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a number that the column turns into text is stored, and the entry looks altered for ever."""
    monkeypatch.setattr(chain, "_storable", lambda column, value: value)
    actor = copy(ADMIN)
    object.__setattr__(actor, "via", 42)
    with suppress(errors.StoreError):  # PostgreSQL's driver refuses it
        _append(reg, actor=actor)
        assert not reg.audit.verify().ok
