"""Leavers: who is on the way out, when and why, what happens then and what would stop it.

Whether a user would really go is decided here as it is when a source is read: by the same function,
from what all of the user's records say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from syncd.changes import LinkState
from syncd.entities import Entity, Kind
from syncd.mapping.active import Stand, Verdict, decide, verdict, why_kept
from syncd.mapping.clocks import DAY, HOUR, RUNNING
from syncd.mapping.contributions import Contribution, Outsider
from syncd.mapping.hearing import others_of
from syncd.mapping.rules import GoneRule
from syncd.mapping.values import Precedence
from syncd.store import answers_leavers, answers_runs
from syncd.store.answers import Found
from syncd.store.answers_leavers import Going, Timing, Wanted
from syncd.store.facts import StoreFacts
from syncd.sync.engine import Engine
from syncd.sync.gone_rules import gone_rules

DEACTIVATE = "deactivate"


@dataclass(frozen=True, slots=True)
class Leaver:
    """A user whose record is going; or is gone, disabled or out of scope, while a person is to say
    what becomes of the user.

    `reads` and `days`: how many of how many; None where the rule does not ask for any. `due`: the
    earliest moment at which a complete read would act, None where no rule is known or where a
    person is to act; `overdue`: it has passed. `action`: what the rule does then: deactivate, keep
    or review; `kept`: why that would change nothing.
    """

    user: UUID
    name: str
    email: str | None
    login: str | None
    client: str
    connection: str
    paused: bool
    partition: str
    key: str
    state: LinkState
    reason: str
    since: datetime | None
    reads: tuple[int, int] | None
    days: tuple[int, int] | None
    due: datetime | None
    overdue: bool
    action: str | None
    release_licenses: bool
    kept: str | None

    @property
    def waits(self) -> bool:
        """Whether nothing happens until a person says what becomes of the user."""
        return self.state not in RUNNING


def leavers(engine: Engine, wanted: Wanted) -> Found[Leaver]:
    """Who is on the way out: first who waits for a person, then who is due first."""
    database = engine.database
    names = [one.name for one in answers_runs.connections(database)]
    rules = {name: gone_rules(engine, name) for name in names}
    found = answers_leavers.going(database, wanted, _timings(rules))
    users, said = _heard(engine, {one.user for one in found.lines})
    now = database.query(database.now).timestamp()
    lines = []
    for one in found.lines:
        rule = rules[one.connection].get(one.reason)
        others = [
            verdict(each)
            for each in said.get(one.user, ())
            if each.place != (one.partition, one.stream, one.key)
        ]
        kept = _kept(engine, one, users[one.user], others) if _acts(one, rule) else None
        lines.append(_leaver(one, rule, kept, now))
    return Found(lines, found.total)


def _timings(rules: dict[str, dict[str, GoneRule]]) -> list[Timing]:
    """A rule that deactivates nobody does not wait either: it acts at the next read."""
    return [
        Timing(name, reason, rule.action, rule.reads, HOUR, rule.days * DAY)
        if rule.action == DEACTIVATE
        else Timing(name, reason, rule.action, 0, HOUR, 0)
        for name, given in rules.items()
        for reason, rule in given.items()
    ]


# -- what all records of a user say ----------------------------------------------------------------


def _heard(
    engine: Engine, ids: set[UUID]
) -> tuple[dict[UUID, Entity], dict[UUID, list[Contribution]]]:
    """The users, and what each of their records says."""
    facts = StoreFacts(engine.database, 0, 0, 0)
    with facts.open():
        said = others_of(Outsider(facts, engine.speaker), Kind.USER, ids, ())
        return facts.entities(Kind.USER, ids), said


def _kept(engine: Engine, one: Going, user: Entity, others: Sequence[Verdict]) -> str | None:
    own = Verdict(one.connection, Stand.LEAVES, one.reason)
    precedence = Precedence(one.connection, engine.settings.precedence)
    return (
        None if decide(user, [*others, own], precedence) else why_kept(user, others, one.connection)
    )


# -- one leaver ------------------------------------------------------------------------------------


def _acts(one: Going, rule: GoneRule | None) -> bool:
    return rule is not None and rule.action == DEACTIVATE and one.state in RUNNING


def _leaver(one: Going, rule: GoneRule | None, kept: str | None, now: float) -> Leaver:
    clock = rule if _acts(one, rule) else None
    due = one.due if one.state in RUNNING else None
    return Leaver(
        one.user,
        one.name,
        one.email,
        one.login,
        one.client,
        one.connection,
        one.connection_state != "active",
        one.partition_name,
        one.key,
        one.state,
        one.reason,
        _moment(one.missed_at),
        _reads(one, clock),
        _days(one, clock, now),
        _moment(due),
        due is not None and due <= now,
        rule.action if rule else None,
        bool(clock and clock.release_licenses),
        kept,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _reads(one: Going, rule: GoneRule | None) -> tuple[int, int] | None:
    return (min(one.misses, rule.reads), rule.reads) if rule and rule.reads > 1 else None


def _days(one: Going, rule: GoneRule | None, now: float) -> tuple[int, int] | None:
    if rule is None or not rule.days or one.missed_at is None:
        return None
    days = round(rule.days)
    return min(int((now - one.missed_at) // DAY) + 1, days), days
