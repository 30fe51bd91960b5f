"""GUARD: count the draft against the limits; hold it, or let it go on to be applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from syncd.changes import LEFT_SCOPE, OUT_OF_SCOPE, LinkState, LinkWrite, Overrun
from syncd.failpoints import reach
from syncd.mapping import guard
from syncd.mapping.contributions import LIVING
from syncd.store import counts, misses
from syncd.store.database import Transaction
from syncd.store.holds import HoldRow
from syncd.sync.step import Step


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guards said. Over a limit: the plan's digest, and any earlier word on this plan."""

    overruns: Sequence[Overrun] = ()
    digest: str | None = None
    rejected: HoldRow | None = None


def judge(step: Step) -> Verdict:
    """Compare the step's plan with the limits. A plan over them also confirms its first misses, so
    that what is shown is what an approval does.
    """
    overruns = [*step.doubts, *_overruns(step)]
    reach("guard.counted")
    if not overruns:
        return Verdict()
    step.write(lambda conn: _confirm_misses(step, conn))

    def look(conn: Transaction) -> Verdict:
        digest = counts.plan_digest(conn, step.id)
        if any(one.guard == guard.LEAVES_SCOPE for one in overruns):
            digest = _with_those_who_leave_scope(digest, step, conn)
        rejected = step.runs.was_rejected(conn, step.lease.partition, digest)
        return Verdict(overruns, digest, rejected)

    return step.database.query(look)


def _overruns(step: Step) -> list[Overrun]:
    def look(conn: Transaction) -> list[Overrun]:
        drafted = step.draft.next_seq > 0
        users = counts.of_draft(step.database, conn, step.id) if drafted else []
        leaving = active = linked = people = 0
        if any(one.leaving for one in users):
            leaving, active = counts.of_run(conn, step.run)
            linked = counts.active_in(conn, step.lease.partition)
        left_scope = sum(n for name, n in step.counts.items() if name.startswith(LEFT_SCOPE))
        if left_scope or step.reads["people"].vanished:
            with step.facts.joined(conn):
                people = step.facts.count_living("people", LIVING)
        return guard.overruns(
            step.context.rules.mapping.limits,
            users,  # type: ignore[arg-type]
            run_leaving=leaving,
            run_active=active,
            partition_active=linked,
            empty=_is_empty(step),
            vanished=step.reads["people"].vanished,
            left_scope=left_scope,
            linked=people,
        )

    return step.database.query(look)


def _with_those_who_leave_scope(digest: str, step: Step, conn: Transaction) -> str:
    """The digest of a plan with the keys of those whom it takes out of scope: where their rule is
    to keep them no change tells of them, and other ones are another plan.
    """
    keys = sorted(
        one.key
        for page in step.draft.pages(conn)
        for one in page.body.links
        if one.note == OUT_OF_SCOPE
    )
    return hashlib.blake2b(json.dumps([digest, keys]).encode(), digest_size=16).hexdigest()


def _is_empty(step: Step) -> bool:
    """A complete read of people that held nobody, though some are linked."""
    return not step.counts["read people"] and step.counts["living people"] > 0


def _confirm_misses(step: Step, conn: Transaction) -> None:
    """Make first misses what they become when a person approves: deactivations."""
    missed = misses.drafted(conn, step.id)
    if not missed:
        return
    for page in step.draft.pages(conn):
        here = {at for at in range(page.first_seq, page.next_seq) if at in missed}
        if here:
            page.body.links = [
                _confirmed(link) if page.first_seq + link.change in here else link
                for link in page.body.links
            ]
            page.body.updates = {}  # the changes say more from now on
            step.draft.rewrite(conn, page)
            said = "; an approval confirms it now"
            misses.confirm(step.database, conn, step.id, here, said)


def _confirmed(link: LinkWrite) -> LinkWrite:
    """A link whose clock ran, as it is once that has run out."""
    gone = link.state == LinkState.MISSED
    return link._replace(state=LinkState.GONE if gone else LinkState.ALIVE)


def hold(step: Step, verdict: Verdict, conn: Transaction) -> int:
    """Record that the plan waits; an equal plan that waits already keeps its hold and its age."""
    assert verdict.digest is not None
    waiting = step.runs.waiting(conn, step.lease.partition)
    if waiting and waiting.plan_digest == verdict.digest:
        _discard(step, waiting, conn)
        step.runs.update_hold(conn, waiting.id, step_id=step.id)
        return waiting.id
    supersede(step, conn)
    return step.runs.add_hold(conn, step.lease.partition, step.id, verdict.digest, verdict.overruns)


def supersede(step: Step, conn: Transaction) -> None:
    """A newer plan takes the place of one that waits."""
    waiting = step.runs.waiting(conn, step.lease.partition)
    if waiting:
        step.runs.update_hold(conn, waiting.id, state="superseded")
        _discard(step, waiting, conn)


def _discard(step: Step, old: HoldRow, conn: Transaction) -> None:
    step.runs.update_step(conn, old.step, state="superseded")
    step.draft.of(old.step).clear(conn, keep_changes=True)
