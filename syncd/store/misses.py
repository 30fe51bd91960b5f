"""Drafted misses: leavers whose clock still runs, and what an approval makes of them."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LICENSES, Action, Effect
from syncd.store import bulk, licenses
from syncd.store import tables as t
from syncd.store.database import Database


def drafted(conn: Connection, step: int) -> set[int]:
    """The places of all misses in the plan of a step."""
    c = t.change.c
    query = sa.select(c.seq).where(c.step_id == step, c.action == Action.MISS)
    return set(conn.execute(query).scalars())


def confirm(
    database: Database, conn: Connection, step: int, seqs: Collection[int], addition: str
) -> None:
    """Turn drafted misses into deactivations, with the licenses that then go, and say so in their
    reason.
    """
    c = t.change.c
    here = c.step_id == step
    query = sa.select(c.seq, c.reason, c.before, c.after, c.effects, c.entity_id).where(here)
    for chunk in bulk.chunks(sorted(seqs)):
        rows = conn.execute(query.where(database.among(c.seq, chunk))).all()
        leavers = [row.entity_id for row in rows if row.effects & Effect.LICENSE_RELEASE]
        held = licenses.held(database, conn, leavers)
        for seq, reason, before, after, _, user in rows:
            freed = {LICENSES: held[user]} if user in held else {}
            conn.execute(
                sa.update(t.change)
                .where(here, c.seq == seq)
                .values(
                    action=Action.DEACTIVATE,
                    reason=reason + addition,
                    before={**before, "active": True, **{name: [] for name in freed}},
                    after={**after, "active": False, **freed},
                )
            )
