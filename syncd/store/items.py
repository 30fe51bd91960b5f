"""Stored items, page by page: what the records of a partition said last."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.gaps import vanished

Items = list[tuple[str, bytes]]
"""Keys and raw bytes, in the order of keys."""


_STANDING = """
select item.key, item.raw from item
join link on link.partition_id = item.partition_id and link.stream = item.stream
and link.key = item.key
where item.partition_id = {mark} and item.stream = {mark} and item.key > {mark}
and link.state not in ('missed', 'gone') and not (link.state = 'undone' and link.step_id < {mark})
and not exists (select 1 from quarantine as aside where aside.partition_id = item.partition_id
and aside.stream = item.stream and aside.key = item.key)
order by item.key limit {mark}
"""
_SET_ASIDE = """
select key, raw from quarantine where partition_id = {mark} and stream = {mark} and key > {mark}
and raw is not null order by key limit {mark}
"""


def standing(
    database: Database, conn: Connection, partition: int, stream: str, after: str, most: int
) -> Items:
    """The first items after the key `after` of records that are in their source, as far as anybody
    knows, and not in quarantine. Who was undone, and not made again by the sync after that, is not.
    """
    synced = vanished(conn, [partition]).get(partition, 0)
    sql = _STANDING.format(mark=database.mark)
    return bulk.fetch(conn, sql, (partition, stream, after, synced, most))


def set_aside(
    database: Database, conn: Connection, partition: int, stream: str, after: str, most: int
) -> Items:
    """The first items after the key `after` that are in quarantine, where their bytes are known."""
    sql = _SET_ASIDE.format(mark=database.mark)
    return bulk.fetch(conn, sql, (partition, stream, after, most))


def partitions(conn: Connection, connection: int) -> list[tuple[str, str]]:
    """(key, name) of the connection's listed partitions that have any item."""
    c = t.partition.c
    held = sa.or_(
        *(sa.exists().where(one.c.partition_id == c.id) for one in (t.item, t.quarantine))
    )
    query = sa.select(c.key, c.name).where(c.connection_id == connection, c.state == "listed", held)
    return [(row[0], row[1]) for row in conn.execute(query.order_by(c.id))]
