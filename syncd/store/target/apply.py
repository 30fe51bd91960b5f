"""Applying a page of a stored plan in one transaction: entities, identities, links and items.

Each change is checked against its before-image first; one that no longer holds is left out, marked
stale, and its link is planned again by the next run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import UNDO, Action, Change, LinkWrite, creates, in_force
from syncd.entities import Entity, Kind
from syncd.failpoints import reach
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.drafted import Body, DraftPage
from syncd.store.entities import load_entities
from syncd.store.facts import StoreFacts
from syncd.store.target import (
    check,
    edits,
    identities,
    licenses,
    locks,
    merging,
    rows,
    since,
    words,
)
from syncd.store.target.records import Records


@dataclass(slots=True)
class Target:
    """Where one step writes. `partition` is None for local edits, which have no links.

    `careful`: others may have written since the plan was made, so creations are checked as well,
    and whether another source has something new to say of an entity.
    """

    database: Database
    step: int
    run: int
    partition: int | None
    connection: str
    rules: check.Rules
    careful: bool = False
    withheld: set[UUID] = field(default_factory=set)
    """Entities whose creation was found stale: nothing may refer to them."""

    def apply(self, conn: Connection, page: DraftPage, facts: StoreFacts | None) -> int:
        """Write one page; how many of its changes were stale."""
        changes = self._load(conn, page)
        if changes:
            page.body.updates = {}  # they are made anew, of what is stored by now
        reach("apply.batch.loaded")
        locks.take(self.database, conn, changes, page.body, careful=self.careful)
        spoken_of, edited = self._news_of(page.body.links, facts)
        stored = _stored(self.database, conn, changes)
        trimmed, broken, retold = self._broken(changes, stored)
        broken |= check.overheard(changes, spoken_of)
        broken |= self._overtaken(conn, changes, page.body)
        broken |= words.overtaken(self.database, conn, self.partition, changes)
        broken |= licenses.made_meanwhile(self.database, conn, page.body.creations)
        stale = self._stale(changes, broken, facts)
        page.body.without(stale)
        self._load_doubtful(conn, page, changes)
        shortened = self._trim_identities(conn, changes, stale, trimmed)
        licenses.check(self.database, conn, changes, stale, trimmed)
        identified = identities.left(page.body.identities, changes, shortened)
        reach("apply.batch.writing")
        self._create(conn, page.body.creations)
        for kind, ready in page.body.updates.items():
            bulk.update(self.database, conn, t.TABLE_OF[kind], ready.columns, ready.rows)
        self._entities(conn, changes, stored, stale, identified)
        merging.write(self.database, conn, self.step, page.first_seq, changes, stale)
        done = [change for at, change in enumerate(changes) if at not in stale]
        booking = licenses.Booking(self.database, conn, self.step, self.connection, stored)
        booking.write(done, page.body)
        reach("apply.batch.entities")
        records = Records(self.database, conn, self.step, self.partition)
        records.write_links(_unsettled(page.body.links, shortened, spoken_of | edited), stale)
        news = [one for at, one in enumerate(changes) if at not in stale and _is_news_to_all(one)]
        edits.unsettle(self.database, conn, [one.entity for one in news])
        reach("apply.batch.links")
        records.write_quarantine(page.body)
        words.write(self.database, conn, self.step, self.partition, changes, stale)
        self._mark_stale(conn, page.first_seq, stale)
        self._mark_trimmed(conn, page.first_seq, changes, trimmed, "partly")
        self._mark_trimmed(conn, page.first_seq, changes, shortened, None)
        self._retell(conn, page.first_seq, changes, retold)
        reach("apply.batch.written")
        return len(stale) + len(trimmed)

    def _load(self, conn: Connection, page: DraftPage) -> list[Change]:
        """The page's changes in order; none where all of them are ready to be written and nothing
        can speak against them. Creations are only loaded where something may.
        """
        suspect = self.careful or bool(self.withheld)
        if not suspect and page.body.ready == page.next_seq - page.first_seq:
            return []
        first, end = page.first_seq, page.next_seq
        return load_changes(self.database, conn, self.step, first, end, creations=suspect)

    def _load_doubtful(self, conn: Connection, page: DraftPage, changes: list[Change]) -> None:
        """Load creations, too, that give an identity which they may not be able to give by now."""
        database, first = self.database, page.first_seq
        doubtful = identities.doubtful(database, conn, changes, page.body.identities)
        if doubtful and not changes:
            changes += [check.DROPPED] * (page.next_seq - first)
        for at in doubtful:
            found = load_changes(
                database, conn, self.step, first + at, first + at + 1, creations=True
            )
            changes[at] = found[0]

    # -- checks ------------------------------------------------------------------------------------

    def _news_of(
        self, links: Sequence[LinkWrite], facts: StoreFacts | None
    ) -> tuple[set[UUID], set[UUID]]:
        """Entities of which another source says something that the plan did not know; and those
        that a person edited: whatever a record says was decided without knowing that.
        """
        if not self.careful or facts is None:
            return set(), set()
        ids = {one.entity for one in links if one.entity}
        return facts.spoken_of_since(ids, self.run), facts.edited_since(ids, self.run)

    def _broken(
        self, changes: Sequence[Change], stored: dict[UUID, Entity]
    ) -> tuple[dict[int, str], dict[int, str], set[int]]:
        """Places of undoing changes that were trimmed, and of changes that do not fit, each with
        why; and of those that say now what they take back in fact. Each of several changes of one
        entity is compared with what those before it leave.
        """
        trimmed: dict[int, str] = {}
        broken: dict[int, str] = {}
        retold: set[int] = set()
        here, turns = dict(stored), check.in_turn(changes)
        for turn in turns:
            trimmed |= check.trim_undoing(turn, here, self.connection)
            broken |= check.broken_updates(turn, here, self.connection)
            retold.update(check.retold(turn, here, broken))
            for place, one in enumerate(turn if len(turns) > 1 else ()):
                if place not in broken and one.entity in here and one.action is not Action.DECIDE:
                    here[one.entity] = in_force(here[one.entity], one.after, self.connection)
        return trimmed, broken, retold

    def _overtaken(self, conn: Connection, changes: Sequence[Change], body: Body) -> dict[int, str]:
        """Places of changes that others overtook who merged or retired somebody; links that were
        tied to another one meanwhile are taken out of the page.
        """
        if not self.careful:
            return {}
        torn = since.torn(self.database, conn, self.partition, body.links)
        why = "its record is tied to another one by now"
        stale = {body.links[at].change: why for at in torn if body.links[at].change >= 0}
        body.links = [one for at, one in enumerate(body.links) if at not in torn]
        return stale | since.homeless(self.database, conn, changes)

    def _stale(
        self, changes: Sequence[Change], broken: dict[int, str], facts: StoreFacts | None
    ) -> dict[int, str]:
        """Places of changes to leave out, those that are `broken` and what goes with them."""
        stale = dict(broken)
        if self.careful and facts is not None:
            stale.update(check.taken_keys(changes, self.rules, facts))
        for place, change in enumerate(changes):
            site = change.after.get("site")
            if change.client in self.withheld or (site and UUID(hex=site) in self.withheld):
                stale.setdefault(place, "what it belongs to could not be created")
            if place in stale and creates(change):
                self.withheld.add(change.entity)
        return stale | check.after_stale(changes, stale)

    def _trim_identities(
        self,
        conn: Connection,
        changes: Sequence[Change],
        stale: dict[int, str],
        trimmed: dict[int, str],
    ) -> dict[int, str]:
        """Leave out identities that came to others meanwhile: what then changes nothing is stale,
        what undoes less is trimmed. The rest is returned: it is done, and so can be undone.
        """
        shortened = {}
        for place, why in identities.trim(self.database, conn, changes, stale).items():
            if not changes[place].after:
                stale[place] = why
            elif changes[place].rule == UNDO:
                trimmed[place] = f"{trimmed[place]}; {why}" if place in trimmed else why
            else:
                shortened[place] = why
        return shortened

    def _mark_stale(self, conn: Connection, first: int, stale: dict[int, str]) -> None:
        c = t.change.c
        for place, why in stale.items():
            conn.execute(
                sa.update(t.change)
                .where(c.step_id == self.step, c.seq == first + place)
                .values(outcome="stale", reason=c.reason + "; left out: " + why)
            )

    def _mark_trimmed(
        self,
        conn: Connection,
        first: int,
        changes: Sequence[Change],
        trimmed: dict[int, str],
        outcome: str | None,
    ) -> None:
        c = t.change.c
        for place, why in trimmed.items():
            one = changes[place]
            reason = f"{one.reason}; left out: {why}"
            conn.execute(
                sa.update(t.change)
                .where(c.step_id == self.step, c.seq == first + place)
                .values(outcome=outcome, reason=reason, before=one.before, after=one.after)
            )

    def _retell(
        self, conn: Connection, first: int, changes: Sequence[Change], places: Collection[int]
    ) -> None:
        c = t.change.c
        for place in places:
            conn.execute(
                sa.update(t.change)
                .where(c.step_id == self.step, c.seq == first + place)
                .values(before=changes[place].before)
            )

    # -- entities ----------------------------------------------------------------------------------

    def _create(self, conn: Connection, creations: dict[Kind, list[list[Any]]]) -> None:
        for kind in Kind:
            columns = ("id", *rows.COLUMNS[kind])
            given = [row[1:] for row in creations.get(kind, ())]
            bulk.insert(self.database, conn, t.TABLE_OF[kind], columns, given)

    def _entities(
        self,
        conn: Connection,
        changes: Sequence[Change],
        stored: dict[UUID, Entity],
        stale: dict[int, str],
        born_with: Sequence[tuple[int, str, str, Any]],
    ) -> None:
        due = [
            change
            for place, change in enumerate(changes)
            if place not in stale and change.after and not creates(change)
        ]
        valued = [one for one in due if one.action is not Action.DECIDE]
        for kind in Kind:
            self._update(conn, kind, [one for one in valued if one.kind is kind], stored)
        concerned = [one for one in due if "identities" in one.after or "identities" in one.before]
        identities.write(self.database, conn, concerned, born_with, self.connection)

    def _update(
        self,
        conn: Connection,
        kind: Kind,
        changes: Sequence[Change],
        stored: dict[UUID, Entity],
    ) -> None:
        if not changes:
            return
        left = rows.left_by(changes, stored, self.connection)
        packed = self.database.dialect == "sqlite"
        columns, values = rows.updated(kind, changes, left, packed=packed)
        bulk.update(self.database, conn, t.TABLE_OF[kind], columns, values)


_KINDS = {kind.value: kind for kind in Kind}
_ACTIONS = {action.value: action for action in Action}


def load_changes(
    database: Database, conn: Connection, step: int, first: int, end: int, *, creations: bool
) -> list[Change]:
    """The changes of a step with first <= seq < end, each at its place; `creations`: those too."""
    found = [check.DROPPED] * (end - first)
    for row in bulk.select_changes(database, conn, step, first, end, creations=creations):
        found[row[11] - first] = Change(_KINDS[row[0]], _ACTIONS[row[1]], *row[2:])
    return found


def _stored(database: Database, conn: Connection, changes: Sequence[Change]) -> dict[UUID, Entity]:
    wanted: dict[Kind, set[UUID]] = defaultdict(set)
    for change in changes:
        if not creates(change) and change is not check.DROPPED:
            wanted[change.kind].add(change.entity)
    stored: dict[UUID, Entity] = {}
    for kind, ids in wanted.items():
        stored.update(load_entities(database, conn, kind, ids))
    return stored


def _is_news_to_all(change: Change) -> bool:
    """Whether the records of an entity are to be planned again, whatever they say: something that
    they were decided on was taken back.
    """
    if change.action is Action.UNLINK:
        return True
    return change.rule == UNDO and bool(change.after) and change.action is not Action.DECIDE


def _unsettled(
    links: list[LinkWrite], changes: Collection[int], entities: Collection[UUID]
) -> list[LinkWrite]:
    """The links, those of the changes at these places, and of these entities, to be looked at again
    by the next run.
    """
    if not changes and not entities:
        return links
    return [
        one._replace(digest=None) if one.change in changes or one.entity in entities else one
        for one in links
    ]
