"""UNDO: the inverse of a run, or of a part of it, through the same apply, each field checked first.

Fields, provenance, overrides, identities and links go back to what they were. A created entity is
*retired*: hidden, its keys released, its row kept; unless others linked or edited it since.
"""

from __future__ import annotations

from syncd.changes import Change, Decisions
from syncd.entities import LOCAL
from syncd.errors import UsageError
from syncd.store import history, leases
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.facts import StoreFacts
from syncd.store.history import Undoable
from syncd.store.merges import Newcomer, merged_since, records_since
from syncd.store.partitions import RETIRING
from syncd.store.quiet_links import START, Place, QuietLinks
from syncd.store.runs import StepRow
from syncd.store.undone import UndoStep, Wanted, undo_steps
from syncd.sync.applying import Application
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome, close
from syncd.sync.inverting import restored
from syncd.sync.parting import Parting, told_of
from syncd.sync.undo_parts import ORDER, PAGE, narrowed, pages
from syncd.sync.way_back import WayBack

WHOLE = Wanted()


def undo(engine: Engine, run: int, actor: str, wanted: Wanted = WHOLE) -> Outcome:
    """Take a run back, or what is wanted of it. The connection is paused, its cursors are cleared;
    what no longer fits stays as it is and is counted as stale. Raises UsageError where there is
    nothing to undo.
    """
    target = engine.database.query(lambda conn: history.undoable(conn, run))
    if target is None:
        raise UsageError(f"there is no run {run} (syncd runs)")
    own = engine.database.query(lambda conn: history.open_undo(conn, run))
    if own is None:
        merged = engine.database.query(lambda conn: merged_since(engine.database, conn, run))
        if why := target.refusal() or merged:
            raise UsageError(f"run {run} cannot be undone: {why}")
        if target.mode == "merge" and wanted != WHOLE:
            raise UsageError(f"run {run} is a merge: all of it is undone, or nothing")
        if wanted.keep and target.mode == "review":
            raise UsageError(
                f"run {run} is what a person said about records: undo it without --keep, and say "
                "what you want instead, such as syncd review ignore KEY"
            )
        own = _open(engine, narrowed(engine, target, wanted), actor, wanted)
    else:
        _refuse_another_part(engine, run, own, wanted)
    steps = engine.database.query(lambda conn: engine.runs.steps(conn, own))
    for step in steps:
        if step.state == "due":
            _undo_step(engine, target, step)
    return close(engine, own)


def _open(engine: Engine, target: Undoable, actor: str, wanted: Wanted) -> int:
    """The undo's own run, with a step for each step of which something is undone."""

    def work(conn: Transaction) -> int:
        run = engine.runs.insert_run(conn, target.connection, "undo", actor, undoes=target.run)
        for step, partition in target.steps:
            made = engine.runs.add_step(conn, run, partition)
            engine.runs.update_step(conn, made, base_cursor=wanted.for_step(step))
        if target.connection is not None and target.mode != "review":  # no source was to blame
            how = "undone" if wanted.is_whole else "partly undone"
            reason = f"run {target.run} was {how} by {actor}"
            engine.runs.set_connection_state(conn, target.connection, "paused", reason)
        if wanted.is_whole:
            if not engine.runs.claim_undo(conn, target.run, run):
                raise UsageError(f"run {target.run} is undone by somebody else at this very moment")
            if target.mode in RETIRING:
                steps = engine.runs.steps(conn, target.run)
                engine.runs.unretire(conn, [one.partition for one in steps if one.partition])
        return run

    return engine.runs.opened(work)


def _refuse_another_part(engine: Engine, run: int, own: int, wanted: Wanted) -> None:
    """An undo that was interrupted is finished as it was begun."""
    undos = engine.database.query(lambda conn: undo_steps(conn, [run]))
    begun = next((one.wanted for one in undos if one.run == own), wanted)
    if begun != wanted:
        raise UsageError(
            f"run {own} was interrupted while it took back a part of run {run}, and not the one "
            f"that is asked for now; finish it first: syncd undo {run}{begun.options()}"
        )


def _undo_step(engine: Engine, target: Undoable, step: StepRow) -> None:
    lease = None
    if step.partition is not None:
        seconds, partition = engine.settings.engine.lease_seconds, step.partition
        lease = engine.database.transact(
            lambda conn: leases.claim(engine.database, conn, partition, seconds)
        )
    owner = target.connection_name or LOCAL
    newer = _newer_records(engine, target)
    try:
        if step.phase == "read":
            _draft(engine, target, owner, step, lease)
        facts = StoreFacts(engine.database, 0, step.partition or 0, step.id)
        Application(
            engine.database,
            engine.runs,
            step.id,
            step.run,
            lease,
            owner,
            {},
            facts,
            engine.report,
            careful=True,
        ).run_to_end()
    finally:
        if lease:
            engine.database.transact(lease.release)
    if newer:
        engine.database.transact(
            lambda conn: engine.runs.update_step(
                conn, step.id, notices=told_of(engine, conn, newer)
            )
        )


def _newer_records(engine: Engine, target: Undoable) -> list[Newcomer]:
    """What came to users who are to be parted."""
    if target.mode != "merge":
        return []
    return engine.database.query(
        lambda conn: [one for step, _ in target.steps for one in records_since(conn, step)]
    )


def _draft(
    engine: Engine, target: Undoable, owner: str, step: StepRow, lease: leases.Lease | None
) -> None:
    """Store the inverse plan, and in its last transaction say that it is to be applied."""
    draft = Draft(engine.database, step.id)
    engine.database.transact(draft.clear)
    undos = engine.database.query(lambda conn: undo_steps(conn, [target.run]))
    this = next(one for one in undos if one.id == step.id)
    earlier = [one for one in undos if one.undone == this.undone and one.id != this.id]
    parting = None
    if target.mode == "merge":
        parting = engine.database.query(lambda conn: Parting.of(engine, conn, this.undone))
    way_back = WayBack(engine.database, this, step.partition, owner, earlier, parting)
    order = ORDER[::-1] if target.mode == "merge" else ORDER  # into homes that are back
    for page in pages(engine, this.undone, this.wanted, order):

        def write(conn: Transaction, page: list[Change] = page) -> Decisions:
            if lease:
                lease.hold(engine.database, conn)
            decisions = way_back.page(conn, page)
            draft.add(conn, "", -1, decisions)
            return decisions

        draft.advance(engine.database.transact(write))
    if parting:
        _draft_newcomers(engine, draft, parting)
    if step.partition is not None and not this.wanted.fields:
        _draft_quiet_links(engine, draft, this, step.partition, lease)

    def ready(conn: Transaction) -> None:
        if lease:
            lease.hold(engine.database, conn)
            engine.runs.clear_cursors(conn, lease.partition)
        engine.runs.update_step(conn, step.id, phase="apply", pages=draft.next_page)

    engine.database.transact(ready)


def _draft_newcomers(engine: Engine, draft: Draft, parting: Parting) -> None:
    """The way of what came while two clients were one, and goes with the one that goes."""
    for page in engine.database.query(lambda conn: list(parting.newcomers(conn))):
        decisions = Decisions(page)

        def write(conn: Transaction, decisions: Decisions = decisions) -> None:
            draft.add(conn, "", -1, decisions)

        engine.database.transact(write)
        draft.advance(decisions)


def _draft_quiet_links(
    engine: Engine, draft: Draft, this: UndoStep, partition: int, lease: leases.Lease | None
) -> None:
    """The way back of links that the step wrote although no entity changed."""
    quiet = QuietLinks(engine.database, this.undone, partition, this.wanted)
    after: Place | None = START
    while after is not None:

        def write(conn: Transaction, after: Place = after) -> tuple[Decisions, Place | None]:
            if lease:
                lease.hold(engine.database, conn)
            page, end = quiet.page(conn, after, PAGE)
            decisions = Decisions(links=[restored(*one, -1) for one in page])
            draft.add(conn, "", -1, decisions)
            return decisions, end

        decisions, after = engine.database.transact(write)
        draft.advance(decisions)
