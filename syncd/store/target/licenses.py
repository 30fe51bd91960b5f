"""Licenses in changes: rows of the ledger that free them, and rows of today that give them back.

Rows are never deleted. A release holds only what its user has; what comes back is only what nobody
gave to that user in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from syncd.changes import LICENSES, OVERRIDES, OWNERS, Change, released_licenses, returned_licenses
from syncd.store import licenses
from syncd.store.database import Database
from syncd.store.target.ledger import Entry, book

OVERTAKEN = "its licenses changed after the plan was made"
SINCE = "licenses changed since"


def check(
    database: Database,
    conn: Connection,
    changes: Sequence[Change],
    stale: dict[int, str],
    trimmed: dict[int, str],
) -> None:
    """Compare what changes release and give back with what their users hold now. A release that no
    longer fits is `stale`; what cannot be given back any more is taken out, and `trimmed`.
    """
    concerned = [at for at in _concerned(changes) if at not in stale]
    if not concerned:
        return
    users = {changes[at].entity for at in concerned}
    held = {user: dict(some) for user, some in licenses.held(database, conn, users).items()}
    for at in concerned:
        change = changes[at]
        theirs = held.get(change.entity, {})
        gone, back = dict(released_licenses(change)), returned_licenses(change)
        if gone and gone != theirs:
            stale[at] = OVERTAKEN
        elif len(free := [one for one in back if one[0] not in theirs]) < len(back):
            _give_back_only(at, change, free, stale, trimmed)
        if gone and at not in stale:
            held[change.entity] = {}  # another change of the page has nothing left to release


def _concerned(changes: Sequence[Change]) -> Iterator[int]:
    for at, change in enumerate(changes):
        if LICENSES in change.after or LICENSES in change.before:
            yield at


def _give_back_only(
    at: int,
    change: Change,
    free: list[list[Any]],
    stale: dict[int, str],
    trimmed: dict[int, str],
) -> None:
    if free:
        change.before[LICENSES] = free
    else:
        del change.before[LICENSES], change.after[LICENSES]
    if change.after.keys() - {OWNERS, OVERRIDES}:
        trimmed[at] = f"{trimmed[at]}; {SINCE}" if at in trimmed else SINCE
    else:
        stale[at] = SINCE


def write(database: Database, conn: Connection, step: int, changes: Iterable[Change]) -> None:
    """Write into the ledger, and the pools, what changes release and give back."""
    moves = [
        Entry(UUID(hex=pool), change.entity, Decimal(0), sign * count)
        for change in changes
        for sign, some in ((-1, released_licenses(change)), (1, returned_licenses(change)))
        for pool, count in some
    ]
    book(database, conn, step, moves)
