"""Partitions: which a connection has, whether it still lists them, and which a person retired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.store import tables as t

LISTED, UNLISTED, RETIRED = "listed", "unlisted", "retired"
"""States of a partition. The source lists it, or lists it no more and nobody said what that means;
or a person said that it is gone for good.
"""
RETIRE, RETIRE_PART = "retire", "retire_part"
"""Modes of a run that retires: all of a connection, or one partition of it."""
RETIRING = (RETIRE, RETIRE_PART)

_PRESENT = (LinkState.ALIVE, LinkState.SKIPPED, LinkState.MISSED, LinkState.LEAVING)
"""States of links whose record was there, or may be."""


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """A partition as the store knows it."""

    id: int
    key: str
    name: str
    state: str

    @property
    def label(self) -> str:
        """Its name, with its key where that says anything else."""
        return f"{self.name} ({self.key})" if self.key and self.key != self.name else self.name


class Partitions:
    """Reads and writes of partitions; all join the caller's transaction."""

    def partitions(self, conn: Connection, connection: int) -> list[PartitionRow]:
        """The connection's partitions, in the order of their first sight."""
        c = t.partition.c
        query = sa.select(c.id, c.key, c.name, c.state).where(c.connection_id == connection)
        return [PartitionRow(*row) for row in conn.execute(query.order_by(c.id))]

    def health(self, conn: Connection, partition: int) -> dict[str, dict[str, str]] | None:
        """The known troubles of a partition, by code, each with `since` and `detail`; None: it was
        never read.
        """
        c = t.partition.c
        found: dict[str, dict[str, str]] | None = conn.execute(
            sa.select(c.health).where(c.id == partition)
        ).scalar_one()
        return found

    def set_health(
        self, conn: Connection, partition: int, health: dict[str, dict[str, str]]
    ) -> None:
        """Set the known troubles of a partition."""
        these = t.partition.c.id == partition
        conn.execute(sa.update(t.partition).where(these).values(health=health))

    def set_partitions(self, conn: Connection, partitions: Sequence[int], state: str) -> None:
        """Set the state of partitions."""
        if partitions:
            these = t.partition.c.id.in_(partitions)
            conn.execute(sa.update(t.partition).where(these).values(state=state))

    def unretire(self, conn: Connection, partitions: Sequence[int]) -> None:
        """Have those of the partitions that are retired read again, if the source lists them."""
        c = t.partition.c
        these = sa.and_(c.id.in_(partitions), c.state == RETIRED)
        conn.execute(sa.update(t.partition).where(these).values(state=UNLISTED))

    def waiting_to_retire(self, conn: Connection, connection: int) -> set[int]:
        """Partitions that a held plan would retire."""
        h = t.hold.c
        query = (
            sa.select(h.partition_id)
            .join(t.step, t.step.c.id == h.step_id)
            .join(t.run, t.run.c.id == t.step.c.run_id)
            .where(h.state == "waiting", t.run.c.mode.in_(RETIRING))
            .where(t.run.c.connection_id == connection)
        )
        return set(conn.execute(query).scalars())

    def retired_with_all(self, conn: Connection, connection: int) -> list[int]:
        """Partitions that were retired because all of their connection was."""
        s, p = t.step.c, t.partition.c
        last = (
            sa.select(s.partition_id, sa.func.max(s.run_id).label("run"))
            .join(t.run, t.run.c.id == s.run_id)
            .where(t.run.c.mode.in_(RETIRING), s.state == "done")
            .group_by(s.partition_id)
            .subquery()
        )
        query = (
            sa.select(p.id)
            .join(last, last.c.partition_id == p.id)
            .join(t.run, t.run.c.id == last.c.run)
            .where(p.connection_id == connection, p.state == RETIRED, t.run.c.mode == RETIRE)
        )
        return list(conn.execute(query).scalars())

    def has_records(self, conn: Connection, partition: int) -> bool:
        """Whether any record of the partition still counts as there."""
        c = t.link.c
        where = sa.and_(c.partition_id == partition, c.state.in_(_PRESENT))
        return conn.execute(sa.select(sa.literal(1)).where(where).limit(1)).first() is not None

    def record_keys(
        self, conn: Connection, partition: int, stream: str, after: str, most: int
    ) -> list[str]:
        """The first keys after `after`, in order, of a stream's records that still count as there,
        those included that came inside the items of others.
        """
        c = t.link.c
        query = sa.select(c.key).where(c.partition_id == partition, c.stream == stream)
        query = query.where(c.state.in_(_PRESENT), c.key > after).order_by(c.key).limit(most)
        return list(conn.execute(query).scalars())
