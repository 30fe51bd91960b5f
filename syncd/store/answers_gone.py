"""Clients and sites whose records are gone, and that nobody has said anything about yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.entities import Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.answers import Found, as_id, labels, under_key
from syncd.store.database import Database
from syncd.store.ties import LIVING
from syncd.store.types import Id


class GoneRecord(NamedTuple):
    """A record that is gone: whose, why (absent, deleted, retired) and since when."""

    connection: str
    partition: str
    key: str
    reason: str
    since: datetime | None


class GonePlace(NamedTuple):
    """An active client or site that no source has any more; `users` are its active ones."""

    kind: Kind
    id: UUID
    label: str
    users: int
    records: list[GoneRecord]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of them: those that a record of this connection stood for, of this client and kind."""

    connection: str | None = None
    client: UUID | None = None
    kinds: Sequence[Kind] = (Kind.CLIENT, Kind.SITE)


ALL = Wanted()


def gone_places(database: Database, limit: int = 50, wanted: Wanted = ALL) -> Found[GonePlace]:
    """What waits for a person, clients before sites, the oldest first. It waits no more once a
    person set whether it is active, or a source has it again.
    """

    def look(conn: Connection) -> Found[GonePlace]:
        found: list[Any] = []
        total = 0
        for kind in wanted.kinds:
            query = _waiting(kind, wanted)
            counted = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
            total += conn.execute(counted).scalar_one()
            left = limit - len(found) if limit else None
            if left != 0:
                found += [(kind, *row) for row in conn.execute(query.limit(left))]
        return Found(_lines(database, conn, found), total)

    return database.query(look)


def gone_by_key(
    database: Database, key: str, connection: str | None = None
) -> list[tuple[Kind, UUID]]:
    """The clients and sites that wait because a record with this key is gone, or that have this id
    of ours.
    """
    given = as_id(key)

    def exactly(conn: Connection, key: str) -> list[tuple[Kind, UUID]]:
        found = []
        for kind in (Kind.CLIENT, Kind.SITE):
            meant = [t.link.c.key == key]
            if given is not None:
                meant.append(t.TABLE_OF[kind].c.id == given)
            query = _waiting(kind, Wanted(connection)).where(sa.or_(*meant))
            found += [(kind, row[0]) for row in conn.execute(query)]
        return found

    return database.query(lambda conn: under_key(partial(exactly, conn), key))


def active_users(database: Database, kind: Kind, place: UUID) -> int:
    """How many active users a client or site has."""
    query = _users(kind, sa.literal(place, Id()))
    return database.query(lambda conn: int(conn.execute(query).scalar_one()))


def _users(kind: Kind, place: sa.ColumnElement[UUID]) -> sa.Select[Any]:
    u = t.user.c
    home = u.client_id if kind is Kind.CLIENT else u.site_id
    query = sa.select(sa.func.count()).select_from(t.user)
    return query.where(home == place, u.active, sa.not_(u.retired))


def _waiting(kind: Kind, wanted: Wanted) -> sa.Select[Any]:
    """(id, active users) of what waits, by how long it has been gone."""
    c, table, other = t.link.c, t.TABLE_OF[kind], t.link.alias()
    users = _users(kind, table.c.id).correlate(table).scalar_subquery()
    still = other.c.entity_id == table.c.id, other.c.state.in_(LIVING)
    query = (
        sa.select(table.c.id, users)
        .join(t.link, c.entity_id == table.c.id)
        .join(t.partition, t.partition.c.id == c.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .where(c.state == LinkState.GONE, table.c.active, sa.not_(table.c.retired))
        .where(sa.not_(sa.exists().where(*still)), sa.not_(_is_set(table)))
        .group_by(table.c.id)
        .order_by(sa.func.min(c.missed_at), table.c.id)
    )
    if wanted.connection is not None:
        query = query.where(t.connection.c.name == wanted.connection)
    if wanted.client is not None:
        owner = table.c.id if kind is Kind.CLIENT else t.site.c.client_id
        query = query.where(owner == wanted.client)
    return query


def _is_set(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a person set by hand whether it is active."""
    return sa.func.coalesce(table.c.overrides["active"].as_string(), "") != ""


def _lines(database: Database, conn: Connection, found: Sequence[Any]) -> list[GonePlace]:
    ids = [row[1] for row in found]
    names, records = labels(database, conn, ids), _records(database, conn, ids)
    return [
        GonePlace(kind, place, names[place], users, records[place]) for kind, place, users in found
    ]


def _records(
    database: Database, conn: Connection, ids: Sequence[UUID]
) -> dict[UUID, list[GoneRecord]]:
    c = t.link.c
    query = (
        sa.select(c.entity_id, t.connection.c.name, t.partition.c.name, c.key, c.note, c.missed_at)
        .join(t.partition, t.partition.c.id == c.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .where(c.state == LinkState.GONE)
        .order_by(c.missed_at, t.connection.c.name, c.key)
    )
    found: dict[UUID, list[GoneRecord]] = defaultdict(list)
    for chunk in bulk.chunks(ids):
        for row in conn.execute(query.where(database.among(c.entity_id, chunk))):
            since = datetime.fromtimestamp(row[5], UTC) if row[5] is not None else None
            found[row[0]].append(GoneRecord(*row[1:5], since))
    return found
