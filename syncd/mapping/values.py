"""Whose value stands: what all records of an entity say together, field by field."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncd.changes import OWNERS, Effect
from syncd.entities import KEY_FIELDS, Entity, Kind
from syncd.mapping.contributions import Contribution

Rank = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Precedence:
    """Whose value stands when several connections give one: earlier in the list wins.

    `orders` maps "default" or "user.phone" to connection names; unlisted connections come after
    the listed ones, in the order of `seniority`: the one that was used first before the others.
    """

    connection: str
    """The one whose run it is."""
    orders: Mapping[str, Sequence[str]]
    seniority: Mapping[str, int] = field(default_factory=dict)

    def rank(self, connection: str | None, kind: Kind, name: str) -> Rank:
        """Lower ranks win."""
        order = self.orders.get(f"{kind}.{name}") or self.orders.get("default", ())
        if connection in order:
            return (0, order.index(connection))
        return (1, self.seniority.get(connection or "", sys.maxsize))

    def ordered(
        self, said: Sequence[Contribution], kind: Kind, name: str = "*"
    ) -> Sequence[Contribution]:
        """Contributions, the one whose value stands first; two of one connection by their place."""
        if len(said) < 2:
            return said
        return sorted(said, key=lambda one: (self.rank(one.connection, kind, name), one.place))

    def has_own_order(self, kind: Kind, name: str) -> bool:
        """Whether the field has an order of its own."""
        return f"{kind}.{name}" in self.orders

    def authorities(self, kind: Kind) -> Sequence[str]:
        """The connections that alone decide who is active, the first that knows the entity."""
        return self.orders.get(f"{kind}.active", ())


@dataclass(slots=True)
class Difference:
    """Fields before and after, and what else a guard must count."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    effects: int = 0

    def __bool__(self) -> bool:
        return bool(self.after)

    def set(self, name: str, before: Any, after: Any) -> None:
        self.before[name] = before
        self.after[name] = after

    def owned(self, name: str, before: str | None, after: str | None) -> None:
        """Note whose the value was and is, where that is not the writer."""
        if before is not None:
            self.before.setdefault(OWNERS, {})[name] = before
        if after is not None:
            self.after.setdefault(OWNERS, {})[name] = after

    def only(self, names: Collection[str]) -> Difference:
        """What of it concerns these fields."""
        left = Difference(effects=self.effects)
        for mine, whole in ((left.before, self.before), (left.after, self.after)):
            mine.update((name, value) for name, value in whole.items() if name in names)
            owners = {n: who for n, who in whole.get(OWNERS, {}).items() if n in names}
            if owners:
                mine[OWNERS] = owners
        return left


def difference(entity: Entity, said: Sequence[Contribution], precedence: Precedence) -> Difference:
    """What all living records of the entity together change on it.

    A person's own value stays; else the first connection's that has one; else the value that is
    there stays with its owner, unless the owner, or one before it, says that it is blank. Whether a
    user is active is decided apart.
    """
    diff, kind = Difference(), entity.kind
    ordered = precedence.ordered([one for one in said if one.speaks], kind)
    for name in _names(ordered):
        if name in entity.overrides or (name == "active" and kind is Kind.USER):
            continue
        here = ordered
        if len(said) > 1 and precedence.has_own_order(kind, name):
            here = precedence.ordered(ordered, kind, name)
        _settle(diff, entity, name, here, precedence)
    keys = KEY_FIELDS[kind]
    if any(diff.before.get(name) is not None for name in diff.after if name in keys):
        diff.effects |= Effect.KEY_CHANGE
    return diff


def _names(said: Sequence[Contribution]) -> dict[str, None]:
    """The fields that anybody says anything of."""
    names: dict[str, None] = {}
    for one in said:
        assert one.mapped is not None
        names.update(dict.fromkeys(one.mapped.values))
        names.update(dict.fromkeys(one.mapped.cleared))
    return names


def _settle(
    diff: Difference,
    entity: Entity,
    name: str,
    ordered: Sequence[Contribution],
    precedence: Precedence,
) -> None:
    current = entity.values.get(name)
    owner = entity.provenance.get(name) or entity.provenance.get("*")
    value, winner = _first(ordered, entity.kind, name)
    if winner is None:
        value, winner = current, owner
        cleared = _cleared_by(ordered, name)
        if (
            current is not None
            and cleared
            and _rank(cleared, entity, name, precedence)
            <= (precedence.rank(owner, entity.kind, name))
        ):
            value, winner = None, None
        if value is None:
            value, winner = _fallback(ordered, entity.kind, name)
    if value == current and (value is None or winner == owner):
        return
    writer = precedence.connection
    if value == current:
        diff.owned(name, owner, winner)
        return
    diff.set(name, current, value)
    was = owner if current is not None and owner != writer else None
    diff.owned(name, was, winner if winner != writer else None)


def _first(ordered: Sequence[Contribution], kind: Kind, name: str) -> tuple[Any, str | None]:
    """The first value that is meant to stand always, and whose it is."""
    for one in ordered:
        value = one.mapped.values.get(name) if one.mapped else None
        if value is None:
            continue
        rules = one.field_rules(kind)
        if name not in rules.when_create and name not in rules.when_empty:
            return value, one.connection
    return None, None


def _cleared_by(ordered: Sequence[Contribution], name: str) -> Contribution | None:
    """The first that says that the field is blank on purpose."""
    return next((one for one in ordered if one.mapped and name in one.mapped.cleared), None)


def _rank(one: Contribution, entity: Entity, name: str, precedence: Precedence) -> Rank:
    return precedence.rank(one.connection, entity.kind, name)


def _fallback(ordered: Sequence[Contribution], kind: Kind, name: str) -> tuple[Any, str | None]:
    """The first value that is meant for a blank field, unless one before it wants it blank."""
    for one in ordered:
        if one.mapped is None or name in one.mapped.cleared:
            break
        value = one.mapped.values.get(name)
        if value is not None and name in one.field_rules(kind).when_empty:
            return value, one.connection
    return None, None
