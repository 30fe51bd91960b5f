"""One run from start to end: open, walk every step through its phases, close, sum up."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from syncd.connectors.base import DEFAULT_PARTITION, Connector, Partition
from syncd.errors import (
    AuthFailed,
    BadResponse,
    Cancelled,
    ConfigError,
    CursorExpired,
    Interrupted,
    LeaseLost,
    PlanHeld,
    ProviderUnavailable,
    RateLimited,
    StoreUnavailable,
    SyncdError,
    UsageError,
)
from syncd.failpoints import reach
from syncd.mapping.page import Context
from syncd.mapping.planner import Planner
from syncd.mapping.values import Precedence
from syncd.store import counts, leases
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.facts import StoreFacts
from syncd.store.runs import POISON_ATTEMPTS, ConnectionRow, StepRow
from syncd.sync import guarding
from syncd.sync.applying import Application
from syncd.sync.engine import Engine, calm_collector, match_rules
from syncd.sync.reading import read_all
from syncd.sync.settling import is_proven, settle
from syncd.sync.step import Step

READ_ATTEMPTS = 3
"""How often a step reads again after an unusable answer, before it fails."""


@dataclass(slots=True)
class Outcome:
    """How a run ended. `counts`: `create user` -> 12, `read people` -> 900, and so on."""

    run: int
    mode: str
    state: str
    code: str | None = None
    reason: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)
    overruns: list[str] = field(default_factory=list)


def sync(
    engine: Engine, name: str, *, mode: str = "apply", full: bool = False, actor: str = "cli"
) -> Outcome:
    """Sync one connection (mode "apply"), or plan what that would do (mode "plan").

    Raises ConfigError, Busy, UsageError, or the ProviderError that says why nothing can be read.
    """
    row = engine.runs.ensure_connection(name, engine.settings.connection(name).connector)
    _refuse_paused(row)
    connector = engine.connector(name)
    engine.rules(name)  # a mapping that cannot be compiled stops the run before it opens
    run = _resume_or_open(engine, row, connector, mode, actor)
    reach("run.opened")
    due = _due(engine, run)
    threads = max(1, min(engine.settings.engine.threads, len(due)))
    with calm_collector(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda one: work_on(engine, name, one, full=full), due))
    return close(engine, run)


def _refuse_paused(row: ConnectionRow) -> None:
    if row.state != "active":
        raise UsageError(
            f'connection "{row.name}" is {row.state}: {row.reason}; '
            f"when that is mended: syncd resume {row.name}"
        )


def _resume_or_open(
    engine: Engine, row: ConnectionRow, connector: Connector[Any], mode: str, actor: str
) -> int:
    """The run that a crash left open, or a new one with a step for each partition."""
    left = engine.database.query(lambda conn: engine.runs.open_run_of(conn, row.id))
    if left is not None and _take_over(engine, left[0], left[1], mode):
        return left[0]
    partitions = list(connector.partitions()) or [DEFAULT_PARTITION]

    def work(conn: Transaction) -> int:
        run = engine.runs.insert_run(conn, row.id, mode, actor)
        for one in partitions:
            partition = engine.runs.ensure_partition(conn, row.id, one.key, one.name)
            engine.runs.add_step(conn, run, partition)
        reach("step.opened")
        return run

    return engine.runs.opened(work)


def _take_over(engine: Engine, run: int, left_mode: str, mode: str) -> bool:
    """Whether to go on with a run that another process left open; Busy while that one lives."""
    partitions = {one.partition for one in _due(engine, run) if one.partition is not None}
    claimed = [_claim(engine, one) for one in sorted(partitions)]  # Busy while somebody works
    try:
        if left_mode == mode and mode != "plan":
            return True
        _abandon(engine, run, left_mode)
    finally:
        for lease in claimed:
            _release(engine, lease)
    close(engine, run)
    return False


def _abandon(engine: Engine, run: int, mode: str) -> None:
    """Lay aside what a run had not planned to the end."""
    steps = _due(engine, run)
    if any(one.phase == "apply" for one in steps):
        raise UsageError(
            f"run {run} was interrupted while it was being applied; finish it first: "
            + ("syncd undo" if mode == "undo" else "syncd sync")
        )
    reason = "the process ended before the plan was made; nothing was changed"

    def work(conn: Transaction) -> None:
        for one in steps:
            Draft(engine.database, one.id).clear(conn)
            engine.runs.update_step(
                conn, one.id, state="cancelled", code="interrupted", reason=reason
            )

    engine.database.transact(work)


def _due(engine: Engine, run: int) -> list[StepRow]:
    steps = engine.database.query(lambda conn: engine.runs.steps(conn, run))
    return [one for one in steps if one.state == "due"]


def _claim(engine: Engine, partition: int) -> leases.Lease:
    seconds = engine.settings.engine.lease_seconds
    return engine.database.transact(
        lambda conn: leases.claim(engine.database, conn, partition, seconds)
    )


def _release(engine: Engine, lease: leases.Lease) -> None:
    engine.database.transact(lease.release)


# -- one step --------------------------------------------------------------------------------------


def work_on(engine: Engine, name: str, row: StepRow, *, full: bool = False) -> None:
    """Walk one step through its phases; its end, good or bad, is written down."""
    assert row.partition is not None
    lease = _claim(engine, row.partition)
    reach("step.claimed")
    try:
        row = engine.database.query(lambda conn: engine.runs.step(conn, row.id))
        if row.state != "due":
            return  # another process did it while this one waited for its turn
        _count_attempt(engine, row)
        if row.phase == "read":
            step = _prepare(engine, name, row, lease, full)
            if not _plan(engine, step, row):
                return
        _apply(engine, name, row, lease)
    except (LeaseLost, Interrupted):
        raise
    except PlanHeld:
        pass
    except ConfigError:
        _fail(engine, row, "failed", "config", "the configuration is wrong")
        raise
    except SyncdError as error:
        _end_badly(engine, name, row, error)
    finally:
        _release(engine, lease)
        reach("close.step")


def _count_attempt(engine: Engine, row: StepRow) -> None:
    if row.attempts >= POISON_ATTEMPTS:
        _fail(engine, row, "poison", "poison", "it started three times without an end")
        raise PlanHeld("poison")
    engine.database.transact(
        lambda conn: engine.runs.update_step(conn, row.id, attempts=row.attempts + 1)
    )


def _prepare(engine: Engine, name: str, row: StepRow, lease: leases.Lease, full: bool) -> Step:
    """A step ready to read: whatever an earlier attempt drafted is thrown away first."""
    rules = engine.rules(name)
    draft = Draft(engine.database, row.id)

    def start(conn: Transaction) -> tuple[float, dict[str, str], Partition, int]:
        lease.hold(engine.database, conn)
        draft.clear(conn)
        fingerprint = engine.fingerprint(name)
        stored = engine.runs.cursors(conn, lease.partition)
        cursors = {
            stream: value for stream, (value, made_by) in stored.items() if made_by == fingerprint
        }
        connection, key, shown = engine.runs.partition(conn, lease.partition)
        now = engine.database.now(conn).timestamp()
        return now, cursors, Partition(key, shown), connection

    now, cursors, partition, connection = engine.database.transact(start)
    facts = StoreFacts(engine.database, connection, lease.partition, row.id)
    context = Context(rules, facts, Precedence(name, engine.settings.precedence), now)  # type: ignore[arg-type]
    return Step(
        row.id,
        row.run,
        name,
        engine.database,
        engine.runs,
        engine.connector(name),
        partition,
        lease,
        draft,
        facts,
        context,
        Planner(context),
        engine.meaning(rules),
        cursors,
        engine.report,
        engine.stop,
        full or not cursors,
    )


def _plan(engine: Engine, step: Step, row: StepRow) -> bool:
    """READ + PLAN, SETTLE, GUARD; whether the plan is now to be applied."""
    step = _read(engine, step, row)
    settle(step)
    verdict = guarding.judge(step)
    waits = False

    def store(conn: Transaction) -> None:
        nonlocal waits
        reach("guard.writing")
        waits = _store_plan(step, verdict, row.mode, conn)

    step.write(store)
    reach("guard.stored")
    return not waits


def _read(engine: Engine, step: Step, row: StepRow) -> Step:
    """Read all streams; again after an unusable answer or an expired cursor."""
    for attempt in range(1, READ_ATTEMPTS + 1):
        try:
            step.connector.check()
            read_all(step)
            return step
        except CursorExpired:
            if step.full:
                raise
            step = _prepare(engine, step.connection, row, step.lease, full=True)
        except (ProviderUnavailable, BadResponse, StoreUnavailable):
            if attempt == READ_ATTEMPTS:
                raise
            time.sleep(0.2 * attempt)
            step = _prepare(engine, step.connection, row, step.lease, step.full)
    raise AssertionError("unreachable")


def _store_plan(step: Step, verdict: guarding.Verdict, mode: str, conn: Transaction) -> bool:
    """Write down what was planned and what happens to it; whether it ends here."""
    held = bool(verdict.overruns)
    state, phase, reason = "due", "apply", None
    if mode == "plan":
        state, reason = "planned", "would be held" if held else None
    elif verdict.rejected:
        state, reason = "rejected", f"this very plan was rejected by {verdict.rejected.decided_by}"
    elif held:
        state, reason = "held", "; ".join(one.sentence for one in verdict.overruns)
    step.runs.update_step(
        conn,
        step.id,
        phase=phase,
        state=state,
        reason=reason,
        code="rejected" if state == "rejected" else "held" if held else None,
        pages=step.draft.next_page,
        proven=is_proven(step),
        mapping_version=step.digest_key.hex(),
        plan_digest=verdict.digest,
        base_cursor=step.cursors,
        next_cursor=step.next_cursors,
        counts={**step.counts, "overruns": [one.sentence for one in verdict.overruns]},
        notices=step.notices,
    )
    if state == "held":
        guarding.hold(step, verdict, conn)
    elif mode == "apply" and not verdict.rejected:
        guarding.supersede(step, conn)
    if state in ("planned", "rejected"):
        step.draft.clear(conn, keep_changes=True)
    return state != "due"


def _apply(engine: Engine, name: str, row: StepRow, lease: leases.Lease) -> None:
    rules = engine.rules(name)
    stored = engine.database.query(lambda conn: engine.runs.step(conn, row.id))
    if stored.mode == "apply" and stored.mapping_version != engine.meaning(rules).hex():
        _discard_plan(engine, row)
        raise UsageError("the mapping was edited after this plan was made; sync again to plan anew")
    facts = StoreFacts(engine.database, 0, lease.partition, row.id)
    Application(
        engine.database,
        engine.runs,
        row.id,
        row.run,
        lease,
        name,
        match_rules(rules),
        facts,
        engine.report,
        engine.fingerprint(name),
        careful=row.attempts > 0 or row.phase == "apply",
        stop=engine.stop,
    ).run_to_end()


def _discard_plan(engine: Engine, row: StepRow) -> None:
    engine.database.transact(
        lambda conn: Draft(engine.database, row.id).clear(conn, keep_changes=True)
    )


# -- endings ---------------------------------------------------------------------------------------

_STATES: tuple[tuple[type[SyncdError], str], ...] = (
    (Cancelled, "cancelled"),
    (RateLimited, "throttled"),
    (SyncdError, "failed"),
)


def _end_badly(engine: Engine, name: str, row: StepRow, error: SyncdError) -> None:
    state = next(state for kind, state in _STATES if isinstance(error, kind))
    _fail(engine, row, state, error.code, str(error))
    if isinstance(error, AuthFailed):
        connection = engine.runs.ensure_connection(name, "")
        engine.database.transact(
            lambda conn: engine.runs.set_connection_state(
                conn, connection.id, "paused", f"reconnect: {error}"
            )
        )


def _fail(engine: Engine, row: StepRow, state: str, code: str, reason: str) -> None:
    """Close a step without its plan; what was applied already stays, and is said."""

    def work(conn: Transaction) -> None:
        stored = engine.runs.step(conn, row.id)
        if stored.phase == "read":
            Draft(engine.database, row.id).clear(conn)
        engine.runs.update_step(conn, row.id, state=state, code=code, reason=reason)

    engine.database.transact(work)


def close(engine: Engine, run: int) -> Outcome:
    """Close the run, unless a step of it still waits for its turn; say how it went."""
    reach("close.started")

    def work(conn: Transaction) -> Outcome:
        outcome = _sum_up(engine, conn, run)
        if outcome.state != "open":
            engine.runs.close_run(
                conn, run, outcome.state, dict(outcome.counts), outcome.code, outcome.reason
            )
        reach("close.run")
        return outcome

    outcome = engine.database.transact(work)
    reach("close.ended")
    return outcome


def _sum_up(engine: Engine, conn: Transaction, run: int) -> Outcome:
    steps = engine.runs.steps(conn, run)
    outcome = Outcome(run, steps[0].mode if steps else "apply", "succeeded")
    totals: dict[str, int] = {}
    for one in steps:
        numbers = {k: v for k, v in one.counts.items() if isinstance(v, int)}
        for name, count in {**numbers, **counts.summary(conn, one.id)}.items():
            totals[name] = totals.get(name, 0) + count
        outcome.overruns += one.counts.get("overruns", [])
        outcome.notices += engine.runs.notices(conn, one.id)
    if steps and steps[0].partition is not None:
        partitions = [one.partition for one in steps if one.partition is not None]
        totals["in quarantine"] = engine.runs.quarantined(conn, partitions)
    outcome.counts = totals
    outcome.holds = [hold.id for hold in engine.runs.hold_of(conn, run) if hold.state == "waiting"]
    outcome.state, outcome.code, outcome.reason = _state_of(engine, conn, steps, totals)
    return outcome


def _state_of(
    engine: Engine, conn: Transaction, steps: list[StepRow], totals: dict[str, int]
) -> tuple[str, str | None, str | None]:
    """(state, code, reason) of a run by its steps; anything unusual is never a plain success."""
    states = {one.state for one in steps}
    code, reason = engine.runs.first_reason(conn, [one.id for one in steps])
    for step_state, run_state in _ENDINGS:
        if step_state in states:
            some_done = run_state not in ("open", "held") and states & {"done", "planned"}
            return "partial" if some_done else run_state, code, reason
    if states == {"planned"}:
        return "planned", code, reason
    mode = steps[0].mode if steps else ""
    for count, modes, what, sentence in _REMARKS:
        if totals.get(count) and mode in modes:
            return "partial", what, sentence
    if mode == "apply" and totals.get("read people") == 0:
        return "partial", "read_nobody", "the source held no people at all"
    return "succeeded", None, None


_ENDINGS = (
    ("due", "open"),
    ("held", "held"),
    ("failed", "failed"),
    ("poison", "failed"),
    ("throttled", "throttled"),
    ("cancelled", "cancelled"),
    ("rejected", "partial"),
)
"""States of steps, the most telling first, and what they make of their run."""

_REMARKS = (
    ("stale", ("apply", "undo", "edit"), "stale", "some changes no longer fitted: left out"),
    ("in quarantine", ("apply",), "quarantine", "some records wait in quarantine"),
)
"""Counts that keep a run from being a plain success, in which modes, and how that is said."""
