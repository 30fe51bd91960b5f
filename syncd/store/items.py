"""Stored items, page by page: what the records of a partition said last."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.store import tables as t
from syncd.store.gaps import vanished

Items = list[tuple[str, bytes]]
"""Keys and raw bytes, in the order of keys."""


def standing(conn: Connection, partition: int, stream: str, after: str, most: int) -> Items:
    """The first items after the key `after` of records that are in their source, as far as anybody
    knows, and not in quarantine. Who was undone, and not made again by the sync after that, is not.
    """
    c, link = t.item.c, t.link.c
    synced = vanished(conn, [partition]).get(partition, 0)
    undone = sa.and_(link.state == LinkState.UNDONE, link.step_id < synced)
    aside = sa.exists().where(_same(t.quarantine, t.item))
    query = (
        sa.select(c.key, c.raw)
        .join(t.link, _same(t.link, t.item))
        .where(c.partition_id == partition, c.stream == stream, c.key > after)
        .where(link.state.not_in([LinkState.MISSED, LinkState.GONE]), sa.not_(undone))
        .where(sa.not_(aside))
    )
    return [(row[0], row[1]) for row in conn.execute(query.order_by(c.key).limit(most))]


def set_aside(conn: Connection, partition: int, stream: str, after: str, most: int) -> Items:
    """The first items after the key `after` that are in quarantine, where their bytes are known."""
    c = t.quarantine.c
    query = sa.select(c.key, c.raw).where(
        c.partition_id == partition, c.stream == stream, c.key > after, c.raw.is_not(None)
    )
    return [(row[0], row[1]) for row in conn.execute(query.order_by(c.key).limit(most))]


def partitions(conn: Connection, connection: int) -> list[tuple[str, str]]:
    """(key, name) of the connection's listed partitions that have any item."""
    c = t.partition.c
    held = sa.or_(
        *(sa.exists().where(one.c.partition_id == c.id) for one in (t.item, t.quarantine))
    )
    query = sa.select(c.key, c.name).where(c.connection_id == connection, c.state == "listed", held)
    return [(row[0], row[1]) for row in conn.execute(query.order_by(c.id))]


def _same(one: sa.Table, other: sa.Table) -> sa.ColumnElement[bool]:
    """They are about the same record."""
    return sa.and_(*(one.c[name] == other.c[name] for name in ("partition_id", "stream", "key")))
