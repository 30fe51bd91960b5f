"""Closing a run: what its steps came to, in one state, one reason and a few counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.failpoints import reach
from syncd.store import counts, gaps
from syncd.store.database import Transaction
from syncd.store.history import LASTING
from syncd.store.partitions import RETIRE, RETIRED, RETIRING
from syncd.store.runs import StepRow
from syncd.sync.engine import Engine
from syncd.sync.partitions import MISSING
from syncd.sync.reading import NOT_READ

NOT_ON_DESK = "people not on the desk"
"""Among the counts of a run: the people of its source who are not on the desk."""
IN_NO_SOURCE = "users in no source"
"""Among the counts of a run: the active users of the desk whom no source has."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit of a mapping comes to: the file that says it, how many users would change, and
    in how many clients.
    """

    mapping: str
    users: int
    clients: int


@dataclass(frozen=True, slots=True)
class FileTold:
    """What became of a dropped file: where it was put, and the answers that lie beside it."""

    name: str
    went: str | None = None
    """Where it is now, from the drop-folder; None: where it was dropped."""
    answers: list[str] = field(default_factory=list)
    reason: str | None = None


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
    edit: Edit | None = None
    """Of a plan that was made under another mapping than the configured one."""
    file: FileTold | None = None
    """Of a run that read a dropped file; run 0: it was not even opened."""


def close(engine: Engine, run: int, remark: str = "") -> Outcome:
    """Close the run, unless a step of it still waits for its turn; say how it went, after `remark`
    if there is something else to say of it.
    """
    reach("close.started")
    outcome = engine.database.transact(lambda conn: close_within(engine, conn, run, remark))
    reach("close.ended")
    return outcome


def close_within(engine: Engine, conn: Transaction, run: int, remark: str = "") -> Outcome:
    """`close` in the caller's transaction."""
    outcome = _sum_up(engine, conn, run)
    if outcome.mode == RETIRE and outcome.state == "succeeded":
        _retire_connection(engine, conn, run, outcome)
    outcome.reason = "; ".join(filter(None, [remark, outcome.reason])) or None
    if outcome.state != "open":
        engine.runs.close_run(
            conn, run, outcome.state, dict(outcome.counts), outcome.code, outcome.reason
        )
    reach("close.run")
    return outcome


def _sum_up(engine: Engine, conn: Transaction, run: int) -> Outcome:
    steps = engine.runs.steps(conn, run)
    asked = engine.runs.asked(conn, run)
    outcome = Outcome(run, asked.mode, "succeeded")
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
        totals[NOT_ON_DESK] = gaps.count_people(conn, partitions)
        totals[IN_NO_SOURCE] = _in_no_source(engine, conn, run, steps)
    outcome.counts = totals
    outcome.holds = [hold.id for hold in engine.runs.hold_of(conn, run) if hold.state == "waiting"]
    if not steps and asked.mode in ("plan", "apply"):
        outcome.state, outcome.code = "partial", MISSING_CODE
        outcome.reason = asked.reason or "no partition is there to be read"
        return outcome
    outcome.state, outcome.code, outcome.reason = _state_of(engine, conn, steps, totals)
    return outcome


def _retire_connection(engine: Engine, conn: Transaction, run: int, outcome: Outcome) -> None:
    """Never sync the connection again, now that nothing of it is there; all of it must be gone."""
    asked = engine.runs.asked(conn, run)
    assert asked.connection is not None
    partitions = engine.runs.partitions(conn, asked.connection)
    if left := [one.label for one in partitions if one.state != RETIRED]:
        outcome.state, outcome.code = "partial", "not_retired"
        outcome.reason = f"it is not retired while it has other partitions: {', '.join(left)}"
        return
    reason = f"retired by {asked.actor} (run {run})"
    engine.runs.set_connection_state(conn, asked.connection, "retired", reason)


def _in_no_source(engine: Engine, conn: Transaction, run: int, steps: list[StepRow]) -> int:
    """What the run before counted, while that must still be right: to count users takes a twentieth
    of the time in which a source is read that says nothing new.
    """
    known = engine.runs.newest_counts(conn, run).get(IN_NO_SOURCE)
    if known is not None and all(gaps.ties_stand(conn, one.id) for one in steps if one.applied):
        return int(known)
    return gaps.count_users(conn)


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

MISSING_CODE = "partitions_missing"

_REMARKS = (
    (
        *(MISSING, ("apply",), MISSING_CODE),
        "many partitions are not listed any more: they are not read, and nobody of them leaves",
    ),
    (
        *("stale", RETIRING, "stale"),
        "some changes no longer fitted, so that it is not retired yet: retire it again",
    ),
    ("stale", (*LASTING, "undo"), "stale", "some changes no longer fitted: left out"),
    (NOT_READ, ("apply",), "permission_denied", "something may not be read, and stays as it is"),
    ("in quarantine", ("apply",), "quarantine", "some records wait in quarantine"),
)
"""Counts that keep a run from being a plain success, in which modes, and how that is said."""
