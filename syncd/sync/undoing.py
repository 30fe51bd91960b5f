"""UNDO: the inverse of a run's plan, through the same apply, each field checked first.

Fields, provenance, overrides, identities and links go back to what they were. A created entity is
*retired*: hidden, its keys released, its row kept; unless others linked or edited it since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from syncd.changes import (
    OVERRIDES,
    OWNERS,
    Action,
    Change,
    Decisions,
    Effect,
    LinkState,
    LinkWrite,
    gained_identities,
)
from syncd.entities import LOCAL, Kind
from syncd.errors import UsageError
from syncd.store import history, leases
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.facts import StoreFacts
from syncd.store.history import Undoable
from syncd.store.partitions import RETIRING
from syncd.store.runs import StepRow
from syncd.sync.applying import Application
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome, close

PAGE = 2000
ORDER = (Kind.USER, Kind.SITE, Kind.CLIENT)
"""Users go before their sites, sites before their clients: nothing retires from under others."""


def undo(engine: Engine, run: int, actor: str) -> Outcome:
    """Take a run back. The connection is paused, its cursors are cleared; what no longer fits stays
    as it is and is counted as stale. Raises UsageError where there is nothing to undo.
    """
    target = engine.database.query(lambda conn: history.undoable(conn, run))
    if target is None:
        raise UsageError(f"there is no run {run} (syncd runs)")
    own = engine.database.query(lambda conn: history.open_undo(conn, run))
    if own is None:
        if why := target.refusal():
            raise UsageError(f"run {run} cannot be undone: {why}")
        own = _open(engine, target, actor)
    steps = engine.database.query(lambda conn: engine.runs.steps(conn, own))
    for step in steps:
        if step.state == "due":
            _undo_step(engine, target, step)
    return close(engine, own)


def _open(engine: Engine, target: Undoable, actor: str) -> int:
    """The undo's own run, with a step for each step that is undone."""

    def work(conn: Transaction) -> int:
        run = engine.runs.insert_run(conn, target.connection, "undo", actor, undoes=target.run)
        for step, partition in target.steps:
            made = engine.runs.add_step(conn, run, partition)
            engine.runs.update_step(conn, made, base_cursor={"undoes": str(step)})
        if target.connection is not None:
            reason = f"run {target.run} was undone by {actor}"
            engine.runs.set_connection_state(conn, target.connection, "paused", reason)
        engine.runs.update_run(conn, target.run, undone_by=run)
        if target.mode in RETIRING:
            steps = engine.runs.steps(conn, target.run)
            engine.runs.unretire(conn, [one.partition for one in steps if one.partition])
        return run

    return engine.runs.opened(work)


def _undo_step(engine: Engine, target: Undoable, step: StepRow) -> None:
    lease = None
    if step.partition is not None:
        seconds, partition = engine.settings.engine.lease_seconds, step.partition
        lease = engine.database.transact(
            lambda conn: leases.claim(engine.database, conn, partition, seconds)
        )
    try:
        if step.phase == "read":
            _draft(engine, step, lease)
        facts = StoreFacts(engine.database, 0, step.partition or 0, step.id)
        Application(
            engine.database,
            engine.runs,
            step.id,
            step.run,
            lease,
            target.connection_name or LOCAL,
            {},
            facts,
            engine.report,
        ).run_to_end()
    finally:
        if lease:
            engine.database.transact(lease.release)


def _draft(engine: Engine, step: StepRow, lease: leases.Lease | None) -> None:
    """Store the inverse plan, and in its last transaction say that it is to be applied."""
    undone = int((step.base_cursor or {})["undoes"])
    draft = Draft(engine.database, step.id)
    engine.database.transact(draft.clear)
    inhabited: set[UUID] = set()
    for kind in ORDER:
        for page in _pages(engine, undone, kind):

            def write(conn: Transaction, page: list[Change] = page) -> Decisions:
                if lease:
                    lease.hold(engine.database, conn)
                decisions = _inverse_page(engine, conn, undone, step.partition, page, inhabited)
                draft.add(conn, "", -1, decisions)
                return decisions

            draft.advance(engine.database.transact(write))
    if step.partition is not None:
        _draft_quiet_links(engine, draft, undone, step.partition, lease)

    def ready(conn: Transaction) -> None:
        if lease:
            lease.hold(engine.database, conn)
            engine.runs.clear_cursors(conn, lease.partition)
        engine.runs.update_step(conn, step.id, phase="apply", pages=draft.next_page)

    engine.database.transact(ready)


def _draft_quiet_links(
    engine: Engine, draft: Draft, undone: int, partition: int, lease: leases.Lease | None
) -> None:
    """The way back of links that the step wrote although no entity changed."""
    after = ("", "")
    while True:

        def write(conn: Transaction, after: tuple[str, str] = after) -> Decisions:
            if lease:
                lease.hold(engine.database, conn)
            page = history.quiet_links(conn, undone, partition, after, PAGE)
            links = [_restored(stream, key, kind, past, -1) for stream, key, kind, past in page]
            decisions = Decisions(links=links)
            draft.add(conn, "", -1, decisions)
            return decisions

        decisions = engine.database.transact(write)
        if not decisions.links:
            return
        draft.advance(decisions)
        after = (decisions.links[-1].stream, decisions.links[-1].key)


def _pages(engine: Engine, undone: int, kind: Kind) -> Iterator[list[Change]]:
    """The applied changes of a step on one kind, newest first, a page at a time."""
    before: int | None = None
    while True:
        page = engine.database.query(
            lambda conn, before=before: history.applied(conn, undone, kind, before, PAGE)  # type: ignore[misc]
        )
        if not page:
            return
        yield page
        before = page[-1].seq


def _inverse_page(
    engine: Engine,
    conn: Transaction,
    undone: int,
    partition: int | None,
    page: list[Change],
    inhabited: set[UUID],
) -> Decisions:
    """`inhabited` grows by the sites and clients of what stays: they must stay as well."""
    decisions = Decisions()
    kept = history.kept_by_others(engine.database, conn, undone, page)
    kept |= dict.fromkeys(inhabited, "users or sites of it stay")
    past = history.past_links(engine.database, conn, undone, partition, page)
    for change in page:
        reason = kept.get(change.entity) if change.action is Action.CREATE else None
        if reason is not None:
            decisions.changes.append(_stays(change, reason))
            inhabited |= _homes(change)
            continue
        place = -1
        if inverse := _inverse(change):
            decisions.changes.append(inverse)
            place = len(decisions.changes) - 1
        if partition is not None and change.stream:
            link = past.get((change.stream, change.key))
            decisions.links.append(_link_as_it_was(change, link, place))
    return decisions


def _stays(change: Change, reason: str) -> Change:
    """A created entity that an undo must leave: said in the ledger, nothing changes."""
    return Change(
        change.kind,
        Action.LINK,
        change.entity,
        change.client,
        change.stream,
        change.key,
        f"it stays: {reason}",
        {},
        rule="undo",
    )


def _homes(change: Change) -> set[UUID]:
    """The site and client that an entity lives in."""
    homes = {UUID(hex=change.after["site"])} if change.after.get("site") else set()
    return homes | ({change.client} if change.client else set())


def _inverse(change: Change) -> Change | None:
    """What takes `change` back; None where it changed no value."""
    action = Action.UPDATE
    if change.action is Action.CREATE:
        before, after = _hidden(change)
        if not change.effects & Effect.REVIVES:
            action = Action.RETIRE
    else:
        before, after = _swapped(change)
    if not after:
        return None
    return Change(
        change.kind,
        action,
        change.entity,
        change.client,
        change.stream,
        change.key,
        f"undo: {change.reason}",
        after,
        before,
        rule="undo",
    )


def _hidden(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    """(before, after) that hides what was created or revived."""
    before: dict[str, Any] = {"retired": False}
    after: dict[str, Any] = {"retired": True}
    if identities := gained_identities(change):  # free for others, as its keys are
        before["identities"], after["identities"] = identities, []
    return before, after


def _swapped(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    """(before, after) of the way back: what is, and what was."""
    before = {name: value for name, value in change.after.items() if name != OWNERS}
    after = {name: value for name, value in change.before.items() if name != OVERRIDES}
    if "identities" in before:
        after["identities"] = []
    if OVERRIDES in change.after:
        was = change.before.get(OVERRIDES, {})
        after[OVERRIDES] = {name: was.get(name) for name in change.after[OVERRIDES]}
    return before, after


def _link_as_it_was(change: Change, past: history.PastLink | None, place: int) -> LinkWrite:
    if past is None:  # the step made it; what was only matched is to be matched again
        entity = change.entity if change.action is Action.CREATE else None
        past = history.PastLink(LinkState.UNDONE, entity, "", 0, None, None)
    return _restored(change.stream, change.key, change.kind, past, place)


def _restored(
    stream: str, key: str, kind: str, past: history.PastLink | None, place: int
) -> LinkWrite:
    past = past or history.PastLink(LinkState.UNDONE, None, "", 0, None, None)
    return LinkWrite(
        stream,
        key,
        past.state,
        kind,
        past.entity,
        past.matched_by,
        None,
        past.raw,
        place,
        False,
        past.misses,
        past.missed_at,
        past.note,
        past.owner,
        past.counted_at,
    )
