"""Licenses that go with a user: which ones, by the ledger; asked by the page, of leavers only."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from syncd.changes import LICENSES, Action, Change, Effect
from syncd.mapping.view import Facts

_RELEASE = int(Effect.LICENSE_RELEASE)


def name_released(facts: Facts, changes: Iterable[Change]) -> None:
    """Have every change that is to release its user's licenses say which; where there are none, it
    releases nothing. A miss only keeps in mind that it would.
    """
    releasing = [change for change in changes if change.effects & _RELEASE]
    if not releasing:
        return
    held = facts.licenses({change.entity for change in releasing})
    told: set[UUID] = set()
    for change in releasing:
        theirs = held.get(change.entity) if change.entity not in told else None
        told.add(change.entity)
        if theirs and change.after.get("active") is False:
            change.before[LICENSES], change.after[LICENSES] = [], theirs
        elif not theirs or change.action is not Action.MISS:
            change.effects &= ~_RELEASE
