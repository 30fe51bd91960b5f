"""The review queue as a person sees it: what waits, and for each record whom it may be, ranked.

Suggestions are made when they are asked for, from stored bytes; nothing is linked because of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from syncd import keys
from syncd.changes import NOBODY
from syncd.entities import Kind
from syncd.mapping.casts import RecordRejected
from syncd.mapping.fields import Rules
from syncd.mapping.mapped import Mapped
from syncd.mapping.suggest import Index, Sought, Suggestion, told
from syncd.mapping.words import UNLINKED, VOID
from syncd.records import Location, Person, Reject
from syncd.records import Record as Parsed
from syncd.store import answers, answers_likely, answers_review
from syncd.store.answers_review import Record, Wanted
from syncd.store.database import Transaction
from syncd.sync.engine import Engine
from syncd.sync.rulings import Case, Verb

MOST_IN_CLIENT = 20_000
"""Users or sites of one client that are compared by name: of more, only what planning found."""
MATCHING = frozenset(
    {
        *("ambiguous_client", "ambiguous_site", "ambiguous_user", "exists_locally", "same_name"),
        *("shared_key", "unknown_client", "unknown_site", UNLINKED, VOID),
    }
)
"""Reason codes of records that could be read and only lack an entity: they may be linked."""
_STRONG = frozenset({"ambiguous_client", "ambiguous_site", "ambiguous_user", "exists_locally"})
_WEAK_RULES = frozenset({"name", "phone", "mobile"})
_WHY = {
    UNLINKED: "it was linked to it before",
    VOID: "a person named it",
}
_OF_CLIENTS = ("ref", "tenant_id", "accounts_id", "domain")


class Offer(NamedTuple):
    """Somebody whom a record may be. `taken`: the other record that the source has of them."""

    id: UUID
    label: str
    score: int
    why: str
    proof: bool
    taken: str | None


class Entry(NamedTuple):
    """A record that waits, the client that it would belong to, and whom it may be. `named`: whom
    the word names that stands about it already.
    """

    record: Record
    client: UUID | None
    offers: list[Offer]
    named: str | None = None

    def best(self) -> tuple[Offer | None, str]:
        """The one suggestion that a shared key proves; without one, why not."""
        proven = [one for one in self.offers if one.proof]
        if not proven:
            return None, "no key proves whom it is" if self.offers else "nobody is like it"
        if len(proven) > 1:
            return None, f"several have its keys: {'; '.join(one.label for one in proven)}"
        if other := proven[0].taken:
            return None, f"{proven[0].label} has another record of this source: {other}"
        return proven[0], ""


@dataclass(slots=True)
class Queue:
    """The first entries, and how many there are in all."""

    entries: list[Entry]
    total: int


def queue(engine: Engine, wanted: Wanted, client: UUID | None, limit: int) -> Queue:
    """What waits, with suggestions; `client`: only what belongs to it or may be it. `limit` 0: all.

    Whose record it is shows only when it is parsed, so a client's are looked for among all.
    """
    adviser = Adviser(engine)
    found = Queue([], 0)
    for page in answers_review.waiting(engine.database, wanted):
        if client is None:
            room = limit - len(found.entries) if limit else len(page)
            found.entries += adviser.entries(page[:room])
        else:
            fitting = [one for one in adviser.entries(page) if _is_of(one, client)]
            room = limit - len(found.entries) if limit else len(fitting)
            found.entries += fitting[:room]
            found.total += len(fitting)
        if client is None and limit and len(found.entries) >= limit:
            break
    if client is None:
        found.total = answers_review.count_waiting(engine.database, wanted)
    return found


def chosen(engine: Engine, wanted: Wanted, client: UUID | None) -> Iterator[Record]:
    """All records that a filter finds."""
    adviser = Adviser(engine)
    for page in answers_review.waiting(engine.database, wanted):
        if client is None:
            yield from page
        else:
            yield from (one.record for one in adviser.entries(page) if _is_of(one, client))


def choose(
    engine: Engine, verb: Verb, wanted: Wanted, client: UUID | None
) -> tuple[list[Case], list[tuple[Record, str]]]:
    """The cases that a filter finds, and what it finds and must be left, each with why: a record is
    linked to whom a shared key proves it to be, never to whom it is only like.
    """
    if verb is not Verb.LINK:
        return [Case(one) for one in chosen(engine, wanted, client)], []
    cases, left = [], []
    for entry in queue(engine, wanted, client, 0).entries:
        best, why = entry.best()
        if best is None:
            left.append((entry.record, why))
        else:
            cases.append(Case(entry.record, best.id))
    times = Counter((case.record.connection, case.entity) for case in cases)
    same = {case for case in cases if times[case.record.connection, case.entity] > 1}
    left += [
        (case.record, "several of these records would be linked to the same one")
        for case in cases
        if case in same
    ]
    return [case for case in cases if case not in same], left


def _is_of(entry: Entry, client: UUID) -> bool:
    return entry.client == client or client in {one.id for one in entry.offers}


# -- what records say of themselves ----------------------------------------------------------------


class _Read(NamedTuple):
    """What the stored bytes of a record say, parsed and mapped again."""

    parsed: Parsed
    mapped: Mapped


@dataclass(slots=True)
class Adviser:
    """Ranks suggestions. What all records are compared with is loaded once."""

    engine: Engine
    _clients: Index | None = None
    _members: dict[tuple[Kind, UUID], Index] = field(default_factory=dict)
    _mail: dict[int, dict[str, set[str]]] = field(default_factory=dict)

    def entries(self, records: Sequence[Record]) -> list[Entry]:
        """The records with whom they may be, in their order."""
        groups: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
        for one in records:
            groups[one.connection, one.partition, one.stream].append(one)
        read = {key: one for some in groups.values() for key, one in self._read(some).items()}
        clients = self._clients_of(read)
        found = {one: self._suggested(one, read.get(one), clients.get(one)) for one in records}
        return self._entries(found, clients)

    def _read(self, records: Sequence[Record]) -> dict[Record, _Read]:
        """Those of one stream that can be read and mapped."""
        connection, partition, stream = records[0][:3]
        database, names = self.engine.database, [one.key for one in records]
        raws = database.query(
            lambda conn: answers_review.raws(database, conn, partition, stream, names)
        )
        speaker = self.engine.speaker(connection)
        parse = speaker.parse.get(stream) if speaker else None
        read: dict[Record, _Read] = {}
        if speaker is None or parse is None:
            return read
        for one in records:
            for parsed in parse(raws[one.key]) if one.key in raws else ():
                mapped = _mapped(speaker.rules, parsed)
                if mapped and parsed.key == one.key:
                    read[one] = _Read(parsed, mapped)  # type: ignore[arg-type]  # no Reject is mapped
        return read

    def _clients_of(self, read: Mapping[Record, _Read]) -> dict[Record, UUID]:
        """Whose a person's or a location's record would be."""
        named: dict[int, dict[Record, str]] = defaultdict(dict)
        for record, one in read.items():
            if isinstance(one.parsed, Person | Location) and one.parsed.organization:
                named[record.partition][record] = one.parsed.organization
        found = {}
        for partition, organizations in named.items():
            links = self._organizations(partition, list(organizations.values()))
            for record, organization in organizations.items():
                if client := links.get(organization):
                    found[record] = client
        return found

    def _organizations(self, partition: int, names: list[str]) -> dict[str, UUID]:
        database = self.engine.database
        links = database.query(
            lambda conn: answers_review.links_of(database, conn, partition, "organizations", names)
        )
        return {key: one.entity for key, one in links.items() if one.entity}

    # -- whom they may be --------------------------------------------------------------------------

    def _suggested(
        self, record: Record, read: _Read | None, client: UUID | None
    ) -> list[Suggestion]:
        aside = record.aside
        if aside is None or aside.code not in MATCHING:
            return []
        found = _found_before(aside)
        if read is None:
            return Index([]).rank(Sought([]), found)
        if record.kind is Kind.CLIENT:
            return self._all_clients().rank(self._organization(record, read), found)
        own = keys.keys(record.kind, read.mapped.values)
        sought = Sought([str(read.mapped.values.get("name", ""))], own)
        return self._members_of(record.kind, client).rank(sought, found)

    def _organization(self, record: Record, read: _Read) -> Sought:
        values = read.mapped.values
        own = keys.keys(Kind.CLIENT, values)
        texts = {"mail": values.get("accounts_email"), "website": values.get("website")}
        domains = dict.fromkeys(self._mail_of(record).get(record.key, ()), "people")
        domains |= {keys.domain(str(text)): whose for whose, text in texts.items() if text}
        if "domain" in own:
            domains[own["domain"]] = "domain"
        names = [str(values[name]) for name in ("name", "trading_name") if values.get(name)]
        return Sought(names, {name: own[name] for name in _OF_CLIENTS if name in own}, domains)

    def _mail_of(self, record: Record) -> dict[str, set[str]]:
        """The mail domains of people who wait for their organization, as far as they are at hand:
        of the first thousand.
        """
        if record.partition not in self._mail:
            wanted = Wanted(record.connection, "people", "unknown_client")
            page = next(answers_review.waiting(self.engine.database, wanted), [])
            here = [one for one in page if one.partition == record.partition]
            found = self._mail[record.partition] = defaultdict(set)
            for one in self._read(here).values() if here else ():
                assert isinstance(one.parsed, Person)
                if one.parsed.organization and (mail := one.mapped.values.get("email")):
                    found[one.parsed.organization].add(keys.domain(str(mail)))
        return self._mail[record.partition]

    def _all_clients(self) -> Index:
        if self._clients is None:
            self._clients = Index(answers_likely.clients(self.engine.database))
        return self._clients

    def _members_of(self, kind: Kind, client: UUID | None) -> Index:
        if client is None:
            return Index([])
        if (kind, client) not in self._members:
            look = answers_likely.people if kind is Kind.USER else answers_likely.sites
            known = look(self.engine.database, client, MOST_IN_CLIENT)
            self._members[kind, client] = Index(known)
        return self._members[kind, client]

    # -- as a person reads it ----------------------------------------------------------------------

    def _entries(
        self, found: Mapping[Record, list[Suggestion]], clients: Mapping[Record, UUID]
    ) -> list[Entry]:
        database = self.engine.database
        ids: dict[tuple[str, str], set[UUID]] = defaultdict(set)
        for record, some in found.items():
            ids[record.connection, record.stream] |= {one.entity for one in some}
        words = {record: _named_by(record) for record in found}
        everybody = {one for some in ids.values() for one in some} | {*words.values()}

        def look(conn: Transaction) -> tuple[dict[UUID, str], dict[tuple[str, str], _Ties]]:
            ties = {
                place: answers_review.living_ties(database, conn, *place, some)
                for place, some in ids.items()
            }
            return answers.labels(database, conn, everybody), ties

        labels, ties = database.query(look)
        return [
            Entry(
                record,
                clients.get(record),
                [
                    Offer(
                        one.entity, labels[one.entity], one.score, one.why, one.proof,
                        ties[record.connection, record.stream].get(one.entity),
                    )
                    for one in some
                    if one.entity in labels
                ],
                labels.get(words[record]),
            )
            for record, some in found.items()
        ]  # fmt: skip


_Ties = dict[UUID, str]


def _named_by(record: Record) -> UUID:
    """Whom a person's word names that stands about the record."""
    return (record.standing and record.standing.word.entity) or NOBODY


def _mapped(rules: Rules, parsed: Parsed | Reject) -> Mapped | None:
    try:
        return None if isinstance(parsed, Reject) else rules.said(parsed)
    except RecordRejected:
        return None


def _found_before(aside: answers_review.Aside) -> list[Suggestion]:
    """Whom planning found by its rules when it set the record aside; names are compared anew."""
    if aside.code == "same_name":
        return []
    ids = [UUID(hex=one) for one in aside.suggestion.split(",") if one]
    rule = "+".join(aside.fields)
    proof = len(ids) == 1 and aside.code in _STRONG and bool(rule) and rule not in _WEAK_RULES
    why = _WHY.get(aside.code) or f"same {told(rule) if rule else 'key'}"
    return [Suggestion(one, 100, why, proof) for one in ids]
