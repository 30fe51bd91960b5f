"""How the miniature Microsoft misbehaves: whatever a test says, for the calls that it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.https import Asked, Reply

Doing = Callable[[Any], None]


@dataclass
class Fault:
    """What to answer to calls whose target matches. `times`: so often; None: for ever."""

    pattern: re.Pattern[str]
    reply: Reply | Doing | Callable[[Asked, Reply], Reply]
    times: int | None
    skip: int
    changes: bool
    """Whether `reply` makes something of the right answer, instead of standing in for it."""
    tenant: str | None = None
    """The only tenant that it concerns."""


@dataclass
class Faults:
    """All that is broken at present."""

    waiting: list[Fault] = field(default_factory=list)
    tenant_of: Callable[[Asked], str | None] = lambda _asked: None
    """Whose token a request bears."""

    def on(
        self,
        pattern: str,
        reply: Reply | Doing,
        *,
        times: int | None = None,
        skip: int = 0,
        tenant: str | None = None,
    ) -> None:
        """Answer so, from the call after `skip` of them on, to those about the tenant."""
        fault = Fault(re.compile(pattern), reply, times, skip, changes=False, tenant=tenant)
        self.waiting.append(fault)

    def altering(
        self,
        pattern: str,
        change: Callable[[Asked, Reply], Reply],
        *,
        times: int | None = None,
        skip: int = 0,
        tenant: str | None = None,
    ) -> None:
        """Make something else of the right answer."""
        fault = Fault(re.compile(pattern), change, times, skip, changes=True, tenant=tenant)
        self.waiting.append(fault)

    def mend(self) -> None:
        """Everything works again."""
        self.waiting.clear()

    def answer(self, asked: Asked, right: Callable[[Asked], Reply]) -> Reply | Doing:
        """What is answered in fact."""
        for fault in self.waiting:
            if not fault.pattern.search(asked.target):
                continue
            if fault.tenant is not None and fault.tenant != self.tenant_of(asked):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times < 0:
                    continue
            if fault.changes:
                return fault.reply(asked, right(asked))  # type: ignore[operator,call-arg,arg-type]
            return fault.reply  # type: ignore[return-value]
        return right(asked)
