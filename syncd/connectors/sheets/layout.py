"""What the columns of one sheet mean: worked out once from its headings, before any row is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from syncd.connectors.sheets.headings import (
    Column,
    Kind,
    Meaning,
    canonical_order,
    looks_secret,
    meaning,
    near_miss,
    overridden,
    squash,
)
from syncd.errors import BadResponse
from syncd.text import fold

Cells = Sequence[str | None]
"""The cells of one row; None where the source says that the field is empty on purpose."""
Pick = Callable[[Cells], tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one sheet about `sheet`: where the cells of each kind stand."""

    file: str
    sheet: Kind
    headings: tuple[str, ...]
    places: Mapping[Kind, Mapping[Column, int]]
    """For each kind, its columns in canonical order, and their positions in a row."""
    notices: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.headings)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Canonical headings of the kind's columns, in the order of `pick`."""
        return tuple(column.heading for column in self.places[kind])

    def pick(self, kind: Kind) -> Pick:
        """A function from a row to the kind's cells."""
        return picker(tuple(self.places[kind].values()))

    def position(self, kind: Kind, heading: str) -> int | None:
        """Where the column with this canonical heading stands."""
        for column, position in self.places[kind].items():
            if column.heading == heading:
                return position
        return None

    def position_of_key(self, heading: str) -> int:
        """Where the column stands that the setting `key` names, by any of its spellings."""
        meant = meaning(heading, self.sheet)
        found = self.position(meant.kind, meant.column.heading) if meant else None
        if found is not None:
            return found
        for position, present in enumerate(self.headings):
            if squash(present) == squash(heading):
                return position
        raise BadResponse(
            f'{self.file} has no column "{heading}", which the setting `key` names; '
            f"its columns are: {', '.join(self.headings)}"
        )


def lay_out(
    file: str,
    headings: Sequence[str],
    sheet: Kind,
    overrides: Mapping[str, str],
    keys: Sequence[str] = (),
) -> Layout:
    """The layout of a sheet; refuses headings that could be understood in two ways.

    overrides: heading to the heading it stands for, or to "" for a column to be ignored.
    keys: headings that are in use even if they are not known otherwise.
    """
    _refuse_unnamed(file, headings)
    wanted = {squash(key) for key in keys}
    found: dict[Meaning, list[int]] = {}
    notices: list[str] = []
    for position, heading in enumerate(headings):
        target = overridden(heading, overrides)
        meant = None if looks_secret(heading) else meaning(target, sheet)
        if meant:
            found.setdefault(meant, []).append(position)
        elif target and (looks_secret(heading) or squash(heading) not in wanted):
            notices.append(_notice(file, heading, sheet))
    _refuse_repeats(file, headings, found, sheet)
    if len(headings) == 1 and not found and not wanted & {squash(headings[0])}:
        raise BadResponse(
            f'{file} has a single column "{headings[0]}" that is not a known heading; '
            "set `delimiter` if its cells are separated by something unusual"
        )
    places = {kind: _ordered(kind, found) for kind in Kind}
    return Layout(file, sheet, tuple(headings), places, tuple(notices))


def picker(positions: tuple[int, ...]) -> Pick:
    """`itemgetter` that always gives a tuple, also for one position or none."""
    if not positions:
        return lambda _row: ()
    if len(positions) == 1:
        only = positions[0]
        return lambda row: (row[only],)
    return itemgetter(*positions)


def join_key(parts: Sequence[str]) -> str:
    """One key of several parts, such that different parts never make the same key."""
    if len(parts) == 1:
        return parts[0]
    return "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)


@lru_cache(maxsize=1 << 15)
def client_key(name: str) -> str:
    """The key of the organization that a client cell names; "" for a blank one."""
    return fold(name)


@lru_cache(maxsize=1 << 16)
def site_key(client: str, name: str) -> str:
    """The key of the location that a site cell names within the client with key `client`."""
    site = fold(name)
    return join_key((client, site)) if client and site else ""


def _ordered(kind: Kind, found: Mapping[Meaning, list[int]]) -> dict[Column, int]:
    places = {meant.column: at[0] for meant, at in found.items() if meant.kind is kind}
    return {column: places[column] for column in canonical_order(kind, places)}


def _refuse_unnamed(file: str, headings: Sequence[str]) -> None:
    unnamed = [str(number) for number, text in enumerate(headings, 1) if not squash(text)]
    if unnamed:
        raise BadResponse(
            f"{file}: column {', '.join(unnamed)} has no heading; name it or remove it"
        )


def _refuse_repeats(
    file: str, headings: Sequence[str], found: Mapping[Meaning, list[int]], sheet: Kind
) -> None:
    counts = Counter(map(squash, headings))
    same = [heading for heading in headings if counts[squash(heading)] > 1]
    if same:
        raise BadResponse(f"{file}: headings occur twice: {', '.join(same)}")
    for meant, at in found.items():
        if len(at) > 1:
            names = " and ".join(f'"{headings[position]}"' for position in at)
            raise BadResponse(
                f"{file}: {names} both mean {meant.label(sheet)}; remove one, or ignore it "
                f'with headings = {{ "{headings[at[-1]]}" = "" }}'
            )


def _notice(file: str, heading: str, sheet: Kind) -> str:
    if looks_secret(heading):
        return f'{file}: column "{heading}" looks like a secret and is never read'
    close = near_miss(heading, sheet)
    hint = f'; did you mean "{close}"?' if close else ""
    return f'{file}: column "{heading}" is not known and was not read{hint}'
