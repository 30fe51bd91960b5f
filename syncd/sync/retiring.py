"""RETIRE: all records of a partition count as gone, by a person's word; no provider is asked.

A plan like any other: stored, guarded, applied, undone. The partitions of a connection are retired
one after the other: who is in several leaves with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from syncd.changes import Decisions, Overrun
from syncd.connectors import base
from syncd.connectors.base import Connector
from syncd.errors import UsageError
from syncd.mapping.active import RETIRED as REASON
from syncd.mapping.fields import Rules, compile_mapping
from syncd.mapping.gone import plan_gone
from syncd.mapping.page import Page
from syncd.mapping.rules import Mapping
from syncd.mapping.words import KINDS
from syncd.store.database import Transaction
from syncd.store.holds import HoldRow
from syncd.store.partitions import RETIRED, PartitionRow
from syncd.store.runs import Runs, StepRow
from syncd.sync.engine import Engine
from syncd.sync.step import PAGE_OF_SETTLING, Progress, Step


def last_rules(engine: Engine, name: str) -> Rules:
    """What the records of a connection meant; one that is not configured any more has no mapping,
    and so the rules that are the default.
    """
    if name in engine.settings.connections:
        return engine.rules(name)
    return compile_mapping(Mapping())


def nobody(engine: Engine, name: str) -> Connector[base.Config]:
    """Stands for the connector of a connection that is not asked anything."""
    return Connector(base.Config(), base.Context(name, engine.settings.folder))


def plan_retirement(step: Step) -> None:
    """Plan as gone all that the partition has brought and that was not gone before."""
    before = _earlier(step)
    step.context.retiring = frozenset({step.lease.partition, *(one.id for one in before)})
    if pending := [one for one in before if one.state != RETIRED]:
        what = f"{pending[0].label} is to be retired first, and waits for a decision"
        step.doubts.append(Overrun("order", "run", len(pending), 0, what))
    for stream in KINDS:
        _plan_stream(step, stream)


def _earlier(step: Step) -> list[PartitionRow]:
    return step.database.query(lambda conn: _before(conn, step.runs, step.run, step.id))


def _before(conn: Transaction, runs: Runs, run: int, step: int) -> list[PartitionRow]:
    """The partitions that a run retires before it comes to a step."""
    connection = runs.asked(conn, run).connection
    ids = {one.partition for one in runs.steps(conn, run) if one.id < step}
    assert connection is not None
    return [one for one in runs.partitions(conn, connection) if one.id in ids]


def _plan_stream(step: Step, stream: str) -> None:
    after, done = "", 0
    while True:
        page = Page()
        with step.facts.open():
            keys = step.runs.record_keys(
                step.facts.conn, step.lease.partition, stream, after, step.batch
            )
            links = list(step.facts.links(stream, keys).values())
            plan_gone(step.context, stream, links, REASON, page)
        if not keys:
            break
        step.store(stream, PAGE_OF_SETTLING, page.out)
        after, done = keys[-1], done + len(keys)
        step.report(Progress("retire", stream, done, None))
    _forget_quarantined(step, stream)


def _forget_quarantined(step: Step, stream: str) -> None:
    """What waits for a word in the source, or about it, waits for nothing any more."""
    with step.facts.open():
        pages = [[key for key, _ in page] for page in step.facts.quarantine_items(stream)]
    for keys in pages:
        healed = [(stream, key) for key in keys]
        step.store(stream, PAGE_OF_SETTLING, Decisions(healed=healed))


def ending(engine: Engine, partition: int) -> Callable[[Transaction], None]:
    """What belongs to the end of a retirement: nothing of the partition is there any more, unless
    something was left out. If it is ever read again, all of it is.
    """
    return partial(_end, engine, partition)


def _end(engine: Engine, partition: int, conn: Transaction) -> None:
    engine.runs.clear_cursors(conn, partition)
    if not engine.runs.has_records(conn, partition):
        engine.runs.set_partitions(conn, [partition], RETIRED)


def refuse_outdated(engine: Engine, hold: HoldRow, step: StepRow) -> None:
    """UsageError for a plan that is no longer what would happen."""
    again = f"; plan again: syncd connections retire {hold.connection}"
    if step.mapping_version != engine.meaning(last_rules(engine, hold.connection)).hex():
        raise UsageError(f"the mapping was edited after plan {hold.id} was made{again}")
    before = engine.database.query(lambda conn: _before(conn, engine.runs, hold.run, step.id))
    if pending := [one.label for one in before if one.state != RETIRED]:
        raise UsageError(
            f"plan {hold.id} counts on {', '.join(pending)} being retired before; decide on that "
            f"first (syncd review), or{again.removeprefix(';')}"
        )
