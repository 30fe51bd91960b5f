"""APPLY: the stored plan, page by page; each transaction writes rows, marker, lease and fence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from syncd.entities import Kind
from syncd.errors import Busy, Interrupted
from syncd.failpoints import reach
from syncd.store.database import Database, Transaction
from syncd.store.draft import Draft
from syncd.store.facts import StoreFacts
from syncd.store.leases import Lease
from syncd.store.runs import Runs, StepRow
from syncd.store.target.apply import Target
from syncd.sync.step import Progress, Report

BATCH = 8000
"""Changes in one transaction, about a second's work. Many small ones would write every page of the
indexes again and again; one huge one would keep other writers waiting.
"""

MatchRules = dict[Kind, tuple[tuple[str, ...], ...]]


def _nothing_more(_conn: Transaction) -> None:
    """A plan that is applied is done."""


class _Company(Exception):
    """Another run began while a batch was written as if nobody else were at work."""


@dataclass(slots=True)
class Application:
    """One stored plan on its way into the store."""

    database: Database
    runs: Runs
    step: int
    run: int
    lease: Lease | None
    """None for a person's own edit, which has no partition."""
    connection: str
    """Who owns the values that are written."""
    rules: MatchRules
    facts: StoreFacts | None
    report: Report
    fingerprint: str = ""
    careful: bool = False
    stop: threading.Event | None = None
    """Set: stop before the next page."""
    ending: Callable[[Transaction], None] = _nothing_more
    """What else belongs to the transaction that ends the plan."""

    def run_to_end(self) -> int:
        """Apply every page that was not applied yet; how many changes were stale."""
        reach("apply.started")
        draft = Draft(self.database, self.step)
        at = self._where()
        target = self._target(self.database.query(draft.withheld) if at.applied else set())
        stale = 0
        while True:
            if at.applied >= at.pages:
                break
            if self.stop and self.stop.is_set():
                raise Interrupted("stopped on request; the next sync goes on with this plan")
            stale += self._batch(target, draft, at.applied)
            reach("apply.batch.committed")
            self.report(Progress("apply", "", at.applied, at.pages))
            at = self._where()
        self.database.transact(lambda conn: self._finish(conn, draft))
        reach("apply.ended")
        return stale

    def _where(self) -> StepRow:
        return self.database.lookup(lambda conn: self.runs.step(conn, self.step))

    def run_within(self, conn: Transaction) -> int:
        """Apply every page in the caller's transaction: all of the plan or, if that fails, nothing;
        how many changes were stale.
        """
        draft, target = Draft(self.database, self.step), self._target(set())
        pages = range(self.runs.step(conn, self.step).pages)
        stale = sum(self._apply_page(conn, target, draft, page) for page in pages)
        self._finish(conn, draft)
        return stale

    def _batch(self, target: Target, draft: Draft, number: int) -> int:
        withheld = set(target.withheld)

        def work(conn: Transaction) -> int:
            target.withheld = set(withheld)  # a repeated attempt begins as the first did
            target.careful = target.careful or self._has_company(conn)
            if self.lease:
                self.lease.hold(self.database, conn)
            pages = draft.batch(conn, number, BATCH)
            if not pages:
                raise Busy("the plan was laid aside at this very moment; nothing of it was lost")
            stale = sum(self._apply_page(conn, target, draft, page) for page in pages)
            if not target.careful and self._has_company(conn):
                raise _Company
            return stale

        try:
            return self.database.transact(work)
        except _Company:
            target.careful = True
            return self.database.transact(work)

    def _has_company(self, conn: Transaction) -> bool:
        return self.runs.others_wrote_since(conn, self.run, self.step)

    def _target(self, withheld: set[UUID]) -> Target:
        partition = self.lease.partition if self.lease else None
        return Target(
            self.database,
            self.step,
            self.run,
            partition,
            self.connection,
            self.rules,
            self.careful,
            withheld,
        )

    def _apply_page(self, conn: Transaction, target: Target, draft: Draft, number: int) -> int:
        page = draft.page(conn, number)
        if self.facts:
            with self.facts.joined(conn):
                stale = target.apply(conn, page, self.facts)
        else:
            stale = target.apply(conn, page, None)
        draft.remove_page(conn, number)
        self.runs.update_step(conn, self.step, applied=number + 1, applied_seq=page.next_seq)
        return stale

    def _finish(self, conn: Transaction, draft: Draft) -> None:
        """The cursors move in the transaction that ends the plan that they cover."""
        if self.lease:
            self.lease.hold(self.database, conn)
            stored = self.runs.step(conn, self.step)
            self.runs.save_cursors(
                conn,
                self.lease.partition,
                stored.next_cursor or {},
                self.fingerprint,
                is_full=stored.is_full,
            )
        self.ending(conn)
        reach("apply.cursor")
        draft.clear(conn, keep_changes=True)
        self.runs.update_step(conn, self.step, state="done")
