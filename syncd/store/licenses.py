"""Licenses that users hold, by the ledger: what was assigned to each of them, pool by pool."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LICENSES, Effect, LinkState
from syncd.entities import REFERENCE_OF, Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database

_Columns = sa.sql.base.ReadOnlyColumnCollection[str, Any]


def are_there(conn: Connection) -> bool:
    """Whether the ledger holds anything: most desks have no connector that brings licenses."""
    return (
        conn.execute(sa.select(sa.literal(1)).select_from(t.license_ledger).limit(1)).first()
        is not None
    )


def held(
    database: Database, conn: Connection, users: Collection[UUID], provider: str | None = None
) -> dict[UUID, list[list[Any]]]:
    """[pool (hex), count] of the licenses that each user holds (of one provider), in the order of
    the pools.
    """
    c = t.license_ledger.c
    query = _sums().order_by(c.pool_id)
    if provider is not None:
        query = query.join(t.license_pool, t.license_pool.c.id == c.pool_id)
        query = query.where(t.license_pool.c.provider == provider)
    found: dict[UUID, list[list[Any]]] = defaultdict(list)
    for chunk in bulk.chunks(list(users)):
        for user, pool, count in conn.execute(query.where(database.among(c.user_id, chunk))):
            found[user].append([pool.hex, int(count)])
    return dict(found)


def pools(
    database: Database, conn: Connection, provider: str, clients: Collection[UUID]
) -> dict[tuple[UUID, str], UUID]:
    """A provider's pools of clients, by client and SKU."""
    return _by_reference(database, conn, Kind.LICENSE, provider, clients, retired=False)


def holdings(
    database: Database, conn: Connection, kind: Kind, provider: str, clients: Collection[UUID]
) -> dict[tuple[UUID, str], UUID]:
    """A provider's pools or subscriptions of clients, by client and reference; retired ones too."""
    return _by_reference(database, conn, kind, provider, clients, retired=True)


def holders(conn: Connection, pool: UUID, step: int) -> list[tuple[UUID, UUID, int]]:
    """(user, client, count) of those who have licenses of a pool, but for those from whom a step's
    plan takes them already.
    """
    c, u = t.change.c, t.user.c
    taking = sa.select(c.entity_id, c.after).where(c.step_id == step, _has(c, TAKING))
    losing = {
        user
        for user, after in conn.execute(taking)
        if any(one[0] == pool.hex for one in after.get(LICENSES, ()))
    }
    sums = _sums().where(t.license_ledger.c.pool_id == pool).subquery()
    query = sa.select(u.id, u.client_id, sums.c.count).join(sums, sums.c.user_id == u.id)
    rows = conn.execute(query.order_by(u.id))
    return [(user, client, int(count)) for user, client, count in rows if user not in losing]


def once_in(conn: Connection, pool: UUID, partition: int) -> set[str]:
    """The keys of a partition's people who had licenses of a pool once, and have none now."""
    c, link = t.license_ledger.c, t.link.c
    users = sa.select(c.user_id).where(c.pool_id == pool).group_by(c.user_id)
    without = users.having(sa.func.sum(c.assigned_delta) == 0)
    query = sa.select(link.key).where(
        link.partition_id == partition, link.stream == "people", link.entity_id.in_(without)
    )
    query = query.where(link.state == LinkState.ALIVE)
    return set(conn.execute(query).scalars())


def _by_reference(
    database: Database,
    conn: Connection,
    kind: Kind,
    provider: str,
    clients: Collection[UUID],
    *,
    retired: bool,
) -> dict[tuple[UUID, str], UUID]:
    c = t.TABLE_OF[kind].c
    query = sa.select(c.client_id, c[REFERENCE_OF[kind]], c.id).where(c.provider == provider)
    if not retired:
        query = query.where(sa.not_(c.retired))
    return {
        (row[0], row[1]): row[2]
        for chunk in bulk.chunks(list(clients))
        for row in conn.execute(query.where(database.among(c.client_id, chunk)))
    }


def _sums() -> sa.Select[Any]:
    """(user, pool, count) of all that is held."""
    c = t.license_ledger.c
    count = sa.func.sum(c.assigned_delta)
    query = sa.select(c.user_id, c.pool_id, count.label("count"))
    return query.group_by(c.user_id, c.pool_id).having(count > 0)


TAKING = int(Effect.LICENSE_RELEASE | Effect.LICENSE_LOSS)
"""Effects of changes that take licenses from users."""


def to_be_released(conn: Connection, step: int) -> Counter[UUID | None]:
    """Per client, how many licenses the leavers of a step's plan hold."""
    c, h = t.change.c, t.license_ledger.c
    leavers = (
        sa.select(c.entity_id, c.client_id)
        .where(c.step_id == step, _has(c, Effect.LICENSE_RELEASE))
        .distinct()
    )
    users = leavers.subquery()
    sums = _sums().where(h.user_id.in_(sa.select(users.c.entity_id))).subquery()
    query = sa.select(users.c.client_id, sa.func.sum(sums.c.count))
    query = query.join(sums, sums.c.user_id == users.c.entity_id).group_by(users.c.client_id)
    return Counter({client: int(count) for client, count in conn.execute(query)})


def to_be_lost(conn: Connection, step: int) -> Counter[UUID | None]:
    """Per client, how many licenses a step's plan takes from users who stay."""
    c = t.change.c
    lost = _has(c, Effect.LICENSE_LOSS) & sa.not_(_has(c, Effect.LICENSE_RELEASE))
    counts: Counter[UUID | None] = Counter()
    query = sa.select(c.client_id, c.after).where(c.step_id == step, lost)
    for client, after in conn.execute(query.execution_options(yield_per=bulk.CHUNK)):
        counts[client] += sum(count for _, count in after[LICENSES])
    return counts


def takes(c: _Columns) -> sa.ColumnElement[bool]:
    """Whether a change takes licenses from its user."""
    return _has(c, TAKING)


def _has(c: _Columns, effects: int) -> sa.ColumnElement[bool]:
    found: sa.ColumnElement[int] = c.effects.op("&")(int(effects))
    return found != 0


def assigned(database: Database, conn: Connection, clients: Collection[UUID]) -> dict[UUID, int]:
    """How many licenses are assigned in each client; nothing of a client without pools."""
    c = t.license_pool.c
    query = sa.select(c.client_id, sa.func.sum(sa.func.coalesce(c.assigned, 0)))
    return {
        client: int(count)
        for chunk in bulk.chunks(list(clients))
        for client, count in conn.execute(
            query.where(database.among(c.client_id, chunk)).group_by(c.client_id)
        )
    }


def pool_names(database: Database, conn: Connection, pools: Collection[UUID]) -> dict[UUID, str]:
    """What people call the pools: their names, else what the provider calls them."""
    c = t.license_pool.c
    return {
        row[0]: row[1] or row[2]
        for chunk in bulk.chunks(list(pools))
        for row in conn.execute(sa.select(c.id, c.name, c.sku).where(database.among(c.id, chunk)))
    }
