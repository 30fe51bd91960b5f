"""Clients and sites that no source has any more: shown until a person decides, and never harmed."""

from __future__ import annotations

from uuid import UUID

import pytest

from syncd.entities import Kind
from syncd.store.answers import Search, clients
from syncd.store.answers_gone import GonePlace, gone_by_key, gone_places
from syncd.sync import connections, editing
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, who

Sources = dict[str, Source]

ROWS = [*people(5), person("Hal", Site="Hall")]


def waiting(desk: Desk) -> list[tuple[str, str, int]]:
    """(kind, name, active users) of what waits for a person."""
    found = gone_places(desk.database)
    assert found.total == len(found.lines)
    return [(one.kind.value, one.label, one.users) for one in found.lines]


def only(desk: Desk) -> GonePlace:
    (one,) = gone_places(desk.database).lines
    return one


def say(desk: Desk, kind: Kind, place: UUID, active: str) -> int:
    """A person's word on a client or site; the run."""
    return editing.set_values(desk.engine, kind, place, {"active": active}, "boss").run


@pytest.fixture
def moved_out(desk: Desk) -> Outcome:
    """A run whose sheet lost the last row of the client Bolt, and of the site Hall of Acme."""
    desk.sync([*ROWS, person("Zoe", "Bolt")])
    desk.add_user("Bolt", name="Max")
    desk.wait(days=1)
    return desk.sync(ROWS[:5])


def test_a_client_and_a_site_that_are_gone_wait_for_a_person(
    desk: Desk, moved_out: Outcome
) -> None:
    assert waiting(desk) == [("client", "Bolt", 1), ("site", "Hall (Acme)", 0)]
    client = gone_places(desk.database).lines[0]
    (record,) = client.records
    assert (record.connection, record.reason) == ("people", "absent")
    with desk.database.read() as conn:
        now = desk.database.now(conn)
    assert record.since is not None
    assert abs((now - record.since).total_seconds()) < 3600


def test_no_more_than_asked_for_are_listed_and_all_are_counted(
    desk: Desk, moved_out: Outcome
) -> None:
    found = gone_places(desk.database, limit=1)
    assert ([one.label for one in found.lines], found.total) == (["Bolt"], 2)
    assert len(gone_places(desk.database, limit=0).lines) == 2


@pytest.mark.parametrize("word", ["yes", "no"])
def test_what_a_person_decided_waits_no_more_until_that_is_taken_back(
    desk: Desk, moved_out: Outcome, word: str
) -> None:
    bolt = desk.client("Bolt")

    run = say(desk, Kind.CLIENT, bolt, word)
    assert waiting(desk) == [("site", "Hall (Acme)", 0)]
    desk.sync(full=True)
    assert waiting(desk) == [("site", "Hall (Acme)", 0)]

    desk.undo(run)
    assert waiting(desk)[0] == ("client", "Bolt", 1)
    say(desk, Kind.CLIENT, bolt, word)
    editing.release(desk.engine, Kind.CLIENT, bolt, ["active"], "boss")
    listed = {one.name: one.active for one in clients(desk.database, Search()).lines}
    assert (("client", "Bolt", 1) in waiting(desk)) is listed["Bolt"]


def test_an_inactive_client_bars_its_users_and_rewrites_none(
    desk: Desk, moved_out: Outcome
) -> None:
    before = desk.user("Max")

    say(desk, Kind.CLIENT, desk.client("Bolt"), "no")

    assert desk.user("Max") == before
    assert before.active


def test_what_is_back_in_the_source_waits_no_more(desk: Desk, moved_out: Outcome) -> None:
    desk.sync([*ROWS, person("Zoe", "Bolt")])
    assert waiting(desk) == []


def test_what_another_source_still_has_does_not_wait(desk: Desk, sources: Sources) -> None:
    for name in ("entra", "xero"):
        sources[name].people = [who("Ada")]
        desk.mapping('[client]\nmatch = ["name"]\n', name)
    desk.sync_each("entra", "xero")

    connections.retire(desk.engine, "entra", "boss")
    assert waiting(desk) == []
    connections.retire(desk.engine, "xero", "boss")

    found = gone_places(desk.database).lines
    assert [one.label for one in found] == ["Acme", "Bolt"]
    assert [(one.connection, one.reason) for one in found[0].records] == [
        ("entra", "retired"),
        ("xero", "retired"),
    ]


def test_an_undo_of_the_run_that_missed_it_takes_it_from_the_list(
    desk: Desk, moved_out: Outcome
) -> None:
    desk.undo(moved_out.run)
    assert waiting(desk) == []


def test_a_place_is_found_by_the_key_of_its_record_and_by_its_id(
    desk: Desk, moved_out: Outcome
) -> None:
    client, site = gone_places(desk.database).lines
    key = client.records[0].key
    assert gone_by_key(desk.database, key) == [(Kind.CLIENT, client.id)]
    assert gone_by_key(desk.database, key, "people") == [(Kind.CLIENT, client.id)]
    assert gone_by_key(desk.database, key, "other") == []
    assert gone_by_key(desk.database, str(site.id)) == [(Kind.SITE, site.id)]
    assert gone_by_key(desk.database, "nothing") == []
