"""Who works on a partition until when, and the growing fence that refuses a late writer.

All times are the database's. A lease whose owner is a dead process of this machine is free at once.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.errors import Busy, LeaseLost
from syncd.store import tables as t
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to one partition, while `fence` is the newest."""

    partition: int
    owner: str
    fence: int
    seconds: float

    def hold(self, database: Database, conn: Connection) -> None:
        """Renew within the caller's transaction, or raise LeaseLost: call first in every write."""
        c = t.partition.c
        until = database.later(conn, self.seconds)
        mine = sa.and_(c.id == self.partition, c.fence == self.fence, c.lease_owner == self.owner)
        renewed = conn.execute(sa.update(t.partition).where(mine).values(lease_until=until))
        if renewed.rowcount != 1:
            raise LeaseLost(
                "another process took over this partition while this one did not answer; "
                "this one wrote nothing more"
            )

    def release(self, conn: Connection) -> None:
        """Let go, if it is still ours."""
        c = t.partition.c
        conn.execute(
            sa.update(t.partition)
            .where(c.id == self.partition, c.fence == self.fence, c.lease_owner == self.owner)
            .values(lease_owner=None, lease_until=None)
        )


def claim(database: Database, conn: Connection, partition: int, seconds: float) -> Lease:
    """Take the partition's lease with the next fence, or raise Busy."""
    c = t.partition.c
    query = sa.select(c.lease_owner, c.lease_until, c.fence).where(c.id == partition)
    owner, until, fence = conn.execute(query.with_for_update()).one()
    now = database.now(conn)
    if owner is not None and until > now and not _is_dead(owner):
        left = (until - now).total_seconds()
        raise Busy(
            f"another process is syncing this connection ({_readable(owner)}); its lease ends in "
            f"{left:.0f} s unless it renews it"
        )
    mine = f"{_place()}:{os.getpid()}:{secrets.token_hex(4)}"
    conn.execute(
        sa.update(t.partition)
        .where(c.id == partition)
        .values(lease_owner=mine, lease_until=now + timedelta(seconds=seconds), fence=fence + 1)
    )
    return Lease(partition, mine, fence + 1, seconds)


@cache
def _place() -> str:
    """This machine, boot and process namespace: where a process number means something."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        pass
    return "-".join(parts)


def _is_dead(owner: str) -> bool:
    place, _, rest = owner.partition(":")
    if place != _place():
        return False
    try:
        os.kill(int(rest.partition(":")[0]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _readable(owner: str) -> str:
    place, _, rest = owner.partition(":")
    return f"process {rest.partition(':')[0]} on {place.partition('-')[0]}"
