"""The ledger of licenses: rows are only ever added, and what they come to stands on the pools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.entities import new_id
from syncd.store import tables as t
from syncd.store.database import Database


class Entry(NamedTuple):
    """What one row of the ledger adds to a pool: licenses bought, and assigned to a user."""

    pool: UUID
    user: UUID | None
    bought: Decimal
    assigned: int

    def taken_back(self) -> Entry:
        """The row that makes up for it."""
        return self._replace(bought=-self.bought, assigned=-self.assigned)


def book(database: Database, conn: Connection, step: int, entries: Sequence[Entry]) -> None:
    """Write rows of the ledger, dated now, and what they come to on the pools."""
    if not entries:
        return
    now = database.now(conn)
    dated = {"step_id": step, "effective_at": now, "recorded_at": now}
    rows = [
        {
            "id": new_id(),
            "pool_id": one.pool,
            "user_id": one.user,
            "bought_delta": one.bought or None,
            "assigned_delta": one.assigned or None,
            **dated,
        }
        for one in entries
    ]
    conn.execute(sa.insert(t.license_ledger), rows)
    _total(conn, entries)


def _total(conn: Connection, entries: Sequence[Entry]) -> None:
    """What no provider has ever counted stays unknown."""
    bought: dict[UUID, Decimal] = defaultdict(Decimal)
    assigned: dict[UUID, int] = defaultdict(int)
    for one in entries:
        bought[one.pool] += one.bought
        assigned[one.pool] += one.assigned
    c = t.license_pool.c
    for pool in sorted(bought):  # in one order everywhere, so that nobody waits for each other
        news: dict[str, sa.ColumnElement[Any]] = {}
        if bought[pool]:
            news["bought"] = c.bought + bought[pool]
        if assigned[pool]:
            more = sa.literal(assigned[pool], sa.Integer())
            news["assigned"] = c.assigned + more
        if news:
            conn.execute(sa.update(t.license_pool).where(c.id == pool).values(**news))
