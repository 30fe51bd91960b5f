"""Entities that turned out to be one: what the one that stays has from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from syncd.changes import OVERRIDES, Action, in_force
from syncd.entities import CUSTOM, FIELDS, LOCAL, Entity, Kind
from syncd.mapping.active import decide, verdict
from syncd.mapping.contributions import Contribution
from syncd.mapping.values import Difference, Precedence, difference


def united(
    kept: Entity, gone: Sequence[Entity], said: Sequence[Contribution], precedence: Precedence
) -> Entity:
    """`kept` with what the others have: the values that all sources of all of them say together,
    what a person set on any, and in blanks what only another has, with its owner. It is active if
    any was, unless the sources decide otherwise.
    """
    made = _filled(kept, gone)
    made = in_force(made, difference(made, said, precedence).after, precedence.connection)
    if kept.kind is Kind.USER:
        decided = decide(made, [verdict(one) for one in said], precedence)
        if decided:
            made.values["active"] = decided[0] is Action.REACTIVATE
    return made


def _filled(kept: Entity, gone: Sequence[Entity]) -> Entity:
    made = replace(
        kept,
        values=dict(kept.values),
        overrides=dict(kept.overrides),
        provenance=dict(kept.provenance),
    )
    active = any(one.active for one in (kept, *gone))
    if active and made.overrides.get("active") is False:
        del made.overrides["active"]  # whoever set it did not know the other one
    made.values["active"] = active
    for one in gone:
        for name, value in one.overrides.items():
            loses = name == "active" and active and value is False
            if _is_field(kept.kind, name) and name not in made.overrides and not loses:
                made.overrides[name] = value
                _set(made, name, None if value == "" else value, LOCAL)
        for name, value in one.values.items():
            blank = name not in made.values and name not in made.overrides
            if blank and _is_field(kept.kind, name):
                _set(made, name, value, one.owner(name) or LOCAL)
    return made


def _is_field(kind: Kind, name: str) -> bool:
    return name in FIELDS[kind] or name.startswith(CUSTOM)


def _set(made: Entity, name: str, value: Any, owner: str) -> None:
    if made.values.get(name) == value:
        return
    made.provenance[name] = owner
    if value is None:
        made.values.pop(name, None)
    else:
        made.values[name] = value


def _owner(entity: Entity, name: str) -> str | None:
    """Whose the value is, whether or not a person set the same."""
    named = entity.provenance.get(name) or entity.provenance.get("*")
    return named if name in entity.values else None


def way(before: Entity, after: Entity, writer: str) -> Difference:
    """What leads from the one state of an entity's values to the other, written by `writer`."""
    diff = Difference()
    gave: dict[str, str] = {}
    took: dict[str, str] = {}
    for name in dict.fromkeys([*before.values, *after.values]):
        was, value = before.values.get(name), after.values.get(name)
        owner, winner = _owner(before, name), _owner(after, name)
        if was != value:
            diff.set(name, was, value)
        elif owner == winner:
            continue
        if owner is not None and (owner != writer or was == value):
            gave[name] = owner
        if winner is not None and (winner != writer or was == value):
            took[name] = winner
    diff.note_owners(gave, took)
    edited = {
        name: after.overrides.get(name)
        for name in dict.fromkeys([*before.overrides, *after.overrides])
        if before.overrides.get(name) != after.overrides.get(name)
    }
    if edited:
        diff.set(OVERRIDES, {name: before.overrides.get(name) for name in edited}, edited)
    return diff
