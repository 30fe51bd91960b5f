"""What past runs did, as an undo needs it: changes, links of then, what others did since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, Change, Effect, LinkState
from syncd.entities import Kind
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.partitions import RETIRING
from syncd.store.undone import Place, Wanted, taken_back, undo_steps

LASTING = ("apply", "edit", "review", "merge", *RETIRING)
"""The modes of runs that change something for good."""


@dataclass(frozen=True, slots=True)
class Undoable:
    """A run as the candidate of an undo; `steps` are (step, partition) that applied something."""

    run: int
    connection: int | None
    connection_name: str | None
    mode: str
    state: str
    undone_by: int | None
    steps: tuple[tuple[int, int | None], ...]

    def refusal(self) -> str | None:
        """Why it cannot be undone, or None."""
        if self.state == "open":
            return "it is still open"
        if self.undone_by is not None:
            return f"run {self.undone_by} did so already"
        if self.mode == "relink":
            return (
                "it gave records other keys; to go back, set `key` back and say "
                f"syncd connections relink {self.connection_name}"
            )
        if self.mode not in LASTING:
            return f"it is a run of mode {self.mode}"
        return None if self.steps else "it applied nothing"


class PastLink(NamedTuple):
    """A link, and its item, as they were before a step."""

    state: str
    entity: UUID | None
    matched_by: str
    misses: int
    missed_at: float | None
    raw: bytes | None
    note: str = ""
    owner: str = ""
    counted_at: float | None = None
    pinned: bool = False


def undoable(conn: Connection, run: int) -> Undoable | None:
    """The run, if there is one."""
    r, s = t.run.c, t.step.c
    query = (
        sa.select(r.connection_id, t.connection.c.name, r.mode, r.state, r.undone_by)
        .join(t.connection, t.connection.c.id == r.connection_id, isouter=True)
        .where(r.id == run)
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    steps = sa.select(s.id, s.partition_id).where(s.run_id == run, s.applied_seq > 0)
    found = tuple((one[0], one[1]) for one in conn.execute(steps.order_by(s.id.desc())))
    return Undoable(run, *row, found)


def open_undo(conn: Connection, run: int) -> int | None:
    """The run that is undoing this run, if a crash left it open."""
    c = t.run.c
    query = sa.select(c.id).where(c.undoes == run, c.state == "open")
    return conn.execute(query).scalar()


def applied(
    conn: Connection, step: int, kind: Kind, wanted: Wanted, before: int | None, limit: int
) -> list[Change]:
    """Changes that a step made to one kind of what is wanted, newest first, with seq < before; its
    fields are not looked at.
    """
    c = t.change.c
    last = sa.select(t.step.c.applied_seq).where(t.step.c.id == step).scalar_subquery()
    query = sa.select(
        c.kind, c.action, c.entity_id, c.client_id, c.stream, c.key, c.reason, c.after, c.before,
        c.rule, c.effects, c.seq,
    )  # fmt: skip
    query = query.where(c.step_id == step, c.kind == kind, c.seq < last, c.outcome.is_(None))
    query = query.where(*_changes_of(wanted))
    if before is not None:
        query = query.where(c.seq < before)
    rows = conn.execute(query.order_by(c.seq.desc()).limit(limit))
    return [Change(Kind(row[0]), Action(row[1]), *row[2:]) for row in rows]


def _changes_of(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """Changes of the users that are wanted; of the clients, their sites and users, those included
    that the change took away from there.
    """
    c = t.change.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.users:
        found.append(c.entity_id.in_(wanted.users))
    if clients := wanted.clients:
        sites = sa.select(t.site.c.id).where(t.site.c.client_id.in_(clients))
        came_from = c.before["client"].as_string().in_([one.hex for one in clients])
        left = sa.and_(c.action == Action.MOVE, came_from)
        mine = sa.or_(c.client_id.in_(clients), c.entity_id.in_(clients), c.entity_id.in_(sites))
        found.append(sa.or_(mine, left))
    return found


def links_of(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """Links to the users that are wanted; to the clients, their sites and users."""
    c = t.link.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.users:
        found.append(c.entity_id.in_(wanted.users))
    if clients := wanted.clients:
        owned = [
            c.entity_id.in_(sa.select(table.c.id).where(table.c.client_id.in_(clients)))
            for table in (t.site, t.user)
        ]
        found.append(sa.or_(c.entity_id.in_(clients), *owned))
    return found


def past_links(
    database: Database,
    conn: Connection,
    step: int,
    partition: int | None,
    records: Iterable[tuple[str, str]],
) -> dict[tuple[str, str], PastLink]:
    """The links of records (stream, key) as they were before the step; new ones are left out."""
    keys: dict[str, list[str]] = defaultdict(list)
    for stream, key in records:
        keys[stream].append(key)
    c = t.item_history.c
    query = sa.select(c.key, c.link, c.raw).where(c.step_id == step, c.partition_id == partition)
    return {
        (stream, key): _past(link, raw)
        for stream, wanted in keys.items()
        for chunk in bulk.chunks(wanted)
        for key, link, raw in conn.execute(
            query.where(c.stream == stream, database.among(c.key, chunk))
        )
    }


def link_json(row: Any) -> str:
    """A stored link as `item_history` keeps it: what `PastLink` is made of."""
    return bulk.json_text(
        {
            "state": row.state,
            "entity": row.entity_id,
            "matched_by": row.matched_by,
            "misses": row.misses,
            "missed_at": row.missed_at,
            "counted_at": row.counted_at,
            "note": row.note,
            "owner": row.owner,
            "pinned": row.pinned,
        }
    )


def _past(link: dict[str, object], raw: bytes | None) -> PastLink:
    entity = link["entity"]
    return PastLink(
        str(link["state"]),
        UUID(hex=str(entity)) if entity else None,
        str(link["matched_by"]),
        int(str(link["misses"])),
        _float(link["missed_at"]),
        raw,
        str(link["note"]),
        str(link.get("owner", "")),
        _float(link["counted_at"]),
        bool(link.get("pinned")),
    )


def _float(value: object) -> float | None:
    return None if value is None else float(str(value))


def written_since(
    database: Database, conn: Connection, step: int, partition: int | None, page: Sequence[Change]
) -> set[tuple[str, str]]:
    """(stream, key) of links of the page's changes that a later sync, or a person's word, wrote,
    and that no undo gave back since.
    """
    c = t.link.c
    query = (
        sa.select(c.stream, c.key)
        .join(t.step, t.step.c.id == c.step_id)
        .join(t.run, t.run.c.id == t.step.c.run_id)
        .where(c.partition_id == partition, c.step_id > step, t.run.c.mode.in_(LASTING))
    )
    keys = list({change.key for change in page if change.stream})
    return {
        (stream, key)
        for chunk in bulk.chunks(keys)
        for stream, key in conn.execute(query.where(database.among(c.key, chunk)))
    }


def kept_by_others(
    database: Database, conn: Connection, step: int, page: Sequence[Change]
) -> dict[UUID, str]:
    """Created entities of the page that an undo must not retire, each with why."""
    created = [change for change in page if change.action is Action.CREATE]
    kept: dict[UUID, str] = {}
    for chunk in bulk.chunks([one.entity for one in created]):
        kept |= _edited_since(database, conn, step, chunk)
        kept |= _linked_elsewhere(database, conn, step, chunk)
        kept |= _joined(database, conn, chunk)
    homes = [one.entity for one in created if one.kind is not Kind.USER]
    for chunk in bulk.chunks(homes):
        kept |= _inhabited(database, conn, step, chunk)
    return kept


def _joined(database: Database, conn: Connection, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Entities into which others were merged."""
    c = t.merged.c
    query = sa.select(c.into_id, t.step.c.run_id).join(t.step, t.step.c.id == c.step_id)
    rows = conn.execute(query.where(database.among(c.into_id, ids)))
    return {row[0]: f"run {row[1]} merged another into it" for row in rows}


def _edited_since(
    database: Database, conn: Connection, step: int, ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Entities that a later step changed for good: no undo took all of that back."""
    c, s, r = t.change.c, t.step.c, t.run.c
    query = (
        sa.select(
            c.step_id, c.entity_id, c.stream, c.key, c.action, c.after, r.id.label("run"),
        )
        .join(t.step, s.id == c.step_id)
        .join(t.run, r.id == s.run_id)
        .where(c.step_id > step, c.seq < s.applied_seq, c.outcome.is_(None))
        .where(c.action != Action.DECIDE)
        .where(r.mode.in_(LASTING), database.among(c.entity_id, ids))
    )  # fmt: skip
    rows = conn.execute(query).all()
    undos = undo_steps(conn, {row.run for row in rows})
    back = taken_back(database, conn, undos, [Place(*row[:4]) for row in rows])
    return {
        row.entity_id: f"run {row.run} changed it since"
        for row in rows
        if back.in_force(Place(*row[:4]), row.action, row.after)
    }


def _linked_elsewhere(
    database: Database, conn: Connection, step: int, ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Entities that another partition's record is tied to, on its way out or not."""
    own = sa.select(t.step.c.partition_id).where(t.step.c.id == step).scalar_subquery()
    c = t.link.c
    tied = c.state.in_((LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING))
    query = sa.select(c.entity_id).where(
        c.partition_id.is_distinct_from(own), tied, database.among(c.entity_id, ids)
    )
    return {row[0]: "another source has it too" for row in conn.execute(query)}


def _inhabited(
    database: Database, conn: Connection, step: int, ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Clients and sites with users or sites that this step neither created nor brought there."""
    c = t.change.c
    came = sa.or_(c.action == Action.CREATE, c.effects.op("&")(int(Effect.SITE_MOVE)) != 0)
    mine = sa.exists().where(c.step_id == step, c.outcome.is_(None), came)
    kept: dict[UUID, str] = {}
    for table, column, what in (
        (t.user, t.user.c.client_id, "users"),
        (t.user, t.user.c.site_id, "users"),
        (t.site, t.site.c.client_id, "sites"),
    ):
        query = sa.select(column).where(
            sa.not_(table.c.retired),
            ~mine.where(c.entity_id == table.c.id),
            database.among(column, ids),
        )
        kept |= {row[0]: f"it has {what} of another origin" for row in conn.execute(query)}
    return kept
