"""Identities in changes: nobody takes one that another has, or gives back what is not theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Change, creates, gained_identities, lost_identities
from syncd.records import Identity
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.identities import holders

TAKEN = "an identity of it belongs to somebody by now"
LOST = "an identity of it is not this user's any more"

BornWith = tuple[int, str, str, Any]
"""An identity of a creation, as `Body.identities` holds it."""


def trim(
    database: Database, conn: Connection, changes: Sequence[Change], stale: Collection[int]
) -> dict[int, str]:
    """Take out of changes the identities that they cannot give or take any more; places, each with
    why. What is left is exactly what will be done.
    """
    concerned = {
        place: change
        for place, change in enumerate(changes)
        if ("identities" in change.after or "identities" in change.before) and place not in stale
    }
    if not concerned:
        return {}
    pairs = {
        Identity(*one)
        for each in concerned.values()
        for one in (*gained_identities(each), *lost_identities(each))
    }
    held = holders(database, conn, pairs)
    trimmed = {}
    for place, change in concerned.items():
        gains, loses = gained_identities(change), lost_identities(change)
        free = [one for one in gains if Identity(*one) not in held]
        theirs = [one for one in loses if held.get(Identity(*one)) == change.entity]
        held |= {Identity(*one): change.entity for one in free}
        if len(free) < len(gains) or len(theirs) < len(loses):
            _keep(change, theirs, free)
            trimmed[place] = TAKEN if len(free) < len(gains) else LOST
    return trimmed


def doubtful(
    database: Database, conn: Connection, changes: Sequence[Change], born_with: Sequence[BornWith]
) -> set[int]:
    """Places of creations with an identity that somebody has by now, or that the page gives twice;
    of `changes`, those that are no creations.
    """
    if not born_with:
        return set()
    given = Counter((issuer, subject) for _, issuer, subject, _ in born_with)
    given.update(
        (one[0], one[1]) for each in changes if not creates(each) for one in gained_identities(each)
    )
    held = holders(database, conn, given)
    return {one[0] for one in born_with if one[1:3] in held or given[one[1:3]] > 1}


def left(
    born_with: Sequence[BornWith], changes: Sequence[Change], trimmed: Collection[int]
) -> list[BornWith]:
    """What creations still give, some of which were trimmed."""
    return [
        one
        for one in born_with
        if one[0] not in trimmed or [one[1], one[2]] in gained_identities(changes[one[0]])
    ]


def _keep(change: Change, loses: list[list[str]], gains: list[list[str]]) -> None:
    for values, left in ((change.before, loses), (change.after, gains)):
        if not loses and not gains:
            values.pop("identities", None)
        elif "identities" in values:
            values["identities"] = left


def write(
    database: Database,
    conn: Connection,
    changes: Sequence[Change],
    born_with: Sequence[BornWith],
    connection: str,
) -> None:
    """Give and take the identities of trimmed changes, and give those of creations."""
    c = t.identity.c
    for change in changes:
        for issuer, subject in lost_identities(change):
            this = sa.and_(c.issuer == issuer, c.subject == subject, c.user_id == change.entity)
            conn.execute(sa.delete(t.identity).where(this))
    columns = ("issuer", "subject", "user_id", "connection")
    rows: list[tuple[Any, ...]] = [(*one[1:], connection) for one in born_with]
    rows += [
        (*one, change.entity, connection) for change in changes for one in gained_identities(change)
    ]
    bulk.insert(database, conn, t.identity, columns, rows)
