"""The rows of one worksheet, as they come, and as the sheet that readers know."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import BinaryIO

from syncd.connectors.sheets.cells import truth, unescape
from syncd.connectors.sheets.markup import (
    MAX_DEPTH,
    TAGS,
    End,
    Start,
    Text,
    to_int,
    too_deep,
    too_long,
)
from syncd.connectors.sheets.sheet import BATCH, MAX_CELL, MAX_COLUMNS, MAX_HEADING, Batch, Row
from syncd.connectors.sheets.workbooks import Workbook, Worksheet
from syncd.errors import BadResponse

MAX_ROWS = 1 << 20
"""Rows of a worksheet; its format allows no more."""

TOP = 20
"""Rows of a worksheet among which its headings are, if it has any."""

_DIGITS = "0123456789"

Numbered = tuple[int, Row]
"""A row with its number in the worksheet."""


class RowStream:
    """The rows of a worksheet as they come, and how many cells held an error instead of a value."""

    def __init__(self, workbook: Workbook, worksheet: Worksheet) -> None:
        self._workbook = workbook
        self._part = worksheet.part
        self._strings = workbook.strings
        self._formats = workbook.formats
        self._ready: list[Numbered] = []
        self.errors = 0

    def __iter__(self) -> Iterator[Numbered]:
        start, end, text = self._handlers()
        for _ in self._workbook.parse(self._part, start, end, text):
            yield from self._ready
            self._ready.clear()

    def _handlers(self) -> tuple[Start, End, Text]:  # noqa: PLR0915  # one scope for three callbacks
        """The parser's callbacks; plain functions, because they are called for every cell."""
        tags, column, file, ready = TAGS.get, _column, self._workbook.file, self._ready
        row: Row = []
        number, rows, at, depth = 0, 0, 0, 0
        kind: str | None = None
        style: str | None = None
        pieces: list[str] = []
        keep = phonetic = False
        length = 0

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal row, number, rows, at, depth, kind, style, pieces, keep, phonetic, length
            tag = tags(name)
            depth += 1
            if depth > MAX_DEPTH:
                raise too_deep()
            if tag == "c":
                place = attributes.get("r")
                at = column(place.rstrip(_DIGITS)) if place else at + 1
                kind, style, pieces, length = attributes.get("t"), attributes.get("s"), [], 0
            elif tag in ("v", "t"):
                keep = not phonetic
            elif tag == "row":
                rows += 1
                before, number = number, to_int(attributes.get("r")) or number + 1
                row, at = [], 0
                if number <= before or number > MAX_ROWS or rows > MAX_ROWS:
                    raise BadResponse(f"{file}: the rows are not numbered as in a worksheet")
            elif tag == "rPh":
                phonetic = True

        def end(name: str) -> None:
            nonlocal row, depth, keep, phonetic
            tag = tags(name)
            depth -= 1
            if tag in ("v", "t"):
                keep = False
            elif tag == "c":
                if pieces and (said := self._said(kind, style, "".join(pieces))):
                    if at > MAX_COLUMNS:
                        raise BadResponse(f"{file}: row {number} has more than {MAX_COLUMNS} cells")
                    if at <= len(row):
                        raise BadResponse(f"{file}: the cells of row {number} are out of order")
                    row += [""] * (at - len(row) - 1)
                    row.append(said)
            elif tag == "row":
                if row:
                    ready.append((number, row))
                row = []
            elif tag == "rPh":
                phonetic = False

        def text(data: str) -> None:
            nonlocal length
            if keep:
                length += len(data)
                if length > MAX_CELL:
                    raise too_long(file, f"row {number}: a cell")
                pieces.append(data)

        return start, end, text

    def _said(self, kind: str | None, style: str | None, value: str) -> str:
        """The text of a cell; "" for one that holds an error, which says nothing."""
        try:
            if kind is None or kind == "n":
                return self._formats[int(style or 0)](value)
            if kind == "s":
                return self._strings[int(value)]
        except (ValueError, IndexError):
            raise self._workbook.broken("a cell names what is not there") from None
        if kind == "b":
            return truth(value)
        if kind == "e":
            self.errors += 1
            return ""
        if kind == "d":
            return value.removesuffix("T00:00:00")
        return unescape(value)


class WorkbookSheet:
    """One worksheet as batches of rows: the one that is named, else the first that people see."""

    def __init__(self, file: str, binary: BinaryIO, wanted: str | None) -> None:
        self.file = file
        workbook = Workbook(file, binary)
        chosen = _choose(workbook, wanted)
        self.worksheet = chosen.name
        self.shown = {"format": "XLSX", "worksheet": chosen.name}
        self._stream = RowStream(workbook, chosen)
        self._rows = iter(self._stream)
        first = next(self._rows, None)
        if first is None:
            raise BadResponse(f"{file} is empty: not even a line of headings; nothing was read")
        self._line, self.headings = first
        if not self.headings or max(map(len, self.headings)) > MAX_HEADING:
            raise BadResponse(f"{file}: the first row is not a row of headings")
        others = _tops(workbook, chosen)
        self.unread = [cell for rows in others.values() for row in rows for cell in row]
        self.notices = _of_others(file, chosen, others) if wanted is None else []

    def batches(self, page_size: int) -> Iterator[Batch]:
        """The rows after the headings; they are as wide as these, unless they say more."""
        portions = [min(BATCH, page_size - start) for start in range(0, page_size, BATCH)]
        width = len(self.headings)
        for page in count():
            for portion in portions:
                taken = list(islice(self._rows, portion))
                if not taken:
                    self._tell_errors()
                    return
                lines = [number for number, _ in taken]
                rows = [row + [""] * (width - len(row)) for _, row in taken]
                yield Batch(rows, lines[0], True, page, lines)

    def _tell_errors(self) -> None:
        if self._stream.errors:
            self.notices.append(
                f"{self.file}: {self._stream.errors} cells hold an error such as #N/A and were "
                "read as blank"
            )


def _choose(workbook: Workbook, wanted: str | None) -> Worksheet:
    names = [one.name for one in workbook.worksheets]
    if wanted is not None:
        for one in workbook.worksheets:
            if one.name.casefold() == wanted.casefold():
                return one
        raise BadResponse(
            f'{workbook.file} has no worksheet "{wanted}"; it has: {", ".join(names) or "none"}'
        )
    visible = [one for one in workbook.worksheets if one.visible]
    for one in visible:
        if next(iter(RowStream(workbook, one)), None):
            return one
    if not visible:
        raise BadResponse(f"{workbook.file} has no worksheet that people can see")
    return visible[0]


def _tops(workbook: Workbook, chosen: Worksheet) -> dict[Worksheet, list[Row]]:
    """The first rows of the worksheets that are not read, hidden ones too."""
    return {
        one: [row for _, row in islice(RowStream(workbook, one), TOP)]
        for one in workbook.worksheets
        if one != chosen
    }


def _of_others(file: str, chosen: Worksheet, others: dict[Worksheet, list[Row]]) -> list[str]:
    """A word about worksheets that are not read, though they hold something."""
    seen = [one.name for one, rows in others.items() if one.visible and rows]
    hidden = [one.name for one in others if not one.visible]
    said = []
    if seen:
        said.append(f"not read: {', '.join(seen)}; name another one with `worksheet`")
    if hidden:
        said.append(f"hidden worksheets are not read: {', '.join(hidden)}")
    return [f'{file}: the worksheet "{chosen.name}" is read; {one}' for one in said]


def _columns_of(letters: str) -> int:
    """A=1, Z=26, AA=27; 0 for none of them."""
    found = 0
    for letter in letters[:4]:
        if not "A" <= letter <= "Z":
            return 0
        found = found * 26 + ord(letter) - 64
    return found


_KNOWN_COLUMNS = {letters: _columns_of(letters) for letters in map(chr, range(65, 91))}


def _column(letters: str) -> int:
    found = _KNOWN_COLUMNS.get(letters)
    return _columns_of(letters) if found is None else found
