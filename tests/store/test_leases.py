"""Leases on a partition: one owner at a time, on the database's clock, and a growing fence."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from syncd.errors import Busy, LeaseLost
from syncd.store import leases
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.leases import Lease
from syncd.store.runs import Runs


@pytest.fixture
def partition(database: Database) -> int:
    runs = Runs(database)
    row = runs.ensure_connection("people", "csv")
    return database.transact(lambda conn: runs.ensure_partition(conn, row.id, "", "all"))


def claim(database: Database, partition: int, seconds: float = 60) -> Lease:
    return database.transact(lambda conn: leases.claim(database, conn, partition, seconds))


def test_a_lease_is_one_owners_until_it_is_let_go(database: Database, partition: int) -> None:
    first = claim(database, partition)
    with pytest.raises(Busy):
        claim(database, partition)

    database.transact(first.release)
    second = claim(database, partition)
    assert second.fence == first.fence + 1


def test_a_lease_ends_after_its_silence_and_its_late_writer_is_refused(
    database: Database, partition: int
) -> None:
    """D05"""
    late = claim(database, partition)
    database.clock_offset = timedelta(seconds=61)
    claim(database, partition)

    with pytest.raises(LeaseLost):
        database.transact(lambda conn: late.hold(database, conn))
    database.transact(late.release)  # not theirs any more: nothing happens
    with pytest.raises(Busy):
        claim(database, partition)


def test_a_lease_lives_on_while_it_is_renewed(database: Database, partition: int) -> None:
    lease = claim(database, partition)
    for seconds in (50, 100, 150):
        database.clock_offset = timedelta(seconds=seconds)
        database.transact(lambda conn: lease.hold(database, conn))

    with pytest.raises(Busy):
        claim(database, partition)


def test_the_lease_of_a_dead_process_of_this_machine_is_free(
    database: Database, partition: int
) -> None:
    claim(database, partition)
    dead = f"{leases._place()}:999999999:x"
    with database.engine.begin() as conn:
        conn.execute(sa.update(t.partition).values(lease_owner=dead))

    assert claim(database, partition).fence == 2
