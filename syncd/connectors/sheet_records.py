"""Raw spreadsheet items to records: pure functions of the bytes, whether fresh or stored.

A raw item is a JSON object of canonical heading to cell, null where the source clears a field.
Members that begin with `#` are not cells: the item's key, the keys of its client and site, and how
the sheet writes dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec
from pydantic import ValidationError

from syncd.connectors.headings import COLUMNS, RECORDS, Column, Kind, column_of
from syncd.records import Identity, Location, Organization, Person, Record, Reject
from syncd.text import clean, fold

KEY, CLIENT, SITE, MONTH_FIRST = "#key", "#client", "#site", "#month_first"
MAX_KEY = 400

YES = frozenset(
    {
        "1",
        "true",
        "t",
        "yes",
        "y",
        "on",
        "x",
        "✓",
        "ja",
        "j",
        "wahr",
        "oui",
        "o",
        "vrai",
        "si",
        "sí",
        "s",
        "verdadero",
        "vero",
        "sim",
        "verdadeiro",
        "waar",
    }
)
NO = frozenset(
    {
        "0",
        "false",
        "f",
        "no",
        "n",
        "off",
        "nein",
        "falsch",
        "non",
        "faux",
        "falso",
        "não",
        "nao",
        "nee",
        "onwaar",
    }
)
ACTIVE = YES | {"active", "enabled", "current", "aktiv", "actif", "activo", "attivo", "actief"}
INACTIVE = NO | {
    "suspended",
    "inactive",
    "disabled",
    "blocked",
    "archived",
    "deleted",
    "inaktiv",
    "inactif",
}

_GOOGLE = "https://accounts.google.com"
_ENTRA = "https://login.microsoftonline.com/{tenant}/v2.0"
_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + _TIME, re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _TIME, re.ASCII)
_LICENSE_SEPARATORS = re.compile(r"[+;,]")

_decode = msgspec.json.Decoder(dict[str, str | None]).decode


def parse_organization(raw: bytes) -> Sequence[Organization | Reject]:
    """The organization of one raw item, or why it cannot be read."""
    return _parse(raw, Kind.CLIENT)


def parse_location(raw: bytes) -> Sequence[Location | Reject]:
    """The location of one raw item, or why it cannot be read."""
    return _parse(raw, Kind.SITE)


def parse_person(raw: bytes) -> Sequence[Person | Reject]:
    """The person of one raw item, or why it cannot be read."""
    return _parse(raw, Kind.USER)


@dataclass(slots=True)
class _Draft:
    """The members of a record while its cells are read."""

    month_first: bool
    values: dict[str, Any]
    clears: list[str] = field(default_factory=list)
    custom: dict[str, str | None] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)


def _parse(raw: bytes, kind: Kind) -> Sequence[Any]:
    try:
        cells = _decode(raw)
    except (msgspec.DecodeError, ValueError):
        return [Reject(None, "unreadable_item", "the item is not a row of a spreadsheet")]
    key = cells.pop(KEY, None)
    if not key or len(key) > MAX_KEY:
        return [Reject(None, "missing_key", "the item has no key, or one that is too long")]
    draft = _Draft(MONTH_FIRST in cells, {"key": key})
    _read_references(cells, draft, kind)
    _read_cells(cells, draft, kind)
    if draft.bad:
        return [_bad_value(key, draft.bad)]
    if kind is Kind.USER and draft.extra:
        _read_identities(draft)
    return [_record(draft, kind)]


def _read_references(cells: dict[str, str | None], draft: _Draft, kind: Kind) -> None:
    client, site = cells.pop(CLIENT, None), cells.pop(SITE, None)
    cells.pop(MONTH_FIRST, None)
    if kind is not Kind.CLIENT and client:
        draft.values["organization"] = client
    if kind is Kind.USER and site:
        draft.values["location"] = site


def _read_cells(cells: dict[str, str | None], draft: _Draft, kind: Kind) -> None:
    """The hot loop: text cells, nearly all there are, are dealt with here and not in a call."""
    known, values = COLUMNS[kind], draft.values
    for heading, cell in cells.items():
        column = known.get(heading) or column_of(kind, heading)
        if column is None:
            draft.bad.append("")
        elif cell is None:
            _clear(column, draft)
        elif text := clean(cell):
            if column.cell == "text":
                values.setdefault(column.field, text)
            else:
                _read_special(column, text, draft)


def _clear(column: Column, draft: _Draft) -> None:
    if column.cell == "custom":
        draft.custom[column.field] = None
    elif column.cell == "extra":
        draft.extra[column.field] = None
    else:
        draft.clears.append(column.field)


def _read_special(column: Column, text: str, draft: _Draft) -> None:
    if column.cell == "custom":
        draft.custom[column.field] = text
    elif column.cell == "extra":
        draft.extra[column.field] = text
    elif column.cell == "list":
        draft.values[column.field] = _licenses(text)
    elif column.cell == "date":
        _read_date(column, text, draft)
    else:
        _read_flag(column, text, draft)


def _read_flag(column: Column, text: str, draft: _Draft) -> None:
    word = fold(text)
    yes, no = (ACTIVE, INACTIVE) if column.cell == "status" else (YES, NO)
    if word not in yes and word not in no:
        draft.bad.append(column.heading)
    else:
        draft.values.setdefault(column.field, (word in yes) != (column.cell == "unflag"))


def _read_date(column: Column, text: str, draft: _Draft) -> None:
    try:
        day = _date(text, month_first=draft.month_first)
    except ValueError:
        draft.bad.append(column.heading)
    else:
        # Systems write "never" as the first or last day they know.
        if 1900 < day.year < 9999:
            draft.values[column.field] = day


def _date(text: str, *, month_first: bool) -> date:
    """ISO, or day and month in the declared order: 31/12/2026. Never guessed from the numbers."""
    if len(text) == 10 and text[4] == text[7] == "-":
        return date.fromisoformat(text)
    if found := _YEAR_FIRST.fullmatch(text):
        return date(int(found[1]), int(found[3]), int(found[4]))
    if found := _YEAR_LAST.fullmatch(text):
        first, second = int(found[1]), int(found[3])
        swap = month_first and found[2] != "."  # with points it is day first everywhere
        return date(int(found[4]), *((first, second) if swap else (second, first)))
    raise ValueError


def _licenses(text: str) -> tuple[str, ...]:
    """Names in one order, because exports list them in any; Microsoft 365 writes "Unlicensed"."""
    names = {name.strip() for name in _LICENSE_SEPARATORS.split(text)}
    return tuple(sorted(names - {"", "Unlicensed"}))


def _read_identities(draft: _Draft) -> None:
    """Only a complete identity is one: an object id means nothing without its tenant."""
    extra, found = draft.extra, []
    if (oid := extra.get("azureoid")) and (tenant := extra.get("azure_tenant_id")):
        found.append(Identity(_ENTRA.format(tenant=tenant.lower()), oid.lower()))
        del extra["azureoid"], extra["azure_tenant_id"]
    if google := extra.get("googleworkplace_id"):
        found.append(Identity(_GOOGLE, google))
        del extra["googleworkplace_id"]
    if okta := extra.get("oktaid"):
        found.append(Identity("okta", okta))
    if found:
        draft.values["identities"] = tuple(found)


def _record(draft: _Draft, kind: Kind) -> Record | Reject:
    # Given even when empty: pydantic would make deep copies of the defaults.
    values = {**draft.values, "custom": draft.custom, "extra": draft.extra}
    if draft.clears:
        unsaid = {name for name in draft.clears if name not in values}
        values["clears"] = tuple(name for name in dict.fromkeys(draft.clears) if name in unsaid)
    try:
        return RECORDS[kind].model_validate(values)
    except ValidationError as error:
        return _bad_value(values["key"], [str(it["loc"][0]) for it in error.errors() if it["loc"]])


def _bad_value(key: str, headings: Sequence[str]) -> Reject:
    named = tuple(dict.fromkeys(heading for heading in headings if heading))
    listed = ", ".join(named) or "an unknown column"
    return Reject(key, "bad_value", f"cannot understand the value of {listed}", named)
