"""The limits that a plan must respect: pure arithmetic over counts that the store made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncd.changes import Overrun

LEAVES_SCOPE = "out_of_scope"
"""The guard of people whom no change tells: their rule may be to keep them."""


class Limit(Protocol):
    """A count and a share; a plan may go up to the larger of the two."""

    @property
    def count(self) -> int: ...
    @property
    def share(self) -> float: ...


class Limits(Protocol):
    """The section [limits] of a mapping."""

    @property
    def deactivate(self) -> Limit: ...
    @property
    def deactivate_run(self) -> Limit: ...
    @property
    def create(self) -> Limit: ...
    @property
    def site_move(self) -> Limit: ...
    @property
    def key_change(self) -> Limit: ...
    @property
    def license_release(self) -> Limit: ...


@dataclass(slots=True)
class ClientCounts:
    """What a plan does to the users of one client. `active`, `total`: before the plan.

    `leaving` counts first misses too; `left_today` what applied plans deactivated in 24 hours;
    `releasing` licenses that leavers hold, of `assigned` ones.
    """

    client: str
    active: int = 0
    total: int = 0
    creating: int = 0
    leaving: int = 0
    left_today: int = 0
    moving: int = 0
    site_moves: int = 0
    key_changes: int = 0
    releasing: int = 0
    assigned: int = 0


def allowed(limit: Limit, scope: int) -> int:
    """How many are allowed among `scope`: max(count, share of it)."""
    return max(limit.count, int(limit.share * scope))


def overruns(
    limits: Limits,
    clients: Sequence[ClientCounts],
    *,
    run_leaving: int,
    run_active: int,
    partition_active: int,
    empty: bool,
    vanished: int = 0,
    left_scope: int = 0,
    linked: int = 0,
) -> list[Overrun]:
    """Every limit that the plan exceeds, most telling first.

    `run_leaving`, `run_active`: over all partitions of the run. `partition_active`: active users
    that the partition is tied to. `empty`: a complete read held nothing though records are linked.
    `vanished`: how many people a complete read is the first not to mention, of `linked` ones;
    `left_scope`: how many of these leave the mapping's scope, whatever their rule does.
    """
    found = []
    if empty:
        sentence = (
            "the source answered completely and with nothing, though records are linked to it"
        )
        found.append(Overrun("empty_read", "partition", 0, 0, sentence))
    for counts in clients:
        found += _of_client(limits, counts)
    found += _of_all(limits, clients, partition_active, run_leaving, run_active)
    told = empty or any(one.guard in ("leavers", "emptied_client") for one in found)
    if not told and vanished > (most := allowed(limits.deactivate, linked)):
        what = f"of {linked} people are missing all at once"
        found.append(_over("shrunken_read", "partition", vanished, most, what))
    most = min(allowed(one, linked) for one in (limits.deactivate, limits.deactivate_run))
    if not told and left_scope > most:
        what = f"of {linked} people would leave the mapping's scope"
        found.append(_over(LEAVES_SCOPE, "partition", left_scope, most, what))
    return found


def _of_client(limits: Limits, one: ClientCounts) -> Iterator[Overrun]:
    leaving = one.leaving + one.left_today
    active = one.active + one.left_today
    emptied = one.leaving and one.active >= 2 and one.leaving + one.moving >= one.active
    if emptied and not one.creating:
        what = f"of {one.active} active users would leave, and none would stay"
        yield _over("emptied_client", one.client, one.leaving, 0, what)
    elif leaving > (most := allowed(limits.deactivate, active)) and one.leaving:
        yield _over("leavers", one.client, leaving, most, f"of {active} active users would leave")
    if one.total and one.creating > (most := allowed(limits.create, one.total)):
        yield _over("creations", one.client, one.creating, most, "users would be created")
    if one.moving:
        yield _over("moves", one.client, one.moving, 0, "users would move to another client")
    if one.site_moves > (most := allowed(limits.site_move, one.total)):
        yield _over("site_moves", one.client, one.site_moves, most, "users would change their site")
    if one.key_changes > (most := allowed(limits.key_change, one.total)):
        what = "users would change a field that they are matched by"
        yield _over("key_changes", one.client, one.key_changes, most, what)
    if one.releasing > (most := allowed(limits.license_release, one.assigned)):
        what = f"of {one.assigned} assigned licenses would be released"
        yield _over("license_releases", one.client, one.releasing, most, what)


def _of_all(
    limits: Limits,
    clients: Sequence[ClientCounts],
    partition_active: int,
    run_leaving: int,
    run_active: int,
) -> Iterator[Overrun]:
    leaving = sum(one.leaving + one.left_today for one in clients)
    active = partition_active + sum(one.left_today for one in clients)
    if leaving > (most := allowed(limits.deactivate, active)) and any(c.leaving for c in clients):
        what = f"of {active} active users of this partition would leave"
        yield _over("leavers", "partition", leaving, most, what)
    if run_leaving > (most := allowed(limits.deactivate_run, run_active)):
        what = f"of {run_active} active users of this run would leave"
        yield _over("leavers", "run", run_leaving, most, what)


def _over(guard: str, scope: str, count: int, limit: int, what: str) -> Overrun:
    return Overrun(guard, scope, count, limit, f"{scope}: {count} {what}; the limit is {limit}")
