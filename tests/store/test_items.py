"""Stored items, read again: which of them count, and in which order they come."""

from __future__ import annotations

from itertools import chain

import pytest
import sqlalchemy as sa

from syncd.changes import LinkState
from syncd.store import items
from syncd.store import tables as t
from syncd.store.database import Database, Transaction
from syncd.store.runs import Runs


@pytest.fixture
def partition(database: Database) -> int:
    """A partition of a connection without any item."""
    connection = Runs(database).ensure_connection("people", "csv").id
    return database.transact(lambda conn: Runs(database).ensure_partition(conn, connection, "", ""))


def standing(database: Database, partition: int) -> items.Items:
    return [item for page in items.standing(database, partition, "people", 10) for item in page]


def store(
    conn: Transaction, partition: int, key: str, state: str = "alive", note: str = ""
) -> None:
    """An item with its link."""
    where = {"partition_id": partition, "stream": "people", "key": key}
    conn.execute(sa.insert(t.item).values(**where, raw=key.encode()))
    conn.execute(
        sa.insert(t.link).values(
            **where, state=state, note=note, kind="user", matched_by="", misses=0, owner="",
            pinned=False, step_id=1,
        )
    )  # fmt: skip


def set_aside(
    database: Database, conn: Transaction, partition: int, key: str, raw: bytes | None
) -> None:
    conn.execute(
        sa.insert(t.quarantine).values(
            partition_id=partition, stream="people", key=key, code="x", message="", fields=[],
            suggestion="", raw=raw, step_id=1, since=database.now(conn),
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "note", "stands"),
    [
        ("alive", "", True),
        ("alive", "out_of_scope", True),
        ("skipped", "out_of_scope", True),
        ("leaving", "disabled", True),
        ("undone", "", True),
        ("unlinked", "", True),
        ("missed", "absent", False),
        ("missed", "deleted", False),
        ("gone", "absent", False),
        ("gone", "deleted", False),
        ("gone", "access_lost", False),
    ],
)
def test_an_item_counts_while_its_record_is_in_its_source(
    database: Database, partition: int, state: str, note: str, stands: bool
) -> None:
    assert state in set(LinkState)

    database.transact(lambda conn: store(conn, partition, "a", state, note))

    assert standing(database, partition) == ([("a", b"a")] if stands else [])


def test_items_come_page_by_page_by_key_and_each_of_them_once(
    database: Database, partition: int
) -> None:
    keys = ["B", "a", "b", "ä", "z", "中", "10", "9"]

    def work(conn: Transaction) -> None:
        for key in keys:
            store(conn, partition, key, "gone" if key in "ab" else "alive")
        store(conn, partition + 1, "elsewhere")

    database.transact(work)

    for size in (1, 2, 3, 100):
        pages = list(items.standing(database, partition, "people", size))
        assert max(map(len, pages)) <= size
        found = [key for page in pages for key, _ in page]
        assert sorted(found) == sorted({*keys} - {"a", "b"})


def test_of_an_item_in_quarantine_only_its_newest_bytes_count(
    database: Database, partition: int
) -> None:
    def work(conn: Transaction) -> None:
        for key in ("a", "b", "c"):
            store(conn, partition, key)
        set_aside(database, conn, partition, "b", b"newer")
        set_aside(database, conn, partition, "c", None)
        set_aside(database, conn, partition, "d", b"never linked")

    database.transact(work)

    assert standing(database, partition) == [("a", b"a")]
    aside = [list(items.set_aside(database, partition, "people", size)) for size in (1, 10)]
    assert aside == [[[("b", b"newer")], [("d", b"never linked")]], [[*chain(*aside[0])]]]


def test_partitions_are_those_that_are_listed_and_hold_something(database: Database) -> None:
    runs = Runs(database)
    connection = runs.ensure_connection("people", "csv").id

    def work(conn: Transaction) -> list[tuple[str, str]]:
        for key in ("linked", "aside", "empty", "unlisted"):
            number = runs.ensure_partition(conn, connection, key, key.title())
            if key == "aside":
                set_aside(database, conn, number, "x", None)
            elif key != "empty":
                store(conn, number, "x")
        gone = t.partition.c.key == "unlisted"
        conn.execute(sa.update(t.partition).where(gone).values(state="unlisted"))
        return items.partitions(conn, connection)

    assert database.transact(work) == [("linked", "Linked"), ("aside", "Aside")]
