"""Which records are tied to which entities, over all connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import UNDO, LinkState, Place, Tie, Tied
from syncd.entities import Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.undone import WrittenLink, taken_from_items

LIVING = (LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING)
TELLING = (*LIVING, LinkState.GONE)
"""The states of links that say something about their entity."""

_STATES = {state.value: state for state in LinkState}
_TIED_SQL = (
    "select entity_id, partition_id, stream, key, state, note, owner, digest, step_id from link"
)
_TIES_SQL = (
    "select entity_id, key, state, partition_id from link where state <> 'unlinked' "
    "and partition_id in (select id from partition where connection_id = {mark}) "
    "and stream = {mark} and entity_id"
)


class Turns(Protocol):
    """Which links of a stream a plan turns, before it is applied."""

    def vanishing(self, keys: list[str]) -> set[str]:
        """Which of these living keys it takes away."""
        ...

    def returning(self, keys: list[str]) -> set[str]:
        """Which of these dead keys it brings back."""
        ...


class Ties:
    """What one partition may ask about the ties of all. `conn` is open while it asks."""

    def __init__(self, database: Database, connection: int, partition: int) -> None:
        self.database = database
        self.connection = connection
        self.partition = partition
        self._conn: Connection | None = None
        self._alone: bool | None = None
        self._named: Mapping[int, str] = {}
        self._merged = False
        self.turns: Turns | None = None
        """What this very plan makes of the links of the stream that is planned."""

    @property
    def conn(self) -> Connection:
        assert self._conn is not None, "ask within `with facts.open():`"
        return self._conn

    def ties(self, stream: str, ids: Collection[UUID]) -> dict[UUID, Tie]:
        """Which of the entities this connection links, or once linked, in this stream."""
        sql, given = _TIES_SQL.format(mark=self.database.mark), (self.connection, stream)
        ties: dict[UUID, Tie] = {}
        for chunk in bulk.chunks(list(ids)):
            among, these = bulk.among_ids(self.database, chunk)
            rows = bulk.fetch(self.conn, f"{sql} {among}", (*given, *these))
            own = {key: state in LIVING for _, key, state, at in rows if at == self.partition}
            turned = self._turned(own)
            for stored, key, state, partition in rows:
                entity, alive = bulk.id_of(stored), state in LIVING
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
        rows = list(self._tied_rows(kind, ids))
        names = self._names({row[1] for row in rows})
        tied = [
            Tied(
                bulk.id_of(entity),
                names[partition],
                partition,
                stream,
                key,
                _STATES[state],
                note,
                _holder(owner) if owner else (stream, key),
                digest,
            )
            for entity, partition, stream, key, state, note, owner, digest, _ in rows
        ]
        return self._hushed(tied, [row[-1] for row in rows])

    def _tied_rows(self, kind: Kind, ids: Collection[UUID]) -> Iterator[Any]:
        """The driver's rows of telling links."""
        among = ", ".join(f"'{state}'" for state in TELLING)
        elsewhere = "" if self._has_merged() else f" and partition_id <> {self.partition:d}"
        sql = f"{_TIED_SQL} where kind = '{kind}' and state in ({among}){elsewhere}"
        yield from bulk.of_ids(self.database, self.conn, f"{sql} and entity_id", ids)

    def _names(self, partitions: Collection[int]) -> Mapping[int, str]:
        """The names of the connections that partitions belong to."""
        if not self._named.keys() >= set(partitions):
            query = sa.select(t.partition.c.id, t.connection.c.name).join(t.connection)
            self._named = {row[0]: row[1] for row in self.conn.execute(query)}
        return self._named

    def _hushed(self, tied: list[Tied], steps: Sequence[int]) -> list[Tied]:
        """The same links with the fields that were undone since their items came. `steps`: which
        wrote each of them.
        """
        links = [
            WrittenLink(one.partition, one.stream, one.key, one.entity, step)
            for one, step in zip(tied, steps, strict=True)
            if one.digest is None and one.state in LIVING
        ]
        silent = taken_from_items(self.database, self.conn, links) if links else {}
        if not silent:
            return tied
        places = ((one.partition, one.stream, one.key) for one in tied)
        return [
            one._replace(silent=silent.get(place, frozenset()))
            for one, place in zip(tied, places, strict=True)
        ]

    def items(self, places: Collection[Place]) -> dict[Place, bytes]:
        """The items that are stored at these places (partition, stream, key)."""
        return {
            (partition, stream, key): raw
            for (partition, stream), keys in _by_stream(places).items()
            for key, raw in bulk.raws(self.database, self.conn, partition, stream, keys).items()
        }

    def entities_of(self, places: Collection[Place]) -> dict[Place, UUID]:
        """Whom the records at these places (partition, stream, key) are tied to."""
        c = t.link.c
        query = sa.select(c.partition_id, c.stream, c.key, c.entity_id)
        query = query.where(c.entity_id.is_not(None), c.state.in_(LIVING))
        return {
            (row[0], row[1], row[2]): row[3]
            for (partition, stream), keys in _by_stream(places).items()
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
        """Which of the entities a record of another partition says something new of, or does not
        say any more, or a person merged, by a run that was at work since the run `run` began.
        """
        r, link, change = t.run.c, t.link.c, t.change.c
        since = _since(run)
        written = (
            sa.select(link.entity_id)
            .join(t.step, t.step.c.id == link.step_id)
            .join(t.run, r.id == t.step.c.run_id)
            .where(link.partition_id != self.partition, since)
        )
        undone = _changed(since, sa.or_(change.rule == UNDO, r.mode == "merge"))
        queries = ((written, link.entity_id), (undone, change.entity_id))
        return {one for query, entity in queries for one in self._among(query, entity, ids)}

    def edited_since(self, ids: Collection[UUID], run: int) -> set[UUID]:
        """Which of the entities a person edited while, or after, the run `run` was at work."""
        query = _changed(_since(run), t.run.c.mode == "edit")
        return set(self._among(query, t.change.c.entity_id, ids))

    def _among(
        self, query: sa.Select[Any], column: sa.ColumnElement[UUID], ids: Collection[UUID]
    ) -> Iterator[UUID]:
        for chunk in bulk.chunks(list(ids)):
            these = query.where(self.database.among(column, chunk))
            yield from self.conn.execute(these).scalars()

    def _is_alone(self) -> bool:
        """Whether nobody but this partition has any links; asked once for each step."""
        if self._alone is None:
            c = t.link.c
            others = sa.exists().where(c.partition_id == t.partition.c.id)
            query = sa.select(sa.literal(1)).where(t.partition.c.id != self.partition, others)
            self._alone = self.conn.execute(query.limit(1)).first() is None
        return self._alone and not self._has_merged()

    def _has_merged(self) -> bool:
        """Whether any two entities were made one: an entity may have two records here then. A
        person may do that at any time, so while nobody did it is asked again.
        """
        if not self._merged:
            query = sa.select(t.merged.c.entity_id).limit(1)
            self._merged = self.conn.execute(query).first() is not None
        return self._merged


def _holder(owner: str) -> tuple[str, str]:
    """Stream and key of the item that holds another one's record."""
    stream, _, key = owner.partition("/")
    return stream, key


def _by_stream(places: Iterable[Place]) -> dict[tuple[int, str], list[str]]:
    """The keys of places, by partition and stream."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    for partition, stream, key in places:
        found[partition, stream].append(key)
    return found


def _since(run: int) -> sa.ColumnElement[bool]:
    """Of other runs: that they were at work since this one began."""
    r = t.run.c
    began = sa.select(r.started_at).where(r.id == run).scalar_subquery()
    return sa.and_(r.id != run, sa.or_(r.ended_at.is_(None), r.ended_at >= began))


def _changed(*which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The entities of changes, by what is asked of them and of their runs."""
    c = t.change.c
    query = sa.select(c.entity_id).join(t.step, t.step.c.id == c.step_id)
    return query.join(t.run, t.run.c.id == t.step.c.run_id).where(*which)
