"""What this very plan already says of entities that have several records in its partition.

A merge leaves an entity with two records of one source. They are planned one after the other, as if
each had come in a run of its own: the second finds the entity as the first leaves it, and hears
what the first says by now. Nobody else needs a memory, and it holds nobody else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from syncd.changes import (
    Change,
    LinkState,
    LinkWrite,
    Place,
    Tied,
    gained_identities,
    given_licenses,
    in_force,
    released_licenses,
)
from syncd.entities import Entity
from syncd.records import Identity

if TYPE_CHECKING:
    from syncd.mapping.contributions import Contribution

T = TypeVar("T")


@dataclass(slots=True)
class SoFar:
    """`shared`: the entities that have several records here, as far as anybody asked."""

    shared: set[UUID] = field(default_factory=set)
    entities: dict[UUID, Entity] = field(default_factory=dict)
    said: dict[Place, Contribution] = field(default_factory=dict)
    turned: dict[Place, tuple[LinkState, str]] = field(default_factory=dict)
    """State and note of links whose record did not speak."""
    gained: dict[UUID, set[Identity]] = field(default_factory=lambda: defaultdict(set))
    """Identities that the plan gives to them."""
    licensed: dict[UUID, Counter[str]] = field(default_factory=dict)
    """Licenses by pool (hex) that the plan gives to them, negative where it takes them."""

    def latest(self, stored: Mapping[UUID, Entity]) -> dict[UUID, Entity]:
        """The entities as this plan leaves them."""
        return {one: self.entities.get(one, entity) for one, entity in stored.items()}

    def holding(self, user: UUID, stored: list[list[Any]]) -> list[list[Any]]:
        """The licenses of a user as this plan leaves them."""
        if user not in self.licensed:
            return stored
        counts = Counter(dict(stored))
        counts.update(self.licensed[user])
        return [[pool, count] for pool, count in sorted(counts.items()) if count > 0]

    def heard(self, tie: Tied) -> tuple[Tied, Contribution | None]:
        """A record's link, and what the record says if this plan knows that already."""
        if not self.turned:  # most plans, all the time
            return tie, None
        place = (tie.partition, tie.stream, tie.key)
        if turned := self.turned.get(place):
            tie = tie._replace(state=turned[0], note=turned[1])
        return tie, self.said.get(place)

    def add(
        self,
        entity: Entity,
        partition: int,
        link: LinkWrite,
        change: Change | None,
        writer: str,
        said: Contribution | None = None,
    ) -> None:
        """Remember a decision on one record: its link, its change, and what it says if it is there.
        `entity`: as it was decided on.
        """
        if entity.id not in self.shared:
            return
        place = (partition, link.stream, link.key)
        self.turned[place] = (LinkState(link.state), link.note)
        self.said.pop(place, None)
        if said is not None:
            said.state, said.reason = self.turned[place]
            self.said[place] = said
        if change is not None:
            self.entities[entity.id] = in_force(entity, change.after, writer)
            self.gained[entity.id] |= {Identity(*one) for one in gained_identities(change)}
            self._book(change)

    def _book(self, change: Change) -> None:
        """Counters of a user are replaced and never changed: a trial keeps the old ones."""
        moved = Counter({pool: count for pool, count, *_ in given_licenses(change)})
        moved.subtract(dict(released_licenses(change)))
        if moved:
            moved.update(self.licensed.get(change.entity, {}))
            self.licensed[change.entity] = moved

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Forget afterwards what is added within: it was only asked what would be."""
        kept = {name: copy(getattr(self, name)) for name in _KEPT}
        gained = {one: set(identities) for one, identities in self.gained.items()}
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(self, name, value)
            self.gained = defaultdict(set, gained)


_KEPT = ("entities", "said", "turned", "licensed")


def rounds(
    records: Iterable[T], of: Callable[[T], Hashable], key: Callable[[T], Hashable]
) -> Sequence[Sequence[T]]:
    """The records in turns, so that no two of one entity are planned together. `of` tells a
    record's entity, `key` the record itself: one that comes twice stays in its turn.
    """
    turns: list[list[T]] = []
    places: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    for record in records:
        known = places[of(record)]
        at = known.setdefault(key(record), len(known))
        while at >= len(turns):
            turns.append([])
        turns[at].append(record)
    return turns
