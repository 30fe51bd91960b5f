"""Which partitions a run reads, and what is to be said of those that it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from syncd.connectors.base import DEFAULT_PARTITION, Partition
from syncd.store.database import Transaction
from syncd.store.partitions import LISTED, RETIRED, UNLISTED, PartitionRow
from syncd.store.runs import ConnectionRow, Runs

MISSING = "partitions missing"
"""The count of partitions that are not listed any more, where they are suspiciously many."""
MANY = 4
"""Of so many listed partitions no more than half disappear without a word."""
NAMED = 10
"""Partitions that one sentence names."""


@dataclass(slots=True)
class Stock:
    """The partitions that a run reads, and what is to be said of the others. `missing`: how many
    are not listed any more, where that is more than a source should lose at once.
    """

    readable: list[int] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    missing: int = 0


Stocktaking = Callable[[Runs, Transaction, ConnectionRow, Sequence[Partition]], Stock]


def as_found(
    runs: Runs, conn: Transaction, connection: ConnectionRow, found: Sequence[Partition]
) -> Stock:
    """All that was found, whatever else is known: nobody asked the source what it lists."""
    return Stock([runs.ensure_partition(conn, connection.id, *one) for one in found])


def take_stock(
    runs: Runs,
    conn: Transaction,
    connection: ConnectionRow,
    found: Sequence[Partition],
    *,
    remember: bool,
) -> Stock:
    """Compare what the source lists with what is known. What is not listed any more is left as it
    is and not read: nobody is retired. `remember`: whether the run may change anything.
    """
    known = runs.partitions(conn, connection.id)
    if not found and all(one.key == DEFAULT_PARTITION.key for one in known):
        found = [DEFAULT_PARTITION]
    stock, keys = Stock(), {one.key for one in found}
    gone = [one for one in known if one.state == LISTED and one.key not in keys]
    before = sum(one.state == LISTED for one in known)
    if gone and (not found or (before >= MANY and 2 * len(gone) > before)):
        stock.missing = len(gone)
    if gone:
        stock.notices.append(_gone_sentence(connection.name, gone))
    listed = _listed(runs, conn, connection, found, stock)
    if remember:
        runs.set_partitions(conn, [one.id for one in gone], UNLISTED)
        runs.set_partitions(conn, listed, LISTED)
    return stock


def _listed(
    runs: Runs,
    conn: Transaction,
    connection: ConnectionRow,
    found: Sequence[Partition],
    stock: Stock,
) -> list[int]:
    """All that are listed and not retired; those that can be read go into the stock."""
    ids = [runs.ensure_partition(conn, connection.id, *one) for one in found]
    rows = {one.id: one for one in runs.partitions(conn, connection.id)}
    waiting = runs.waiting_to_retire(conn, connection.id)
    listed = [one for one in dict.fromkeys(ids) if rows[one].state != RETIRED]
    for one in listed:
        if one in waiting:  # its plan must stay what would happen
            sentence = "is not read while a plan to retire it waits for a decision: syncd review"
            stock.notices.append(f"{rows[one].label} {sentence}")
        else:
            stock.readable.append(one)
    return listed


def _gone_sentence(connection: str, gone: Sequence[PartitionRow]) -> str:
    names = [one.label for one in gone[:NAMED]]
    if len(gone) > NAMED:
        names.append(f"{len(gone) - NAMED} more")
    return (
        f"not listed by the source any more, so not read: {', '.join(names)}; all that came from "
        f"there stays; if it is gone for good: syncd connections retire {connection} PARTITION"
    )
