"""XLSX workbooks as rows of text, read as a stream: a million rows take as little memory as ten.

A library that loads a worksheet holds all of it, and one cell in the farthest corner makes it ask
for hundreds of gigabytes; here a row is gone when the next one comes, and strings that cells share
lie in a temporary file. Hidden worksheets are not read.
"""

from __future__ import annotations

import posixpath
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import IO, BinaryIO, NamedTuple
from xml.parsers import expat

from syncd.connectors.sheets.archives import UNPACKING, open_archive
from syncd.connectors.sheets.cells import TextOf, number_reader, unescape
from syncd.connectors.sheets.markup import (
    MAX_TOKEN,
    TAGS,
    End,
    Start,
    Text,
    bounded,
    ignore,
    local_name,
    make_parser,
    to_int,
    too_long,
)
from syncd.connectors.sheets.sheet import MAX_CELL
from syncd.errors import BadResponse

MAX_FORMATS = 70_000
MAX_CODE = 300
"""Characters of one number format."""

_BLOCK = 1 << 16
_REL_ID = tuple(
    f"{space} id"
    for space in (
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        "http://purl.oclc.org/ooxml/officeDocument/relationships",
    )
)
_NOT_ODS = "it is an OpenDocument spreadsheet; save it as XLSX and drop it again"


class Worksheet(NamedTuple):
    """A worksheet of a workbook: its name, whether people see it, and the part it is stored in."""

    name: str
    visible: bool
    part: str


class Workbook:
    """One open workbook. Raises BadResponse where it is none, or not whole."""

    def __init__(self, file: str, binary: BinaryIO) -> None:
        self.file = file
        self._archive = open_archive(file, binary)
        self._parts = {name.lower(): name for name in self._archive.namelist()}
        if "content.xml" in self._parts and "mimetype" in self._parts:
            raise BadResponse(f"{file} was not read: {_NOT_ODS}")
        self._path = self._target_of("_rels/.rels", "/officeDocument")
        self._related = self._relations(self._path)
        self._from_1904 = False
        self.worksheets = self._find_worksheets()

    def parse(self, part: str, start: Start, end: End, text: Text) -> Iterator[None]:
        """Parse a part, a block at each step."""
        parser = make_parser(start, end, text)
        done = 0
        with self._open(part) as stream:
            try:
                while block := stream.read(_BLOCK):
                    parser.Parse(block, False)  # the parser's own interface
                    done += len(block)
                    if done - parser.CurrentByteIndex > MAX_TOKEN:
                        raise self.broken("markup without an end")
                    yield
                parser.Parse(b"", True)
            except expat.ExpatError as error:
                raise self.broken(f"{part}, line {error.lineno}") from None
            except (LookupError, ValueError):  # an encoding that no workbook is in
                raise self.broken(f"the encoding of {part}") from None
            except UNPACKING:
                raise self.broken(part) from None
        yield

    def broken(self, where: str) -> BadResponse:
        """The error for a workbook that cannot be read."""
        return BadResponse(
            f"{self.file} is not a whole workbook ({where}); save it again and drop it again"
        )

    def _open(self, part: str) -> IO[bytes]:
        name = self._parts.get(part.lower())
        if name is None:
            raise self.broken(f"{part} is missing")
        try:
            return self._archive.open(name)
        except UNPACKING:
            raise self.broken(part) from None

    # -- the parts about the workbook --------------------------------------------------------------

    def _elements(self, part: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Names and attributes of the elements of a small part."""
        found: list[tuple[str, dict[str, str]]] = []
        collect = bounded(lambda *element: found.append(element), ignore)
        steps = self.parse(part, *collect, ignore)
        for _ in steps:
            yield from found
            found.clear()

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """For each id, the type of relation of a part and the part that it leads to."""
        folder, name = posixpath.split(part)
        listed = posixpath.join(folder, "_rels", f"{name}.rels")
        found = {}
        for tag, attributes in self._elements(listed):
            if local_name(tag) == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.join("/", folder, attributes.get("Target", ""))
                found[attributes.get("Id", "")] = (
                    attributes.get("Type", ""),
                    posixpath.normpath(target).lstrip("/"),
                )
        return found

    def _target_of(self, listed: str, kind: str) -> str:
        for tag, attributes in self._elements(listed):
            if local_name(tag) == "Relationship" and attributes.get("Type", "").endswith(kind):
                return posixpath.normpath(attributes.get("Target", "")).lstrip("/")
        raise self.broken("it names no workbook")

    def _part_of_type(self, kind: str) -> str | None:
        parts = (part for relation, part in self._related.values() if relation.endswith(kind))
        part = next(parts, None)
        return part if part and part.lower() in self._parts else None

    def _find_worksheets(self) -> list[Worksheet]:
        found = []
        for tag, attributes in self._elements(self._path):
            if local_name(tag) == "workbookPr":
                self._from_1904 = attributes.get("date1904") in ("1", "true")
            elif local_name(tag) == "sheet":
                relation = next((attributes[one] for one in _REL_ID if one in attributes), "")
                kind, part = self._related.get(relation, ("", ""))
                if kind.endswith("/worksheet"):
                    visible = attributes.get("state", "visible") == "visible"
                    found.append(Worksheet(attributes.get("name", ""), visible, part))
        return found

    @cached_property
    def formats(self) -> list[TextOf]:
        """How a number is read, by the style of its cell."""
        part = self._part_of_type("/styles")
        codes: dict[int, str] = {}
        numbers: list[int] = []
        inside = False
        for tag, attributes in self._elements(part) if part else ():
            match local_name(tag):
                case "numFmt":
                    code = attributes.get("formatCode", "")[:MAX_CODE]
                    codes[to_int(attributes.get("numFmtId"))] = code
                case "cellXfs":
                    inside = True
                case "cellStyles" | "dxfs":
                    inside = False
                case "xf" if inside and len(numbers) < MAX_FORMATS:
                    numbers.append(to_int(attributes.get("numFmtId")))
        made = {
            one: number_reader(one, codes.get(one, ""), from_1904=self._from_1904)
            for one in {0, *numbers}
        }
        return [made[one] for one in numbers] or [made[0]]

    @cached_property
    def strings(self) -> Strings:
        """What cells share."""
        strings = Strings()
        if part := self._part_of_type("/sharedStrings"):
            collector = _StringCollector(strings, self)
            collect = bounded(collector.start, collector.end)
            for _ in self.parse(part, *collect, collector.text):
                pass
        strings.close()
        return strings


class Strings:
    """Text that cells share, by number: in a file, because a sheet may share millions."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115  # closed with this object
        self._ends = array("Q", [0])
        self._bytes: mmap | bytes = b""

    def add(self, text: str) -> None:
        """The next string."""
        data = text.encode("utf-8", "replace")
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def close(self) -> None:
        """All are there."""
        self._file.flush()
        if self._ends[-1]:
            self._bytes = mmap(self._file.fileno(), 0, access=ACCESS_READ)
        self._file.close()

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self._ends) - 1:
            raise IndexError
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode()


class _StringCollector:
    """Takes the shared strings from their part; how they sound is not part of them."""

    def __init__(self, strings: Strings, workbook: Workbook) -> None:
        self._strings = strings
        self._workbook = workbook
        self._pieces: list[str] = []
        self._length = 0
        self._inside = False
        self._phonetic = False

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        match TAGS.get(name):
            case "si":
                self._pieces, self._length = [], 0
            case "t":
                self._inside = not self._phonetic
            case "rPh":
                self._phonetic = True

    def end(self, name: str) -> None:
        match TAGS.get(name):
            case "si":
                self._strings.add(unescape("".join(self._pieces)))
            case "t":
                self._inside = False
            case "rPh":
                self._phonetic = False

    def text(self, data: str) -> None:
        if self._inside:
            self._length += len(data)
            if self._length > MAX_CELL:
                raise too_long(self._workbook.file, "a cell")
            self._pieces.append(data)
