"""Gaps, both ways: people whom a source has and the desk has not, users whom no source has.

What a record says about itself is read from its stored item, by the connector of its connection;
of a connection that is not configured any more only keys are known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from syncd.changes import NOTES, Action
from syncd.entities import Kind
from syncd.records import Organization, Person, Record
from syncd.store import answers_gaps, gaps
from syncd.store.answers import labels
from syncd.store.answers_gaps import Alone, Deed, Place, Stray, Tie
from syncd.store.database import Transaction
from syncd.store.facts import StoreFacts
from syncd.sync.engine import Engine
from syncd.sync.gone_rules import gone_rules
from syncd.text import fold

L = TypeVar("L")
PAGE = 1000
"""Records that are read and parsed at a time."""
_ORGANIZATIONS = "organizations"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which gaps: of one connection or all, of one client or all, at most so many (0: all).

    `client` is one of the desk, `word` what a source may call it; people are found by either.
    """

    connection: str | None = None
    client: UUID | None = None
    word: str = ""
    limit: int = 0

    @property
    def one_client(self) -> bool:
        return bool(self.client or self.word)


@dataclass(frozen=True, slots=True)
class Gaps(Generic[L]):
    """One direction: how many there are, of which clients (the most first), and the first of them.

    A client None: records that name none, or do not say.
    """

    total: int
    clients: list[tuple[str | None, int]]
    lines: list[L]


class Missing(NamedTuple):
    """A person in a source who is not on the desk. `code`: the reason code of quarantine, or
    skipped, undone, unlinked or ignored; `client_id`: None where the desk has no such client.
    """

    connection: str
    partition: str
    key: str
    name: str | None
    mail: str | None
    client: str | None
    client_id: UUID | None
    code: str
    message: str
    fields: list[str]
    rivals: list[str]
    since: datetime | None
    run: int | None
    actor: str | None


class Reason(NamedTuple):
    """Why no source has a user. `code`: added (by hand), gone, undone or unlinked.

    `reason` says why a record is gone, `rule` what the mapping does about it, where that is known,
    `undo` which run made the user active again after that.
    """

    code: str
    connection: str | None = None
    key: str | None = None
    reason: str | None = None
    rule: str | None = None
    since: datetime | None = None
    actor: str | None = None
    undo: int | None = None


class Unsourced(NamedTuple):
    """An active user of the desk whom no source has. `set_active`: by a person."""

    user: UUID
    client: str
    name: str
    email: str | None
    login: str | None
    keep_active: bool | None
    set_active: bool
    reasons: list[Reason]


# -- people who are not on the desk ----------------------------------------------------------------


def missing_people(engine: Engine, asked: Asked) -> Gaps[Missing]:
    """People in a source who are not on the desk, by client and name."""
    clients: Counter[str | None] = Counter()

    def counted() -> Iterator[Missing]:
        for place in answers_gaps.places(engine.database, asked.connection):
            for one in _Reader(engine, place).people():
                if _is_meant(one, asked):
                    clients[one.client] += 1
                    yield one

    if asked.limit:  # never more of them in memory than are shown
        lines = nsmallest(asked.limit, counted(), key=_order)
    else:
        lines = sorted(counted(), key=_order)
    return Gaps(clients.total(), _by_count(clients.items()), _with_rivals(engine, lines))


def _is_meant(one: Missing, asked: Asked) -> bool:
    if not asked.one_client:
        return True
    if one.client_id:
        return one.client_id == asked.client
    return one.client is not None and fold(one.client) == fold(asked.word)


def _order(one: Missing) -> tuple[Any, ...]:
    named = (one.client is None, fold(one.client or ""), fold(one.name or ""))
    return (*named, one.connection, one.key, one.partition)


def _by_count(clients: Iterable[tuple[str | None, int]]) -> list[tuple[str | None, int]]:
    return sorted(clients, key=lambda one: (-one[1], one[0] is None, fold(one[0] or "")))


def _with_rivals(engine: Engine, lines: Sequence[Missing]) -> list[Missing]:
    """Names for the ids of those whom a record may be."""
    ids = {UUID(hex=one) for line in lines for one in line.rivals}
    if not ids:
        return list(lines)
    names = engine.database.query(lambda conn: labels(engine.database, conn, ids))
    return [
        line._replace(rivals=[names[one] for one in map(UUID, line.rivals) if one in names])
        for line in lines
    ]


class _Owner(NamedTuple):
    """The client that a record names: of the desk, or in the source's own words."""

    name: str | None
    client: UUID | None = None


_NOBODY = _Owner(None)


class _Reader:
    """Reads the strays of one partition, and what their items say."""

    def __init__(self, engine: Engine, place: Place) -> None:
        self.database = engine.database
        self.place = place
        self.facts = StoreFacts(engine.database, 0, place.partition, 0)
        self.speaker = engine.speaker(place.connection)
        self.owners: dict[str, _Owner] = {}
        """By key of their organization: an entry for each client of the partition."""
        self.words: dict[str, str] = {}
        """What people's own items call their organization."""

    def people(self) -> Iterator[Missing]:
        partition = self.place.partition
        past = self.database.query(lambda conn: gaps.vanished(conn, [partition]))

        def quarantined(conn: Transaction, after: str) -> list[Stray]:
            return answers_gaps.quarantined(conn, partition, after, PAGE)

        def idle(conn: Transaction, after: str) -> list[Stray]:
            return answers_gaps.idle(conn, partition, after, PAGE, past)

        for ask in (quarantined, idle):
            after = ""
            while found := self._page(ask, after):
                yield from found
                after = found[-1].key

    def _page(self, ask: Callable[[Transaction, str], list[Stray]], after: str) -> list[Missing]:
        with self.facts.open():
            strays = self._with_items(ask(self.facts.conn, after))
            people = [self._parsed(one) for one in strays]
            self._load_owners([one.organization for one in people if one and one.organization])
        return [self._missing(one, person) for one, person in zip(strays, people, strict=True)]

    def _with_items(self, strays: list[Stray]) -> list[Stray]:
        """Records that came inside another record's item have none of their own."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for one in strays:
            if one.raw is None and one.owner:
                stream, _, key = one.owner.partition("/")
                wanted[stream].append(key)
        raws = {
            f"{stream}/{key}": raw
            for stream, keys in wanted.items()
            for key, raw in self.facts.raws(stream, keys).items()
        }
        return [one._replace(raw=raws.get(one.owner)) if one.owner else one for one in strays]

    def _parsed(self, one: Stray) -> Person | None:
        stream = one.owner.partition("/")[0] if one.owner else gaps.PEOPLE
        found = None
        for record in self._records(stream, one.raw):
            if isinstance(record, Person) and record.key == one.key:
                found = record
            elif isinstance(record, Organization) and record.name:
                self.words[record.key] = record.name
        return found

    def _records(self, stream: str, raw: bytes | None) -> list[Record]:
        parse = self.speaker.parse.get(stream) if self.speaker else None
        if parse is None or raw is None:
            return []
        return [record for record in parse(raw) if isinstance(record, Record)]

    def _load_owners(self, keys: Sequence[str]) -> None:
        """The client that the desk keeps for an organization; else what its own item calls it."""
        new = [key for key in dict.fromkeys(keys) if key not in self.owners]
        links = self.facts.links(_ORGANIZATIONS, new) if new else {}
        ids = {key: link.entity for key, link in links.items() if link.entity}
        stored = self.facts.entities(Kind.CLIENT, set(ids.values())) if ids else {}
        for key, entity in ids.items():
            if entity in stored and not stored[entity].retired:
                self.owners[key] = _Owner(str(stored[entity].values["name"]), entity)
        left = [key for key in new if key not in self.owners]
        names = self._called(left) if left else {}
        self.owners |= {key: _Owner(names.get(key, key)) for key in left}

    def _called(self, keys: list[str]) -> dict[str, str]:
        """The names that the source gives to organizations."""
        place, conn = self.place.partition, self.facts.conn
        raws = self.facts.raws(_ORGANIZATIONS, keys)
        raws |= answers_gaps.raws_aside(self.database, conn, place, _ORGANIZATIONS, keys)
        return self.words | {
            key: record.name
            for key, raw in raws.items()
            for record in self._records(_ORGANIZATIONS, raw)
            if isinstance(record, Organization) and record.name
        }

    def _missing(self, one: Stray, person: Person | None) -> Missing:
        owner, name, mail = _NOBODY, None, None
        if person:
            owner = self.owners[person.organization] if person.organization else _NOBODY
            whole = " ".join(filter(None, (person.given_name, person.family_name)))
            name, mail = person.display_name or whole or None, person.mail
            mail = mail or person.user_principal_name
        return Missing(
            self.place.connection,
            self.place.name,
            one.key,
            name,
            mail,
            owner.name,
            owner.client,
            one.code,
            NOTES.get(one.message, one.message),
            one.fields,
            [rival for rival in one.suggestion.split(",") if rival],
            one.since,
            one.run,
            one.actor,
        )


# -- users whom no source has ----------------------------------------------------------------------


def unsourced_users(engine: Engine, asked: Asked) -> Gaps[Unsourced]:
    """Active users whom no source has, be it this connection or another, by client and name."""
    if asked.one_client and asked.client is None:
        return Gaps(0, [], [])
    counts = answers_gaps.count_alone(engine.database, asked.client)
    found = answers_gaps.alone(engine.database, asked.client, asked.limit)
    reasons = _reasons(engine, found)
    lines = [Unsourced(**one._asdict(), reasons=reasons[one.user]) for one in found]
    return Gaps(sum(count for _, count in counts), _by_count(counts), lines)


def _reasons(engine: Engine, users: Sequence[Alone]) -> dict[UUID, list[Reason]]:
    ids = [one.user for one in users]
    found: dict[UUID, list[Reason]] = {one: [] for one in ids}
    deeds: dict[UUID, list[Deed]] = {one: [] for one in ids}
    for deed in answers_gaps.deeds(engine.database, ids):
        deeds[deed.user].append(deed)
    rules: dict[str, Any] = {}
    for tie in answers_gaps.ties(engine.database, ids):
        if tie.connection not in rules:
            rules[tie.connection] = gone_rules(engine, tie.connection)
        rule = rules[tie.connection].get(tie.note)
        found[tie.user].append(_lost(tie, rule.action if rule else None, deeds[tie.user]))
    for user, lost in found.items():
        lost.extend(_unlinked(deeds[user], lost))
        if not lost:
            lost.append(_added(deeds[user]))
    return found


def _lost(tie: Tie, rule: str | None, deeds: Iterable[Deed]) -> Reason:
    """Whoever is no more in a source left at some time; a link that was taken away, by somebody."""
    since = datetime.fromtimestamp(tie.missed_at, UTC) if tie.missed_at is not None else None
    if tie.state in gaps.IDLE:
        return Reason(tie.state, tie.connection, tie.key, None, None, None, tie.actor)
    undo = _brought_back(deeds)
    return Reason(tie.state, tie.connection, tie.key, tie.note, rule, since, undo=undo)


def _brought_back(deeds: Iterable[Deed]) -> int | None:
    """The undo that made a user active, if nothing made them inactive or active after that."""
    for deed in deeds:
        if deed.mode == "undo" and (deed.after.get("active") or deed.after.get("retired") is False):
            return deed.run
        if "active" in deed.after:
            return None
    return None


def _unlinked(deeds: Iterable[Deed], lost: Iterable[Reason]) -> list[Reason]:
    """Records that a person untied, each once, but those that are told as `lost`."""
    told = {(one.connection, one.key) for one in lost}
    places = {
        (deed.connection, deed.key): deed
        for deed in reversed([*deeds])
        if deed.action == Action.UNLINK
    }
    return [
        Reason("unlinked", *place, since=deed.at, actor=deed.actor)
        for place, deed in places.items()
        if place not in told
    ]


def _added(deeds: Iterable[Deed]) -> Reason:
    """By whom, as far as the history goes back."""
    by = next((one for one in deeds if one.action == Action.CREATE and one.mode == "edit"), None)
    return Reason("added", since=by and by.at, actor=by and by.actor)
