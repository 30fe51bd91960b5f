"""Licenses of users: those that go with a leaver, and those that records say their people have.

A license that a record names is one of a pool of its client. Where the record names no provider,
the pool goes by the connection's own name, and what other connections assigned is left alone; where
it does, connections that tell of the same provider share its pools.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from syncd.changes import LICENSES, Action, Change, Effect
from syncd.entities import Kind
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
    work: Context, users: Sequence[Known], withdrawn: Collection[str] = ()
) -> Mapping[UUID, Shift]:
    """What users get and lose by what records say of them now; nothing where a person said which
    they have. `withdrawn`: providers of whose licenses they are to have none where no record says
    anything; of others they keep what they have.
    """
    wanted: dict[str, dict[UUID, tuple[UUID, set[str]]]] = defaultdict(dict)
    for one in users:
        if LICENSES in one.user.overrides:
            continue
        named = named_by(work, one.said)
        for provider in withdrawn:
            named.setdefault(provider, set())
        for provider, names in named.items():
            wanted[provider][one.user.id] = (one.client.id, names)
    found: dict[UUID, Shift] = {}
    for provider, theirs in wanted.items():
        for user, shift in _shifts_of(work, provider, theirs):
            before = found.get(user, NOTHING)
            found[user] = Shift(before.gains + shift.gains, before.losses + shift.losses)
    return found


def _shifts_of(
    work: Context, provider: str, wanted: Mapping[UUID, tuple[UUID, set[str]]]
) -> Iterator[tuple[UUID, Shift]]:
    """The same, of the licenses of one provider; `wanted`: client and licenses of each user."""
    work.directory.load_pools(provider, {client for client, _ in wanted.values()})
    held = work.facts.licenses(wanted, provider)
    for user, (client, names) in wanted.items():
        pools = _pools(work, provider, client, names)
        stored = held.get(user, [])
        ours = {pool for pool, _ in stored} | work.directory.pools_of(provider, client)
        theirs = [pair for pair in work.so_far.holding(user, stored) if pair[0] in ours]
        yield user, _shift(pools, theirs)


def _shift(wanted: Mapping[str, list[Any]], held: Sequence[list[Any]]) -> Shift:
    there = {pool for pool, _ in held}
    gains = [entry for pool, entry in wanted.items() if pool not in there]
    return Shift(gains, [[pool, count] for pool, count in held if pool not in wanted])


def named_by(work: Context, said: Sequence[Contribution]) -> dict[str, set[str]]:
    """By provider: the licenses that a user's records name. Of several connections that tell of the
    same provider's licenses the first by precedence counts, with all of its records together. A
    provider of whose licenses no record of this connection tells is left alone, unless the one that
    did is gone.
    """
    mine = work.precedence.connection
    found: dict[str, tuple[str, set[str]]] = {}
    own: set[str] = set()
    is_gone = not any(one.connection == mine and one.speaks for one in said)
    for one in work.precedence.ordered(said, Kind.USER, LICENSES):
        record = one.record
        if not isinstance(record, Person) or record.licenses is None or not one.speaks:
            continue
        if verdict(one).releases:
            continue  # who leaves by a rule that frees them gets none
        provider = record.license_provider or one.connection
        if one.connection == mine or (is_gone and record.license_provider):
            own.add(provider)
        teller, names = found.setdefault(provider, (one.connection, set()))
        if teller == one.connection:
            names.update(record.licenses)
    return {provider: names for provider, (_, names) in found.items() if provider in own}


def load_for(work: Context, placed: Iterable[tuple[UUID, Mapping[str, set[str]]]]) -> None:
    """Look up the pools of the clients whose new people have licenses (`named_by` their records),
    for `born_with`.
    """
    clients: dict[str, set[UUID]] = defaultdict(set)
    for client, named in placed:
        for provider, names in named.items():
            if names:
                clients[provider].add(client)
    for provider, theirs in clients.items():
        work.directory.load_pools(provider, theirs)


def born_with(work: Context, client: UUID, named: Mapping[str, set[str]]) -> list[list[Any]]:
    """The licenses of a new user, which are `named_by` its record."""
    return [
        entry
        for provider, names in named.items()
        if names
        for entry in _pools(work, provider, client, names).values()
    ]


def _pools(
    work: Context, provider: str, client: UUID, names: Iterable[str]
) -> dict[str, list[Any]]:
    """One license of each name as changes hold it, by its pool."""
    entries = (work.directory.license_of(provider, client, name) for name in sorted(names))
    return {entry[0]: entry for entry in entries}
