"""Grants as the store keeps them: sealed bytes with a version, replaced only by who read the last.

A grant is renewed by one process at a time: it marks the row for as long as the provider may take
to answer, asks outside any transaction, and stores what came before anybody uses it.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from syncd.store import tables as t
from syncd.store.database import Database, Transaction


class GrantRow(NamedTuple):
    """A stored grant. `version` grows whenever it is replaced."""

    version: int
    sealed_by: str
    sealed: bytes


class Grants:
    """Reads and writes of the table of grants."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def read(self, connection: int) -> GrantRow | None:
        """What is stored for a connection."""
        c = t.grant.c
        query = sa.select(c.version, c.sealed_by, c.sealed).where(c.connection_id == connection)
        row = self.database.query(lambda conn: conn.execute(query).first())
        return GrantRow(*row) if row else None

    def put(self, connection: int, sealed_by: str, sealed: bytes, actor: str) -> None:
        """A grant that a person obtained, in place of any that was there."""

        def work(conn: Transaction) -> None:
            c, now = t.grant.c, self.database.now(conn)
            version = sa.select(c.version).where(c.connection_id == connection)
            before = conn.execute(version.with_for_update()).scalar() or 0
            conn.execute(sa.delete(t.grant).where(c.connection_id == connection))
            conn.execute(
                sa.insert(t.grant).values(
                    connection_id=connection,
                    version=before + 1,
                    sealed_by=sealed_by,
                    sealed=sealed,
                    obtained_at=now,
                    obtained_by=actor,
                    renewed_at=now,
                )
            )

        self.database.transact(work)

    def claim(self, connection: int, version: int, seconds: float) -> bool:
        """Whether this process may renew the grant now: nobody else does, or has."""

        def work(conn: Transaction) -> bool:
            c, now = t.grant.c, self.database.now(conn)
            free = sa.or_(c.renewing_until.is_(None), c.renewing_until <= now)
            mine = sa.and_(c.connection_id == connection, c.version == version, free)
            until = self.database.later(conn, seconds)
            return (
                conn.execute(sa.update(t.grant).where(mine).values(renewing_until=until)).rowcount
                == 1
            )

        return self.database.transact(work)

    def unclaim(self, connection: int, version: int) -> None:
        """Let others try: the provider gave nothing new."""
        c = t.grant.c
        mine = sa.and_(c.connection_id == connection, c.version == version)
        self.database.transact(
            lambda conn: conn.execute(sa.update(t.grant).where(mine).values(renewing_until=None))
        )

    def replace(self, connection: int, version: int, sealed_by: str, sealed: bytes) -> bool:
        """Store what the provider gave in place of this version; False if it is not there any more.
        Durable when this returns.
        """
        return self._replace(connection, version, sealed_by, sealed, renewed=True)

    def reseal(self, connection: int, version: int, sealed_by: str, sealed: bytes) -> bool:
        """As `replace`, with the same under another key; whoever renews it goes on with that."""
        return self._replace(connection, version, sealed_by, sealed, renewed=False)

    def _replace(
        self, connection: int, version: int, sealed_by: str, sealed: bytes, *, renewed: bool
    ) -> bool:
        def work(conn: Transaction) -> bool:
            c = t.grant.c
            mine = sa.and_(c.connection_id == connection, c.version == version)
            update = sa.update(t.grant).where(mine)
            update = update.values(version=version + 1, sealed_by=sealed_by, sealed=sealed)
            if renewed:
                update = update.values(renewing_until=None, renewed_at=self.database.now(conn))
            return conn.execute(update).rowcount == 1

        return self.database.transact(work)

    def connections(self) -> list[tuple[str, str]]:
        """(name, connector) of all connections that have a grant."""
        c = t.connection.c
        query = sa.select(c.name, c.connector).join(t.grant, t.grant.c.connection_id == c.id)
        rows = self.database.query(lambda conn: conn.execute(query.order_by(c.id)).all())
        return [(row[0], row[1]) for row in rows]

    def sealed_by(self) -> set[str]:
        """The names of the keys that it takes to open all grants."""
        query = sa.select(t.grant.c.sealed_by).distinct()
        return set(self.database.query(lambda conn: conn.execute(query).scalars().all()))
