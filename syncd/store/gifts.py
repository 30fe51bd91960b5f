"""What stood in the fields of an entity before a record gave it its values, by the ledger."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import OWNERS, UNDO, Action, effects_of
from syncd.store import tables as t


class Before(NamedTuple):
    """A value, and whose it was; None: nobody's, or the record's own connection's."""

    value: Any
    owner: str | None


def before_record(
    conn: Connection, partition: int, entity: UUID, record: tuple[str, str], fields: Collection[str]
) -> dict[str, Before]:
    """What each of the fields that the record (stream, key) filled held before; those are left out
    that were its connection's already, and for an entity that it created those that were blank.
    """
    found: dict[str, Before] = {}
    left, created = set(fields), False
    for row in _changes(conn, entity) if fields else ():
        is_its = row.rule != UNDO and (row.partition_id, row.stream, row.key) == (
            partition, *record
        )  # fmt: skip
        if row.action == Action.CREATE:
            created = is_its
            break
        touched = left & effects_of(row.action, row.after)
        if not is_its:
            left -= touched
            continue
        owners = row.before.get(OWNERS, {})
        found |= {name: Before(row.before.get(name), owners.get(name)) for name in touched}
    return {
        name: one
        for name, one in found.items()
        if (one.owner is not None if one.value is not None else not created)
    }


def _changes(conn: Connection, entity: UUID) -> sa.CursorResult[Any]:
    """What was done to an entity, the newest first."""
    c, s = t.change.c, t.step.c
    query = (
        sa.select(c.action, c.rule, c.stream, c.key, c.before, c.after, s.partition_id)
        .join(t.step, s.id == c.step_id)
        .where(c.entity_id == entity, c.seq < s.applied_seq, t.in_force(t.change))
    )
    return conn.execute(query.order_by(c.step_id.desc(), c.seq.desc()))
