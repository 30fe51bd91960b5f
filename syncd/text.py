"""Text as people type it, made safe to show (`clean`) and safe to compare (`fold`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from decimal import Decimal

_CONTROLS = {
    code: None for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\t\n\r\x85"
}
_INVISIBLE = dict.fromkeys(
    [0x200B, 0x2060, 0xFEFF, 0x00AD, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_UNSAFE = {**_CONTROLS, **_INVISIBLE, **_SURROGATES}
_JOINERS = dict.fromkeys([0x200C, 0x200D, 0x200E, 0x200F, 0x034F, 0x180E])


def clean(value: str) -> str:
    """`value` without what must not be stored or shown: NUL and controls, zero-width and
    direction-override characters, lone surrogates, and white space (NBSP too) at both ends.

    Composed to NFC, so that `é` is one character whoever typed it. Joiners that scripts need stay.
    """
    if value.isascii() and value.isprintable():
        return value.strip()
    return unicodedata.normalize("NFC", value.translate(_UNSAFE)).strip()


def fold(value: str) -> str:
    """`value` as a match key: NFKC, case folded, zero-width removed, white space collapsed.

    Two spellings of one thing fold to the same text on every database; "" never matches.
    """
    if value.isascii() and value.isprintable() and "  " not in value:
        return value.strip().lower()
    bare = value.translate(_UNSAFE).translate(_JOINERS)
    folded = unicodedata.normalize("NFKC", bare).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def fold_all(values: Sequence[str]) -> list[str]:
    """`fold` of each, many times faster where all are plain and hold no blanks."""
    text = "".join(values)
    if text.isascii() and text.isprintable() and " " not in text:
        return "\n".join(values).lower().split("\n") if values else []
    return [fold(value) for value in values]


_MOST_DIGITS = 40


def decimal_text(number: Decimal) -> str | None:
    """A number as plain decimal digits, equal for equal numbers: `25`, `-3`, `2.5`; None for what
    is no number, or is absurdly long.
    """
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        return None
    text = format(number.normalize(), "f") if number else "0"
    return text if len(text) <= _MOST_DIGITS else None


LONGEST_KEY = 400


def all_usable_keys(keys: Sequence[str]) -> bool:
    """Whether `usable_key` is true of each."""
    if (
        "" not in keys
        and "".join(keys).isprintable()
        and max(map(len, keys), default=0) <= LONGEST_KEY
    ):
        return True
    return all(map(usable_key, keys))


def usable_key(key: str) -> bool:
    """Whether every database can keep `key`: not empty, not long, no NUL and no lone surrogate."""
    if not 0 < len(key) <= LONGEST_KEY:
        return False
    return key.isprintable() or not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in key)
