"""Any directory, written as any template, in any encoding and format, reads back equal."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.connectors.base import DEFAULT_PARTITION
from syncd.connectors.drops.config import Declared
from syncd.connectors.drops.reader import STREAMS, Assignment, FileReader
from syncd.connectors.sheets import templates
from syncd.connectors.sheets.answer import COLUMNS, escape, unescape
from syncd.connectors.sheets.writing import open_writer
from tests.properties.conftest import EXAMPLES

WESTERN = "abcXYZ 019.,;|\t'\"=+-@äöüßéèñçøåÉ€“”"
EVERYTHING = WESTERN + "łőжЖ東京ابجé\u0301😀"
ENCODINGS = {
    "utf-8": EVERYTHING,
    "utf-8-sig": EVERYTHING,
    "utf-16": EVERYTHING,
    "utf-16-be": EVERYTHING,
    "utf-32": EVERYTHING,
    "cp1252": WESTERN,
}
FLAGS = {"inactive", "is_vip", "isimportantcontact", "isserviceaccount", "neversendemails",
         "excludefrominvoicesync", "isinvoicesite"}  # fmt: skip
DATES = {"contract_end_date"}


@st.composite
def directories(draw: st.DrawFn) -> tuple[str, str, str, list[list[str]]]:
    """A template, an encoding (or "xlsx"), a delimiter, and rows under the template's headings."""
    what = draw(st.sampled_from(sorted(templates.HEADINGS)))
    encoding = draw(st.sampled_from([*ENCODINGS, "xlsx"]))
    texts = st.text(st.sampled_from(ENCODINGS.get(encoding, EVERYTHING)), max_size=12)
    values = {
        **dict.fromkeys(FLAGS, st.sampled_from(["yes", "no", "", "TRUE", "0"])),
        **dict.fromkeys(DATES, st.dates().map(str)),
    }
    headings = templates.HEADINGS[what]
    count = draw(st.integers(1, 4))
    rows = []
    for number in range(count):
        row = [draw(values.get(heading, texts)) for heading in headings]
        for at, heading in enumerate(headings):
            if heading in ("name", "client_name", "emailaddress"):
                row[at] = f"k{number}{row[at]}"
        rows.append(row)
    return what, encoding, draw(st.sampled_from(",;\t|")), rows


def records(path: Path, what: str, pinned: str | None) -> Any:
    """What is read: the records of every stream, or why a row is none."""
    declared = Declared(contents="full", key=("emailaddress",), encoding=pinned)
    reader = FileReader(declared, Assignment(path, path.name), 2)
    reader.check()
    found: dict[str, Any] = {}
    for stream in reader.streams():
        for page in reader.read(stream, DEFAULT_PARTITION, None):
            for item in page.items:
                found[stream.name, item.key] = stream.parse(item.raw)
            assert not page.rejects
    assert any(name == STREAMS[reader.facts.kind] for name, _ in found)
    return found


@settings(max_examples=EXAMPLES or 60, deadline=None)
@given(directories())
def test_any_directory_reads_back_equal(drawn: tuple[str, str, str, list[list[str]]]) -> None:
    what, encoding, delimiter, rows = drawn
    table = [list(templates.HEADINGS[what]), *rows]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.csv")
        with plain.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
        other = Path(folder, "other.xlsx" if encoding == "xlsx" else "other.csv")
        if encoding == "xlsx":
            with open_writer(other, {}) as writer:
                writer.write(table)
        else:
            with other.open("w", encoding=encoding, newline="") as file:
                csv.writer(file, delimiter=delimiter).writerows(table)
        # An older encoding is only ever guessed, and so few letters are too few to guess by.
        pinned = encoding if encoding in ("cp1252", "utf-16-be") else None
        assert records(other, what, pinned) == records(plain, what, None)


@settings(max_examples=EXAMPLES or 60, deadline=None)
@given(st.text(max_size=20))
def test_what_is_escaped_for_spreadsheets_comes_back_as_it_was(text: str) -> None:
    escaped = escape(text)
    assert unescape(escaped) == text
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r"))


@settings(max_examples=EXAMPLES or 60, deadline=None)
@given(directories())
def test_an_answer_that_is_dropped_again_says_what_its_file_said(
    drawn: tuple[str, str, str, list[list[str]]],
) -> None:
    from syncd.connectors.sheets.writing import open_answer

    what, encoding, delimiter, rows = drawn
    headings = list(templates.HEADINGS[what])
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.csv")
        with plain.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([headings, *rows])
        answer = Path(folder, "answer.xlsx" if encoding == "xlsx" else "answer.csv")
        names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
        with open_answer(answer, {"delimiter": names[delimiter]}) as writer:
            writer.write([[*headings, *COLUMNS]])
            writer.write([[*row, "failed", "=x", "+y", "-z"] for row in rows])
        assert records(answer, what, None) == records(plain, what, None)
