"""Gaps between sources and the desk: what counts as one, and how many there are.

A record of a person is a gap while no user lives by it: it waits in quarantine, or it was read and
is tied to nobody. A user is a gap who is active and whom no source has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Action, Effect, LinkState
from syncd.entities import Kind
from syncd.store import tables as t
from syncd.store.ties import LIVING

PEOPLE = "people"
IDLE = (LinkState.SKIPPED, LinkState.UNDONE, LinkState.UNLINKED)
"""States of links whose record is there and tied to nobody."""
KEY = ("partition_id", "stream", "key")

# -- people who are not on the desk ----------------------------------------------------------------


def count_people(conn: Connection, partitions: Sequence[int]) -> int:
    """How many people of the partitions are not on the desk."""
    q = t.quarantine.c
    waiting = sa.select(sa.func.count()).select_from(t.quarantine)
    waiting = waiting.where(q.partition_id.in_(partitions), q.stream == PEOPLE, without_user())
    found = _count_idle(conn, partitions, {})
    if LinkState.UNDONE in found:  # hardly ever, and steps are many and long
        found = _count_idle(conn, partitions, vanished(conn, partitions))
    return int(conn.execute(waiting).scalar_one()) + sum(found.values())


def _count_idle(
    conn: Connection, partitions: Sequence[int], vanished: Mapping[int, int]
) -> dict[str, int]:
    state = t.link.c.state
    query = sa.select(state, sa.func.count()).where(*idle(partitions, vanished)).group_by(state)
    return {row[0]: row[1] for row in conn.execute(query)}


def without_user() -> sa.ColumnElement[bool]:
    """Of items in quarantine: their record has no user yet; one that has is on the desk, whatever
    is wrong with its newest version.
    """
    same = (t.link.c[name] == t.quarantine.c[name] for name in KEY)
    return ~sa.exists().where(*same, t.link.c.state.in_(LIVING))


def idle(
    partitions: Sequence[int], vanished: Mapping[int, int]
) -> tuple[sa.ColumnElement[bool], ...]:
    """Of links: people whose records were read and are tied to nobody, and wait for nothing;
    `vanished` as the function of that name tells it.
    """
    c = t.link.c
    same = (c[name] == t.quarantine.c[name] for name in KEY)
    past = [
        sa.and_(c.partition_id == partition, c.state == LinkState.UNDONE, c.step_id < step)
        for partition, step in vanished.items()
    ]
    return (
        c.partition_id.in_(partitions),
        c.stream == PEOPLE,
        c.state.in_(IDLE),
        ~sa.exists().where(*same),
        ~sa.or_(sa.false(), *past),
    )


def vanished(conn: Connection, partitions: Sequence[int]) -> dict[int, int]:
    """By partition: the last step that synced it. Records that were undone before it and are still
    undone are not in the source any more: the sync after an undo reads and plans everything anew.
    """
    s = t.step.c
    query = (
        sa.select(s.partition_id, sa.func.max(s.id))
        .join(t.run, t.run.c.id == s.run_id)
        .where(s.partition_id.in_(partitions), s.state == "done", t.run.c.mode == "apply")
        .group_by(s.partition_id)
    )
    return {row[0]: row[1] for row in conn.execute(query)}


# -- users whom no source has ----------------------------------------------------------------------


def count_users(conn: Connection) -> int:
    """How many active users no source has.

    Two questions, for they take half the time of one that looks at the links of every user: who
    has no link is found by an index alone, and links that are not alive are few.
    """
    c, u = t.link.c, t.user.c
    never = sa.select(sa.func.count()).select_from(t.user)
    never = never.where(~sa.select(c.entity_id).where(c.entity_id == u.id).exists(), *_present())
    lost = sa.select(sa.func.count(u.id.distinct())).join(t.link, c.entity_id == u.id)
    lost = lost.where(c.state.not_in(LIVING), *alone())
    return int(conn.execute(never).scalar_one()) + int(conn.execute(lost).scalar_one())


def _present() -> tuple[sa.ColumnElement[bool], ...]:
    return t.user.c.active, sa.not_(t.user.c.retired)


def alone() -> tuple[sa.ColumnElement[bool], ...]:
    """Of users: those who are active, and whom no source has."""
    other = t.link.alias("other")
    held = sa.exists().where(other.c.entity_id == t.user.c.id, other.c.state.in_(LIVING))
    return (*_present(), ~held)


def ties_stand(conn: Connection, step: int) -> bool:
    """Whether what a step wrote surely made no source lose or gain a user: it did nothing but
    update and create users, matched nobody, and every link that it wrote had its user before.
    """
    c, h = t.change.c, t.item_history.c
    plain = sa.and_(c.action.in_((Action.CREATE, Action.UPDATE)), c.rule == "")
    plain = sa.and_(plain, c.effects.op("&")(int(Effect.REVIVES)) == 0)
    changed = sa.select(c.seq).where(c.step_id == step, c.kind == Kind.USER, ~plain)
    before = h.link["state"].as_string()
    turned = sa.select(h.key).where(h.step_id == step, h.stream == PEOPLE, before.not_in(LIVING))
    return not any(conn.execute(query.limit(1)).first() for query in (changed, turned))
