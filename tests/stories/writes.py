"""Counting the rows that a database writes, by triggers: the database's own word on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from syncd.store.database import Database

FUNCTION = """
create function counted() returns trigger language plpgsql as $$
begin
    insert into written values (tg_table_name, tg_op);
    return null;
end $$
"""


@contextmanager
def count_writes(database: Database, *tables: sa.Table) -> Iterator[Callable[[], dict[str, int]]]:
    """Within the block: a function that tells the rows written so far, as `insert link` -> 3."""
    with database.engine.begin() as conn:
        conn.exec_driver_sql("create table written (name text, what text)")
        if database.dialect == "postgresql":
            conn.exec_driver_sql(FUNCTION)
        for table in tables:
            for what in ("insert", "update", "delete"):
                conn.exec_driver_sql(_trigger(database.dialect, table.name, what))

    def told() -> dict[str, int]:
        with database.engine.connect() as conn:
            rows = conn.exec_driver_sql("select what, name, count(*) from written group by 1, 2")
            return {f"{what} {name}".lower(): count for what, name, count in rows}

    yield told


def _trigger(dialect: str, table: str, what: str) -> str:
    head = f"create trigger counts_{what}_{table} after {what} on {table} for each row"
    if dialect == "postgresql":
        return f"{head} execute function counted()"
    return f"{head} begin insert into written values ('{table}', '{what}'); end"
