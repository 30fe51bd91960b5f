"""The clients and sites that the rows of a sheet mention, whichever order the rows stand in.

Rows are counted by what they say about their client and site, so that memory grows with the number
of clients and sites and not with the number of rows. Where rows contradict each other, the value
that most of them state wins, and of equally frequent ones the smallest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from syncd.connectors.base import RawItem
from syncd.connectors.sheets.headings import Kind
from syncd.connectors.sheets.layout import Cells, Layout, client_key, picker, site_key
from syncd.connectors.sheets.records import CLIENT, KEY, MAX_KEY
from syncd.errors import BadResponse
from syncd.text import clean, fold

MAX_DISTINCT = 200_000
MAX_NOTICES = 20

Said = tuple[str | None, ...]
"""What one row says about its client or site: the client's name, for a site its name, the rest."""
Votes = dict[str, Counter[str | None]]
"""For each canonical heading, how many rows state which cell; None clears."""


class Tally:
    """What the rows of one sheet say about one kind of thing."""

    def __init__(self, layout: Layout, kind: Kind, client: str) -> None:
        columns = layout.places[kind]
        place = layout.position(Kind.CLIENT, "name")
        self.kind = kind
        self.names = layout.names(kind)
        self.positions = (*(() if place is None else (place,)), *columns.values())
        self._constant = (client,) if place is None else ()
        self._file = layout.file
        self._counts: Counter[Said] = Counter()

    def add(self, said: Said, count: int) -> None:
        """Count the cells at `positions` of so many rows."""
        self._counts[said] += count
        if len(self._counts) > MAX_DISTINCT:
            raise BadResponse(
                f"{self._file} says more than {MAX_DISTINCT:,} different things about {self.kind}s;"
                f" is a column of the users named like one of the {self.kind}s?"
            )

    def said(self) -> Iterable[tuple[str, Said, int]]:
        """The client's name, the cells, and how many rows say so."""
        for cells, count in self._counts.items():
            client, *rest = chain(self._constant, cells)
            yield clean(client or ""), tuple(rest), count


class Tallies:
    """The tallies of one sheet."""

    def __init__(self, tallies: Sequence[Tally]) -> None:
        positions = sorted({at for tally in tallies for at in tally.positions})
        self._pick = picker(tuple(positions))
        # Rows are counted once, by the cells of all tallies: most rows repeat what others say.
        self._joint: Counter[Said] = Counter()
        self._shares = [
            (tally, picker(tuple(map(positions.index, tally.positions)))) for tally in tallies
        ]

    def add(self, rows: Iterable[Cells]) -> None:
        """Count rows of the right width."""
        self._joint.update(map(self._pick, rows))
        if len(self._joint) > MAX_DISTINCT:
            self.share_out()

    def share_out(self) -> None:
        """Give each tally its part of what was counted; to be called after the last row."""
        for tally, part in self._shares:
            for cells, count in self._joint.items():
                tally.add(part(cells), count)
        self._joint.clear()


class Census:
    """All tallies of a connection's sheets, and what follows from them."""

    def __init__(self) -> None:
        self._tallies: list[Tally] = []

    @contextmanager
    def tally(self, layout: Layout, wanted: Iterable[Kind], client: str) -> Iterator[Tallies]:
        """A counter for the rows of one sheet. `client`: for want of a client column."""
        new = [
            Tally(layout, kind, client)
            for kind in wanted
            if kind is Kind.CLIENT or layout.position(kind, "name") is not None
        ]
        tallies = Tallies(new)
        yield tallies
        tallies.share_out()
        self._tallies += new

    def items(self, kind: Kind) -> tuple[list[RawItem], list[str]]:
        """One item for each client or site, and notices where rows contradict each other."""
        items: list[RawItem] = []
        notices: list[str] = []
        entries = sorted(self._entries(kind), key=attrgetter("key"))
        for key, same in groupby(entries, key=attrgetter("key")):
            votes: Votes = {}  # of one at a time: all together would take more than all else
            for one in same:
                owner = one.owner
                _vote(votes, one.stated(), one.rows)
            items.append(_item(key, owner, votes))
            notices += _disagreements(kind, votes)
        return items, _shortened(notices)

    def _entries(self, kind: Kind) -> Iterator[_Entry]:
        for tally in self._tallies:
            if tally.kind is kind:
                for client, cells, count in tally.said():
                    entry = _entry(tally, client, cells, count)
                    if 0 < len(entry.key) <= MAX_KEY:
                        yield entry


class _Entry(NamedTuple):
    """What so many rows say about one client or site; `owner`: the key of a site's client."""

    key: str
    owner: str
    tally: Tally
    client: str
    cells: Said
    rows: int

    def stated(self) -> dict[str, str | None]:
        """The cells by their headings."""
        stated = dict(zip(self.tally.names, self.cells, strict=True))
        if self.tally.kind is Kind.CLIENT:
            stated["name"] = self.client
        return stated


def _entry(tally: Tally, client: str, cells: Said, count: int) -> _Entry:
    owner = client_key(client)
    if tally.kind is not Kind.SITE:
        return _Entry(owner, "", tally, client, cells, count)
    name = cells[tally.names.index("name")]
    return _Entry(site_key(owner, name or ""), owner, tally, client, cells, count)


def _vote(votes: Votes, stated: Mapping[str, str | None], count: int) -> None:
    for heading, cell in stated.items():
        value = cell if cell is None else clean(cell)
        if value != "":
            votes.setdefault(heading, Counter())[value] += count


def _winner(counts: Counter[str | None]) -> str | None:
    return min(counts, key=lambda value: (-counts[value], value is None, value or ""))


def _item(key: str, owner: str, votes: Votes) -> RawItem:
    cells: dict[str, str | None] = {KEY: key}
    if owner:
        cells[CLIENT] = owner
    # Sheets may state different columns, so the order is made here and not taken from one of them.
    cells |= {heading: _winner(votes[heading]) for heading in sorted(votes)}
    return RawItem(key, msgspec.json.encode(cells))


def _disagreements(kind: Kind, votes: Votes) -> Iterator[str]:
    for heading, counts in sorted(votes.items()):
        if len({value and fold(value) for value in counts}) > 1:
            yield (
                f'rows disagree about {heading} of the {kind} "{_winner(votes["name"])}"; '
                "the value of most rows is used"
            )


def _shortened(notices: list[str]) -> list[str]:
    more = len(notices) - MAX_NOTICES
    return [*notices[:MAX_NOTICES], f"and {more} more like these"] if more > 0 else notices
