"""Connections, partitions, runs, steps and holds: what was asked, done and decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import LinkState
from syncd.errors import Busy, StoreRefused
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.holds import Holds
from syncd.store.partitions import LISTED, Partitions

OPEN = "open"
POISON_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection as the store knows it."""

    id: int
    name: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was opened for, by whom; `reason`: what was said of it so far."""

    mode: str
    connection: int | None
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step as it stands."""

    id: int
    run: int
    partition: int | None
    phase: str
    state: str
    attempts: int
    pages: int
    applied: int
    applied_seq: int
    mapping_version: str | None
    proven: bool
    mode: str
    counts: dict[str, Any]
    next_cursor: dict[str, str] | None
    base_cursor: dict[str, str] | None
    is_full: bool


RESTED = timedelta(hours=1)
"""A full read that follows another one sooner, and changed nothing, is not written down."""


class StoredCursor(NamedTuple):
    """A cursor, the fingerprint of the configuration that made it, since when it stands, and when
    everything was last read.
    """

    value: str
    fingerprint: str
    updated_at: datetime
    full_at: datetime


class Runs(Holds, Partitions):
    """Reads and writes of the run tables. Methods with `conn` join the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- connections and partitions ----------------------------------------------------------------

    def ensure_connection(self, name: str, connector: str) -> ConnectionRow:
        """The connection's row, made on its first use."""

        def work(conn: Connection) -> ConnectionRow:
            found = self.connection(conn, name)
            if found:
                return found
            conn.execute(
                sa.insert(t.connection).values(
                    name=name,
                    connector=connector,
                    state="active",
                    created_at=self.database.now(conn),
                )
            )
            made = self.connection(conn, name)
            assert made is not None
            return made

        with self.database.read() as conn:
            found = self.connection(conn, name)
        return found or self.database.transact(work)

    def connection(self, conn: Connection, name: str) -> ConnectionRow | None:
        """The connection of this name, if it was ever used."""
        c = t.connection.c
        row = conn.execute(
            sa.select(c.id, c.name, c.state, c.state_reason).where(c.name == name)
        ).first()
        return ConnectionRow(*row) if row else None

    def seniority(self, conn: Connection) -> dict[str, int]:
        """The order in which connections were used for the first time: lower came first."""
        c = t.connection.c
        return {row[0]: row[1] for row in conn.execute(sa.select(c.name, c.id))}

    def set_connection_state(
        self, conn: Connection, connection: int, state: str, reason: str | None
    ) -> None:
        """active, paused or retired, and why."""
        c = t.connection.c
        conn.execute(
            sa.update(t.connection)
            .where(c.id == connection)
            .values(state=state, state_reason=reason)
        )

    def ensure_partition(self, conn: Connection, connection: int, key: str, name: str) -> int:
        """The id of a partition, made on its first sight."""
        c = t.partition.c
        query = sa.select(c.id).where(c.connection_id == connection, c.key == key)
        found = conn.execute(query).scalar()
        if found is None:
            conn.execute(
                sa.insert(t.partition).values(
                    connection_id=connection, key=key, name=name, state=LISTED, fence=0
                )
            )
            found = conn.execute(query).scalar_one()
        return int(found)

    def partition(self, conn: Connection, partition: int) -> tuple[int, str, str]:
        """(connection, key, name) of a partition."""
        c = t.partition.c
        row = conn.execute(sa.select(c.connection_id, c.key, c.name).where(c.id == partition)).one()
        return row[0], row[1], row[2]

    def quarantined(self, conn: Connection, partitions: Sequence[int]) -> int:
        """How many items of the partitions are in quarantine."""
        c = t.quarantine.c
        query = sa.select(sa.func.count()).where(c.partition_id.in_(partitions))
        return int(conn.execute(query).scalar_one())

    def unsettled(self, conn: Connection, connection: int) -> int:
        """How many records of the connection are planned again when they are read again."""
        c = t.link.c
        present = c.state.not_in((LinkState.MISSED, LinkState.GONE, LinkState.UNLINKED))
        query = sa.select(sa.func.count()).select_from(t.link)
        query = query.join(t.partition, t.partition.c.id == c.partition_id)
        query = query.where(t.partition.c.connection_id == connection, c.digest.is_(None), present)
        return int(conn.execute(query.where(c.owner == "")).scalar_one())

    def notices(self, conn: Connection, step: int) -> list[str]:
        """What a step wants a person to know."""
        found: list[str] = conn.execute(
            sa.select(t.step.c.notices).where(t.step.c.id == step)
        ).scalar_one()
        return found

    def first_reason(self, conn: Connection, steps: Sequence[int]) -> tuple[str | None, str | None]:
        """(code, reason) of the first of the steps that has a reason."""
        c = t.step.c
        query = sa.select(c.code, c.reason).where(c.id.in_(steps), c.reason.is_not(None))
        row = conn.execute(query.order_by(c.id).limit(1)).first()
        return (row[0], row[1]) if row else (None, None)

    def cursors(self, conn: Connection, partition: int) -> dict[str, StoredCursor]:
        """The cursor of each stream that has one."""
        c = t.cursor.c
        full_at = sa.func.coalesce(c.full_at, c.updated_at)
        query = sa.select(c.stream, c.value, c.fingerprint, c.updated_at, full_at)
        rows = conn.execute(query.where(c.partition_id == partition))
        return {row[0]: StoredCursor(*row[1:]) for row in rows}

    def save_cursors(
        self,
        conn: Connection,
        partition: int,
        values: dict[str, str],
        fingerprint: str,
        *,
        is_full: bool,
    ) -> None:
        """Commit the cursors with the rows that they cover; equal ones stay as they are. `is_full`:
        all that there is was read, and not what changed.
        """
        if not values:
            return
        stored, c, now = self.cursors(conn, partition), t.cursor.c, self.database.now(conn)
        for stream, value in values.items():
            known = stored.get(stream)
            full_at = now if is_full or known is None else known.full_at
            is_same = known and (known.value, known.fingerprint) == (value, fingerprint)
            if known and is_same and full_at - known.full_at < RESTED:
                continue  # that everything was read again, so soon, is nothing to write down
            conn.execute(sa.delete(t.cursor).where(c.partition_id == partition, c.stream == stream))
            conn.execute(
                sa.insert(t.cursor).values(
                    partition_id=partition,
                    stream=stream,
                    value=value,
                    fingerprint=fingerprint,
                    updated_at=now,
                    full_at=full_at,
                )
            )

    def clear_cursors(self, conn: Connection, partition: int) -> None:
        """Forget every place of the partition: the next read is a full one."""
        conn.execute(sa.delete(t.cursor).where(t.cursor.c.partition_id == partition))

    # -- runs and steps ----------------------------------------------------------------------------

    def open_run(
        self,
        connection: int | None,
        mode: str,
        actor: str,
        *,
        trigger: str = "manual",
        undoes: int | None = None,
    ) -> int:
        """A new run; Busy if the connection has an open one already."""
        return self.opened(
            lambda conn: self.insert_run(
                conn, connection, mode, actor, trigger=trigger, undoes=undoes
            )
        )

    def opened(self, work: Callable[[Connection], int]) -> int:
        """Run `work`, which inserts a run; Busy if the connection has an open one already."""
        try:
            return self.database.transact(work)
        except StoreRefused:
            raise Busy("another process is syncing this connection: a run is open") from None

    def insert_run(
        self,
        conn: Connection,
        connection: int | None,
        mode: str,
        actor: str,
        *,
        trigger: str = "manual",
        undoes: int | None = None,
    ) -> int:
        """`open_run` within the caller's transaction."""
        made = conn.execute(
            sa.insert(t.run)
            .values(
                connection_id=connection,
                mode=mode,
                actor=actor,
                trigger=trigger,
                undoes=undoes,
                state=OPEN,
                cancel_requested=False,
                counts={},
                started_at=self.database.now(conn),
            )
            .returning(t.run.c.id)
        )
        return int(made.scalar_one())

    def open_run_of(self, conn: Connection, connection: int) -> tuple[int, str] | None:
        """(id, mode) of the connection's open run."""
        c = t.run.c
        query = sa.select(c.id, c.mode).where(c.connection_id == connection, c.state == OPEN)
        row = conn.execute(query).first()
        return (row[0], row[1]) if row else None

    def add_step(self, conn: Connection, run: int, partition: int | None) -> int:
        """A new step of a run, due now."""
        made = conn.execute(
            sa.insert(t.step)
            .values(
                run_id=run,
                partition_id=partition,
                phase="read",
                state="due",
                attempts=0,
                due_at=self.database.now(conn),
                proven=False,
                pages=0,
                applied=0,
                applied_seq=0,
                counts={},
                notices=[],
                gone_confirmed=False,
            )
            .returning(t.step.c.id)
        )
        return int(made.scalar_one())

    def asked(self, conn: Connection, run: int) -> Asked:
        """What a run was opened for."""
        c = t.run.c
        query = sa.select(c.mode, c.connection_id, c.actor, c.reason).where(c.id == run)
        return Asked(*conn.execute(query).one())

    def step(self, conn: Connection, step: int) -> StepRow:
        """One step."""
        return self._steps(conn, t.step.c.id == step)[0]

    def steps(self, conn: Connection, run: int) -> list[StepRow]:
        """The steps of a run, oldest first."""
        return self._steps(conn, t.step.c.run_id == run)

    def _steps(self, conn: Connection, where: sa.ColumnElement[bool]) -> list[StepRow]:
        c = t.step.c
        query = (
            sa.select(
                c.id, c.run_id, c.partition_id, c.phase, c.state, c.attempts, c.pages, c.applied,
                c.applied_seq, c.mapping_version, c.proven, t.run.c.mode, c.counts, c.next_cursor,
                c.base_cursor, c.is_full,
            )
            .join(t.run, t.run.c.id == c.run_id)
            .where(where)
            .order_by(c.id)
        )  # fmt: skip
        return [StepRow(*tuple(row)) for row in conn.execute(query)]

    def update_step(self, conn: Connection, step: int, **values: Any) -> None:
        """Set columns of a step."""
        conn.execute(sa.update(t.step).where(t.step.c.id == step).values(**values))

    def update_run(self, conn: Connection, run: int, **values: Any) -> None:
        """Set columns of a run."""
        conn.execute(sa.update(t.run).where(t.run.c.id == run).values(**values))

    def claim_undo(self, conn: Connection, run: int, undo: int) -> bool:
        """Write down that the run `undo` takes a run back; False where another one does."""
        free = sa.and_(t.run.c.id == run, t.run.c.undone_by.is_(None))
        return conn.execute(sa.update(t.run).where(free).values(undone_by=undo)).rowcount == 1

    def forget_undo(self, conn: Connection, undo: int) -> None:
        """What the run `undo` was to take back, if anything, can be taken back by another."""
        undone = t.run.c.undone_by == undo
        conn.execute(sa.update(t.run).where(undone).values(undone_by=None))

    def reopen(self, conn: Connection, run: int) -> None:
        """Open a closed run again: its held plan was approved."""
        self.update_run(conn, run, state=OPEN, ended_at=None)

    def close_run(
        self, conn: Connection, run: int, state: str, counts: dict[str, Any], code: str | None,
        reason: str | None,
    ) -> None:  # fmt: skip
        """Close a run with its outcome."""
        now = self.database.now(conn)
        self.update_run(
            conn, run, state=state, counts=counts, code=code, reason=reason, ended_at=now
        )

    def cancel_requested(self, conn: Connection, run: int) -> bool:
        """Whether someone asked for the run to stop."""
        return bool(
            conn.execute(sa.select(t.run.c.cancel_requested).where(t.run.c.id == run)).scalar()
        )

    def newest_counts(self, conn: Connection, run: int) -> dict[str, Any]:
        """The counts of the run that ended last; none while another one is open, and may write."""
        c = t.run.c
        query = sa.select(c.counts).where(c.id != run)
        query = query.order_by(c.ended_at.is_not(None), c.ended_at.desc(), c.id.desc()).limit(1)
        found: dict[str, Any] = conn.execute(query).scalar() or {}
        return found

    def others_wrote_since(self, conn: Connection, run: int, step: int) -> bool:
        """Whether any other run may have written since this one was opened, or another step of it
        has a plan: it may be writing just now.
        """
        c, s = t.run.c, t.step.c
        beside = sa.exists().where(s.run_id == run, s.id != step, s.pages > 0)
        if conn.execute(sa.select(beside)).scalar():
            return True
        started = sa.select(c.started_at).where(c.id == run).scalar_subquery()
        other = sa.or_(c.started_at >= started, c.ended_at >= started, c.state == OPEN)
        query = sa.select(c.id).where(c.id != run, c.mode != "plan", other).limit(1)
        return conn.execute(query).first() is not None
