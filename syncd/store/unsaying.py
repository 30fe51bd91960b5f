"""Taking back a part of what a draft says: changes that say less, links that say nothing new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Change, LinkWrite
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database

_SAID = (
    *("state", "kind", "entity_id", "matched_by", "misses", "missed_at", "counted_at"),
    *("note", "owner"),
)


def shorten(conn: Connection, step: int, changes: Iterable[Change]) -> None:
    """Store what stays of drafted changes."""
    c = t.change.c
    for one in changes:
        conn.execute(
            sa.update(t.change)
            .where(c.step_id == step, c.seq == one.seq)
            .values(action=one.action, reason=one.reason, before=one.before, after=one.after)
        )


def remove(database: Database, conn: Connection, step: int, seqs: Sequence[int]) -> None:
    """Forget drafted changes."""
    c = t.change.c
    for chunk in bulk.chunks(seqs):
        conn.execute(sa.delete(t.change).where(c.step_id == step, database.among(c.seq, chunk)))


def stored_alike(
    database: Database, conn: Connection, partition: int, stream: str, links: Sequence[LinkWrite]
) -> set[str]:
    """Keys of those unsettled links that are stored just so, with their item."""
    c, i = t.link.c, t.item.c
    same = sa.and_(*(c[name] == i[name] for name in ("partition_id", "stream", "key")))
    query = (
        sa.select(c.key, i.raw, *(c[name] for name in _SAID))
        .join(t.item, same, isouter=True)
        .where(c.partition_id == partition, c.stream == stream, c.digest.is_(None))
    )
    said = {one.key: (one.raw, *_said(one)) for one in links}
    return {
        row[0]
        for chunk in bulk.chunks(list(said))
        for row in conn.execute(query.where(database.among(c.key, chunk)))
        if tuple(row[1:]) == said[row[0]]
    }


def _said(one: LinkWrite) -> tuple[object, ...]:
    return (
        *(one.state, one.kind, one.entity, one.matched_by, one.misses, one.missed_at),
        *(one.counted_at, one.note, one.owner),
    )
