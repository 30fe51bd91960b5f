"""Exit codes, and which error or outcome leads to which; the first of `ORDER` that applies."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from syncd.entities import Kind
from syncd.errors import (
    AccessLost,
    AuthFailed,
    Busy,
    ConfigError,
    LeaseLost,
    PermissionDenied,
    PlanHeld,
    ProviderUnavailable,
    RateLimited,
    SchemaError,
    StoreUnavailable,
    SyncdError,
    UsageError,
)

if TYPE_CHECKING:
    from syncd.sync.flow import Outcome


class Exit(IntEnum):
    """What a script can tell apart."""

    DONE = 0
    FAILED = 1
    CHANGES = 2  # only `plan --detailed-exitcode`
    QUARANTINED = 3
    CONFIG = 4
    UNREACHABLE = 5
    HELD = 6
    USAGE = 64
    BUSY = 75


ORDER = (
    Exit.USAGE,
    Exit.CONFIG,
    Exit.UNREACHABLE,
    Exit.FAILED,
    Exit.BUSY,
    Exit.HELD,
    Exit.QUARANTINED,
    Exit.CHANGES,
    Exit.DONE,
)

_OF_ERRORS: tuple[tuple[tuple[type[SyncdError], ...], Exit], ...] = (
    ((ConfigError, SchemaError), Exit.CONFIG),
    ((UsageError,), Exit.USAGE),
    ((Busy, LeaseLost), Exit.BUSY),
    ((PlanHeld,), Exit.HELD),
    ((AuthFailed, PermissionDenied, AccessLost), Exit.UNREACHABLE),
    ((ProviderUnavailable, RateLimited, StoreUnavailable), Exit.UNREACHABLE),
)
_UNREACHABLE = frozenset(
    kind.code for kinds, code in _OF_ERRORS if code is Exit.UNREACHABLE for kind in kinds
)
_INCOMPLETE = frozenset(
    {"quarantine", "stale", "rejected", "read_nobody", "partitions_missing", "not_retired"}
)
"""Codes of partial runs that did all they could; any other means that a part of the run failed."""

_OF_FILES = {"waits": Exit.HELD, "unfinished": Exit.DONE}
"""Codes of dropped files of which no run was made: one waits behind another that is held, one is
still being written, which is nothing to worry about.
"""


def of_error(error: SyncdError) -> Exit:
    """The exit code of an error that ended a command."""
    return next((code for kinds, code in _OF_ERRORS if isinstance(error, kinds)), Exit.FAILED)


def of_outcome(outcome: Outcome, *, detailed: bool = False) -> Exit:
    """The exit code of a run; `detailed`: a plan that would change something has its own."""
    if outcome.code in _UNREACHABLE and outcome.state != "held":
        return Exit.UNREACHABLE
    if outcome.state in ("held", "planned") and outcome.overruns:
        return Exit.HELD
    if outcome.code in _OF_FILES:
        return _OF_FILES[outcome.code]
    if outcome.state == "partial" and outcome.code in _INCOMPLETE:
        return Exit.QUARANTINED
    if outcome.state == "planned":
        return _of_plan(outcome, detailed)
    return Exit.DONE if outcome.state == "succeeded" else Exit.FAILED


def _of_plan(outcome: Outcome, detailed: bool) -> Exit:
    if outcome.counts.get("quarantined") or outcome.counts.get("in quarantine"):
        return Exit.QUARANTINED
    return Exit.CHANGES if detailed and changes_anything(outcome.counts) else Exit.DONE


def changes_anything(counts: dict[str, int]) -> bool:
    """Whether a run's counts hold any change, such as `create user`."""
    return any(count and is_change(name) for name, count in counts.items())


def is_change(name: str) -> bool:
    """Whether a count is of changes: its name is an action and a kind."""
    action, _, kind = name.partition(" ")
    return kind in {*Kind} and action not in ("read", "linked", "living")


def worst(codes: Iterable[Exit]) -> Exit:
    """The exit code of several runs together."""
    return min(codes, key=ORDER.index, default=Exit.DONE)
