"""The draft of a step: decided pages, seen keys and newcomers, in the database until it closes.

Memory holds one page; what must be compared across pages is packed into arrays of 8-byte hashes.
They only mean something within their process, so a read that was interrupted starts again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import (
    Action,
    Change,
    Decisions,
    LinkWrite,
    creates,
    gained_identities,
)
from syncd.entities import Kind
from syncd.store import bulk, unsaying
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.drafted import Body, Bought, DraftPage, Given, SeenPage, Updates, given
from syncd.store.hashes import repeated
from syncd.store.target import rows

MOST_PAGES = 500
"""Pages in one batch of apply, however small they are."""


_body_in = msgspec.msgpack.Decoder(Body)
_pairs_in = msgspec.msgpack.Decoder(list[tuple[str, bytes]])
_pack = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_ONE_PAGE: Mapping[str, int] = {}


class _Seen(NamedTuple):
    """Of a page that was read: how many keys it held, whether each of them once, and whether any
    was new.
    """

    page: int
    keys: int
    is_distinct: bool
    has_newcomers: bool


class Draft:
    """Writes and reads the draft of one step."""

    def __init__(
        self, database: Database, step: int, owner: str = "", *, applies: bool = True
    ) -> None:
        """`owner`: the connection, or `local`, whose values it adds. `applies`: whether rows are to
        be written at last; a plan that is only shown needs none made ready.
        """
        self.database = database
        self.step = step
        self.owner = owner
        self.applies = applies
        self.next_page = 0
        self.next_seq = 0
        self._seen: dict[str, list[_Seen]] = defaultdict(list)

    def clear(self, conn: Connection, *, keep_changes: bool = False) -> None:
        """Remove the scratch rows of the step and, unless kept, the changes that it drafted."""
        drop = [t.draft_page, t.draft_seen, t.draft_key]
        if not keep_changes:
            drop.append(t.change)
        for table in drop:
            conn.execute(sa.delete(table).where(table.c.step_id == self.step))

    def add(
        self,
        conn: Connection,
        stream: str,
        source_page: int,
        decisions: Decisions,
        origins: Mapping[str, int] = _ONE_PAGE,
    ) -> None:
        """Store the decisions of a page; nothing at all for a page without any. `origins`: the
        read page of each key, if they differ.

        The caller advances with `advance` once its transaction is committed.
        """
        if is_empty(decisions):
            return
        first = self.next_seq
        for at, change in enumerate(decisions.changes):
            change.seq = first + at
        bulk.insert_changes(self.database, conn, self.step, decisions.changes)
        body = self._body(decisions, origins)
        conn.execute(
            sa.insert(t.draft_page).values(
                step_id=self.step,
                page=self.next_page,
                first_seq=first,
                next_seq=first + len(decisions.changes),
                stream=stream,
                source_page=source_page,
                weight=len(decisions.links),
                claims=_flat(decisions.claims),
                body=_pack(body),
            )
        )

    def _body(self, decisions: Decisions, origins: Mapping[str, int]) -> Body:
        decided = decisions.links, decisions.quarantined, decisions.healed, dict(origins)
        if not self.applies:
            return Body(*decided, {}, [])
        creations: dict[Kind, list[list[Any]]] = {}
        identities, licenses, bought = [], list[Given](), list[Bought]()
        packed = self.database.dialect == "sqlite"
        for place, change in enumerate(decisions.changes):
            if creates(change):
                row = rows.created(change, self.owner, packed=packed)
                creations.setdefault(change.kind, []).append([place, *row])
                for issuer, subject in gained_identities(change):
                    identities.append((place, issuer, subject, row[0]))
                licenses += given(place, change)
                if change.kind is Kind.LICENSE:
                    bought.append(Bought(place, change.entity, change.after.get("bought") or "0"))
        updates = self._updates([one for one in decisions.changes if not creates(one)])
        return Body(*decided, creations, identities, updates, licenses, bought)

    def _updates(self, changes: Sequence[Change]) -> dict[Kind, Updates]:
        if not all(map(rows.is_plain, changes)):
            return {}
        packed = self.database.dialect == "sqlite"
        of_kind: dict[Kind, list[Change]] = defaultdict(list)
        for change in changes:
            of_kind[change.kind].append(change)
        made = {}
        for kind, these in of_kind.items():
            setting = [one for one in these if one.after]
            bases = {one.entity: one.base for one in reversed(setting) if one.base}  # the first
            left = rows.left_by(setting, bases, self.owner)
            columns, values = rows.updated(kind, setting, left, packed=packed)
            clients = list({one.client.hex for one in these if one.client})
            made[kind] = Updates(columns, values, clients, len(these))
        return made

    def advance(self, decisions: Decisions) -> None:
        """Count a page that `add` stored and whose transaction was committed."""
        if not is_empty(decisions):
            self.next_page += 1
            self.next_seq += len(decisions.changes)

    def advance_seen(
        self, stream: str, page: int, keys: Sequence[str], newcomers: Sequence[object]
    ) -> None:
        """Remember a page that `add_seen` stored and whose transaction was committed."""
        is_distinct = len(set(keys)) == len(keys)
        self._seen[stream].append(_Seen(page, len(keys), is_distinct, bool(newcomers)))

    def add_seen(
        self,
        conn: Connection,
        stream: str,
        page: int,
        keys: Sequence[str],
        newcomers: Sequence[tuple[str, bytes]],
    ) -> None:
        """Store which keys a page held, and its items without a link. The caller goes on with
        `advance_seen` once its transaction is committed.
        """
        conn.execute(
            sa.insert(t.draft_seen).values(
                step_id=self.step,
                stream=stream,
                page=page,
                hashes=array("q", map(hash, keys)).tobytes(),
                newcomers=_pack(newcomers),
            )
        )

    def add_keys(
        self, conn: Connection, rows: Sequence[tuple[UUID, UUID | None, str, str | None]]
    ) -> None:
        """Store the keys that linked entities will have: (entity, client, field, new key).

        A key that the source repeats says so more than once: the last word counts.
        """
        names = ("entity_id", "client_id", "field", "new_key")
        last = {(row[0], row[2]): row for row in rows}
        values = [
            {"step_id": self.step, **dict(zip(names, row, strict=True))} for row in last.values()
        ]
        self._forget_keys(conn, {entity for entity, _ in last}, {name for _, name in last})
        conn.execute(sa.insert(t.draft_key), values)

    def _forget_keys(
        self, conn: Connection, entities: Collection[UUID], fields: Collection[str]
    ) -> None:
        c = t.draft_key.c
        for chunk in bulk.chunks(list(entities)):
            these = self.database.among(c.entity_id, chunk)
            conn.execute(
                sa.delete(t.draft_key).where(c.step_id == self.step, these, c.field.in_(fields))
            )

    def of(self, step: int) -> Draft:
        """The draft of another step."""
        return Draft(self.database, step)

    # -- reading back ------------------------------------------------------------------------------

    def pages(self, conn: Connection, stream: str | None = None) -> Iterator[DraftPage]:
        """All pages in order, one in memory at a time."""
        c = t.draft_page.c
        query = sa.select(c.page).where(c.step_id == self.step).order_by(c.page)
        if stream is not None:
            query = query.where(c.stream == stream)
        for (page,) in conn.execute(query).all():
            yield self.page(conn, page)

    def page(self, conn: Connection, page: int) -> DraftPage:
        """One page."""
        what = "first_seq, next_seq, stream, source_page, body"
        row = self._fetch_one(conn, what, t.draft_page, page=page)
        return DraftPage(page, row[0], row[1], row[2], row[3], _body_in.decode(row[4]))

    def _fetch_one(self, conn: Connection, what: str, table: sa.Table, **where: Any) -> Any:
        """A row with blobs, without a detour over text."""
        where["step_id"] = self.step
        same = " and ".join(f"{name} = {self.database.mark}" for name in where)
        sql = f"select {what} from {table.name} where {same}"
        return bulk.fetch(conn, sql, tuple(where.values()))[0]

    def batch(self, conn: Connection, first: int, most: int) -> list[int]:
        """Numbers of pages from `first` that hold at most `most` links together; one at least."""
        c = t.draft_page.c
        query = sa.select(c.page, c.weight).where(c.step_id == self.step, c.page >= first)
        chosen: list[int] = []
        total = 0
        for page, weight in conn.execute(query.order_by(c.page).limit(MOST_PAGES)):
            total += weight
            if chosen and total > most:
                break
            chosen.append(page)
        return chosen

    def remove_page(self, conn: Connection, page: int) -> None:
        """Forget a page that was applied."""
        c = t.draft_page.c
        conn.execute(sa.delete(t.draft_page).where(c.step_id == self.step, c.page == page))

    def withheld(self, conn: Connection) -> set[UUID]:
        """Entities whose creation was left out when their page was applied."""
        c = t.change.c
        query = sa.select(c.entity_id).where(
            c.step_id == self.step, c.outcome == "stale", c.action == Action.CREATE
        )
        return set(conn.execute(query).scalars())

    def rewrite(self, conn: Connection, page: DraftPage) -> None:
        """Store a page whose body was changed."""
        c = t.draft_page.c
        conn.execute(
            sa.update(t.draft_page)
            .where(c.step_id == self.step, c.page == page.page)
            .values(body=_pack(page.body))
        )

    def seen_pages(self, conn: Connection, stream: str) -> Iterator[SeenPage]:
        """The pages of a stream as they were read, one in memory at a time."""
        c = t.draft_seen.c
        where = sa.and_(c.step_id == self.step, c.stream == stream)
        pages = conn.execute(sa.select(c.page).where(where).order_by(c.page)).scalars().all()
        for page in pages:
            yield self._seen_page(conn, stream, page)

    def _seen_page(self, conn: Connection, stream: str, page: int) -> SeenPage:
        where = {"stream": stream, "page": page}
        hashes, newcomers = self._fetch_one(conn, "hashes, newcomers", t.draft_seen, **where)
        return SeenPage(page, hashes, _pairs_in.decode(newcomers))

    def newcomers(self, conn: Connection, stream: str, page: int) -> list[tuple[str, bytes]]:
        """The items of one read page that had no link."""
        return self._seen_page(conn, stream, page).newcomers

    def seen_numbers(self, stream: str) -> list[int]:
        """The numbers of the pages of a stream that held newcomers."""
        return [one.page for one in self._seen[stream] if one.has_newcomers]

    def seen(self, conn: Connection, stream: str) -> array[int]:
        """The hashes of all keys that were read, 8 bytes each."""
        hashes = array("q")
        for page in self._hashes(conn, stream):
            hashes.extend(page)
        return hashes

    def _hashes(self, conn: Connection, stream: str) -> Iterator[array[int]]:
        """The hashes of the keys of each page that was read; one in memory at a time."""
        c = t.draft_seen.c
        query = sa.select(c.page).where(c.step_id == self.step, c.stream == stream)
        for page in conn.execute(query.order_by(c.page)).scalars().all():
            where = {"stream": stream, "page": page}
            yield _unpacked(self._fetch_one(conn, "hashes", t.draft_seen, **where)[0])

    def repeating(self, conn: Connection, stream: str) -> set[int]:
        """The hashes of keys that were read more than once."""
        pages = self._seen[stream]
        if sum(one.keys > 0 for one in pages) <= 1 and all(one.is_distinct for one in pages):
            return set()
        return repeated(lambda: self._hashes(conn, stream), sum(one.keys for one in pages))

    def contested(self, conn: Connection, stream: str) -> set[int]:
        """Claims that two links of one stream share."""
        if not self.next_page:
            return set()
        c = t.draft_page.c
        size = sa.select(sa.func.sum(sa.func.length(c.claims)))
        size = size.where(c.step_id == self.step, c.stream == stream)
        return repeated(
            lambda: (flat[::2] for _, flat in self._claims(conn, stream)),
            int(conn.execute(size).scalar_one() or 0) // 16,
        )

    def claimants(
        self, conn: Connection, stream: str, contested: Collection[int]
    ) -> dict[int, set[int]]:
        """Which links of which pages hold one of the claims: page -> places, as they claimed."""
        found: dict[int, set[int]] = {}
        for page, flat in self._claims(conn, stream):
            places = {flat[at + 1] for at in range(0, len(flat), 2) if flat[at] in contested}
            if places:
                found[page] = places
        return found

    def _claims(self, conn: Connection, stream: str) -> Iterator[tuple[int, array[int]]]:
        """Per page: claim, place, claim, place, …; one page in memory at a time."""
        c = t.draft_page.c
        query = sa.select(c.page).where(c.step_id == self.step, c.stream == stream)
        for page in conn.execute(query.order_by(c.page)).scalars().all():
            yield page, _unpacked(self._fetch_one(conn, "claims", t.draft_page, page=page)[0])

    def drop(self, conn: Connection, page: DraftPage, places: Collection[int]) -> list[LinkWrite]:
        """Take links, and the changes that belong to them, out of a page; the links."""
        dropped = [page.body.links[place] for place in places]
        page.body.links = [one for at, one in enumerate(page.body.links) if at not in places]
        changes = {one.change for one in dropped if one.change >= 0}
        page.body.without(changes)
        seqs = [page.first_seq + change for change in sorted(changes)]
        unsaying.remove(self.database, conn, self.step, seqs)
        self._forget_unsaid_keys(conn, [one.entity for one in dropped if one.entity])
        self._renumber_claims(conn, page.page, places)
        return dropped

    def homes(self, conn: Connection) -> set[UUID]:
        """The sites to which the plan brings people."""
        c = t.change.c
        site = c.after["site"].as_string()
        query = sa.select(site).where(c.step_id == self.step, c.kind == Kind.USER).distinct()
        return {UUID(hex=one) for one in conn.execute(query).scalars() if one}

    def drop_sites(self, conn: Connection, sites: Collection[UUID]) -> None:
        """Take out the creations of sites that no record of theirs is linked to."""
        c = t.change.c
        query = sa.select(c.seq).where(c.step_id == self.step, c.action == Action.CREATE)
        seqs = [
            seq
            for chunk in bulk.chunks(list(sites))
            for seq in conn.execute(query.where(self.database.among(c.entity_id, chunk))).scalars()
        ]
        for seq in seqs:
            page = self._page_of(conn, seq)
            page.body.without({seq - page.first_seq})
            self.rewrite(conn, page)
        unsaying.remove(self.database, conn, self.step, seqs)

    def _page_of(self, conn: Connection, seq: int) -> DraftPage:
        c = t.draft_page.c
        query = sa.select(c.page).where(c.step_id == self.step, c.first_seq <= seq)
        return self.page(conn, conn.execute(query.where(c.next_seq > seq)).scalar_one())

    def _renumber_claims(self, conn: Connection, page: int, dropped: Collection[int]) -> None:
        """Claims of dropped links go with them; those of the others follow their links."""
        c = t.draft_page.c
        where = sa.and_(c.step_id == self.step, c.page == page)
        flat = array("q")
        flat.frombytes(conn.execute(sa.select(c.claims).where(where)).scalar_one())
        gone, kept = sorted(dropped), []
        for claim, at in zip(flat[::2], flat[1::2], strict=True):
            place = at if at >= 0 else ~at
            if place not in dropped:
                place -= bisect_left(gone, place)
                kept.append((claim, place if at >= 0 else ~place))
        if flat:
            conn.execute(sa.update(t.draft_page).where(where).values(claims=_flat(kept)))

    def _forget_unsaid_keys(self, conn: Connection, entities: Sequence[UUID]) -> None:
        """Forget keys of entities that no change gives any more: where a source repeats a record,
        another occurrence may still give them.
        """
        c, k = t.change.c, t.draft_key.c
        for chunk in bulk.chunks(entities):
            these = self.database.among(c.entity_id, chunk)
            changes = sa.select(c.entity_id, c.after).where(c.step_id == self.step, these)
            rows = conn.execute(changes).all()
            said = {(row[0], name) for row in rows for name in row[1]}
            moved = {row[0] for row in rows if "client" in row[1]}
            these = self.database.among(k.entity_id, chunk)
            planned = sa.select(k.entity_id, k.field).where(k.step_id == self.step, these)
            unsaid: dict[str, list[UUID]] = {}
            for entity, field in conn.execute(planned):
                if (entity, field) not in said and entity not in moved:
                    unsaid.setdefault(field, []).append(entity)
            for field, ids in unsaid.items():
                self._forget_keys(conn, ids, [field])


def is_empty(decisions: Decisions) -> bool:
    """Whether there is nothing to store."""
    return not (decisions.changes or decisions.links or decisions.quarantined or decisions.healed)


def _unpacked(packed: bytes) -> array[int]:
    numbers = array("q")
    numbers.frombytes(packed)
    return numbers


def _flat(claims: Sequence[tuple[int, int]]) -> bytes:
    return array("q", [number for pair in claims for number in pair]).tobytes()
