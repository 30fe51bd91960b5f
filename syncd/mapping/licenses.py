"""Licenses of users: those that go with a leaver, and those that records say their people have.

A license that a record names is one of a pool of its client, under the connection's own name: who
counts what was bought is somebody else. What other connections assigned is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from syncd.changes import LICENSES, Action, Change, Effect
from syncd.mapping.active import verdict
from syncd.mapping.contributions import Contribution
from syncd.mapping.homes import Known
from syncd.mapping.page import Context
from syncd.mapping.values import Difference
from syncd.mapping.view import Facts
from syncd.records import Person

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


# -- what records say ------------------------------------------------------------------------------


class Shift(NamedTuple):
    """Licenses that a user is to get and to lose, as a change holds them."""

    gains: list[list[Any]]
    losses: list[list[Any]]

    def add_to(self, diff: Difference) -> None:
        """Make it a part of what becomes of the user."""
        if self.gains or self.losses:
            diff.set(LICENSES, self.gains, self.losses)
        if self.losses:
            diff.effects |= Effect.LICENSE_LOSS


NOTHING = Shift([], [])


def shifts(
    work: Context, users: Sequence[Known], otherwise: set[str] | None = None
) -> Mapping[UUID, Shift]:
    """What users get and lose by what all their records of this connection say together; nothing
    where a person said which they have. `otherwise`: what they are to have where no record says
    anything; None: what they have.
    """
    wanted = {}
    for one in users:
        names = _named(work, one.said)
        names = otherwise if names is None else names
        if names is not None and LICENSES not in one.user.overrides:
            wanted[one.user.id] = (one.client.id, names)
    if not wanted:
        return {}
    mine = work.precedence.connection
    work.directory.load_pools(mine, {client for client, _ in wanted.values()})
    held = work.facts.licenses(wanted, mine)
    found = {}
    for user, (client, names) in wanted.items():
        theirs = work.so_far.holding(user, held.get(user, []))
        found[user] = _shift(_pools(work, client, names), theirs)
    return found


def _shift(wanted: Mapping[str, list[Any]], held: Sequence[list[Any]]) -> Shift:
    there = {pool for pool, _ in held}
    gains = [entry for pool, entry in wanted.items() if pool not in there]
    return Shift(gains, [[pool, count] for pool, count in held if pool not in wanted])


def _named(work: Context, said: Sequence[Contribution]) -> set[str] | None:
    """The licenses that the records of this connection name together; None: none says anything."""
    found: set[str] | None = None
    for one in said:
        names = one.record.licenses if isinstance(one.record, Person) else None
        mine = one.connection == work.precedence.connection and one.speaks
        if names is not None and mine and not verdict(one).releases:
            found = (found or set()) | {*names}  # who leaves by a rule that frees them gets none
    return found


def load_for(work: Context, placed: Iterable[tuple[UUID, Contribution]]) -> None:
    """Look up the pools of the clients whose new people have licenses, for `born_with`."""
    clients = {client for client, one in placed if _named(work, [one])}
    work.directory.load_pools(work.precedence.connection, clients)


def born_with(work: Context, client: UUID, one: Contribution) -> list[list[Any]]:
    """The licenses of a user who is made of this record."""
    return list(_pools(work, client, _named(work, [one]) or ()).values())


def _pools(work: Context, client: UUID, names: Iterable[str]) -> dict[str, list[Any]]:
    """One license of each name as changes hold it, by its pool."""
    entries = (work.directory.license_of(client, name) for name in sorted(names))
    return {entry[0]: entry for entry in entries}
