"""What others did since a plan was made: merged or retired those whom its changes speak of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Change, LinkWrite, creates
from syncd.entities import Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


def torn(
    database: Database, conn: Connection, partition: int | None, links: Sequence[LinkWrite]
) -> set[int]:
    """Places of links whose record is tied to another living entity by now: a merge, or its undo,
    came in between, and nobody but a person ties a record to somebody else.
    """
    wanted: dict[str, dict[str, int]] = defaultdict(dict)
    for at, one in enumerate(links):
        if one.entity is not None and not one.is_new:
            wanted[one.stream][one.key] = at
    moved: dict[int, UUID] = {}
    for stream, places in wanted.items():
        for key, now in _tied(database, conn, partition, stream, list(places)).items():
            if now is not None and now != links[places[key]].entity:
                moved[places[key]] = now
    if not moved:
        return set()
    ids = {one for at, now in moved.items() for one in (now, links[at].entity) if one}
    retired, merged = _retired(database, conn, ids), _merged(database, conn, ids)
    return {
        at
        for at, now in moved.items()
        if now not in retired and (links[at].entity not in retired or links[at].entity in merged)
    }


def _tied(
    database: Database, conn: Connection, partition: int | None, stream: str, keys: Sequence[str]
) -> dict[str, UUID | None]:
    c = t.link.c
    query = sa.select(c.key, c.entity_id).where(c.partition_id == partition, c.stream == stream)
    return {
        row[0]: row[1]
        for chunk in bulk.chunks(keys)
        for row in conn.execute(query.where(database.among(c.key, chunk)))
    }


def _merged(database: Database, conn: Connection, ids: Collection[UUID]) -> set[UUID]:
    c = t.merged.c
    return {
        one
        for chunk in bulk.chunks(list(ids))
        for one in conn.execute(
            sa.select(c.entity_id).where(database.among(c.entity_id, chunk))
        ).scalars()
    }


def _retired(database: Database, conn: Connection, ids: Collection[UUID]) -> set[UUID]:
    return {
        one
        for kind in Kind
        for chunk in bulk.chunks(list(ids))
        for one in conn.execute(
            sa.select(t.TABLE_OF[kind].c.id).where(
                t.TABLE_OF[kind].c.retired, database.among(t.TABLE_OF[kind].c.id, chunk)
            )
        ).scalars()
    }


def homeless(database: Database, conn: Connection, changes: Sequence[Change]) -> dict[int, str]:
    """Places of changes that put somebody into a client or site that is retired by now."""
    homes = {place: ids for place, one in enumerate(changes) if (ids := _homes(one))}
    back = {one.entity for one in changes if one.after.get("retired") is False}
    retired = _retired(database, conn, {one for ids in homes.values() for one in ids} - back)
    why = "what it belongs to was retired, or merged into another, after the plan was made"
    return {place: why for place, ids in homes.items() if not ids.isdisjoint(retired)}


def _homes(change: Change) -> set[UUID]:
    named = {UUID(hex=home) for name in ("client", "site") if (home := change.after.get(name))}
    if creates(change) and change.kind is not Kind.CLIENT and change.client:
        named.add(change.client)
    return named
