"""Licenses of people who leave: released with them, counted by a guard, given back by an undo."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Page
from syncd.entities import Kind
from syncd.errors import UsageError
from syncd.store import tables as t
from syncd.store.answers_runs import Asked, changes
from syncd.store.dump import canonical_dump
from syncd.sync import editing
from tests.stories.desk import Desk, people
from tests.stories.licenses import assign, assigned, ledger, pool
from tests.stories.source import Source, crowd, gone, who
from tests.stories.writes import count_writes

Sources = dict[str, Source]

RELEASING = '[gone]\nabsent = { action = "deactivate", after = [], release_licenses = true }\n'


@pytest.fixture
def staff(desk: Desk) -> list[dict[str, Any]]:
    """Ten people of Acme on the desk, whose licenses go with them."""
    desk.mapping(RELEASING)
    rows = people(10)
    desk.sync(rows)
    return rows


def released(desk: Desk, run: int) -> list[tuple[str, Any]]:
    """(user, [[pool, count], …]) of each change of a run that releases licenses."""
    asked = changes(desk.database, Asked(run=run, limit=0))
    found = ((one.label.split(" <")[0], one.after.get("licenses")) for one in asked)
    return sorted((who, pools) for who, pools in found if pools)


# -- release ---------------------------------------------------------------------------------------


def test_who_leaves_gives_back_every_license(desk: Desk, staff: list[dict[str, Any]]) -> None:
    office, visio = pool(desk, "office"), pool(desk, "visio", assigned=3)
    assign(desk, office, "P0", "P1", "P2")
    assign(desk, visio, "P0", count=2)

    outcome = desk.sync(staff[2:])

    assert desk.names(active=False) == ["P0", "P1"]
    assert ledger(desk, office)[3:] == [("P0", -1, outcome.run), ("P1", -1, outcome.run)]
    assert ledger(desk, visio)[1:] == [("P0", -2, outcome.run)]
    assert (assigned(desk, office), assigned(desk, visio)) == (1, 3)
    told = {name: sorted(pools) for name, pools in released(desk, outcome.run)}
    assert told == {"P0": [["office plan", 1], ["visio plan", 2]], "P1": [["office plan", 1]]}


def test_a_license_that_was_taken_away_before_is_not_released_again(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    office = pool(desk, "office")
    assign(desk, office, "P0")
    assign(desk, office, "P0", count=-1)

    outcome = desk.sync(staff[1:])

    assert desk.names(active=False) == ["P0"]
    assert len(ledger(desk, office)) == 2
    assert released(desk, outcome.run) == []


def test_a_rule_that_does_not_say_so_releases_nothing(desk: Desk) -> None:
    rows = people(5)
    desk.sync(rows)
    office = pool(desk, "office")
    assign(desk, office, "P0")

    desk.sync(rows[1:])

    assert desk.names(active=False) == ["P0"]
    assert assigned(desk, office) == 1


@pytest.mark.parametrize("reason", ["disabled", "deleted", "absent", "out_of_scope"])
def test_every_reason_for_leaving_can_release(desk: Desk, source: Source, reason: str) -> None:
    rules = [
        f'{one} = {{ action = "deactivate", after = [], release_licenses = {flag} }}'
        for one in ("disabled", "deleted", "absent", "out_of_scope")
        for flag in ["true" if one == reason else "false"]
    ]
    scope = "[user]\nscope = \"user_type != 'Guest'\"\n\n"
    desk.mapping(scope + "[gone]\n" + "\n".join(rules))
    source.people = crowd(40)
    desk.sync()
    office = pool(desk, "office")
    assign(desk, office, "P0", "P1", "P2", "P3")

    said = [who("P0", active=False), who("P3", user_type="Guest"), *crowd(40)[4:]]
    source.pages = [Page(said, tombstones=gone("p1"))]
    desk.sync()

    assert desk.names(active=False) == ["P0", "P1", "P2", "P3"]
    whose = {"disabled": "P0", "deleted": "P1", "absent": "P2", "out_of_scope": "P3"}[reason]
    assert [one.user for one in ledger(desk, office) if one.count < 0] == [whose]


def test_licenses_go_when_the_last_source_does(desk: Desk, sources: Sources) -> None:
    """The rule of the source that had left before frees them: one that says so is enough."""
    desk.mapping(RELEASING, "entra")
    for name in ("entra", "xero"):
        sources[name].people = [who("Ada"), *crowd(10)]
    desk.sync_each("entra", "xero")
    office = pool(desk, "office")
    assign(desk, office, "Ada")

    sources["entra"].people = crowd(10)
    desk.sync_each("entra")
    assert assigned(desk, office) == 1

    sources["xero"].people = crowd(10)
    desk.sync_each("xero")
    assert desk.names(active=False) == ["Ada"]
    assert assigned(desk, office) == 0


def test_who_is_let_go_by_the_release_of_a_word_loses_their_licenses(desk: Desk) -> None:
    """A person kept Ada active; when that is taken back the rule counts, with all that it says."""
    desk.mapping(RELEASING)
    rows = people(5)
    desk.sync(rows)
    office = pool(desk, "office")
    assign(desk, office, "P0")
    desk.set("P0", active="yes")
    desk.sync(rows[1:])
    assert desk.names(active=False) == []

    outcome = editing.release(desk.engine, Kind.USER, desk.user("P0").id, ["active"], "boss")

    assert desk.names(active=False) == ["P0"]
    assert ledger(desk, office)[1:] == [("P0", -1, outcome.run)]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_comes_back_gets_no_license_from_us(desk: Desk, staff: list[dict[str, Any]]) -> None:
    office = pool(desk, "office")
    assign(desk, office, "P0")
    desk.sync(staff[1:])

    desk.sync(staff)

    assert desk.names(active=False) == []
    assert assigned(desk, office) == 0


def test_a_plan_releases_nothing(desk: Desk, staff: list[dict[str, Any]]) -> None:
    office = pool(desk, "office")
    assign(desk, office, "P0")
    before = canonical_dump(desk.database)

    outcome = desk.plan(staff[1:])

    assert canonical_dump(desk.database) == before
    assert released(desk, outcome.run) == [("P0", [["office plan", 1]])]


def test_a_license_without_a_user_or_a_count_of_assigned_ones_stays_as_it_is(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    """A50: providers leave out what they do not know."""
    office = pool(desk, "office")
    with desk.database.engine.begin() as conn:
        now = desk.database.now(conn)
        row = {"pool_id": office, "effective_at": now, "recorded_at": now}
        bought = {"id": UUID(int=1), "bought_delta": 5, **row}
        conn.execute(sa.insert(t.license_ledger).values(**bought))
        conn.execute(sa.update(t.license_pool).values(assigned=None))
    assign(desk, office, "P0")

    outcome = desk.sync(staff[1:])

    assert ledger(desk, office)[1:] == [("P0", -1, outcome.run)]
    assert assigned(desk, office) is None


# -- guard -----------------------------------------------------------------------------------------


def test_many_licenses_are_not_released_without_a_word(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    limit = "\n[limits]\nlicense_release = { count = 2, share = 0.25 }\n"
    desk.mapping(RELEASING + limit)
    office = pool(desk, "office", assigned=8)
    assign(desk, office, "P0", count=4)

    outcome = desk.sync(staff[1:])

    assert outcome.state == "held"
    (hold,) = desk.holds()
    (overrun,) = hold.overruns
    assert (overrun["guard"], overrun["count"], overrun["limit"]) == ("license_releases", 4, 3)
    assert "4 of 12 assigned licenses would be released" in overrun["sentence"]
    assert assigned(desk, office) == 12

    desk.approve(hold.id)
    assert assigned(desk, office) == 8


def test_a_share_of_the_assigned_licenses_may_go(desk: Desk, staff: list[dict[str, Any]]) -> None:
    desk.mapping(RELEASING + "\n[limits]\nlicense_release = { count = 0, share = 0.25 }\n")
    office = pool(desk, "office", assigned=9)
    assign(desk, office, "P0", count=3)

    assert desk.sync(staff[1:]).state == "succeeded"
    assert assigned(desk, office) == 9


def test_first_misses_count_their_licenses_and_an_approval_releases_them(desk: Desk) -> None:
    rule = 'absent = { action = "deactivate", after = "2 reads", release_licenses = true }\n'
    desk.mapping(f"[gone]\n{rule}\n[limits]\nlicense_release = {{ count = 0, share = 0.0 }}\n")
    rows = people(10)
    desk.sync(rows)
    office = pool(desk, "office")
    assign(desk, office, "P0")

    outcome = desk.sync(rows[1:])

    assert outcome.state == "held"
    assert released(desk, outcome.run) == [("P0", [["office plan", 1]])]
    desk.approve(outcome.holds[0])
    assert desk.names(active=False) == ["P0"]
    assert assigned(desk, office) == 0


def test_a_miss_within_the_limits_releases_nothing_before_its_clock_has_run_out(
    desk: Desk, source: Source
) -> None:
    rule = '= { action = "deactivate", after = "2 reads", release_licenses = true }\n'
    desk.mapping(f"[gone]\nabsent {rule}disabled {rule}")
    source.people = crowd(10)
    desk.sync()
    office = pool(desk, "office")
    assign(desk, office, "P0", "P1")

    source.people = [who("P1", active=False), *crowd(10)[2:]]
    desk.sync()
    assert assigned(desk, office) == 2

    desk.wait(hours=2)
    desk.sync()
    assert desk.names(active=False) == ["P0", "P1"]
    assert assigned(desk, office) == 0


def test_a_plan_that_licenses_overtook_is_left_out_and_made_again(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    desk.mapping(RELEASING + "\n[limits]\nlicense_release = { count = 0, share = 0.0 }\n")
    office, visio = pool(desk, "office"), pool(desk, "visio")
    assign(desk, office, "P0")
    outcome = desk.sync(staff[1:])
    assign(desk, visio, "P0")

    approved = desk.approve(outcome.holds[0])

    assert (approved.state, approved.code) == ("partial", "stale")
    assert desk.names(active=False) == []
    assert assigned(desk, office) == 1
    again = desk.sync(staff[1:])
    desk.approve(again.holds[0])
    assert desk.names(active=False) == ["P0"]
    assert (assigned(desk, office), assigned(desk, visio)) == (0, 0)


# -- undo ------------------------------------------------------------------------------------------


def test_an_undo_gives_licenses_back_by_rows_of_today(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    office = pool(desk, "office")
    assign(desk, office, "P0", "P1")
    outcome = desk.sync(staff[2:])
    desk.wait(days=3)

    undone = desk.undo(outcome.run)

    assert undone.state == "succeeded"
    assert desk.names(active=False) == []
    assert ledger(desk, office)[2:] == [
        ("P0", -1, outcome.run),
        ("P1", -1, outcome.run),
        *sorted([("P0", 1, undone.run), ("P1", 1, undone.run)], reverse=True),
    ]
    assert assigned(desk, office) == 2
    with desk.database.read() as conn:
        c = t.license_ledger.c
        query = sa.select(c.effective_at, c.recorded_at).order_by(c.id)
        dates = conn.execute(query).all()
    assert (dates[-1][0] - dates[0][0]).days == 3
    assert all(effective <= recorded for effective, recorded in dates)


def test_what_was_assigned_anew_since_is_not_given_back_twice(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    office, visio = pool(desk, "office"), pool(desk, "visio")
    assign(desk, office, "P0")
    assign(desk, visio, "P0")
    outcome = desk.sync(staff[1:])
    assign(desk, office, "P0")

    undone = desk.undo(outcome.run)

    assert (undone.state, undone.code) == ("partial", "stale")
    assert desk.names(active=False) == []
    assert (assigned(desk, office), assigned(desk, visio)) == (1, 1)


def test_an_undo_that_nothing_is_left_of_gives_nothing(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    """A person made her active and somebody gave her a license: both are no more ours to give."""
    office = pool(desk, "office")
    assign(desk, office, "P0")
    outcome = desk.sync(staff[1:])
    desk.set("P0", active="yes")
    assign(desk, office, "P0")

    undone = desk.undo(outcome.run)

    assert (undone.state, undone.code) == ("partial", "stale")
    assert assigned(desk, office) == 1
    assert len(ledger(desk, office)) == 3


def test_licenses_are_a_part_of_a_run_that_can_be_undone_alone(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    office = pool(desk, "office")
    assign(desk, office, "P0")
    outcome = desk.sync(staff[1:])

    desk.undo(outcome.run, fields=["active"])
    assert (desk.names(active=False), assigned(desk, office)) == ([], 0)
    desk.undo(outcome.run, fields=["licenses"])
    assert assigned(desk, office) == 1

    with pytest.raises(UsageError):
        desk.undo(outcome.run, fields=["licenses"])
    assert assigned(desk, office) == 1


# -- desks without licenses ------------------------------------------------------------------------


def test_where_there_are_no_licenses_nobody_asks_for_any(
    desk: Desk, staff: list[dict[str, Any]]
) -> None:
    asked: list[str] = []
    engine = desk.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *of: asked.append(of[2]))

    with count_writes(desk.database, t.license_ledger, t.license_pool) as written:
        desk.sync(staff[3:])
        assert written() == {}

    assert len(desk.names(active=False)) == 3
    assert sum("from license_" in text.lower() for text in asked) == 1
