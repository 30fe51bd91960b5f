"""What waits for a person's word: records of sources, with all that stands about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.entities import Kind
from syncd.store import bulk, said
from syncd.store import tables as t
from syncd.store.answers import under_key
from syncd.store.database import Database
from syncd.store.said import Standing

AT_ONCE = 1000
"""Records of the queue in memory at a time."""
STREAMS = {"organizations": Kind.CLIENT, "locations": Kind.SITE, "people": Kind.USER}


class Aside(NamedTuple):
    """As what a record waits in quarantine."""

    code: str
    message: str
    fields: tuple[str, ...]
    suggestion: str
    since: datetime
    run: int
    readable: bool
    """Whether it came with bytes that could be kept."""


class Tied(NamedTuple):
    """The link of a record."""

    state: LinkState
    entity: UUID | None
    pinned: bool
    note: str
    owner: str
    matched_by: str


class Record(NamedTuple):
    """One record of a source, and what stands about it."""

    connection: str
    partition: int
    stream: str
    key: str
    aside: Aside | None = None
    link: Tied | None = None
    standing: Standing | None = None
    partition_name: str = ""

    @property
    def kind(self) -> Kind:
        """What it would be kept as."""
        return STREAMS[self.stream]

    @property
    def tied(self) -> UUID | None:
        """Whom it is tied to; None where a person's word about it counts."""
        if self.link is None or self.link.state is LinkState.UNDONE:
            return None
        return self.link.entity


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of one connection, one stream, with one reason code, with one key."""

    connection: str | None = None
    stream: str | None = None
    code: str | None = None
    key: str | None = None


# -- records ---------------------------------------------------------------------------------------


def count_waiting(database: Database, wanted: Wanted) -> int:
    """How many records are in quarantine."""
    query = _narrowed(sa.select(sa.func.count()), t.quarantine, wanted)
    if wanted.code is not None:
        query = query.where(t.quarantine.c.code == wanted.code)
    return database.query(lambda conn: int(conn.execute(query).scalar_one()))


def codes(database: Database) -> list[str]:
    """The reason codes that records wait with."""
    query = sa.select(t.quarantine.c.code).distinct().order_by(t.quarantine.c.code)
    return database.query(lambda conn: list(conn.execute(query).scalars()))


def waiting(database: Database, wanted: Wanted) -> Iterator[list[Record]]:
    """What is in quarantine, in pages: by partition, organizations first, people last, by key."""
    c = t.quarantine.c
    order = {name: at for at, name in enumerate(STREAMS)}
    rank = sa.case(order, value=c.stream, else_=len(order))
    place = (c.partition_id, rank, c.key)
    query = _narrowed(sa.select(c.partition_id, c.stream, c.key), t.quarantine, wanted)
    if wanted.code is not None:
        query = query.where(c.code == wanted.code)
    query = query.order_by(*place).limit(AT_ONCE)
    after: tuple[Any, ...] | None = None
    while True:
        page = query
        if after is not None:
            page = query.where(sa.tuple_(*place) > sa.tuple_(*map(sa.literal, after)))
        found = database.query(lambda conn, page=page: _records(database, conn, page))  # type: ignore[misc]
        if not found:
            return
        yield found
        last = found[-1]
        after = (last.partition, order[last.stream], last.key)


def named(database: Database, wanted: Wanted) -> list[Record]:
    """Every record with a key that is in quarantine, linked, or that a person spoke about."""
    assert wanted.key is not None
    tables = (t.quarantine, t.link, t.decision)

    def exactly(key: str) -> list[Record]:
        this = replace(wanted, key=key)
        places = [
            _narrowed(sa.select(table.c.partition_id, table.c.stream, table.c.key), table, this)
            for table in tables
        ]
        return database.query(lambda conn: _records(database, conn, sa.union(*places)))

    return under_key(exactly, wanted.key)


def again(database: Database, records: Sequence[Record]) -> list[Record]:
    """Records of one partition and stream as they stand now, in the same order."""
    places = [one[1:4] for one in records]
    return database.query(lambda conn: _at(database, conn, places))


def _narrowed(query: sa.Select[Any], table: sa.Table, wanted: Wanted) -> sa.Select[Any]:
    c = table.c
    partitions = sa.select(t.partition.c.id)
    if wanted.connection is not None:
        partitions = partitions.join(t.connection).where(t.connection.c.name == wanted.connection)
    streams = [wanted.stream] if wanted.stream else list(STREAMS)
    query = query.where(c.partition_id.in_(partitions), c.stream.in_(streams))
    return query if wanted.key is None else query.where(c.key == wanted.key)


def _records(
    database: Database, conn: Connection, query: sa.Select[Any] | sa.CompoundSelect[Any]
) -> list[Record]:
    return _at(database, conn, [(row[0], row[1], row[2]) for row in conn.execute(query)])


def _at(
    database: Database, conn: Connection, places: Sequence[tuple[int, str, str]]
) -> list[Record]:
    """The records at (partition, stream, key), in the order of their partitions and streams."""
    partitions = sa.select(t.partition.c.id, t.connection.c.name, t.partition.c.name)
    names = {row[0]: row[1:] for row in conn.execute(partitions.join(t.connection))}
    found = []
    for partition, stream in dict.fromkeys(place[:2] for place in places):
        keys = [place[2] for place in places if place[:2] == (partition, stream)]
        aside = _asides(database, conn, partition, stream, keys)
        links = links_of(database, conn, partition, stream, keys)
        words = said.about(database, conn, partition, stream, keys)
        connection, part = names[partition]
        found += [
            Record(
                connection, partition, stream, key,
                aside.get(key), links.get(key), words.get(key), part,
            )
            for key in keys
        ]  # fmt: skip
    return found


def _among(
    database: Database, table: sa.Table, partition: int, stream: str, keys: Sequence[str]
) -> Iterator[sa.ColumnElement[bool]]:
    c = table.c
    for chunk in bulk.chunks(keys):
        these = database.among(c.key, chunk)
        yield sa.and_(c.partition_id == partition, c.stream == stream, these)


def _asides(
    database: Database, conn: Connection, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, Aside]:
    c = t.quarantine.c
    query = sa.select(
        c.key,
        c.code,
        c.message,
        c.fields,
        c.suggestion,
        c.since,
        t.step.c.run_id,
        c.raw.is_not(None),
    ).join(t.step, t.step.c.id == c.step_id)
    return {
        row[0]: Aside(row[1], row[2], tuple(row[3]), *row[4:])
        for these in _among(database, t.quarantine, partition, stream, keys)
        for row in conn.execute(query.where(these))
    }


def links_of(
    database: Database, conn: Connection, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, Tied]:
    """The links of records that have one."""
    c = t.link.c
    query = sa.select(c.key, c.state, c.entity_id, c.pinned, c.note, c.owner, c.matched_by)
    return {
        row[0]: Tied(LinkState(row[1]), *row[2:])
        for these in _among(database, t.link, partition, stream, keys)
        for row in conn.execute(query.where(these))
    }


def raws(
    database: Database, conn: Connection, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, bytes]:
    """The bytes of records as they last came: in quarantine, else with their link."""
    found: dict[str, bytes] = {}
    for table in (t.item, t.quarantine):
        query = sa.select(table.c.key, table.c.raw).where(table.c.raw.is_not(None))
        for these in _among(database, table, partition, stream, keys):
            found.update({row[0]: row[1] for row in conn.execute(query.where(these))})
    return found


def living_ties(
    database: Database, conn: Connection, connection: str, stream: str, ids: Collection[UUID]
) -> dict[UUID, str]:
    """The key of each entity's record in one stream of a connection, where that is not gone."""
    c = t.link.c
    partitions = sa.select(t.partition.c.id).join(t.connection)
    partitions = partitions.where(t.connection.c.name == connection)
    alive = c.state.in_([LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING])
    query = sa.select(c.entity_id, c.key).where(alive, c.stream == stream)
    query = query.where(c.partition_id.in_(partitions))
    return {
        row[0]: row[1]
        for chunk in bulk.chunks(list(ids))
        for row in conn.execute(query.where(database.among(c.entity_id, chunk)))
    }


def identities_from(conn: Connection, user: UUID, connection: str) -> list[list[str]]:
    """(issuer, subject) of each identity that a connection gave to a user."""
    c = t.identity.c
    query = sa.select(c.issuer, c.subject).where(c.user_id == user, c.connection == connection)
    return [list(row) for row in conn.execute(query.order_by(c.issuer, c.subject))]
