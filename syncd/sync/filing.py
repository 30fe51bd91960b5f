"""Putting dropped files away: with an answer for every row, to where people find them.

    processed/NAME, NAME.result, NAME.failed    it was applied; what became of its rows
    held/NAME                                   its plan waits for a decision
    rejected/NAME, NAME.why.txt                 it cannot be used; why, and what to repair

The names are written down before anything is moved, and every move can be made again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from syncd.connectors.drops.folder import DropFolder
from syncd.connectors.drops.places import HELD, PROCESSED, REJECTED, Arrival, safe_text, shown
from syncd.failpoints import reach
from syncd.store import dropped
from syncd.store.database import Transaction
from syncd.store.dropped import DroppedFile
from syncd.sync.answering import write_answers
from syncd.sync.closing import FileTold
from syncd.sync.engine import Engine
from syncd.sync.parcels import Parcel

RESULT, FAILED = "result", "failed"
_ORPHAN_AGE = 3600
"""Seconds for which a file in work may be somebody else's."""

_NOT_ITS_FAULT = frozenset({"unavailable", "store_unavailable", "lease_lost", "config", "usage"})
"""Codes of failures after which the same file may well be read."""


class Filing:
    """The filing of one drop-folder."""

    def __init__(self, engine: Engine, name: str, connector: DropFolder) -> None:
        self.engine = engine
        self.name = name
        self.connector = connector
        self.places = connector.places

    def put_away(self, file: DroppedFile, parcel: Parcel | None = None) -> FileTold:
        """Do with a file what its run makes of it, or the rest of that."""
        standing = self.engine.database.query(lambda conn: dropped.standing(conn, file.run))
        file, holds = standing.file, standing.holds
        state, code, reason = standing.state, standing.code, standing.reason
        if state == "open":
            return FileTold(file.shown)
        if "waiting" in holds:
            return self._hold(file, reason or "")
        if file.state == dropped.HELD:
            file = self._take_back(file)
        if "superseded" in holds:
            return self._reject(file, "a newer list took its place")
        if state in ("succeeded", "partial") and code != "rejected" and "rejected" not in holds:
            return self._process(file, parcel)
        if state == "cancelled" or code in _NOT_ITS_FAULT:
            return self._return(file, reason or "")
        decided = "its plan was rejected: " if "rejected" in (*holds, code) else ""
        return self._reject(file, decided + (reason or "it cannot be used"))

    def refuse(self, arrival: Arrival, problem: str) -> FileTold:
        """Put away what is never opened."""
        folder = safe_text(arrival.folder)
        name = self.places.free_name(REJECTED, folder, arrival.name)
        why = self.places.explain(REJECTED, name, problem)
        self.places.put(self.places.path(arrival), REJECTED, name)
        told = shown(arrival.folder, arrival.name)
        return FileTold(told, f"{REJECTED}/{name}", [why], problem)

    def give_back_unknown(self, place: str) -> None:
        """Return what nobody knows of: the database may have been restored from a backup."""
        self.places.give_back_unknown(place, _ORPHAN_AGE)

    # -- what becomes of it ------------------------------------------------------------------------

    def _process(self, file: DroppedFile, parcel: Parcel | None) -> FileTold:
        source = self._lies_at(file)
        answers = self.places.work(file.place)
        if file.away is None:
            self._remember_clients(file, parcel, source)
            write_answers(self.engine, file, source, answers)
            reach("drop.answered")
        name = self._named(file, PROCESSED)
        reach("drop.named")
        told = [
            str(moved.relative_to(self.places.root))
            for what in (RESULT, FAILED)
            if (moved := self._move_answer(answers, what, name))
        ]
        self.places.put(source, PROCESSED, name)
        reach("drop.moved")
        self._end(file, dropped.PROCESSED, name)
        return FileTold(file.shown, f"{PROCESSED}/{name}", told)

    def _hold(self, file: DroppedFile, reason: str) -> FileTold:
        if file.state == dropped.HELD:
            return FileTold(file.shown, f"{HELD}/{file.away}")
        source = self._lies_at(file)
        name = self._named(file, HELD)
        self.places.put(source, HELD, name)
        reach("drop.moved")
        self._end(file, dropped.HELD, name)
        return FileTold(file.shown, f"{HELD}/{name}", [], reason)

    def _reject(self, file: DroppedFile, reason: str) -> FileTold:
        source = self._lies_at(file)
        name = self._named(file, REJECTED)
        why = self.places.explain(REJECTED, name, reason)
        self.places.put(source, REJECTED, name)
        reach("drop.moved")
        self._end(file, dropped.REJECTED, name, reason)
        return FileTold(file.shown, f"{REJECTED}/{name}", [why], reason)

    def _return(self, file: DroppedFile, reason: str) -> FileTold:
        self.places.give_back(file.place, file.folder, file.name)
        self._end(file, dropped.RETURNED, None, reason)
        return FileTold(file.shown, None, [], reason)

    # -- one move after the other ------------------------------------------------------------------

    def _lies_at(self, file: DroppedFile) -> Path:
        """Where the file is now; where it could not be copied, as it was dropped."""
        snapshot = self.places.snapshot(file.place, file.name)
        original = self.places.original(file.place, file.name)
        return original if not snapshot.exists() and original.exists() else snapshot

    def _take_back(self, file: DroppedFile) -> DroppedFile:
        """Into work again, now that somebody decided."""
        assert file.away is not None
        self.places.take_back(file.place, self.places.away(HELD, file.away), file.name)
        self._update(file, state=dropped.CLAIMED, away=None)
        return replace(file, state=dropped.CLAIMED, away=None)

    def _named(self, file: DroppedFile, into: str) -> str:
        """The name under which the file is put away, written down before it is. From now on its
        copy stands for it, if there is one.
        """
        if file.away:
            return file.away
        self.places.forget_original(file.place, file.folder, file.name, file.size)
        name = self.places.free_name(into, file.folder, file.name)
        self._update(file, away=name)
        return name

    def _move_answer(self, answers: Path, what: str, name: str) -> Path | None:
        for made in sorted(answers.glob(f"{what}.*")):
            return self.places.put(made, PROCESSED, _beside(name, what, made.suffix))
        return None

    def _remember_clients(self, file: DroppedFile, parcel: Parcel | None, source: Path) -> None:
        if parcel and parcel.reader and file.clients is None and source.exists():
            parcel.remember_clients()

    def _end(
        self, file: DroppedFile, state: str, away: str | None, reason: str | None = None
    ) -> None:
        # First, because what lies in work without being claimed is taken for somebody else's.
        self.places.forget(file.place)
        reach("drop.forgotten")

        def work(conn: Transaction) -> None:
            now = self.engine.database.now(conn)
            dropped.update(conn, file.id, state=state, away=away, reason=reason, ended_at=now)

        self.engine.database.transact(work)
        reach("drop.ended")

    def _update(self, file: DroppedFile, **values: object) -> None:
        self.engine.database.transact(lambda conn: dropped.update(conn, file.id, **values))


def _beside(name: str, what: str, suffix: str) -> str:
    """`Contoso/people.result.csv` for `Contoso/people.csv`."""
    return str(Path(name).with_name(f"{Path(name).stem}.{what}{suffix}"))
