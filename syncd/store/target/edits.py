"""Small writes and look-ups around a person's own changes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


def unsettle(database: Database, conn: Connection, entities: Sequence[UUID]) -> None:
    """Have every source's record of the entities planned again by the next run."""
    for chunk in bulk.chunks(entities):
        these = database.among(t.link.c.entity_id, chunk)
        conn.execute(sa.update(t.link).where(these).values(digest=None))


def main_site(conn: Connection, client: UUID) -> UUID | None:
    """The client's main site."""
    c = t.site.c
    query = sa.select(c.id).where(c.client_id == client, c.role == "main", sa.not_(c.retired))
    return conn.execute(query.limit(1)).scalar()
