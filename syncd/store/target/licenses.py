"""Licenses in changes: rows of the ledger that give them to users, or free them.

Rows are never deleted: what is taken back is a row of today. A change takes only what its user has,
and gives only what nobody gave to that user in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import (
    LICENSES,
    OVERRIDES,
    OWNERS,
    UNDO,
    Change,
    Effect,
    creates,
    given_licenses,
    released_licenses,
)
from syncd.store import drafted, licenses
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.drafted import Given
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
    """Compare what changes take and give with what their users hold now. A change that would take
    something else than it says is `stale`; an undo does what is left to do, and is `trimmed`, as is
    what gives a license that is there by now.
    """
    concerned = [at for at in _concerned(changes) if at not in stale]
    if not concerned:
        return
    users = {changes[at].entity for at in concerned}
    held = {user: dict(some) for user, some in licenses.held(database, conn, users).items()}
    for at in concerned:
        change = changes[at]
        theirs = held.setdefault(change.entity, {})
        if not _fits(change, theirs):
            stale[at] = OVERTAKEN
            continue
        _shorten(at, change, theirs, stale, trimmed)
        if at not in stale:
            _note(change, theirs)


def _concerned(changes: Sequence[Change]) -> Iterator[int]:
    for at, change in enumerate(changes):
        if not creates(change) and (LICENSES in change.after or LICENSES in change.before):
            yield at


def _fits(change: Change, held: dict[str, int]) -> bool:
    """Whether the user has just what the change takes; of a leaver that is all there is."""
    if change.rule == UNDO:
        return True
    gone = dict(released_licenses(change))
    everything = bool(gone) and bool(change.effects & Effect.LICENSE_RELEASE)
    return gone == (held if everything else {pool: held.get(pool) for pool in gone})


def _shorten(
    at: int,
    change: Change,
    held: dict[str, int],
    stale: dict[int, str],
    trimmed: dict[int, str],
) -> None:
    """Leave of an undo, and of what is given, what can be done still."""
    gone, back = released_licenses(change), given_licenses(change)
    left = [[pool, min(count, held[pool])] for pool, count in gone if held.get(pool, 0) > 0]
    free = [one for one in back if one[0] not in held]
    if left == gone and free == back:
        return
    if left or free:
        change.after[LICENSES], change.before[LICENSES] = left, free
    else:
        change.after.pop(LICENSES, None)
        change.before.pop(LICENSES, None)
    if change.after.keys() - {OWNERS, OVERRIDES}:
        trimmed[at] = f"{trimmed[at]}; {SINCE}" if at in trimmed else SINCE
    else:
        stale[at] = SINCE


def _note(change: Change, held: dict[str, int]) -> None:
    """Have later changes of the page find what this one leaves."""
    for pool, count in released_licenses(change):
        held[pool] -= count
        if not held[pool]:
            del held[pool]
    for pool, count, *_ in given_licenses(change):
        held[pool] = held.get(pool, 0) + count


def write(
    database: Database,
    conn: Connection,
    step: int,
    provider: str,
    changes: Sequence[Change],
    born_with: Sequence[Given],
) -> None:
    """Write into the ledger, and the pools, what changes take and give. Those of `changes` that
    create users are left to `born_with`. `provider`: of pools that are to be made.
    """
    older = [one for one in changes if not creates(one)]
    given = [*born_with, *(entry for one in older for entry in drafted.given(0, one))]
    placed = _placed(database, conn, provider, given)
    moves = [Entry(UUID(hex=one.pool), one.user, Decimal(0), one.number) for one in placed]
    for change in older:
        for pool, count in released_licenses(change):
            moves.append(Entry(UUID(hex=pool), change.entity, Decimal(0), -count))
    book(database, conn, step, moves)


def _placed(
    database: Database, conn: Connection, provider: str, given: Sequence[Given]
) -> list[Given]:
    """The same in pools that are there: those that are missing are made, and nothing is known of
    them but what is assigned. One that came to a client since is taken for the one to be made.
    """
    wanted = [one for one in given if one.sku is not None]
    if not wanted:
        return list(given)
    there = licenses.pools(database, conn, provider, {one.client for one in wanted if one.client})
    missing = {
        (one.client, one.sku): UUID(hex=one.pool)
        for one in wanted
        if one.client and one.sku and (one.client, one.sku) not in there
    }
    rows = [
        {"id": pool, "client_id": client, "provider": provider, "sku": sku, "assigned": 0}
        for (client, sku), pool in missing.items()
    ]
    if rows:
        conn.execute(sa.insert(t.license_pool), rows)
    pools = {**there, **missing}
    return [
        one._replace(pool=pools[one.client, one.sku].hex) if one.client and one.sku else one
        for one in given
    ]
