"""One run from start to end: open it, walk its steps, close it. Crashed runs are taken over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from syncd.connectors.base import Connector, Partition
from syncd.errors import (
    AuthFailed,
    BadResponse,
    ProviderError,
    ProviderUnavailable,
    Refused,
    UsageError,
)
from syncd.failpoints import reach
from syncd.log import redact_text
from syncd.store import statistics
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.partitions import RETIRING
from syncd.store.runs import ConnectionRow, StepRow
from syncd.sync.closing import Outcome, close
from syncd.sync.engine import Engine, calm_collector
from syncd.sync.partitions import MISSING, Stocktaking, as_found, take_stock
from syncd.sync.reviewing import finish_left_over
from syncd.sync.turns import work_off
from syncd.sync.walking import READ_ATTEMPTS, claim, pause_refused, release, work_on

__all__ = ["Outcome", "close", "resume_or_open", "sync", "walk", "work_on"]


def sync(
    engine: Engine, name: str, *, mode: str = "apply", full: bool = False, actor: str = "cli"
) -> Outcome:
    """Sync one connection (mode "apply"), or plan what that would do (mode "plan").

    Raises ConfigError, Busy, UsageError, or the ProviderError that says why nothing can be read.
    """
    row = engine.runs.ensure_connection(name, engine.settings.connection(name).connector)
    refuse_paused(row)
    connector = engine.connector(name)
    engine.serving.pop(name, None)
    if connector.serves_all:
        engine.serving[name] = connector  # one for each run: what it knows is of that time
    engine.rules(name)  # a mapping that cannot be compiled stops the run before it opens

    def find() -> list[Partition]:
        refuse_paused(engine.runs.ensure_connection(name, ""))  # a run that was left may say so
        return _partitions(engine, name, connector)

    stocktaking = partial(take_stock, remember=mode == "apply")
    run = resume_or_open(engine, row, mode, actor, find, stocktaking)
    return walk(engine, name, run, full=full)


def walk(
    engine: Engine,
    name: str,
    run: int,
    *,
    full: bool = False,
    remark: Callable[[], str] = str,
    threads: int | None = None,
) -> Outcome:
    """Take every due step of an open run through its phases, and close the run. With one thread,
    one step after the other. `remark`: what else is to be said of it, asked at its end.
    """
    reach("run.opened")
    due = _due(engine, run)
    threads = max(1, min(threads or engine.settings.engine.threads, len(due)))
    statistics.gather(engine.database)  # of a backup that was just restored
    with calm_collector():
        work_off(engine, name, due, threads, full=full)
    statistics.gather(engine.database)  # of what a first load brought
    return close(engine, run, remark())


def refuse_paused(row: ConnectionRow) -> None:
    """UsageError for a connection that is not to be synced until someone says so."""
    if row.state != "active":
        when = "when that is mended" if row.state == "paused" else "to sync it all the same"
        raise UsageError(
            f'connection "{row.name}" is {row.state}: {row.reason}; {when}: syncd resume {row.name}'
        )


def resume_or_open(
    engine: Engine,
    row: ConnectionRow,
    mode: str,
    actor: str,
    find: Callable[[], Sequence[Partition]],
    stocktaking: Stocktaking = as_found,
) -> int:
    """The run that a crash left open, or a new one with a step for each partition; `find` is asked
    for those, and may raise, before the run is there; `stocktaking` chooses among them.
    """
    left = take_over_left(engine, row, mode)
    if left is not None:
        return left
    found = find()

    def work(conn: Transaction) -> int:
        run = engine.runs.insert_run(conn, row.id, mode, actor)
        stock = stocktaking(engine.runs, conn, row, found)
        steps = [engine.runs.add_step(conn, run, partition) for partition in stock.readable]
        if steps:  # the first one tells what is to be said of the run
            counts = {MISSING: stock.missing} if stock.missing else {}
            engine.runs.update_step(conn, steps[0], notices=stock.notices, counts=counts)
        else:
            engine.runs.update_run(conn, run, reason="; ".join(stock.notices) or None)
        reach("step.opened")
        return run

    return engine.runs.opened(work)


def take_over_left(engine: Engine, row: ConnectionRow, mode: str) -> int | None:
    """The run that a crash left open, if it is one to go on with; others are laid aside."""
    finish_left_over(engine, row.name)
    left = engine.database.query(lambda conn: engine.runs.open_run_of(conn, row.id))
    return left[0] if left is not None and _take_over(engine, *left, mode) else None


def _partitions(engine: Engine, name: str, connector: Connector[Any]) -> list[Partition]:
    try:
        return _listed(connector)
    except ProviderError as error:  # no step is there that could end badly
        said = redact_text(str(error))
        error.args = (said, *error.args[1:])
        if isinstance(error, AuthFailed):
            pause_refused(engine, name, said)
        raise error from None


def _listed(connector: Connector[Any]) -> list[Partition]:
    """The partitions; asked for again after an unusable answer."""
    for attempt in range(1, READ_ATTEMPTS):
        try:
            return list(connector.partitions())
        except Refused:
            raise
        except (ProviderUnavailable, BadResponse):
            time.sleep(0.2 * attempt)
    return list(connector.partitions())


def _take_over(engine: Engine, run: int, left_mode: str, mode: str) -> bool:
    """Whether to go on with a run that another process left open; Busy while that one lives."""
    partitions = {one.partition for one in _due(engine, run) if one.partition is not None}
    claimed = [claim(engine, one) for one in sorted(partitions)]  # Busy while somebody works
    try:
        if left_mode == mode and mode != "plan":
            return True
        _abandon(engine, run, left_mode)
    finally:
        for lease in claimed:
            release(engine, lease)
    close(engine, run)
    return False


def _abandon(engine: Engine, run: int, mode: str) -> None:
    """Lay aside what a run had not planned to the end. An undo is never left half done."""
    steps = _due(engine, run)
    begun = mode == "undo" and len(steps) < len(_steps(engine, run))
    if begun or any(one.phase == "apply" for one in steps):
        raise UsageError(
            f"run {run} was interrupted while it was being applied; finish it first: "
            + _FINISHED_BY.get(mode, "syncd sync")
        )
    reason = "the process ended before the plan was made; nothing was changed"

    def work(conn: Transaction) -> None:
        for one in steps:
            Draft(engine.database, one.id).clear(conn)
            engine.runs.update_step(
                conn, one.id, state="cancelled", code="interrupted", reason=reason
            )
        engine.runs.forget_undo(conn, run)

    engine.database.transact(work)


_FINISHED_BY = {"undo": "syncd undo", **dict.fromkeys(RETIRING, "syncd connections retire")}


def _due(engine: Engine, run: int) -> list[StepRow]:
    return [one for one in _steps(engine, run) if one.state == "due"]


def _steps(engine: Engine, run: int) -> list[StepRow]:
    return engine.database.query(lambda conn: engine.runs.steps(conn, run))
