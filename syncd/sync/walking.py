"""One step on its way: READ + PLAN, SETTLE, GUARD, APPLY, and every way in which that may end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncd.changes import HEALED
from syncd.connectors.base import Partition
from syncd.errors import (
    AuthFailed,
    BadResponse,
    Cancelled,
    ConfigError,
    CursorExpired,
    Interrupted,
    LeaseLost,
    PlanHeld,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Refused,
    StoreUnavailable,
    SyncdError,
    UsageError,
)
from syncd.failpoints import reach
from syncd.log import redact_text
from syncd.mapping.fields import Rules
from syncd.mapping.page import Context
from syncd.mapping.planner import Planner
from syncd.mapping.values import Precedence
from syncd.store import leases
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.facts import StoreFacts
from syncd.store.partitions import RETIRING
from syncd.store.runs import POISON_ATTEMPTS, StepRow
from syncd.sync import guarding, retiring, standing
from syncd.sync.applying import Application
from syncd.sync.engine import Engine, match_rules
from syncd.sync.reading import can_resume, read_all
from syncd.sync.settling import is_proven, settle
from syncd.sync.step import MOST_NOTICES, Step

RECONNECT = "reconnect"
"""How the reason of a connection begins that waits for somebody to sign in again."""
READ_ATTEMPTS = 3
"""How often a step reads again after an unusable answer, before it fails."""


def claim(engine: Engine, partition: int) -> leases.Lease:
    """The lease of a partition; Busy while another process holds it."""
    seconds = engine.settings.engine.lease_seconds
    return engine.database.transact(
        lambda conn: leases.claim(engine.database, conn, partition, seconds)
    )


def release(engine: Engine, lease: leases.Lease) -> None:
    """Let a partition go."""
    engine.database.transact(lease.release, durable=False)  # it would end by itself


@dataclass(frozen=True, slots=True)
class Postponed:
    """A step whose provider asks to wait. `due`: when to go on, on this process's clock; `waited`:
    for how many seconds it was made to wait altogether.
    """

    row: StepRow
    step: Step | None
    due: float
    waited: float


def work_on(
    engine: Engine, name: str, row: StepRow, *, full: bool = False, again: Postponed | None = None
) -> Postponed | None:
    """Walk one step through its phases; its end, good or bad, is written down. What a provider
    asks to wait with comes back, to be gone on with (`again`) when it is due.
    """
    assert row.partition is not None
    lease = claim(engine, row.partition)
    reach("step.claimed")
    step: Step | None = None
    try:
        row = engine.database.lookup(lambda conn: engine.runs.step(conn, row.id))
        if row.state != "due":
            return None  # another process did it while this one waited for its turn
        _count_attempt(engine, row)
        if row.phase == "read":
            step = _taken_up(again, lease) or prepare(engine, name, row, lease, full)
            if not _plan(engine, step, row):
                return None
        apply_stored(engine, name, row, lease)
    except RateLimited as limited:
        return _postponed(engine, name, row, step, limited, again)
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
        release(engine, lease)
        reach("close.step")
    return None


def _taken_up(again: Postponed | None, lease: leases.Lease) -> Step | None:
    """The step as it was left, if it can go on and nobody had its partition in the meantime."""
    step = again.step if again else None
    if step is None or not can_resume(step) or lease.fence != step.lease.fence + 1:
        return None
    step.lease = lease
    return step


def _postponed(
    engine: Engine,
    name: str,
    row: StepRow,
    step: Step | None,
    limited: RateLimited,
    again: Postponed | None,
) -> Postponed | None:
    """The step, put back until the provider can be asked again; it ends where that takes too long,
    and the next run begins anew.
    """
    waited = (again.waited if again else 0.0) + limited.retry_after
    if waited > engine.settings.engine.patience_seconds:
        _end_badly(engine, name, row, limited)
        return None
    reason = redact_text(str(limited))

    def work(conn: Transaction) -> None:
        due = engine.database.later(conn, limited.retry_after)
        engine.runs.update_step(conn, row.id, due_at=due, attempts=row.attempts, reason=reason)

    engine.database.transact(work)
    return Postponed(row, step, time.monotonic() + limited.retry_after, waited)


def _count_attempt(engine: Engine, row: StepRow) -> None:
    if row.attempts >= POISON_ATTEMPTS:
        _fail(engine, row, "poison", "poison", "it started three times without an end")
        raise PlanHeld("poison")
    engine.database.transact(
        lambda conn: engine.runs.update_step(conn, row.id, attempts=row.attempts + 1), durable=False
    )


def _rules(engine: Engine, name: str, row: StepRow) -> Rules:
    return retiring.last_rules(engine, name) if row.mode in RETIRING else engine.rules(name)


def prepare(
    engine: Engine, name: str, row: StepRow, lease: leases.Lease, full: bool = False
) -> Step:
    """A step ready to read: whatever an earlier attempt drafted is thrown away first."""
    retires, rules = row.mode in RETIRING, _rules(engine, name, row)
    draft = Draft(engine.database, row.id, name, applies=row.mode != "plan")

    def start(conn: Transaction) -> tuple[Partition, int, list[str]]:
        lease.hold(engine.database, conn)
        draft.clear(conn)
        connection, key, shown = engine.runs.partition(conn, lease.partition)
        return Partition(key, shown), connection, engine.runs.notices(conn, row.id)

    partition, connection, notices = engine.database.transact(start, durable=False)
    facts = StoreFacts(engine.database, connection, lease.partition, row.id)
    context = planning_context(engine, name, facts, rules)
    cursors: dict[str, str] = {}
    aged: frozenset[str] = frozenset()
    if not retires:
        cursors, aged = engine.database.lookup(
            lambda conn: engine.cursors(conn, name, rules, lease.partition)
        )
    return Step(
        row.id,
        row.run,
        name,
        engine.database,
        engine.runs,
        retiring.nobody(engine, name) if retires else engine.reads(engine, name, lease.partition),
        partition,
        lease,
        draft,
        facts,
        context,
        Planner(context),
        engine.settings.engine.page_size,
        engine.meaning(context.rules),
        cursors,
        engine.report,
        engine.stop,
        full or not cursors,
        engine.proves,
        aged=aged,
        counts=Counter(row.counts),
        notices=notices,
    )


def planning_context(engine: Engine, name: str, facts: StoreFacts, rules: Rules) -> Context:
    """What all planning of a connection's records in one partition shares."""

    def look(conn: Transaction) -> tuple[float, dict[str, int]]:
        return engine.database.now(conn).timestamp(), engine.runs.seniority(conn)

    now, seniority = engine.database.lookup(look)
    precedence = Precedence(name, engine.settings.precedence, seniority)
    return Context(rules, facts, precedence, now, engine.speaker, facts.partition)


def _plan(engine: Engine, step: Step, row: StepRow) -> bool:
    """READ + PLAN, SETTLE, GUARD; whether the plan is now to be applied."""
    if row.mode in RETIRING:
        retiring.plan_retirement(step)
        verdict = replace(guarding.judge(step), rejected=None)  # who asks again has thought again
    else:
        step = _read(engine, step, row)
        _note_standing(engine, step)
        settle(step)
        if step.draft.next_seq:  # a plan that changes nothing does no harm
            step.doubts += step.connector.doubts()
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
    failures, reached = 0, (0, 0)
    while True:
        try:
            step.connector.check()
            read_all(step)
            return step
        except CursorExpired:
            if step.full:
                raise
            step = prepare(engine, step.connection, row, step.lease, full=True)
        except (ProviderUnavailable, BadResponse, StoreUnavailable) as error:
            if isinstance(error, Refused):  # it stays as it is, however often it is read
                raise
            goes_on = can_resume(step) and not isinstance(error, StoreUnavailable)
            came = _progress(step) if goes_on else reached
            failures = 1 if came > reached else failures + 1  # a long way has many stones
            reached = max(came, reached)
            if failures == READ_ATTEMPTS:
                raise
            time.sleep(0.2 * failures)
            if not goes_on:
                step = prepare(engine, step.connection, row, step.lease, step.full)


def _note_standing(engine: Engine, step: Step) -> None:
    troubles = step.connector.health(step.partition)
    if troubles is not None:
        denied = map(standing.of_error, step.denied)
        standing.note(engine, step.lease.partition, [*troubles, *denied])


def _progress(step: Step) -> tuple[int, int]:
    """How far a read that can go on has come."""
    return len(step.ended), step.broken_off.pages if step.broken_off else 0


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
        is_full=step.full,
        counts={
            **step.counts,
            "overruns": [one.sentence for one in verdict.overruns],
            **(_of_quarantine(step, conn) if mode == "plan" else {}),
        },
        notices=step.notices,
    )
    if state == "held":
        guarding.hold(step, verdict, conn)
    elif mode != "plan" and not verdict.rejected:
        guarding.supersede(step, conn)
    if state in ("planned", "rejected"):
        step.draft.clear(conn, keep_changes=True)
    return state != "due"


def _of_quarantine(step: Step, conn: Transaction) -> dict[str, Any]:
    """What a plan would set aside, and how much it would take out: its draft goes, this stays to be
    shown.
    """
    shown: list[list[Sequence[str]]] = []
    aside: set[tuple[str, str]] = set()
    healed: set[tuple[str, str]] = set()
    for page in step.draft.pages(conn):
        shown += [
            [one.stream, one.key, one.code, one.message, list(one.fields), one.suggestion]
            for one in page.body.quarantined[: MOST_NOTICES - len(shown)]
        ]
        aside.update((one.stream, one.key) for one in page.body.quarantined)
        healed.update(page.body.healed)
    return {"aside": shown, HEALED: len(healed - aside)}


def apply_stored(engine: Engine, name: str, row: StepRow, lease: leases.Lease) -> None:
    """Apply the plan that a step has stored, or what is left of it."""
    retires, rules = row.mode in RETIRING, _rules(engine, name, row)
    stored = engine.database.lookup(lambda conn: engine.runs.step(conn, row.id))
    if stored.mode == "apply" and stored.mapping_version != engine.meaning(rules).hex():
        _discard_plan(engine, row)
        raise UsageError("the mapping was edited after this plan was made; sync again to plan anew")
    facts = StoreFacts(engine.database, 0, lease.partition, row.id)
    application = Application(
        engine.database,
        engine.runs,
        row.id,
        row.run,
        lease,
        name,
        match_rules(rules),
        facts,
        engine.report,
        "" if retires else engine.fingerprint(name, rules),
        careful=row.attempts > 0 or row.phase == "apply",
        stop=engine.stop,
    )
    if retires:
        application.ending = retiring.ending(engine, lease.partition)
    application.run_to_end()


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
    said = redact_text(str(error))  # a provider may repeat in its errors what it was sent
    _fail(engine, row, state, error.code, said)
    if isinstance(error, AuthFailed):
        pause_refused(engine, name, said)
    elif isinstance(error, ProviderError) and row.partition is not None:
        standing.note(engine, row.partition, [standing.of_error(error)])


def pause_refused(engine: Engine, name: str, said: str) -> None:
    """Keep a connection whose credentials are refused from asking again. `said` is redacted."""
    connection = engine.runs.ensure_connection(name, "")
    engine.database.transact(
        lambda conn: engine.runs.set_connection_state(
            conn, connection.id, "paused", f"{RECONNECT}: {said}"
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
