"""What people ask about gaps: who is in a source and not on the desk, who is on the desk alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, LinkState
from syncd.store import bulk, gaps
from syncd.store import tables as t
from syncd.store.answers import in_order
from syncd.store.database import Database
from syncd.store.ties import LIVING

IGNORE, IGNORED = "ignore", "ignored"
"""A person's standing word about a record, and how such a record is told."""


class Place(NamedTuple):
    """A partition of a connection; one that a person retired is no source any more."""

    connection: str
    partition: int
    name: str


class Stray(NamedTuple):
    """A person's record without a user. `code`: why it is in quarantine, or the state of its link,
    or ignored, if somebody said so.

    `owner`: `stream/key` of the item that holds the record, where it is not its own; `actor`: whose
    run left it so; `since`: None where nobody wrote it down.
    """

    key: str
    code: str
    message: str
    fields: list[str]
    suggestion: str
    owner: str
    raw: bytes | None
    since: datetime | None
    run: int | None
    actor: str | None


class Alone(NamedTuple):
    """An active user whom no source has."""

    user: UUID
    client: str
    name: str
    email: str | None
    login: str | None
    keep_active: bool | None
    set_active: bool
    """Whether a person set that the user is active."""


class Tie(NamedTuple):
    """A link by which a source once had a user. `missed_at`: seconds since the epoch."""

    user: UUID
    connection: str
    key: str
    state: LinkState
    note: str
    missed_at: float | None
    actor: str | None


class Deed(NamedTuple):
    """What was done to a user by hand, or to whether they are active; `connection` and `key` of the
    record that it was about.
    """

    user: UUID
    action: Action
    connection: str | None
    key: str
    after: dict[str, Any]
    mode: str
    run: int
    actor: str
    at: datetime


# -- people who are not on the desk ----------------------------------------------------------------


def places(database: Database, connection: str | None = None) -> list[Place]:
    """The partitions of a connection, or of all, by name."""
    c, p = t.connection.c, t.partition.c
    query = (
        sa.select(c.name, p.id, p.name)
        .join(t.partition, p.connection_id == c.id)
        .where(c.state != "retired", p.state != "retired")
        .order_by(c.name, p.id)
    )
    if connection is not None:
        query = query.where(c.name == connection)
    return database.query(lambda conn: [Place._make(row) for row in conn.execute(query)])


def quarantined(conn: Connection, partition: int, after: str, most: int) -> list[Stray]:
    """The first people in quarantine whose key comes after `after`, but those who have a user."""
    q, r = t.quarantine.c, t.run.c
    query = (
        sa.select(
            q.key, q.code, q.message, q.fields, q.suggestion, sa.literal(""), q.raw, q.since, r.id,
            r.actor,
        )
        .join(t.step, t.step.c.id == q.step_id)
        .join(t.run, r.id == t.step.c.run_id)
        .where(q.partition_id == partition, q.stream == gaps.PEOPLE, gaps.without_user())
    )  # fmt: skip
    return _page(conn, query, q.key, after, most)


def idle(
    conn: Connection, partition: int, after: str, most: int, vanished: Mapping[int, int]
) -> list[Stray]:
    """The first people whose key comes after `after`, who were read and are tied to nobody."""
    c, r, word = t.link.c, t.run.c, t.decision.c
    item = sa.and_(*(c[name] == t.item.c[name] for name in gaps.KEY))
    ignored = sa.and_(*(c[name] == word[name] for name in gaps.KEY), word.verdict == IGNORE)
    code = sa.case((word.verdict.is_not(None), IGNORED), else_=c.state)
    none = sa.literal([], sa.JSON)
    query = (
        sa.select(
            c.key, code, c.note, none, sa.literal(""), c.owner, t.item.c.raw, sa.null(), r.id,
            sa.func.coalesce(word.actor, r.actor),
        )
        .join(t.item, item, isouter=True)
        .join(t.decision, ignored, isouter=True)
        .join(t.step, t.step.c.id == c.step_id, isouter=True)
        .join(t.run, r.id == t.step.c.run_id, isouter=True)
        .where(*gaps.idle([partition], vanished))
    )  # fmt: skip
    return _page(conn, query, c.key, after, most)


def _page(
    conn: Connection, query: sa.Select[Any], key: sa.Column[Any], after: str, most: int
) -> list[Stray]:
    query = query.where(key > after).order_by(key).limit(most)
    return [Stray._make(row) for row in conn.execute(query)]


def raws_aside(
    database: Database, conn: Connection, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, bytes]:
    """The items of a stream that are in quarantine, of those with these keys that can be read."""
    q = t.quarantine.c
    query = sa.select(q.key, q.raw).where(q.partition_id == partition, q.stream == stream)
    query = query.where(q.raw.is_not(None))
    return {
        row[0]: row[1]
        for chunk in bulk.chunks(keys)
        for row in conn.execute(query.where(database.among(q.key, chunk)))
    }


# -- users whom no source has ----------------------------------------------------------------------


def count_alone(database: Database, client: UUID | None = None) -> list[tuple[str, int]]:
    """(client, how many active users of it no source has), of one client or of each."""
    owner = t.client.c
    query = sa.select(owner.name, sa.func.count()).join(t.user, t.user.c.client_id == owner.id)
    query = _of_client(query, client).where(*gaps.alone()).group_by(owner.id, owner.name)
    return database.query(lambda conn: [(row[0], row[1]) for row in conn.execute(query)])


def alone(database: Database, client: UUID | None = None, limit: int = 0) -> list[Alone]:
    """Active users whom no source has, by client and name."""
    c, owner = t.user.c, t.client.c
    by_hand = c.overrides["active"].as_string().is_not(None)
    query = (
        sa.select(c.id, owner.name, c.name, c.email, c.login, c.keep_active, by_hand)
        .join(t.client, owner.id == c.client_id)
        .where(*gaps.alone())
    )
    narrowed = in_order(database, _of_client(query, client), owner.key_name, c.key_name, c.id)
    narrowed = narrowed.limit(limit) if limit else narrowed
    return database.query(lambda conn: [Alone._make(row) for row in conn.execute(narrowed)])


def _of_client(query: sa.Select[Any], client: UUID | None) -> sa.Select[Any]:
    return query if client is None else query.where(t.user.c.client_id == client)


def ties(database: Database, users: Collection[UUID]) -> list[Tie]:
    """The links by which sources once had the users."""
    c = t.link.c
    query = (
        sa.select(
            c.entity_id, t.connection.c.name, c.key, c.state, c.note, c.missed_at, t.run.c.actor
        )
        .join(t.partition, t.partition.c.id == c.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .join(t.step, t.step.c.id == c.step_id, isouter=True)
        .join(t.run, t.run.c.id == t.step.c.run_id, isouter=True)
        .where(c.state.not_in(LIVING))
        .order_by(t.connection.c.name, c.key)
    )

    def look(conn: Connection) -> list[Tie]:
        return [
            Tie._make(row)._replace(state=LinkState(row.state))
            for chunk in bulk.chunks(list(users))
            for row in conn.execute(query.where(database.among(c.entity_id, chunk)))
        ]

    return database.query(look)


def deeds(database: Database, users: Collection[UUID]) -> list[Deed]:
    """What was done to the users by hand, or to whether they are active, the newest first."""
    c, r, connection = t.change.c, t.run.c, t.connection.c
    told = sa.or_(
        r.mode.in_(("edit", "undo")),
        c.action.in_((Action.UNLINK, Action.DEACTIVATE, Action.REACTIVATE)),
    )
    query = (
        sa.select(
            c.entity_id, c.action, connection.name, c.key, c.after, r.mode, r.id, r.actor,
            r.started_at,
        )
        .join(t.step, t.step.c.id == c.step_id)
        .join(t.run, r.id == t.step.c.run_id)
        .join(t.connection, connection.id == r.connection_id, isouter=True)
        .where(told, c.seq < t.step.c.applied_seq, t.in_force(t.change))
        .order_by(c.step_id.desc(), c.seq.desc())
    )  # fmt: skip

    def look(conn: Connection) -> list[Deed]:
        return [
            Deed._make(row)
            for chunk in bulk.chunks(list(users))
            for row in conn.execute(query.where(database.among(c.entity_id, chunk)))
        ]

    return database.query(look)
