"""What clients have of their providers: pools of licenses, today or on any past day; subscriptions.

A past day is told by the ledger, by when things were so, not by when we wrote them down. Before the
first read nothing is known, and that is what is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.store import tables as t
from syncd.store.database import Database


class PoolLine(NamedTuple):
    """One pool. `bought` None: no source ever said; `consumed`: as the provider counts, now."""

    client: str
    provider: str
    product: str
    sku: str
    bought: Decimal | None
    assigned: int
    consumed: Decimal | None
    status: str | None
    flags: tuple[str, ...]


class SubscriptionLine(NamedTuple):
    """One subscription; dates as `YYYY-MM-DD`."""

    client: str
    provider: str
    product: str
    reference: str
    quantity: Decimal | None
    status: str | None
    term: str | None
    billing_cycle: str | None
    started_on: str | None
    ends_on: str | None
    auto_renew: bool | None
    trial: bool | None
    parent: str | None
    sku: str | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pools:
    """Pools in the order of clients and products. `unknown`: clients of whose licenses nothing was
    known at that time.
    """

    lines: list[PoolLine]
    total: int
    unknown: list[str] = field(default_factory=list)


class _Sum(NamedTuple):
    """What the ledger says of a pool."""

    bought: Decimal | None
    assigned: int


def pools(
    database: Database, client: UUID | None = None, at: datetime | None = None, limit: int = 0
) -> Pools:
    """The pools of a client or of all, as they were at a time; None: as they are."""

    def look(conn: Connection) -> Pools:
        rows = _stored(conn, client)
        sums = _sums(conn, client, at)
        known = _known_since(rows, _first(conn, client))
        shown = [row for row in rows if _is_there(row, sums.get(row.id), at)]
        lines = [_pool_line(row, sums.get(row.id, _Sum(None, 0)), at) for row in shown]
        unknown = {row.owner for row in rows if at and at < known[row.client_id, row.provider]}
        some = lines[:limit] if limit else lines
        return Pools(some, len(lines), sorted(unknown - {one.client for one in lines}))

    return database.query(look)


def _stored(conn: Connection, client: UUID | None) -> Sequence[Any]:
    p, owner = t.license_pool.c, t.client.c
    query = sa.select(t.license_pool, owner.name.label("owner")).join(
        t.client, owner.id == p.client_id
    )
    query = query.where(sa.not_(p.retired), sa.not_(owner.retired))
    if client is not None:
        query = query.where(p.client_id == client)
    product = sa.func.coalesce(p.name, p.part_number, p.sku)
    return conn.execute(query.order_by(owner.key_name, owner.id, product, p.sku)).all()


def _ledger_of(query: sa.Select[Any], client: UUID | None) -> sa.Select[Any]:
    if client is None:
        return query
    c, p = t.license_ledger.c, t.license_pool.c
    return query.join(t.license_pool, p.id == c.pool_id).where(p.client_id == client)


def _sums(conn: Connection, client: UUID | None, at: datetime | None) -> dict[UUID, _Sum]:
    c = t.license_ledger.c
    sums = sa.func.sum(c.bought_delta), sa.func.sum(c.assigned_delta)
    query: sa.Select[Any] = _ledger_of(sa.select(c.pool_id, *sums), client).group_by(c.pool_id)
    if at is not None:
        query = query.where(c.effective_at <= at)
    return {
        row[0]: _Sum(None if row[1] is None else Decimal(row[1]), int(row[2] or 0))
        for row in conn.execute(query)
    }


def _first(conn: Connection, client: UUID | None) -> dict[UUID, datetime]:
    """When each pool was first heard of."""
    c = t.license_ledger.c
    query = sa.select(c.pool_id, sa.func.min(c.effective_at, type_=c.effective_at.type))
    rows = conn.execute(_ledger_of(query, client).group_by(c.pool_id))
    return {row[0]: row[1] for row in rows}


def _known_since(
    rows: Sequence[Any], first: Mapping[UUID, datetime]
) -> dict[tuple[UUID, str], datetime]:
    """Since when anything is known of what a client has of a provider."""
    since: dict[tuple[UUID, str], list[datetime]] = defaultdict(list)
    for row in rows:
        if row.id in first:
            since[row.client_id, row.provider].append(first[row.id])
    homes = {(row.client_id, row.provider) for row in rows}
    return {home: min(since[home]) if since[home] else _NEVER for home in homes}


_NEVER = datetime.max.replace(tzinfo=UTC)


def _is_there(row: Any, told: _Sum | None, at: datetime | None) -> bool:
    """Whether a pool is worth a line: of one that is gone nothing is left."""
    if told is None:
        return at is None and row.active
    return row.active or bool(told.bought or told.assigned)


def _pool_line(row: Any, told: _Sum, at: datetime | None) -> PoolLine:
    now = at is None
    consumed = Decimal(row.consumed) if now and row.consumed is not None else None
    return PoolLine(
        row.owner,
        row.provider,
        row.name or row.part_number or row.sku,
        row.sku,
        told.bought,
        told.assigned,
        consumed,
        row.status if now else None,
        tuple(_oddities(row, told, consumed)),
    )


def _oddities(row: Any, told: _Sum, consumed: Decimal | None) -> list[str]:
    flags = []
    if told.bought is not None:
        in_use = max(Decimal(told.assigned), consumed or Decimal(0))
        if in_use > told.bought:
            flags.append("over-assigned")
        if told.bought < 0:
            flags.append("negative")
        if told.bought != told.bought.to_integral_value():
            flags.append("fractional")
    if row.name is None and row.part_number is not None:
        flags.append("unknown product")
    return flags


# -- subscriptions ---------------------------------------------------------------------------------


def subscriptions(
    database: Database, client: UUID | None = None, limit: int = 0
) -> tuple[list[SubscriptionLine], int]:
    """The subscriptions that sources tell of, of a client or of all, and how many there are."""

    def look(conn: Connection) -> tuple[list[SubscriptionLine], int]:
        rows = _subscribed(conn, client)
        alone = _told_once(conn)
        kinds: dict[tuple[UUID, str], set[str | None]] = defaultdict(set)
        for row in rows:
            if row.id in alone:
                kinds[row.client_id, row.provider].add(row.seen_by)
        lines = [
            _subscription_line(row, row.id in alone and len(kinds[row.client_id, row.provider]) > 1)
            for row in rows
        ]
        return lines[:limit] if limit else lines, len(lines)

    return database.query(look)


def _subscribed(conn: Connection, client: UUID | None) -> Sequence[Any]:
    s, owner = t.subscription.c, t.client.c
    query = sa.select(t.subscription, owner.name.label("owner"))
    query = query.join(t.client, owner.id == s.client_id)
    query = query.where(sa.not_(s.retired), sa.not_(owner.retired), s.active)
    if client is not None:
        query = query.where(s.client_id == client)
    return conn.execute(query.order_by(owner.key_name, owner.id, s.name, s.reference)).all()


def _told_once(conn: Connection) -> set[UUID]:
    """Subscriptions of which only one record tells."""
    link = t.link.c
    query = sa.select(link.entity_id).where(link.stream == "subscriptions")
    query = query.where(link.state == LinkState.ALIVE).group_by(link.entity_id)
    return set(conn.execute(query.having(sa.func.count() == 1)).scalars())


def _subscription_line(row: Any, side_by_side: bool) -> SubscriptionLine:
    quantity = None if row.quantity is None else Decimal(row.quantity)
    flags = ["perhaps the same as another"] if side_by_side else []
    if quantity is not None and quantity < 0:
        flags.append("negative")
    if quantity is not None and quantity != quantity.to_integral_value():
        flags.append("fractional")
    return SubscriptionLine(
        row.owner,
        row.provider,
        row.name or row.part_number or row.reference,
        row.reference,
        quantity,
        row.status,
        row.term,
        row.billing_cycle,
        row.started_on,
        row.ends_on,
        row.auto_renew,
        row.trial,
        row.parent,
        row.sku,
        tuple(flags),
    )
