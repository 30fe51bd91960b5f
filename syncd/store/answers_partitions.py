"""What people ask about partitions: which a connection has, and how they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from syncd.entities import Kind
from syncd.errors import AccessLost
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.partitions import LISTED, RETIRED, UNLISTED
from syncd.store.ties import LIVING


class PartitionLine(NamedTuple):
    """One partition: its state, its last step, and how many active users its records are tied to.

    `waiting`: the held plan that waits for a decision.
    """

    key: str
    name: str
    state: str
    last_run: int | None
    last_state: str | None
    last_at: datetime | None
    users: int
    waiting: int | None


class LostPartition(NamedTuple):
    """A partition that its source does not let us read any more, since the first run that was told
    so; `users`: how many active users its records are tied to.
    """

    connection: str
    key: str
    name: str
    since: datetime
    run: int
    users: int


def partitions(database: Database, connection: str) -> list[PartitionLine]:
    """The partitions of a connection by name; none of one that was never used."""
    p, s, h = t.partition.c, t.step.c, t.hold.c
    newest = sa.select(s.partition_id, sa.func.max(s.id).label("id")).group_by(s.partition_id)
    last = newest.subquery()
    waiting = sa.select(sa.func.max(h.id)).where(h.partition_id == p.id, h.state == "waiting")
    query = (
        sa.select(
            p.key, p.name, p.state, s.run_id, s.state, t.run.c.started_at, _users(),
            waiting.correlate(t.partition).scalar_subquery(),
        )
        .select_from(t.partition)
        .join(t.connection, t.connection.c.id == p.connection_id)
        .join(last, last.c.partition_id == p.id, isouter=True)
        .join(t.step, s.id == last.c.id, isouter=True)
        .join(t.run, t.run.c.id == s.run_id, isouter=True)
        .where(t.connection.c.name == connection)
        .order_by(p.name, p.key)
    )  # fmt: skip
    return database.query(lambda conn: [PartitionLine._make(row) for row in conn.execute(query)])


def _users() -> sa.ColumnElement[int]:
    c, u = t.link.c, t.user.c
    query = sa.select(sa.func.count(sa.distinct(u.id))).join_from(
        t.link, t.user, u.id == c.entity_id
    )
    query = query.where(c.partition_id == t.partition.c.id, c.kind == Kind.USER)
    query = query.where(c.state.in_(LIVING), u.active, sa.not_(u.retired))
    return query.correlate(t.partition).scalar_subquery()


def lost(database: Database, connections: Collection[str]) -> list[LostPartition]:
    """Partitions of these connections that the last sync had no access to any more, the longest
    lost first.
    """
    p, s, r = t.partition.c, t.step.c, t.run.c
    told = s.code == AccessLost.code
    ended = sa.and_(r.mode == "apply", s.state != "due")
    read = sa.select(s.partition_id, sa.func.max(s.id).label("id")).join(t.run, r.id == s.run_id)
    good = read.where(ended, sa.func.coalesce(s.code, "") != AccessLost.code)
    last = good.group_by(s.partition_id).subquery()
    query = (
        sa.select(
            t.connection.c.name, p.key, p.name, sa.func.min(r.started_at), sa.func.min(r.id),
            _users(),
        )
        .select_from(t.partition)
        .join(t.connection, t.connection.c.id == p.connection_id)
        .join(t.step, s.partition_id == p.id)
        .join(t.run, r.id == s.run_id)
        .join(last, last.c.partition_id == p.id, isouter=True)
        .where(t.connection.c.name.in_(connections), p.state == LISTED, ended, told)
        .where(s.id > sa.func.coalesce(last.c.id, 0))
        .group_by(t.connection.c.name, p.id, p.key, p.name)
        .order_by(sa.func.min(r.started_at), p.id)
    )  # fmt: skip
    return database.query(lambda conn: [LostPartition._make(row) for row in conn.execute(query)])


class HealthLine(NamedTuple):
    """How one partition stands. `troubles`: by code, each with `since` and `detail`; None: it was
    never read.
    """

    connection: str
    key: str
    name: str
    state: str
    troubles: dict[str, dict[str, str]] | None


def health(database: Database, connection: str | None = None) -> list[HealthLine]:
    """How the partitions of one connection, or of all, stand; those that were retired are left
    out.
    """
    c, p = t.connection.c, t.partition.c
    query = sa.select(c.name, p.key, p.name, p.state, p.health)
    query = query.join(t.partition, p.connection_id == c.id).where(p.state != RETIRED)
    query = query.order_by(c.name, p.name, p.key)
    if connection is not None:
        query = query.where(c.name == connection)
    return database.query(lambda conn: [HealthLine._make(row) for row in conn.execute(query)])


def counted(database: Database) -> dict[str, dict[str, int]]:
    """Per connection, how many of its partitions are in each state."""
    c, p = t.connection.c, t.partition.c
    query = sa.select(c.name, p.state, sa.func.count()).join(t.partition, p.connection_id == c.id)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    with database.read() as conn:
        for name, state, count in conn.execute(query.group_by(c.name, p.state)):
            found[name][state] = count
    return dict(found)


def unlisted(database: Database, connection: str) -> list[str]:
    """Names of partitions that the source lists no more, and that nobody retired."""
    found = partitions(database, connection)
    return [one.name for one in found if one.state == UNLISTED]
