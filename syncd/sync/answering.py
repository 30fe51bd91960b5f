"""An answer for every row of a dropped file: its own columns, and what became of it.

A second file holds only the rows that failed, ready to be repaired and dropped again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from syncd.connectors.drops.config import Declared
from syncd.connectors.drops.reader import STREAMS, Assignment, FileReader, Line
from syncd.connectors.sheets.answer import COLUMNS
from syncd.connectors.sheets.writing import Writer, open_answer
from syncd.store import answers_rows
from syncd.store.answers_rows import FAILED, Fate
from syncd.store.dropped import DroppedFile
from syncd.sync.engine import Engine
from syncd.sync.step import Progress

PAGE = 2_000
"""Rows that are answered together."""

_SAYS_NOTHING = Fate("empty", "", "the row names no user; its client and site were read")


def write_answers(engine: Engine, file: DroppedFile, source: Path, into: Path) -> None:
    """Write `result` and, if any row failed, `failed` into a folder, in the format of the file."""
    reader = FileReader(Declared(**(file.declared or {})), Assignment(source, file.name))
    steps = engine.database.query(lambda conn: engine.runs.steps(conn, file.run))
    step = steps[0]
    assert step.partition is not None
    stream = STREAMS[reader.facts.kind]
    headings = reader.facts.columns
    failed: Writer | None = None
    done = 0
    with ExitStack() as files:

        def opened(what: str) -> Writer:
            path = into / f"{what}{source.suffix}"
            writer = files.enter_context(open_answer(path, reader.facts.shown))
            writer.write([[*headings, *COLUMNS]])
            return writer

        result = opened("result")
        for lines in _pages(reader.lines()):
            keys = list({one.key for one in lines if one.key})
            fates = answers_rows.fates(engine.database, step.id, step.partition, stream, keys)
            rows = list(_answered(file.name, lines, fates, len(headings)))
            result.write(row for row, _ in rows)
            done += len(rows)
            engine.report(Progress("answer", stream, done, None))
            if bad := [row for row, is_bad in rows if is_bad]:
                failed = failed or opened("failed")
                failed.write(bad)


def _pages(some: Iterator[list[Line]]) -> Iterator[list[Line]]:
    """So many rows at a time as one question to the database is worth."""
    page: list[Line] = []
    for lines in some:
        page += lines
        if len(page) >= PAGE:
            yield page
            page = []
    yield page


def _answered(
    file: str, lines: list[Line], fates: dict[str, Fate], width: int
) -> Iterator[tuple[list[str], bool]]:
    """The cells of each row with its answer, below the headings of that, and whether it failed."""
    for line in lines:
        fate = _fate(file, line, fates)
        cells = [*line.cells[:width], *[""] * (width - len(line.cells))]
        yield [*cells, *fate, *line.cells[width:]], fate.outcome == FAILED


def _fate(file: str, line: Line, fates: dict[str, Fate]) -> Fate:
    if line.key:
        return fates[line.key]
    if line.reject:
        where = (
            f"{file}, line {line.number}"  # under this it waits, and is known when it comes back
        )
        return Fate(FAILED, line.reject.reason, line.reject.message, f"({where})")
    return _SAYS_NOTHING
