"""Holds: plans over a limit that wait for a person's word, and what was said about earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Overrun
from syncd.errors import UsageError
from syncd.store import tables as t
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A plan that waits, or waited, for a person."""

    id: int
    partition: int
    step: int
    run: int
    connection: str
    plan_digest: str
    state: str
    overruns: list[dict[str, Any]]
    held_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class Holds:
    """Reads and writes of held plans; all join the caller's transaction."""

    database: Database

    def holds(self, conn: Connection, *states: str) -> list[HoldRow]:
        """Holds in one of the states, oldest first."""
        return self._holds(conn, t.hold.c.state.in_(states))

    def hold(self, conn: Connection, hold: int) -> HoldRow:
        """One hold."""
        return self._holds(conn, t.hold.c.id == hold)[0]

    def hold_of(self, conn: Connection, run: int) -> list[HoldRow]:
        """Holds whose plan belongs to a run."""
        return self._holds(conn, t.step.c.run_id == run)

    def _holds(self, conn: Connection, where: sa.ColumnElement[bool]) -> list[HoldRow]:
        c = t.hold.c
        query = (
            sa.select(
                c.id, c.partition_id, c.step_id, t.step.c.run_id, t.connection.c.name,
                c.plan_digest, c.state, c.overruns, c.held_at, c.decided_at, c.decided_by,
            )
            .join(t.step, t.step.c.id == c.step_id)
            .join(t.partition, t.partition.c.id == c.partition_id)
            .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
            .where(where)
            .order_by(c.id)
        )  # fmt: skip
        return [HoldRow(*tuple(row)) for row in conn.execute(query)]

    def waiting(self, conn: Connection, partition: int) -> HoldRow | None:
        """The hold of a partition that waits for a person."""
        where = sa.and_(t.hold.c.partition_id == partition, t.hold.c.state == "waiting")
        found = self._holds(conn, where)
        return found[0] if found else None

    def was_rejected(self, conn: Connection, partition: int, digest: str) -> HoldRow | None:
        """The newest decision of the partition, if it rejected this very plan."""
        where = sa.and_(t.hold.c.partition_id == partition, t.hold.c.state != "superseded")
        found = self._holds(conn, where)
        last = found[-1] if found else None
        return last if last and last.state == "rejected" and last.plan_digest == digest else None

    def add_hold(
        self, conn: Connection, partition: int, step: int, digest: str, overruns: Sequence[Overrun]
    ) -> int:
        """A new hold that waits for a person."""
        listed = [
            {"guard": o.guard, "scope": o.scope, "count": o.count, "limit": o.limit,
             "sentence": o.sentence}
            for o in overruns
        ]  # fmt: skip
        made = conn.execute(
            sa.insert(t.hold)
            .values(
                partition_id=partition,
                step_id=step,
                plan_digest=digest,
                state="waiting",
                overruns=listed,
                held_at=self.database.now(conn),
            )
            .returning(t.hold.c.id)
        )
        return int(made.scalar_one())

    def update_hold(self, conn: Connection, hold: int, **values: Any) -> None:
        """Set columns of a hold."""
        conn.execute(sa.update(t.hold).where(t.hold.c.id == hold).values(**values))

    def decide(self, conn: Connection, hold: HoldRow, state: str, actor: str) -> None:
        """A person's word on a waiting hold; UsageError if it does not wait any more, or if a sync
        has put another plan in the place of this one.
        """
        c = t.hold.c
        done = conn.execute(
            sa.update(t.hold)
            .where(c.id == hold.id, c.state == "waiting", c.step_id == hold.step)
            .values(state=state, decided_by=actor, decided_at=self.database.now(conn))
        )
        if done.rowcount != 1:
            raise UsageError(
                f"somebody decided on plan {hold.id}, or planned it again, at this very moment; "
                "what waits now: syncd review"
            )
