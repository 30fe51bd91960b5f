"""Who must be heard before anything can be decided about an entity.

Every record that is tied to it, as a rule. Most of the time the one that is planned is enough: it
stands before all others, it says what it owned, and it takes nobody away. What others say was
decided when they were planned; to read and map their items again would cost as much as this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

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


def together(
    work: Context, kind: Kind, pairs: Sequence[tuple[Entity, Contribution]]
) -> list[list[Contribution]]:
    """For each entity and the record of it that is planned: all that must be heard, that last."""
    own = [(mine.place[1], mine.place[2]) for _, mine in pairs]
    others = of_others(work, kind, {entity.id for entity, _ in pairs}, own)
    said = []
    for entity, mine in pairs:
        rest = others.get(entity.id, ())
        wanted = rest if rest and not _is_enough(work, entity, mine, rest) else ()
        said.append([*wanted, mine])
    _hear(work, kind, (one for some in said for one in some[:-1]))
    return said


def others_of(
    work: Listener, kind: Kind, ids: Collection[UUID], own: Iterable[tuple[str, str]]
) -> dict[UUID, list[Contribution]]:
    """All that other records say of entities."""
    others = of_others(work, kind, ids, own)
    _hear(work, kind, (one for some in others.values() for one in some))
    return others


def _hear(work: Listener, kind: Kind, said: Iterable[Contribution]) -> None:
    heard = [one.heard(kind) for one in said if one.item is not None]
    if kind is Kind.USER:
        find_homes(work, (one for one in heard if one.speaks))
    hush(work, kind, heard)


def _is_enough(
    work: Context, entity: Entity, mine: Contribution, others: Iterable[Contribution]
) -> bool:
    """Whether nothing that others say can change what is decided now."""
    order, kind, mapped = work.precedence, entity.kind, mine.mapped
    if mapped is None or mapped.cleared or order.has_orders_of(kind):
        return False
    first = order.rank(mine.connection, kind, "*")
    if any(
        one.state in LIVING and order.rank(one.connection, kind, "*") <= first for one in others
    ):
        return False
    if kind is Kind.USER:
        placed = mine.client and (mine.site or mapped.site_name)
        if not placed or not entity.active or leaving(mapped):
            return False
    return _says_what_it_owned(entity, mine)


def _says_what_it_owned(entity: Entity, mine: Contribution) -> bool:
    """Else the next one's value takes the place of what it does not say any more."""
    assert mine.mapped is not None
    said, rules = mine.mapped.values, mine.field_rules(entity.kind)
    if rules.when_create or rules.when_empty:
        return False
    default = entity.provenance.get("*")
    owned = entity.provenance.get
    return all(
        name in said or name == "active" or owned(name, default) != mine.connection
        for name in entity.values
    )
