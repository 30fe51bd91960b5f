"""What a draft is made of: pages of decisions and of what was read, as they are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from syncd.changes import Change, LinkWrite, Quarantined, given_licenses
from syncd.entities import Kind


class Updates(msgspec.Struct, array_like=True):
    """Rows of stored entities of one kind, ready to be written: `columns` of each, and its id."""

    columns: tuple[str, ...]
    rows: list[list[Any]]
    clients: list[str]
    """To whom they belong."""
    changes: int
    """How many changes they come of: an entity has one row, however many of these are about it."""


class Given(NamedTuple):
    """Licenses that a user gets; `place`: of the change in its page. `sku`, `provider` (None: the
    connection) of a pool to make.
    """

    place: int
    user: UUID
    client: UUID | None
    pool: str
    number: int
    sku: str | None = None
    provider: str | None = None


class Bought(NamedTuple):
    """How many licenses a new pool begins with; `place`: of the change in its page."""

    place: int
    pool: UUID
    number: str


def given(place: int, change: Change) -> Iterator[Given]:
    """The licenses that a change gives to its user."""
    for pool, count, *made in given_licenses(change):
        yield Given(place, change.entity, change.client, pool, count, *made)


class Body(msgspec.Struct, array_like=True):
    """The decisions of one page, as stored."""

    links: list[LinkWrite]
    quarantined: list[Quarantined]
    healed: list[tuple[str, str]]
    origins: dict[str, int]
    """The read page of each key, where they come from several."""
    creations: dict[Kind, list[list[Any]]]
    """What is to be inserted: its place among the page's changes, its id, and its row."""
    identities: list[tuple[int, str, str, Any]]
    """Of creations: the change's place, issuer, subject, id of the user."""
    updates: dict[Kind, Updates] = {}
    """What becomes of stored entities if nobody else wrote since; none where that is not plain."""
    licenses: list[Given] = []
    """Of creations."""
    bought: list[Bought] = []
    """Of creations."""

    @property
    def ready(self) -> int:
        """How many changes can be written just as they stand here."""
        updated = sum(one.changes for one in self.updates.values())
        return sum(map(len, self.creations.values())) + updated

    def without(self, places: Collection[int]) -> None:
        """Write nothing for the changes at these places."""
        if places:
            self.updates = {}
        for kind, given in self.creations.items():
            self.creations[kind] = [row for row in given if row[0] not in places]
        self.identities = [one for one in self.identities if one[0] not in places]
        self.licenses = [one for one in self.licenses if one.place not in places]
        self.bought = [one for one in self.bought if one.place not in places]


class DraftPage(NamedTuple):
    """One stored page of a draft."""

    page: int
    first_seq: int
    next_seq: int
    stream: str
    source_page: int
    body: Body

    def origin(self, key: str) -> int:
        """The read page that led to what the page says of this key."""
        return self.body.origins.get(key, self.source_page)


@dataclass(slots=True)
class SeenPage:
    """The keys of one page that was read: hashes in order, and the items that had no link."""

    page: int
    keys: bytes
    newcomers: list[tuple[str, bytes]]
