"""What PostgreSQL's planner must know of tables that were filled at once.

It gathers statistics by itself, a minute or so after rows came. Until then, after a first load or
when a backup was restored, it guesses; and of two guesses that seem equal to it one can take a
thousand times as long as the other.
"""

from __future__ import annotations

import sqlalchemy as sa

from syncd.store import tables as t
from syncd.store.database import Database, Transaction

LARGE = 1 << 20
"""Bytes of a table from which on a wrong guess is felt."""

_UNKNOWN = sa.text(
    "select c.relname from pg_class c where c.relnamespace = current_schema()::regnamespace "
    "and c.relkind = 'r' and c.relname = any(:names) and pg_relation_size(c.oid) >= :large "
    "and pg_has_role(c.relowner, 'usage') and not exists (select 1 from pg_stats s "
    "where s.schemaname = current_schema() and s.tablename = c.relname)"
)


def gather(database: Database) -> list[str]:
    """Gather statistics of the large tables of which there are none; their names. SQLite plans
    without any.
    """
    if database.dialect != "postgresql":
        return []

    def work(conn: Transaction) -> list[str]:
        given = {"names": sorted(t.metadata.tables), "large": LARGE}
        names = sorted(conn.execute(_UNKNOWN, given).scalars())
        if names:  # a table that another process works on just now is left to the next time
            conn.exec_driver_sql(f"analyze (skip_locked) {', '.join(names)}")
        return names

    return database.transact(work, durable=False)
