"""Which records are tied to which entities, over all connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import UNDO, LinkState, Tie, Tied
from syncd.entities import Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.undone import WrittenLink, taken_from_items

LIVING = (LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING)
TELLING = (*LIVING, LinkState.GONE)
"""The states of links that say something about their entity."""

_ITS_ITEM = sa.and_(
    *(t.link.c[name] == t.item.c[name] for name in ("partition_id", "stream", "key"))
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
        self._merged = False
        self.turns: Turns | None = None
        """What this very plan makes of the links of the stream that is planned."""

    @property
    def conn(self) -> Connection:
        assert self._conn is not None, "ask within `with facts.open():`"
        return self._conn

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
                c.owner, i.raw, c.step_id, c.digest.is_(None).label("unsettled"),
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
        silent = self._silent(rows)
        return [
            Tied(
                *row[:5],
                LinkState(row.state),
                row.note,
                row.owner.partition("/")[0] or row.stream,
                held.get((row.partition_id, row.owner)) if row.owner else row.raw,
                silent.get((row.partition_id, row.stream, row.key), frozenset()),
            )
            for row in rows
        ]

    def _silent(self, rows: Sequence[Any]) -> dict[tuple[int, str, str], frozenset[str]]:
        """By partition, stream and key: the fields of an item that were undone since it came."""
        links = [
            WrittenLink(row.partition_id, row.stream, row.key, row.entity_id, row.step_id)
            for row in rows
            if row.unsettled and row.state in LIVING
        ]
        return taken_from_items(self.database, self.conn, links) if links else {}

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
        """Which of the entities a record of another partition says something new of, or does not
        say any more, or a person merged, by a run that was at work since the run `run` began.
        """
        r, link, change = t.run.c, t.link.c, t.change.c
        began = sa.select(r.started_at).where(r.id == run).scalar_subquery()
        since = sa.and_(r.id != run, sa.or_(r.ended_at.is_(None), r.ended_at >= began))
        written = (
            sa.select(link.entity_id)
            .join(t.step, t.step.c.id == link.step_id)
            .join(t.run, r.id == t.step.c.run_id)
            .where(link.partition_id != self.partition, since)
        )
        undone = (
            sa.select(change.entity_id)
            .join(t.step, t.step.c.id == change.step_id)
            .join(t.run, r.id == t.step.c.run_id)
            .where(sa.or_(change.rule == UNDO, r.mode == "merge"), since)
        )
        return {
            one
            for chunk in bulk.chunks(list(ids))
            for query, entity in ((written, link.entity_id), (undone, change.entity_id))
            for one in self.conn.execute(query.where(self.database.among(entity, chunk))).scalars()
        }

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

    def _raws(self, partition: int, stream: str, keys: Sequence[str]) -> dict[str, bytes]:
        c = t.item.c
        query = sa.select(c.key, c.raw).where(c.partition_id == partition, c.stream == stream)
        return {
            row[0]: row[1]
            for chunk in bulk.chunks(keys)
            for row in self.conn.execute(query.where(self.database.among(c.key, chunk)))
        }
