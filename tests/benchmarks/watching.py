"""What reached the database: statements that a process sent, rows that triggers saw written."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

import psycopg
import sqlalchemy as sa

from syncd.store.database import Database

QUIET = (
    "client",
    "site",
    "user_account",
    "link",
    "item",
    "identity",
    "license_pool",
    "subscription",
    "license_ledger",
    "cursor",
    "change",
    "quarantine",
)
"""Tables that a run without changes must not touch."""

_OPERATIONS = ("insert", "update", "delete")

sent: Counter[str] = Counter()
"""Statements of this process; an executemany and a COPY count as one each, commits do not."""


class _SqliteCursor(sqlite3.Cursor):
    def execute(self, *given: Any) -> Any:
        sent["statements"] += 1
        return super().execute(*given)

    def executemany(self, *given: Any) -> Any:
        sent["statements"] += 1
        return super().executemany(*given)


class _SqliteConnection(sqlite3.Connection):
    def cursor(self, factory: Any = _SqliteCursor) -> Any:
        return super().cursor(factory)


class _PostgresqlCursor(psycopg.Cursor[Any]):
    def execute(self, *given: Any, **options: Any) -> Any:
        sent["statements"] += 1
        return super().execute(*given, **options)

    def executemany(self, *given: Any, **options: Any) -> None:
        sent["statements"] += 1
        super().executemany(*given, **options)

    def copy(self, *given: Any, **options: Any) -> Any:
        sent["statements"] += 1
        return super().copy(*given, **options)


def count_statements() -> None:
    """From now on, count what every new connection of this process sends."""

    def connect(dialect: Any, _record: Any, _given: Any, options: dict[str, Any]) -> None:
        if dialect.name == "sqlite":
            options["factory"] = _SqliteConnection
        else:
            options["cursor_factory"] = _PostgresqlCursor

    sa.event.listen(sa.engine.Engine, "do_connect", connect)


def watch_tables(database: Database) -> None:
    """Let triggers count each row that is written to one of the quiet tables from now on."""
    with database.engine.begin() as conn:
        conn.exec_driver_sql("create table watched (name text not null)")
        if database.dialect == "postgresql":
            conn.exec_driver_sql(
                "create function watch() returns trigger language plpgsql as "
                "$$ begin insert into watched values (tg_table_name); return null; end $$"
            )
        for table in QUIET:
            for operation in _OPERATIONS:
                conn.exec_driver_sql(_trigger(database.dialect, table, operation))


def _trigger(dialect: str, table: str, operation: str) -> str:
    body = f"begin insert into watched values ('{table}'); end"
    if dialect == "postgresql":
        body = "for each row execute function watch()"
    return f"create trigger {_name(table, operation)} after {operation} on {table} {body}"


def _name(table: str, operation: str) -> str:
    return f"watch_{table}_{operation}"


def unwatch_tables(database: Database) -> dict[str, int]:
    """Rows written since `watch_tables`, by table; the triggers are gone afterwards."""
    with database.engine.begin() as conn:
        found = conn.exec_driver_sql("select name, count(*) from watched group by name").all()
        for table in QUIET:
            for operation in _OPERATIONS:
                where = f" on {table}" if database.dialect == "postgresql" else ""
                conn.exec_driver_sql(f"drop trigger {_name(table, operation)}{where}")
        if database.dialect == "postgresql":
            conn.exec_driver_sql("drop function watch()")
        conn.exec_driver_sql("drop table watched")
    return {row[0]: row[1] for row in found}
