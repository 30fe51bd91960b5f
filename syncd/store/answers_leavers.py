"""What people ask about leavers: whose record is going, since when, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.store import tables as t
from syncd.store.answers import Found, in_order
from syncd.store.database import Database
from syncd.store.ties import LIVING

GOING = (LinkState.MISSED, LinkState.LEAVING)
"""States of links whose clock runs."""


class Timing(NamedTuple):
    """What a connection's mapping does about one reason, and when: after so many complete reads, of
    which one in `pace` seconds counts, and after so many seconds.
    """

    connection: str
    reason: str
    action: str
    reads: int
    pace: float
    seconds: float


class Going(NamedTuple):
    """A record that is going, of an active user; or one that is gone, disabled or out of scope, if
    a person is to say what becomes of the user. Times are seconds since the epoch, by the database;
    `due`: the earliest moment at which a complete read would act, None where no rule is known.
    """

    user: UUID
    client: str
    name: str
    email: str | None
    login: str | None
    connection: str
    connection_state: str
    partition: int
    partition_name: str
    stream: str
    key: str
    state: LinkState
    reason: str
    misses: int
    missed_at: float | None
    due: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which leavers: of a connection, a client, or this one user; at most so many (0: all)."""

    connection: str | None = None
    client: UUID | None = None
    user: UUID | None = None
    limit: int = 0


def going(database: Database, wanted: Wanted, timings: Sequence[Timing]) -> Found[Going]:
    """Leavers, who is due first coming first; who waits for a person comes before all others."""
    c, u, n, p = t.link.c, t.user.c, t.connection.c, t.partition.c
    due = _due(timings)
    query = (
        sa.select(
            u.id, t.client.c.name, u.name, u.email, u.login, n.name, n.state, p.id, p.name,
            c.stream, c.key, c.state, c.note, c.misses, c.missed_at, due, sa.func.count().over(),
        )
        .join(t.user, u.id == c.entity_id)
        .join(t.client, t.client.c.id == u.client_id)
        .join(t.partition, p.id == c.partition_id)
        .join(t.connection, n.id == p.connection_id)
        .where(u.active, sa.not_(u.retired), sa.or_(c.state.in_(GOING), _awaits_word(timings)))
    )  # fmt: skip
    asked = ((n.name, wanted.connection), (u.client_id, wanted.client), (u.id, wanted.user))
    for column, value in asked:
        query = query if value is None else query.where(column == value)
    waits = c.state.in_(GOING)
    names = (t.client.c.key_name, u.key_name, u.id, n.name, c.key)
    ordered = in_order(database, query, waits, due.is_(None), due, *names)
    ordered = ordered.limit(wanted.limit) if wanted.limit else ordered

    def look(conn: Connection) -> Found[Going]:
        rows = conn.execute(ordered).all()
        lines = [Going._make(row[:-1]) for row in rows]
        known = [one._replace(state=LinkState(one.state)) for one in lines]
        return Found(known, rows[0][-1] if rows else 0)

    return database.query(look)


def _due(timings: Sequence[Timing]) -> sa.ColumnElement[Any]:
    """As the engine counts: `mapping/clocks.py`."""
    c, cases = t.link.c, []
    for one in timings:
        left = sa.case((one.reads > c.misses, one.reads - c.misses), else_=0)
        read = sa.func.coalesce(c.counted_at, c.missed_at) + one.pace * left
        day = c.missed_at + one.seconds
        cases.append((_follows(one), sa.case((day > read, day), else_=read)))
    return sa.case(*cases, else_=sa.null()) if cases else sa.literal(None, sa.Float)


def _follows(timing: Timing) -> sa.ColumnElement[bool]:
    return sa.and_(t.connection.c.name == timing.connection, t.link.c.note == timing.reason)


def _awaits_word(timings: Sequence[Timing]) -> sa.ColumnElement[bool]:
    """Records whose rule leaves it to a person, until one says that the user is to stay, or another
    record has it.
    """
    c, u, other = t.link.c, t.user.c, t.link.alias("other")
    review = [_follows(one) for one in timings if one.action == "review"]
    by_hand = u.overrides["active"].as_string().is_not(None)
    another = sa.or_(other.c.partition_id != c.partition_id, other.c.key != c.key)
    elsewhere = sa.exists().where(other.c.entity_id == u.id, other.c.state.in_(LIVING), another)
    return sa.and_(
        c.state.in_((LinkState.GONE, LinkState.ALIVE)),
        sa.or_(sa.false(), *review),
        sa.not_(sa.func.coalesce(u.keep_active, sa.false())),
        ~by_hand,
        ~elsewhere,
    )
