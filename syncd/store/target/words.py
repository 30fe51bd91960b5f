"""Standing words in changes: kept and taken back with the plan that they belong to.

A change tells by `@decision`, `@aside` and `@pinned` what people said about its record, as what the
record waits in quarantine, and whether its link is pinned: before and after, so that an undo gives
all of it back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import ASIDE, DECISION, PINNED, Change, LinkWrite
from syncd.store import bulk, said
from syncd.store import tables as t
from syncd.store.database import Database

Said = dict[str, Any]
"""A word in a change: verdict, entity (hex), actor, reason, and of one that was there already: at
(ISO 8601) and step.
"""
_COMPARED = ("verdict", "entity", "actor", "reason")


def stored(
    database: Database, conn: Connection, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, Said]:
    """The words that stand about records, as a change tells them."""
    return {
        key: {
            "verdict": one.word.verdict.value,
            "entity": one.word.entity.hex if one.word.entity else None,
            "actor": one.word.actor,
            "reason": one.word.reason,
            "at": one.at.isoformat(),
            "step": one.step,
        }
        for key, one in said.about(database, conn, partition, stream, keys).items()
    }


def overtaken(
    database: Database, conn: Connection, partition: int | None, changes: Sequence[Change]
) -> dict[int, str]:
    """Places of changes whose record somebody said another word about meanwhile."""
    places = [at for at, change in enumerate(changes) if DECISION in change.after]
    if partition is None or not places:
        return {}
    standing = {
        (stream, key): one
        for stream, keys in _by_stream([changes[at] for at in places]).items()
        for key, one in stored(database, conn, partition, stream, keys).items()
    }
    return {
        at: "another word was said about it since"
        for at in places
        if not _same(changes[at].before.get(DECISION), standing.get(_record(changes[at])))
    }


def _same(one: Said | None, other: Said | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(one.get(name) == other.get(name) for name in _COMPARED)


def pin(
    database: Database, conn: Connection, partition: int | None, links: Sequence[LinkWrite]
) -> None:
    """Pin stored links, or take the pin off, where that is said of them."""
    chosen = [one for one in links if one.pinned is not None]
    rows = [[one.pinned, partition, one.stream, one.key] for one in chosen]
    bulk.update(database, conn, t.link, ("pinned",), rows)


def write(
    database: Database,
    conn: Connection,
    step: int,
    partition: int | None,
    changes: Sequence[Change],
    stale: Collection[int],
) -> None:
    """Do what changes say about their records, after links and items were written."""
    for place, change in enumerate(changes):
        if partition is None or place in stale:
            continue
        if DECISION in change.after:
            _keep(database, conn, step, partition, change)
        if ASIDE in change.after:
            _set_aside(database, conn, step, partition, change)
        if PINNED in change.after:
            these = _this(t.link, partition, change)
            conn.execute(sa.update(t.link).where(these).values(pinned=change.after[PINNED]))


def ignore(
    database: Database,
    conn: Connection,
    step: int,
    partition: int | None,
    links: Sequence[LinkWrite],
) -> None:
    """A standing word on the records of these links: an undo with `--keep` wants none of them. It
    takes the place of any earlier word.
    """
    if not links:
        return
    c, r = t.decision.c, t.run.c
    asked = sa.select(r.actor, r.undoes).join(t.step, t.step.c.run_id == r.id)
    actor, undone = conn.execute(asked.where(t.step.c.id == step)).one()
    told = {
        "partition_id": partition,
        "verdict": "ignore",
        "actor": actor,
        "reason": f"undo of run {undone} with --keep",
        "step_id": step,
        "decided_at": database.now(conn),
    }
    for one in links:
        same = sa.and_(c.partition_id == partition, c.stream == one.stream, c.key == one.key)
        conn.execute(sa.delete(t.decision).where(same))
    conn.execute(
        sa.insert(t.decision), [{**told, "stream": one.stream, "key": one.key} for one in links]
    )


def _keep(database: Database, conn: Connection, step: int, partition: int, change: Change) -> None:
    conn.execute(sa.delete(t.decision).where(_this(t.decision, partition, change)))
    told: Said | None = change.after[DECISION]
    if told is None:
        return
    at = told.get("at")
    conn.execute(
        sa.insert(t.decision).values(
            partition_id=partition,
            stream=change.stream,
            key=change.key,
            verdict=told["verdict"],
            entity_id=UUID(hex=told["entity"]) if told["entity"] else None,
            actor=told["actor"],
            reason=told["reason"],
            step_id=told.get("step", step),
            decided_at=datetime.fromisoformat(at) if at else database.now(conn),
        )
    )


def _set_aside(
    database: Database, conn: Connection, step: int, partition: int, change: Change
) -> None:
    """A record that waits (again) does so with its item as that is stored."""
    conn.execute(sa.delete(t.quarantine).where(_this(t.quarantine, partition, change)))
    told: dict[str, Any] | None = change.after[ASIDE]
    if told is None:
        return
    item = sa.select(t.item.c.raw).where(_this(t.item, partition, change))
    conn.execute(
        sa.insert(t.quarantine).values(
            partition_id=partition,
            stream=change.stream,
            key=change.key,
            code=told["code"],
            message=told["message"],
            fields=told["fields"],
            suggestion=told["suggestion"],
            raw=conn.execute(item).scalar(),
            step_id=step,
            since=database.now(conn),
        )
    )


def _this(table: sa.Table, partition: int, change: Change) -> sa.ColumnElement[bool]:
    c = table.c
    return sa.and_(c.partition_id == partition, c.stream == change.stream, c.key == change.key)


def _record(change: Change) -> tuple[str, str]:
    return change.stream, change.key


def _by_stream(changes: Sequence[Change]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        found[change.stream].append(change.key)
    return found
