"""What a person may say about one record, what speaks against it, and what it changes."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from syncd.changes import (
    ASIDE,
    DECISION,
    NOBODY,
    PINNED,
    Action,
    Change,
    Decisions,
    LinkState,
    LinkWrite,
    Verdict,
    Word,
)
from syncd.entities import Entity, Kind
from syncd.mapping.words import UNLINKED, UNTIED, ignored
from syncd.store.answers_review import Record
from syncd.store.target.words import Said
from syncd.sync.untying import Untied

FORGOTTEN = "undecided"
_FORGOTTEN = "the word about it was taken back; the next sync plans it again"


class Verb(StrEnum):
    """What a person may say about a record."""

    __hash__ = str.__hash__

    LINK = "link"
    CREATE = "create"
    IGNORE = "ignore"
    UNLINK = "unlink"
    PIN = "pin"
    UNPIN = "unpin"
    FORGET = "forget"
    DISMISS = "dismiss"


_SENTENCES = {
    Verb.LINK: "linked by {}",
    Verb.CREATE: "created by {}",
    Verb.IGNORE: "ignored for ever by {}",
    Verb.UNLINK: "unlinked by {}",
    Verb.PIN: "pinned by {}",
    Verb.UNPIN: "unpinned by {}",
    Verb.FORGET: "what was said about it was taken back by {}",
    Verb.DISMISS: "rightly one of its own, said {}",
}
_VERDICTS = {
    Verb.LINK: Verdict.LINK,
    Verb.CREATE: Verdict.CREATE,
    Verb.IGNORE: Verdict.IGNORE,
    Verb.DISMISS: Verdict.CREATE,
}


class Case(NamedTuple):
    """One record that a person speaks about; `entity` is whom to link."""

    record: Record
    entity: UUID | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person says about one or many records, and why."""

    verb: Verb
    actor: str
    reason: str | None = None

    def word(self, case: Case) -> Word | None:
        """The word that stands from now on, if this is one."""
        verdict = _VERDICTS.get(self.verb)
        return Word(verdict, case.entity, self.actor, self.reason) if verdict else None

    def sentence(self) -> str:
        """`linked by tess: same badge`, for the ledger."""
        told = _SENTENCES[self.verb].format(self.actor)
        return f"{told}: {self.reason}" if self.reason else told


# -- what speaks against it ------------------------------------------------------------------------


def refusal(
    ruling: Ruling,
    case: Case,
    labels: Mapping[UUID, str],
    entities: Mapping[UUID, Entity],
    ties: Mapping[UUID, str],
    hinted: Collection[str],
) -> str | None:
    """Why this cannot be said about this record. `labels`: of all that it is or may be tied to;
    `entities`: of those to be linked; `ties`: the key of the living record that each has already;
    `hinted`: keys of accounts that look re-created.
    """
    verb, record = ruling.verb, case.record
    if verb in _OF_THE_FREE:
        return _tie_refusal(record, labels) or (
            _link_refusal(case, labels, entities, ties) if verb is Verb.LINK else None
        )
    if verb is Verb.FORGET:
        return None if record.standing else "nobody said anything about it"
    if record.tied is None or record.link is None:
        return "it is tied to nobody"
    if verb is Verb.DISMISS and record.key not in hinted:
        return "nothing says that it was re-created, or somebody spoke about it already"
    if verb in (Verb.PIN, Verb.UNPIN) and record.link.pinned is (verb is Verb.PIN):
        return "it is pinned already" if record.link.pinned else "it is not pinned"
    return None


_OF_THE_FREE = (Verb.LINK, Verb.CREATE, Verb.IGNORE)


def _tie_refusal(record: Record, labels: Mapping[UUID, str]) -> str | None:
    if record.tied is not None:
        whom = labels.get(record.tied, "somebody")
        return f"it is linked to {whom}; first: syncd review unlink {shlex.quote(record.key)}"
    if is_a_place(record):
        return "it has no key by which it could be known again; give it one in the source"
    return None


def _link_refusal(
    case: Case,
    labels: Mapping[UUID, str],
    entities: Mapping[UUID, Entity],
    ties: Mapping[UUID, str],
) -> str | None:
    record, entity = case.record, entities.get(case.entity) if case.entity else None
    if entity is None:
        return f"its stream is of {record.kind}s, and that is not one"
    if entity.retired:
        return f"{labels[entity.id]} is retired"
    if other := ties.get(entity.id):
        return (
            f"{labels[entity.id]} has another record of {record.connection}: {other}; if that one "
            f"is somebody else, first: syncd review unlink {shlex.quote(other)}"
        )
    return None


def is_a_place(record: Record) -> bool:
    """Whether what stands for its key says only where it stood, such as `(line 17)`."""
    unread = record.aside is not None and not record.aside.readable
    return unread and record.link is None and record.key[:1] == "(" and record.key[-1:] == ")"


# -- what it changes -------------------------------------------------------------------------------


class Ledger(NamedTuple):
    """What stands about records before a ruling, by key, and what came of it."""

    said: Mapping[str, Said]
    entities: Mapping[UUID, Entity]
    taken: Mapping[str, Untied]
    """By key what those that are to be untied take with them."""
    linked: Mapping[str, UUID | None]
    """By key whom the plan ties it to, None for nobody: it is ignored."""
    stored: frozenset[str]
    """Keys whose bytes are stored."""


def rule(ruling: Ruling, case: Case, known: Ledger, out: Decisions) -> None:
    """Add to `out` the change that tells the ruling, and what becomes of the record's link."""
    record = case.record
    change = _change(ruling, case, known)
    out.changes.append(change)
    if ruling.verb is Verb.UNLINK:
        _untie(record, known, change)
        out.links.append(
            _link(record, LinkState.UNLINKED, f"unlinked by {ruling.actor}")._replace(
                change=len(out.changes) - 1, pinned=False
            )
        )
    elif ruling.verb is Verb.FORGET:
        if _is_ignored(record):
            out.links.append(_link(record, LinkState.SKIPPED, ""))
            if record.key in known.stored:
                _waits(change, record, FORGOTTEN, _FORGOTTEN, "")
    elif ruling.verb in (Verb.PIN, Verb.UNPIN):
        pin = ruling.verb is Verb.PIN
        change.before[PINNED], change.after[PINNED] = not pin, pin
    elif ruling.verb is Verb.IGNORE and record.key not in known.stored:
        word, is_new = ruling.word(case), record.link is None
        assert word is not None
        owner = record.link.owner if record.link else ""
        out.links.append(ignored(record.stream, record.key, word, None, is_new, owner))
    _heal(ruling, record, known, change)


def _change(ruling: Ruling, case: Case, known: Ledger) -> Change:
    record = case.record
    entity = known.linked.get(record.key) or case.entity or record.tied or NOBODY
    action = Action.UNLINK if ruling.verb is Verb.UNLINK else Action.DECIDE
    stored = known.entities.get(entity)
    client = stored.client if stored else None
    if record.kind is Kind.CLIENT and entity != NOBODY:
        client = entity
    change = Change(
        record.kind,
        action,
        entity,
        client,
        record.stream,
        record.key,
        ruling.sentence(),
        {},
        rule=ruling.verb,
    )
    before, word = known.said.get(record.key), ruling.word(case)
    ends = ruling.verb in (Verb.FORGET, Verb.UNLINK) and before is not None
    if word is not None or ends:
        change.before[DECISION], change.after[DECISION] = before, _said(word)
    return change


def _said(word: Word | None) -> Said | None:
    if word is None:
        return None
    entity = word.entity.hex if word.entity else None
    told: dict[str, Any] = {"verdict": word.verdict.value, "entity": entity}
    return told | {"actor": word.actor, "reason": word.reason}


def _untie(record: Record, known: Ledger, change: Change) -> None:
    taken = known.taken.get(record.key)
    if taken is not None:
        change.before |= taken.diff.before
        change.after |= taken.diff.after
        change.effects |= taken.diff.effects
        if taken.identities:
            change.before["identities"], change.after["identities"] = taken.identities, []
    assert record.link is not None
    if record.link.state is not LinkState.GONE:  # what the source holds waits for another word
        _waits(change, record, UNLINKED, UNTIED, change.entity.hex)


def _link(record: Record, state: LinkState, note: str) -> LinkWrite:
    """The link of a record that is tied to nobody from now on, to be planned when it is read."""
    owner = record.link.owner if record.link else ""
    return LinkWrite(
        record.stream, record.key, state, record.kind, None, "", None, None, -1, False,
        note=note, owner=owner,
    )  # fmt: skip


def _is_ignored(record: Record) -> bool:
    return record.standing is not None and record.standing.word.verdict is Verdict.IGNORE


def _waits(change: Change, record: Record, code: str, message: str, suggestion: str) -> None:
    change.before[ASIDE] = _aside(record)
    change.after[ASIDE] = {
        "code": code, "message": message, "fields": [], "suggestion": suggestion
    }  # fmt: skip


def _heal(ruling: Ruling, record: Record, known: Ledger, change: Change) -> None:
    """What is tied or ignored from now on waits no more."""
    if record.aside and (ruling.verb is Verb.IGNORE or record.key in known.linked):
        change.before[ASIDE], change.after[ASIDE] = _aside(record), None


def _aside(record: Record) -> dict[str, Any] | None:
    one = record.aside
    if one is None:
        return None
    return {
        "code": one.code,
        "message": one.message,
        "fields": list(one.fields),
        "suggestion": one.suggestion,
    }
