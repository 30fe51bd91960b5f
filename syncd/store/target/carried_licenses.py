"""Licenses of entities that are merged: rows of the ledger that make up for others, dated now, so
that what was true at any time stays to be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.target.ledger import Entry, book


def carry_user(database: Database, conn: Connection, step: int, one: UUID, into: UUID) -> None:
    """What is assigned to a user is another's from now on."""
    entries = _balance(conn, t.license_ledger.c.user_id == one)
    taken = [entry.taken_back() for entry in entries]
    book(database, conn, step, [*taken, *(entry._replace(user=into) for entry in entries)])


def carry_client(
    database: Database, conn: Connection, step: int, one: UUID, into: UUID
) -> tuple[list[str], list[str]]:
    """A client's pools and subscriptions go to another. Where that has the same pool, what is
    assigned from it goes there, and what was bought stays where it was: two tenants' counts are
    never added up. The pools, and the subscriptions, that went.
    """
    theirs = {(row.provider, row.sku): row.id for row in _pools(conn, into)}
    moved: list[str] = []
    for row in _pools(conn, one):
        if twin := theirs.get((row.provider, row.sku)):
            entries = _balance(conn, t.license_ledger.c.pool_id == row.id)
            taken = [entry.taken_back() for entry in entries]
            book(database, conn, step, [*taken, *(entry._replace(pool=twin) for entry in entries)])
        else:
            moved.append(row.id.hex)
            _set(conn, t.license_pool, row.id, client_id=into)
    return moved, _carry_subscriptions(conn, one, into)


def _carry_subscriptions(conn: Connection, one: UUID, into: UUID) -> list[str]:
    """What both clients have stays where it is."""
    theirs = {(row.provider, row.reference) for row in _subscriptions(conn, into)}
    moved = [
        row for row in _subscriptions(conn, one) if (row.provider, row.reference) not in theirs
    ]
    for row in moved:
        _set(conn, t.subscription, row.id, client_id=into)
    return [row.id.hex for row in moved]


def give_back(
    database: Database,
    conn: Connection,
    step: int,
    merge: int,
    one: UUID,
    into: UUID,
    pools: Sequence[str],
    subscriptions: Sequence[str],
) -> None:
    """Take back what the step `merge` carried from the user or client `one` to another, as far as
    that still has it: what was released since, or what its provider took, comes back to nobody.
    """
    for table, rows, went in (
        (t.license_pool, _pools(conn, into), pools),
        (t.subscription, _subscriptions(conn, into), subscriptions),
    ):
        for back in {row.id.hex for row in rows}.intersection(went):
            _set(conn, table, UUID(hex=back), client_id=one)
    book(database, conn, step, list(_way_back(conn, merge, one, into)))


def _way_back(conn: Connection, merge: int, one: UUID, into: UUID) -> Iterator[Entry]:
    """Of all that left the user or client `one`, no more than is where it went."""
    theirs = {(row.provider, row.sku): row.id for row in _pools(conn, into)}
    twins = {row.id: theirs.get((row.provider, row.sku)) for row in _pools(conn, one)}
    carried = _balance(conn, t.license_ledger.c.step_id == merge)
    pools = {entry.pool for entry in carried}
    now = _balance(conn, t.license_ledger.c.pool_id.in_(pools))
    here = {(entry.pool, entry.user): entry for entry in now}
    for entry in carried:
        pool = entry.pool if entry.user == one else twins.get(entry.pool)
        user = into if entry.user == one else entry.user
        held = here.get((pool, user)) if pool else None
        if pool and held:
            back = entry._replace(assigned=max(0, min(-entry.assigned, held.assigned)))
            yield back
            yield back._replace(pool=pool, user=user).taken_back()


def _pools(conn: Connection, client: UUID) -> Sequence[Any]:
    c = t.license_pool.c
    return conn.execute(sa.select(t.license_pool).where(c.client_id == client)).all()


def _subscriptions(conn: Connection, client: UUID) -> Sequence[Any]:
    c = t.subscription.c
    return conn.execute(sa.select(t.subscription).where(c.client_id == client)).all()


def _set(conn: Connection, table: sa.Table, one: UUID | None, **values: Any) -> None:
    conn.execute(sa.update(table).where(table.c.id == one).values(**values))


def _balance(conn: Connection, where: sa.ColumnElement[bool]) -> list[Entry]:
    """What is assigned by rows of the ledger, by pool and user; nothing where that is nothing."""
    c = t.license_ledger.c
    query = (
        sa.select(c.pool_id, c.user_id, sa.func.sum(c.assigned_delta))
        .where(where)
        .group_by(c.pool_id, c.user_id)
    )
    return [Entry(row[0], row[1], int(row[2])) for row in conn.execute(query) if row[2]]
