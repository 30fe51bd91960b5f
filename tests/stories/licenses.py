"""Licenses of a desk for stories: put into the tables, as if a provider had told of them."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from syncd.entities import new_id
from syncd.store import tables as t
from tests.stories.desk import Desk


def pool(desk: Desk, sku: str, client: str = "Acme", *, assigned: int = 0) -> UUID:
    """A pool of licenses of a client, `assigned` of them to people whom we do not know."""
    made = new_id()
    with desk.database.engine.begin() as conn:
        conn.execute(
            sa.insert(t.license_pool).values(
                id=made,
                client_id=desk.client(client),
                provider="csp",
                sku=sku,
                name=f"{sku} plan",
                bought="100",
                assigned=assigned,
                active=True,
                provenance={"*": "csp"},
                retired=False,
            )
        )
    return made


def assign(desk: Desk, pool: UUID, *names: str, count: int = 1) -> None:
    """Give each of the users so many licenses of the pool; a negative count takes them."""
    c = t.license_pool.c
    with desk.database.engine.begin() as conn:
        now = desk.database.now(conn)
        for name in names:
            conn.execute(
                sa.insert(t.license_ledger).values(
                    id=new_id(),
                    pool_id=pool,
                    user_id=desk.user(name).id,
                    assigned_delta=count,
                    effective_at=now,
                    recorded_at=now,
                )
            )
        more = sa.literal(count * len(names), sa.Integer())
        conn.execute(
            sa.update(t.license_pool).where(c.id == pool).values(assigned=c.assigned + more)
        )


class Entry(NamedTuple):
    """A row of the ledger: whose, how many, by which run (None: not by syncd)."""

    user: str
    count: int
    run: int | None


def ledger(desk: Desk, pool: UUID) -> list[Entry]:
    """The rows of a pool, in the order in which they were written."""
    c = t.license_ledger.c
    query = (
        sa.select(t.user.c.name, c.assigned_delta, t.step.c.run_id)
        .join(t.user, t.user.c.id == c.user_id)
        .join(t.step, t.step.c.id == c.step_id, isouter=True)
        .where(c.pool_id == pool)
        .order_by(c.id)
    )
    with desk.database.read() as conn:
        return [Entry(*row) for row in conn.execute(query)]


def assigned(desk: Desk, pool: UUID) -> Decimal:
    """How many licenses of the pool are assigned."""
    with desk.database.read() as conn:
        query = sa.select(t.license_pool.c.assigned).where(t.license_pool.c.id == pool)
        found: Decimal = conn.execute(query).scalar_one()
        return found
