"""What every spreadsheet is to its readers, whatever its format: headings, then batches of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

MAX_CELL = 1 << 20
"""Characters in one cell."""
MAX_HEADING = 300
MAX_COLUMNS = 2_000
BATCH = 128
"""Rows in one batch: few enough to be still in the processor's cache when they are used."""

_LINE_BREAK = re.compile(r"\r\n|\r|\n")

Row = list[str]


@dataclass(slots=True)
class Batch:
    """Consecutive rows: where they begin, and whether a cell may hold the marker."""

    rows: list[Row]
    first_line: int
    marked: bool
    page: int
    """Which page they belong to."""
    lines: Sequence[int] | None = None
    """The number of each row, where rows are numbered; else a row takes as many lines as it has."""

    def line_of(self, index: int) -> int:
        """The line on which row `index` begins; a row may span lines inside its quotes."""
        if self.lines is not None:
            return self.lines[index]
        return self.first_line + sum(map(_lines_in, self.rows[:index]))

    def all_lines(self) -> list[int]:
        """The line on which each row begins."""
        if self.lines is not None:
            return list(self.lines)
        found, line = [], self.first_line
        for row in self.rows:
            found.append(line)
            line += _lines_in(row)
        return found


class Sheet(Protocol):
    """One open spreadsheet."""

    file: str
    headings: Row
    shown: dict[str, str]
    """How it is read, for people: format, encoding and delimiter, or worksheet."""
    notices: list[str]
    """What a person should know of how it is read; more may come up while it is read."""

    unread: list[str]
    """What stands where headings may be in parts of the file that are not read."""

    def batches(self, page_size: int) -> Iterator[Batch]:
        """The rows after the headings, in pages of `page_size`; blank lines are empty rows."""
        ...


class Reading(NamedTuple):
    """How a file is to be read, as far as that is pinned."""

    encoding: str | None = None
    delimiter: str | None = None
    worksheet: str | None = None
    clear: str = "<clear>"
    """The marker of a cell that empties its field."""


def _lines_in(row: Row) -> int:
    """How many lines a row took: one, and one for each line break inside its cells."""
    return 1 + sum(len(_LINE_BREAK.findall(cell)) for cell in row if "\n" in cell or "\r" in cell)
