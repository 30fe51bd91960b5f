"""Finding the entity of an unlinked record: ordered rules, and what makes a match unsafe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from syncd.changes import PERSON, Situation, Tie
from syncd.entities import Kind
from syncd.mapping.view import Facts, KeyTuple, Want, holders
from syncd.records import Identity

Rule = tuple[str, ...]


@dataclass(slots=True)
class Subject:
    """An unlinked record that looks for its entity.

    `keys`: normalized keys by field. `scope`: the client to search in, None for everywhere.
    `fresh`: the scope is created by this plan, so nobody is in it but who goes there by the same.
    """

    keys: dict[str, str]
    scope: UUID | None
    fresh: bool = False
    identities: tuple[Identity, ...] = ()


class Match(NamedTuple):
    """What correlation found. `rivals` are the other entities that answer to the same rule.

    `code`: the reason code of one that is ambiguous in a way of its own. `former`: who answered to
    the rule, and was merged into the entity since.
    """

    situation: Situation
    entity: UUID | None = None
    rule: str = ""
    rivals: tuple[UUID, ...] = ()
    why: str = ""
    code: str = ""
    former: UUID | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The rule that found somebody, as what a quarantined record names as its fields."""
        return (self.rule,) if self.rule else ()

    @property
    def reason(self) -> str:
        """The sentence that a change of a matched entity is explained by."""
        return self.why or f"matched by {self.rule}"


NEW = Match(Situation.NEW)


def correlate(
    kind: Kind, stream: str, rules: Sequence[Rule], subjects: Sequence[Subject], facts: Facts
) -> list[Match]:
    """One match for each subject: the first rule that finds anybody decides."""
    found: list[Hit | None] = [None] * len(subjects)
    for rule in rules:
        open_ones = [at for at, hit in enumerate(found) if hit is None]
        hits = _by_identity if rule == ("identity",) else _by_keys
        for at, ids in hits(kind, rule, open_ones, subjects, facts).items():
            found[at] = Hit("+".join(rule), ids)
    _add_former(kind, rules, subjects, found, facts)
    held = {entity for hit in found if hit for entity in hit.ids}
    ties = facts.ties(stream, held) if held else {}
    return [NEW if hit is None else judge(hit, ties) for hit in found]


class Hit(NamedTuple):
    """Who answers to a rule; `former`: who did so before they were merged."""

    rule: str
    ids: list[UUID]
    former: UUID | None = None


def _add_former(
    kind: Kind,
    rules: Sequence[Rule],
    subjects: Sequence[Subject],
    found: list[Hit | None],
    facts: Facts,
) -> None:
    """For whom nobody answers: who did before a person merged them, and who they are now."""
    for rule in rules:
        open_ones = [at for at, hit in enumerate(found) if hit is None and not subjects[at].fresh]
        wanted = _wanted(rule, open_ones, subjects)
        merged = facts.former(kind, rule, set(wanted.values())) if wanted else {}
        for at, want in wanted.items():
            if past := merged.get(want):
                ids = sorted({one.into for one in past})
                found[at] = Hit("+".join(rule), ids, past[0].entity)


def claims(kind: Kind, rules: Sequence[Rule], subject: Subject, match: Match) -> list[int]:
    """Hashes of all that an unlinked record claims for itself: its entity, its unique keys.

    Two records of one plan that share a claim are both ambiguous. Valid within this process only.
    """
    made = [hash((kind, match.entity))] if match.entity else []
    if match.rule == PERSON:  # whoever else has its keys
        return made
    scope = subject.scope.int if subject.scope else 0
    for rule in rules:
        if rule == ("identity",):
            made += identity_claims(subject.identities)
        elif values := values_of(subject.keys, rule):
            made.append(hash((kind, rule, scope, values)))
    return made


def identity_claims(identities: Iterable[Sequence[str]]) -> set[int]:
    """What a record claims that gains these identities, as `claims` says it."""
    return {hash((Kind.USER, "identity", *one)) for one in identities}


def values_of(keys: Mapping[str, str], rule: Rule) -> KeyTuple | None:
    """The keys that a rule asks for, None where there are not all of them: an empty key never
    matches.
    """
    if len(rule) == 1:
        value = keys.get(rule[0])
        return (value,) if value else None
    values = tuple([keys.get(name, "") for name in rule])
    return values if all(values) else None


def _by_identity(
    _kind: Kind, _rule: Rule, open_ones: list[int], subjects: Sequence[Subject], facts: Facts
) -> dict[int, list[UUID]]:
    wanted = {identity for at in open_ones for identity in subjects[at].identities}
    if not wanted:
        return {}
    holders = facts.holders(wanted)
    hits = {}
    for at in open_ones:
        ids = {holders[one] for one in subjects[at].identities if one in holders}
        if ids:
            hits[at] = sorted(ids)
    return hits


def _by_keys(
    kind: Kind, rule: Rule, open_ones: list[int], subjects: Sequence[Subject], facts: Facts
) -> dict[int, list[UUID]]:
    wanted = _wanted(rule, open_ones, subjects)
    if not wanted:
        return {}
    fresh = {want for at, want in wanted.items() if subjects[at].fresh}
    held = holders(facts, kind, rule, set(wanted.values()), fresh)
    return {at: ids for at, want in wanted.items() if (ids := held.get(want))}


def _wanted(rule: Rule, open_ones: Iterable[int], subjects: Sequence[Subject]) -> dict[int, Want]:
    """What a rule by keys asks for."""
    found: dict[int, Want] = {}
    if rule == ("identity",):
        return found
    for at in open_ones:
        subject = subjects[at]
        if values := values_of(subject.keys, rule):
            found[at] = (subject.scope, values)
    return found


def judge(hit: Hit, ties: dict[UUID, Tie]) -> Match:
    """What comes of those who answer to a rule. `ties`: of them to this connection."""
    rule, ids, former = hit
    if len(ids) > 1:
        why = f"{len(ids)} records on the desk have this {rule}"
        return Match(Situation.AMBIGUOUS, None, rule, tuple(ids), why)
    only = ids[0]
    tie = ties.get(only)
    if tie is None:
        why = f"matched by the {rule} of one of those that it was merged of" if former else ""
        return Match(Situation.MATCHED, only, rule, why=why, former=former)
    if tie.alive:
        why = f"the one on the desk with this {rule} is linked to another record of this source"
        return Match(Situation.AMBIGUOUS, None, rule, (only,), why)
    return Match(
        Situation.NEW, None, rule, (only,), f"its {rule} belonged to a record that is gone"
    )
