"""The rows of a sheet as raw items: what identifies each and which cells it holds, or its fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from syncd.connectors.base import RawItem
from syncd.connectors.headings import Kind
from syncd.connectors.sheet_layout import Cells, Layout, client_key, join_key, picker, site_key
from syncd.connectors.sheet_records import CLIENT, KEY, MAX_KEY, MONTH_FIRST, SITE
from syncd.connectors.sheets import Batch
from syncd.errors import BadResponse
from syncd.records import Reject
from syncd.text import fold


class Keys(NamedTuple):
    """Keys of an item, of its client and of its site; "" for none."""

    item: str
    client: str
    site: str


_encode = msgspec.json.Encoder().encode


class RowReader:
    """Makes items of one kind from the rows of one sheet: compiled once, run for every row.

    key: headings that identify a user. client: of everybody, for want of a client column.
    may_be_blank: whether a row of users may name no user, but only a client and a site.
    Raises BadResponse where the sheet lacks a column that is needed.
    """

    def __init__(
        self,
        layout: Layout,
        kind: Kind,
        *,
        key: Sequence[str],
        client: str | None,
        month_first: bool,
        may_be_blank: bool,
    ) -> None:
        self._width = layout.width
        self._pick = layout.pick(kind)
        self._may_be_blank = may_be_blank and kind is Kind.USER
        self._needs, self._identify = _identification(layout, kind, key, client)
        dated = any(column.cell == "date" for column in layout.places[kind])
        self._constants = ("yes",) if dated and month_first else ()
        marks = (MONTH_FIRST,) if self._constants else ()
        self._item = _item_type((KEY, CLIENT, SITE, *marks, *layout.names(kind)))

    def items(self, rows: Sequence[Cells]) -> tuple[list[RawItem], list[int]]:
        """The items of `rows`, and the indexes of rows that are none. The reader's hot loop."""
        width, constants, make = self._width, self._constants, self._item
        pick, identify = self._pick, self._identify
        items: list[RawItem] = []
        odd: list[int] = []
        for index, row in enumerate(rows):
            if len(row) == width:
                keys = identify(row)
                if 0 < len(keys[0]) <= MAX_KEY:
                    item = make(*keys, *constants, *pick(row))
                    items.append(RawItem(keys[0], _encode(item)))
                    continue
            odd.append(index)
        return items, odd

    def reject(self, batch: Batch, index: int) -> Reject | None:
        """Why a row is no item; None for one that says nothing, which is no fault.

        Without a key on purpose: in a row with too few or too many cells nobody can tell which
        cell is the key, and a guess would let the person whom the row means pass for absent.
        """
        row = batch.rows[index]
        if _blank(row):
            return None
        where = f"line {batch.line_of(index)}"
        if len(row) != self._width:
            message = f"{len(row)} cells where the line of headings has {self._width}"
            return Reject(None, "ragged_row", message, where=where)
        if self._may_be_blank and _blank(self._pick(row)):
            return None
        if len(self._identify(row)[0]) > MAX_KEY:
            message = f"the key ({self._needs}) is longer than {MAX_KEY} characters"
            return Reject(None, "long_key", message, where=where)
        return Reject(None, "missing_key", f"nothing in {self._needs}", where=where)


def _item_type(names: Sequence[str]) -> Callable[..., msgspec.Struct]:
    """A JSON object with these members, in this order, without those that are "".

    A struct, because making and encoding one takes less than half the time of a dict.
    """
    members = {f"member{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct(
        "Item",
        [(member, str | None, "") for member in members],
        rename=members,
        omit_defaults=True,
        gc=False,
    )


Identify = Callable[[Cells], tuple[str, str, str]]
"""From a row to its Keys; a bare tuple, because this runs for every row."""


def _identification(
    layout: Layout, kind: Kind, key: Sequence[str], client: str | None
) -> tuple[str, Identify]:
    """The columns that identify an item, in words, and the function that reads them."""
    if kind is Kind.USER:
        positions = tuple(layout.position_of_key(heading) for heading in key)
        needs = ", ".join(layout.headings[position] for position in positions)
        return needs, _user_keys(layout, positions, client)
    name = layout.position(kind, "name")
    if name is None:
        raise BadResponse(
            f"{layout.file} has no column with the {kind}'s name; "
            f"its columns are: {', '.join(layout.headings)}"
        )
    if kind is Kind.SITE:
        return f"{layout.headings[name]} and client", _site_keys(layout, name, client)
    at = name
    return layout.headings[at], lambda row: (client_key(row[at] or ""), "", "")


def _site_keys(layout: Layout, name: int, client: str | None) -> Identify:
    if layout.position(Kind.CLIENT, "name") is None and not client:
        raise BadResponse(
            f"{layout.file} has no client column, so nobody knows whose sites these are; "
            "add one, or set `client`"
        )
    client_of = _client_of(layout, client)

    def identify(row: Cells) -> tuple[str, str, str]:
        owner = client_of(row)
        return site_key(owner, row[name] or ""), owner, ""

    return identify


def _user_keys(layout: Layout, positions: tuple[int, ...], client: str | None) -> Identify:
    key = _single_key(positions[0]) if len(positions) == 1 else _composite_key(positions)
    client_of = _client_of(layout, client)
    site = layout.position(Kind.SITE, "name")
    if site is None:
        return lambda row: (key(row), client_of(row), "")
    at = site

    def identify(row: Cells) -> tuple[str, str, str]:
        owner = client_of(row)
        return key(row), owner, site_key(owner, row[at] or "")

    return identify


def _client_of(layout: Layout, client: str | None) -> Callable[[Cells], str]:
    position = layout.position(Kind.CLIENT, "name")
    if position is None:
        constant = client_key(client or "")
        return lambda _row: constant
    at = position
    return lambda row: client_key(row[at] or "")


def _single_key(position: int) -> Callable[[Cells], str]:
    return lambda row: fold(row[position] or "")


def _composite_key(positions: tuple[int, ...]) -> Callable[[Cells], str]:
    """Of all parts or nothing: with one part blank, two people could share what is left."""
    pick = picker(positions)

    def key(row: Cells) -> str:
        parts = [fold(cell or "") for cell in pick(row)]
        return join_key(parts) if all(parts) else ""

    return key


def _blank(cells: Cells) -> bool:
    return not any((cell or "").strip() for cell in cells)
