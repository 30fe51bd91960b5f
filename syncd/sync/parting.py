"""PART: when two clients are parted again, nobody is left in one of them on a site of the other.

While they were one, people came to sites that go back, sites came for organizations that go back,
and people went to sites that stay. Who came to a site goes with it; who went to one stays there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from syncd.changes import MERGED, UNDO, Action, Change
from syncd.entities import Entity, Kind
from syncd.mapping.contributions import Contribution, Outsider
from syncd.mapping.hearing import others_of
from syncd.records import Location
from syncd.store import merges
from syncd.store.answers import short_labels
from syncd.store.database import Transaction
from syncd.store.entities import load_entities
from syncd.store.facts import StoreFacts
from syncd.sync.engine import Engine

MOST_TOLD = 20
"""Records that are told of."""
STAYED = "it went to a site that was never of that client"


@dataclass(slots=True)
class Parting:
    """The undo of one merge of two clients: `gone` comes out of `kept`, in which step `undone` put
    it; `sites` go back with it.
    """

    engine: Engine
    undone: int
    kept: UUID
    gone: UUID
    sites: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, engine: Engine, conn: Transaction, undone: int) -> Parting | None:
        """What must be parted; None where the step merged no clients."""
        merged = merges.clients_merged(conn, undone)
        if merged is None:
            return None
        gone, after = merged
        kept = UUID(hex=after[MERGED]["into"])
        return cls(engine, undone, kept, gone, set(merges.sites_moved(conn, undone)))

    def users_of(self, conn: Transaction, changes: Sequence[Change]) -> dict[UUID, Entity]:
        """The users of changes as they are now."""
        ids = [one.entity for one in changes if one.kind is Kind.USER]
        return load_entities(self.engine.database, conn, Kind.USER, ids)

    def stays(self, change: Change, stored: Entity | None) -> bool:
        """Whether a user whom the merge moved went to a site of the client that keeps it."""
        if change.kind is not Kind.USER or stored is None or stored.client != self.kept:
            return False
        moved_to = change.after.get("site")
        return stored.site not in self.sites and (stored.site and stored.site.hex) != moved_to

    def newcomers(self, conn: Transaction) -> Iterator[list[Change]]:
        """The changes of what came since, and goes: sites first, then who lives there, by page."""
        sites = self._newer_sites(conn)
        self.sites |= {one.id for one in sites}
        yield [self._goes(Kind.SITE, one.id, False, _FOR_ITS_ORGANIZATION) for one in sites]
        for site in sorted(self.sites):
            for page in merges.dwellers(conn, Kind.SITE, site, but_of=self.undone):
                yield [self._goes(Kind.USER, one.user, one.retired, _WITH_ITS_SITE) for one in page]

    def _goes(self, kind: Kind, entity: UUID, retired: bool, reason: str) -> Change:
        before: dict[str, Any] = {"client": self.kept.hex}
        after: dict[str, Any] = {"client": self.gone.hex}
        if retired:  # since it was merged itself; it stays so
            before["retired"] = after["retired"] = True
        return Change(
            kind, Action.UPDATE, entity, self.gone, "", "", reason, after, before, rule=UNDO
        )

    def _newer_sites(self, conn: Transaction) -> list[Entity]:
        """Sites of the client that all came for organizations of the one that goes."""
        database = self.engine.database
        back = merges.organizations_carried(conn, self.undone, self.gone)
        here = [
            one
            for one in merges.sites_of(database, conn, self.kept)
            if one.id not in self.sites and not one.retired
        ]
        if not here or not back:
            return []
        facts = StoreFacts(database, 0, 0, 0)
        with facts.joined(conn):
            outsider = Outsider(facts, self.engine.speaker)
            said = others_of(outsider, Kind.SITE, {one.id for one in here}, [])
        return [one for one in here if _all_name(said.get(one.id, ()), back)]


_FOR_ITS_ORGANIZATION = "undo: it came for an organization that is of the other client again"
_WITH_ITS_SITE = "undo: its site is one of the other client again"


def told_of(engine: Engine, conn: Transaction, found: Sequence[merges.Newcomer]) -> list[str]:
    """The notices of records that came to users who were two, and stay with those that stayed:
    nobody but a person knows whose they are.
    """
    names = short_labels(engine.database, conn, {one.user for one in found})
    told = [
        f"{one.key} of {one.connection} was matched with {names[one.user]} while that was two, and "
        f"stays there; if it is the other's: syncd review unlink {shlex.quote(one.key)} "
        f"--connection {one.connection}"
        for one in found[:MOST_TOLD]
    ]
    return [*told, "and there are more such records"] if len(found) > MOST_TOLD else told


def _all_name(said: Iterable[Contribution], organizations: set[tuple[int, str]]) -> bool:
    named = [
        (one.place[0], one.record.organization)
        for one in said
        if one.speaks and isinstance(one.record, Location)
    ]
    return bool(named) and organizations.issuperset(named)
