"""What the cells of a workbook say, as text: numbers, dates and truth as a person would type them.

Whole numbers have no decimal point, leading zeros that a number format shows are kept, and days are
ISO dates. Formulas are never computed: their last result is what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

TextOf = Callable[[str], str]
"""From the stored text of a number to what it says."""

_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  # a spreadsheet's days have no zone
_EPOCH_1904 = datetime(1904, 1, 1)  # noqa: DTZ001
_LAST_DAY = 2_958_466
"""Days from the epoch to the year 10000."""
_DATE_FORMATS = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
"""Numbers of the built-in formats that show dates or times, those of East Asian versions too."""
_NO_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]')
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_ZEROS = re.compile(r"0{2,30}")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_WHOLE = re.compile(r"-?\d{1,15}")


def number_reader(number: int, code: str, *, from_1904: bool) -> TextOf:
    """How numbers in a format are read. number: of the format; code: its text, "" if built in."""
    bare = _NO_CODE.sub("", code)
    if number in _DATE_FORMATS or (code and _DATE_CODE.search(bare.replace("General", ""))):
        return lru_cache(1 << 12)(lambda text: _moment(text, from_1904=from_1904))
    if _ZEROS.fullmatch(bare):
        return lambda text: _number(text).zfill(len(bare))
    return _number


def truth(text: str) -> str:
    """A boolean as spreadsheets show it."""
    return {"1": "TRUE", "0": "FALSE"}.get(text.strip(), text)


def unescape(text: str) -> str:
    """Text without the escapes that workbooks write for control characters."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if 0xD800 <= code < 0xE000 else chr(code)


def _number(text: str) -> str:
    text = text.strip()
    if _WHOLE.fullmatch(text) and text != "-0":
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def _moment(text: str, *, from_1904: bool) -> str:
    """A day, a moment or a time of day; the number itself where it is none of them."""
    try:
        days = float(text)
    except ValueError:
        return text.strip()
    if not 0 <= days < _LAST_DAY:
        return _number(text)
    epoch = _EPOCH_1904 if from_1904 else _EPOCH
    if 0 < days < 60 and not from_1904:
        epoch += timedelta(days=1)  # spreadsheets know a 29th of February 1900
    seconds = round(days * 86400)
    if seconds < 86400 and not from_1904:
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    try:
        moment = epoch + timedelta(seconds=seconds)
    except OverflowError:
        return _number(text)
    return moment.date().isoformat() if seconds % 86400 == 0 else moment.isoformat()
