"""One writer per client at a time: locks that a batch holds until it is committed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, Change, LinkWrite
from syncd.entities import Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.drafted import Body

_ANY_NEW_CLIENT = 1
"""No id of a client: their versions and variants are bits of them."""


def take(
    database: Database, conn: Connection, changes: Sequence[Change], body: Body, *, careful: bool
) -> None:
    """Lock the clients of a page's changes; `careful`: of its links without a change, too. Who
    creates any waits for all others who do: nothing else tells that two are about to make the same
    one. SQLite has one writer anyway.
    """
    if database.dialect != "postgresql":
        return
    clients = {one.client.int for one in changes if one.client}
    for kind, given in body.creations.items():
        at = 1 if kind is Kind.CLIENT else 2  # a client by its id, others by their client's
        clients |= {int(client, 16) for client in {row[at] for row in given}}
    made = any(one.kind is Kind.CLIENT and one.action is Action.CREATE for one in changes)
    if made or body.creations.get(Kind.CLIENT):
        clients.add(_ANY_NEW_CLIENT)
    for ready in body.updates.values():
        clients |= {int(client, 16) for client in ready.clients}
    if careful:
        clients |= _of_links(database, conn, body.links)
    lock_clients(database, conn, clients)


def lock_clients(database: Database, conn: Connection, clients: Collection[int]) -> None:
    """Wait for whoever writes what belongs to these clients (their ids as numbers), and keep others
    waiting until this transaction ends.
    """
    numbers = sorted({client % (1 << 63) for client in clients})
    if numbers and database.dialect == "postgresql":
        conn.exec_driver_sql(
            "select pg_advisory_xact_lock(n) from unnest(%s::bigint[]) as n", (numbers,)
        )


def _of_links(database: Database, conn: Connection, links: Sequence[LinkWrite]) -> set[int]:
    """The clients of what records are tied to: another source may decide by what these say."""
    clients = {one.entity.int for one in links if one.entity and one.kind == Kind.CLIENT}
    for kind in Kind:
        if kind is Kind.CLIENT:
            continue
        c = t.TABLE_OF[kind].c
        ids = {one.entity for one in links if one.entity and one.kind == kind}
        for chunk in bulk.chunks(list(ids)):
            query = sa.select(c.client_id).where(database.among(c.id, chunk)).distinct()
            clients |= {client.int for client in conn.execute(query).scalars()}
    return clients
