"""The steps of a run in turns: as many at a time as there are threads, and those that a provider
asks to wait without any.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from syncd.store.runs import StepRow
from syncd.sync.engine import Engine
from syncd.sync.walking import Postponed, work_on

_LOOK_UP = 0.5
"""Seconds after which somebody who waits looks whether the process is to stop."""


@dataclass(slots=True)
class Turns:
    """All steps of one run that are due, and those that wait until they are."""

    engine: Engine
    name: str
    full: bool
    pool: ThreadPoolExecutor
    running: set[Future[Postponed | None]] = field(default_factory=set)
    waiting: list[tuple[float, int, Postponed]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def take(self, due: Sequence[StepRow]) -> None:
        """Work on all of them to their end; the first error that is not a step's own is raised."""
        self.running = {self.pool.submit(self._begin, row) for row in due}
        while self.running or self.waiting:
            ended, self.running = wait(self.running, self._until_next(), FIRST_COMPLETED)
            if not ended and not self.running:
                time.sleep(self._until_next())
            for one in ended:
                self._note(one)
            self._continue_what_is_due()
        if self.failures:
            raise self.failures[0]

    def _begin(self, row: StepRow) -> Postponed | None:
        return work_on(self.engine, self.name, row, full=self.full)

    def _go_on(self, one: Postponed) -> Postponed | None:
        return work_on(self.engine, self.name, one.row, full=self.full, again=one)

    def _note(self, ended: Future[Postponed | None]) -> None:
        error = ended.exception()
        if error is not None:
            self.failures.append(error)
        elif (postponed := ended.result()) is not None:
            heapq.heappush(self.waiting, (postponed.due, postponed.row.id, postponed))

    def _continue_what_is_due(self) -> None:
        """Also before their time when the process is to stop: they notice and say so."""
        now = time.monotonic()
        while self.waiting and (self.waiting[0][0] <= now or self.engine.stop.is_set()):
            _, _, one = heapq.heappop(self.waiting)
            self.running.add(self.pool.submit(self._go_on, one))

    def _until_next(self) -> float:
        if not self.waiting:
            return _LOOK_UP
        return min(_LOOK_UP, max(0.0, self.waiting[0][0] - time.monotonic()))


def work_off(
    engine: Engine, name: str, due: Sequence[StepRow], threads: int, *, full: bool
) -> None:
    """Take every one of the steps through its phases."""
    with ThreadPoolExecutor(threads) as pool:
        Turns(engine, name, full, pool).take(due)
