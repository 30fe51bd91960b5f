"""RELINK: the people of a connection are known by another key from now on, and nobody is anybody
else: each record keeps its user, its history, and what people said about it.

Planned and done in one transaction: all of it, or nothing. Nothing is asked of the source; every
record must tell its new key by what is stored of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from syncd.connectors.base import STREAM_NAMES
from syncd.errors import Busy, StoreRefused, UsageError
from syncd.mapping.items import digests
from syncd.records import Person
from syncd.store import dropped
from syncd.store.database import Transaction
from syncd.store.partitions import PartitionRow
from syncd.store.relinks import Obstacles, Relinks
from syncd.sync.closing import Outcome, close_within
from syncd.sync.connections import chosen
from syncd.sync.engine import Engine

MODE = "relink"
_STREAM = STREAM_NAMES[Person]
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Relinked:
    """What became of one partition, or would: its name, how many of its records get other keys, and
    some of them with the old and the new one.
    """

    partition: str
    records: int
    examples: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose people are to be known by what; no key: by the one that is configured."""

    connection: str
    partition: str | None
    key: tuple[str, ...]
    actor: str


def look(engine: Engine, wanted: Wanted) -> list[Relinked]:
    """What a relink would do. Raises UsageError where it cannot be done, Busy."""
    return engine.database.transact(lambda conn: _Relinking(engine, conn, wanted).look())


def relink(engine: Engine, wanted: Wanted) -> tuple[Outcome, list[Relinked]]:
    """Give the people of a connection other keys. Raises UsageError where it cannot be done, with
    what to repair; Busy while the connection is synced, or a plan of it waits.
    """
    try:
        return engine.database.transact(lambda conn: _Relinking(engine, conn, wanted).do())
    except StoreRefused:
        raise Busy("another process is syncing this connection: a run is open") from None


class _Relinking:
    """One relink, within one transaction."""

    def __init__(self, engine: Engine, conn: Transaction, wanted: Wanted) -> None:
        self.engine, self.conn, self.actor = engine, conn, wanted.actor
        self.rekeying = engine.connector(wanted.connection).rekeying(wanted.key)
        self.digests = partial(digests, engine.meaning(engine.rules(wanted.connection)))
        row = engine.runs.connection(conn, wanted.connection)
        if row is None:
            raise UsageError(f"{wanted.connection} was never synced: its records have no keys yet")
        self.connection = row
        self._refuse_unfinished()
        known = engine.runs.partitions(conn, row.id)
        self.partitions = chosen(known, row.name, wanted.partition)

    def look(self) -> list[Relinked]:
        return [self._relinked(one, None) for one in self.partitions]

    def do(self) -> tuple[Outcome, list[Relinked]]:
        runs = self.engine.runs
        run = runs.insert_run(self.conn, self.connection.id, MODE, self.actor)
        done = [
            self._relinked(one, runs.add_step(self.conn, run, one.id)) for one in self.partitions
        ]
        return close_within(self.engine, self.conn, run), done

    def _relinked(self, partition: PartitionRow, step: int | None) -> Relinked:
        """What becomes of one partition; `step`: in which it is done, None to only look."""
        with Relinks(
            self.engine.database, self.conn, partition.id, _STREAM, self.rekeying
        ) as relinks:
            relinks.find()
            self._refuse(partition, relinks.obstacles())
            found = Relinked(partition.label, relinks.count(), relinks.examples(_SHOWN))
            if step is not None:
                self._give(relinks, partition, step)
        return found

    def _give(self, relinks: Relinks, partition: PartitionRow, step: int) -> None:
        reason = f"known by {self._named} from now on"
        told = relinks.give(step, self.digests, reason)
        done = {"state": "done", "phase": "apply", "applied_seq": told}
        self.engine.runs.update_step(self.conn, step, **done)
        dropped.identify_by(self.conn, self.connection.id, partition.key, self.rekeying.named)

    @property
    def _named(self) -> str:
        return ", ".join(f'"{heading}"' for heading in self.rekeying.named)

    # -- what is in the way ------------------------------------------------------------------------

    def _refuse_unfinished(self) -> None:
        runs, name = self.engine.runs, self.connection.name
        if left := runs.open_run_of(self.conn, self.connection.id):
            raise Busy(f"run {left[0]} of {name} is not at its end; let it end: syncd sync {name}")
        waiting = [one.id for one in runs.holds(self.conn, "waiting") if one.connection == name]
        if waiting:
            raise UsageError(
                f"plan {waiting[0]} of {name} waits, and calls records by the keys that they have; "
                f"first syncd approve {waiting[0]}, or syncd reject {waiting[0]}"
            )

    def _refuse(self, partition: PartitionRow, found: Obstacles) -> None:
        why = [*self._missing(found), *self._repeated(found), *self._taken(found)]
        if why:
            where = f" in {partition.label}" if partition.key else ""
            raise UsageError(
                f"nothing was changed{where}: {'; '.join(why)}. Repair that in the source, sync it "
                "by the key that it has now, then do this again"
            )

    def _missing(self, found: Obstacles) -> Iterator[str]:
        if found.missing:
            names = _listed(found.some_missing, found.missing)
            have = "record has" if found.missing == 1 else "records have"
            yield f"{found.missing} {have} nothing in {self._named} ({names})"

    def _repeated(self, found: Obstacles) -> Iterator[str]:
        if found.repeated:
            names = _listed([" and ".join(one) for one in found.some_repeated], found.repeated)
            yield f"records have the same {self._named} ({names})"

    def _taken(self, found: Obstacles) -> Iterator[str]:
        if found.taken:
            names = ", ".join(found.taken)
            yield f"records that are gone, or were set aside, are known by such a key ({names})"


def _listed(some: Sequence[str], total: int) -> str:
    more = [f"{total - len(some)} more"] if total > len(some) else []
    return ", ".join([*some, *more])
