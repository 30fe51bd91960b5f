"""Named places where a test can end the process as a power cut would; inert otherwise.

`SYNCD_FAILPOINT=apply.batch.written:3` kills the process (SIGKILL) when that place is passed for
the third time. `KNOWN` lists every name, so that a test can visit them all.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

SYNCING = (
    "run.opened",
    "step.opened",
    "step.claimed",
    "read.started",
    "read.quarantine.planned",
    "read.page.fetched",
    "read.page.planned",
    "read.page.writing",
    "read.page.stored",
    "read.changed.planned",
    "read.changed.stored",
    "read.stream.ended",
    "read.newcomers.planned",
    "read.newcomers.stored",
    "read.ended",
    "settle.repeats",
    "settle.conflicts",
    "settle.sites",
    "settle.sweep",
    "settle.ended",
    "guard.counted",
    "guard.writing",
    "guard.stored",
    "apply.started",
    "apply.batch.loaded",
    "apply.batch.writing",
    "apply.batch.entities",
    "apply.batch.links",
    "apply.batch.written",
    "apply.batch.committed",
    "apply.cursor",
    "apply.ended",
    "close.started",
    "close.step",
    "close.run",
    "close.ended",
)
"""Places of every sync."""
DROPPING = (
    "drop.opened",
    "drop.claimed",
    "drop.copied",
    "drop.answered",
    "drop.named",
    "drop.moved",
    "drop.forgotten",
    "drop.ended",
)
"""Places of a sync of a dropped file, besides."""
GRANTING = ("grant.claimed", "grant.renewed", "grant.stored")
"""Places of whoever renews what authorizes a connection."""
KNOWN = SYNCING + DROPPING + GRANTING


def _die() -> None:
    # To this very thread: it must not go on while another one takes the signal.
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL)


_armed, _, _count = os.environ.get("SYNCD_FAILPOINT", "").partition(":")
_left = int(_count or 1)
_then: Callable[[], None] = _die


def arm(name: str, count: int = 1, then: Callable[[], None] = _die) -> None:
    """When `name` is passed for the `count`th time: end this process, or do `then`. "" disarms."""
    global _armed, _left, _then  # one process, one armed place
    if name and name not in KNOWN:
        raise ValueError(f"no such failpoint: {name}")
    _armed, _left, _then = name, count, then


def reach(name: str) -> None:
    """Pass the failpoint `name`."""
    global _left  # noqa: PLW0603  # one process, one armed place
    if name != _armed:
        return
    _left -= 1
    if _left == 0:
        _then()
