"""A person's word on a held plan: approve applies exactly what was stored, reject lays it aside."""

from __future__ import annotations

from syncd.errors import UsageError
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.holds import HoldRow
from syncd.store.partitions import RETIRING
from syncd.sync import retiring
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome, close, work_on


def approve(engine: Engine, reference: int, actor: str) -> Outcome:
    """Apply the stored plan of a hold (its id, or its run's): all of it, with who and when."""
    hold = _waiting(engine, reference)
    _refuse_outdated(engine, hold)

    def work(conn: Transaction) -> int:
        engine.runs.decide(conn, hold, "approved", actor)
        engine.runs.update_step(conn, hold.step, state="due", code=None, reason=None, attempts=0)
        engine.runs.reopen(conn, hold.run)
        return hold.run

    engine.runs.opened(work)
    step = engine.database.query(lambda conn: engine.runs.step(conn, hold.step))
    work_on(engine, hold.connection, step)
    return close(engine, hold.run)


def reject(engine: Engine, reference: int, actor: str) -> HoldRow:
    """Lay a held plan aside; an equal plan is not raised again."""
    hold = _waiting(engine, reference)

    def work(conn: Transaction) -> None:
        engine.runs.decide(conn, hold, "rejected", actor)
        Draft(engine.database, hold.step).clear(conn, keep_changes=True)
        engine.runs.update_step(conn, hold.step, state="rejected", reason=f"rejected by {actor}")

    engine.database.transact(work)
    return engine.database.query(lambda conn: engine.runs.hold(conn, hold.id))


def _waiting(engine: Engine, reference: int) -> HoldRow:
    waiting = engine.database.query(lambda conn: engine.runs.holds(conn, "waiting"))
    for hold in waiting:
        if hold.id == reference:
            return hold
    of_run = [hold for hold in waiting if hold.run == reference]
    if len(of_run) == 1:
        return of_run[0]
    ids = ", ".join(str(hold.id) for hold in waiting) or "none"
    raise UsageError(f"no plan {reference} waits for a decision; waiting: {ids} (syncd review)")


def _refuse_outdated(engine: Engine, hold: HoldRow) -> None:
    """A plan is only what it was if its items still mean what they meant."""
    step = engine.database.query(lambda conn: engine.runs.step(conn, hold.step))
    if step.mode in RETIRING:
        retiring.refuse_outdated(engine, hold, step)
        return
    rules = engine.rules(hold.connection)
    cursors, _ = engine.database.query(
        lambda conn: engine.cursors(conn, hold.connection, rules, hold.partition)
    )
    edited = step.mapping_version != engine.meaning(rules).hex()
    if edited or cursors != (step.base_cursor or {}):
        what = "the mapping was edited" if edited else "the connection was read further or edited"
        raise UsageError(
            f"{what} after plan {hold.id} was made, so it is no longer what would happen; "
            f"plan again: syncd sync {hold.connection}"
        )
