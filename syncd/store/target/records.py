"""What is kept of a partition's records: links, items, how both were before, and the quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkWrite, Quarantined
from syncd.store import bulk, history
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.drafted import Body
from syncd.store.target import words

LINK_COLUMNS = (
    "digest",
    "state",
    "kind",
    "entity_id",
    "matched_by",
    "misses",
    "missed_at",
    "counted_at",
    "note",
    "owner",
    "step_id",
)
ITEM_KEY = ("partition_id", "stream", "key")


@dataclass(frozen=True, slots=True)
class Records:
    """Where one step writes them, in one transaction. Local edits have no partition, and none."""

    database: Database
    conn: Connection
    step: int
    partition: int | None

    def write_links(self, links: Sequence[LinkWrite], stale: Collection[int]) -> None:
        """Write links and their items; those whose change is `stale` are only unsettled."""
        if not links:
            return
        new = [one for one in links if one.is_new and one.change not in stale]
        new.sort(key=lambda one: (one.stream, one.key))  # as indexes keep them: quicker to insert
        old = [one for one in links if not one.is_new and one.change not in stale]
        unsettled = [one for one in links if not one.is_new and one.change in stale]
        table, database, conn = t.link, self.database, self.conn
        columns = (*ITEM_KEY, *LINK_COLUMNS, "pinned")
        made = [(*self._link_row(one), bool(one.pinned)) for one in new]
        bulk.insert(database, conn, table, columns, made)
        self._remember(old)
        key_last = [[*self._link_row(one)[3:], *self._link_row(one)[:3]] for one in old]
        bulk.update(database, conn, table, LINK_COLUMNS, key_last)
        words.pin(database, conn, self.partition, old)
        none = [[None, self.partition, one.stream, one.key] for one in unsettled]
        bulk.update(database, conn, table, ("digest",), none)
        self._items(new, old)
        words.ignore(database, conn, self.step, self.partition, [one for one in old if one.ignore])

    def _link_row(self, one: LinkWrite) -> tuple[Any, ...]:
        return (
            self.partition,
            one.stream,
            one.key,
            one.digest,
            one.state,
            one.kind,
            one.entity,
            one.matched_by,
            one.misses,
            one.missed_at,
            one.counted_at,
            one.note,
            one.owner,
            self.step,
        )

    def _items(self, new: list[LinkWrite], old: list[LinkWrite]) -> None:
        changed = [one for one in old if one.raw is not None]
        for stream, keys in _by_stream(changed).items():
            for chunk in bulk.chunks(keys):
                self.conn.execute(sa.delete(t.item).where(self._these(t.item, stream, chunk)))
        fresh = [
            (self.partition, one.stream, one.key, one.raw)
            for one in (*new, *changed)
            if one.raw is not None
        ]
        bulk.insert(self.database, self.conn, t.item, (*ITEM_KEY, "raw"), fresh)

    def _remember(self, old: list[LinkWrite]) -> None:
        """Keep links and items as they were before this step, for an undo."""
        database, conn, partition = self.database, self.conn, self.partition
        for stream, keys in _by_stream(old).items():
            for chunk in bulk.chunks(keys):
                links = conn.execute(sa.select(t.link).where(self._these(t.link, stream, chunk)))
                raws = bulk.raws(database, conn, partition, stream, chunk)
                columns = ("step_id", *ITEM_KEY, "raw", "link")
                past = [
                    (self.step, *row[:3], raws.get(row.key), history.link_json(row))
                    for row in links
                ]
                bulk.insert(database, conn, t.item_history, columns, past)

    def _these(self, table: sa.Table, stream: str, keys: Sequence[str]) -> sa.ColumnElement[bool]:
        c = table.c
        among = self.database.among(c.key, keys)
        return sa.and_(c.partition_id == self.partition, c.stream == stream, among)

    # -- quarantine --------------------------------------------------------------------------------

    def write_quarantine(self, body: Body) -> None:
        """Take out what healed, and set aside anew what waits."""
        gone = defaultdict(list)
        for stream, key in body.healed:
            gone[stream].append(key)
        for one in body.quarantined:
            gone[one.stream].append(one.key)
        for stream, keys in gone.items():
            for chunk in bulk.chunks(keys):
                these = self._these(t.quarantine, stream, chunk)
                self.conn.execute(sa.delete(t.quarantine).where(these))
        if body.quarantined:
            now = self.database.now(self.conn)
            unique = {(one.stream, one.key): one for one in body.quarantined}
            self.conn.execute(
                sa.insert(t.quarantine), [self._aside(one, now) for one in unique.values()]
            )

    def _aside(self, one: Quarantined, now: Any) -> dict[str, Any]:
        return {
            "partition_id": self.partition,
            "stream": one.stream,
            "key": one.key,
            "code": one.code,
            "message": one.message,
            "fields": list(one.fields),
            "suggestion": one.suggestion,
            "raw": one.raw,
            "step_id": self.step,
            "since": now,
        }


def _by_stream(links: Sequence[LinkWrite]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one in links:
        found[one.stream].append(one.key)
    return found
