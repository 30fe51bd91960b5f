"""What came back, and what it means for the engine: one table from status to error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from syncd.errors import (
    AuthFailed,
    BadResponse,
    PermissionDenied,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Refused,
)

PATIENCE = 60.0
"""Seconds to wait for a provider that throttles and does not say for how long."""
LONGEST_WAIT = 86_400.0
_UNAVAILABLE = frozenset({408, 421, 425, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole. `host`: who gave it; `headers` by any spelling of their names."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body; BadResponse for what is not JSON, such as a page for people."""
        self.expect_json()
        try:
            return json.loads(self.text())
        except (ValueError, RecursionError):
            raise BadResponse(
                f"{self.host} answered with JSON that is not whole or not JSON"
            ) from None

    def expect_json(self) -> None:
        """BadResponse if the answer says itself that it is something else."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not (kind.endswith(("/json", "+json")) or kind == ""):
            raise BadResponse(
                f"{self.host} answered with {kind[:40]!r} where JSON was asked for: a page for "
                "people, perhaps of a proxy or of a login"
            )

    def bare(self) -> bytes:
        """The body without a byte-order mark."""
        return self.body.removeprefix(b"\xef\xbb\xbf")

    def text(self) -> str:
        """The body as text; BadResponse if it is not UTF-8."""
        try:
            return self.bare().decode()
        except UnicodeDecodeError:
            raise BadResponse(f"{self.host} answered with text that is not UTF-8") from None


def failure(answer: Answer) -> ProviderError | None:
    """What a status means, wherever a provider means nothing more particular by it."""
    host, status = answer.host, answer.status
    if 200 <= status < 300:
        return None
    if status == 429 or (status == 503 and "Retry-After" in answer.headers):
        wait = retry_after(answer.headers)
        return RateLimited(f"{host} asks to wait for {wait:.0f} s ({status})", wait)
    if status in _UNAVAILABLE:
        return ProviderUnavailable(f"{host} cannot answer at present ({status})")
    kind, sentence = _MEANT.get(status, (BadResponse, "answered with a status that says nothing"))
    if 300 <= status < 400:
        kind, sentence = Refused, "redirects elsewhere, where no credential is sent"
    return kind(f"{host} {sentence} ({status})")


_MEANT: dict[int, tuple[type[ProviderError], str]] = {
    401: (AuthFailed, "does not accept the credentials"),
    403: (PermissionDenied, "does not permit this"),
}


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait, of `Retry-After`: a number or a date. At most a day."""
    said = headers.get("Retry-After", "").strip()
    try:
        wait = float(said)
    except ValueError:
        wait = _until(said, headers.get("Date", ""))
    return min(max(wait, 1.0), LONGEST_WAIT) if math.isfinite(wait) else PATIENCE


def _until(date: str, now: str) -> float:
    """Between two dates of one answer, so that no clock of ours counts where it says its own."""
    try:
        ends = parsedate_to_datetime(date)
    except ValueError:
        return PATIENCE
    try:
        begins = parsedate_to_datetime(now)
    except ValueError:
        begins = datetime.now(UTC)
    if ends.tzinfo is None:
        ends = ends.replace(tzinfo=UTC)
    if begins.tzinfo is None:
        begins = begins.replace(tzinfo=UTC)
    return (ends - begins).total_seconds()
