"""What syncd is compared with: the same file and rows, by the fastest statements known."""

from __future__ import annotations

import csv
import gc
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncd.store.database import Database
from syncd.store.tables import metadata
from tests.benchmarks import sheet

Rows = dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]]
"""Table -> its columns and rows, as the driver takes them; tables in the order of their keys."""


@contextmanager
def _raw(database: Database) -> Iterator[Any]:
    """A cursor of the bare driver on a connection as syncd opens it, in one transaction."""
    with database.engine.connect() as conn:
        conn.info["writes"] = True
        with conn.begin():
            raw = conn.connection.dbapi_connection
            assert raw is not None
            yield raw.cursor()


def bare_table(url: str, file: Path) -> Callable[[], None]:
    """R: parse the file and load one bare table of text columns."""
    database = Database(url)
    names = [heading.replace(" ", "_").lower() for heading in sheet.HEADINGS]
    columns = ", ".join(f"{name} text" for name in names)
    with _raw(database) as cursor:
        key = f", primary key ({sheet.KEY})" if database.dialect == "postgresql" else ""
        cursor.execute(f"create table bare ({columns}{key})")

    def sqlite(cursor: Any, rows: Iterable[list[str]]) -> None:
        cursor.executemany(f"insert into bare values ({', '.join('?' * len(names))})", rows)

    def postgresql(cursor: Any, rows: Iterable[list[str]]) -> None:
        cursor.execute("create temp table staging (like bare) on commit drop")
        _copy(cursor, "staging", names, rows)
        sets = ", ".join(f"{name} = excluded.{name}" for name in names if name != sheet.KEY)
        cursor.execute(
            f"insert into bare select * from staging on conflict ({sheet.KEY}) do update set {sets}"
        )

    load = {"sqlite": sqlite, "postgresql": postgresql}[database.dialect]

    def work() -> None:
        with file.open(encoding="utf-8", newline="") as opened, _raw(database) as cursor:
            rows = csv.reader(opened)
            next(rows)
            load(cursor, rows)

    return work


def same_rows(url: str, file: Path, kept: Path) -> Callable[[], None]:
    """W: parse the file, and load into every table what the first load left there."""
    database = Database(url)
    tables: Rows = pickle.loads(kept.read_bytes())

    def insert(
        cursor: Any, table: str, columns: Iterable[str], rows: list[tuple[Any, ...]]
    ) -> None:
        if database.dialect == "postgresql":
            _copy(cursor, f'"{table}"', columns, rows)
        else:
            marks = ", ".join("?" * len(tuple(columns)))
            cursor.executemany(f'insert into "{table}" ({_names(columns)}) values ({marks})', rows)

    def work() -> None:
        with file.open(encoding="utf-8", newline="") as opened:
            for _ in csv.reader(opened):
                pass
        with _raw(database) as cursor:
            for table, (columns, rows) in tables.items():
                insert(cursor, table, columns, rows)

    gc.freeze()  # else the rows that only wait here would slow the load down
    return work


def keep_rows(url: str, kept: Path) -> dict[str, int]:
    """Store the rows of every table for `same_rows`; how many each has."""
    database = Database(url)
    tables: Rows = {}
    with _raw(database) as cursor:
        if database.dialect == "postgresql":
            from psycopg.types.string import TextLoader

            for kind in ("json", "jsonb"):
                cursor.adapters.register_loader(kind, TextLoader)
        for table in metadata.sorted_tables:
            columns = tuple(column.name for column in table.columns)
            order = ", ".join(f'"{column.name}"' for column in table.primary_key)
            cursor.execute(f'select {_names(columns)} from "{table.name}" order by {order}')
            tables[table.name] = (columns, [tuple(row) for row in cursor])
    kept.write_bytes(pickle.dumps(tables))
    return {name: len(rows) for name, (_, rows) in tables.items() if rows}


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _copy(cursor: Any, table: str, columns: Iterable[str], rows: Iterable[Any]) -> None:
    with cursor.copy(f"copy {table} ({_names(columns)}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)
