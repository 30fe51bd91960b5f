"""Raw spreadsheet items to records: pure functions of the bytes, whether fresh or stored.

A raw item is a JSON object of canonical heading to cell, null where the source clears a field.
Members that begin with `#` are not cells: the item's key, the keys of its client and site, and how
the sheet writes dates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec

from syncd.connectors.sheets.headings import COLUMNS, RECORDS, Column, Kind, column_of
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


def _meanings(yes: frozenset[str], no: frozenset[str]) -> dict[str, bool]:
    """What a word says, also in capitals, so that most need not be folded to be understood."""
    return {
        spelling: word in yes
        for word in yes | no
        for spelling in (word, word.capitalize(), word.upper())
        if fold(spelling) == word
    }


_FLAGS: dict[str, dict[str, bool]] = {
    "flag": _meanings(YES, NO),
    "unflag": _meanings(NO, YES),
    "status": _meanings(ACTIVE, INACTIVE),
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
    return _parse(raw, _ORGANIZATION)


def parse_location(raw: bytes) -> Sequence[Location | Reject]:
    """The location of one raw item, or why it cannot be read."""
    return _parse(raw, _LOCATION)


def parse_person(raw: bytes) -> Sequence[Person | Reject]:
    """The person of one raw item, or why it cannot be read."""
    return _parse(raw, _PERSON)


class _Grammar(NamedTuple):
    """What the cells of one kind mean, prepared for reading many."""

    kind: Kind
    texts: Mapping[str, str]
    """The columns of plain text, nearly all there are: heading to field."""
    column: Callable[[str], Column | None]
    make: Callable[[dict[str, Any]], Record]


def _grammar(kind: Kind) -> _Grammar:
    texts = {it.heading: it.field for it in COLUMNS[kind].values() if it.cell == "text"}
    column = lru_cache(maxsize=4096)(partial(column_of, kind))
    return _Grammar(kind, texts, column, RECORDS[kind].unchecked)


_ORGANIZATION, _LOCATION, _PERSON = map(_grammar, (Kind.CLIENT, Kind.SITE, Kind.USER))


@dataclass(slots=True)
class _Draft:
    """The members of a record while its cells are read."""

    month_first: bool
    values: dict[str, Any]
    clears: list[str]
    custom: dict[str, str | None]
    extra: dict[str, Any]
    bad: list[str]


def _parse(raw: bytes, grammar: _Grammar) -> Sequence[Any]:
    try:
        cells = _decode(raw)
    except (msgspec.DecodeError, ValueError):
        return [Reject(None, "unreadable_item", "the item is not a row of a spreadsheet")]
    key = cells.pop(KEY, None)
    if not key or len(key) > MAX_KEY:
        return [Reject(None, "missing_key", "the item has no key, or one that is too long")]
    draft = _Draft(MONTH_FIRST in cells, {"key": key}, [], {}, {}, [])
    _read_references(cells, draft, grammar.kind)
    _read_cells(cells, draft, grammar, str.strip if _is_plain(raw) else clean)
    if draft.bad:
        return [_bad_value(key, draft.bad)]
    if draft.extra and grammar.kind is Kind.USER:
        _read_identities(draft)
    return [_record(draft, grammar)]


def _is_plain(raw: bytes) -> bool:
    """Whether there is nothing in any cell for `clean` to remove but blanks at its ends.

    Control characters are escaped in JSON, all but DEL, so without escapes there are none.
    """
    return raw.isascii() and b"\\" not in raw and b"\x7f" not in raw


def _read_references(cells: dict[str, str | None], draft: _Draft, kind: Kind) -> None:
    client, site = cells.pop(CLIENT, None), cells.pop(SITE, None)
    cells.pop(MONTH_FIRST, None)
    if client and kind is not Kind.CLIENT:
        draft.values["organization"] = client
    if site and kind is Kind.USER:
        draft.values["location"] = site


def _read_cells(
    cells: Mapping[str, str | None], draft: _Draft, grammar: _Grammar, tidy: Callable[[str], str]
) -> None:
    """The hot loop: text cells, nearly all there are, are dealt with here and not in a call."""
    texts, values = grammar.texts, draft.values
    for heading, cell in cells.items():
        name = texts.get(heading)
        if name is None or cell is None:
            _read_special(grammar.column(heading), cell and tidy(cell), draft)
        elif name not in values and (text := tidy(cell)):
            values[name] = text


def _read_special(column: Column | None, text: str | None, draft: _Draft) -> None:
    """A cell that is not plain text; None clears the field, "" says nothing."""
    if column is None:
        draft.bad.append("")
    elif text == "":
        return
    elif column.cell == "custom":
        draft.custom[column.field] = text
    elif column.cell == "extra":
        draft.extra[column.field] = text
    elif column.cell == "list":
        draft.values[column.field] = _licenses(text or "")
    elif text is None:
        draft.clears.append(column.field)
    elif column.cell == "date":
        _read_date(column, text, draft)
    else:
        _read_flag(column, text, draft)


def _read_flag(column: Column, text: str, draft: _Draft) -> None:
    words = _FLAGS[column.cell]
    value = words.get(text)
    if value is None:
        value = words.get(fold(text))
    if value is None:
        draft.bad.append(column.heading)
    else:
        draft.values.setdefault(column.field, value)


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


def _record(draft: _Draft, grammar: _Grammar) -> Record:
    values = draft.values
    values["custom"], values["extra"] = draft.custom, draft.extra
    if draft.clears:
        unsaid = dict.fromkeys(name for name in draft.clears if name not in values)
        values["clears"] = tuple(unsaid)
    return grammar.make(values)


def _bad_value(key: str, headings: Sequence[str]) -> Reject:
    named = tuple(dict.fromkeys(heading for heading in headings if heading))
    listed = ", ".join(named) or "an unknown column"
    return Reject(key, "bad_value", f"cannot understand the value of {listed}", named)
