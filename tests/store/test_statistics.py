"""A database that was filled at once: its tables are known before anybody asks much of them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from syncd.store import bulk, statistics
from syncd.store import tables as t
from syncd.store.database import Database, Transaction


def fill(database: Database, rows: int, stream: str = "people") -> None:
    """Stored items of about a hundred bytes each."""
    columns = ("partition_id", "stream", "key", "raw")
    given = [(1, stream, f"{number:06}", b"x" * 100) for number in range(rows)]
    database.transact(lambda conn: bulk.insert(database, conn, t.item, columns, given))
    if database.dialect == "postgresql":  # it counts what was written within a second by itself
        database.query(lambda conn: conn.exec_driver_sql("select pg_stat_force_next_flush()").all())


def known(database: Database) -> set[str]:
    """The tables that there are statistics of."""

    def look(conn: Transaction) -> set[str]:
        query = "select tablename from pg_stats where schemaname = current_schema()"
        return set(conn.execute(sa.text(query)).scalars())

    return database.query(look)


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_large_table_without_statistics_gets_some(database: Database) -> None:
    fill(database, 20_000)

    assert statistics.gather(database) == ["item"]

    assert known(database) == {"item"}


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_statistics_are_gathered_again_when_much_has_changed_since(database: Database) -> None:
    fill(database, 20_000)
    with database.engine.begin() as conn:
        conn.exec_driver_sql("analyze item")
    assert statistics.gather(database) == []

    fill(database, 3_000, stream="groups")
    assert statistics.gather(database) == []

    fill(database, 3_000, stream="sites")
    assert statistics.gather(database) == ["item"]


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_small_table_needs_none(database: Database) -> None:
    fill(database, 10)

    assert statistics.gather(database) == []


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_table_that_another_process_works_on_is_left_alone(database: Database) -> None:
    fill(database, 20_000)
    with database.engine.connect() as other, other.begin():
        other.exec_driver_sql("lock table item in share update exclusive mode")

        statistics.gather(database)

    assert "item" not in known(database)


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_whoever_does_not_own_the_tables_is_not_stopped(database: Database) -> None:
    fill(database, 20_000)
    with database.engine.connect() as conn, conn.begin():
        conn.exec_driver_sql("create role syncd_guest")
        conn.exec_driver_sql("grant usage on schema public to syncd_guest")
        conn.exec_driver_sql("grant all on all tables in schema public to syncd_guest")
        conn.exec_driver_sql("set local role syncd_guest")
        given = {"names": sorted(t.metadata.tables), "large": statistics.LARGE, "changed": 0.2}
        assert conn.execute(statistics._UNKNOWN, given).all() == []
        conn.exec_driver_sql("reset role")
        conn.exec_driver_sql("drop owned by syncd_guest")
        conn.exec_driver_sql("drop role syncd_guest")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_sqlite_plans_without(database: Database) -> None:
    fill(database, 20_000)

    assert statistics.gather(database) == []
