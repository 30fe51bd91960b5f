"""The ledger of licenses: rows are only ever added; what they assign is summed up on the pools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.entities import new_id
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database

_COLUMNS = (
    *("id", "pool_id", "user_id", "bought_delta", "assigned_delta"),
    *("step_id", "effective_at", "recorded_at"),
)


class Entry(NamedTuple):
    """What one row of the ledger adds to a pool: licenses bought (None: nothing is said of that),
    and assigned to a user.
    """

    pool: UUID
    user: UUID | None
    assigned: int
    bought: Decimal | None = None

    def taken_back(self) -> Entry:
        """The row that makes up for it."""
        return self._replace(assigned=-self.assigned)


def book(database: Database, conn: Connection, step: int, entries: Sequence[Entry]) -> None:
    """Write rows of the ledger, recorded now, and what is assigned by them on the pools."""
    if not entries:
        return
    now = database.now(conn)
    stamps = (step, *(bulk.moment(database, at) for at in (_effective_at(conn, step, now), now)))
    rows = [
        (new_id(), one.pool, one.user, one.bought, one.assigned or None, *stamps) for one in entries
    ]
    bulk.insert(database, conn, t.license_ledger, _COLUMNS, rows)
    _total(conn, entries)


def _effective_at(conn: Connection, step: int, now: datetime) -> datetime:
    """Since when it has been so: what a source says, since it was asked; anything else, from now.
    A plan that was approved days later tells of the day on which it was read.
    """
    r = t.run.c
    query = sa.select(r.started_at, r.mode).join(t.step, t.step.c.run_id == r.id)
    started, mode = conn.execute(query.where(t.step.c.id == step)).one()
    return min(now, started) if mode == "apply" else now


def _total(conn: Connection, entries: Sequence[Entry]) -> None:
    assigned: dict[UUID, int] = defaultdict(int)
    for one in entries:
        assigned[one.pool] += one.assigned
    c = t.license_pool.c
    for pool in sorted(assigned):  # in one order everywhere, so that nobody waits for each other
        if assigned[pool]:
            total = c.assigned + sa.literal(assigned[pool], sa.Integer())
            conn.execute(sa.update(t.license_pool).where(c.id == pool).values(assigned=total))
