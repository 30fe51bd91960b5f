"""Who on the desk may be whom: re-created accounts, and what tells one entity from another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import RIVALS, Action, Effect, LinkState
from syncd.entities import Kind
from syncd.keys import domain
from syncd.store import tables as t
from syncd.store.answers import labels
from syncd.store.answers_review import Wanted
from syncd.store.counts import RECREATED
from syncd.store.database import Database
from syncd.store.entities import load_entities

# -- re-created accounts ---------------------------------------------------------------------------


class Hint(NamedTuple):
    """A new client or user whose key belonged to a record that is gone: perhaps both are one."""

    connection: str
    stream: str
    key: str
    kind: Kind
    entity: UUID
    label: str
    client: UUID | None
    rivals: list[tuple[UUID, str]]
    why: str
    run: int


def recreated(database: Database, wanted: Wanted) -> list[Hint]:
    """Re-created accounts that nobody merged or dismissed, oldest first.

    Only steps that counted any are looked at, so that a long history costs nothing.
    """
    c, s, link = t.change.c, t.step.c, t.link.c
    record = (s.partition_id, c.stream, c.key)
    tied = sa.and_(
        *(a == b for a, b in zip((link.partition_id, link.stream, link.key), record, strict=True)),
        link.entity_id == c.entity_id,
        link.state == LinkState.ALIVE,
    )
    word = t.decision.c
    spoken = sa.exists().where(
        *(a == b for a, b in zip((word.partition_id, word.stream, word.key), record, strict=True))
    )
    query = (
        sa.select(
            t.connection.c.name,
            c.stream,
            c.key,
            c.kind,
            c.entity_id,
            c.client_id,
            c.before,
            c.reason,
            s.run_id,
        )
        .join(t.step, s.id == c.step_id)
        .join(t.run, t.run.c.id == s.run_id)
        .join(t.connection, t.connection.c.id == t.run.c.connection_id)
        .join(t.link, tied)
        .where(s.counts[RECREATED].as_integer() > 0, t.run.c.undone_by.is_(None))
        .where(c.action == Action.CREATE, c.kind.in_([Kind.CLIENT, Kind.USER]))
        .where(c.effects.op("&")(int(Effect.RECREATED)) != 0)
        .where(c.seq < s.applied_seq, c.outcome.is_(None), sa.not_(spoken))
        .order_by(c.step_id, c.seq)
    )
    if wanted.connection is not None:
        query = query.where(t.connection.c.name == wanted.connection)
    if wanted.stream is not None:
        query = query.where(c.stream == wanted.stream)
    if wanted.key is not None:
        query = query.where(c.key == wanted.key)

    def look(conn: Connection) -> list[Hint]:
        rows = conn.execute(query).all()
        return [hint for hint in _hints(database, conn, rows) if hint.rivals]

    return database.query(look)


def _hints(database: Database, conn: Connection, rows: Sequence[Any]) -> Iterator[Hint]:
    rivals = {row.entity_id: [UUID(hex=one) for one in row.before[RIVALS]] for row in rows}
    ids = {one for several in rivals.values() for one in several} | rivals.keys()
    living = {
        one
        for kind in (Kind.CLIENT, Kind.USER)
        for one, entity in load_entities(database, conn, kind, ids).items()
        if not entity.retired
    }
    names = labels(database, conn, living)
    for name, stream, key, kind, entity, client, _, reason, run in rows:
        if entity in living:
            others = [(one, names[one]) for one in rivals[entity] if one in living]
            why = reason.partition(": ")[2]
            yield Hint(
                name, stream, key, Kind(kind), entity, names[entity], client, others, why, run
            )


# -- whom a record may be --------------------------------------------------------------------------


class Known(NamedTuple):
    """What tells an entity from others: names, normalized keys by field, and its domains."""

    id: UUID
    names: list[str]
    keys: dict[str, str]
    domains: dict[str, str]
    """Domain to whose it is: domain, website, mail or site."""


def clients(database: Database) -> list[Known]:
    """Every client."""
    c = t.client.c
    keys = ("ref", "tenant_id", "accounts_id", "domain")
    query = sa.select(
        c.id, c.name, c.trading_name, c.website, c.accounts_email,
        *(c[f"key_{name}"] for name in keys),
    ).where(sa.not_(c.retired))  # fmt: skip
    s = t.site.c
    sites = sa.select(s.client_id, s.key_email_domain).where(
        s.key_email_domain.is_not(None), sa.not_(s.retired)
    )

    def look(conn: Connection) -> list[Known]:
        of_sites: dict[UUID, dict[str, str]] = {}
        for client, theirs in conn.execute(sites):
            of_sites.setdefault(client, {})[theirs] = "site"
        return [
            _known(row, keys, {"mail": row.accounts_email, "website": row.website}, of_sites)
            for row in conn.execute(query)
        ]

    return database.query(look)


def people(database: Database, client: UUID, most: int) -> list[Known]:
    """The users of a client; nobody where they are more than `most`."""
    keys = ("email", "login", "employee_id", "third_party_id", "phone", "mobile")
    return _members(database, t.user, client, keys, most)


def sites(database: Database, client: UUID, most: int) -> list[Known]:
    """The sites of a client; none where they are more than `most`."""
    return _members(database, t.site, client, ("ref", "email_domain"), most)


def _members(
    database: Database, table: sa.Table, client: UUID, keys: tuple[str, ...], most: int
) -> list[Known]:
    c = table.c
    query = sa.select(c.id, c.name, *(c[f"key_{name}"] for name in keys))
    query = query.where(c.client_id == client, sa.not_(c.retired)).limit(most + 1)
    rows = database.query(lambda conn: conn.execute(query).all())
    return [_known(row, keys, {}, {}) for row in rows] if len(rows) <= most else []


def _known(
    row: Any,
    keys: tuple[str, ...],
    texts: dict[str, str | None],
    of_sites: dict[UUID, dict[str, str]],
) -> Known:
    fields = {name: value for name in keys if (value := getattr(row, f"key_{name}"))}
    domains = dict(of_sites.get(row.id, {}))
    domains |= {domain(text): what for what, text in texts.items() if text}
    if "domain" in fields:
        domains[fields["domain"]] = "domain"
    names = [row.name, getattr(row, "trading_name", None)]
    return Known(row.id, [name for name in names if name], fields, domains)
