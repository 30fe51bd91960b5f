"""Whether a user is active: what the records of all its sources say together.

A record that is gone, disabled or out of scope takes its user away only where its mapping's rule
says so, its clock has run out, and no other source still has the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from syncd.changes import OUT_OF_SCOPE, Action, Effect, LinkState
from syncd.entities import Entity, Kind
from syncd.mapping.contributions import LIVING, Contribution
from syncd.mapping.fields import Rules
from syncd.mapping.mapped import Mapped
from syncd.mapping.rules import GoneRule, Mapping
from syncd.mapping.values import Difference, Precedence

ABSENT, DELETED, DISABLED, RETIRED = "absent", "deleted", "disabled", "retired"

SENTENCES = {
    ABSENT: "a complete read did not mention it",
    DELETED: "the source says it was deleted",
    RETIRED: "a person retired its source",
    DISABLED: "the source says it is disabled",
    OUT_OF_SCOPE: "the mapping's scope does not include it any more",
}


class Stand(Enum):
    """What one record means for whether its user is active."""

    ACTIVE = auto()  # it says so
    PRESENT = auto()  # it is there, and says nothing else
    SILENT = auto()  # it is gone, and its rule keeps the user as it is
    LEAVES = auto()  # it is gone, disabled or out of scope, and its rule takes the user away


class Verdict(NamedTuple):
    """What a record means, for a leaving one why, and whether its rule releases licenses."""

    connection: str
    stand: Stand
    reason: str = ""
    releases: bool = False


_EMPTY = Mapping()
"""What is meant by a connection that is not configured any more."""


def rule_for(rules: Rules | None, reason: str) -> GoneRule:
    """The mapping's rule for one reason: disabled, deleted, absent or out_of_scope; that of absent
    for who is retired, by a person's word and so without any clock.
    """
    gone = (rules.mapping if rules else _EMPTY).gone
    rule: GoneRule = getattr(gone, ABSENT if reason == RETIRED else reason)
    return rule


def leaving(mapped: Mapped) -> str | None:
    """Why a record that is there speaks for leaving, if it does."""
    if not mapped.in_scope:
        return OUT_OF_SCOPE
    return DISABLED if mapped.values.get("active") is False else None


def verdict(one: Contribution) -> Verdict:
    """What a stored record means. While its clock runs it is as good as any that is there."""
    if one.state not in LIVING:
        return _gone(one.connection, one.rules, one.reason, Stand.SILENT)
    if one.state is not LinkState.ALIVE or one.mapped is None:
        return Verdict(one.connection, Stand.PRESENT)
    if reason := leaving(one.mapped):
        return _gone(one.connection, one.rules, reason, Stand.PRESENT)
    says = one.mapped.values.get("active") is True
    return Verdict(one.connection, Stand.ACTIVE if says else Stand.PRESENT)


def _gone(connection: str, rules: Rules | None, reason: str, kept: Stand) -> Verdict:
    known = reason in SENTENCES and (rules is not None or reason == RETIRED)
    rule = rule_for(rules, reason) if known else None
    if rule is not None and rule.action == "deactivate":
        return leaves(connection, reason, rule)
    return Verdict(connection, kept, reason)


def leaves(connection: str, reason: str, rule: GoneRule) -> Verdict:
    """The word of a record whose rule takes the user away."""
    return Verdict(connection, Stand.LEAVES, reason, rule.release_licenses)


def decide(
    user: Entity,
    verdicts: Sequence[Verdict],
    precedence: Precedence,
    returning: str | None = None,
) -> tuple[Action, str] | None:
    """Deactivate or reactivate, and why; None: as it is. `returning`: the connection whose record
    was gone, or out of scope, and is back.
    """
    if "active" in user.overrides:
        return None
    decisive = _decisive(verdicts, precedence)
    stands = {one.stand for one in decisive}
    if user.active:
        going = [one for one in decisive if one.stand is Stand.LEAVES]
        kept = user.values.get("keep_active") or stands & {Stand.ACTIVE, Stand.PRESENT}
        return (Action.DEACTIVATE, SENTENCES[going[-1].reason]) if going and not kept else None
    back = any(one.connection == returning and one.stand is Stand.PRESENT for one in decisive)
    if Stand.ACTIVE in stands or back:
        return Action.REACTIVATE, "it is active in the source"
    return None


def deactivate(diff: Difference, verdicts: Sequence[Verdict], precedence: Precedence) -> None:
    """Take the user away, as these verdicts say; and their licenses, where a rule says so."""
    diff.set("active", True, False)
    diff.effects |= release(verdicts, precedence)


def release(verdicts: Sequence[Verdict], precedence: Precedence) -> int:
    """The effect of taking the user away on their licenses: one rule that frees them is enough."""
    going = (one for one in _decisive(verdicts, precedence) if one.stand is Stand.LEAVES)
    return int(Effect.LICENSE_RELEASE) if any(one.releases for one in going) else 0


def why_kept(user: Entity, verdicts: Sequence[Verdict], connection: str) -> str:
    """Why a user stays active although a record of it is gone from this connection."""
    if not user.active:
        return "it is inactive already"
    if user.values.get("keep_active"):
        return "it is flagged to be kept active"
    if "active" in user.overrides:
        return "a person set whether it is active"
    for one in verdicts:
        if one.stand in (Stand.ACTIVE, Stand.PRESENT):
            if one.connection == connection:
                return "another record of this source still has it"
            return f"another source still has it: {one.connection}"
    return "another source decides who is active"


def _decisive(verdicts: Sequence[Verdict], precedence: Precedence) -> Sequence[Verdict]:
    """The verdicts of the authority, where one is named and knows the user; else all of them."""
    for name in precedence.authorities(Kind.USER):
        if own := [one for one in verdicts if one.connection == name]:
            return own
    return verdicts
