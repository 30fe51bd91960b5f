"""Small writes and look-ups around a person's own changes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkWrite
from syncd.store import tables as t
from syncd.store.database import Database


def unsettle(database: Database, conn: Connection, entities: Sequence[UUID]) -> None:
    """Have every source's record of the entities planned again by the next run."""
    if entities:
        these = database.among(t.link.c.entity_id, entities)
        conn.execute(sa.update(t.link).where(these).values(digest=None))


def ignore(
    database: Database,
    conn: Connection,
    step: int,
    partition: int | None,
    links: Sequence[LinkWrite],
) -> None:
    """A standing word on the records of these links: an undo with `--keep` wants none of them. It
    takes the place of any earlier word.
    """
    if not links:
        return
    c, r = t.decision.c, t.run.c
    asked = sa.select(r.actor, r.undoes).join(t.step, t.step.c.run_id == r.id)
    actor, undone = conn.execute(asked.where(t.step.c.id == step)).one()
    told = {
        "partition_id": partition,
        "verdict": "ignore",
        "actor": actor,
        "reason": f"undo of run {undone} with --keep",
        "step_id": step,
        "decided_at": database.now(conn),
    }
    for one in links:
        same = sa.and_(c.partition_id == partition, c.stream == one.stream, c.key == one.key)
        conn.execute(sa.delete(t.decision).where(same))
    conn.execute(
        sa.insert(t.decision), [{**told, "stream": one.stream, "key": one.key} for one in links]
    )


def main_site(conn: Connection, client: UUID) -> UUID | None:
    """The client's main site."""
    c = t.site.c
    query = sa.select(c.id).where(c.client_id == client, c.role == "main", sa.not_(c.retired))
    return conn.execute(query.limit(1)).scalar()
