"""A CSV file as batches of rows: opened safely, decoded strictly, and the same from end to end.

Ending normally promises that the whole file was read and did not change meanwhile; everything else
raises a ProviderError that names the file, the line where there is one, and what to do.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, RawIOBase, TextIOWrapper
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from syncd.errors import BadResponse, ProviderUnavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_CELL = 1 << 20
"""Characters in one cell."""
MAX_LINE = 4 * MAX_CELL
"""Bytes in one line, enough for any cell of that length; give or take a block."""
MAX_PAGE = 16 * MAX_LINE
"""Bytes in the rows of one page: what bounds the memory, whatever a file holds."""
BLOCK = 1 << 16
BATCH = 128
"""Rows in one batch: few enough to be still in the processor's cache when they are used."""
MAX_HEADING = 300
MAX_COLUMNS = 2_000
DELIMITERS = ",;\t|"

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_AS_UTF8 = 'save it as "CSV UTF-8" and drop it again'

Row = list[str]

# One limit for the whole process, so it is set once and never back: readers run in many threads.
csv.field_size_limit(max(MAX_CELL, csv.field_size_limit()))


class Version(NamedTuple):
    """What tells one version of a file from the next."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> Version:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(slots=True)
class Batch:
    """Consecutive rows: where they begin, and whether a cell may hold the marker."""

    rows: list[Row]
    first_line: int
    marked: bool
    page: int
    """Which page they belong to."""

    def line_of(self, index: int) -> int:
        """The line on which row `index` begins; a row may span lines inside its quotes."""
        return self.first_line + sum(map(_lines_in, self.rows[:index]))


class Sheet:
    """One open CSV file: its headings, then its rows, batch by batch."""

    def __init__(self, file: str, blocks: Blocks, delimiter: str | None):
        self.file = file
        self._blocks = blocks
        # The csv module takes lines straight from the text layer: a step of ours for every line
        # would cost as much as parsing it, so the limits are kept on the blocks below.
        lines = TextIOWrapper(BufferedReader(blocks, BLOCK), encoding="utf-8-sig", newline="")
        first = next(lines, None)
        if first is None:
            raise BadResponse(f"{file} is empty: not even a line of headings; nothing was read")
        self.delimiter = delimiter or _detect(first)
        self._reader = csv.reader(chain((first,), lines), delimiter=self.delimiter, strict=True)
        self.headings = self._take(1)[0]
        self._check_headings(first)

    def batches(self, page_size: int) -> Iterator[Batch]:
        """The rows after the headings, in pages of `page_size`; blank lines are empty rows."""
        portions = [min(BATCH, page_size - start) for start in range(0, page_size, BATCH)]
        for page in count():
            self._blocks.begin_page()
            for portion in portions:
                line = self._reader.line_num + 1
                rows = self._take(portion)
                if not rows:
                    return
                yield Batch(rows, line, self._blocks.marked, page)

    def _take(self, number: int) -> list[Row]:
        """The next rows, so many if there are."""
        self._blocks.begin_batch()
        try:
            return list(islice(self._reader, number))
        except csv.Error as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: csv.Error) -> BadResponse:
        place = f"{self.file}, line {self._reader.line_num}"
        if "field limit" in str(error):
            return BadResponse(
                f"{place}: a cell of more than {MAX_CELL:,} characters; "
                "most likely a quote is never closed"
            )
        if "unexpected end of data" in str(error):
            return BadResponse(f"{place}: the file ends inside quotes; a quote is never closed")
        return BadResponse(
            f"{place}: this is not CSV ({error}); quote cells that hold quotes, and double those"
        )

    def _check_headings(self, first: str) -> None:
        lengths = [len(heading) for heading in self.headings]
        if not lengths or len(lengths) > MAX_COLUMNS or max(lengths) > MAX_HEADING:
            raise BadResponse(f"{self.file}: the first line is not a line of headings")
        other = _detect(first)
        if len(self.headings) == 1 and other != self.delimiter and _width(first, other) > 1:
            raise BadResponse(
                f'{self.file} has one column when split at "{self.delimiter}" '
                f'but {_width(first, other)} at "{other}"; repair the setting `delimiter`'
            )


class Blocks(RawIOBase):
    """The bytes of a file, block by block, within limits, with an eye on the clear marker.

    Whoever parses them is never more than the latest block behind.
    """

    def __init__(self, file: str, binary: BinaryIO, marker: str) -> None:
        super().__init__()
        self._file = file
        self._binary = binary
        self._marker = marker.encode()
        self._end = b""
        """The last bytes, in which a marker may have begun."""
        self._line = 0
        """How much of the present line was read."""
        self._page = 0
        self._latest_marked = False
        self.marked = False
        """Whether the marker may occur in the present batch; True wherever it does."""

    def begin_page(self) -> None:
        """What is read from now on counts for a new page."""
        self._page = 0

    def begin_batch(self) -> None:
        """What is read from now on belongs to a new batch, and so may the latest block."""
        self.marked = self._latest_marked

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        block = self._binary.read(len(view))
        view[: len(block)] = block
        self._measure(block)
        self._look_for_marker(block)
        return len(block)

    def _measure(self, block: bytes) -> None:
        broken = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line = len(block) - broken - 1 + (self._line if broken < 0 else 0)
        self._page += len(block)
        if self._line > MAX_LINE or self._page > MAX_PAGE:
            raise BadResponse(
                f"{self._file}: a line of more than {MAX_LINE:,} or a page of more than "
                f"{MAX_PAGE:,} bytes; set a smaller `page_size`, or close an open quote"
            )

    def _look_for_marker(self, block: bytes) -> None:
        seen = self._end + block
        self._latest_marked = self._marker in seen
        self.marked = self.marked or self._latest_marked
        self._end = seen[max(0, len(seen) - len(self._marker) + 1) :]


@contextmanager
def open_sheet(
    path: Path, delimiter: str | None, marker: str, seen: dict[Path, Version]
) -> Iterator[Sheet]:
    """The sheet in `path`, which must be the version that `seen` remembers, now and at the end."""
    with _open_regular(path) as binary:
        version = Version.of(os.fstat(binary.fileno()))
        if seen.setdefault(path, version) != version:
            raise _changed(path)
        _refuse_other_formats(path, binary)
        try:
            yield Sheet(path.name, Blocks(path.name, binary, marker), delimiter)
        except UnicodeDecodeError:
            raise _not_utf8(path) from None
        except OSError as error:
            raise _unavailable(path, error) from None
        if Version.of(os.fstat(binary.fileno())) != version:
            raise _changed(path)


def refuse_changed(path: Path, seen: Mapping[Path, Version]) -> None:
    """Raise BadResponse if the file in `path` is not the version that `seen` remembers any more."""
    try:
        found = os.lstat(path)
    except OSError as error:
        raise _unavailable(path, error) from None
    if Version.of(found) != seen[path]:
        raise _changed(path)


def _open_regular(path: Path) -> BinaryIO:
    """`path` opened for reading, if it is a regular file and nothing else.

    Looked at before it is opened, because opening a device may already do something; looked at
    again afterwards, because it may have been replaced in between.
    """
    try:
        _refuse_irregular(path, os.lstat(path))
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise _unavailable(path, error) from None
    try:
        _refuse_irregular(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb", buffering=1 << 18)
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_irregular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadResponse(
            f"{path.name} is not a regular file but a link, folder or device; it was not opened"
        )


def _refuse_other_formats(path: Path, binary: BinaryIO) -> None:
    start = binary.read(4096)
    binary.seek(0)
    if start.startswith(_UTF16):
        raise BadResponse(f"{path.name} is UTF-16; {_AS_UTF8}")
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadResponse(f"{path.name} is an Excel workbook or an archive, not CSV; {_AS_UTF8}")
    if start.count(0) * 4 > len(start):  # a stray NUL is only an unsafe character of a cell
        raise BadResponse(f"{path.name} is not text (NUL bytes, perhaps UTF-16); {_AS_UTF8}")


def _detect(header: str) -> str:
    """The delimiter that cuts the line of headings into most columns."""
    return max(DELIMITERS, key=lambda delimiter: _width(header, delimiter))


def _width(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error:
        return 0


def _lines_in(row: Row) -> int:
    """How many lines a row took: one, and one for each line break inside its cells."""
    return 1 + sum(len(_LINE_BREAK.findall(cell)) for cell in row if "\n" in cell or "\r" in cell)


def _not_utf8(path: Path) -> BadResponse:
    """The error for bytes that are not UTF-8; reads the file again to name the line."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with _open_regular(path) as binary:
        while chunk := binary.read(1 << 20):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                line += _breaks(error.object[: error.start])
                break
            line += _breaks(chunk)
    return BadResponse(f"{path.name}, line {line}: not UTF-8 (perhaps Windows-1252); {_AS_UTF8}")


def _breaks(data: bytes) -> int:
    return data.count(b"\n") or data.count(b"\r")


def _changed(path: Path) -> BadResponse:
    return BadResponse(
        f"{path.name} changed while it was being read; nothing is concluded from this read"
    )


def _unavailable(path: Path, error: Exception) -> ProviderUnavailable:
    reason = getattr(error, "strerror", None) or "invalid name"
    return ProviderUnavailable(f"cannot read {path.name}: {reason}")
