"""What is read from XLSX workbooks: the same as another reader reads, and nothing from bombs."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import python_calamine
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.connectors.sheets.worksheets import WorkbookSheet
from syncd.errors import BadResponse

HEADINGS = ["login", "name", "client_name"]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
TYPES = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def workbook(fill: Callable[[Any], None], **options: Any) -> bytes:
    """A workbook that a library writes."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, **options}) as book:
        fill(book)
    return buffer.getvalue()


def sheet_of(*rows: list[Any], **options: Any) -> bytes:
    """A workbook with one worksheet of these rows under HEADINGS."""

    def fill(book: Any) -> None:
        sheet = book.add_worksheet("People")
        for number, row in enumerate([HEADINGS, *rows]):
            sheet.write_row(number, 0, row)

    return workbook(fill, **options)


def raw_workbook(rows: str, **parts: str) -> bytes:
    """A workbook of our own making, with this markup for its rows."""
    buffer = io.BytesIO()
    relation = '<Relationship Id="{}" Type="{}/{}" Target="{}"/>'
    relations = f'<Relationships xmlns="{TYPES}">{{}}</Relationships>'
    entries = {
        "_rels/.rels": relations.format(
            relation.format("r1", OFFICE, "officeDocument", "xl/workbook.xml")
        ),
        "xl/workbook.xml": (
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
            '<sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": relations.format(
            relation.format("r1", OFFICE, "worksheet", "worksheets/sheet1.xml")
        ),
        "xl/worksheets/sheet1.xml": (
            f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        ),
        **parts,
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def opened(data: bytes, wanted: str | None = None) -> WorkbookSheet:
    return WorkbookSheet("people.xlsx", io.BytesIO(data), wanted)


def rows_of(data: bytes, wanted: str | None = None) -> list[list[str]]:
    return [row for batch in opened(data, wanted).batches(1000) for row in batch.rows]


def text(*cells: str, row: int = 1) -> str:
    """The markup of a row of text."""
    inside = "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells)
    return f'<row r="{row}">{inside}</row>'


# -- values ----------------------------------------------------------------------------------------


def test_numbers_are_whole_and_truth_is_a_word() -> None:
    data = sheet_of([4711, 1.5, True], [4.4123e10, -3, False], [1e20, 0.1, "x"])
    assert rows_of(data) == [
        ["4711", "1.5", "TRUE"],
        ["44123000000", "-3", "FALSE"],
        ["1e+20", "0.1", "x"],
    ]


def test_leading_zeros_stay_where_they_are_text_or_a_format_shows_them() -> None:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADINGS)
        sheet.write_string(1, 0, "00123")
        sheet.write_number(1, 1, 123, book.add_format({"num_format": "00000"}))

    assert rows_of(workbook(fill)) == [["00123", "00123", ""]]


@pytest.mark.parametrize("base", [{}, {"date_1904": True}])
def test_dates_are_iso_dates_in_whatever_format_they_are_shown(base: dict[str, bool]) -> None:
    moments = [datetime(2027, 4, 3), datetime(2027, 4, 3, 16, 5), date(1999, 12, 31)]  # noqa: DTZ001

    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADINGS)
        for code in ("dd/mm/yy", 'd" of "mmmm yyyy', "[$-407]tt.MM.jjjj yyyy", 14):
            row = sheet.dim_rowmax + 1
            style = book.add_format({"num_format": code})
            for column, moment in enumerate(moments):
                sheet.write_datetime(row, column, moment, style)

    expected = ["2027-04-03", "2027-04-03T16:05:00", "1999-12-31"]
    assert rows_of(workbook(fill, **base)) == [expected] * 4


def test_a_colored_or_quoted_number_is_no_date() -> None:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADINGS)
        for column, code in enumerate(["[Red]0", '0" days"', "0_);\\d0"]):
            sheet.write_number(1, column, 7, book.add_format({"num_format": code}))

    assert rows_of(workbook(fill)) == [["7", "7", "7"]]


def test_a_formula_says_its_last_result_and_is_never_computed() -> None:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADINGS)
        sheet.write_formula(1, 0, '=A1&"x"', None, "loginx")
        sheet.write_formula(1, 1, "=1+1", None, 2)
        sheet.write_string(1, 2, "=cmd|' /C calc'!A0")

    assert rows_of(workbook(fill)) == [["loginx", "2", "=cmd|' /C calc'!A0"]]


def test_an_error_in_a_cell_is_blank_and_counted() -> None:
    data = raw_workbook(text("login", "name") + '<row r="2"><c t="e"><v>#N/A</v></c><c t="str">'
                        "<f>A1</f><v>Ada</v></c></row>")  # fmt: skip
    sheet = opened(data)
    assert [batch.rows for batch in sheet.batches(10)] == [[["", "Ada"]]]
    assert "1 cells hold an error" in sheet.notices[-1]


def test_rich_text_is_one_text_without_how_it_sounds() -> None:
    rich = "<c t='inlineStr'><is><r><t>山</t></r><r><t>田</t></r><rPh><t>やまだ</t></rPh></is></c>"
    data = raw_workbook(text("login") + f"<row>{rich}</row>{text('a_x000D_b', row=3)}")
    assert rows_of(data) == [["山田"], ["a\rb"]]


# -- rows ------------------------------------------------------------------------------------------


def test_rows_keep_their_numbers_over_blank_ones() -> None:
    data = raw_workbook(text("login", "name") + text("a", "Ada", row=5) + text("b", "Bo", row=9))
    batch = next(opened(data).batches(10))
    assert [batch.line_of(at) for at in range(2)] == [5, 9]
    assert batch.all_lines() == [5, 9]


def test_short_rows_are_filled_and_long_ones_stay_long() -> None:
    data = raw_workbook(text("login", "name") + text("a", row=2) + text("b", "Bo", "?", row=3))
    assert rows_of(data) == [["a", ""], ["b", "Bo", "?"]]


def test_hidden_worksheets_are_not_read_and_others_are_told() -> None:
    def fill(book: Any) -> None:
        for name in ("Secret", "Empty", "People", "Notes"):
            sheet = book.add_worksheet(name)
            if name != "Empty":
                sheet.write_row(0, 0, [f"{name} login", "name"])
                sheet.write_row(1, 0, [name, "x"])
        book.get_worksheet_by_name("People").activate()
        book.get_worksheet_by_name("Secret").hide()

    data = workbook(fill)
    assert rows_of(data) == [["People", "x"]]
    told = "\n".join(opened(data).notices)
    assert 'worksheet "People" is read; not read: Notes' in told
    assert "hidden worksheets are not read: Secret" in told
    assert rows_of(data, "notes") == [["Notes", "x"]]
    with pytest.raises(BadResponse, match=r'no worksheet "Other"; it has: Secret, Empty, People'):
        opened(data, "Other")


cells = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30),
    st.integers(-(10**14), 10**14),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.dates(date(1901, 1, 1), date(9999, 12, 31)),
)


@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8), st.booleans())
def test_what_is_read_is_what_another_reader_reads(rows: list[list[Any]], inline: bool) -> None:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADINGS)
        style = book.add_format({"num_format": "yyyy-mm-dd"})
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                if isinstance(cell, date):
                    sheet.write_datetime(number, column, cell, style)
                elif isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                else:
                    sheet.write(number, column, cell)

    data = workbook(fill, constant_memory=inline)
    book = python_calamine.load_workbook(io.BytesIO(data))
    referee = book.get_sheet_by_index(0).to_python(skip_empty_area=False)[1:]
    expected = [[_as_text(cell) for cell in row] for row in referee]
    assert rows_of(data) == [[*row, *[""] * (3 - len(row))] for row in expected if any(row)]


def _as_text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return cell.isoformat() if isinstance(cell, date | timedelta) else str(cell)


# -- what harms ------------------------------------------------------------------------------------


def _bomb(size: int) -> bytes:
    return raw_workbook("", **{"xl/media/x.xml": "0" * size})


def _lying() -> bytes:
    """An archive whose part is longer than it says."""
    data = bytearray(raw_workbook(text("login") + " " * 9000))
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02") + 4)
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    return bytes(data)


ENTITIES = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
HARMFUL = {
    "a part that grows": lambda: _bomb(60 << 20),
    "many parts": lambda: raw_workbook("", **{f"x{number}": "" for number in range(5_000)}),
    "a part that lies about its size": _lying,
    "a corner cell": lambda: raw_workbook(
        text("login") + '<row r="2"><c r="XFD2"><v>1</v></c></row>'
    ),
    "too far down": lambda: raw_workbook(text("login") + '<row r="9999999"><c><v>1</v></c></row>'),
    "rows backwards": lambda: raw_workbook(text("login", row=5) + text("a", row=2)),
    "cells backwards": lambda: raw_workbook(
        '<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>'
    ),
    "a million rows of nothing": lambda: raw_workbook("<row/>" * 1_100_000 + text("a", row=9)),
    "markup inside markup": lambda: raw_workbook("<a>" * 400_000),
    "one endless tag": lambda: raw_workbook("<row " + "a" * 20_000_000),
    "entities": lambda: raw_workbook(
        "", **{"xl/worksheets/sheet1.xml": f'{ENTITIES}<worksheet xmlns="{MAIN}">&b;</worksheet>'}
    ),
    "entities of a file": lambda: raw_workbook(
        "",
        **{
            "xl/workbook.xml": '<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
            f'<workbook xmlns="{MAIN}">&a;</workbook>'
        },
    ),
    "a string that is not there": lambda: raw_workbook('<row><c t="s"><v>7</v></c></row>'),
    "a style that is not there": lambda: raw_workbook('<row><c s="99"><v>7</v></c></row>'),
    "half a file": lambda: sheet_of(["a", "Ada", "A"])[:-300],
    "nothing but a beginning": lambda: b"PK\x03\x04",
    "not XML": lambda: raw_workbook("", **{"xl/workbook.xml": "{}"}),
    "an encoding that there is not": lambda: raw_workbook(
        "", **{"_rels/.rels": '<?xml version="1.0" encoding="UTF-4"?><a/>'}
    ),
    "an encoding of several bytes": lambda: raw_workbook(
        "", **{"xl/workbook.xml": '<?xml version="1.0" encoding="big5"?><a/>'}
    ),
    "a sheet that is missing": lambda: raw_workbook("", **{"xl/worksheets/sheet1.xml": ""}),
    "a part outside": lambda: raw_workbook(
        "",
        **{
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{TYPES}"><Relationship Id="r1" '
            f'Type="{OFFICE}/worksheet" Target="../../../../etc/passwd"/></Relationships>'
        },
    ),
    "an endless cell": lambda: raw_workbook(text("login") + text("ab" * 1_000_000, row=2)),
    "an OpenDocument sheet": lambda: raw_workbook(
        "", **{"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"}
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HARMFUL)
def test_what_harms_is_refused_at_once(what: str) -> None:
    data = HARMFUL[what]()
    began = time.process_time()
    with pytest.raises(BadResponse, match=r"people.xlsx|the file was not read"):
        rows_of(data)
    assert time.process_time() - began < 30, "a hang, not a slow computer"


def test_a_workbook_behind_a_password_is_told_so(tmp_path: Path) -> None:
    data = bytearray(sheet_of(["a", "Ada", "A"]))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(mark, at + 1)
    with pytest.raises(BadResponse, match="protected by a password"):
        rows_of(bytes(data))
