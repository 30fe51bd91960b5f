"""Two states in one look: the canonical dump, and what it leaves out on purpose.

`ledger` and `aside` replace our own ids by names, so that they compare across databases too.
"""

from __future__ import annotations

import difflib
import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from syncd.changes import RIVALS, Action
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.dump import canonical_dump

WRITTEN = (
    *(t.client, t.site, t.user, t.identity, t.link, t.item, t.item_history),
    *(t.change, t.quarantine, t.cursor),
)
"""Tables that a sync without news must not write, and that `plan` must not write but `change`."""


def state(database: Database) -> str:
    """All that two equal histories must agree on: dump, ledger of changes, quarantine."""
    return f"{canonical_dump(database)}-- ledger\n{ledger(database)}-- aside\n{aside(database)}"


def ledger(database: Database) -> str:
    """Every change in force, one line each, sorted."""
    c, s = t.change.c, t.step.c
    query = sa.select(t.change).join(t.step, s.id == c.step_id).where(c.seq < s.applied_seq)
    return _lines(database, query.where(c.outcome.is_(None)))


def plan(database: Database, run: int) -> str:
    """Every change of a run, planned or applied, sorted; to compare within one database."""
    steps = sa.select(t.step.c.id).where(t.step.c.run_id == run)
    query = sa.select(t.change).where(t.change.c.step_id.in_(steps))
    return _lines(database, query, with_ids=True)


def aside(database: Database) -> str:
    """Every item in quarantine and why, sorted."""
    c = t.quarantine.c
    with database.read() as conn:
        rows = conn.execute(sa.select(c.stream, c.key, c.code, c.message)).all()
    return "".join(f"{' '.join(row)}\n" for row in sorted(map(tuple, rows)))


def contents(database: Database, *, but: tuple[sa.Table, ...] = ()) -> dict[str, list[Any]]:
    """Every row of every table that counts, as it stands."""
    with database.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(sa.select(table))))
            for table in WRITTEN
            if table not in but
        }


def difference(one: str, other: str) -> str:
    """The lines that two states do not share."""
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0)
    return "\n".join(lines)


def _lines(database: Database, query: sa.Select[Any], *, with_ids: bool = False) -> str:
    with database.read() as conn:
        named = {} if with_ids else _names(conn)
        rows = conn.execute(query).all()
        created = [row for row in rows if row.action == Action.CREATE]
        born = {row.entity_id: f"{row.kind} {row.stream}/{row.key}" for row in created}
    named |= born  # a plan's creations are not there yet: before and after they are called alike

    def shown(values: dict[str, Any]) -> str:
        told = dict(values)
        for name in ("site", "client"):
            if told.get(name):
                told[name] = named.get(UUID(hex=told[name]), told[name])
        if RIVALS in told:
            told[RIVALS] = sorted(named.get(UUID(hex=one), one) for one in told[RIVALS])
        return json.dumps(told, sort_keys=True, ensure_ascii=False)

    lines = [
        f"{row.kind} {row.action} {row.effects} {named.get(row.entity_id, row.entity_id)} in "
        f"{named.get(row.client_id, row.client_id)} by {row.stream}/{row.key} {row.rule} "
        f"{shown(row.before)} -> {shown(row.after)}\n"
        for row in rows
    ]
    return "".join(sorted(lines))


def _names(conn: sa.Connection) -> dict[UUID, str]:
    """Entities by the first record that is tied to them, or by what they are called."""
    named = {row.id: f"client {row.name}" for row in conn.execute(sa.select(t.client))}
    for row in conn.execute(sa.select(t.site)):
        named[row.id] = f"{named[row.client_id]} / {row.name}"
    links = sa.select(t.link).where(t.link.c.entity_id.is_not(None))
    first: dict[UUID, str] = {}
    for row in conn.execute(links.order_by(t.link.c.stream.desc(), t.link.c.key.desc())):
        first[row.entity_id] = f"{row.stream}/{row.key}"
    return {**named, **first}
