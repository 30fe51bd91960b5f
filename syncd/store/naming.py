"""Names for the ids that changes speak of, so that a person can read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LICENSES, OVERRIDES, Action
from syncd.store import licenses
from syncd.store import tables as t
from syncd.store.answers import holding_label, short_labels
from syncd.store.database import Database

REFERRING = ("client", "site")
"""Names in a change whose values are ids."""


def with_names(values: dict[str, Any], names: dict[UUID, str]) -> dict[str, Any]:
    """One side of a change with names for ids, in a person's words as well."""
    told = {
        name: names.get(UUID(hex=value), value) if name in REFERRING and value else value
        for name, value in values.items()
    }
    if OVERRIDES in told:
        told[OVERRIDES] = with_names(told[OVERRIDES], names)
    if LICENSES in told:
        told[LICENSES] = [
            [names.get(UUID(hex=pool)) or (sku[0] if sku else pool), count]
            for pool, count, *sku in told[LICENSES]
        ]
    return told


def told_apart(
    before: dict[str, Any], after: dict[str, Any], names: dict[UUID, str]
) -> dict[UUID, str]:
    """The names, with what tells two apart where a change puts one in the place of another that is
    called the same: of sites their clients, if these move as well; else the ids.
    """
    found = names
    for sides in ((before, after), (before.get(OVERRIDES, {}), after.get(OVERRIDES, {}))):
        clients = _different(_referred(sides, "client"), names)
        for name in REFERRING:
            ids = _referred(sides, name)
            if len({*ids}) == 2 and not _different(ids, names):
                marks = (name == "site" and clients) or ids
                pairs = zip(ids, marks, strict=True)
                found = {**found, **{one: f"{names[one]} ({mark})" for one, mark in pairs}}
    return found


def _referred(sides: Sequence[dict[str, Any]], name: str) -> list[UUID]:
    return [UUID(hex=side[name]) for side in sides if side.get(name)]


def _different(ids: Sequence[UUID], names: dict[UUID, str]) -> list[str]:
    """What two are called; nothing where that is the same."""
    called = [names.get(one, str(one)) for one in ids]
    return called if len({*called}) == 2 else []


def names_of(database: Database, conn: Connection, rows: Sequence[Any]) -> dict[UUID, str]:
    """Names of all that the changes speak of, those included that a plan would only create."""
    ids: set[UUID] = set()
    for row in rows:
        ids |= {row.entity_id, row.client_id}
        ids |= {
            UUID(hex=side[name])
            for values in (row.before, row.after)
            for side in (values, values.get(OVERRIDES, {}))
            for name in REFERRING
            if side.get(name)
        }
    ids.discard(None)
    names = short_labels(database, conn, ids)
    pools = licenses.pool_names(database, conn, _pools(rows))
    return {**_planned_names(database, conn, ids - names.keys(), rows), **names, **pools}


def _pools(rows: Sequence[Any]) -> set[UUID]:
    sides = [side for row in rows for side in (row.before, row.after)]
    return {UUID(hex=one[0]) for side in sides for one in side.get(LICENSES, ())}


def _planned_names(
    database: Database, conn: Connection, ids: set[UUID], rows: Sequence[Any]
) -> dict[UUID, str]:
    if not ids:
        return {}
    c = t.change.c
    query = sa.select(c.entity_id, c.after).where(
        c.step_id.in_({row.step_id for row in rows}),
        c.action == Action.CREATE,
        database.among(c.entity_id, list(ids)),
    )
    return {entity: _planned_label(after) for entity, after in conn.execute(query)}


def _planned_label(after: dict[str, Any]) -> str:
    if "provider" in after:
        return holding_label(after)
    address = after.get("email") or after.get("login")
    name = str(after.get("name", "?"))
    return f"{name} <{address}>" if address else name
