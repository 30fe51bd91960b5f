"""Counting a draft by SQL: what guards compare, what a run reports, and the digest of a plan."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, Effect
from syncd.entities import Kind
from syncd.store import licenses
from syncd.store import tables as t
from syncd.store.bulk import chunks, json_text
from syncd.store.database import Database

RECREATED = "perhaps re-created"
"""The count of a step's creations whose key belonged to a record that is gone."""


@dataclass(slots=True)
class UserCounts:
    """What a plan does to the users of one client; `active` and `total` before the plan.

    `releasing` counts licenses, of `assigned` ones in the client.
    """

    client: str = ""
    active: int = 0
    total: int = 0
    creating: int = 0
    leaving: int = 0
    left_today: int = 0
    moving: int = 0
    site_moves: int = 0
    key_changes: int = 0
    releasing: int = 0
    assigned: int = 0


def of_draft(database: Database, conn: Connection, step: int) -> list[UserCounts]:
    """Per client: what the step's plan does to its users, and how many it has."""
    counts: dict[UUID, UserCounts] = defaultdict(UserCounts)
    c = t.change.c
    leaving = c.action.in_([Action.DEACTIVATE, Action.MISS])
    query = (
        sa.select(
            c.client_id,
            _count(c.action == Action.CREATE),
            _count(leaving),
            _count(c.action == Action.MOVE),
            _count(c.effects.op("&")(int(Effect.SITE_MOVE)) != 0),
            _count(c.effects.op("&")(int(Effect.KEY_CHANGE)) != 0),
            _count(licenses.takes(c)),
        )
        .where(c.step_id == step, c.kind == Kind.USER, _matters(c))
        .group_by(c.client_id)
    )
    for client, creating, leaves, moving, site_moves, key_changes, releasing in conn.execute(query):
        one = counts[client]
        one.creating, one.leaving, one.moving = creating, leaves, moving
        one.site_moves, one.key_changes, one.releasing = site_moves, key_changes, releasing
    if not counts:
        return []
    _add_present(database, conn, counts)
    if any(one.leaving for one in counts.values()):
        _add_left_today(database, conn, step, counts)
    if any(one.releasing for one in counts.values()):
        _add_licenses(database, conn, step, counts)
    return [one for client, one in sorted(counts.items(), key=lambda pair: str(pair[0]))]


def _matters(c: sa.sql.base.ReadOnlyColumnCollection[str, Any]) -> sa.ColumnElement[bool]:
    """Changes that some guard counts; most are plain updates, of no interest to any."""
    actions = (Action.CREATE, Action.DEACTIVATE, Action.MISS, Action.MOVE)
    effects = int(Effect.SITE_MOVE | Effect.KEY_CHANGE) | licenses.TAKING
    return sa.or_(c.action.in_(actions), c.effects.op("&")(effects) != 0)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _add_present(database: Database, conn: Connection, counts: dict[UUID, UserCounts]) -> None:
    c = t.user.c
    present = sa.select(c.client_id, sa.func.count(), _count(c.active)).group_by(c.client_id)
    present = present.where(sa.not_(c.retired))
    names = sa.select(t.client.c.id, t.client.c.name)
    for ids in chunks(list(counts)):
        for client, total, active in conn.execute(present.where(database.among(c.client_id, ids))):
            counts[client].total, counts[client].active = total, active
        for client, name in conn.execute(names.where(database.among(t.client.c.id, ids))):
            counts[client].client = name


def _add_licenses(
    database: Database, conn: Connection, step: int, counts: dict[UUID, UserCounts]
) -> None:
    """How many licenses go, where it was known only how many users lose any."""
    of_leavers, of_others = licenses.to_be_released(conn, step), licenses.to_be_lost(conn, step)
    for client in {*of_leavers, *of_others}:
        if client is not None:
            counts[client].releasing = of_leavers[client] + of_others[client]
    for client, count in licenses.assigned(database, conn, list(counts)).items():
        counts[client].assigned = count


def _add_left_today(
    database: Database, conn: Connection, step: int, counts: dict[UUID, UserCounts]
) -> None:
    """What other plans deactivated in the last 24 hours and nobody approved or undid. Of an undo,
    whole or in part, only those count whom it made active again.
    """
    c, s, r = t.change.c, t.step.c, t.run.c
    since = database.now(conn) - timedelta(hours=24)
    approved = sa.select(t.hold.c.step_id).where(t.hold.c.state == "approved")
    query = (
        sa.select(c.client_id, sa.func.count())
        .join(t.step, s.id == c.step_id)
        .join(t.run, r.id == s.run_id)
        .where(r.started_at >= since, r.mode == "apply", s.id != step, sa.not_(_is_back()))
        .where(s.id.not_in(approved), c.seq < s.applied_seq, c.outcome.is_(None))
        .where(c.action == Action.DEACTIVATE, c.kind == Kind.USER)
        .group_by(c.client_id)
    )
    for client, left in conn.execute(query):
        if client in counts:
            counts[client].left_today = left


def _is_back() -> sa.ColumnElement[bool]:
    """Whether an undo of its run took the deactivation of a user back."""
    undone, step, run = t.change.alias(), t.step.alias(), t.run.alias()
    return (
        sa.exists()
        .where(undone.c.entity_id == t.change.c.entity_id, undone.c.after["active"].as_boolean())
        .where(step.c.id == undone.c.step_id, undone.c.seq < step.c.applied_seq)
        .where(run.c.id == step.c.run_id, run.c.undoes == t.run.c.id, t.in_force(undone))
    )


def of_run(conn: Connection, run: int) -> tuple[int, int]:
    """(users leaving by the run's other steps, active users on the desk)."""
    c, s = t.change.c, t.step.c
    leaving = (
        sa.select(sa.func.count())
        .join(t.step, s.id == c.step_id)
        .where(s.run_id == run, c.kind == Kind.USER, s.state != "held")
        .where(c.action.in_([Action.DEACTIVATE, Action.MISS]))
    )
    active = sa.select(sa.func.count()).select_from(t.user)
    active = active.where(t.user.c.active, sa.not_(t.user.c.retired))
    return conn.execute(leaving).scalar_one(), conn.execute(active).scalar_one()


def active_in(conn: Connection, partition: int) -> int:
    """How many active users a partition's records are tied to."""
    c = t.link.c
    tied = t.user.join(t.link, c.entity_id == t.user.c.id)
    query = sa.select(sa.func.count()).select_from(tied)
    query = query.where(c.partition_id == partition, t.user.c.active, sa.not_(t.user.c.retired))
    return int(conn.execute(query).scalar_one())


def summary(conn: Connection, step: int) -> dict[str, int]:
    """Changes of a step by what they do: `create user` -> 12, …; under `stale` those of which
    something was left out.
    """
    c = t.change.c
    query = sa.select(c.kind, c.action, c.outcome, sa.func.count()).where(c.step_id == step)
    counts: dict[str, int] = defaultdict(int)
    for kind, action, outcome, count in conn.execute(query.group_by(c.kind, c.action, c.outcome)):
        if outcome != "stale":
            counts[f"{action} {kind}"] += count
        if outcome is not None:
            counts["stale"] += count
    return dict(counts)


def concerned(conn: Connection, run: int) -> tuple[int, int]:
    """(users, clients that they are in) that any change of a run is about."""
    c = t.change.c
    query = (
        sa.select(sa.func.count(sa.distinct(c.entity_id)), sa.func.count(sa.distinct(c.client_id)))
        .join(t.step, t.step.c.id == c.step_id)
        .where(t.step.c.run_id == run, c.kind == Kind.USER)
    )
    users, clients = conn.execute(query).one()
    return users, clients


def plan_digest(conn: Connection, step: int) -> str:
    """A digest of what a step's plan does: equal for equal plans, whatever order and new ids."""
    born = _born(conn, step)
    total = 0
    for row in _rows(conn, step):
        text = json_text(
            [
                *row[:5],
                born.get(row[5], row[5].hex),
                born.get(row[6], row[6].hex if row[6] else None),
                _plain(row[7], born),
                _plain(row[8], born),
            ]
        )
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        total = (total + int.from_bytes(digest, "big")) % (1 << 128)
    return f"{total:032x}"


def _born(conn: Connection, step: int) -> dict[UUID, str]:
    """Clients and sites that the plan creates, by a name that does not change between plans."""
    c = t.change.c
    query = sa.select(c.entity_id, c.stream, c.key).where(
        c.step_id == step, c.action == Action.CREATE, c.kind != Kind.USER
    )
    return {row[0]: f"new:{row[1]}:{row[2]}" for row in conn.execute(query)}


def _rows(conn: Connection, step: int) -> Iterator[Any]:
    c = t.change.c
    query = sa.select(
        c.kind, c.action, c.stream, c.key, c.rule, c.entity_id, c.client_id, c.before, c.after
    ).where(c.step_id == step)
    for row in conn.execute(query.execution_options(yield_per=2000)):
        if row[1] == Action.CREATE and row[0] == Kind.USER:
            yield (*row[:5], UUID(int=0), *row[6:])
        else:
            yield row


def _plain(values: dict[str, Any], born: dict[UUID, str]) -> list[Any]:
    def name(field: str, value: Any) -> Any:
        if field in ("site", "client") and value:
            return born.get(UUID(hex=value), value)
        return value

    return sorted((field, json_text(name(field, value))) for field, value in values.items())
