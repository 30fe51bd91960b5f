"""What became of the rows of a dropped file: one answer for each key of its stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, LinkState
from syncd.entities import Kind
from syncd.store import tables as t
from syncd.store.database import Database

FAILED = "failed"
STALE = "stale"
_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.LINK: "linked",
    Action.DEACTIVATE: "deactivated",
    Action.REACTIVATE: "reactivated",
    Action.MOVE: "moved",
    Action.MISS: "leaving",
}
_STRONGEST = tuple(_DONE)
_AT_ONCE = 500


class Fate(NamedTuple):
    """What became of one record: a word, a reason code and a sentence, and whom it is about."""

    outcome: str
    code: str = ""
    reason: str = ""
    entity: str = ""


def fates(
    database: Database, step: int, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, Fate]:
    """The fate of each record with one of the keys, after the step was applied."""

    def look(conn: Connection) -> dict[str, Fate]:
        found: dict[str, Fate] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            found |= _fates(conn, step, (partition, stream), some)
        return found

    return database.query(look)


def _fates(
    conn: Connection, step: int, place: tuple[int, str], keys: Sequence[str]
) -> dict[str, Fate]:
    links = _links(conn, place, keys)
    entities = [one.entity for one in links.values() if one.entity]
    named: Mapping[UUID, str] = {}
    for kind in {one.kind for one in links.values() if one.entity}:
        named = {**named, **_labels(conn, kind, entities)}
    changes = _changes(conn, step, entities)
    aside = _aside(conn, place, keys)
    found = {}
    for key in keys:
        link = links.get(key)
        entity = named.get(link.entity, "") if link and link.entity else ""
        if key in aside:
            code, message = aside[key]
            found[key] = Fate(FAILED, code, message, entity)
        else:
            change = changes.get(link.entity) if link and link.entity else None
            found[key] = _of_link(link, change, entity)
    return found


def _of_link(link: _Link | None, change: _Change | None, entity: str) -> Fate:
    if change and change.outcome == STALE:
        return Fate(FAILED, STALE, change.reason, entity)
    if change:
        return Fate(_DONE[change.action], "", change.reason, entity)
    if link is None:
        return Fate(FAILED, "not_applied", "nothing was done with this row")
    if link.state == LinkState.SKIPPED:
        return Fate("skipped", link.note or "out_of_scope", "it is out of scope, or ignored")
    return Fate("unchanged", "", "", entity)


class _Link(NamedTuple):
    state: str
    note: str
    kind: Kind
    entity: UUID | None


class _Change(NamedTuple):
    action: Action
    outcome: str | None
    reason: str


def _links(conn: Connection, place: tuple[int, str], keys: Sequence[str]) -> Mapping[str, _Link]:
    c = t.link.c
    query = sa.select(c.key, c.state, c.note, c.kind, c.entity_id)
    query = query.where(c.partition_id == place[0], c.stream == place[1], c.key.in_(keys))
    rows = conn.execute(query)
    return {key: _Link(state, note, Kind(kind), one) for key, state, note, kind, one in rows}


def _labels(conn: Connection, kind: Kind, entities: Sequence[UUID]) -> Mapping[UUID, str]:
    """Entities as people know them, with the client of a site or user."""
    table = t.TABLE_OF[kind]
    if table is t.client:
        query = sa.select(table.c.id, table.c.name, sa.null(), sa.null())
    else:
        address = sa.func.coalesce(table.c.email, table.c.login) if table is t.user else sa.null()
        query = sa.select(table.c.id, table.c.name, address, t.client.c.name)
        query = query.join(t.client, t.client.c.id == table.c.client_id)
    rows = conn.execute(query.where(table.c.id.in_(entities)))
    return {one: _label(*parts) for one, *parts in rows}


def _label(name: str | None, address: str | None, client: str | None) -> str:
    parts = [name or "?", f"<{address}>" if address else "", f"({client})" if client else ""]
    return " ".join(filter(None, parts))


def _aside(
    conn: Connection, place: tuple[int, str], keys: Sequence[str]
) -> Mapping[str, tuple[str, str]]:
    c = t.quarantine.c
    query = sa.select(c.key, c.code, c.message)
    query = query.where(c.partition_id == place[0], c.stream == place[1], c.key.in_(keys))
    return {key: (code, message) for key, code, message in conn.execute(query)}


def _changes(conn: Connection, step: int, entities: Sequence[UUID]) -> Mapping[UUID, _Change]:
    """What the step did to entities; of several changes to one that which says most. By entity,
    because changes are not indexed by the key of their record.
    """
    c = t.change.c
    query = sa.select(c.entity_id, c.action, c.outcome, c.reason)
    # The sum keeps databases from walking through all changes of the step for every few entities.
    query = query.where(c.step_id + 0 == step, c.entity_id.in_(entities))
    found: dict[UUID, _Change] = {}
    for entity, action, outcome, reason in conn.execute(query):
        change = _Change(Action(action), outcome, reason)
        known = found.get(entity)
        if change.action in _DONE and (known is None or _rank(change) < _rank(known)):
            found[entity] = change
    return found


def _rank(change: _Change) -> int:
    return _STRONGEST.index(change.action)
