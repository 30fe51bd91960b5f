"""The clocks of `after`: how many complete reads, and how many days, a record has been leaving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from syncd.changes import LinkFact, LinkState
from syncd.mapping.rules import GoneRule

HOUR = 3600.0
DAY = 86_400.0
RUNNING = (LinkState.MISSED, LinkState.LEAVING)


class Clock(NamedTuple):
    """Where a clock stands. Times are seconds since the epoch, by the database."""

    misses: int
    since: float
    counted: float
    due: bool
    ticked: bool
    """Whether this very read counted."""


def running(links: Mapping[str, LinkFact]) -> set[str]:
    """The keys of links whose clock runs."""
    return {key for key, link in links.items() if link.state in RUNNING}


def tick(link: LinkFact | None, reason: str, rule: GoneRule, now: float) -> Clock:
    """The clock of a link after one more complete read; reads within an hour are one."""
    if link is None or link.state not in RUNNING or link.note != reason or link.missed_at is None:
        return Clock(1, now, now, _is_due(rule, 1, 0.0), ticked=True)
    counted = link.counted_at or link.missed_at
    ticked = link.misses < rule.reads and now - counted >= HOUR
    misses = link.misses + ticked
    due = _is_due(rule, misses, now - link.missed_at)
    return Clock(misses, link.missed_at, now if ticked else counted, due, ticked)


def _is_due(rule: GoneRule, misses: int, seconds: float) -> bool:
    return misses >= rule.reads and seconds >= rule.days * DAY


def waits(rule: GoneRule, clock: Clock) -> str:
    """What a clock still waits for, as a clause of a sentence."""
    parts = []
    if rule.reads > 1:
        parts.append(f"read {clock.misses} of {rule.reads}")
    if rule.days:
        parts.append(f"for less than {rule.days:g} days")
    return " and ".join(parts) + " before it is deactivated"
