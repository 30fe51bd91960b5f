"""Dropped files: which were claimed by which run, what they promised, and where they were put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.store import tables as t
from syncd.store.database import Database

CLAIMED, HELD, PROCESSED, REJECTED, RETURNED = (
    "claimed", "held", "processed", "rejected", "returned",
)  # fmt: skip
"""States of a dropped file. Returned: it lies where it was dropped, to be read another time."""

MAX_CLIENTS = 20_000
"""Keys of clients that are listed for one file; one that names more overlaps with every other."""


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A dropped file as the store knows it; what is None is not known yet."""

    id: int
    connection: int
    folder: str
    name: str
    series: str
    place: str
    state: str
    run: int
    size: int
    modified: float
    digest: str | None = None
    meaning: str | None = None
    kind: str | None = None
    contents: str | None = None
    declared: dict[str, Any] | None = None
    identified_by: list[str] | None = None
    headings: list[str] | None = None
    clients: list[str] | None = None
    is_answer: bool = False
    away: str | None = None
    reason: str | None = None

    @property
    def shown(self) -> str:
        """Its place for people."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    def overlaps(self, clients: Sequence[str] | None) -> bool:
        """Whether it names any of these clients; None: more than could be listed."""
        if self.clients is None or clients is None:
            return True
        return not set(self.clients).isdisjoint(clients)


_C = t.dropped_file.c
_COLUMNS = (
    _C.id, _C.connection_id, _C.folder, _C.name, _C.series, _C.place, _C.state, _C.run_id, _C.size,
    _C.modified, _C.digest, _C.meaning, _C.kind, _C.contents, _C.declared, _C.identified_by,
    _C.headings, _C.clients, _C.is_answer, _C.away, _C.reason,
)  # fmt: skip


def _found(conn: Connection, query: sa.Select[Any]) -> list[DroppedFile]:
    return [DroppedFile(*tuple(row)) for row in conn.execute(query)]


def insert(database: Database, conn: Connection, run: int, **values: Any) -> None:
    """Write down that a run claims a file, before it is touched."""
    claimed = {"state": CLAIMED, "is_answer": False, "claimed_at": database.now(conn)}
    conn.execute(sa.insert(t.dropped_file).values(run_id=run, **claimed, **values))


def update(conn: Connection, file: int, **values: Any) -> None:
    """Set columns of a file."""
    conn.execute(sa.update(t.dropped_file).where(_C.id == file).values(**values))


def of_run(conn: Connection, run: int) -> DroppedFile | None:
    """The file that a run reads."""
    found = _found(conn, sa.select(*_COLUMNS).where(_C.run_id == run))
    return found[0] if found else None


def was_used(conn: Connection, connection: int, root: str) -> bool:
    """Whether files were read from this very drop-folder before."""
    these = sa.and_(_C.connection_id == connection, _C.root == root)
    return conn.execute(sa.select(_C.id).where(these).limit(1)).first() is not None


def in_state(conn: Connection, connection: int, *states: str) -> list[DroppedFile]:
    """The connection's files in one of the states, in the order of their claims."""
    these = sa.and_(_C.connection_id == connection, _C.state.in_(states))
    return _found(conn, sa.select(*_COLUMNS).where(these).order_by(_C.id))


def _applied(connection: int) -> sa.Select[Any]:
    """Files whose run was applied and was not taken back, the newest first."""
    r = t.run.c
    return (
        sa.select(*_COLUMNS)
        .join(t.run, r.id == _C.run_id)
        .where(_C.connection_id == connection, _C.state == PROCESSED)
        .where(r.undone_by.is_(None), _C.kind.is_not(None))
        .order_by(_C.id.desc())
    )


def same(
    conn: Connection, connection: int, digest: str, folder: str, meaning: str
) -> DroppedFile | None:
    """A file of the same content that was applied in the same folder, and meant the same."""
    content = sa.or_(_C.digest == digest, _C.copy_digest == digest)
    query = _applied(connection).where(content, _C.folder == folder)
    found = _found(conn, query.where(_C.meaning == meaning).limit(1))
    return found[0] if found else None


def last_like(conn: Connection, file: DroppedFile, kind: str, contents: str) -> DroppedFile | None:
    """The last file of the same series that was applied, none of our own answers."""
    these = sa.and_(_C.folder == file.folder, _C.series == file.series)
    query = _applied(file.connection).where(these, _C.kind == kind, _C.contents == contents)
    found = _found(conn, query.where(_C.is_answer.is_(False)).limit(1))
    return found[0] if found else None


def first_keys(conn: Connection, connection: int, folder: str) -> DroppedFile | None:
    """The file that was the first to say what identifies the users of a folder."""
    these = sa.and_(_C.folder == folder, _C.identified_by.is_not(None), _C.kind == "user")
    query = _applied(connection).where(these).order_by(None).order_by(_C.id).limit(1)
    found = _found(conn, query)
    return found[0] if found else None


def identify_by(conn: Connection, connection: int, folder: str, key: Sequence[str]) -> None:
    """Have the users of a folder be identified by other headings from now on."""
    here = sa.and_(_C.connection_id == connection, _C.folder == folder, _C.kind == "user")
    known = _C.identified_by.is_not(None)
    conn.execute(sa.update(t.dropped_file).where(here, known).values(identified_by=list(key)))


def newest_full(
    conn: Connection, connection: int, folder: str, kind: str, clients: Sequence[str] | None
) -> DroppedFile | None:
    """The full list with the newest state among those that were applied for any such client."""
    these = sa.and_(_C.folder == folder, _C.kind == kind, _C.contents == "full")
    query = _applied(connection).where(these).order_by(None).order_by(_C.modified.desc())
    for row in conn.execute(query):
        file = DroppedFile(*tuple(row))
        if file.overlaps(clients):
            return file
    return None


class Standing(NamedTuple):
    """A file as it stands, how its run ended, and what was decided about the plans of that."""

    file: DroppedFile
    state: str
    code: str | None
    reason: str | None
    holds: list[str]


def standing(conn: Connection, run: int) -> Standing:
    """How things stand with the file that a run reads."""
    r = t.run.c
    ending = conn.execute(sa.select(r.state, r.code, r.reason).where(r.id == run)).one()
    holds = sa.select(t.hold.c.state).join(t.step, t.step.c.id == t.hold.c.step_id)
    decided = conn.execute(holds.where(t.step.c.run_id == run)).scalars()
    file = of_run(conn, run)
    assert file is not None
    return Standing(file, *ending, list(decided))
