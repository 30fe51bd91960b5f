"""What people ask about merges: who went into whom, and by which name one was known before."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.entities import Kind
from syncd.store import tables as t
from syncd.store.answers import Named, named, referred_among, short_labels
from syncd.store.database import Database


class Absorbed(NamedTuple):
    """Somebody who was merged into another, by which run, by whom and when."""

    id: UUID
    label: str
    run: int
    actor: str
    at: datetime


def with_absorbed(conn: Connection, entity: UUID) -> set[UUID]:
    """The entity and all that went into it, by however many merges."""
    c = t.merged.c
    found, new = {entity}, {entity}
    while new:
        query = sa.select(c.entity_id).where(c.into_id.in_(new))
        new = {*conn.execute(query).scalars()} - found
        found |= new
    return found


def absorbed(database: Database, entity: UUID) -> list[Absorbed]:
    """Who was merged into an entity, or into one of these before, the latest first."""
    c, r = t.merged.c, t.run.c

    def look(conn: Connection) -> list[Absorbed]:
        ids = with_absorbed(conn, entity) - {entity}
        query = (
            sa.select(c.entity_id, r.id, r.actor, r.started_at)
            .join(t.step, t.step.c.id == c.step_id)
            .join(t.run, r.id == t.step.c.run_id)
            .where(database.among(c.entity_id, list(ids)))
            .order_by(r.id.desc(), c.entity_id)
        )
        labels = short_labels(database, conn, ids)
        return [Absorbed(row[0], labels[row[0]], *row[1:]) for row in conn.execute(query)]

    return database.query(look)


def known_before(
    database: Database, kind: Kind, reference: str, client: UUID | None = None
) -> list[Named]:
    """Those who stayed when somebody was merged whom the reference names exactly."""

    def look(conn: Connection) -> list[Named]:
        gone = t.TABLE_OF[kind].c.id.in_(sa.select(t.merged.c.entity_id))
        found = referred_among(conn, kind, reference, client, gone)
        return named(database, conn, _stayed(conn, found))

    return database.query(look)


def _stayed(conn: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Into whom they went in the end."""
    c = t.merged.c
    last = set(ids)
    while True:
        query = sa.select(c.entity_id, c.into_id).where(c.entity_id.in_(last))
        went = {row[0]: row[1] for row in conn.execute(query)}
        if not went:
            return last
        last = {went.get(one, one) for one in last}
