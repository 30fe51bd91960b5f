"""What people ask about the past: runs, the changes of the ledger, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action
from syncd.entities import Kind
from syncd.store import tables as t
from syncd.store.answers import labels
from syncd.store.answers_merged import with_absorbed
from syncd.store.database import Database
from syncd.store.draft import Draft
from syncd.store.naming import names_of, told_apart, with_names
from syncd.store.undone import Place, TakenBack, parts_undone, taken_back, undo_steps

_TELLING = (Action.DEACTIVATE, Action.MOVE, Action.RETIRE, Action.MISS, Action.REACTIVATE)
"""What a person wants to see first in a plan."""


class RunLine(NamedTuple):
    """One run. `connection` is None for a person's own edit."""

    id: int
    connection: str | None
    mode: str
    trigger: str
    state: str
    code: str | None
    reason: str | None
    actor: str
    counts: dict[str, Any]
    started_at: datetime
    ended_at: datetime | None
    undoes: int | None
    undone_by: int | None
    partly_undone_by: Sequence[int] = ()
    undoes_a_part: bool = False


class ChangeLine(NamedTuple):
    """One change of the ledger, with names for ids. `status`: done, planned, waiting, … ."""

    run: int
    connection: str | None
    mode: str
    actor: str
    at: datetime
    status: str
    kind: Kind
    action: str
    entity: UUID
    label: str
    client: str | None
    stream: str
    key: str
    reason: str
    rule: str
    before: dict[str, Any]
    after: dict[str, Any]


class AsideLine(NamedTuple):
    """One item in quarantine. `rivals`: who on the desk it may be. `since`: None in a plan."""

    connection: str
    partition: str
    stream: str
    key: str
    code: str
    message: str
    fields: list[str]
    rivals: list[str]
    since: datetime | None
    run: int


class ConnectionLine(NamedTuple):
    """What the store knows of a connection."""

    name: str
    connector: str
    state: str
    reason: str | None
    last_run: int | None
    last_state: str | None
    last_at: datetime | None
    quarantined: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Which changes: of one run (whatever became of them), of an entity, of a client."""

    run: int | None = None
    entity: UUID | None = None
    client: UUID | None = None
    limit: int = 50


# -- runs ------------------------------------------------------------------------------------------


def runs(
    database: Database, *, run: int | None = None, connection: str | None = None, limit: int = 20
) -> list[RunLine]:
    """The newest runs, or the one that is asked for."""
    c = t.run.c
    query = (
        sa.select(
            c.id, t.connection.c.name, c.mode, c.trigger, c.state, c.code, c.reason, c.actor,
            c.counts, c.started_at, c.ended_at, c.undoes, c.undone_by,
        )
        .join(t.connection, t.connection.c.id == c.connection_id, isouter=True)
        .order_by(c.id.desc())
    )  # fmt: skip
    if run is not None:
        query = query.where(c.id == run)
    if connection is not None:
        query = query.where(t.connection.c.name == connection)
    if limit:
        query = query.limit(limit)

    def look(conn: Connection) -> list[RunLine]:
        found = [RunLine(*tuple(row)) for row in conn.execute(query)]
        parts = parts_undone(conn, {run for one in found for run in (one.id, one.undoes) if run})
        return [
            one._replace(
                partly_undone_by=parts.get(one.id, ()),
                undoes_a_part=one.id in parts.get(one.undoes or 0, ()),
            )
            for one in found
        ]

    return database.query(look)


def connections(database: Database) -> list[ConnectionLine]:
    """Every connection that was ever used, by name."""
    c, r = t.connection.c, t.run.c
    newest = t.run.alias("newest")
    last = sa.select(sa.func.max(newest.c.id)).where(newest.c.connection_id == c.id)
    aside = _in_partitions(t.quarantine, t.quarantine.c.partition_id)
    waiting = _in_partitions(t.hold, t.hold.c.partition_id, t.hold.c.state == "waiting")
    query = (
        sa.select(
            c.name,
            c.connector,
            c.state,
            c.state_reason,
            r.id,
            r.state,
            r.started_at,
            aside,
            waiting,
        )
        .select_from(t.connection)
        .join(t.run, r.id == last.correlate(t.connection).scalar_subquery(), isouter=True)
        .order_by(c.name)
    )
    return database.query(lambda conn: [ConnectionLine._make(row) for row in conn.execute(query)])


def _in_partitions(
    table: sa.Table, partition: sa.ColumnElement[int], *conditions: sa.ColumnElement[bool]
) -> sa.ColumnElement[int]:
    query = sa.select(sa.func.count()).select_from(table)
    query = query.join(t.partition, t.partition.c.id == partition)
    query = query.where(t.partition.c.connection_id == t.connection.c.id, *conditions)
    return query.correlate(t.connection).scalar_subquery()


# -- changes ---------------------------------------------------------------------------------------


def changes(database: Database, asked: Asked) -> list[ChangeLine]:
    """Changes of the ledger, newest first; those of one run as planned, the most telling first."""

    def look(conn: Connection) -> list[ChangeLine]:
        query = _narrowed(database, conn, asked)
        if asked.limit:
            query = query.limit(asked.limit)
        rows = conn.execute(query).all()
        names = names_of(database, conn, rows)
        undos = undo_steps(conn, {row.run for row in rows if row.undone_by is None})
        back = taken_back(database, conn, undos, [_place(row) for row in rows])
        return [_change_line(row, names, back) for row in rows]

    return database.query(look)


def count_changes(database: Database, asked: Asked) -> int:
    """How many changes there are to list."""

    def look(conn: Connection) -> int:
        query = _narrowed(database, conn, asked).order_by(None).subquery()
        return int(conn.execute(sa.select(sa.func.count()).select_from(query)).scalar_one())

    return database.query(look)


def _all_changes() -> sa.Select[Any]:
    c, s, r = t.change.c, t.step.c, t.run.c
    return (
        sa.select(
            c.step_id, c.seq, c.kind, c.action, c.entity_id, c.client_id, c.stream, c.key, c.reason,
            c.rule, c.before, c.after, c.outcome, s.state, s.applied_seq, r.id.label("run"), r.mode,
            r.actor, r.started_at, r.undone_by, t.connection.c.name.label("connection"),
        )
        .join(t.step, s.id == c.step_id)
        .join(t.run, r.id == s.run_id)
        .join(t.connection, t.connection.c.id == r.connection_id, isouter=True)
    )  # fmt: skip


def _narrowed(database: Database, conn: Connection, asked: Asked) -> sa.Select[Any]:
    """The changes that are asked for; those of who was merged into one are that one's, too."""
    c, query = t.change.c, _all_changes()
    if asked.entity is not None:
        ids = list(with_absorbed(conn, asked.entity))
        query = query.where(database.among(c.entity_id, ids))
    if asked.client is not None:
        ids = list(with_absorbed(conn, asked.client))
        query = query.where(
            sa.or_(database.among(c.client_id, ids), database.among(c.entity_id, ids))
        )
    if asked.run is not None:
        stays = sa.and_(c.action == Action.LINK, t.run.c.mode == "undo")
        telling = sa.case(
            (sa.or_(stays, c.outcome.is_not(None)), 0), (c.action.in_(_TELLING), 1), else_=2
        )
        query = query.where(t.step.c.run_id == asked.run)
        return query.order_by(telling, c.step_id, c.seq)
    done = sa.and_(c.seq < t.step.c.applied_seq, t.in_force(t.change))
    return query.where(done).order_by(c.step_id.desc(), c.seq.desc())


def _place(row: Any) -> Place:
    return Place(row.step_id, row.entity_id, row.stream, row.key)


def _change_line(row: Any, names: dict[UUID, str], back: TakenBack) -> ChangeLine:
    values = row.after if row.action == Action.CREATE else {}
    label = names.get(row.entity_id) or str(values.get("name") or row.key or "?")
    apart = told_apart(row.before, row.after, names)
    return ChangeLine(
        row.run,
        row.connection,
        row.mode,
        row.actor,
        row.started_at,
        _status(row, back),
        Kind(row.kind),
        row.action,
        row.entity_id,
        label,
        names.get(row.client_id) if row.client_id else None,
        row.stream,
        row.key,
        row.reason,
        row.rule,
        with_names(row.before, apart),
        with_names(row.after, apart),
    )


def _status(row: Any, back: TakenBack) -> str:
    if row.outcome == "stale":
        return "left out"
    if row.seq < row.applied_seq:
        if row.undone_by:
            return f"undone by run {row.undone_by}"
        done = "partly done" if row.outcome else "done"
        return back.told(_place(row), row.action, row.after) or done
    waiting = {"held": "waiting", "due": "not yet applied"}
    known = ("planned", "rejected", "superseded")
    return waiting.get(row.state) or (row.state if row.state in known else "not applied")


# -- what was set aside ----------------------------------------------------------------------------


def quarantine(
    database: Database, *, connection: str | None = None, key: str | None = None, limit: int = 50
) -> list[AsideLine]:
    """What is in quarantine, oldest first."""
    c = t.quarantine.c
    query = (
        sa.select(
            t.connection.c.name, t.partition.c.name, c.stream, c.key, c.code, c.message, c.fields,
            c.suggestion, c.since, t.step.c.run_id,
        )
        .join(t.partition, t.partition.c.id == c.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .join(t.step, t.step.c.id == c.step_id)
        .order_by(c.since, t.connection.c.name, c.stream, c.key)
    )  # fmt: skip
    if connection is not None:
        query = query.where(t.connection.c.name == connection)
    if key is not None:
        query = query.where(c.key == key)
    if limit:
        query = query.limit(limit)
    return database.query(lambda conn: _aside_lines(database, conn, conn.execute(query).all()))


def count_quarantine(database: Database) -> int:
    """How many items are in quarantine."""
    query = sa.select(sa.func.count()).select_from(t.quarantine)
    return database.query(lambda conn: int(conn.execute(query).scalar_one()))


ASIDE = "aside"
"""In the counts of a planned step: [stream, key, code, message, fields, suggestion] of each one."""


def set_aside_by(database: Database, run: int, limit: int = 50) -> list[AsideLine]:
    """What a run set aside: as its plan says while that is all there is, else as it stands now."""

    def look(conn: Connection) -> list[AsideLine]:
        rows = [row for step in _steps(conn, run) for row in _drafted(database, conn, step)]
        return _aside_lines(database, conn, rows[:limit] if limit else rows)

    drafted = database.query(look)
    if drafted:
        return drafted
    return [one for one in quarantine(database, limit=0) if one.run == run][: limit or None]


def _steps(conn: Connection, run: int) -> list[Any]:
    s = t.step.c
    query = (
        sa.select(
            s.id, s.run_id, s.counts, t.partition.c.name.label("partition"), t.connection.c.name
        )
        .join(t.partition, t.partition.c.id == s.partition_id)
        .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
        .where(s.run_id == run)
        .order_by(s.id)
    )
    return list(conn.execute(query))


def _drafted(database: Database, conn: Connection, step: Any) -> Iterable[tuple[Any, ...]]:
    planned: list[list[Any]] = list(step.counts.get(ASIDE, ()))
    for page in Draft(database, step.id).pages(conn):
        for one in page.body.quarantined:
            told = [one.code, one.message, list(one.fields), one.suggestion]
            planned.append([one.stream, one.key, *told])
    for each in planned:
        yield (step.name, step.partition, *each, None, step.run_id)


def _aside_lines(database: Database, conn: Connection, rows: Sequence[Any]) -> list[AsideLine]:
    rivals = {row[:4]: [UUID(hex=one) for one in row[7].split(",") if one] for row in rows}
    names = labels(database, conn, {one for ids in rivals.values() for one in ids})
    return [
        AsideLine._make(
            (*row[:7], [names[one] for one in rivals[row[:4]] if one in names], *row[8:])
        )
        for row in rows
    ]
