"""Whether a stored change still fits the world that it was decided on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from syncd import keys
from syncd.changes import (
    NOBODY,
    OVERRIDES,
    OWNERS,
    SPECIAL,
    UNDO,
    Action,
    Change,
    Effect,
    creates,
    effects_of,
)
from syncd.entities import Entity, Kind
from syncd.store.facts import StoreFacts

DROPPED = Change(Kind.USER, Action.LINK, NOBODY, None, "", "", "", {})
"""Stands where settling took a change out, so that places in a page stay what they were."""

_NOT_COMPARED = SPECIAL - {"client", "site", "role", "retired"}
"""What a change says before that is no value of its entity: others look at it."""

_WHOEVER_HAS_ITS_KEYS = int(Effect.RECREATED | Effect.DECIDED)

Rules = dict[Kind, tuple[tuple[str, ...], ...]]


def in_turn(changes: Sequence[Change]) -> list[Sequence[Change]]:
    """The changes as lists in which no entity comes twice; DROPPED stands for those of others."""
    turns: list[list[int]] = []
    times: dict[UUID, int] = defaultdict(int)
    for place, change in enumerate(changes):
        at = times[change.entity]
        times[change.entity] += change.entity != NOBODY
        if at == len(turns):
            turns.append([])
        turns[at].append(place)
    if len(turns) < 2:
        return [changes]
    chosen = map(set, turns)
    return [[one if at in turn else DROPPED for at, one in enumerate(changes)] for turn in chosen]


def after_stale(changes: Sequence[Change], stale: Collection[int]) -> dict[int, str]:
    """Places of changes that come after a stale one of the same entity, each with why."""
    found: dict[int, str] = {}
    if stale:
        left_out: set[UUID] = set()
        for place, change in enumerate(changes):
            if place in stale:
                left_out.add(change.entity)
            elif change.entity in left_out and change.entity != NOBODY:
                found[place] = "it builds on a change that was left out"
    return found


def broken_updates(
    changes: Sequence[Change], stored: dict[UUID, Entity], connection: str
) -> dict[int, str]:
    """Places of changes whose entity is not as it was when they were decided, each with why."""
    broken = {}
    for place, change in enumerate(changes):
        if creates(change) or change.entity == NOBODY:
            continue
        entity = stored.get(change.entity)
        if entity is None:
            broken[place] = f"the {change.kind} is not there any more"
        elif entity.retired and not change.before.get("retired"):
            broken[place] = f"the {change.kind} was retired, or merged into another, since"
        elif fields := differing(change, entity, connection):
            when = "since" if change.rule == UNDO else "after the plan was made"
            broken[place] = f"{', '.join(fields)} changed {when}"
    return broken


def overheard(changes: Sequence[Change], spoken_of: Collection[UUID]) -> dict[int, str]:
    """Places of changes that did not know what another source says by now, each with why."""
    why = "another source's record of it changed after the plan was made"
    return {
        place: why
        for place, change in enumerate(changes)
        if change.entity in spoken_of and change.rule != UNDO
    }


def trim_undoing(
    changes: Sequence[Change], stored: dict[UUID, Entity], connection: str
) -> dict[int, str]:
    """Take out of undoing changes each field that is not as the undone run left it, and no other;
    places of what was trimmed, each with why.
    """
    trimmed = {}
    for place, change in enumerate(changes):
        entity = stored.get(change.entity)
        if change.rule != UNDO or entity is None:
            continue
        fields = differing(change, entity, connection)
        if not fields or not effects_of(change.action, change.after) - {*fields}:
            continue  # there is nothing to leave out, or nothing to save: it is stale as a whole
        for values in (change.before, change.after):
            for name in fields:
                for side in (values, values.get(OWNERS, {}), values.get(OVERRIDES, {})):
                    side.pop(name, None)
        trimmed[place] = f"{', '.join(fields)} changed since"
    return trimmed


def retold(
    changes: Sequence[Change], stored: dict[UUID, Entity], broken: Collection[int]
) -> list[int]:
    """Let undoing changes that fit say which words by hand there are before them; places of those
    that said others: such a word was released since.
    """
    found = []
    for place, change in enumerate(changes):
        if change.rule != UNDO or place in broken:
            continue
        entity, said = stored.get(change.entity), change.before.get(OVERRIDES)
        if entity is None or not said:
            continue
        there = {name: entity.overrides.get(name) for name in said}
        if there != said:
            change.before[OVERRIDES] = there
            found.append(place)
    return found


def differing(change: Change, entity: Entity, connection: str) -> list[str]:
    """Fields of which the entity is not as it was when the change was decided. `connection`: whose
    run an undoing change takes back.
    """
    fields = [
        name
        for name, before in change.before.items()
        if name not in _NOT_COMPARED and _current(entity, name) != before
    ]
    fields += [
        name
        for name, before in change.before.get(OWNERS, {}).items()
        if name not in change.after and entity.owner(name) != before
    ]
    fields += _set_since(change, entity)
    if change.rule == UNDO:
        fields += _owned_by_others(change, entity, connection)
    fields = list(dict.fromkeys(fields + _claimed_by_hand(change, entity)))
    if "client" in change.after and not {"client", "site"}.isdisjoint(fields):
        return list(dict.fromkeys((*fields, "client", "site")))  # a site is one of its client's
    return fields


def _set_since(change: Change, entity: Entity) -> list[str]:
    """Fields that a person set or released since, and not to what the change wants."""
    before, after = (side.get(OVERRIDES, {}) for side in (change.before, change.after))
    return [
        name
        for name, was in before.items()
        if entity.overrides.get(name) not in (was, after.get(name))
    ]


def _owned_by_others(change: Change, entity: Entity, connection: str) -> list[str]:
    """Fields with the value that the undone run gave, which somebody else has given since."""
    owners = change.before.get(OWNERS, {})
    return [
        name
        for name, value in change.before.items()
        if value is not None
        and name not in SPECIAL
        and name not in entity.overrides
        and entity.owner(name) != owners.get(name, connection)
    ]


def _claimed_by_hand(change: Change, entity: Entity) -> list[str]:
    """Fields that no source may write by now although their values are what they were."""
    edited = _edited_by_hand(change)
    claimed = [name for name in change.after if name in entity.overrides and name not in edited]
    if "client" in change.after and "site" in claimed:  # a move takes the user to another site
        claimed.remove("site")
    leaves = change.after.get("active") is False and "active" not in edited
    if leaves and entity.values.get("keep_active"):
        claimed += ["keep_active", "active"]
    return claimed


def _edited_by_hand(change: Change) -> set[str]:
    """Fields of which the change is a person's own; an undo that keeps what it restores is none."""
    before, after = (side.get(OVERRIDES, {}) for side in (change.before, change.after))
    return {name for name in after if change.rule != UNDO or before.get(name) is not None}


def _current(entity: Entity, name: str) -> Any:
    if name == "client":
        return entity.client.hex if entity.client else None
    if name == "site":
        return entity.site.hex if entity.site else None
    if name == "retired":
        return entity.retired
    return entity.values.get(name)


def taken_keys(changes: Sequence[Change], rules: Rules, facts: StoreFacts) -> dict[int, str]:
    """Places of creations for which somebody has one of the unique keys by now.

    Asked when anybody else may have written since the plan was made: the caller knows.
    """
    broken: dict[int, str] = {}
    for kind in Kind:
        for rule in rules.get(kind, ()):
            if rule != ("identity",):
                broken.update(_taken_by(kind, rule, changes, facts))
    return broken


def _taken_by(
    kind: Kind, rule: tuple[str, ...], changes: Sequence[Change], facts: StoreFacts
) -> dict[int, str]:
    wanted = {}
    for place, change in enumerate(changes):
        if change.kind is not kind or not creates(change):
            continue
        if change.effects & _WHOEVER_HAS_ITS_KEYS:
            continue
        found = keys.keys(kind, change.after)
        values = tuple(found.get(name, "") for name in rule)
        if all(values):
            scope = None if kind is Kind.CLIENT else change.client
            wanted[place] = (scope, values)
    if not wanted:
        return {}
    asked = set(wanted.values())
    holders, merged = facts.find(kind, rule, asked), facts.former(kind, rule, asked)
    mine = {change.entity for change in changes}
    what = "+".join(rule)
    return {
        place: f"another {kind} has this {what} by now"
        for place, want in wanted.items()
        if merged.get(want) or any(holder not in mine for holder in holders.get(want, []))
    }
