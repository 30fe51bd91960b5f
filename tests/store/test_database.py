"""Transactions that survive what happens to a connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.errors import StoreUnavailable
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import ATTEMPTS, Database

VALUES = {
    "name": "people",
    "connector": "csv",
    "state": "active",
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
}
ITEM = (1, "people", "ada", b"{}")


@pytest.fixture
def impatient(database_url: str) -> Iterator[Database]:
    """A database that ends a transaction in which nothing happens for a fifth of a second."""
    opened = Database(database_url, idle_seconds=0.2)
    yield opened
    opened.close()


def look(_database: Database, conn: Connection) -> None:
    conn.execute(sa.select(sa.literal(1)))


def copy(database: Database, conn: Connection) -> None:
    """Past SQLAlchemy, as bulk writes go."""
    bulk.insert(database, conn, t.item, ("partition_id", "stream", "key", "raw"), [ITEM])


def nothing(_database: Database, _conn: Connection) -> None:
    """The next statement is the commit."""


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.parametrize("then", [look, copy, nothing])
def test_a_transaction_that_was_ended_for_its_silence_is_done_again(
    impatient: Database, then: Callable[[Database, Connection], None]
) -> None:
    tries = []

    def work(conn: Connection) -> None:
        conn.execute(sa.insert(t.connection).values(VALUES))
        tries.append(conn)
        if len(tries) == 1:
            time.sleep(0.6)
            then(impatient, conn)

    impatient.transact(work)

    assert len(tries) == 2
    count = sa.select(sa.func.count()).select_from(t.connection)
    assert impatient.query(lambda conn: conn.execute(count).scalar_one()) == 1


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_transaction_that_is_ended_for_its_silence_each_time_has_written_nothing(
    impatient: Database,
) -> None:
    tries = []

    def work(conn: Connection) -> None:
        conn.execute(sa.insert(t.connection).values(VALUES))
        tries.append(conn)
        time.sleep(0.6)

    with pytest.raises(StoreUnavailable, match="nothing of this page or batch was written"):
        impatient.transact(work)

    assert len(tries) == ATTEMPTS
    count = sa.select(sa.func.count()).select_from(t.connection)
    assert impatient.query(lambda conn: conn.execute(count).scalar_one()) == 0


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_read_that_was_ended_for_its_silence_says_that_the_database_is_not_there(
    impatient: Database,
) -> None:
    def asleep() -> None:
        with impatient.read() as conn:
            look(impatient, conn)
            time.sleep(0.6)
            look(impatient, conn)

    with pytest.raises(StoreUnavailable):
        asleep()
    assert impatient.query(lambda conn: conn.execute(sa.select(sa.literal(1))).scalar_one()) == 1
