"""Who must be heard before anything can be decided about an entity.

Every record that is tied to it, as a rule. Most of the time the one that is planned is enough: what
others say was decided when they were planned, and to map their items again would cost as much as
this one. So it is where it stands before all others, says what it owned, and takes nobody away; and
where just what the others' items say, as they are understood now, was decided on, so that each
value that is not this one's is its owner's still. A record that leaves a value behind, which it
gave and does not say any more, has a note on its link: such a value stands against nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from syncd import keys
from syncd.changes import Place
from syncd.entities import Entity, Kind
from syncd.mapping.active import leaving
from syncd.mapping.contributions import (
    LIVING,
    Contribution,
    Listener,
    find_homes,
    hush,
    of_others,
)
from syncd.mapping.page import Context
from syncd.records import Person

Items = Mapping[Place, bytes]


def together(
    work: Context, kind: Kind, pairs: Sequence[tuple[Entity, Contribution]]
) -> list[list[Contribution]]:
    """For each entity and the record of it that is planned: all that must be heard, that last."""
    own = [(mine.place[1], mine.place[2]) for _, mine in pairs]
    others = of_others(work, kind, {entity.id for entity, _ in pairs}, own)
    if not others:
        return [[mine] for _, mine in pairs]
    said: list[list[Contribution]] = []
    ordinary = []
    for at, (entity, mine) in enumerate(pairs):
        rest = others.get(entity.id) or ()
        if rest and _is_ordinary(work, entity, mine):
            if _is_first(work, entity, mine, rest):
                rest = ()
            else:
                ordinary.append(at)
        said.append([*rest, mine])
    items = _items(work, (one for some in said for one in some[:-1]))
    for at in ordinary:
        entity, mine = pairs[at]
        if counting := _counting(work, entity, mine, said[at][:-1], items):
            said[at] = [counting]
    _hear(work, kind, [one for some in said for one in some[:-1]], items)
    return said


def others_of(
    work: Listener, kind: Kind, ids: Collection[UUID], own: Iterable[tuple[str, str]]
) -> dict[UUID, list[Contribution]]:
    """All that other records say of entities."""
    others = of_others(work, kind, ids, own)
    said = [one for some in others.values() for one in some]
    _hear(work, kind, said, _items(work, said))
    return others


def _items(work: Listener, said: Iterable[Contribution]) -> Items:
    heard = [one for one in said if one.item]
    places = {one.item.place for one in heard if one.item}
    return work.facts.items(places | {one.membership for one in heard if one.membership})


def _hear(work: Listener, kind: Kind, said: Iterable[Contribution], items: Items) -> None:
    heard = [one for one in said if one.item]
    for one in heard:
        one.hear(kind, items)
    if kind is Kind.USER:
        find_homes(work, (one for one in heard if one.speaks))
    hush(work, kind, heard)


def _is_first(
    work: Context, entity: Entity, mine: Contribution, others: Iterable[Contribution]
) -> bool:
    """Whether an ordinary record stands before all others, so that nothing they say can change
    anything.
    """
    order, kind = work.precedence, entity.kind
    first = order.rank(mine.connection, kind, "*")
    if any(
        one.state in LIVING and order.rank(one.connection, kind, "*") <= first for one in others
    ):
        return False
    return kind is not Kind.USER or _is_placed(entity, mine) or _lives_there(entity, mine)


def _is_placed(entity: Entity, mine: Contribution) -> bool:
    """Whether a person's record surely tells a site of the client that it names."""
    assert mine.mapped is not None
    assert mine.rules is not None
    if mine.client is None or "client" in entity.overrides:
        return False
    if mine.site:
        return mine.site.client == mine.client
    name = mine.mapped.site_name
    return bool(name and keys.key(Kind.SITE, "name", name)) and mine.rules.mapping.site.create


def _counting(
    work: Context,
    entity: Entity,
    mine: Contribution,
    others: Iterable[Contribution],
    items: Items,
) -> Contribution | None:
    """What counts of an ordinary record where all that others say was decided on; None where that
    was not.
    """
    if not _lives_there(entity, mine):
        return None
    living = [one for one in others if one.state in LIVING]
    if any(one.connection == mine.connection or not one.was_decided(items) for one in living):
        return None
    assert mine.mapped is not None
    order, kind, said = work.precedence, entity.kind, mine.mapped.values
    first = order.rank(mine.connection, kind, "*")
    before = {
        one.connection: one.passing(kind)
        for one in living
        if order.rank(one.connection, kind, "*") < first
    }
    owner, here = entity.owner, entity.values
    outdone = {name for name in said if name in here and owner(name) in before}
    if any(before.values()) and any(name in before[owner(name) or ""] for name in outdone):
        return None
    if kind is Kind.USER:
        outdone.discard("active")  # decided apart, by all who are heard
    if not outdone:
        return mine
    left = {name: value for name, value in said.items() if name not in outdone}
    return replace(mine, mapped=replace(mine.mapped, values=left))


def _is_ordinary(work: Context, entity: Entity, mine: Contribution) -> bool:
    """Whether a record takes away neither a user nor a value, under one order for all fields."""
    mapped, kind = mine.mapped, entity.kind
    if mapped is None or mapped.cleared or work.precedence.has_orders_of(kind):
        return False
    if kind is Kind.USER and (not entity.active or leaving(mapped)):
        return False
    if isinstance(mine.record, Person) and mine.record.license_provider:
        return False  # another source may tell of the same licenses, and stand before this one
    return _says_what_it_owned(entity, mine)


def _lives_there(entity: Entity, mine: Contribution) -> bool:
    """Whether a person's record names just the home that the user has; or, a record that never
    named any before, the client alone.
    """
    if entity.kind is not Kind.USER:
        return True
    if mine.client != entity.client:
        return False
    if mine.site:
        return mine.site.id == entity.site
    assert mine.mapped is not None
    assert mine.rules is not None
    guesses = mine.mapped.site_name or mine.rules.mapping.site.by_email_domain
    return mine.is_new and not guesses


def _says_what_it_owned(entity: Entity, mine: Contribution) -> bool:
    """Else the next one's value takes the place of what it does not say any more."""
    return not mine.passing(entity.kind) and not leaves_values(entity, mine)


def leaves_values(entity: Entity, mine: Contribution) -> bool:
    """Whether a record does not say, or not any more, what its connection gave to the entity."""
    assert mine.mapped is not None
    if mine.connection not in entity.provenance.values():
        return False
    said, owned = mine.mapped.values, entity.provenance.get
    default = owned("*")
    return any(
        name not in said and name != "active" and owned(name, default) == mine.connection
        for name in entity.values
    )
