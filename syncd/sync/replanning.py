"""What an edit of a mapping would do: the stored items, planned again under another mapping."""

from __future__ import annotations

from pathlib import Path

from syncd.connectors.base import Partition
from syncd.errors import UsageError
from syncd.store import counts, items
from syncd.store.database import Transaction
from syncd.store.runs import ConnectionRow
from syncd.sync import stored
from syncd.sync.closing import Edit, Outcome
from syncd.sync.engine import Engine
from syncd.sync.flow import resume_or_open, walk
from syncd.toml_file import show, suggestion


def plan_under(engine: Engine, name: str, file: Path, actor: str) -> Outcome:
    """Plan what the connection would do if `file` were its mapping, by what it said so far. Nothing
    is changed and the provider is not asked, so that it may be down, or the connection paused.

    Raises ConfigError for what is wrong with the file, UsageError where nothing is stored, Busy.
    """
    row, partitions = _known(engine, name)
    edited = stored.instead(engine.under(name, file), stored.all_items)
    edited.connector(name)  # what is configured wrongly stops the run before it opens
    edited.rules(name)
    run = resume_or_open(edited, row, "plan", actor, lambda: partitions)
    outcome = walk(
        edited, name, run, full=True, remark=lambda: f"from stored items, under {show(file)}"
    )
    users, clients = engine.database.query(lambda conn: counts.concerned(conn, run))
    outcome.edit = Edit(show(file), users, clients)
    return outcome


def _known(engine: Engine, name: str) -> tuple[ConnectionRow, list[Partition]]:
    """The connection, and its partitions that have anything stored."""
    known = engine.settings.connections
    if name not in known:
        raise UsageError(f'there is no connection "{name}"{suggestion(name, known)}')

    def look(conn: Transaction) -> tuple[ConnectionRow | None, list[tuple[str, str]]]:
        row = engine.runs.connection(conn, name)
        return row, items.partitions(conn, row.id) if row else []

    row, partitions = engine.database.query(look)
    if row is None or not partitions:
        raise UsageError(
            f"nothing of {name} is stored yet, so there is nothing to plan again; "
            f"sync it first: syncd sync {name}"
        )
    return row, [Partition(*one) for one in partitions]
