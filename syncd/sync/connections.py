"""Pausing, resuming and retiring connections: a person's switch, remembered with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.connectors.asking import Asking
from syncd.connectors.base import Partition
from syncd.errors import UsageError
from syncd.store.database import Transaction
from syncd.store.partitions import RETIRE, RETIRE_PART, RETIRED, RETIRING, PartitionRow
from syncd.store.runs import ConnectionRow
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome, resume_or_open, walk
from syncd.sync.granting import vault
from syncd.sync.walking import RECONNECT


def pause(engine: Engine, name: str, reason: str, actor: str) -> ConnectionRow:
    """No further reads of this connection until someone resumes it."""
    return _set(engine, name, "paused", f"{reason} (by {actor})")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a connection is paused, None if it is not, and how many of its records the next sync
    plans again although they may not have changed.
    """

    reason: str | None
    unsettled: int


def waiting(engine: Engine, name: str) -> Waiting:
    """What waits for a connection to be resumed."""
    row = engine.runs.ensure_connection(name, engine.settings.connection(name).connector)
    unsettled = engine.database.query(lambda conn: engine.runs.unsettled(conn, row.id))
    return Waiting(row.reason if row.state == "paused" else None, unsettled)


def resume(engine: Engine, name: str, actor: str, partition: str | None = None) -> ConnectionRow:
    """Let the connection sync again, with all partitions that were retired with it; or let it read
    one partition again that was retired by itself.
    """
    row = engine.runs.ensure_connection(name, engine.settings.connection(name).connector)
    if partition is not None:
        one = _chosen(engine, row, partition)[0]
        if one.state != RETIRED:
            raise UsageError(f"{one.label} of {name} is not retired: it is {one.state}")
        engine.database.transact(lambda conn: engine.runs.unretire(conn, [one.id]))
        return row

    def work(conn: Transaction) -> None:
        if row.state == RETIRED:
            engine.runs.unretire(conn, engine.runs.retired_with_all(conn, row.id))
        engine.runs.set_connection_state(conn, row.id, "active", f"resumed by {actor}")

    engine.database.transact(work)
    return engine.runs.ensure_connection(name, "")


def connect(engine: Engine, name: str, asking: Asking, actor: str) -> str | None:
    """Have a person sign in for a connection, and let it go on if it was paused for want of that;
    the name of the first key, where one had to be made.
    """
    connector = engine.connector(name)
    kept = vault(engine.database, engine.settings, name)
    made = None
    if not kept.keyring.exists() and not kept.grants.sealed_by():
        made = kept.keyring.make()
    kept.put(connector.connect(asking), actor)
    row = engine.runs.ensure_connection(name, "")
    if row.state == "paused" and (row.reason or "").startswith(RECONNECT):
        resume(engine, name, actor)
    return made


def retire(engine: Engine, name: str, actor: str, partition: str | None = None) -> Outcome:
    """Say that a connection, or one partition of it, is gone for good: its records count as gone by
    a plan that is guarded, and held over its limits, like any other. No provider is asked, and the
    connection need not be configured any more.

    Raises UsageError where there is nothing to retire, Busy.
    """
    row = engine.database.query(lambda conn: engine.runs.connection(conn, name))
    if row is None:
        engine.settings.connection(name)  # a name that nobody knows is said so
        raise UsageError(f"{name} was never synced, so there is nothing to retire")
    if row.state == RETIRED:
        raise UsageError(f"{name} is retired already: {row.reason}")
    _finish_retiring(engine, row)
    left = [one for one in _chosen(engine, row, partition) if one.state != RETIRED]
    if partition is not None and not left:
        raise UsageError(f"{partition} of {name} is retired already")
    mode = RETIRE if partition is None else RETIRE_PART
    found = [Partition(one.key, one.name) for one in left]
    run = resume_or_open(engine, row, mode, actor, lambda: found)
    return _walk(engine, name, run)


def _finish_retiring(engine: Engine, row: ConnectionRow) -> None:
    """Bring to its end what an interrupted retirement left."""
    left = engine.database.query(lambda conn: engine.runs.open_run_of(conn, row.id))
    if left is not None and left[1] in RETIRING:
        _walk(engine, row.name, left[0])


def _walk(engine: Engine, name: str, run: int) -> Outcome:
    """One partition after the other: what a later one means depends on those before it."""
    return walk(engine, name, run, threads=1)


def _chosen(engine: Engine, row: ConnectionRow, partition: str | None) -> Sequence[PartitionRow]:
    known = engine.database.query(lambda conn: engine.runs.partitions(conn, row.id))
    return chosen(known, row.name, partition)


def chosen(
    known: Sequence[PartitionRow], connection: str, partition: str | None
) -> Sequence[PartitionRow]:
    """All partitions, or the one with this key, or this name; UsageError where there is none."""
    if partition is None:
        return known
    found = [one for one in known if one.key == partition]
    found = found or [one for one in known if one.name == partition]
    if len(found) == 1:
        return found
    listed = ", ".join(one.label for one in found or known) or "none"
    what = "several partitions" if found else "no partition"
    raise UsageError(f'{connection} has {what} "{partition}"; name one by its key: {listed}')


def _set(engine: Engine, name: str, state: str, reason: str) -> ConnectionRow:
    row = engine.runs.ensure_connection(name, engine.settings.connection(name).connector)
    engine.database.transact(
        lambda conn: engine.runs.set_connection_state(conn, row.id, state, reason)
    )
    return engine.runs.ensure_connection(name, "")
