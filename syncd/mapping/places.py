"""What clients, sites and users have in common when their records are planned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from syncd.changes import LEFT_BEHIND, Action, LinkState
from syncd.entities import Entity, Kind
from syncd.mapping.contributions import Contribution
from syncd.mapping.hearing import leaves_values, together
from syncd.mapping.match import NEW, Match
from syncd.mapping.page import ALIVE, Candidate, Context, Page, Way, update
from syncd.mapping.so_far import rounds
from syncd.mapping.values import difference


class Newcomer(NamedTuple):
    """A record that is tied to nothing that we keep; `retired`: what it was tied to."""

    one: Candidate
    retired: Entity | None


def sort_out(
    candidates: Iterable[Candidate], stored: Mapping[UUID, Entity]
) -> tuple[list[Newcomer], list[tuple[Candidate, Entity]]]:
    """Newcomers, and the records of what we keep. What is tied to something retired looks anew: in
    the meantime another source may have made what it belongs to. So does what a person spoke about.
    """
    newcomers, known = [], []
    for one in candidates:
        entity = stored.get(one.link.entity) if one.link and one.link.entity else None
        retired = entity if entity and entity.retired else None
        if entity is None or retired or one.word:
            newcomers.append(Newcomer(one, retired))
        else:
            known.append((one, entity))
    return newcomers, known


def in_turn(
    work: Context, known: Sequence[tuple[Candidate, Entity]]
) -> Iterator[list[tuple[Candidate, Entity]]]:
    """Records of what we keep, in turns in which no two are of one entity; each turn comes with the
    entities as the turns before it leave them.
    """
    turns = rounds(
        known, of=lambda pair: pair[1].id, key=lambda pair: (pair[0].stream, pair[0].key)
    )
    for turn in turns:
        yield [(one, work.so_far.entities.get(entity.id, entity)) for one, entity in turn]


def contribution(work: Context, one: Candidate) -> Contribution:
    """What the record that is being planned says."""
    return Contribution(
        work.precedence.connection,
        (work.partition, one.stream, one.key),
        LinkState.ALIVE,
        "",
        work.rules,
        one.record,
        one.mapped,
        is_new=one.link is None,
    )


def way_of(entity: Entity, mine: Contribution) -> Way:
    """The link of a record that is there; the record itself is heard without its entity's others
    only where it leaves nothing behind.
    """
    return Way(note=LEFT_BEHIND) if leaves_values(entity, mine) else ALIVE


def said_of(
    work: Context, kind: Kind, pairs: Sequence[tuple[Candidate, Entity]]
) -> dict[str, list[Contribution]]:
    """All that is said of the clients or sites that records belong to, by the record's key."""
    said = together(work, kind, [(entity, contribution(work, one)) for one, entity in pairs])
    return {one.key: all_said for (one, _), all_said in zip(pairs, said, strict=True)}


def update_place(
    work: Context,
    one: Candidate,
    entity: Entity,
    said: Sequence[Contribution],
    page: Page,
    match: Match = NEW,
) -> int:
    """Decide on the record of a stored client or site; the place of its link. `said` ends with what
    the record says itself.
    """
    rule = match.rule
    diff = difference(entity, said, work.precedence)
    came_back = one.link is not None and one.link.state in (LinkState.MISSED, LinkState.GONE)
    change = -1
    if diff or rule or came_back:
        action = Action.UPDATE if diff else Action.LINK
        sentence = "it is back in the source" if came_back else "the source says so"
        made = update(one, entity, diff, action, match.reason if rule else sentence)
        made.rule = rule
        change = page.change(made)
    place = page.link(one, entity.id, change, way=way_of(entity, said[-1]), rule=rule)
    work.remember(entity, page, place, said[-1])
    return place
