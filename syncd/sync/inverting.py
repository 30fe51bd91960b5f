"""The inverse of changes: what takes each of them back, all of it or some fields, and its link."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from syncd.changes import (
    LICENSES,
    OVERRIDES,
    OWNERS,
    UNDO,
    Action,
    Change,
    Effect,
    LinkState,
    LinkWrite,
    effects_of,
    gained_identities,
    given_licenses,
)
from syncd.entities import CUSTOM, FIELDS
from syncd.store.history import PastLink

PLACES = frozenset({"client", "site"})
"""Fields that are no values: where a user is."""
_KEPT = PLACES | {"identities", LICENSES}
"""What a person's word can hold besides the fields of an entity."""


def chosen(change: Change, fields: Collection[str]) -> set[str]:
    """What a wish for these fields takes back of a change; for none, all that it did. A creation is
    no field, and a move is one: `client`, and the site of the user goes with it.
    """
    said = effects_of(change.action, change.after)
    if not fields:
        return said
    if change.action is Action.CREATE:
        return set()
    if "client" not in said:
        return said & {*fields}
    named = (said - {"site"}) & {*fields}
    return named | (said & {"site"} if "client" in named else set())


def inverse(change: Change, names: Collection[str], *, keep: bool = False) -> Change | None:
    """What takes these effects of `change` back; None where there are none. `keep`: what is
    restored is set by hand, so that no source does the same again.
    """
    if not names:
        return None
    action = Action.DECIDE if change.action is Action.DECIDE else Action.UPDATE
    if change.action is Action.CREATE:
        before, after = _hidden(change)
        if not change.effects & Effect.REVIVES:
            action = Action.RETIRE
    else:
        before, after = _swapped(change, names)
        if keep:
            _keep(change, before, after)
    return Change(
        change.kind,
        action,
        change.entity,
        change.client,
        change.stream,
        change.key,
        f"{'undo, and kept so' if keep else 'undo'}: {change.reason}",
        after,
        before,
        rule=UNDO,
    )


def _hidden(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    """(before, after) that hides what was created or revived."""
    before: dict[str, Any] = {"retired": False}
    after: dict[str, Any] = {"retired": True}
    if identities := gained_identities(change):  # free for others, as its keys are
        before["identities"], after["identities"] = identities, []
    if given := given_licenses(change):
        before[LICENSES], after[LICENSES] = [], _plainly(given)
    return before, after


def _plainly(given: list[list[Any]]) -> list[list[Any]]:
    """Licenses whose pools are there by now."""
    return [[pool, count] for pool, count, *_ in given]


def _swapped(change: Change, names: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(before, after) of the way back: what is, and what was."""
    before, after = _only(change.after, names), _only(change.before, names)
    if before.get("identities"):
        after["identities"] = []
    if LICENSES in after:
        after[LICENSES] = _plainly(after[LICENSES])
    if OVERRIDES in before:
        was = after.get(OVERRIDES, {})
        after[OVERRIDES] = {name: was.get(name) for name in before[OVERRIDES]}
    else:
        after.pop(OVERRIDES, None)
    return before, after


def _only(values: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """These names of one side of a change, and what it says of their owners and overrides."""
    found = {name: value for name, value in values.items() if name in names}
    for about in (OWNERS, OVERRIDES):
        told = {name: one for name, one in values.get(about, {}).items() if name in names}
        if told:
            found[about] = told
    return found


def _keep(change: Change, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Make a person's word of each restored value. A blank one is an empty text: blank on purpose.
    A user whose move was taken back is held in the client, and the site follows from there.
    """
    words = {
        name: "" if value is None else value
        for name, value in after.items()
        if name in FIELDS[change.kind] or name in _KEPT or name.startswith(CUSTOM)
    }
    if "client" in words:
        words.pop("site", None)
    if not words:
        return
    given = after.setdefault(OVERRIDES, {})
    known = before.setdefault(OVERRIDES, {})
    for name, word in words.items():
        known.setdefault(name, None)
        if given.get(name) is None:
            given[name] = word


# -- links -----------------------------------------------------------------------------------------


def link_as_it_was(change: Change, past: PastLink | None, place: int, *, keep: bool) -> LinkWrite:
    """The way back of a change's link. `keep`: a record that the run tied is to be ignored."""
    tied = past is None or past.entity != change.entity or change.action is Action.CREATE
    if past is None:  # the step made it; what was only matched is to be matched again
        entity = change.entity if change.action is Action.CREATE else None
        past = PastLink(LinkState.UNDONE, entity, "", 0, None, None)
    link = restored(change.stream, change.key, change.kind, past, place)
    return link._replace(ignore=keep and tied)


def link_with_its_old_life(change: Change, past: PastLink, place: int) -> LinkWrite:
    """The link with the state and the clock that it had; its item stays what it is."""
    link = restored(change.stream, change.key, change.kind, past, place)
    return link._replace(raw=None)


def restored(stream: str, key: str, kind: str, past: PastLink | None, place: int) -> LinkWrite:
    """A link as it was; one that a step made and that nothing is known of before is undone."""
    past = past or PastLink(LinkState.UNDONE, None, "", 0, None, None)
    return LinkWrite(
        stream,
        key,
        past.state,
        kind,
        past.entity,
        past.matched_by,
        None,
        past.raw,
        place,
        False,
        past.misses,
        past.missed_at,
        past.note,
        past.owner,
        past.counted_at,
        pinned=past.pinned,
    )
