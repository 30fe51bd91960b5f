"""Links that a step wrote without any change, as its undo looks for them."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action
from syncd.store import history
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.hashes import missing
from syncd.store.history import PastLink
from syncd.store.undone import Wanted

Place = tuple[str, str]
"""Stream and key."""
START: Place = ("", "")


class QuietLink(NamedTuple):
    """One of them. `past`: as it was; None where the step made it."""

    stream: str
    key: str
    kind: str
    past: PastLink | None


@dataclass(slots=True)
class QuietLinks:
    """Links that one step wrote without any change, and nobody since: items that are skipped, or
    that say the same in other words. A person's word is no such change: what comes of it is.
    """

    database: Database
    step: int
    partition: int
    wanted: Wanted
    _told: Mapping[str, array[int]] | None = None
    """Per stream, which keys the step's changes are about: 8 bytes each, asked for once, for to
    look for a change of each link would read all of them again and again.
    """

    def any(self, conn: Connection) -> bool:
        """Whether there are any."""
        after: Place | None = START
        while after is not None:
            found, after = self.page(conn, after, 1000)
            if found:
                return True
        return False

    def page(
        self, conn: Connection, after: Place, most: int
    ) -> tuple[list[QuietLink], Place | None]:
        """Those among the next links, `most` of them, that the step wrote; and the place of the
        last one, None when there is none any more.
        """
        c = t.link.c
        query = (
            sa.select(c.stream, c.key, c.kind)
            .where(c.partition_id == self.partition, c.step_id == self.step)
            .where(sa.tuple_(c.stream, c.key) > sa.tuple_(*map(sa.literal, after)))
            .where(*history.links_of(self.wanted))
        )
        rows = conn.execute(query.order_by(c.stream, c.key).limit(most)).all()
        if not rows:
            return [], None
        quiet = self._quiet(conn, [(row.stream, row.key) for row in rows])
        past = history.past_links(self.database, conn, self.step, self.partition, quiet)
        found = [QuietLink(*row, past.get(row[:2])) for row in rows if row[:2] in quiet]
        return found, (rows[-1].stream, rows[-1].key)

    def _quiet(self, conn: Connection, places: list[Place]) -> set[Place]:
        """The places that no change is about."""
        if self._told is None:
            self._told = _told(conn, self.step)
        keys = defaultdict(list)
        for stream, key in places:
            keys[stream].append(key)
        nothing = array("q")
        return {
            (stream, key)
            for stream, these in keys.items()
            for key in missing(these, self._told.get(stream, nothing))
        }


def _told(conn: Connection, step: int) -> Mapping[str, array[int]]:
    c = t.change.c
    query = sa.select(c.stream, c.key).where(c.step_id == step, c.action != Action.DECIDE)
    told: dict[str, array[int]] = defaultdict(lambda: array("q"))
    for stream, key in conn.execute(query.execution_options(yield_per=10_000)):
        told[stream].append(hash(key))
    return told
