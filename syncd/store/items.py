"""Stored items, page by page: what the records of a partition said last."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.gaps import vanished

Items = list[tuple[str, bytes]]
"""Keys and raw bytes, in the order of keys."""


_ITEMS = """
select key, raw from item where partition_id = {mark} and stream = {mark} and key > {mark}
order by key limit {mark}
"""
_HIDDEN = """
select key from link where partition_id = {mark} and stream = {mark} and key >= {mark}
and key <= {mark} and (state in ('missed', 'gone') or state = 'undone' and step_id < {mark})
union all
select key from quarantine where partition_id = {mark} and stream = {mark} and key >= {mark}
and key <= {mark}
"""
_SET_ASIDE = """
select key, raw from quarantine where partition_id = {mark} and stream = {mark} and key > {mark}
and raw is not null order by key limit {mark}
"""


def standing(database: Database, partition: int, stream: str, most: int) -> Iterator[Items]:
    """The items of records that are in their source, as far as anybody knows, and not in
    quarantine, `most` of them at a time. Who was undone, and not made again by the sync after that,
    is not there.

    Each question is about one table and a range of its keys: no join, whose plan could be a bad one
    where the database knows little of the tables yet.
    """
    for found in _pages(database, _ITEMS, (partition, stream), most):
        ask = partial(_hidden, database, partition, stream, found[0][0], found[-1][0])
        hidden = database.query(ask)
        yield [item for item in found if item[0] not in hidden]


def _hidden(
    database: Database, partition: int, stream: str, first: str, last: str, conn: Connection
) -> set[str]:
    """Keys from `first` to `last` whose stored items do not count."""
    synced = vanished(conn, [partition]).get(partition, 0)
    place = (partition, stream, first, last)
    rows = bulk.fetch(conn, _HIDDEN.format(mark=database.mark), (*place, synced, *place))
    return {key for (key,) in rows}


def set_aside(database: Database, partition: int, stream: str, most: int) -> Iterator[Items]:
    """The items in quarantine whose bytes are known, `most` of them at a time."""
    return _pages(database, _SET_ASIDE, (partition, stream), most)


def _pages(database: Database, sql: str, place: tuple[int, str], most: int) -> Iterator[Items]:
    """What a query finds after the last key that was found, until it finds nothing."""
    sql, after = sql.format(mark=database.mark), ""

    def ask(conn: Connection) -> Items:
        return bulk.fetch(conn, sql, (*place, after, most))

    while found := database.query(ask):
        yield found
        after = found[-1][0]


def partitions(conn: Connection, connection: int) -> list[tuple[str, str]]:
    """(key, name) of the connection's listed partitions that have any item."""
    c = t.partition.c
    held = sa.or_(
        *(sa.exists().where(one.c.partition_id == c.id) for one in (t.item, t.quarantine))
    )
    query = sa.select(c.key, c.name).where(c.connection_id == connection, c.state == "listed", held)
    return [(row[0], row[1]) for row in conn.execute(query.order_by(c.id))]
