"""In however many parts a run is taken back, it ends as if it went at once; what is kept stays."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from hypothesis import given, note, settings
from hypothesis import strategies as st

from syncd.entities import Kind
from syncd.errors import UsageError
from syncd.store import answers_runs
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.dump import canonical_dump
from syncd.store.entities import load_entities
from syncd.store.undone import Wanted
from syncd.sync import connections, undoing
from syncd.sync.engine import Engine
from tests.properties.directory import Directory, histories
from tests.properties.states import aside, difference, plan
from tests.properties.worlds import NAME, Worlds, sync

settings.load_profile("sameness")

FIELDS = ("name", "email", "login", "job_title", "site", "client", "active")


class Part(NamedTuple):
    """A part of whatever a run did: the users and clients of changes at these places, fields."""

    users: list[int]
    clients: list[int]
    fields: set[str]

    def of(self, database: Database, run: int, *, keep: bool = False) -> Wanted:
        done = answers_runs.changes(database, answers_runs.Asked(run=run, limit=0))
        users = sorted({one.entity for one in done if one.kind is Kind.USER})
        clients = database.query(
            lambda conn: sorted(conn.execute(sa.select(t.client.c.id)).scalars())
        )
        return Wanted(
            frozenset(users[at % len(users)] for at in self.users if users),
            frozenset(clients[at % len(clients)] for at in self.clients if clients),
            frozenset(self.fields),
            keep,
        )


places = st.lists(st.integers(0, 5), max_size=2)
parts = st.builds(Part, places, places, st.sets(st.sampled_from(FIELDS), max_size=3))


def lived(engine: Engine, days: list[Directory]) -> int:
    """The last run of a history."""
    return [sync(engine, day).run for day in days][-1]


def undone(engine: Engine, run: int, wanted: Wanted) -> bool:
    """Whether there was anything to take back."""
    try:
        outcome = undoing.undo(engine, run, "me", wanted)
    except UsageError as nothing:
        note(str(nothing))
        return False
    assert not outcome.counts.get("stale"), outcome
    return True


def ended(engine: Engine) -> str:
    dump = canonical_dump(engine.database, retired=False)
    return dump.replace('"settled":true', '"settled":false') + aside(engine.database)


@given(histories(), st.lists(parts, min_size=1, max_size=3))
def test_an_undo_in_parts_ends_like_one_of_the_whole(
    worlds: Worlds, days: list[Directory], pieces: list[Part]
) -> None:
    engine = worlds.new()
    run = lived(engine, days)
    after = canonical_dump(engine.database, retired=False)
    worlds.keep("whole.db")
    undone(engine, run, Wanted())
    expected = ended(engine)

    engine = worlds.back_to("whole.db")
    note(plan(engine.database, run))
    for piece in pieces:
        undone(engine, run, piece.of(engine.database, run))
    undone(engine, run, Wanted())

    assert difference(expected, ended(engine)) == ""
    connections.resume(engine, NAME, "me")
    sync(engine, days[-1])
    assert difference(after, canonical_dump(engine.database, retired=False)) == ""


@given(histories(), parts)
def test_no_sync_touches_what_an_undo_kept(
    worlds: Worlds, days: list[Directory], piece: Part
) -> None:
    engine = worlds.new()
    run = lived(engine, days)
    if not undone(engine, run, piece.of(engine.database, run, keep=True)):
        return
    connections.resume(engine, NAME, "me")

    sync(engine, days[-1])

    assert broken_words(engine.database) == []


def broken_words(database: Database) -> list[str]:
    """Fields with another value than the one that a person set."""
    with database.read() as conn:
        ids = {
            kind: conn.execute(sa.select(t.TABLE_OF[kind].c.id)).scalars().all() for kind in Kind
        }
        stored = [
            one for kind in Kind for one in load_entities(database, conn, kind, ids[kind]).values()
        ]
    found = []
    for entity in stored:
        values = {name: str(value) for name, value in entity.values.items()}
        values |= {"client": _hex(entity.client), "site": _hex(entity.site)}
        found += [
            f"{entity.kind} {name}: {values.get(name, '')}, set to {word}"
            for name, word in entity.overrides.items()
            if name != "identities" and values.get(name, "") != str(word)
        ]
    return found


def _hex(place: UUID | None) -> str:
    return place.hex if place else ""
