"""A dropped file on its way into a run: claimed, copied, and understood by what was declared.

All of it happens under the lease of the run's step, and can happen again: a process that goes on
with the run finds the file claimed, or copied, and does the rest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from syncd.changes import Overrun
from syncd.connectors.drops import snapshots
from syncd.connectors.drops.config import MANIFEST, Declared, Manifest, manifest_at
from syncd.connectors.drops.folder import DropFolder
from syncd.connectors.drops.places import Arrival, safe_text, shown
from syncd.connectors.drops.reader import Assignment, Expectation, FileReader, Nothing, reading_of
from syncd.errors import BadResponse, Cancelled, Refused
from syncd.failpoints import reach
from syncd.store import dropped
from syncd.store.database import Transaction
from syncd.store.dropped import DroppedFile
from syncd.sync.engine import Engine
from syncd.sync.step import Reader

OLDER = "older_list"
"""The guard of a full list that is older than what was applied."""


class Parcel:
    """One file of one run. Its reader is made once the run has its lease."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        connector: DropFolder,
        file: DroppedFile,
        arrival: Arrival | None,
    ) -> None:
        self.engine = engine
        self.name = name
        self.connector = connector
        self.file = file
        self.arrival = arrival
        self.reader: FileReader | None = None
        self._before: DroppedFile | None = None
        """The file of the same content that was applied before."""
        self._scratch: Path | None = None
        self._digest = file.digest or ""
        self._copy_digest = self._digest
        self._modified = file.modified

    @classmethod
    def of_plan(
        cls, engine: Engine, name: str, connector: DropFolder, connection: int, arrival: Arrival,
        scratch: Path,
    ) -> Parcel:  # fmt: skip
        """A file that is only planned: it is copied to `scratch`, and nothing is written down."""
        folder, file_name = safe_text(arrival.folder), safe_text(arrival.name)
        file = DroppedFile(
            id=0,
            connection=connection,
            folder=folder,
            name=file_name,
            series=connector.config.series(folder, file_name),
            place="",
            state=dropped.CLAIMED,
            run=0,
            size=arrival.size,
            modified=arrival.modified,
        )
        parcel = cls(engine, name, connector, file, arrival)
        parcel._scratch = scratch
        return parcel

    def remark(self) -> str:
        """What is to be said of the run, once it is over."""
        if self._before is None:
            return ""
        return (
            f"the same content was applied before ({self._before.shown}, run {self._before.run}): "
            "nothing to do"
        )

    def open(self) -> Reader:
        """Claim and copy the file, and make something of it that can be read. Raises Refused, or
        Cancelled where the file is not there any more.
        """
        snapshot, manifest = self._copied()
        folder, name = self.file.folder, self.file.name
        declared = self.connector.config.declared(folder, name, manifest)
        secrets = self._without_secrets(snapshot, declared)
        self._copy_digest = snapshots.digest_of(snapshot) if secrets else self._digest
        meaning = self._meaning(declared)
        self._before = self.engine.database.query(
            lambda conn: dropped.same(
                conn, self.file.connection, self._digest, self.file.folder, meaning
            )
        )
        self.reader = self._reader(snapshot, declared, secrets)
        if manifest and manifest.as_of:
            self._modified = manifest.as_of.timestamp()
        self._remember(meaning, declared)
        return Nothing() if self._before else self.reader

    # -- the copy ----------------------------------------------------------------------------------

    def _copied(self) -> tuple[Path, Manifest | None]:
        """The copy, and what was declared beside the file."""
        if self._scratch is not None:
            return self._copied_for_plan(self._scratch)
        places, place, name = self.connector.places, self.file.place, self.file.name
        self._claim()
        reach("drop.claimed")
        snapshot, original = places.snapshot(place, name), places.original(place, name)
        if original.exists():
            self._digest = self._copy(original, snapshot)
        reach("drop.copied")
        return snapshot, self._manifest(places.beside(place, MANIFEST))

    def _claim(self) -> None:
        """Have the file, by renaming it; Cancelled if somebody else has it."""
        places, place, name = self.connector.places, self.file.place, self.file.name
        if self.arrival is not None:
            if not places.take(place, self.arrival):
                raise Cancelled("the file is not there any more: it was taken away, or by another")
        elif not (places.original(place, name).exists() or places.snapshot(place, name).exists()):
            raise Cancelled("the process ended before it claimed the file; nothing was done")

    def _copy(self, original: Path, snapshot: Path) -> str:
        if original.stat().st_size != self.file.size:
            raise Cancelled("the file was still being written; it is read another time")
        try:
            return snapshots.copy(original, snapshot)
        except Refused as error:
            raise Cancelled(str(error)) from None

    def _copied_for_plan(self, scratch: Path) -> tuple[Path, Manifest | None]:
        assert self.arrival is not None
        path = self.connector.places.path(self.arrival)
        snapshot = scratch / f"snapshot{path.suffix.lower()}"
        self._digest = snapshots.copy(path, snapshot)
        return snapshot, self._manifest(Path(f"{path}{MANIFEST}"))

    def _manifest(self, path: Path) -> Manifest | None:
        try:
            return manifest_at(path)
        except BadResponse as error:
            raise Refused(str(error)) from None

    def _without_secrets(self, snapshot: Path, declared: Declared) -> list[str]:
        """The headings of columns that are not in the copy. One that cannot be read to its end
        stays as it is: it is refused for that.
        """
        try:
            return snapshots.leave_secrets_out(snapshot, self._shown, reading_of(declared))
        except BadResponse as error:
            raise Refused(str(error).replace(snapshot.name, self._shown)) from None

    @property
    def _shown(self) -> str:
        return shown("", self.file.name)

    # -- what it means -----------------------------------------------------------------------------

    def _meaning(self, declared: Declared) -> str:
        fingerprint = self.engine.fingerprint(self.name, self.engine.rules(self.name))
        said = json.dumps([fingerprint, declared.said()], sort_keys=True, default=str)
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    def _reader(self, snapshot: Path, declared: Declared, secrets: list[str]) -> FileReader:
        file = self.file
        first = self.engine.database.query(
            lambda conn: dropped.first_keys(conn, file.connection, file.folder)
        )
        known = Expectation(
            key=first.identified_by if first else None,
            key_of=f"{first.shown} (run {first.run})" if first else "",
        )
        assignment = Assignment(snapshot, self._shown, known, secrets)
        reader = FileReader(declared, assignment, self.connector.config.page_size)
        last = self.engine.database.query(
            lambda conn: dropped.last_like(conn, file, reader.facts.kind, reader.facts.contents)
        )
        if last:
            assignment.expectation = Expectation(
                last.headings or (), f"{last.shown} (run {last.run})", known.key, known.key_of
            )
        reader.ask_doubts = self._doubts
        return reader

    def _remember(self, meaning: str, declared: Declared) -> None:
        assert self.reader is not None
        facts = self.reader.facts
        self._update(
            digest=self._digest,
            copy_digest=self._copy_digest,
            meaning=meaning,
            modified=self._modified,
            kind=facts.kind,
            contents=facts.contents,
            declared=declared.said(),
            identified_by=list(facts.key),
            headings=list(facts.headings),
            is_answer=facts.is_answer,
        )

    def remember_clients(self) -> list[str] | None:
        """Write down which clients the file names, where they can be listed."""
        assert self.reader is not None
        clients = self.reader.clients()
        if clients is not None and len(clients) > dropped.MAX_CLIENTS:
            clients = None
        self._update(clients=clients)
        return clients

    def _update(self, **values: object) -> None:
        if self._scratch is None:
            self.engine.database.transact(lambda conn: dropped.update(conn, self.file.id, **values))

    # -- whether it may be applied -----------------------------------------------------------------

    def _doubts(self) -> list[Overrun]:
        """A full list that is older than what was applied would bring back what has changed."""
        assert self.reader is not None
        clients, facts = self.remember_clients(), self.reader.facts
        if facts.contents != "full":
            return []

        def look(conn: Transaction) -> DroppedFile | None:
            place = self.file.connection, self.file.folder
            return dropped.newest_full(conn, *place, facts.kind, clients)

        newest = self.engine.database.query(look)
        if newest is None or newest.modified <= self._modified:
            return []
        sentence = (
            f"{self._shown} is a full list that is older than {newest.shown}, which was applied "
            f"already (run {newest.run})"
        )
        return [Overrun(OLDER, "file", 1, 0, sentence)]
