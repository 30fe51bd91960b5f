"""What people said about single records: it stands before every correlation rule.

A word counts while its record is tied to nobody. One that cannot be kept (who was to be linked is
not there any more) sets its record aside: a person said something, so nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from syncd.changes import (
    PERSON,
    LinkFact,
    LinkState,
    LinkWrite,
    Situation,
    Tie,
    Verdict,
    Word,
)
from syncd.entities import Entity, Kind
from syncd.mapping.items import Item
from syncd.mapping.match import Match, Rule, Subject, correlate
from syncd.mapping.page import KIND_OF, STREAM_OF, Candidate, Page
from syncd.mapping.view import Facts

UNLINKED = "unlinked"
UNTIED = "a person untied it: it is matched with nobody by itself"
VOID = "decision_void"
KINDS = {STREAM_OF[record]: kind for record, kind in KIND_OF.items()}
"""The kind of entity that the records of each stream are mapped to."""


def leave_out_ignored(
    stream: str,
    items: Sequence[Item],
    links: Mapping[str, LinkFact],
    words: Mapping[str, Word],
    page: Page,
) -> Sequence[Item]:
    """The items that nobody ignores for ever; of the others only that they were read is kept."""
    if not words:
        return items
    left = []
    for item in items:
        word, link = words.get(item.key), links.get(item.key)
        if word and word.verdict is Verdict.IGNORE and (link is None or link.is_free):
            page.out.links.append(ignored(stream, item.key, word, item, link is None))
        else:
            left.append(item)
    return left


def ignored(
    stream: str, key: str, word: Word, item: Item | None, is_new: bool, owner: str = ""
) -> LinkWrite:
    """The link of a record that a person ignores; with `item` it is settled as long as that is the
    same.
    """
    return LinkWrite(
        stream,
        key,
        LinkState.SKIPPED,
        KINDS[stream],
        None,
        "",
        item.digest if item else None,
        item.raw if item else None,
        -1,
        is_new,
        note=f"ignored by {word.actor}",
        owner=owner,
    )


def heed(
    stream: str,
    candidates: Sequence[Candidate],
    words: Mapping[str, Word],
    facts: Facts,
    page: Page,
) -> list[Candidate]:
    """The candidates with the words about them; whom a person untied or ignores is taken out."""
    left = []
    for one in candidates:
        link = one.link
        said = words if one.stream == stream else facts.decisions(one.stream, [one.key])
        one.word = said.get(one.key) if link is None or link.is_free else None
        if one.word and one.word.verdict is Verdict.IGNORE:
            page.out.links.append(
                ignored(one.stream, one.key, one.word, None, link is None, one.owner)
            )
        elif one.word is None and link and link.state is LinkState.UNLINKED:
            page.quarantine(one, UNLINKED, UNTIED)
        else:
            left.append(one)
    return left


def match_all(
    kind: Kind,
    stream: str,
    rules: Sequence[Rule],
    ones: Sequence[Candidate],
    subjects: Sequence[Subject],
    facts: Facts,
) -> list[Match]:
    """One match for each: as a person said, else by the first rule that finds anybody."""
    if not any(one.word for one in ones):
        return correlate(kind, stream, rules, subjects, facts)
    free = [at for at, one in enumerate(ones) if one.word is None]
    found = correlate(kind, stream, rules, [subjects[at] for at in free], facts)
    matches = dict(zip(free, found, strict=True))
    named = to_be_linked(kind, ones, facts)
    ties = facts.ties(stream, named) if named else {}
    for at, one in enumerate(ones):
        if one.word is not None:
            matches[at] = _said(one, one.word, named, ties)
    return [matches[at] for at in range(len(ones))]


def to_be_linked(kind: Kind, candidates: Sequence[Candidate], facts: Facts) -> dict[UUID, Entity]:
    """The entities that people named for candidates, as far as they are there."""
    ids = {one.word.entity for one in candidates if one.word and one.word.entity}
    found = facts.entities(kind, ids) if ids else {}
    return {one: entity for one, entity in found.items() if not entity.retired}


def _said(
    one: Candidate, word: Word, named: Mapping[UUID, Entity], ties: Mapping[UUID, Tie]
) -> Match:
    if word.verdict is Verdict.CREATE:
        return Match(Situation.NEW, None, PERSON, why=_sentence("created", word))
    assert word.entity is not None
    if word.entity not in named:
        why = f"{word.actor} linked it to somebody who is not there any more"
        return Match(Situation.AMBIGUOUS, why=why, code=VOID)
    tie = ties.get(word.entity)
    if tie and tie.alive and tie.key != one.key:
        why = f"whom {word.actor} linked it to has another record of this source by now"
        return Match(Situation.AMBIGUOUS, rivals=(word.entity,), why=why, code=VOID)
    return Match(Situation.MATCHED, word.entity, PERSON, why=_sentence("linked", word))


def _sentence(what: str, word: Word) -> str:
    """`linked by tess: same badge`."""
    return f"{what} by {word.actor}" + (f": {word.reason}" if word.reason else "")
