"""The way back of one step, page by page: what is taken back of it, what stays, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from syncd.changes import UNDO, Action, Change, Decisions, LinkWrite, effects_of
from syncd.entities import Entity, Kind
from syncd.store import history
from syncd.store.database import Database, Transaction
from syncd.store.entities import load_entities
from syncd.store.history import PastLink
from syncd.store.target import check
from syncd.store.undone import Place, TakenBack, UndoStep, taken_back
from syncd.sync.inverting import chosen, inverse, link_as_it_was, link_with_its_old_life
from syncd.sync.parting import STAYED, Parting


class Looks(NamedTuple):
    """What is known of a page of changes."""

    kept: dict[UUID, str]
    """Created entities that must not be retired, each with why."""
    links: dict[tuple[str, str], PastLink]
    """The links as they were before the step; it made the others."""
    rewritten: set[tuple[str, str]]
    """Links that a later sync wrote."""
    back: TakenBack
    """What earlier undos of the same run took back."""
    users: dict[UUID, Entity]
    """The users as they are now, where two clients are parted."""


class Dweller(NamedTuple):
    """Somebody who may stay where the step put them; `way_back`: what would take them away."""

    kind: Kind
    entity: UUID
    way_back: Change | None


@dataclass(slots=True)
class WayBack:
    """Makes the inverse of a step's changes: users first, then sites, then clients, so that nothing
    retires from under others. `owner`: whose values the step wrote. `earlier`: what took back parts
    of the same step.
    """

    database: Database
    this: UndoStep
    partition: int | None
    owner: str
    earlier: Sequence[UndoStep]
    parting: Parting | None = None
    """Where the step merged two clients."""
    inhabited: set[UUID] = field(default_factory=set)
    """Sites and clients of what stays: they must stay as well."""

    def page(self, conn: Transaction, changes: Sequence[Change]) -> Decisions:
        """The way back of these changes."""
        looks = self._look(conn, changes)
        out, dwellers = Decisions(), []
        for change in changes:
            names = self._left(change, looks)
            if reason := self._why_it_stays(change, names, looks):
                out.changes.append(_stays(change, reason))
                dwellers.append(Dweller(change.kind, change.entity, None))
                continue
            undone = inverse(change, names, keep=self.this.wanted.keep)
            if undone is not None:
                out.changes.append(undone)
            place = -1 if undone is None else len(out.changes) - 1
            if link := self._link(change, names, looks, place):
                out.links.append(link)
            if _may_stay(change, undone):
                dwellers.append(Dweller(change.kind, change.entity, undone))
        self._remember_homes(conn, dwellers)
        return out

    def _why_it_stays(self, change: Change, names: set[str], looks: Looks) -> str | None:
        if self.parting and self.parting.stays(change, looks.users.get(change.entity)):
            return STAYED
        return looks.kept.get(change.entity) if "retired" in names else None

    def _look(self, conn: Transaction, changes: Sequence[Change]) -> Looks:
        database, undone = self.database, self.this.undone
        kept = history.kept_by_others(database, conn, undone, changes)
        kept |= dict.fromkeys(self.inhabited, "users or sites of it stay")
        places = [self._place(change) for change in changes]
        records = [(one.stream, one.key) for one in changes if one.stream]
        return Looks(
            kept,
            history.past_links(database, conn, undone, self.partition, records),
            history.written_since(database, conn, undone, self.partition, changes),
            taken_back(database, conn, self.earlier, places),
            self.parting.users_of(conn, changes) if self.parting else {},
        )

    def _place(self, change: Change) -> Place:
        return Place(self.this.undone, change.entity, change.stream, change.key)

    def _left(self, change: Change, looks: Looks) -> set[str]:
        """What is wanted of a change, and was not taken back before."""
        before = looks.back.fields.get(self._place(change), {})
        return chosen(change, self.this.wanted.fields) - before.keys()

    def _link(self, change: Change, names: set[str], looks: Looks, place: int) -> LinkWrite | None:
        """What becomes of a change's link. With the whole change it goes back to what it was; with
        some fields it stays tied, but where `active` goes back its clock does, or nobody would
        leave, or return, by the next run.
        """
        record = (change.stream, change.key)
        creates = change.action is Action.CREATE
        if self.partition is None or not change.stream or change.action is Action.DECIDE:
            return None  # a person's word is about a link, and what came of it is another change
        if looks.back.link(self._place(change)) or (creates and not names):
            return None
        if record in looks.rewritten and not creates:
            return None  # a later sync had its own word on the record: it stays as that says
        past = looks.links.get(record)
        if not self.this.wanted.fields:
            return link_as_it_was(change, past, place, keep=self.this.wanted.keep)
        if "active" in names and past is not None and past.entity == change.entity:
            return link_with_its_old_life(change, past, place)
        return None

    def _remember_homes(self, conn: Transaction, dwellers: Sequence[Dweller]) -> None:
        """Add the sites and clients of whoever stays there."""
        ids: dict[Kind, list[UUID]] = defaultdict(list)
        for one in dwellers:
            ids[one.kind].append(one.entity)
        stored: dict[UUID, Entity] = {}
        for kind, some in ids.items():
            stored |= load_entities(self.database, conn, kind, some)
        for one in dwellers:
            entity = stored.get(one.entity)
            if entity and not entity.retired and self._stays_there(entity, one.way_back):
                self.inhabited |= {home for home in (entity.site, entity.client) if home}

    def _stays_there(self, entity: Entity, way_back: Change | None) -> bool:
        if way_back is None or "site" not in way_back.after:
            return True
        return "site" in check.differing(way_back, entity, self.owner)


def _may_stay(change: Change, undone: Change | None) -> bool:
    """Whether a step put somebody somewhere, and it is not sure that this is over."""
    if change.action is Action.CREATE:
        return undone is None
    return "site" in effects_of(change.action, change.after)


def _stays(change: Change, reason: str) -> Change:
    """A created entity that an undo must leave: said in the ledger, nothing changes."""
    return Change(
        change.kind,
        Action.LINK,
        change.entity,
        change.client,
        change.stream,
        change.key,
        f"it stays: {reason}",
        {},
        rule=UNDO,
    )
