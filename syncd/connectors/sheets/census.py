"""The clients and sites that the rows of a sheet mention, whichever order the rows stand in.

Rows are counted by what they say about their client and site, so that memory grows with the number
of clients and sites and not with the number of rows. Where rows contradict each other, the value
that most of them state wins, and of equally frequent ones the smallest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

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
        votes: dict[str, Votes] = {}
        owners: dict[str, str] = {}
        for tally in self._tallies:
            if tally.kind is kind:
                _collect(tally, votes, owners)
        disagreements = list(_disagreements(kind, votes))
        items = [_item(key, owners[key], votes[key]) for key in sorted(votes)]
        return items, _shortened(disagreements)


def _collect(tally: Tally, votes: dict[str, Votes], owners: dict[str, str]) -> None:
    for client, cells, count in tally.said():
        stated = dict(zip(tally.names, cells, strict=True))
        owner, key = client_key(client), client_key(client)
        if tally.kind is Kind.SITE:
            key = site_key(owner, stated["name"] or "")
        else:
            stated["name"] = client
        if 0 < len(key) <= MAX_KEY:
            owners[key] = owner if tally.kind is Kind.SITE else ""
            _vote(votes.setdefault(key, {}), stated, count)


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


def _disagreements(kind: Kind, votes: Mapping[str, Votes]) -> Iterable[str]:
    for key in sorted(votes):
        for heading, counts in sorted(votes[key].items()):
            if len({value and fold(value) for value in counts}) > 1:
                name = _winner(votes[key]["name"])
                yield (
                    f'rows disagree about {heading} of the {kind} "{name}"; '
                    "the value of most rows is used"
                )


def _shortened(notices: list[str]) -> list[str]:
    more = len(notices) - MAX_NOTICES
    return [*notices[:MAX_NOTICES], f"and {more} more like these"] if more > 0 else notices
