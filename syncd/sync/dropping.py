"""DROP: the files that someone left in a folder, oldest first, a run for each.

    look -> open a run -> claim -> copy -> read, plan, guard, apply -> answer -> put away

The run is opened, and the file written down with it, before the file is touched: whatever a process
leaves behind when it ends belongs to a run that the next one finds, and goes on with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from syncd.connectors.base import DEFAULT_PARTITION, Partition
from syncd.connectors.drops.folder import DropFolder
from syncd.connectors.drops.places import WORK, Arrival, safe_text, shown
from syncd.errors import ProviderUnavailable
from syncd.failpoints import reach
from syncd.store import dropped
from syncd.store.database import Transaction
from syncd.store.dropped import DroppedFile
from syncd.store.runs import ConnectionRow
from syncd.sync import flow
from syncd.sync.closing import FileTold, Outcome
from syncd.sync.engine import Engine
from syncd.sync.filing import Filing
from syncd.sync.flow import refuse_paused, resume_or_open, take_over_left, walk
from syncd.sync.parcels import Parcel


def sync_all(
    engine: Engine, name: str, *, mode: str = "apply", full: bool = False, actor: str = "cli"
) -> Iterator[Outcome]:
    """Sync one connection, or plan that: one run, or, of a drop-folder, one for each file.

    Raises as `flow.sync` does. An empty folder means nothing, so nothing comes of it.
    """
    connector = engine.connector(name)
    if isinstance(connector, DropFolder):
        yield from _Folder(engine, name, connector, actor).work_off(mode)
    else:
        yield flow.sync(engine, name, mode=mode, full=full, actor=actor)


def follow(engine: Engine, name: str, run: int) -> FileTold | None:
    """Put away the file whose held plan was decided on, if the run was of a file."""
    if name not in engine.settings.connections:
        return None
    connector = engine.connector(name)
    file = engine.database.query(lambda conn: dropped.of_run(conn, run))
    if file is None or not isinstance(connector, DropFolder):
        return None
    return Filing(engine, name, connector).put_away(file)


class _Folder:
    """One pass over a drop-folder."""

    def __init__(self, engine: Engine, name: str, connector: DropFolder, actor: str) -> None:
        self.engine = engine
        self.name = name
        self.connector = connector
        self.actor = actor
        self.row: ConnectionRow = engine.runs.ensure_connection(name, connector.name)
        self.filing = Filing(engine, name, connector)

    def work_off(self, mode: str) -> Iterator[Outcome]:
        """A run for each file that waits; before them, what an earlier process left."""
        refuse_paused(self.row)
        self.engine.rules(self.name)  # a mapping that cannot be compiled stops before any file
        plans = mode == "plan"
        if not plans:
            self._pause_if_away()
            yield from self._go_on_with_what_was_left()
        glance = self.connector.look()
        for arrival, problem in glance.unwanted:
            told = FileTold(shown(arrival.folder, arrival.name))
            told = told if plans else self.filing.refuse(arrival, problem)
            yield Outcome(0, mode, "failed", "refused", problem, file=told)
        for arrival in glance.ready:
            if self.engine.stop.is_set():
                return
            if waits := self._waits(arrival):
                told = FileTold(shown(arrival.folder, arrival.name))
                yield Outcome(0, mode, "held", "waits", waits, file=told)
            elif self.connector.places.still(arrival):
                yield self._plan(arrival) if plans else self._sync(arrival)
        if not plans:
            for file in self._files(dropped.HELD):  # a newer one may have taken its place
                self.filing.put_away(file)
        for name in glance.unfinished:
            said = "it is still being written, or not marked as finished; the next sync looks again"
            yield Outcome(0, mode, "open", "unfinished", said, file=FileTold(name))

    def _pause_if_away(self) -> None:
        """A folder that is not there, or not mounted, or empty of rights, is no empty folder."""
        try:
            self.connector.check()
            self._refuse_strange()
        except ProviderUnavailable as error:
            said = str(error)
            self.engine.database.transact(
                lambda conn: self.engine.runs.set_connection_state(
                    conn, self.row.id, "paused", said
                )
            )
            raise

    def _refuse_strange(self) -> None:
        """What is left of a folder that is not mounted is empty, and not even ours."""
        places = self.connector.places
        used = self.engine.database.query(
            lambda conn: dropped.was_used(conn, self.row.id, self._root)
        )
        if used and not places.is_marked():
            raise ProviderUnavailable(
                f"the folder {places.root} is not the one that was read before, or is not mounted: "
                f"it has no {WORK} in it; if it is the right one, make that"
            )

    @property
    def _root(self) -> str:
        return safe_text(str(self.connector.places.root.absolute()))

    # -- what was left -----------------------------------------------------------------------------

    def _go_on_with_what_was_left(self) -> Iterator[Outcome]:
        left = take_over_left(self.engine, self.row, "apply")
        places = self.connector.places
        for file in self._files(dropped.CLAIMED, dropped.HELD):
            if file.run == left:
                yield self._go_on(file)
            else:
                self.filing.put_away(file)
        known = {file.place for file in self._files(dropped.CLAIMED)}
        for place in places.in_work():
            if place not in known:
                self.filing.give_back_unknown(place)

    def _files(self, *states: str) -> list[DroppedFile]:
        look = dropped.in_state
        return self.engine.database.query(lambda conn: look(conn, self.row.id, *states))

    # -- one file ----------------------------------------------------------------------------------

    def _waits(self, arrival: Arrival) -> str | None:
        """Why a file must wait for another one; None if it need not."""
        for held in self._files(dropped.HELD):
            if held.folder != safe_text(arrival.folder):
                continue
            declared = self.connector.config.declared(arrival.folder, arrival.name, None)
            same = held.name == safe_text(arrival.name)
            if declared.contents == "full" and (same or declared.full_for == "all"):
                continue  # it is the newer list, and takes the place of the one that is held
            return (
                f"waits behind {held.shown}, whose plan is held (run {held.run}): "
                "approve or reject that first, see syncd review"
            )
        return None

    def _sync(self, arrival: Arrival) -> Outcome:
        place = uuid4().hex
        self.connector.places.work()  # first, for by this the folder is known again

        def work(conn: Transaction) -> int:
            runs = self.engine.runs
            run = runs.insert_run(conn, self.row.id, "apply", self.actor)
            runs.add_step(conn, run, runs.ensure_partition(conn, self.row.id, *_partition(arrival)))
            dropped.insert(
                self.engine.database,
                conn,
                run,
                connection_id=self.row.id,
                root=self._root,
                folder=safe_text(arrival.folder),
                name=safe_text(arrival.name),
                series=self.connector.config.series(arrival.folder, arrival.name),
                place=place,
                size=arrival.size,
                modified=arrival.modified,
            )
            return run

        run = self.engine.runs.opened(work)
        reach("drop.opened")
        file = self.engine.database.query(lambda conn: dropped.of_run(conn, run))
        assert file is not None
        return self._go_on(file, arrival)

    def _go_on(self, file: DroppedFile, arrival: Arrival | None = None) -> Outcome:
        parcel = Parcel(self.engine, self.name, self.connector, file, arrival)
        engine = replace(self.engine, reads=lambda *_: parcel.open())
        outcome = walk(engine, self.name, file.run, remark=parcel.remark)
        if outcome.state != "open":
            outcome.file = self.filing.put_away(file, parcel)
        return outcome

    def _plan(self, arrival: Arrival) -> Outcome:
        """What a sync of the file would do; it stays where it is, and as it is."""
        with tempfile.TemporaryDirectory(prefix="syncd-") as scratch:
            parcel = Parcel.of_plan(
                self.engine, self.name, self.connector, self.row.id, arrival, Path(scratch)
            )
            engine = replace(self.engine, reads=lambda *_: parcel.open())
            partition = _partition(arrival)
            run = resume_or_open(engine, self.row, "plan", self.actor, lambda: [partition])
            outcome = walk(engine, self.name, run, remark=parcel.remark)
        outcome.file = FileTold(shown(arrival.folder, arrival.name))
        return outcome


def _partition(arrival: Arrival) -> Partition:
    if not arrival.folder:
        return DEFAULT_PARTITION
    return Partition(safe_text(arrival.folder), safe_text(arrival.folder))
