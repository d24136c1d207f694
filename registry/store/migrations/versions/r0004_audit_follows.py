"""Triggers that accept an audit entry only directly after the newest one, from any program."""

from alembic import op

revision = "0004"
down_revision = "0003"

_SQLITE = (
    """CREATE TRIGGER audit_log_follows BEFORE INSERT ON audit_log
       WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_log)
         OR NEW.prev_hash IS NOT coalesce((SELECT hash FROM audit_log ORDER BY seq DESC LIMIT 1), hex(zeroblob(32)))
       BEGIN SELECT RAISE(ABORT, 'an entry of the audit log must follow the newest one'); END""",
    "DROP TRIGGER IF EXISTS audit_log_no_replace",  # the new trigger refuses the same
)
_POSTGRESQL = (
    # with the full name and a fixed search path: a role can create a temporary table of the same name
    """CREATE FUNCTION audit_log_follows() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
       DECLARE
         newest_seq bigint;
         newest_hash text;
       BEGIN
         EXECUTE format('SELECT seq, hash FROM %I.%I ORDER BY seq DESC LIMIT 1', TG_TABLE_SCHEMA, TG_TABLE_NAME)
           INTO newest_seq, newest_hash;
         IF NEW.seq IS DISTINCT FROM coalesce(newest_seq, 0) + 1
            OR NEW.prev_hash IS DISTINCT FROM coalesce(newest_hash, repeat('0', 64)) THEN
           RAISE EXCEPTION 'an entry of the audit log must follow the newest one' USING ERRCODE = 'restrict_violation';
         END IF;
         RETURN NEW;
       END $$""",
    """CREATE TRIGGER audit_log_follows BEFORE INSERT ON audit_log
       FOR EACH ROW EXECUTE FUNCTION audit_log_follows()""",
)


def upgrade() -> None:
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
