"""UNTIE: what a record that a person unlinks takes with it of what it gave.

Its values go back to what the other sources say together; what none of them says, to what stood
there before this record gave its own. What it created stays as it is: nobody else knows any better.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from syncd.changes import OWNERS
from syncd.entities import Entity, Kind
from syncd.mapping.contributions import Contribution
from syncd.mapping.hearing import others_of
from syncd.mapping.homes import Known, set_home, with_homes
from syncd.mapping.licenses import NOTHING, Shift, shifts
from syncd.mapping.page import Page
from syncd.mapping.values import Difference, difference
from syncd.mapping.view import ClientRef
from syncd.records import Identity, Person
from syncd.store import answers_review
from syncd.store.gifts import Before, before_record
from syncd.sync.step import Step


class Untied(NamedTuple):
    """What a record takes with it."""

    diff: Difference
    identities: list[list[str]]


@dataclass(slots=True)
class Untying:
    """Records of one stream that a person unlinks; by key whom each is tied to."""

    step: Step
    kind: Kind
    stream: str
    tied: Mapping[str, Entity]
    page: Page = field(default_factory=Page)
    """What must be made for that: the site of a client that has none."""

    def by_key(self) -> dict[str, Untied]:
        """What goes with each record; of two of one entity it is the first that takes it."""
        untied = [(self.stream, key) for key in self.tied]
        ids = {one.id for one in self.tied.values()}
        said = others_of(self.step.context, self.kind, ids, untied)
        found = {}
        for key, entity in self.tied.items():
            if entity.id in ids:
                ids.remove(entity.id)
                others = said.get(entity.id, [])
                given = self._identities(entity.id, others)
                diff = self._values(key, entity, others)
                self._licenses(key, entity, others).add_to(diff)
                found[key] = Untied(diff, given)
        return found

    def _values(self, key: str, entity: Entity, others: Sequence[Contribution]) -> Difference:
        work, diff = self.step.context, Difference()
        if any(one.speaks for one in others):
            diff = difference(entity, others, work.precedence)
            if self.kind is Kind.USER:
                (known,) = with_homes(work, [(entity, others)])
                set_home(work, known, self.page, diff)
        left = self._left(entity, others, diff)
        conn, partition = self.step.facts.conn, self.step.lease.partition
        before = before_record(conn, partition, entity.id, (self.stream, key), left)
        _give_back(diff, entity, before)
        return diff

    def _left(
        self, entity: Entity, others: Sequence[Contribution], diff: Difference
    ) -> Collection[str]:
        """The fields that are still this connection's, and that no other record of it says."""
        mine = self.step.connection
        said = {
            name
            for one in others
            if one.connection == mine and one.speaks and one.mapped
            for name in one.mapped.values
        }
        changed = {*diff.after, *diff.after.get(OWNERS, ()), *said, "active"}
        return {
            name
            for name in entity.values
            if name not in changed and name not in entity.overrides and entity.owner(name) == mine
        }

    def _licenses(self, key: str, entity: Entity, others: Sequence[Contribution]) -> Shift:
        """Those that this connection gave to a user go, but for those that another record of it
        says.
        """
        if self.kind is not Kind.USER or entity.client is None:
            return NOTHING
        user = Known(entity, others, ClientRef(entity.client, ""))
        withdrawn = self._providers(key)
        return shifts(self.step.context, [user], withdrawn).get(entity.id, NOTHING)

    def _providers(self, key: str) -> set[str]:
        """Of whose licenses the record may tell."""
        mine = self.step.connection
        speaker = self.step.context.speakers(mine)
        parse = speaker.parse.get(self.stream) if speaker else None
        raws = self.step.facts.raws(self.stream, [key]).values() if parse else ()
        said = [record for raw in raws for record in parse(raw)] if parse else []
        named = {one.license_provider for one in said if isinstance(one, Person)}
        return {mine, *(provider for provider in named if provider)}

    def _identities(self, user: UUID, others: Sequence[Contribution]) -> list[list[str]]:
        """Those that this connection gave to a user, without those that another record of it says:
        who was merged may have two.
        """
        if self.kind is not Kind.USER:
            return []
        mine = self.step.connection
        said = {
            identity
            for one in others
            if one.connection == mine and isinstance(one.record, Person)
            for identity in one.record.identities
        }
        found = answers_review.identities_from(self.step.facts.conn, user, mine)
        return [pair for pair in found if Identity(*pair) not in said]


def _give_back(diff: Difference, entity: Entity, before: Mapping[str, Before]) -> None:
    """Add the values that stood there before, each with its owner."""
    owners = dict(diff.after.get(OWNERS, {}))
    for name, (value, owner) in before.items():
        diff.set(name, entity.values[name], value)
        if owner is not None and value is not None:
            owners[name] = owner
    diff.note_owners({}, owners)
