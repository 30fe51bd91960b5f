"""What all sources say about one entity: each of its records, under its own connection's mapping.

A stored item is parsed and mapped again whenever somebody else's record of the same entity is
planned; nothing of it is stored twice, and an edited mapping counts at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol
from uuid import UUID

from syncd.changes import LinkState, Place, Tied
from syncd.entities import Entity, Kind
from syncd.mapping.casts import RecordRejected
from syncd.mapping.fields import KindRules, Rules
from syncd.mapping.fixed import RECORD_OF, FixedRules
from syncd.mapping.items import digests
from syncd.mapping.mapped import Mapped
from syncd.mapping.names import RECORDS
from syncd.mapping.so_far import SoFar
from syncd.mapping.view import Facts, SiteRef
from syncd.records import Membership, Person, Record, Reject

Parse = Callable[[bytes], "Sequence[Record | Reject]"]
_RECORDS = {**RECORDS, **RECORD_OF}

MEMBERSHIPS = "memberships"
LIVING = (LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING)
"""The states in which a record's last word still counts."""


class Speaker(NamedTuple):
    """How a connection's stored items are read, by stream, and what they mean; `meaning` is that as
    a part of digests.
    """

    parse: Mapping[str, Parse]
    rules: Rules
    meaning: bytes


Speakers = Callable[[str], "Speaker | None"]
"""The speaker for a connection; None where it is not configured, or not rightly."""


class Listener(Protocol):
    """Whoever wants to know what is said; `partition` is its own, 0 for none."""

    @property
    def facts(self) -> Facts: ...
    @property
    def speakers(self) -> Speakers: ...
    @property
    def partition(self) -> int: ...
    @property
    def so_far(self) -> SoFar: ...


@dataclass(frozen=True, slots=True)
class Outsider:
    """A listener to whom none of the records belongs: a person, or who asks for one."""

    facts: Facts
    speakers: Speakers
    partition: int = 0
    so_far: SoFar = field(default_factory=SoFar)


class Stored(NamedTuple):
    """A stored item that may be read: where it is, how it is understood, and as what the record
    in it was settled.
    """

    place: Place
    parse: Parse
    meaning: bytes
    digest: bytes | None
    parse_groups: Parse | None = None
    """How items of memberships are read, where the mapping names groups."""


@dataclass(slots=True)
class Contribution:
    """What one record says, or said, about its entity. `mapped` None: nobody can tell.

    `reason`: why its link is going or gone. `client`, `site`: where the record itself places a
    person. `item`: what is read and mapped if somebody wants to know what it says.
    """

    connection: str
    place: Place
    state: LinkState
    reason: str
    rules: Rules | None
    record: Record | None = None
    mapped: Mapped | None = None
    client: UUID | None = None
    site: SiteRef | None = None
    item: Stored | None = None
    entity: UUID | None = None
    silent: frozenset[str] = frozenset()
    """Fields that were taken back from what it says: see `hush`."""
    is_new: bool = False
    """Whether nothing was ever decided on its record."""

    @property
    def speaks(self) -> bool:
        """Whether its values count."""
        return self.mapped is not None and self.mapped.in_scope and self.state in LIVING

    def hear(self, kind: Kind, items: Mapping[Place, bytes]) -> None:
        """Understand its item, which is among these if there is one."""
        if self.item is not None and self.rules is not None and self.item.place in items:
            self.record = _record(
                self.item.parse(items[self.item.place]), _RECORDS[kind], self.place[2]
            )
            membership = items.get(self.membership) if self.membership else None
            if membership is not None and self.record is not None:
                groups = groups_told(self.item.parse_groups, membership)
                self.record = self.record.model_copy(update={"groups": groups})
            self.mapped = _mapped(self.rules, self.record)
        self.item = None

    @property
    def membership(self) -> Place | None:
        """Where it is kept which groups the person is in, if the mapping asks."""
        if self.item is None or self.item.parse_groups is None:
            return None
        return (self.place[0], MEMBERSHIPS, self.place[2])

    def was_decided(self, items: Mapping[Place, bytes]) -> bool:
        """Whether just what it says, as it is understood now, was decided on, and it said that its
        entity is to be here.
        """
        if self.item is None or self.state is not LinkState.ALIVE or self.reason:
            return False
        raw = items.get(self.item.place)
        return raw is not None and self.item.digest == digests(self.item.meaning, [raw])[0]

    def passing(self, kind: Kind) -> frozenset[str]:
        """The fields that it says something of at certain moments only."""
        return self.field_rules(kind).passing

    def field_rules(self, kind: Kind) -> KindRules | FixedRules:
        """The rules that made its values."""
        assert self.rules is not None
        return self.rules.of(kind)


def of_others(
    work: Listener, kind: Kind, ids: Collection[UUID], own: Iterable[tuple[str, str]]
) -> dict[UUID, list[Contribution]]:
    """The records of entities other than `own`, (stream, key) of this partition; not heard yet."""
    tied = work.facts.tied(kind, ids)
    if not tied:
        return {}
    here = Counter(one.entity for one in tied if one.partition == work.partition)
    work.so_far.shared |= {entity for entity, count in here.items() if count > 1}
    mine = set(own)
    found: dict[UUID, list[Contribution]] = defaultdict(list)
    for one in tied:
        if one.partition != work.partition or (one.stream, one.key) not in mine:
            tie, said = work.so_far.heard(one)
            found[one.entity].append(said or _of(work.speakers(one.connection), tie))
    return found


def find_homes(work: Listener, said: Iterable[Contribution]) -> None:
    """Look up the clients and sites that people's records of other partitions name."""
    people = [(one, one.record) for one in said if isinstance(one.record, Person)]
    wanted = {
        (one.place[0], stream, key)
        for one, person in people
        for stream, key in (
            ("organizations", person.organization),
            ("locations", person.location),
        )
        if key
    }
    if not wanted:
        return
    tied = work.facts.entities_of(wanted)
    sites = work.facts.entities(Kind.SITE, set(tied.values()))
    for one, person in people:
        partition = one.place[0]
        one.client = tied.get((partition, "organizations", person.organization or ""))
        home = sites.get(tied.get((partition, "locations", person.location or ""), UUID(int=0)))
        if home is not None and home.client is not None and not home.retired:
            one.site = SiteRef(home.id, home.client)


def hush(work: Listener, kind: Kind, heard: Iterable[Contribution]) -> None:
    """Where an undo took back fields of a record, its item stands as it came, and its own
    connection's next run plans it again. Until then it says of these fields what is there: its own
    values, the home of its user; and no word on who is active.
    """
    quiet = [one for one in heard if one.silent and one.mapped is not None]
    if not quiet:
        return
    stored = work.facts.entities(kind, {one.entity for one in quiet if one.entity})
    for one in quiet:
        if one.entity in stored:
            _hush(one, stored[one.entity])


def _hush(one: Contribution, entity: Entity) -> None:
    assert one.mapped is not None
    users = entity.kind is Kind.USER
    if users and "active" in one.silent and not one.mapped.in_scope:
        one.mapped = None  # nobody can tell
        return
    values = {name: value for name, value in one.mapped.values.items() if name not in one.silent}
    for name in one.silent - ({"active"} if users else set()):
        if name in entity.values and entity.owner(name) == one.connection:
            values[name] = entity.values[name]
    cleared = tuple(name for name in one.mapped.cleared if name not in one.silent)
    named = None if "site" in one.silent else one.mapped.site_name
    one.mapped = replace(one.mapped, values=values, cleared=cleared, site_name=named)
    if "client" in one.silent:
        one.client = entity.client
    if "site" in one.silent and entity.site and entity.client:
        one.site = SiteRef(entity.site, entity.client)


def _of(speaker: Speaker | None, tie: Tied) -> Contribution:
    stream, key = tie.holder
    item = None
    if speaker and tie.state in LIVING and (parse := speaker.parse.get(stream)):
        groups = speaker.parse.get(MEMBERSHIPS) if speaker.rules.mapping.user.groups else None
        groups = groups if tie.stream == "people" else None
        item = Stored((tie.partition, stream, key), parse, speaker.meaning, tie.digest, groups)
    return Contribution(
        tie.connection,
        (tie.partition, tie.stream, tie.key),
        tie.state,
        tie.note,
        speaker.rules if speaker else None,
        item=item,
        entity=tie.entity,
        silent=tie.silent,
    )


def _record(found: Sequence[Record | Reject], wanted: type[Record], key: str) -> Record | None:
    for one in found:
        if isinstance(one, wanted) and one.key == key:
            return one
    return None


def groups_told(parse: Parse | None, raw: bytes) -> tuple[str, ...]:
    """The groups that a stored item of memberships tells."""
    found = parse(raw) if parse else ()
    return next((one.groups for one in found if isinstance(one, Membership)), ())


def _mapped(rules: Rules, record: Record | None) -> Mapped | None:
    try:
        return rules.said(record) if record is not None else None
    except RecordRejected:
        return None
