"""What a merge or its undo must know: who lives where, who shares a key, what was merged since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action
from syncd.entities import Entity, Kind
from syncd.store import tables as t
from syncd.store.answers import short_labels
from syncd.store.database import Database
from syncd.store.entities import load_entities

PAGE = 2000
UNIQUE = ("email", "login", "employee_id", "third_party_id")
"""Keys of users that no two of a client should share."""


class Dweller(NamedTuple):
    """A user and where it lives."""

    user: UUID
    site: UUID
    retired: bool


class Rivals(NamedTuple):
    """Two users with the same key: `kept` is of the client that stays."""

    kept: UUID
    gone: UUID
    field: str
    key: str


def _is_kept(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a row is in use, or may be again: who was merged comes back if that is undone."""
    return sa.or_(sa.not_(table.c.retired), table.c.id.in_(sa.select(t.merged.c.entity_id)))


def sites_of(database: Database, conn: Connection, client: UUID) -> list[Entity]:
    """The sites of a client, those included that were merged, oldest first."""
    c = t.site.c
    query = sa.select(c.id).where(c.client_id == client, _is_kept(t.site)).order_by(c.id)
    found = load_entities(database, conn, Kind.SITE, conn.execute(query).scalars().all())
    return [found[one] for one in sorted(found)]


def dwellers(
    conn: Connection, kind: Kind, home: UUID, *, but_of: int | None = None
) -> Iterator[Sequence[Dweller]]:
    """The users of a client or site, those included that were merged, by the page. `but_of`: a step
    whose users are left out.
    """
    c = t.user.c
    here = c.client_id if kind is Kind.CLIENT else c.site_id
    query = sa.select(c.id, c.site_id, c.retired).where(here == home, _is_kept(t.user))
    if but_of is not None:
        its = sa.select(t.change.c.entity_id).where(t.change.c.step_id == but_of)
        query = query.where(c.id.not_in(its))
    query = query.order_by(c.id).limit(PAGE)
    page = [Dweller(*row) for row in conn.execute(query)]
    while page:
        yield page
        page = [Dweller(*row) for row in conn.execute(query.where(c.id > page[-1].user))]


def belongings(conn: Connection, kind: Kind, one: UUID, into: UUID) -> dict[str, int]:
    """How much would go with an entity that is merged into another, by the names under which the
    ledger tells afterwards what did.
    """
    counted = {"links": _count(conn, t.link, t.link.c.entity_id == one)}
    if kind is Kind.USER:
        counted["identities"] = _count(conn, t.identity, t.identity.c.user_id == one)
    elif kind is Kind.CLIENT:
        for name, table, same in (
            ("pools", t.license_pool, ("provider", "sku")),
            ("subscriptions", t.subscription, ("provider", "reference")),
        ):
            theirs = table.alias()
            twin = (table.c[column] == theirs.c[column] for column in same)
            stays = sa.exists().where(theirs.c.client_id == into, *twin)
            counted[name] = _count(conn, table, table.c.client_id == one, ~stays)
    return counted


def _count(conn: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*where)
    return int(conn.execute(query).scalar_one())


def rivals(conn: Connection, kept: UUID, gone: UUID, most: int) -> list[Rivals]:
    """Pairs of users of two clients that share a unique key; so many at most, each pair once."""
    ours, theirs = t.user.alias("ours"), t.user.alias("theirs")
    found: dict[tuple[UUID, UUID], Rivals] = {}
    for field in UNIQUE:
        mine, other = ours.c[f"key_{field}"], theirs.c[f"key_{field}"]
        query = (
            sa.select(ours.c.id, theirs.c.id, sa.literal(field), mine)
            .select_from(ours.join(theirs, mine == other))
            .where(ours.c.client_id == kept, theirs.c.client_id == gone)
            .where(mine.is_not(None), sa.not_(ours.c.retired), sa.not_(theirs.c.retired))
            .order_by(ours.c.id, theirs.c.id)
            .limit(most)
        )
        for row in conn.execute(query):
            found.setdefault((row[0], row[1]), Rivals(*row))
    return list(found.values())[:most]


def clients_merged(conn: Connection, step: int) -> tuple[UUID, dict[str, Any]] | None:
    """The client that a step merged into another, and what its change says after."""
    c = t.change.c
    which = (c.step_id == step, c.kind == Kind.CLIENT, c.action == Action.MERGE)
    row = conn.execute(sa.select(c.entity_id, c.after).where(*which)).first()
    return (row[0], row[1]) if row else None


def sites_moved(conn: Connection, step: int) -> Iterator[UUID]:
    """The sites that a step moved to another client."""
    c = t.change.c
    which = (c.step_id == step, c.kind == Kind.SITE, c.action == Action.MOVE)
    yield from conn.execute(sa.select(c.entity_id).where(*which)).scalars()


def organizations_carried(conn: Connection, step: int, client: UUID) -> set[tuple[int, str]]:
    """(partition, key) of the organizations that a merge by this step took from a client."""
    c = t.item_history.c
    query = sa.select(c.partition_id, c.key, c.link)
    query = query.where(c.step_id == step, c.stream == "organizations")
    return {(row[0], row[1]) for row in conn.execute(query) if row[2]["entity"] == client.hex}


class Newcomer(NamedTuple):
    """A record that was matched with a user while that one was two."""

    user: UUID
    connection: str
    key: str


def records_since(conn: Connection, step: int) -> list[Newcomer]:
    """People's records that were matched since with users into whom a step merged others."""
    c, link, s = t.change.c, t.link.c, t.step.c
    into = sa.select(t.merged.c.into_id)
    into = into.where(t.merged.c.step_id == step, t.merged.c.kind == Kind.USER)
    matched = (
        sa.exists()
        .where(c.step_id == s.id, s.id > step, s.partition_id == link.partition_id)
        .where(c.entity_id == link.entity_id, c.stream == link.stream, c.key == link.key)
        .where(c.rule == link.matched_by, c.rule != "", t.in_force(t.change))
    )
    query = (
        sa.select(link.entity_id, t.connection.c.name, link.key)
        .join(t.partition, t.partition.c.id == link.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .where(link.entity_id.in_(into), link.stream == "people", matched)
        .order_by(t.connection.c.name, link.key)
    )
    return [Newcomer(*row) for row in conn.execute(query)]


def merged_since(database: Database, conn: Connection, run: int) -> str | None:
    """Why the merges of a run cannot be taken back: who stayed was merged itself since."""
    later, c = t.merged.alias("later"), t.merged.c
    query = (
        sa.select(later.c.entity_id, t.step.c.run_id)
        .join(t.merged, c.into_id == later.c.entity_id)
        .join(t.step, t.step.c.id == later.c.step_id)
        .where(c.step_id.in_(sa.select(t.step.c.id).where(t.step.c.run_id == run)))
        .order_by(t.step.c.run_id.desc())
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    name = short_labels(database, conn, [row[0]]).get(row[0], str(row[0]))
    return f"{name} was merged into another by run {row[1]} since: undo that first"
