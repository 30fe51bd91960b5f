"""What planning asks of the store, by the page: links, entities, keys, ties, quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Aside, Former, LinkFact, LinkState, Verdict, Word
from syncd.entities import Entity, Kind
from syncd.records import Identity
from syncd.store import bulk, identities, licenses, said
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.entities import load_entities
from syncd.store.gaps import vanished
from syncd.store.ties import Ties

KeyTuple = tuple[str, ...]
Want = tuple["UUID | None", KeyTuple]


_LINK_SQL = (
    "select key, state, kind, entity_id, misses, missed_at, matched_by, counted_at, note, digest "
    "from link"
)
_STATES = {state.value: state for state in LinkState}
_KINDS = {kind.value: kind for kind in Kind}


class OtherTie(NamedTuple):
    """A link that settles nothing by itself: what it was digested from, and whom it ties."""

    digest: bytes | None
    entity: UUID | None
    state: str

    @property
    def is_kept(self) -> bool:
        """Whether it ties something that was not taken back."""
        return self.entity is not None and self.state != LinkState.UNDONE


class StoreFacts(Ties):
    """Facts for one step. Ask within `with facts.open():`; each opening is one read transaction."""

    def __init__(self, database: Database, connection: int, partition: int, step: int) -> None:
        super().__init__(database, connection, partition)
        self.step = step
        self.plans_keys = False
        """Whether this plan changed a key of a linked entity: else nobody need ask."""
        self.new_words: dict[tuple[str, str], Word] = {}
        """By stream and key: what a person says just now, to be stored with this plan."""
        self._has_words: dict[str, bool] = {}
        self._aside: dict[str, bool] = {}
        self._licensed: bool | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        with self.database.ask() as conn:
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

    def settled(
        self, stream: str, keys: Sequence[str], states: Sequence[LinkState]
    ) -> dict[str, bytes | None]:
        """The digest of each key whose link is in one of the states and owns its item, None where
        it is to be planned again: the fast path.
        """
        sql, given = self._living_sql("key, digest", stream, states)
        return dict(bulk.of_keys(self.database, self.conn, sql, given, keys))

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
        """A query for links in these states that own their item, and what it is given. The states
        stand in the text: only so does SQLite use an index of links in a state.
        """
        mark, among = self.database.mark, ", ".join(f"'{state}'" for state in states)
        sql = (
            f"select {what} from link where partition_id = {mark} and stream = {mark} "
            f"and owner = '' and state {f'in ({among})' if len(states) > 1 else f'= {among}'}"
        )
        return sql, (self.partition, stream)

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
        return self._any_of(t.link, stream)

    def _any_of(self, table: sa.Table, stream: str) -> bool:
        """Whether the table has any row of the stream in this partition."""
        c = table.c
        where = sa.and_(c.partition_id == self.partition, c.stream == stream)
        return self.conn.execute(sa.select(sa.literal(1)).where(where).limit(1)).first() is not None

    def links(self, stream: str, keys: Sequence[str]) -> dict[str, LinkFact]:
        """The links of the keys that have one, in this partition."""
        mark = self.database.mark
        sql = f"{_LINK_SQL} where partition_id = {mark} and stream = {mark}"
        rows = bulk.of_keys(self.database, self.conn, sql, (self.partition, stream), keys)
        return {
            key: LinkFact(key, _STATES[state], _KINDS[kind], entity and bulk.id_of(entity), *rest)
            for key, state, kind, entity, *rest in rows
        }

    def raws(self, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The stored items of the keys that have one."""
        return bulk.raws(self.database, self.conn, self.partition, stream, keys)

    def entities(self, kind: Kind, ids: Collection[UUID]) -> dict[UUID, Entity]:
        """Stored entities by id, retired ones too."""
        return load_entities(self.database, self.conn, kind, ids)

    def find(
        self, kind: Kind, fields: KeyTuple, wanted: Collection[Want]
    ) -> dict[Want, list[UUID]]:
        """Entities that hold all the keys, within the client named (None: anywhere)."""
        return self._holding("not retired", kind, fields, wanted)

    def former(
        self, kind: Kind, fields: KeyTuple, wanted: Collection[Want]
    ) -> dict[Want, list[Former]]:
        """Who held all the keys when they were merged into another, and whom they are now."""
        if not self._has_merged():
            return {}
        merged = "retired and id in (select entity_id from merged)"
        found = self._holding(merged, kind, fields, wanted)
        into = self._merged_into({one for ids in found.values() for one in ids})
        now = self.entities(kind, set(into.values()))
        return {
            want: [Former(one, into[one]) for one in ids if not now[into[one]].retired]
            for want, ids in found.items()
        }

    def merged_users(self) -> list[UUID]:
        """The users into whom others were merged."""
        if not self._has_merged():
            return []
        into = sa.select(t.merged.c.into_id).where(t.merged.c.kind == Kind.USER)
        query = sa.select(t.user.c.id).where(t.user.c.id.in_(into), sa.not_(t.user.c.retired))
        return list(self.conn.execute(query).scalars())

    def _holding(
        self, which: str, kind: Kind, fields: KeyTuple, wanted: Collection[Want]
    ) -> dict[Want, list[UUID]]:
        columns = [f"key_{name}" for name in fields]
        scope = "null" if kind is Kind.CLIENT else "client_id"
        sql = (
            f"select id, {scope}, {', '.join(columns)} from {t.TABLE_OF[kind].name} "
            f"where {which} and {columns[0]} is not null"
        )
        places: list[tuple[str, bulk.Row]] = [("", ())]
        if kind is Kind.SITE:
            clients = list({client for client, _ in wanted if client})
            places = [bulk.among_ids(self.database, some) for some in bulk.chunks(clients)]
            places = [(f" and client_id {among}", given) for among, given in places]
        firsts = list({values[0] for _, values in wanted})
        scoped = any(client is not None for client, _ in wanted)
        found: dict[Want, list[UUID]] = defaultdict(list)
        asked = set(wanted)
        for (place, given), chunk in product(places, bulk.chunks(firsts)):
            among, these = bulk.among_texts(self.database, chunk)
            query = f"{sql}{place} and {columns[0]} {among}"
            for entity, client, *values in bulk.fetch(self.conn, query, (*given, *these)):
                want = (bulk.id_of(client) if scoped else None, tuple(values))
                if want in asked:
                    found[want].append(bulk.id_of(entity))
        return found

    def holders(self, wanted: Collection[Identity]) -> dict[Identity, UUID]:
        """Who holds each identity; issuers and subjects compare exactly."""
        return identities.holders(self.database, self.conn, wanted)

    def licenses(
        self, users: Collection[UUID], provider: str | None = None
    ) -> dict[UUID, list[list[Any]]]:
        """The licenses that users hold; whether there are any at all is asked once."""
        if self._licensed is None:
            self._licensed = licenses.are_there(self.conn)
        return licenses.held(self.database, self.conn, users, provider) if self._licensed else {}

    def pools(self, provider: str, clients: Collection[UUID]) -> dict[tuple[UUID, str], UUID]:
        """The pools of clients, by client and SKU."""
        return licenses.pools(self.database, self.conn, provider, clients)

    def holders_of(self, pool: UUID) -> list[tuple[UUID, UUID, int]]:
        """(user, client, count) of those who have licenses of a pool and do not lose them by this
        plan already.
        """
        return licenses.holders(self.conn, pool, self.step)

    def once_in(self, pool: UUID) -> set[str]:
        """The keys of people of this partition who had licenses of a pool, and have none now."""
        return licenses.once_in(self.conn, pool, self.partition)

    def holdings(
        self, kind: Kind, provider: str, clients: Collection[UUID]
    ) -> dict[tuple[UUID, str], UUID]:
        """Pools or subscriptions of clients, by client and reference; retired ones too."""
        return licenses.holdings(self.database, self.conn, kind, provider, clients)

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

    def quarantined(self, stream: str, keys: Collection[str]) -> dict[str, Aside]:
        """What is said of those of the keys that are in quarantine."""
        c = t.quarantine.c
        query = sa.select(c.key, c.code, c.message, c.raw).where(
            c.partition_id == self.partition, c.stream == stream
        )
        return {
            row[0]: (row[1], row[2], row[3])
            for chunk in bulk.chunks(list(keys))
            for row in self.conn.execute(query.where(self.database.among(c.key, chunk)))
        }

    def decisions(self, stream: str, keys: Sequence[str]) -> dict[str, Word]:
        """What people said once and for all about records with these keys. Where nobody ever did,
        as of most streams, only the first question asks the database.
        """
        if stream not in self._has_words:
            self._has_words[stream] = self._any_of(t.decision, stream)
        words = {}
        if self._has_words[stream]:
            found = said.about(self.database, self.conn, self.partition, stream, keys)
            words = self._as_merged({key: one.word for key, one in found.items()})
        if self.new_words:
            asked = {key: self.new_words.get((stream, key)) for key in keys}
            words |= {key: word for key, word in asked.items() if word}
        return words

    def _as_merged(self, words: dict[str, Word]) -> dict[str, Word]:
        """The words with those whom who was named was merged into."""
        named = {one.entity for one in words.values() if one.entity}
        into = self._merged_into(named) if named and self._has_merged() else {}
        return {
            key: one._replace(entity=into[one.entity]) if one.entity in into else one
            for key, one in words.items()
        }

    def _merged_into(self, ids: Collection[UUID]) -> dict[UUID, UUID]:
        """Whom those of the entities that were merged are now, however often they were."""
        c = t.merged.c
        query = sa.select(c.entity_id, c.into_id)
        step = {
            row[0]: row[1]
            for chunk in bulk.chunks(list(ids))
            for row in self.conn.execute(query.where(self.database.among(c.entity_id, chunk)))
        }
        further = self._merged_into(set(step.values())) if step else {}
        return {one: further.get(into, into) for one, into in step.items()}

    def ignored(self, stream: str, keys: Sequence[str]) -> set[str]:
        """Of the keys those whose records a person ignores for ever."""
        words = self.decisions(stream, keys).items()
        return {key for key, word in words if word.verdict is Verdict.IGNORE}

    def planned_keys(
        self, ids: Collection[UUID]
    ) -> dict[tuple[UUID, str], tuple[UUID | None, str | None]]:
        """Keys of linked entities that this plan changes: in which client, and what they will
        be.
        """
        if not self.plans_keys:
            return {}
        c = t.draft_key.c
        query = sa.select(c.entity_id, c.field, c.client_id, c.new_key)
        query = query.where(c.step_id == self.step)
        return {
            (row[0], row[1]): (row[2], row[3])
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

    def changed_since_gone(
        self, stream: str, reasons: Sequence[str], *, at_any_time: bool
    ) -> list[str]:
        """The keys of records that are gone for one of these reasons, of active users whom a
        person's edit, merge or undo changed since the last sync of this partition, or `at_any_time`
        where that sync need not have been about them.
        """
        link, user, run, step = t.link.c, t.user.c, t.run.c, t.step.c
        last = 0
        if not at_any_time:
            last = vanished(self.conn, [self.partition]).get(self.partition, 0)
        since = sa.select(run.id, run.undoes).join(t.step, step.run_id == run.id)
        since = since.where(step.id > last, run.mode.in_(("edit", "merge", "review", "undo")))
        runs = {one for row in self.conn.execute(since) for one in row if one is not None}
        if not runs:
            return []
        changed = sa.select(t.change.c.entity_id).join(t.step, step.id == t.change.c.step_id)
        query = (
            sa.select(link.key)
            .join(t.user, user.id == link.entity_id)
            .where(link.partition_id == self.partition, link.stream == stream)
            .where(link.state == LinkState.GONE, link.note.in_(reasons))
            .where(user.active, sa.not_(user.retired))
            .where(link.entity_id.in_(changed.where(step.run_id.in_(runs))))
        )
        return list(self.conn.execute(query).scalars())

    def count_living(self, stream: str, states: Sequence[LinkState]) -> int:
        """How many links of the stream are in these states and own their item."""
        sql, given = self._living_sql("count(*)", stream, states)
        return int(bulk.fetch(self.conn, sql, given)[0][0])

    def running(self, stream: str) -> list[str]:
        """The keys of links whose clock runs, and that own their item."""
        sql, given = self._living_sql("key", stream, (LinkState.MISSED, LinkState.LEAVING))
        return [key for (key,) in bulk.fetch(self.conn, f"{sql} order by key", given)]

    def has_quarantine(self, stream: str) -> bool:
        """Whether any item of the stream is in quarantine, or was when this was asked first: what
        comes or goes meanwhile is looked at next time.
        """
        if stream not in self._aside:
            self._aside[stream] = self._any_of(t.quarantine, stream)
        return self._aside[stream]

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
