"""What would be read from a file, and what refused, before anybody drops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from syncd.connectors.base import DEFAULT_PARTITION
from syncd.connectors.drops.config import Declared
from syncd.connectors.drops.reader import STREAMS, Assignment, FileReader, kind_by, reading_of
from syncd.connectors.sheets.answer import COLUMNS
from syncd.connectors.sheets.exports import recognize
from syncd.connectors.sheets.files import open_sheet
from syncd.connectors.sheets.headings import (
    Kind,
    looks_secret,
    meaning,
    near_miss,
    overridden,
    squash,
)
from syncd.errors import ProviderError
from syncd.records import Reject

MAX_ROWS = 200_000
"""Rows that are looked at; more would take too long for a look."""

_USUAL_KEYS = ("employee_id", "third_party_id", "emailaddress", "login")


class HeadingTold(NamedTuple):
    """One column: its heading, the canonical heading it means, the field, and what else to know."""

    heading: str
    means: str | None
    field: str | None
    note: str | None


@dataclass(slots=True)
class Inspection:
    """Everything that a look at a file tells."""

    file: str
    shown: dict[str, str] = field(default_factory=dict)
    """Format, encoding, delimiter or worksheet, and the tool that exported it."""
    kind: str | None = None
    contents: str | None = None
    key: list[str] = field(default_factory=list)
    headings: list[HeadingTold] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    """The first rows, as they would be read."""
    rows: int = 0
    more: bool = False
    """Whether there are rows that were not looked at."""
    notices: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why the file as a whole would be refused."""
    rejects: dict[str, int] = field(default_factory=dict)
    """Rows that would be refused, by reason code."""
    examples: list[str] = field(default_factory=list)
    """The first of them, and why."""


def inspect(path: Path, declared: Declared, first: int = 5) -> Inspection:
    """Look at a file as it would be read with these declarations."""
    told = Inspection(path.name, contents=declared.contents, key=list(declared.key or ()))
    kind = _look_at_headings(told, path, declared)
    if kind is None:
        return told
    assumed = _assumed(told, path, declared, kind)
    try:
        reader = FileReader(assumed, Assignment(path, path.name))
        if assumed.key == declared.key:
            told.key = list(reader.facts.key)
        reader.check()
        _look_at_rows(told, reader, kind, first)
    except ProviderError as error:
        told.refused.append(str(error))
    return told


def _assumed(told: Inspection, path: Path, declared: Declared, kind: Kind) -> Declared:
    """What is declared, with something for what nobody said, so that the rows can be shown."""
    said = declared.said()
    if declared.contents is None:
        said["contents"] = "changes"
        told.refused.append(
            f"nobody said whether {path.name} is a full list or changes only: set `contents`"
        )
    if kind is Kind.USER and not declared.key and "export" not in told.shown:
        present = {one.means: one.heading for one in told.headings}
        if found := next((present[one] for one in _USUAL_KEYS if one in present), None):
            said["key"] = found
            told.refused.append(
                f'nobody said what identifies a user for ever: set `key`, perhaps to "{found}"'
            )
    return Declared(**said)


def _look_at_headings(told: Inspection, path: Path, declared: Declared) -> Kind | None:
    try:
        with open_sheet(path, reading_of(declared), {}) as sheet:
            headings, told.shown = list(sheet.headings), dict(sheet.shown)
            told.notices += sheet.notices
    except ProviderError as error:
        told.refused.append(str(error))
        return None
    export = recognize(headings)
    if export:
        told.shown["export"] = export.tool
    kind = kind_by(declared, headings, export)
    unused = export.unused if export else frozenset()
    told.headings = [_told(one, kind or Kind.USER, declared, unused) for one in headings]
    if kind is None:
        told.refused.append("its headings do not tell what its rows are: set `kind`, or `key`")
        return None
    told.kind = f"{kind}s"
    return kind


def _told(heading: str, kind: Kind, declared: Declared, unused: frozenset[str]) -> HeadingTold:
    target = overridden(heading, declared.headings or {})
    if heading in COLUMNS:
        return HeadingTold(heading, None, None, "an answer of syncd, left out")
    if looks_secret(heading):
        return HeadingTold(heading, None, None, "looks like a secret, never read")
    if target == "" or squash(heading) in unused:
        return HeadingTold(heading, None, None, "left out")
    if found := meaning(target, kind):
        owner = f"{found.kind}." if found.kind is not kind else ""
        return HeadingTold(heading, found.label(kind), owner + found.column.field, None)
    near = near_miss(heading, kind)
    hint = f'; did you mean "{near}"?' if near else ""
    return HeadingTold(heading, None, None, f"not known, not read{hint}")


def _look_at_rows(told: Inspection, reader: FileReader, kind: Kind, first: int) -> None:
    stream = next(one for one in reader.streams() if one.name == STREAMS[kind])
    codes: Counter[str] = Counter()
    for page in reader.read(stream, DEFAULT_PARTITION, None):
        told.notices += [one for one in page.notices if one not in told.notices]
        told.rows += len(page.items) + len(page.rejects)
        _count(told, codes, page.rejects)
        for item in page.items:
            records = stream.parse(item.raw)
            rejected = [one for one in records if isinstance(one, Reject)]
            _count(told, codes, [one._replace(key=item.key) for one in rejected])
            if len(told.records) < first:
                told.records += [
                    one.model_dump(exclude_defaults=True, mode="json")
                    for one in islice(records, 1)
                    if not isinstance(one, Reject)
                ]
        if told.rows >= MAX_ROWS:
            told.more = True
            break
    told.rejects = dict(codes)


def _count(told: Inspection, codes: Counter[str], rejects: Sequence[Reject]) -> None:
    for reject in rejects:
        codes[reject.reason] += 1
        if len(told.examples) < 10:
            place = reject.where or reject.key or ""
            told.examples.append(f"{place}: {reject.message}")
