"""Who is meant by a key that a merged user has, or had, besides those that stand in its fields.

A user with several records shows one address, and each of its records may say another: whoever
names any of them means that user. One who was merged keeps the keys of that day as well; what no
record, and no person, says of them any more may be somebody else's by now, so a person decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from syncd import keys
from syncd.changes import Situation
from syncd.entities import LOCAL, Entity, Kind
from syncd.mapping.contributions import Contribution
from syncd.mapping.hearing import others_of
from syncd.mapping.match import Hit, Match, Rule, Subject, judge, values_of
from syncd.mapping.page import Context, Spoken


def among_merged(
    work: Context, rules: Sequence[Rule], subjects: Sequence[Subject], matches: list[Match]
) -> list[Match]:
    """The matches of people, with those who are merged users by what any of their records says."""
    if not any(_is_open(match) for match in matches) or not (merged := _merged(work)):
        return matches
    ids = {match.former for match in matches if match.former}
    former = work.facts.entities(Kind.USER, ids) if ids else {}
    checked = [
        match
        if match.former not in former or match.entity is None
        else _believed(subject, match, former[match.former], merged.get(match.entity))
        for subject, match in zip(subjects, matches, strict=True)
    ]
    return _with_others(work, rules, subjects, checked, merged)


def _is_open(match: Match) -> bool:
    """Whether nobody on the desk has any of its keys today."""
    return match.former is not None or (match.situation is Situation.NEW and not match.rule)


def _merged(work: Context) -> Mapping[UUID, Spoken]:
    """The users into whom others were merged, with what their records say; asked once."""
    if work.merged is None:
        users = work.facts.entities(Kind.USER, work.facts.merged_users())
        said = others_of(work, Kind.USER, users, []) if users else {}
        work.merged = {one: Spoken(user, said.get(one, [])) for one, user in users.items()}
    return work.merged


def _believed(subject: Subject, match: Match, former: Entity, now: Spoken | None) -> Match:
    names = match.rule.split("+")
    wanted = {name: subject.keys[name] for name in names}
    if all(former.owner(name) == LOCAL for name in names):
        return match
    if now and any(wanted.items() <= _keys(one).items() for one in now.said):
        return match
    assert match.entity is not None
    why = (
        f"its {match.rule} was that of somebody who was merged into another, and no source says "
        "so of them any more: it may be somebody else's by now"
    )
    return Match(Situation.AMBIGUOUS, None, match.rule, (match.entity,), why)


def _with_others(
    work: Context,
    rules: Sequence[Rule],
    subjects: Sequence[Subject],
    matches: list[Match],
    merged: Mapping[UUID, Spoken],
) -> list[Match]:
    """The matches with those that one record of a merged user tells, though its fields do not."""
    index = _index(rules, merged)
    hits: dict[int, Hit] = {}
    for at, (subject, match) in enumerate(zip(subjects, matches, strict=True)):
        for rule in rules if _is_open(match) and match.former is None else ():
            if ids := index.get((rule, subject.scope, values_of(subject.keys, rule))):
                hits.setdefault(at, Hit("+".join(rule), sorted(ids), min(ids)))
    ties = work.facts.ties("people", {one for hit in hits.values() for one in hit.ids})
    return [judge(hits[at], ties) if at in hits else match for at, match in enumerate(matches)]


def _index(
    rules: Sequence[Rule], merged: Mapping[UUID, Spoken]
) -> dict[tuple[Rule, UUID | None, tuple[str, ...] | None], set[UUID]]:
    """Merged users by rule, client and the keys that any of their records says."""
    found: dict[tuple[Rule, UUID | None, tuple[str, ...] | None], set[UUID]] = defaultdict(set)
    for one, (user, said) in merged.items():
        for each in said:
            told = _keys(each)
            for rule in rules:
                if values := values_of(told, rule):
                    found[rule, user.client, values].add(one)
    return found


def _keys(one: Contribution) -> dict[str, str]:
    return keys.keys(Kind.USER, one.mapped.values) if one.speaks and one.mapped else {}
