"""Whose value stands: what all records of an entity say together, field by field."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
    _ordered_kinds: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        kinds = frozenset(key.partition(".")[0] for key in self.orders if "." in key)
        object.__setattr__(self, "_ordered_kinds", kinds)

    def rank(self, connection: str | None, kind: Kind, name: str) -> Rank:
        """Lower ranks win."""
        order = self.orders.get("default", ())
        if kind in self._ordered_kinds:
            order = self.orders.get(f"{kind}.{name}") or order
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

    def has_orders_of(self, kind: Kind) -> bool:
        """Whether any field of the kind has an order of its own."""
        return kind in self._ordered_kinds

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

    def note_owners(self, before: dict[str, str], after: dict[str, str]) -> None:
        """Whose values were and are, where that is not the writer: for provenance and undo."""
        if before:
            self.before[OWNERS] = before
        if after:
            self.after[OWNERS] = after

    def only(self, names: Collection[str]) -> Difference:
        """What of it concerns these fields."""
        left = Difference(effects=self.effects)
        for mine, whole in ((left.before, self.before), (left.after, self.after)):
            mine.update((name, value) for name, value in whole.items() if name in names)
            owners = {n: who for n, who in whole.get(OWNERS, {}).items() if n in names}
            if owners:
                mine[OWNERS] = owners
        return left


class _Voice(NamedTuple):
    """A contribution as it is asked for one field after the other."""

    connection: str
    said_of: Callable[[str], Any]
    passing: frozenset[str]
    said: Contribution

    @classmethod
    def of(cls, one: Contribution, kind: Kind) -> _Voice:
        assert one.mapped is not None, "who speaks was mapped"
        return cls(one.connection, one.mapped.values.get, one.passing(kind), one)


def difference(entity: Entity, said: Sequence[Contribution], precedence: Precedence) -> Difference:
    """What all living records of the entity together change on it.

    A person's own value stays; else the first connection's that has one; else the value that is
    there stays with its owner, unless the owner, or one before it, says that it is blank. Whether a
    user is active is decided apart.
    """
    diff, kind, is_user = Difference(), entity.kind, entity.kind is Kind.USER
    speaking = [one for one in said if one.speaks]
    ordered = [_Voice.of(one, kind) for one in precedence.ordered(speaking, kind)]
    has_orders = len(ordered) > 1 and precedence.has_orders_of(kind)
    values, owned, overrides = entity.values.get, entity.provenance.get, entity.overrides
    default, writer = owned("*"), precedence.connection
    gave: dict[str, str] = {}
    took: dict[str, str] = {}
    for name in _names(speaking):
        if name in overrides or (is_user and name == "active"):
            continue
        here = ordered
        if has_orders and precedence.has_own_order(kind, name):
            wanted = precedence.ordered(speaking, kind, name)
            here = sorted(ordered, key=lambda one: wanted.index(one.said))
        current, owner = values(name), owned(name, default)
        for connection, said_of, passing, _ in here:
            value = said_of(name)
            if value is not None and name not in passing:
                winner: str | None = connection
                break
        else:
            value, winner = _left(entity, name, [one.said for one in here], precedence)
        if value == current:
            if winner != owner and winner is not None and owner is not None:
                gave[name], took[name] = owner, winner
            continue
        diff.set(name, current, value)
        if current is not None and owner is not None and owner != writer:
            gave[name] = owner
        if winner is not None and winner != writer:
            took[name] = winner
    diff.note_owners(gave, took)
    keys = KEY_FIELDS[kind]
    if any(diff.before.get(name) is not None for name in diff.after if name in keys):
        diff.effects |= Effect.KEY_CHANGE
    return diff


def _names(said: Sequence[Contribution]) -> Iterable[str]:
    """The fields that anybody says anything of."""
    if len(said) == 1 and said[0].mapped and not said[0].mapped.cleared:
        return said[0].mapped.values
    names: dict[str, None] = {}
    for one in said:
        if one.mapped:
            names.update(dict.fromkeys(one.mapped.values))
            names.update(dict.fromkeys(one.mapped.cleared))
    return names


def _left(
    entity: Entity, name: str, ordered: Sequence[Contribution], precedence: Precedence
) -> tuple[Any, str | None]:
    """The value, and its owner, of a field that nobody has a lasting value for."""
    value = entity.values.get(name)
    owner = entity.provenance.get(name) or entity.provenance.get("*")
    cleared = _cleared_by(ordered, name)
    if value is not None and cleared:
        first = precedence.rank(cleared.connection, entity.kind, name)
        if first <= precedence.rank(owner, entity.kind, name):
            value = None
    return (value, owner) if value is not None else _fallback(ordered, entity.kind, name)


def _cleared_by(ordered: Sequence[Contribution], name: str) -> Contribution | None:
    """The first that says that the field is blank on purpose."""
    return next((one for one in ordered if one.mapped and name in one.mapped.cleared), None)


def _fallback(ordered: Sequence[Contribution], kind: Kind, name: str) -> tuple[Any, str | None]:
    """The first value that is meant for a blank field, unless one before it wants it blank."""
    for one in ordered:
        if one.mapped is None or name in one.mapped.cleared:
            break
        value = one.mapped.values.get(name)
        if value is not None and name in one.field_rules(kind).when_empty:
            return value, one.connection
    return None, None
