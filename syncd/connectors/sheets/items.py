"""The rows of a sheet as raw items: what identifies each and which cells it holds, or its fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import msgspec

from syncd.connectors.base import RawItem
from syncd.connectors.sheets.headings import Kind
from syncd.connectors.sheets.layout import (
    Cells,
    Layout,
    Pick,
    client_key,
    join_key,
    picker,
    site_key,
)
from syncd.connectors.sheets.records import CLIENT, KEY, MAX_KEY, MONTH_FIRST, SITE
from syncd.connectors.sheets.sheet import Batch
from syncd.errors import BadResponse
from syncd.records import Reject
from syncd.text import fold, fold_all

_encode_lines = msgspec.json.Encoder().encode_lines
# As RawItem(...), without the step in Python that every named tuple takes to be made.
_raw_item: Callable[[tuple[str, bytes]], RawItem] = partial(tuple.__new__, RawItem)

KeysOf = Callable[[Sequence[Cells]], list[str]]
"""From rows to the keys of their items."""
Links = Callable[[tuple[str | None, ...]], tuple[str, ...]]
"""From a row's client and site cells to the members of the item that follow its key."""


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
        self._needs, self._keys = _identification(layout, kind, key, client)
        dated = any(column.cell == "date" for column in layout.places[kind])
        marks = (MONTH_FIRST,) if dated and month_first else ()
        self._mention, self._links = _links(layout, kind, client, ("yes",) * len(marks))
        self._item = _item_type((KEY, CLIENT, SITE, *marks, *layout.names(kind)))

    def items(self, rows: Sequence[Cells]) -> tuple[list[RawItem], list[int]]:
        """The items of `rows`, and the indexes of rows that are none. The reader's hot loop."""
        links, make = self._links, self._item
        regular, odd = self._regular(rows)
        keys = self._keys(regular)
        if not all(keys) or max(map(len, keys), default=0) > MAX_KEY:
            usable = {at for at, key in enumerate(keys) if 0 < len(key) <= MAX_KEY}
            places = [at for at, row in enumerate(rows) if len(row) == self._width]
            odd += [place for at, place in enumerate(places) if at not in usable]
            keys = [keys[at] for at in sorted(usable)]
            regular = [regular[at] for at in sorted(usable)]
        cells = zip(keys, map(self._mention, regular), map(self._pick, regular), strict=True)
        made = [make(key, *links(mentioned), *picked) for key, mentioned, picked in cells]
        raws = _encode_lines(made).split(b"\n")  # one call for many; JSON holds no line break
        return list(map(_raw_item, zip(keys, raws, strict=False))), sorted(odd)

    def _regular(self, rows: Sequence[Cells]) -> tuple[Sequence[Cells], list[int]]:
        """The rows of the right width, and the indexes of the others."""
        if set(map(len, rows)) <= {self._width}:
            return rows, []
        odd = [at for at, row in enumerate(rows) if len(row) != self._width]
        return [row for row in rows if len(row) == self._width], odd

    def keys(self, rows: Sequence[Cells]) -> list[str]:
        """The key of each row; "" for a row that is no item."""
        regular, odd = self._regular(rows)
        keys = iter(self._keys(regular))
        none = set(odd)
        found = ["" if at in none else next(keys) for at in range(len(rows))]
        return [key if len(key) <= MAX_KEY else "" for key in found]

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
        if len(self._keys([row])[0]) > MAX_KEY:
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


def _identification(
    layout: Layout, kind: Kind, key: Sequence[str], client: str | None
) -> tuple[str, KeysOf]:
    """The columns that identify an item, in words, and the function that reads the keys."""
    if kind is Kind.USER:
        positions = tuple(layout.position_of_key(heading) for heading in key)
        needs = ", ".join(layout.headings[position] for position in positions)
        single = len(positions) == 1
        return needs, _single_key(positions[0]) if single else _composite_key(positions)
    name = layout.position(kind, "name")
    if name is None:
        raise BadResponse(
            f"{layout.file} has no column with the {kind}'s name; "
            f"its columns are: {', '.join(layout.headings)}"
        )
    if kind is Kind.SITE:
        return f"{layout.headings[name]} and client", _site_key(layout, name, client)
    at = name
    return layout.headings[at], lambda rows: [client_key(row[at] or "") for row in rows]


def _links(
    layout: Layout, kind: Kind, client: str | None, marks: tuple[str, ...]
) -> tuple[Pick, Links]:
    """What picks the client and site that a row mentions, and what makes their keys of them.

    The keys are remembered, because many rows mention the same client and site.
    """
    owner_at = None if kind is Kind.CLIENT else layout.position(Kind.CLIENT, "name")
    site_at = layout.position(Kind.SITE, "name") if kind is Kind.USER else None
    constant = None if kind is Kind.CLIENT else client

    @lru_cache(maxsize=1 << 14)
    def links(mentioned: tuple[str | None, ...]) -> tuple[str, ...]:
        cells = iter(mentioned)
        owner = client_key((constant if owner_at is None else next(cells)) or "")
        site = "" if site_at is None else site_key(owner, next(cells) or "")
        return owner, site, *marks

    return picker(tuple(at for at in (owner_at, site_at) if at is not None)), links


def _site_key(layout: Layout, name: int, client: str | None) -> KeysOf:
    owner = layout.position(Kind.CLIENT, "name")
    if owner is None and not client:
        raise BadResponse(
            f"{layout.file} has no client column, so nobody knows whose sites these are; "
            "add one, or set `client`"
        )
    if owner is None:
        constant = client_key(client or "")
        return lambda rows: [site_key(constant, row[name] or "") for row in rows]
    at = owner
    return lambda rows: [site_key(client_key(row[at] or ""), row[name] or "") for row in rows]


def _single_key(position: int) -> KeysOf:
    return lambda rows: fold_all([row[position] or "" for row in rows])


def _composite_key(positions: tuple[int, ...]) -> KeysOf:
    """Of all parts or nothing: with one part blank, two people could share what is left."""
    pick = picker(positions)

    def key(row: Cells) -> str:
        parts = [fold(cell or "") for cell in pick(row)]
        return join_key(parts) if all(parts) else ""

    return lambda rows: [key(row) for row in rows]


def _blank(cells: Cells) -> bool:
    return not any((cell or "").strip() for cell in cells)
