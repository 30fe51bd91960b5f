"""What people ask about one record: where it came from, who else it might be, may it sign in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd import keys
from syncd.changes import LinkState
from syncd.entities import Entity, Kind
from syncd.records import Identity
from syncd.store import tables as t
from syncd.store.answers import labels, under_key
from syncd.store.database import Database
from syncd.store.entities import load_entities
from syncd.store.licenses import held


class Source(NamedTuple):
    """One record of a connection and what it is tied to; `raw` is the item as it last came."""

    connection: str
    partition: str
    stream: str
    key: str
    state: LinkState
    kind: Kind
    entity: UUID | None
    matched_by: str
    misses: int
    note: str
    owner: str
    settled: bool
    run: int | None
    raw: bytes | None


class Held(NamedTuple):
    """Licenses of one pool that a user holds."""

    provider: str
    name: str
    number: int


class Standing(NamedTuple):
    """An entity as it stands, with the client and site it belongs to."""

    entity: Entity
    client: Entity | None
    site: Entity | None
    identities: list[Identity]
    licenses: list[Held]


class Rule(NamedTuple):
    """What one correlation rule finds today: the keys it looks for, and who has them."""

    rule: str
    keys: tuple[str, ...]
    holders: list[tuple[UUID, str]]


def standing(database: Database, kind: Kind, one: UUID) -> Standing:
    """The entity of that id; it must exist."""

    def look(conn: Connection) -> Standing:
        entity = load_entities(database, conn, kind, [one])[one]
        client = site = None
        if entity.client:
            client = load_entities(database, conn, Kind.CLIENT, [entity.client])[entity.client]
        if entity.site:
            site = load_entities(database, conn, Kind.SITE, [entity.site])[entity.site]
        licenses = _licenses(database, conn, one) if kind is Kind.USER else []
        return Standing(entity, client, site, _identities(conn, one), licenses)

    return database.query(look)


def _identities(conn: Connection, user: UUID) -> list[Identity]:
    c = t.identity.c
    query = sa.select(c.issuer, c.subject).where(c.user_id == user).order_by(c.issuer, c.subject)
    return [Identity(*row) for row in conn.execute(query)]


def _licenses(database: Database, conn: Connection, user: UUID) -> list[Held]:
    counts = {UUID(hex=pool): n for pool, n in held(database, conn, [user]).get(user, ())}
    c = t.license_pool.c
    query = sa.select(c.id, c.provider, c.name, c.sku).where(database.among(c.id, list(counts)))
    return sorted(Held(row[1], row[2] or row[3], counts[row[0]]) for row in conn.execute(query))


def barred(found: Standing) -> list[str]:
    """Why a user cannot sign in, all reasons; none: the user can."""
    user, client, site = found.entity, found.client, found.site
    reasons = [
        (user.retired, "the user is retired: its creation was undone"),
        (not user.active, "the user is inactive"),
        (client is not None and not client.active, f"the client {_name(client)} is inactive"),
        (site is not None and not site.active, f"the site {_name(site)} is inactive"),
        (not found.identities, "no source gave an identity that single sign-on would present"),
    ]
    return [why for applies, why in reasons if applies]


def _name(entity: Entity | None) -> str:
    return str(entity.values.get("name", "?")) if entity else "?"


# -- links and items -------------------------------------------------------------------------------


def sources_of(database: Database, entity: UUID) -> list[Source]:
    """Every record that is, or was, tied to an entity."""
    return _sources(database, t.link.c.entity_id == entity)


def sources_named(database: Database, key: str) -> list[Source]:
    """Every linked record with this key."""
    return under_key(lambda exact: _sources(database, t.link.c.key == exact), key)


def _sources(database: Database, where: sa.ColumnElement[bool]) -> list[Source]:
    c = t.link.c
    same = sa.and_(*(c[name] == t.item.c[name] for name in ("partition_id", "stream", "key")))
    query = (
        sa.select(
            t.connection.c.name, t.partition.c.name, c.stream, c.key, c.state, c.kind, c.entity_id,
            c.matched_by, c.misses, c.note, c.owner, c.digest.is_not(None), t.step.c.run_id,
            t.item.c.raw,
        )
        .join(t.partition, t.partition.c.id == c.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .join(t.item, same, isouter=True)
        .join(t.step, t.step.c.id == c.step_id, isouter=True)
        .where(where)
        .order_by(t.connection.c.name, c.stream, c.key)
    )  # fmt: skip

    def look(conn: Connection) -> list[Source]:
        return [
            Source._make(row)._replace(state=LinkState(row.state), kind=Kind(row.kind))
            for row in conn.execute(query)
        ]

    return database.query(look)


def raw_in_quarantine(database: Database, connection: str, stream: str, key: str) -> bytes | None:
    """The item as it came, where it could be read at all."""
    c = t.quarantine.c
    query = (
        sa.select(c.raw)
        .join(t.partition, t.partition.c.id == c.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .where(t.connection.c.name == connection, c.stream == stream, c.key == key)
    )
    return database.query(lambda conn: conn.execute(query).scalars().first())


# -- correlation, once more ------------------------------------------------------------------------


def correlated(database: Database, entity: Entity, rules: Sequence[tuple[str, ...]]) -> list[Rule]:
    """What each correlation rule would find for the keys that an entity has today."""
    scope = entity.client if entity.kind is not Kind.CLIENT else None
    own = keys.keys(entity.kind, entity.values)

    def look(conn: Connection) -> list[Rule]:
        found = []
        for rule in rules:
            if rule == ("identity",):
                found.append(_by_identity(database, conn, entity))
                continue
            wanted = {name: own.get(name, "") for name in rule}
            ids = _holders(conn, entity.kind, scope, wanted) if all(wanted.values()) else []
            found.append(Rule("+".join(rule), tuple(wanted.values()), _named(database, conn, ids)))
        return found

    return database.query(look)


def _holders(
    conn: Connection, kind: Kind, scope: UUID | None, wanted: dict[str, str]
) -> Sequence[UUID]:
    table = t.TABLE_OF[kind]
    query = sa.select(table.c.id).where(sa.not_(table.c.retired)).order_by(table.c.id).limit(20)
    for name, value in wanted.items():
        column = table.c[f"key_{name}"]
        query = query.where(column.is_not(None), column == value)
    if scope is not None:
        query = query.where(table.c.client_id == scope)
    return conn.execute(query).scalars().all()


def _by_identity(database: Database, conn: Connection, entity: Entity) -> Rule:
    """An identity has one holder, so this rule has no rivals."""
    held = _identities(conn, entity.id)
    holders = _named(database, conn, [entity.id]) if held else []
    return Rule("identity", tuple(f"{one.issuer} {one.subject}" for one in held), holders)


def _named(database: Database, conn: Connection, ids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    return list(labels(database, conn, ids).items())
