"""Licenses that users hold, by the ledger: what was assigned to each of them, pool by pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Effect
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


def are_there(conn: Connection) -> bool:
    """Whether the ledger holds anything: most desks have no connector that brings licenses."""
    return (
        conn.execute(sa.select(sa.literal(1)).select_from(t.license_ledger).limit(1)).first()
        is not None
    )


def held(
    database: Database, conn: Connection, users: Collection[UUID]
) -> dict[UUID, list[list[Any]]]:
    """[pool (hex), count] of the licenses that each user holds, in the order of the pools."""
    c = t.license_ledger.c
    query = _sums().order_by(c.pool_id)
    found: dict[UUID, list[list[Any]]] = defaultdict(list)
    for chunk in bulk.chunks(list(users)):
        for user, pool, count in conn.execute(query.where(database.among(c.user_id, chunk))):
            found[user].append([pool.hex, int(count)])
    return dict(found)


def _sums() -> sa.Select[Any]:
    """(user, pool, count) of all that is held."""
    c = t.license_ledger.c
    count = sa.func.sum(c.assigned_delta)
    query = sa.select(c.user_id, c.pool_id, count.label("count"))
    return query.group_by(c.user_id, c.pool_id).having(count > 0)


def to_be_released(conn: Connection, step: int) -> dict[UUID | None, int]:
    """Per client, how many licenses the leavers of a step's plan hold."""
    c, h = t.change.c, t.license_ledger.c
    leavers = sa.select(c.entity_id, c.client_id).where(c.step_id == step, releases(c)).distinct()
    users = leavers.subquery()
    sums = _sums().where(h.user_id.in_(sa.select(users.c.entity_id))).subquery()
    query = sa.select(users.c.client_id, sa.func.sum(sums.c.count))
    query = query.join(sums, sums.c.user_id == users.c.entity_id).group_by(users.c.client_id)
    return {client: int(count) for client, count in conn.execute(query)}


def releases(c: sa.sql.base.ReadOnlyColumnCollection[str, Any]) -> sa.ColumnElement[bool]:
    """Whether a change releases licenses."""
    effect: sa.ColumnElement[int] = c.effects.op("&")(int(Effect.LICENSE_RELEASE))
    return effect != 0


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
