"""Writing spreadsheets, row by row, as CSV or XLSX: nothing in them is a formula when opened."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from syncd.connectors.sheets.answer import escape
from syncd.connectors.sheets.files import WORKBOOK_SUFFIXES
from syncd.connectors.sheets.text_files import DELIMITER_NAMES

_MAX_CELL = 32_767
"""Characters in a cell of a workbook."""
_ILLEGAL = re.compile(r"[\[\]:*?/\\]")
"""What the name of a worksheet must not hold."""

Cells = Sequence[str | None]


class Writer(Protocol):
    """Takes the rows of one sheet."""

    def write(self, rows: Iterable[Cells]) -> None:
        """Add rows of text."""
        ...


@contextmanager
def open_writer(path: Path, shown: Mapping[str, str]) -> Iterator[Writer]:
    """A sheet as another one was shown to be: CSV keeps its delimiter and becomes UTF-8, and a
    worksheet keeps its name.
    """
    with _opened(path, shown, escaped=False) as writer:
        yield writer


@contextmanager
def open_answer(path: Path, shown: Mapping[str, str]) -> Iterator[Writer]:
    """As `open_writer`, for what people open: in CSV, text that looks like a formula is escaped.
    In a workbook text is text.
    """
    with _opened(path, shown, escaped=True) as writer:
        yield writer


@contextmanager
def _opened(path: Path, shown: Mapping[str, str], *, escaped: bool) -> Iterator[Writer]:
    if path.suffix.lower() in WORKBOOK_SUFFIXES:
        with _workbook(path, shown.get("worksheet", "")) as workbook:
            yield workbook
        return
    names = {name: delimiter for delimiter, name in DELIMITER_NAMES.items()}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        yield _Text(file, names[shown.get("delimiter", "comma")], escaped)


class _Text:
    def __init__(self, file: IO[str], delimiter: str, escaped: bool) -> None:
        self._writer = csv.writer(file, delimiter=delimiter)
        self._escaped = escaped

    def write(self, rows: Iterable[Cells]) -> None:
        if self._escaped:
            self._writer.writerows([escape(cell or "") for cell in row] for row in rows)
        else:
            self._writer.writerows([cell or "" for cell in row] for row in rows)


@contextmanager
def _workbook(path: Path, worksheet: str) -> Iterator[Writer]:
    import xlsxwriter  # type: ignore[import-untyped]

    options = {"constant_memory": True, "tmpdir": str(path.parent)}
    with xlsxwriter.Workbook(str(path), options) as workbook:
        yield _Worksheet(workbook, _ILLEGAL.sub("_", worksheet)[:31].strip("'"))


class _Worksheet:
    """Text cells only; the format tells spreadsheet programs that it stays text when edited."""

    def __init__(self, workbook: Any, name: str) -> None:
        self._sheet = workbook.add_worksheet(name or None)
        self._format = workbook.add_format({"quote_prefix": True, "num_format": "@"})
        self._at = 0

    def write(self, rows: Iterable[Cells]) -> None:
        for row in rows:
            for column, cell in enumerate(row):
                if cell:
                    self._sheet.write_string(self._at, column, cell[:_MAX_CELL], self._format)
            self._at += 1
