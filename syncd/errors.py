"""Every exception of syncd, named for what the engine does next, not for what went wrong.

An error's text is read by an operator: it says what, where, and how to repair it. It never holds a
secret or a person's data; it may hold names of settings, files, streams and fields.
"""

from __future__ import annotations

from typing import ClassVar


class SyncdError(Exception):
    """Base of all. `code` is the stable reason code that runs, logs and `--json` show."""

    code: ClassVar[str] = "error"


# -- stops before anything is read -----------------------------------------------------------------


class ConfigError(SyncdError):
    """A setting is missing or wrong: stop before reading; name it, its file and its line."""

    code = "config"


class UsageError(SyncdError):
    """The request itself makes no sense (an unknown run, a name that fits two users)."""

    code = "usage"


class SchemaError(SyncdError):
    """The database's schema is older or newer than this program understands."""

    code = "schema"


# -- what a connector raises -----------------------------------------------------------------------


class ProviderError(SyncdError):
    """Base of everything that a provider can do to us. `condition`: which of the known troubles of
    a partition it is, where it is one: the health of the partition names it.
    """

    code = "provider"
    condition: str = ""


class AuthFailed(ProviderError):
    """Credentials are refused: pause the connection ("reconnect"), no retry."""

    code = "auth_failed"


class PermissionDenied(ProviderError):
    """A permission is missing: mark that stream or partition, go on elsewhere, no leavers there."""

    code = "permission_denied"


class AccessLost(ProviderError):
    """The partition is no longer ours to read: mark it; its users stay exactly as they are."""

    code = "access_lost"


class RateLimited(ProviderError):
    """Throttled: put the step back until `retry_after` seconds from now; costs no attempt."""

    code = "throttled"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderUnavailable(ProviderError):
    """No usable answer: retry a few times with back-off, then fail that partition only."""

    code = "unavailable"


class BadResponse(ProviderError):
    """An answer that cannot be read (shape, encoding, a loop): as ProviderUnavailable."""

    code = "bad_response"


class Refused(BadResponse):
    """What was read cannot be used, and never will be: fail, with what to repair, and no retry."""

    code = "refused"


class CursorExpired(ProviderError):
    """The provider no longer knows our place: forget the cursor and read in full, once."""

    code = "cursor_expired"


# -- what the engine raises ------------------------------------------------------------------------


class PlanHeld(SyncdError):
    """A guard held the plan: the step closes as held and waits for a person."""

    code = "held"


class MappingFailed(SyncdError):
    """So many records of one stream could not be mapped that the mapping itself must be wrong."""

    code = "mapping"


class LeaseLost(SyncdError):
    """Another worker owns the partition now: stop without writing."""

    code = "lease_lost"


class Busy(SyncdError):
    """Another process is syncing this connection (exit code 75)."""

    code = "busy"


class Cancelled(SyncdError):
    """Someone asked for the run to stop; it stops at a page or batch boundary."""

    code = "cancelled"


class Interrupted(SyncdError):
    """This process was asked to end: the step stays due, and the next sync goes on with it."""

    code = "interrupted"


class StoreRefused(SyncdError):
    """The database refused a statement: a defect of ours, or two writers at once. Nothing of the
    transaction was written. Says which constraint, never which values.
    """

    code = "store_refused"


class StoreUnavailable(SyncdError):
    """The database cannot be reached, or stayed locked for longer than we are willing to wait."""

    code = "store_unavailable"
