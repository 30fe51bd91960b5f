"""Pausing and resuming connections: a person's switch, remembered with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.store.runs import ConnectionRow
from syncd.sync.engine import Engine


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


def resume(engine: Engine, name: str, actor: str) -> ConnectionRow:
    """Let the connection sync again."""
    return _set(engine, name, "active", f"resumed by {actor}")


def _set(engine: Engine, name: str, state: str, reason: str) -> ConnectionRow:
    row = engine.runs.ensure_connection(name, engine.settings.connection(name).connector)
    engine.database.transact(
        lambda conn: engine.runs.set_connection_state(conn, row.id, state, reason)
    )
    return engine.runs.ensure_connection(name, "")
