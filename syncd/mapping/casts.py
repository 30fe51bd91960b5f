"""What a value has to be: text, yes or no, a date, an address, and no wider than its field."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from syncd.entities import CUSTOM, Field
from syncd.text import clean


class RecordRejected(Exception):
    """The record cannot be mapped and goes to quarantine.

    `code` is stable (`required`, `too_long`, `type`, `expression`), `field` the target's name, and
    the message holds no value.
    """

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message


class Notice(NamedTuple):
    """Something odd about a value that a person may want to repair; the record goes on.

    Codes: `cut`, `doubtful_email`, `doubtful_phone`, `unknown_country`, `doubtful_date`, `dropped`,
    `bad_custom_name`. The message holds no value.
    """

    code: str
    field: str
    message: str


_YES = {"true", "yes", "y", "1", "on", "ja", "j", "oui", "si", "sí", "sim", "da", "tak", "x", "t"}
_NO = {"false", "no", "n", "0", "off", "nein", "nee", "non", "não", "nej", "nie", "f"}
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ][0-9:.,+Z -]*)?", re.ASCII).fullmatch
_MILLISECONDS = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/", re.ASCII).fullmatch
_YEARS = range(1900, 9000)
"""Outside of these a date means "none" or "never": 0001-01-01, 9999-12-31."""


def as_text(raw: object, target: str) -> str:
    """`raw` as clean text, "" if blank; raises RecordRejected for lists and tables."""
    if isinstance(raw, str):
        return clean(raw)
    if raw is None:
        return ""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, date):
        return raw.isoformat()
    if isinstance(raw, int | float) and abs(raw) < 1e15:
        return str(int(raw)) if raw == int(raw) else repr(raw)
    raise RecordRejected("type", target, "not a text")


def as_bool(raw: object, target: str) -> bool | None:
    """`raw` as yes or no in the usual words, None if blank; raises RecordRejected for others."""
    if isinstance(raw, bool):
        return raw
    word = as_text(raw, target).casefold()
    if not word:
        return None
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise RecordRejected("type", target, "neither yes nor no; use true or false")


def as_date(raw: object, target: str, notices: list[Notice]) -> str | None:
    """The calendar day as it is written, whatever its time and zone; None if blank or no date."""
    if isinstance(raw, date):
        day: date | None = raw.date() if isinstance(raw, datetime) else raw
    elif text := as_text(raw, target):
        day = _parsed_date(text)
    else:
        return None
    if day is None or day.year not in _YEARS:
        notices.append(Notice("doubtful_date", target, "not a date (YYYY-MM-DD); left out"))
        return None
    return day.isoformat()


def _parsed_date(text: str) -> date | None:
    try:
        if written := _DATE(text):
            return date(*map(int, written.groups()))
        if since_1970 := _MILLISECONDS(text):
            epoch = datetime(1970, 1, 1, tzinfo=UTC)
            return (epoch + timedelta(milliseconds=int(since_1970[1]))).date()
    except (ValueError, OverflowError):
        pass
    return None


def fit(field: Field, text: str, notices: list[Notice]) -> str:
    """`text`, cut if the field says so; raises RecordRejected if it must not be cut."""
    if len(text) <= field.width:
        return text
    if field.overflow == "quarantine":
        raise RecordRejected("too_long", field.name, f"longer than {field.width} characters")
    notices.append(Notice("cut", field.name, f"longer than {field.width} characters; cut"))
    return text[: field.width].rstrip()


_LONGEST_CUSTOM_NAME = 100


@lru_cache(maxsize=1024)
def custom_field(target: str) -> Field | None:
    """The field `custom.NAME`, or None if such a name cannot be stored and shown as it is."""
    name = target.removeprefix(CUSTOM)
    if name == target or not 0 < len(name) <= _LONGEST_CUSTOM_NAME:
        return None
    return Field(target) if name.isprintable() and clean(name) == name else None
