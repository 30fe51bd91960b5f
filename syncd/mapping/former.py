"""Matches by a key of somebody who was merged: they hold while a source, or a person, says it.

Whoever was merged keeps the keys of that day. An address that no source says of them any more may
be somebody else's by now, so a person decides whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncd import keys
from syncd.changes import Situation
from syncd.entities import LOCAL, Entity, Kind
from syncd.mapping.contributions import Contribution
from syncd.mapping.hearing import others_of
from syncd.mapping.match import Match, Subject
from syncd.mapping.page import Context


def believed(work: Context, subjects: Sequence[Subject], matches: list[Match]) -> list[Match]:
    """The matches of users, but those by a key that nobody says any more: these are ambiguous."""
    merged = {match.entity: match.former for match in matches if match.entity and match.former}
    if not merged:
        return matches
    said = others_of(work, Kind.USER, merged, [])
    former = work.facts.entities(Kind.USER, {*merged.values()})
    return [
        match
        if match.former not in former
        or match.entity is None
        or _holds(subject, match.rule, former[match.former], said.get(match.entity, ()))
        else _doubted(match)
        for subject, match in zip(subjects, matches, strict=True)
    ]


def _holds(subject: Subject, rule: str, former: Entity, said: Sequence[Contribution]) -> bool:
    names = rule.split("+")
    wanted = {name: subject.keys[name] for name in names}
    by_hand = all(former.owner(name) == LOCAL for name in names)
    return by_hand or any(
        wanted.items() <= keys.keys(Kind.USER, one.mapped.values).items()
        for one in said
        if one.speaks and one.mapped
    )


def _doubted(match: Match) -> Match:
    assert match.entity is not None
    why = (
        f"its {match.rule} was that of somebody who was merged into another, and no source says "
        "so of them any more: it may be somebody else's by now"
    )
    return Match(Situation.AMBIGUOUS, None, match.rule, (match.entity,), why)
