"""The columns that answer a row, and how text is kept from being taken for a formula.

A file that carries these columns is one of ours, and of it only the rows that follow are meant: it
never says who is missing, and its cells lose the mark that kept them from being formulas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

COLUMNS = ("syncd_outcome", "syncd_reason_code", "syncd_reason", "syncd_entity")

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def is_answer(headings: Sequence[str]) -> bool:
    """Whether a sheet is an answer of ours."""
    return COLUMNS[0] in headings


def escape(text: str) -> str:
    """Text as it can be opened in a spreadsheet program without becoming a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape(text: str) -> str:
    """What was escaped."""
    return text[1:] if _ESCAPED.match(text) else text
