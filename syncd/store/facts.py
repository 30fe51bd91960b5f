"""What planning asks of the store, by the page: links, entities, keys, ties, quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkFact, LinkState, Tie, Tied
from syncd.entities import Entity, Kind
from syncd.records import Identity
from syncd.store import bulk, licenses
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.entities import load_entities

LIVING = (LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING)
TELLING = (*LIVING, LinkState.GONE)
"""The states of links that say something about their entity."""

_ITS_ITEM = sa.and_(
    *(t.link.c[name] == t.item.c[name] for name in ("partition_id", "stream", "key"))
)

KeyTuple = tuple[str, ...]
Want = tuple["UUID | None", KeyTuple]


class Turns(Protocol):
    """Which links of a stream a plan turns, before it is applied."""

    def vanishing(self, keys: list[str]) -> set[str]:
        """Which of these living keys it takes away."""
        ...

    def returning(self, keys: list[str]) -> set[str]:
        """Which of these dead keys it brings back."""
        ...


class OtherTie(NamedTuple):
    """A link that settles nothing by itself: what it was digested from, and whom it ties."""

    digest: bytes | None
    entity: UUID | None
    state: str

    @property
    def is_kept(self) -> bool:
        """Whether it ties something that was not taken back."""
        return self.entity is not None and self.state != LinkState.UNDONE


class StoreFacts:
    """Facts for one step. Ask within `with facts.open():`; each opening is one read transaction."""

    def __init__(self, database: Database, connection: int, partition: int, step: int) -> None:
        self.database = database
        self.connection = connection
        self.partition = partition
        self.step = step
        self._conn: Connection | None = None
        self.plans_keys = False
        """Whether this plan changed a key of a linked entity: else nobody need ask."""
        self._alone: bool | None = None
        self._merged: bool | None = None
        self._licensed: bool | None = None
        self.turns: Turns | None = None
        """What this very plan makes of the links of the stream that is planned."""

    @contextmanager
    def open(self) -> Iterator[None]:
        with self.database.read() as conn:
            self._conn = conn
            try:
                yield
            finally:
                self._conn = None

    @contextmanager
    def joined(self, conn: Connection) -> Iterator[None]:
        """Ask within the caller's transaction instead."""
        self._conn = conn
        try:
            yield
        finally:
            self._conn = None

    @property
    def conn(self) -> Connection:
        assert self._conn is not None, "ask within `with facts.open():`"
        return self._conn

    def settled(
        self, stream: str, keys: Sequence[str], states: Sequence[LinkState]
    ) -> dict[str, bytes | None]:
        """The digest of each key whose link is in one of the states and owns its item, None where
        it is to be planned again: the fast path.
        """
        sql, given = self._living_sql("key, digest", stream, states)
        if self.database.dialect == "postgresql":  # its driver is slow to write arrays
            sql += " and key = any(array(select json_array_elements_text(%s::json)))"
            return dict(bulk.fetch(self.conn, sql, (*given, bulk.json_text(keys))))
        found: dict[str, bytes | None] = {}
        for chunk in bulk.chunks(keys):
            among = ",".join("?" * len(chunk))
            found.update(bulk.fetch(self.conn, f"{sql} and key in ({among})", (*given, *chunk)))
        return found

    def all_settled(
        self, stream: str, states: Sequence[LinkState], most: int
    ) -> dict[str, bytes | None]:
        """The same for every key there is, or for `most` of them: many times faster than asking for
        each.
        """
        sql, given = self._living_sql("key, digest", stream, states)
        return dict(bulk.fetch(self.conn, f"{sql} limit {most:d}", given))

    def _living_sql(
        self, what: str, stream: str, states: Sequence[LinkState]
    ) -> tuple[str, tuple[Any, ...]]:
        """A query for links in these states that own their item, and what it is given."""
        mark = self.database.mark
        sql = (
            f"select {what} from link where partition_id = {mark} and stream = {mark} "
            f"and owner = '' and state in ({', '.join(mark for _ in states)})"
        )
        return sql, (self.partition, stream, *(state.value for state in states))

    def other_ties(self, stream: str, keys: Sequence[str]) -> dict[str, OtherTie]:
        """What is known of keys that are not settled by a living link of their own."""
        c = t.link.c
        query = sa.select(c.key, c.digest, c.entity_id, c.state)
        query = query.where(c.partition_id == self.partition, c.stream == stream)
        return {
            row[0]: OtherTie(row[1], row[2], row[3])
            for chunk in bulk.chunks(keys)
            for row in self.conn.execute(query.where(self.database.among(c.key, chunk)))
        }

    def has_links(self, stream: str) -> bool:
        """Whether any item of the stream was ever linked."""
        c = t.link.c
        where = sa.and_(c.partition_id == self.partition, c.stream == stream)
        return self.conn.execute(sa.select(sa.literal(1)).where(where).limit(1)).first() is not None

    def links(self, stream: str, keys: Sequence[str]) -> dict[str, LinkFact]:
        """The links of the keys that have one, in this partition."""
        c = t.link.c
        query = sa.select(
            c.key, c.state, c.kind, c.entity_id, c.misses, c.missed_at, c.matched_by, c.counted_at,
            c.note, c.digest,
        )  # fmt: skip
        query = query.where(c.partition_id == self.partition, c.stream == stream)
        return {
            row[0]: LinkFact(row[0], LinkState(row[1]), Kind(row[2]), *tuple(row)[3:])
            for chunk in bulk.chunks(keys)
            for row in self.conn.execute(query.where(self.database.among(c.key, chunk)))
        }

    def raws(self, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The stored items of the keys that have one."""
        return self._raws(self.partition, stream, keys)

    def _raws(self, partition: int, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        c = t.item.c
        query = sa.select(c.key, c.raw).where(c.partition_id == partition, c.stream == stream)
        return {
            row[0]: row[1]
            for chunk in bulk.chunks(keys)
            for row in self.conn.execute(query.where(self.database.among(c.key, chunk)))
        }

    def entities(self, kind: Kind, ids: Collection[UUID]) -> dict[UUID, Entity]:
        """Stored entities by id, retired ones too."""
        return load_entities(self.database, self.conn, kind, ids)

    def find(
        self, kind: Kind, fields: KeyTuple, wanted: Collection[Want]
    ) -> dict[Want, list[UUID]]:
        """Entities that hold all the keys, within the client named (None: anywhere)."""
        table = t.TABLE_OF[kind]
        columns = [table.c[f"key_{name}"] for name in fields]
        scope = table.c.client_id if "client_id" in table.c else sa.null()
        found: dict[Want, list[UUID]] = defaultdict(list)
        scoped = {client is not None for client, _ in wanted}
        firsts = list({values[0] for _, values in wanted})
        query = sa.select(table.c.id, scope, *columns)
        query = query.where(sa.not_(table.c.retired), columns[0].is_not(None))
        places: list[sa.ColumnElement[bool]] = [sa.true()]
        if kind is Kind.SITE:
            clients = list({client for client, _ in wanted})
            places = [self.database.among(table.c.client_id, some) for some in bulk.chunks(clients)]
        asked = set(wanted)
        for place, chunk in product(places, bulk.chunks(firsts)):
            these = query.where(place, self.database.among(columns[0], chunk))
            for row in self.conn.execute(these):
                client = row[1] if True in scoped else None
                want = (client, tuple(row[2:]))
                if want in asked:
                    found[want].append(row[0])
        return found

    def holders(self, identities: Collection[Identity]) -> dict[Identity, UUID]:
        """Who holds each identity; issuers and subjects compare exactly."""
        c = t.identity.c
        subjects = list({identity.subject for identity in identities})
        return {
            identity: row[2]
            for chunk in bulk.chunks(subjects)
            for row in self.conn.execute(
                sa.select(c.issuer, c.subject, c.user_id).where(
                    self.database.among(c.subject, chunk)
                )
            )
            if (identity := Identity(row[0], row[1])) in identities
        }

    def ties(self, stream: str, ids: Collection[UUID]) -> dict[UUID, Tie]:
        """Which of the entities this connection links, or once linked, in this stream."""
        c = t.link.c
        query = (
            sa.select(c.entity_id, c.key, c.state, c.partition_id)
            .join(t.partition, t.partition.c.id == c.partition_id)
            .where(t.partition.c.connection_id == self.connection, c.stream == stream)
            .where(c.state != LinkState.UNLINKED)
        )
        ties: dict[UUID, Tie] = {}
        for chunk in bulk.chunks(list(ids)):
            rows = self.conn.execute(query.where(self.database.among(c.entity_id, chunk))).all()
            own = {r.key: r.state in LIVING for r in rows if r.partition_id == self.partition}
            turned = self._turned(own)
            for entity, key, state, partition in rows:
                alive = state in LIVING
                if partition == self.partition and key in turned:
                    alive = not alive
                if alive or entity not in ties:
                    ties[entity] = Tie(key, alive)
        return ties

    def _turned(self, own: dict[str, bool]) -> set[str]:
        """Which keys this plan takes away or brings back; `own`: key to whether it is alive."""
        living = [key for key, alive in own.items() if alive]
        dead = [key for key, alive in own.items() if not alive]
        turned: set[str] = set()
        if self.turns and living:
            turned |= self.turns.vanishing(living)
        if self.turns and dead:
            turned |= self.turns.returning(dead)
        return turned

    def tied(self, kind: Kind, ids: Collection[UUID]) -> list[Tied]:
        """The records of all connections that are, or were, tied to the entities; none where no
        partition but this one ever tied any, and this one no two to one entity.
        """
        if self._is_alone():
            return []
        c, i = t.link.c, t.item.c
        query = (
            sa.select(
                c.entity_id, t.connection.c.name, c.partition_id, c.stream, c.key, c.state, c.note,
                c.owner, i.raw,
            )
            .join(t.partition, t.partition.c.id == c.partition_id)
            .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
            .join(t.item, _ITS_ITEM, isouter=True)
            .where(c.kind == kind, c.state.in_(TELLING))
        )  # fmt: skip
        if not self._has_merged():
            query = query.where(c.partition_id != self.partition)
        rows = [
            row
            for chunk in bulk.chunks(list(ids))
            for row in self.conn.execute(query.where(self.database.among(c.entity_id, chunk)))
        ]
        held = self._held_items(rows)
        return [
            Tied(
                *row[:5],
                LinkState(row.state),
                row.note,
                row.owner.partition("/")[0] or row.stream,
                held.get((row.partition_id, row.owner)) if row.owner else row.raw,
            )
            for row in rows
        ]

    def _held_items(self, rows: Sequence[Any]) -> dict[tuple[int, str], bytes]:
        """The items that hold other records than their own, by partition and `stream/key`."""
        wanted: dict[tuple[int, str], list[str]] = defaultdict(list)
        for row in rows:
            if row.owner:
                stream, _, key = row.owner.partition("/")
                wanted[row.partition_id, stream].append(key)
        return {
            (partition, f"{stream}/{key}"): raw
            for (partition, stream), keys in wanted.items()
            for key, raw in self._raws(partition, stream, keys).items()
        }

    def entities_of(
        self, places: Collection[tuple[int, str, str]]
    ) -> dict[tuple[int, str, str], UUID]:
        """Whom the records at these places (partition, stream, key) are tied to."""
        c = t.link.c
        wanted: dict[tuple[int, str], list[str]] = defaultdict(list)
        for partition, stream, key in places:
            wanted[partition, stream].append(key)
        query = sa.select(c.partition_id, c.stream, c.key, c.entity_id)
        query = query.where(c.entity_id.is_not(None), c.state.in_(LIVING))
        return {
            (row[0], row[1], row[2]): row[3]
            for (partition, stream), keys in wanted.items()
            for chunk in bulk.chunks(keys)
            for row in self.conn.execute(
                query.where(
                    c.partition_id == partition,
                    c.stream == stream,
                    self.database.among(c.key, chunk),
                )
            )
        }

    def spoken_of_since(self, ids: Collection[UUID], run: int) -> set[UUID]:
        """Which of the entities a record of another partition says something new of, by a run that
        was at work since the run `run` began.
        """
        r, c = t.run.c, t.link.c
        began = sa.select(r.started_at).where(r.id == run).scalar_subquery()
        query = (
            sa.select(c.entity_id)
            .join(t.step, t.step.c.id == c.step_id)
            .join(t.run, r.id == t.step.c.run_id)
            .where(c.partition_id != self.partition, r.id != run)
            .where(sa.or_(r.ended_at.is_(None), r.ended_at >= began))
        )
        return {
            one
            for chunk in bulk.chunks(list(ids))
            for one in self.conn.execute(
                query.where(self.database.among(c.entity_id, chunk))
            ).scalars()
        }

    def _is_alone(self) -> bool:
        """Whether nobody but this partition has any links; asked once for each step."""
        if self._alone is None:
            c = t.link.c
            others = sa.exists().where(c.partition_id == t.partition.c.id)
            query = sa.select(sa.literal(1)).where(t.partition.c.id != self.partition, others)
            self._alone = self.conn.execute(query.limit(1)).first() is None
            self._alone = self._alone and not self._has_merged()
        return self._alone

    def _has_merged(self) -> bool:
        """Whether any two entities were made one: an entity may have two records here then."""
        if self._merged is None:
            query = sa.select(t.merged.c.entity_id).limit(1)
            self._merged = self.conn.execute(query).first() is not None
        return self._merged

    def licenses(self, users: Collection[UUID]) -> dict[UUID, list[list[Any]]]:
        """The licenses that users hold; whether there are any at all is asked once."""
        if self._licensed is None:
            self._licensed = licenses.are_there(self.conn)
        return licenses.held(self.database, self.conn, users) if self._licensed else {}

    def special_sites(self, clients: Collection[UUID]) -> dict[tuple[UUID, str], UUID]:
        """The main and holding sites of the clients."""
        c = t.site.c
        query = sa.select(c.client_id, c.role, c.id).where(c.role.is_not(None), sa.not_(c.retired))
        return {
            (row[0], row[1]): row[2]
            for chunk in bulk.chunks(list(clients))
            for row in self.conn.execute(
                query.where(self.database.among(c.client_id, chunk)).order_by(c.id.desc())
            )
        }

    def quarantined(self, stream: str, keys: Collection[str]) -> dict[str, tuple[str, str]]:
        """Of the keys that are in quarantine: (reason code, message)."""
        c = t.quarantine.c
        query = sa.select(c.key, c.code, c.message).where(
            c.partition_id == self.partition, c.stream == stream
        )
        return {
            row[0]: (row[1], row[2])
            for chunk in bulk.chunks(list(keys))
            for row in self.conn.execute(query.where(self.database.among(c.key, chunk)))
        }

    def planned_keys(self, ids: Collection[UUID]) -> dict[tuple[UUID, str], str | None]:
        """Keys of linked entities that this plan changes: what they will be."""
        if not self.plans_keys:
            return {}
        c = t.draft_key.c
        query = sa.select(c.entity_id, c.field, c.new_key).where(c.step_id == self.step)
        return {
            (row[0], row[1]): row[2]
            for chunk in bulk.chunks(list(ids))
            for row in self.conn.execute(query.where(self.database.among(c.entity_id, chunk)))
        }

    def planned_holders(
        self, field: str, wanted: Collection[tuple[UUID | None, str]]
    ) -> dict[tuple[UUID | None, str], list[UUID]]:
        """Linked entities that this plan gives a key."""
        found: dict[tuple[UUID | None, str], list[UUID]] = defaultdict(list)
        if not self.plans_keys:
            return found
        c = t.draft_key.c
        query = sa.select(c.entity_id, c.client_id, c.new_key).where(
            c.step_id == self.step, c.field == field
        )
        asked = set(wanted)
        for chunk in bulk.chunks(list({key for _, key in wanted})):
            for entity, client, key in self.conn.execute(
                query.where(self.database.among(c.new_key, chunk))
            ):
                for want in ((client, key), (None, key)):
                    if want in asked:
                        found[want].append(entity)
        return found

    # -- for the sweep -----------------------------------------------------------------------------

    def living(self, stream: str, states: Sequence[LinkState], after: str, most: int) -> list[str]:
        """The first keys after `after`, in order, of links in these states that own their item."""
        mark = self.database.mark
        sql, given = self._living_sql("key", stream, states)
        sql = f"{sql} and key > {mark} order by key limit {most:d}"
        return [key for (key,) in bulk.fetch(self.conn, sql, (*given, after))]

    def count_living(self, stream: str, states: Sequence[LinkState]) -> int:
        """How many links of the stream are in these states and own their item."""
        sql, given = self._living_sql("count(*)", stream, states)
        return int(bulk.fetch(self.conn, sql, given)[0][0])

    def running(self, stream: str) -> list[str]:
        """The keys of links whose clock runs, and that own their item."""
        sql, given = self._living_sql("key", stream, (LinkState.MISSED, LinkState.LEAVING))
        return [key for (key,) in bulk.fetch(self.conn, f"{sql} order by key", given)]

    def has_quarantine(self, stream: str) -> bool:
        """Whether any item of the stream is in quarantine."""
        c = t.quarantine.c
        where = sa.and_(c.partition_id == self.partition, c.stream == stream)
        return self.conn.execute(sa.select(sa.literal(1)).where(where).limit(1)).first() is not None

    def quarantine_items(self, stream: str) -> Iterator[list[tuple[str, bytes | None]]]:
        """(key, raw) of all items of the stream in quarantine, in pages."""
        c = t.quarantine.c
        query = (
            sa.select(c.key, c.raw)
            .where(c.partition_id == self.partition, c.stream == stream)
            .order_by(c.key)
            .limit(bulk.CHUNK)
        )
        last = ""
        while rows := self.conn.execute(query.where(c.key > last)).all():
            yield [(row[0], row[1]) for row in rows]
            last = rows[-1][0]
