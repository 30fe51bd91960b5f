"""Licenses in changes: rows of the ledger that give them to users, or free them.

Rows are never deleted: what is taken back is a row of today. A change takes only what its user has,
and gives only what nobody gave to that user in the meantime.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import (
    LICENSES,
    OVERRIDES,
    OWNERS,
    UNDO,
    Action,
    Change,
    Effect,
    creates,
    given_licenses,
    in_force,
    released_licenses,
)
from syncd.entities import HOLDINGS, Entity, Kind
from syncd.store import bulk, drafted, licenses
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.drafted import Body, Given
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


def made_meanwhile(
    database: Database, conn: Connection, creations: Mapping[Kind, Sequence[Sequence[Any]]]
) -> dict[int, str]:
    """Places of creations of holdings that somebody else has made since, each with why."""
    stale: dict[int, str] = {}
    for kind in HOLDINGS:
        wanted: dict[str, dict[tuple[UUID, str], int]] = defaultdict(dict)
        for place, _, client, provider, reference, *_ in creations.get(kind, ()):
            wanted[provider][_client_of(client), reference] = place
        for provider, places in wanted.items():
            clients = {client for client, _ in places}
            there = licenses.holdings(database, conn, kind, provider, clients)
            why = f"another source has made the {kind} since"
            stale |= {place: why for home, place in places.items() if home in there}
    return stale


def _client_of(stored: bytes | str) -> UUID:
    return UUID(bytes=stored) if isinstance(stored, bytes) else UUID(hex=stored)


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


@dataclass(frozen=True, slots=True)
class Booking:
    """Writes what one page of a step moves. `connection`: whose licenses these are where nothing
    else is said; `stored`: what was there before, of what changes speak of.
    """

    database: Database
    conn: Connection
    step: int
    connection: str
    stored: Mapping[UUID, Entity]

    def write(self, changes: Sequence[Change], body: Body) -> None:
        """Write into the ledger, and the pools, what changes take and give, and what was bought.
        Of those that create something the page's body tells.
        """
        older = [one for one in changes if not creates(one)]
        given = [*body.licenses, *(entry for one in older for entry in drafted.given(0, one))]
        moves = [Entry(UUID(hex=one.pool), one.user, one.number) for one in self._placed(given)]
        for change in older:
            for pool, count in released_licenses(change):
                moves.append(Entry(UUID(hex=pool), change.entity, -count))
        moves += [Entry(one.pool, None, 0, Decimal(one.number)) for one in body.bought]
        self._begin([one.pool for one in body.bought])
        book(self.database, self.conn, self.step, [*moves, *self._bought(older)])

    def _begin(self, pools: Sequence[UUID]) -> None:
        """Nothing is assigned yet of pools that were just made."""
        c = t.license_pool.c
        for chunk in bulk.chunks(pools):
            begun = sa.update(t.license_pool).where(self.database.among(c.id, chunk))
            self.conn.execute(begun.values(assigned=0))

    def _bought(self, changes: Sequence[Change]) -> Iterator[Entry]:
        """What changes of stored pools add to what was bought; a retired pool holds nothing."""
        latest: dict[UUID, Entity] = {}
        for one in changes:
            if one.kind is not Kind.LICENSE or one.action is Action.DECIDE:
                continue
            before = latest.get(one.entity) or self.stored[one.entity]
            after = latest[one.entity] = in_force(before, one.after, self.connection)
            if more := _amount(after) - _amount(before):
                yield Entry(one.entity, None, 0, more)

    def _placed(self, given: Sequence[Given]) -> list[Given]:
        """The same in pools that are there: those that are missing are made, and nothing is known
        of them but what is assigned. One that came to a client since is taken for the one to be
        made, and a retired one is there again.
        """
        placed = [one for one in given if one.sku is None]
        unmade: dict[str, dict[Given, tuple[UUID, str]]] = defaultdict(dict)
        for one in given:
            if one.sku is not None and one.client is not None:
                unmade[one.provider or self.connection][one] = (one.client, one.sku)
        for provider in sorted(unmade):
            pools = self._pools(provider, unmade[provider])
            placed += [one._replace(pool=pools[home].hex) for one, home in unmade[provider].items()]
        return placed

    def _pools(
        self, provider: str, wanted: Mapping[Given, tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], UUID]:
        """The pools of a provider, by client and SKU, all there from now on."""
        clients = {client for client, _ in wanted.values()}
        there = licenses.holdings(self.database, self.conn, Kind.LICENSE, provider, clients)
        missing = {home: UUID(hex=one.pool) for one, home in wanted.items() if home not in there}
        if missing:
            self._make(provider, missing)
        self._bring_back({there[home] for home in wanted.values() if home in there})
        return {**there, **missing}

    def _make(self, provider: str, missing: Mapping[tuple[UUID, str], UUID]) -> None:
        rows = [
            {
                "id": pool,
                "client_id": client,
                "provider": provider,
                "sku": sku,
                "assigned": 0,
                "active": True,
                "provenance": {"*": self.connection},
                "retired": False,
            }
            for (client, sku), pool in missing.items()
        ]
        self.conn.execute(sa.insert(t.license_pool), rows)

    def _bring_back(self, pools: set[UUID]) -> None:
        c = t.license_pool.c
        for chunk in bulk.chunks(list(pools)):
            retired = sa.and_(self.database.among(c.id, chunk), c.retired)
            self.conn.execute(
                sa.update(t.license_pool).where(retired).values(retired=False, bought=None)
            )


def _amount(pool: Entity) -> Decimal:
    return Decimal(0) if pool.retired else Decimal(pool.values.get("bought") or 0)
