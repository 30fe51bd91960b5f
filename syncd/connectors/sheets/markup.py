"""The markup inside a workbook: parsed as a stream, within limits, and never allowed to grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from syncd.connectors.sheets.sheet import MAX_CELL
from syncd.errors import BadResponse

MAX_DEPTH = 60
MAX_TOKEN = 8 << 20
"""Bytes of markup that belong together."""

_MAIN = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
SPACES = (
    *_MAIN,
    "http://schemas.openxmlformats.org/package/2006/relationships",
)

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


def make_parser(start: Start, end: End, text: Text) -> Any:
    """A parser that calls these for elements and text, and refuses definitions."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse_definitions
    return parser


def bounded(start: Start, end: End) -> tuple[Start, End]:
    """The callbacks, for markup that is not nested too deeply."""
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise too_deep()
        start(name, attributes)

    def finish(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(name)

    return begin, finish


def too_deep() -> BadResponse:
    """The error for markup that is nested as in no workbook."""
    return BadResponse("the file was not read: its markup is nested as in no workbook")


def _refuse_definitions(*_declared: object) -> None:
    """No workbook defines entities; whoever does wants them to grow."""
    raise BadResponse("the file was not read: its markup defines entities, as no workbook does")


def ignore(_said: str) -> None:
    """Not of interest."""


TAGS = {
    f"{space} {tag}": tag for space in _MAIN for tag in ("row", "c", "v", "is", "t", "rPh", "si")
}


def local_name(name: str) -> str:
    """The name of an element of a workbook; "" for any other."""
    space, _, local = name.rpartition(" ")
    return local if space in SPACES else ""


def to_int(text: str | None) -> int:
    """A number of an attribute; 0 where it is none."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0


def too_long(file: str, what: str) -> BadResponse:
    """The error for text that no cell holds."""
    return BadResponse(f"{file}: {what} of more than {MAX_CELL:,} characters")
