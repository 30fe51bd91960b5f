"""What a merge carries from one entity to another besides values, and the way back of all that.

Links, identities, decisions and licenses go; the change of the entity that went tells into whom,
and what went with it, so that an undo gives back exactly that and nothing that came later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from syncd.changes import MERGED, Change
from syncd.entities import Kind
from syncd.store import bulk, history
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.target import carried_licenses as licenses
from syncd.store.target import edits

RULE = "merged"
"""How a link came to its entity: with a merge."""
_LINK = ("partition_id", "stream", "key")
_TIE = ("digest", "entity_id", "matched_by", "step_id")


@dataclass(slots=True)
class Carried:
    """What went with one entity; ids are hexadecimal."""

    into: str
    step: int
    links: int = 0
    identities: list[list[str]] = field(default_factory=list)
    decisions: list[list[Any]] = field(default_factory=list)
    """[partition, stream, key] of records that a person wants to be linked to it."""
    pools: list[str] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    """[subscription, the pool that it had]."""


@dataclass(frozen=True, slots=True)
class Writer:
    """One step that merges, or that takes a merge back."""

    database: Database
    conn: Connection
    step: int


def write(
    database: Database,
    conn: Connection,
    step: int,
    first: int,
    changes: Sequence[Change],
    stale: Collection[int],
) -> None:
    """Do what the merges among a page's changes say, and take back what its undoing changes say.
    `first`: the seq of the page's first change.
    """
    chosen = [(at, one) for at, one in enumerate(changes) if at not in stale]
    merges = {at: one for at, one in chosen if MERGED in one.after}
    undone = {at: one for at, one in chosen if MERGED in one.before}
    writer = Writer(database, conn, step)
    if merges:
        carried = _merge(writer, {one.entity: _into(one) for one in merges.values()}, merges)
        for at, one in merges.items():
            after = {**one.after, MERGED: asdict(carried[one.entity])}
            _rewrite(writer, first + at, after=after)
    if undone:
        kept = _part(writer, undone.values())
        for at, one in undone.items():
            if count := kept.get(one.entity, 0):
                told = f"{one.reason}; left out: {count} of its records belong to others by now"
                _rewrite(writer, first + at, reason=told)


def _into(change: Change) -> UUID:
    return UUID(hex=change.after[MERGED]["into"])


def _rewrite(writer: Writer, seq: int, **values: Any) -> None:
    c = t.change.c
    these = sa.and_(c.step_id == writer.step, c.seq == seq)
    writer.conn.execute(sa.update(t.change).where(these).values(**values))


# -- there -----------------------------------------------------------------------------------------


def _merge(
    writer: Writer, pairs: Mapping[UUID, UUID], merges: Mapping[int, Change]
) -> dict[UUID, Carried]:
    """Carry over what belongs to the keys of `pairs`, each to the entity that it goes into."""
    carried = {one: Carried(into.hex, writer.step) for one, into in pairs.items()}
    kinds = {one.entity: one.kind for one in merges.values()}
    columns = ("entity_id", "into_id", "kind", "step_id")
    rows = [(one, into, kinds[one].value, writer.step) for one, into in pairs.items()]
    bulk.insert(writer.database, writer.conn, t.merged, columns, rows)
    _carry_links(writer, pairs, carried)
    _carry_decisions(writer, pairs, carried)
    for one, into in pairs.items():
        if kinds[one] is Kind.USER:
            _carry_identities(writer, one, into, carried[one])
            licenses.carry_user(writer.database, writer.conn, writer.step, one, into)
        elif kinds[one] is Kind.CLIENT:
            pools, subscriptions = licenses.carry_client(
                writer.database, writer.conn, writer.step, one, into
            )
            carried[one].pools, carried[one].subscriptions = pools, subscriptions
    return carried


def _carry_links(
    writer: Writer, pairs: Mapping[UUID, UUID], carried: Mapping[UUID, Carried]
) -> None:
    links = _links_of(writer, list(pairs))
    for row in links:
        carried[row.entity_id].links += 1
    ties = [(None, pairs[row.entity_id], RULE, writer.step, *row[:3]) for row in links]
    _tie(writer, links, ties)
    _unsettle(writer, set(pairs.values()))


def _unsettle(writer: Writer, ids: Collection[UUID]) -> None:
    for chunk in bulk.chunks(list(ids)):
        edits.unsettle(writer.database, writer.conn, chunk)


def _links_of(writer: Writer, ids: Sequence[UUID]) -> list[Row[Any]]:
    c = t.link.c
    return [
        row
        for chunk in bulk.chunks(ids)
        for row in writer.conn.execute(
            sa.select(t.link).where(writer.database.among(c.entity_id, chunk))
        )
    ]


def _tie(writer: Writer, links: Sequence[Row[Any]], ties: Sequence[tuple[Any, ...]]) -> None:
    """Write (digest, entity, matched by, step, partition, stream, key) over links, and remember
    these as they were. Whose record it is changes; the item and the state of its link do not.
    """
    database, conn = writer.database, writer.conn
    columns = ("step_id", *_LINK, "link")
    past = [(writer.step, *row[:3], history.link_json(row)) for row in links]
    bulk.insert(database, conn, t.item_history, columns, past)
    bulk.update(database, conn, t.link, _TIE, ties)


def _carry_decisions(
    writer: Writer, pairs: Mapping[UUID, UUID], carried: Mapping[UUID, Carried]
) -> None:
    c = t.decision.c
    rows: list[tuple[Any, ...]] = []
    for chunk in bulk.chunks(list(pairs)):
        query = sa.select(c.entity_id, c.partition_id, c.stream, c.key)
        for entity, *record in writer.conn.execute(
            query.where(writer.database.among(c.entity_id, chunk))
        ):
            carried[entity].decisions.append(record)
            rows.append((pairs[entity], *record))
    bulk.update(writer.database, writer.conn, t.decision, ("entity_id",), rows)


def _carry_identities(writer: Writer, one: UUID, into: UUID, carried: Carried) -> None:
    c = t.identity.c
    query = sa.select(c.issuer, c.subject).where(c.user_id == one).order_by(c.issuer, c.subject)
    carried.identities = [[*row] for row in writer.conn.execute(query)]
    writer.conn.execute(sa.update(t.identity).where(c.user_id == one).values(user_id=into))


# -- and back --------------------------------------------------------------------------------------


def _part(writer: Writer, undone: Collection[Change]) -> dict[UUID, int]:
    """Give back what went with these entities; how many of its links each did not get."""
    database, conn = writer.database, writer.conn
    carried = {one.entity: Carried(**one.before[MERGED]) for one in undone}
    kept = _give_links_back(writer, carried)
    c, d, i = t.merged.c, t.decision.c, t.identity.c
    for one, memory in carried.items():
        into = UUID(hex=memory.into)
        conn.execute(sa.delete(t.merged).where(c.entity_id == one, c.into_id == into))
        for issuer, subject in memory.identities:
            same = sa.and_(i.issuer == issuer, i.subject == subject, i.user_id == into)
            conn.execute(sa.update(t.identity).where(same).values(user_id=one))
        for partition, stream, key in memory.decisions:
            same = sa.and_(d.partition_id == partition, d.stream == stream, d.key == key)
            these = sa.and_(same, d.entity_id == into)
            conn.execute(sa.update(t.decision).where(these).values(entity_id=one))
    _unsettle_dwellers(writer, carried)
    for change in undone:
        if change.kind is not Kind.SITE:
            memory = carried[change.entity]
            licenses.give_back(
                database, conn, writer.step, memory.step, change.entity, UUID(hex=memory.into),
                memory.pools, memory.subscriptions,
            )  # fmt: skip
    return kept


def _unsettle_dwellers(writer: Writer, carried: Mapping[UUID, Carried]) -> None:
    """Who came to a client or site while it was two, or moved there, is where the merge was in the
    way of what its record says: the next sync looks at all who live there again.
    """
    u, s = t.user.c, t.site.c
    for one, memory in carried.items():
        both = (one, UUID(hex=memory.into))
        users = sa.select(u.id).where(sa.or_(u.client_id.in_(both), u.site_id.in_(both)))
        sites = sa.select(s.id).where(s.client_id.in_(both))
        _unsettle(writer, list(writer.conn.execute(sa.union_all(users, sites)).scalars()))


def _give_links_back(writer: Writer, carried: Mapping[UUID, Carried]) -> dict[UUID, int]:
    """Tie records to whom they had before the merge, where they still have whom it gave them."""
    past = _past_links(writer, carried)
    into = {UUID(hex=one.into) for one in carried.values()}
    now = {tuple(row[:3]): row for row in _links_of(writer, list(into))}
    back = [one for one in past if one[0] in now]
    ties = [(None, entity, rule, writer.step, *place) for place, entity, rule in back]
    _tie(writer, [now[place] for place, _, _ in back], ties)
    _unsettle(writer, into)
    kept: dict[UUID, int] = {}
    for place, entity, _ in past:
        kept[entity] = kept.get(entity, 0) + (place not in now)
    return kept


def _past_links(
    writer: Writer, carried: Mapping[UUID, Carried]
) -> list[tuple[tuple[Any, ...], UUID, str]]:
    """(partition, stream and key), entity and rule of the links that went with these entities."""
    h = t.item_history.c
    steps = {one.step for one in carried.values()}
    query = sa.select(h.partition_id, h.stream, h.key, h.link).where(h.step_id.in_(steps))
    found = [
        (tuple(row[:3]), UUID(hex=row.link["entity"]), row.link["matched_by"])
        for row in writer.conn.execute(query)
    ]
    return [one for one in found if one[1] in carried]
