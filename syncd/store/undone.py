"""What undos take back of a run: all of it or a part, and what earlier ones took back already.

The ledger is the only memory: the changes that an undo made, and the links that it wrote.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import UNDO, effects_of
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an undo is to take back of a run: what it did to these users, to all of these clients,
    in these fields; where none are named, to or in any. All given must apply.

    `keep`: what is restored becomes a person's word, so that no source does the same again.
    """

    users: frozenset[UUID] = frozenset()
    clients: frozenset[UUID] = frozenset()
    fields: frozenset[str] = frozenset()
    keep: bool = False

    @property
    def is_whole(self) -> bool:
        return not (self.users or self.clients or self.fields)

    def options(self) -> str:
        """As one would type it after `syncd undo RUN`."""
        named = {"user": self.users, "client": self.clients, "field": self.fields}
        told = [
            f" --{name} {one}" for name, them in named.items() for one in sorted(map(str, them))
        ]
        return "".join(told) + (" --keep" if self.keep else "")

    def for_step(self, undone: int) -> dict[str, str]:
        """As the step of an undo remembers it, with the step that it takes back."""
        told = {
            "users": sorted(one.hex for one in self.users),
            "clients": sorted(one.hex for one in self.clients),
            "fields": sorted(self.fields),
            "keep": self.keep,
        }
        return {"undoes": str(undone), "wanted": bulk.json_text(told)}


def wanted_by(memory: dict[str, str]) -> Wanted:
    """What `Wanted.for_step` was made of. Once there were undos of whole runs only."""
    if "wanted" not in memory:
        return Wanted()
    told = bulk.json_value(memory["wanted"])
    users, clients = (frozenset(map(UUID, told[name])) for name in ("users", "clients"))
    return Wanted(users, clients, frozenset(told["fields"]), told["keep"])


class UndoStep(NamedTuple):
    """One step of an undo: its run, the step that it takes back, and what of it."""

    id: int
    run: int
    undone: int
    wanted: Wanted


def undo_steps(conn: Connection, runs: Collection[int]) -> list[UndoStep]:
    """The steps of all undos of these runs, oldest first; those that were laid aside did nothing,
    and are left out.
    """
    s, r = t.step.c, t.run.c
    query = (
        sa.select(s.id, s.run_id, s.base_cursor)
        .join(t.run, r.id == s.run_id)
        .where(r.undoes.in_(runs), s.state != "cancelled")
        .order_by(s.id)
    )
    return [
        UndoStep(row[0], row[1], int(row[2]["undoes"]), wanted_by(row[2]))
        for row in conn.execute(query)
    ]


class Place(NamedTuple):
    """Where a change stands: its step, its entity and its record."""

    step: int
    entity: UUID
    stream: str
    key: str


@dataclass(slots=True)
class TakenBack:
    """What undos took back of some changes."""

    fields: dict[Place, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Per change, each field that was taken back, and the run that did so."""
    links: dict[tuple[int, str, str], int] = field(default_factory=dict)
    """(step, stream, key) of links that are as they were before the step, and the run that did so.
    """

    def in_force(self, place: Place, action: str, after: dict[str, Any]) -> bool:
        """Whether something of a change was not taken back."""
        said = effects_of(action, after)
        if said:
            return not said <= self.fields.get(place, {}).keys()
        return self.link(place) is None

    def link(self, place: Place) -> int | None:
        """The run that took a change's link back, if any did."""
        return self.links.get((place.step, place.stream, place.key))

    def by(self, place: Place) -> set[int]:
        """The runs that took something of a change back."""
        runs = {*self.fields.get(place, {}).values(), self.link(place)}
        return {run for run in runs if run is not None}

    def told(self, place: Place, action: str, after: dict[str, Any]) -> str:
        """`undone by run 13`, or `partly undone …`; nothing for a change that nobody undid."""
        runs = " and ".join(map(str, sorted(self.by(place))))
        partly = "partly " if self.in_force(place, action, after) else ""
        return f"{partly}undone by run {runs}" if runs else ""


def taken_back(
    database: Database,
    conn: Connection,
    undos: Sequence[UndoStep],
    places: Collection[Place],
) -> TakenBack:
    """What these steps took back of the changes at these places."""
    found = TakenBack()
    if not undos:
        return found
    by_id = {one.id: one for one in undos}
    _add_fields(database, conn, by_id, {one.entity for one in places}, found)
    _add_links(database, conn, by_id, {one.key for one in places if one.stream}, found)
    return found


def parts_undone(conn: Connection, runs: Collection[int]) -> dict[int, list[int]]:
    """Per run the undos that took back a part of it."""
    part, s = t.run.alias(), t.step.c
    query = (
        sa.select(part.c.undoes, part.c.id)
        .join(t.run, t.run.c.id == part.c.undoes)
        .where(part.c.undoes.in_(runs), part.c.id.is_distinct_from(t.run.c.undone_by))
        .where(sa.exists().where(s.run_id == part.c.id, s.applied > 0))
        .order_by(part.c.id)
    )
    found: dict[int, list[int]] = defaultdict(list)
    for run, undo in conn.execute(query):
        found[run].append(undo)
    return found


def _add_fields(
    database: Database,
    conn: Connection,
    undos: dict[int, UndoStep],
    entities: Collection[UUID],
    found: TakenBack,
) -> None:
    c = t.change.c
    query = (
        sa.select(c.step_id, c.entity_id, c.stream, c.key, c.action, c.after)
        .join(t.step, t.step.c.id == c.step_id)
        .where(
            c.step_id.in_(undos), c.seq < t.step.c.applied_seq, c.rule == UNDO, t.in_force(t.change)
        )
    )
    for chunk in bulk.chunks(list(entities)):
        for row in conn.execute(query.where(database.among(c.entity_id, chunk))):
            undo = undos[row.step_id]
            place = Place(undo.undone, row.entity_id, row.stream, row.key)
            said = effects_of(row.action, row.after)
            found.fields[place] |= dict.fromkeys(said, undo.run)


def _add_links(
    database: Database,
    conn: Connection,
    undos: dict[int, UndoStep],
    keys: Collection[str],
    found: TakenBack,
) -> None:
    """An undo of some fields leaves links tied as they are: it has taken none back."""
    h = t.item_history.c
    whole = [one.id for one in undos.values() if not one.wanted.fields]
    query = sa.select(h.step_id, h.stream, h.key).where(h.step_id.in_(whole))
    for chunk in bulk.chunks(list(keys)):
        for step, stream, key in conn.execute(query.where(database.among(h.key, chunk))):
            found.links[undos[step].undone, stream, key] = undos[step].run


class WrittenLink(NamedTuple):
    """A link, and the step that wrote it last."""

    partition: int
    stream: str
    key: str
    entity: UUID
    step: int


def taken_from_items(
    database: Database, conn: Connection, links: Sequence[WrittenLink]
) -> dict[tuple[int, str, str], frozenset[str]]:
    """By partition, stream and key: the fields that undos took back since an item came, while the
    item still stands as it came. An undo of whole records gives back what stood before, too.
    """
    c, s, r = t.change.c, t.step.c, t.run.c
    query = (
        sa.select(
            c.entity_id, c.stream, c.key, c.step_id, c.action, c.after, s.partition_id,
            s.base_cursor,
        )
        .join(t.step, s.id == c.step_id)
        .join(t.run, r.id == s.run_id)
        .where(r.mode == "undo", c.rule == UNDO, c.seq < s.applied_seq, t.in_force(t.change))
    )  # fmt: skip
    rows = [
        row
        for chunk in bulk.chunks(list({one.entity for one in links}))
        for row in conn.execute(query.where(database.among(c.entity_id, chunk)))
        if wanted_by(row.base_cursor).fields
    ]
    came = {row.step_id: int(row.base_cursor["undoes"]) for row in rows}
    written = {one[:3]: came.get(one.step, one.step) for one in links}
    found: dict[tuple[int, str, str], frozenset[str]] = defaultdict(frozenset)
    for row in rows:
        record = (row.partition_id, row.stream, row.key)
        if row.step_id >= written.get(record, row.step_id + 1):
            found[record] |= effects_of(row.action, row.after)
    return found
