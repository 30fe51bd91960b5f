"""A text file as batches of rows: decoded strictly, cut into cells, within limits.

Ending normally promises that the whole file was read; everything else raises a ProviderError that
names the file, the line where there is one, and what to do.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import BufferedIOBase, RawIOBase, TextIOWrapper
from itertools import chain, count, islice
from typing import BinaryIO

from syncd.connectors.sheets.encodings import AsUtf8, Encoding
from syncd.connectors.sheets.sheet import (
    BATCH,
    MAX_CELL,
    MAX_COLUMNS,
    MAX_HEADING,
    Batch,
    Reading,
    Row,
)
from syncd.errors import BadResponse

MAX_LINE = 4 * MAX_CELL
"""Bytes in one line, enough for any cell of that length; give or take a block."""
MAX_PAGE = 16 * MAX_LINE
"""Bytes in the rows of one page: what bounds the memory, whatever a file holds."""
BLOCK = 1 << 16
DELIMITERS = ",;\t|"
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

_SAYS_DELIMITER = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""How spreadsheet programs are told the delimiter, on a line of its own."""
_BLANK_LINES = 20
"""So many blank lines may stand before the headings."""

# One limit for the whole process, so it is set once and never back: readers run in many threads.
csv.field_size_limit(max(MAX_CELL, csv.field_size_limit()))


class TextSheet:
    """One open CSV file: its headings, then its rows, batch by batch."""

    def __init__(self, file: str, binary: BinaryIO, encoding: Encoding, reading: Reading) -> None:
        self.file = file
        source: BinaryIO | RawIOBase = binary
        codec = "utf-8-sig" if encoding.is_utf8 else encoding.codec
        if encoding.is_wide:  # where a byte alone is neither a line break nor a marker
            source, codec = AsUtf8(binary, encoding.codec), "utf-8-sig"
        self._blocks = Blocks(file, source, _marker(reading.clear, codec))
        # The csv module takes lines straight from the text layer: a step of ours for every line
        # would cost as much as parsing it, so the limits are kept on the blocks below.
        lines = TextIOWrapper(self._blocks, encoding=codec, newline="")  # type: ignore[type-var]  # without a name
        first, said = self._first_line(lines)
        self.delimiter = reading.delimiter or said or _detect(first)
        self._reader = csv.reader(chain((first,), lines), delimiter=self.delimiter, strict=True)
        self.headings = self._take(1)[0]
        self._check_headings(first)
        delimiter = DELIMITER_NAMES.get(self.delimiter, self.delimiter)
        self.shown = {"format": "CSV", "encoding": encoding.shown, "delimiter": delimiter}
        self.unread: list[str] = []
        self.notices = [_of_guess(file, encoding)] if encoding.guessed else []

    def _first_line(self, lines: Iterator[str]) -> tuple[str, str | None]:
        """The line of headings, and the delimiter that a line before it names."""
        said, self._skipped = None, 0
        for line in islice(lines, _BLANK_LINES):
            if line.strip() and not (named := _SAYS_DELIMITER.fullmatch(line)):
                return line, said
            said = named[1] if line.strip() and named else said
            self._skipped += 1
        raise BadResponse(f"{self.file} is empty: not even a line of headings; nothing was read")

    def batches(self, page_size: int) -> Iterator[Batch]:
        """The rows after the headings, in pages of `page_size`; blank lines are empty rows."""
        portions = [min(BATCH, page_size - start) for start in range(0, page_size, BATCH)]
        last: Row = []
        for page in count():
            self._blocks.begin_page()
            for portion in portions:
                line = self._line + 1
                rows = self._take(portion)
                if not rows:
                    self._refuse_cut_off(last)
                    return
                last = rows[-1]
                yield Batch(rows, line, self._blocks.marked, page)

    @property
    def _line(self) -> int:
        return self._reader.line_num + self._skipped

    def _refuse_cut_off(self, last: Row) -> None:
        """A file that ends in the middle of a row is not whole, and who is missing from it is not
        gone.
        """
        if 0 < len(last) < len(self.headings) and not self._blocks.ends_with_break:
            raise BadResponse(
                f"{self.file}, line {self._line}: the file ends in the middle of a row, so it is "
                "not whole; nothing of it is used: drop it again when it is"
            )

    def _take(self, number: int) -> list[Row]:
        """The next rows, so many if there are."""
        self._blocks.begin_batch()
        try:
            return list(islice(self._reader, number))
        except csv.Error as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: csv.Error) -> BadResponse:
        place = f"{self.file}, line {self._line}"
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


class Blocks(BufferedIOBase):
    """The bytes of a file, block by block, within limits, with an eye on the clear marker.

    Whoever parses them is never more than the latest block behind: blocks are handed on whole.
    """

    def __init__(self, file: str, binary: BinaryIO | RawIOBase, marker: bytes | None) -> None:
        super().__init__()
        self._file = file
        self._binary = binary
        self._marker = marker
        self._end = b""
        """The last bytes, in which a marker may have begun."""
        self._line = 0
        """How much of the present line was read."""
        self._page = 0
        self._latest_marked = False
        self.ends_with_break = True
        """Whether what was read so far ends with a line break."""
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

    def read1(self, _size: int = -1, /) -> bytes:
        """The next block: the text layer, which is the only one to ask, takes it at any size."""
        block = self._binary.read(BLOCK) or b""
        if block:
            self.ends_with_break = block.endswith((b"\n", b"\r"))
        self._measure(block)
        self._look_for_marker(block)
        return block

    def _measure(self, block: bytes) -> None:
        newline = block.rfind(b"\n")
        broken = max(newline, block.rfind(b"\r", newline + 1))
        self._line = len(block) - broken - 1 + (self._line if broken < 0 else 0)
        self._page += len(block)
        if self._line > MAX_LINE or self._page > MAX_PAGE:
            raise BadResponse(
                f"{self._file}: a line of more than {MAX_LINE:,} or a page of more than "
                f"{MAX_PAGE:,} bytes; set a smaller `page_size`, or close an open quote"
            )

    def _look_for_marker(self, block: bytes) -> None:
        if self._marker is None:
            return
        begun = len(self._marker) - 1  # so much of one may stand at the end of a block
        seam = self._end + block[:begun]
        # Most blocks do not even hold its first byte, which is found much sooner.
        inside = self._marker[:1] in block and self._marker in block
        self._latest_marked = inside or self._marker in seam
        self.marked = self.marked or self._latest_marked
        tail = self._end + block[max(0, len(block) - begun) :]
        self._end = tail[max(0, len(tail) - begun) :]


def _marker(text: str, codec: str) -> bytes | None:
    """The bytes of the marker; None where it cannot occur."""
    try:
        return text.encode(codec.removesuffix("-sig"))
    except UnicodeEncodeError:
        return None


def _of_guess(file: str, encoding: Encoding) -> str:
    return (
        f"{file} was read as {encoding.shown}, which is a guess; if names look wrong, set "
        '`encoding`, or save it as "CSV UTF-8"'
    )


def _detect(header: str) -> str:
    """The delimiter that cuts the line of headings into most columns."""
    return max(DELIMITERS, key=lambda delimiter: _width(header, delimiter))


def _width(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error:
        return 0
