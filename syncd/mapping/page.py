"""One page of a plan while it is being made: the candidates on it and the decisions about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from syncd.changes import (
    OUT_OF_SCOPE,
    PERSON,
    RIVALS,
    Action,
    Change,
    Decisions,
    Effect,
    LinkFact,
    LinkState,
    LinkWrite,
    Notice,
    Quarantined,
    Word,
)
from syncd.entities import Entity, Kind, new_id
from syncd.mapping.clocks import Clock
from syncd.mapping.contributions import Contribution, Speakers
from syncd.mapping.fields import Rules
from syncd.mapping.items import Item
from syncd.mapping.mapped import Mapped
from syncd.mapping.match import NEW, Match
from syncd.mapping.so_far import SoFar
from syncd.mapping.values import Difference, Precedence
from syncd.mapping.view import Directory, Facts
from syncd.records import (
    Identity,
    License,
    Location,
    Membership,
    Organization,
    Person,
    Record,
    Subscription,
)

KIND_OF: dict[type[Record], Kind] = {
    Organization: Kind.CLIENT,
    Location: Kind.SITE,
    Person: Kind.USER,
    License: Kind.LICENSE,
    Subscription: Kind.SUBSCRIPTION,
    Membership: Kind.USER,
}
STREAM_OF: dict[type[Record], str] = {
    Organization: "organizations",
    Location: "locations",
    Person: "people",
    License: "licenses",
    Subscription: "subscriptions",
    Membership: "memberships",
}


class Spoken(NamedTuple):
    """A user, and what its records say."""

    user: Entity
    said: Sequence[Contribution]


@dataclass(slots=True)
class Candidate:
    """A record that was mapped, with the link it has, if any."""

    stream: str
    record: Record
    mapped: Mapped
    item: Item | None  # None: the record came inside another record's item
    link: LinkFact | None
    owner: str = ""
    word: Word | None = None
    """What a person said about it, where it is tied to nobody."""

    @property
    def key(self) -> str:
        return self.record.key


class Way(NamedTuple):
    """How a link stands, why, and where its clock is."""

    state: LinkState = LinkState.ALIVE
    note: str = ""
    clock: Clock | None = None


ALIVE = Way()


class Page:
    """The decisions of one page while they are being made."""

    def __init__(self) -> None:
        self.out = Decisions()
        self.held: set[Identity] = set()
        """Identities of people on the page that somebody has."""

    def change(self, change: Change) -> int:
        """Add a change; its place in the page."""
        self.out.changes.append(change)
        return len(self.out.changes) - 1

    def link(
        self,
        candidate: Candidate,
        entity: UUID | None,
        change: int = -1,
        *,
        way: Way = ALIVE,
        rule: str = "",
    ) -> int:
        """Write the candidate's link; its place in the page."""
        item, clock = candidate.item, way.clock
        if candidate.link is not None:
            self._compare_scope(candidate.link, candidate.mapped.in_scope)
        pinned = True if rule == PERSON else None
        if not rule and candidate.link is not None and candidate.link.entity == entity:
            rule = candidate.link.matched_by
        self.out.links.append(
            LinkWrite(
                candidate.stream,
                candidate.key,
                way.state,
                KIND_OF[type(candidate.record)],
                entity,
                rule,
                item.digest if item else None,
                item.raw if item else None,
                change,
                candidate.link is None,
                clock.misses if clock else 0,
                clock.since if clock else None,
                way.note,
                candidate.owner,
                clock.counted if clock else None,
                pinned=pinned,
            )
        )
        return len(self.out.links) - 1

    def _compare_scope(self, link: LinkFact, in_scope: bool) -> None:
        was_in_scope = link.note != OUT_OF_SCOPE
        if in_scope and not was_in_scope:
            self.out.joined_scope += 1
        elif was_in_scope and not in_scope and link.entity is not None:
            self.out.left_scope += 1

    def quarantine(
        self,
        candidate: Candidate,
        code: str,
        message: str,
        fields: tuple[str, ...] = (),
        suggestion: str = "",
    ) -> None:
        """Set the candidate aside, with a reason."""
        raw = candidate.item.raw if candidate.item else None
        self.out.quarantined.append(
            Quarantined(candidate.stream, candidate.key, code, message, fields, raw, suggestion)
        )

    def notices(self, candidate: Candidate) -> None:
        """Keep what the mapping wants a person to know about the candidate's values."""
        for notice in candidate.mapped.notices:
            self.out.notices.append(
                Notice(candidate.stream, candidate.key, notice.code, notice.field, notice.message)
            )


def _nobody(_connection: str) -> None:
    """No connection is configured but the one whose run it is."""


@dataclass(slots=True)
class Context:
    """What all planning of one step shares. `now`: seconds since the epoch, by the database.

    `speakers`: how other connections' stored items are understood. `partition`: the step's own.
    `retiring`: partitions whose records are gone by a person's word, whatever is stored of them.
    """

    rules: Rules
    facts: Facts
    precedence: Precedence
    now: float
    speakers: Speakers = _nobody
    partition: int = 0
    retiring: frozenset[int] = frozenset()
    so_far: SoFar = field(default_factory=SoFar)
    again: set[str] = field(default_factory=set)
    """Keys of people to be planned again although their records say nothing new."""
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By the person's key: the groups of those whose membership changes in this very plan."""
    directory: Directory = field(init=False)
    merged: dict[UUID, Spoken] | None = None
    """Users into whom others were merged; None as long as nobody asked."""

    def __post_init__(self) -> None:
        self.directory = Directory(self.facts)

    def latest(self, kind: Kind, ids: Collection[UUID]) -> dict[UUID, Entity]:
        """Stored entities as this plan leaves them."""
        return self.so_far.latest(self.facts.entities(kind, ids)) if ids else {}

    def remember(
        self, entity: Entity, page: Page, place: int | None, said: Contribution | None = None
    ) -> None:
        """Keep what a link of the page, and its change, say of an entity with several records."""
        if place is None or entity.id not in self.so_far.shared:
            return
        link = page.out.links[place]
        change = page.out.changes[link.change] if link.change >= 0 else None
        writer = self.precedence.connection
        self.so_far.add(entity, self.partition, link, change, writer, said)


def created_values(mapped: Mapped, rules_active: bool | None = None) -> dict[str, Any]:
    """Every value of a new entity; active unless the record says otherwise."""
    values: dict[str, Any] = dict(mapped.values)
    values.setdefault("active", True if rules_active is None else rules_active)
    return values


def update(
    candidate: Candidate, entity: Entity, diff: Difference, action: Action, reason: str
) -> Change:
    """A change of a stored entity."""
    return Change(
        entity.kind,
        action,
        entity.id,
        entity.id if entity.kind is Kind.CLIENT else entity.client,
        candidate.stream,
        candidate.key,
        reason,
        diff.after,
        diff.before,
        effects=diff.effects,
        base=entity,
    )


def creation(
    candidate: Candidate,
    client: UUID | None,
    values: dict[str, Any],
    reason: str,
    retired: Entity | None = None,
    match: Match = NEW,
    entity: UUID | None = None,
) -> Change:
    """A new entity (a client is its own), or a retired one that comes back as if it were new.
    `match` tells whom else it may be, or that a person wants it; `entity` its id, where that is not
    free.
    """
    kind, effects = KIND_OF[type(candidate.record)], 0
    before: dict[str, Any] = {}
    entity = retired.id if retired else entity or new_id()
    if retired:
        before = {"retired": True, **retired.values}
        values = {**dict.fromkeys(retired.values), **values, "retired": False}
        if client and client != retired.client:
            values["client"] = client.hex
        effects = int(Effect.REVIVES)
    elif match.rule == PERSON:
        effects = int(Effect.DECIDED)
    elif match.rivals:
        before[RIVALS] = [rival.hex for rival in match.rivals[:5]]
        effects = int(Effect.RECREATED)
    return Change(
        kind,
        Action.CREATE,
        entity,
        client or entity,
        candidate.stream,
        candidate.key,
        reason,
        values,
        before,
        effects=effects,
    )
