"""Standing words as they are stored: what people said about records, when, and by which run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.changes import Verdict, Word
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


class Standing(NamedTuple):
    """A word that stands; `run` is None where that is not known any more."""

    word: Word
    at: datetime
    step: int
    run: int | None


def about(
    database: Database, conn: Connection, partition: int, stream: str, keys: Sequence[str]
) -> dict[str, Standing]:
    """The words that stand about records of one stream, by key."""
    c = t.decision.c
    query = sa.select(
        c.key, c.verdict, c.entity_id, c.actor, c.reason, c.decided_at, c.step_id, t.step.c.run_id
    )
    query = query.join(t.step, t.step.c.id == c.step_id, isouter=True)
    query = query.where(c.partition_id == partition, c.stream == stream)
    return {
        row[0]: Standing(Word(Verdict(row[1]), *row[2:5]), *row[5:])
        for chunk in bulk.chunks(keys)
        for row in conn.execute(query.where(database.among(c.key, chunk)))
    }
