"""Which values a record changes on an entity, and which it must leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from syncd.changes import OWNERS, Effect
from syncd.entities import KEY_FIELDS, LOCAL, Entity
from syncd.mapping.fields import KindRules, Mapped


@dataclass(frozen=True, slots=True)
class Precedence:
    """Whose value stands when several connections give one: earlier in the list wins.

    `orders` maps "default" or "user.phone" to connection names; unlisted connections come after
    the listed ones, and among those the one that gave the value first keeps it.
    """

    connection: str
    orders: dict[str, list[str]]

    def yields_to(self, owner: str | None, kind: str, name: str) -> bool:
        """True if a value of this connection must not replace one that `owner` gave."""
        if owner in (None, LOCAL, self.connection):  # local and no override: it was released
            return False
        order = self.orders.get(f"{kind}.{name}") or self.orders.get("default", [])
        if self.connection not in order:
            return True
        return owner in order and order.index(owner) < order.index(self.connection)


@dataclass(slots=True)
class Difference:
    """Fields before and after, and what else a guard must count."""

    before: dict[str, Any]
    after: dict[str, Any]
    effects: int = 0

    def __bool__(self) -> bool:
        return bool(self.after)

    def set(self, name: str, before: Any, after: Any) -> None:
        self.before[name] = before
        self.after[name] = after

    def takes_over(self, name: str, owner: str) -> None:
        """Note that another connection owned the value, so that an undo can give it back."""
        self.before.setdefault(OWNERS, {})[name] = owner


def difference(
    entity: Entity, mapped: Mapped, rules: KindRules, precedence: Precedence
) -> Difference:
    """What `mapped` changes on `entity`, `active` left out: that is decided apart."""
    diff = Difference({}, {})
    current = entity.values
    for name, value in mapped.values.items():
        if current.get(name) != value and name != "active":
            if name in rules.when_create:
                continue
            if name in rules.when_empty and current.get(name) is not None:
                continue
            _set(diff, entity, name, value, precedence)
    for name in mapped.cleared:
        if current.get(name) is not None and name not in rules.when_create:
            _set(diff, entity, name, None, precedence)
    keys = KEY_FIELDS[entity.kind]
    if any(name in keys for name in diff.after if diff.before[name] is not None):
        diff.effects |= Effect.KEY_CHANGE
    return diff


def _set(diff: Difference, entity: Entity, name: str, value: Any, precedence: Precedence) -> None:
    owner = entity.owner(name) if entity.values.get(name) is not None else None
    if name in entity.overrides or precedence.yields_to(owner, entity.kind, name):
        return
    diff.set(name, entity.values.get(name), value)
    if owner is not None and owner != precedence.connection:
        diff.takes_over(name, owner)
