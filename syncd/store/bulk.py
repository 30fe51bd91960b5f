"""The fastest honest way to write many rows: COPY on PostgreSQL, long statements on SQLite.

Rows are tuples in the order of `columns`: UUIDs, text, numbers, bytes, JSON encoded to text.
Table and column names come from `tables.py` alone; values are always bound.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain, compress
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID
from zlib import crc32

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, Change, Effect
from syncd.entities import Kind, uuid_of
from syncd.store import tables as t
from syncd.store.database import Database

Row = Sequence[Any]
T = TypeVar("T")

CHUNK = 5000
"""Values in one list of a query: far below what SQLite can bind."""
ROWS_AT_ONCE = 250
"""Rows in one insert statement of SQLite: a third faster than one by one where rows are narrow.
Longer statements gain little, and each kind that is kept ready takes memory.
"""
_json = msgspec.json.Encoder(uuid_format="hex").encode

_NOTHING: dict[None, None] = {}
sqlite3.register_adapter(UUID, attrgetter("bytes"))
# SQLite's driver looks for an adapter of all but numbers and text, and takes longest to find none.
sqlite3.register_adapter(bytes, bytearray)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(type(None), _NOTHING.get)
sqlite3.register_adapter(Decimal, str)


def json_text(value: Any) -> str:
    """`value` as the text of a JSON column."""
    return _json(value).decode()


json_value = msgspec.json.Decoder(dict[str, Any]).decode
"""The object that a JSON column holds as text."""


def moment(database: Database, at: datetime) -> datetime | str:
    """A moment as the driver takes it in rows."""
    if database.dialect == "postgresql":
        return at
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def insert(
    database: Database,
    conn: Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """Insert rows that are known to be new; a row that is not raises IntegrityError."""
    if not rows:
        return
    if database.dialect == "postgresql":
        _copy(conn, table.name, columns, rows)
    else:
        _insert_many(conn, table, columns, rows)


def _insert_many(
    conn: Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Row]
) -> None:
    names, given = _without_nulls(columns, rows)
    cursor, alone = _cursor(conn), len(given) % ROWS_AT_ONCE
    cursor.executemany(_insert_sql(table, names, 1), given[:alone])
    for start in range(alone, len(given), ROWS_AT_ONCE):
        together = chain.from_iterable(given[start : start + ROWS_AT_ONCE])
        cursor.execute(_insert_sql(table, names, ROWS_AT_ONCE), tuple(together))


def update(
    database: Database,
    conn: Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """Set all `columns` of the rows that have the primary key given at the end of each row."""
    if not rows:
        return
    keys = tuple(column.name for column in table.primary_key)
    if database.dialect == "postgresql":
        staging = f"staging_{table.name}_{crc32(','.join(columns).encode()):x}"
        types = ", ".join(f"{name} {_type(table, name)}" for name in (*columns, *keys))
        conn.exec_driver_sql(f"create temp table if not exists {staging} ({types}) on commit drop")
        _copy(conn, staging, (*columns, *keys), rows)
        sets = ", ".join(f"{name} = s.{name}" for name in columns)
        same = " and ".join(f"t.{name} = s.{name}" for name in keys)
        conn.exec_driver_sql(f"update {table.name} t set {sets} from {staging} s where {same}")
        conn.exec_driver_sql(f"truncate {staging}")
    else:
        sets = ", ".join(f"{name} = ?" for name in columns)
        same = " and ".join(f"{name} = ?" for name in keys)
        _cursor(conn).executemany(f"update {table.name} set {sets} where {same}", rows)


CHANGE_COLUMNS = (
    "step_id",
    "seq",
    "kind",
    "action",
    "effects",
    "entity_id",
    "client_id",
    "stream",
    "key",
    "reason",
    "rule",
    "before",
    "after",
)


_PLAIN: dict[str, str] = {name: name.value for name in (*Kind, *Action)}
"""Plain text of kinds and actions: drivers are slow with subclasses of str."""


def insert_changes(
    database: Database, conn: Connection, step: int, changes: Sequence[Change]
) -> None:
    """Store the changes of a page of a step's plan."""
    rows = [
        (
            step,
            one.seq,
            _PLAIN[one.kind],
            _PLAIN[one.action],
            int(one.effects),
            one.entity,
            one.client,
            one.stream,
            one.key,
            one.reason,
            one.rule,
            json_text(one.before) if one.before else "{}",
            json_text(one.after) if one.after else "{}",
        )
        for one in changes
    ]
    insert(database, conn, t.change, CHANGE_COLUMNS, rows)


_SELECTED = (
    "kind, action, entity_id, client_id, stream, key, reason, after, before, rule, effects, seq"
)


def select_changes(
    database: Database, conn: Connection, step: int, first: int, end: int, *, creations: bool
) -> Iterator[tuple[Any, ...]]:
    """Stored changes with first <= seq < end, as the driver gives them: (kind, action, entity,
    client, stream, key, reason, after, before, rule, effects, seq). `creations`: those too.
    """
    mark = database.mark
    where = f"step_id = {mark} and seq >= {mark} and seq < {mark}"
    if not creations:
        where += f" and (action <> '{Action.CREATE.value}' or effects & {Effect.REVIVES:d} <> 0)"
    sql = f"select {_SELECTED} from change where {where} order by seq"
    rows = fetch(conn, sql, (step, first, end))
    if database.dialect == "postgresql":
        yield from rows
        return
    for row in rows:
        entity, client = uuid_of(row[2]), shared_uuid(row[3])
        after, before = json_value(row[7]), {} if row[8] == "{}" else json_value(row[8])
        yield (*row[:2], entity, client, *row[4:7], after, before, *row[9:])


def id_of(stored: UUID | bytes) -> UUID:
    """An id as the driver gives it: SQLite's are bytes."""
    return uuid_of(stored) if isinstance(stored, bytes) else stored


@lru_cache(maxsize=4096)
def shared_uuid(data: bytes | None) -> UUID | None:
    """The UUID with these bytes; many rows share a client."""
    return None if data is None else uuid_of(data)


def fetch(conn: Connection, sql: str, parameters: Row) -> list[Any]:
    """All rows of a query as the driver's own tuples; from PostgreSQL in binary, so that bytes come
    as they are and not as text.
    """
    raw: Any = conn.connection.dbapi_connection
    form = {"binary": True} if conn.dialect.name == "postgresql" else {}
    with closing(raw.cursor(**form)) as cursor:
        cursor.execute(sql, parameters)
        found: list[Any] = cursor.fetchall()
        return found


def of_ids(database: Database, conn: Connection, sql: str, ids: Collection[UUID]) -> Iterator[Any]:
    """The driver's rows of a query that ends with the name of a column which is one of these."""
    for chunk in chunks(list(ids)):
        among, given = among_ids(database, chunk)
        yield from fetch(conn, f"{sql} {among}", given)


_RAWS = "select key, raw from item where partition_id = {mark} and stream = {mark}"


def raws(
    database: Database, conn: Connection, partition: int | None, stream: str, keys: Sequence[str]
) -> dict[str, bytes]:
    """The stored items of the keys that have one."""
    sql = _RAWS.format(mark=database.mark)
    return dict(of_keys(database, conn, sql, (partition, stream), keys))


def of_keys(
    database: Database, conn: Connection, sql: str, given: Row, keys: Sequence[str]
) -> Iterator[Any]:
    """The driver's rows of a query with a condition, of those whose `key` is one of these."""
    for chunk in chunks(keys):
        among, these = among_texts(database, chunk)
        yield from fetch(conn, f"{sql} and key {among}", (*given, *these))


def among_ids(database: Database, ids: Sequence[UUID]) -> tuple[str, Row]:
    """A condition that a column is one of these ids, and what it is given."""
    if database.dialect == "postgresql":
        return "= any(%s)", (list(ids),)
    return f"in ({','.join('?' * len(ids))})", [one.bytes for one in ids]


def among_texts(database: Database, texts: Sequence[str]) -> tuple[str, Row]:
    """A condition that a column is one of these texts, and what it is given."""
    if database.dialect == "postgresql":  # its driver is slow to write arrays
        return "= any(array(select json_array_elements_text(%s::json)))", (json_text(texts),)
    return f"in ({','.join('?' * len(texts))})", texts


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """`values` in parts that one statement can bind."""
    for at in range(0, len(values), CHUNK):
        yield values[at : at + CHUNK]


def _cursor(conn: Connection) -> Any:
    raw = conn.connection.dbapi_connection
    assert raw is not None
    return raw.cursor()


def _copy(conn: Connection, table: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    names, given = _without_nulls(columns, rows)
    sql = f"copy {table} ({', '.join(names)}) from stdin"
    with _cursor(conn) as cursor, cursor.copy(sql) as copy:
        for row in given:
            copy.write_row(row)


def _without_nulls(
    columns: tuple[str, ...], rows: Sequence[Row]
) -> tuple[tuple[str, ...], Sequence[Row]]:
    """The columns that are not null in all rows, and the rows without the others."""
    used = [any(row[at] is not None for row in rows) for at in range(len(columns))]
    if all(used):
        return columns, rows
    return tuple(compress(columns, used)), [tuple(compress(row, used)) for row in rows]


@lru_cache(maxsize=64)
def _insert_sql(table: sa.Table, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"insert into {table.name} ({', '.join(columns)}) values {', '.join([row] * rows)}"


def _type(table: sa.Table, column: str) -> str:
    from sqlalchemy.dialects import postgresql

    return str(table.c[column].type.compile(postgresql.dialect()))  # type: ignore[no-untyped-call]
