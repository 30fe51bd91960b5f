"""What PostgreSQL's planner must know of tables that were filled at once.

It gathers statistics by itself, a minute or so after rows came. Until then, after a load of a new
source or when a backup was restored, it guesses; and of two guesses that seem equal to it one can
take a thousand times as long as the other.
"""

from __future__ import annotations

import sqlalchemy as sa

from syncd.store import tables as t
from syncd.store.database import Database, Transaction

LARGE = 1 << 20
"""Bytes of a table from which on a wrong guess is felt."""

CHANGED = 0.2
"""The part of a table that may be other than the statistics say."""

_UNKNOWN = sa.text(
    "select c.relname from pg_class c where c.relnamespace = current_schema()::regnamespace "
    "and c.relkind = 'r' and c.relname = any(:names) and pg_relation_size(c.oid) >= :large "
    "and pg_has_role(c.relowner, 'usage') and (not exists (select 1 from pg_stats s "
    "where s.schemaname = current_schema() and s.tablename = c.relname) "
    "or pg_stat_get_mod_since_analyze(c.oid) > greatest(1000, :changed * c.reltuples))"
)


def gather(database: Database) -> list[str]:
    """Gather statistics of the large tables of which there are none, or old ones; their names.
    SQLite plans without any.

    Only of columns that rows are looked up by, and of a small sample, which takes milliseconds: the
    server does the whole when it gets to it. A table that is worked on just now is left out.
    """
    if database.dialect != "postgresql":
        return []

    def work(conn: Transaction) -> list[str]:
        given = {"names": sorted(t.metadata.tables), "large": LARGE, "changed": CHANGED}
        names = sorted(conn.execute(_UNKNOWN, given).scalars())
        if names:
            conn.exec_driver_sql("set local default_statistics_target = 10")
            conn.exec_driver_sql(f"analyze (skip_locked) {', '.join(map(_looked_up, names))}")
        return names

    return database.transact(work, durable=False)


def _looked_up(name: str) -> str:
    """A table with the columns that it has keys and indexes of."""
    table = t.metadata.tables[name]
    indexed = {column.name for index in table.indexes for column in index.columns}
    return f"{name} ({', '.join(sorted(indexed.union(table.primary_key.columns.keys())))})"
