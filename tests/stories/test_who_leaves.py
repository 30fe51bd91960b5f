"""Who is on the way out: when, why, what happens then, and what would stop it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Page
from syncd.store import tables as t
from syncd.store.answers_leavers import Wanted
from syncd.sync import flow
from syncd.sync.leavers import Leaver, leavers
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, crowd, gone, who

Sources = dict[str, Source]
WAITING = '[gone]\nabsent = { action = "deactivate", after = ["7 days", "2 reads"] }\n'
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def leaving(desk: Desk, wanted: Wanted | None = None) -> dict[str, Leaver]:
    """The leavers by name, in their order."""
    return {one.name: one for one in leavers(desk.engine, wanted or Wanted()).lines}


def set_link(desk: Desk, key: str, **values: object) -> None:
    """What parts of the engine write that are not there yet."""
    with desk.database.engine.begin() as conn:
        conn.info["writes"] = True
        c = t.link.c
        conn.execute(sa.update(t.link).where(c.stream == "people", c.key == key).values(**values))


def now(desk: Desk) -> datetime:
    return desk.database.query(desk.database.now)


def near(moment: datetime | None, other: datetime) -> bool:
    assert moment is not None
    return abs(moment - other) < timedelta(minutes=1)


def test_a_leaver_is_told_with_its_clock_and_leaves_when_that_says_so(desk: Desk) -> None:
    desk.mapping(WAITING)
    rows = people(6)
    desk.sync(rows)
    assert leaving(desk) == {}
    desk.sync(rows[1:])

    first = leaving(desk)["P0"]
    began = now(desk)
    assert (first.reason, first.state, first.client) == ("absent", "missed", "Acme")
    assert (first.reads, first.days, first.action) == ((1, 2), (1, 7), "deactivate")
    assert near(first.since, began)
    assert near(first.due, began + 7 * DAY)
    assert (first.kept, first.waits, first.overdue) == (None, False, False)

    desk.wait(days=2, hours=1)
    desk.sync()
    third = leaving(desk)["P0"]
    assert (third.reads, third.days, third.due) == ((2, 2), (3, 7), first.due)

    desk.wait(days=4, hours=22)
    desk.sync()
    assert desk.names(active=False) == []
    desk.wait(hours=2)  # due by now
    late = leaving(desk)["P0"]
    assert (late.overdue, late.days) == (True, (7, 7))
    desk.sync()
    assert desk.names(active=False) == ["P0"]
    assert leaving(desk) == {}


def test_a_clock_of_reads_alone_is_due_an_hour_after_the_last_one_that_counted(
    desk: Desk,
) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "3 reads" }\n')
    rows = people(6)
    desk.sync(rows)
    desk.sync(rows[1:])
    assert near(leaving(desk)["P0"].due, now(desk) + 2 * HOUR)
    assert leaving(desk)["P0"].days is None

    desk.wait(minutes=61)
    desk.sync()
    assert leaving(desk)["P0"].reads == (2, 3)
    assert near(leaving(desk)["P0"].due, now(desk) + HOUR)
    desk.wait(minutes=61)
    desk.sync()
    assert desk.names(active=False) == ["P0"]


def test_who_comes_back_is_no_leaver_any_more(desk: Desk) -> None:
    desk.mapping(WAITING)
    desk.sync(people(6))
    desk.sync(people(5))
    assert set(leaving(desk)) == {"P5"}

    desk.sync(people(6))
    assert leaving(desk) == {}


def test_leavers_are_told_in_the_order_in_which_they_are_due(desk: Desk) -> None:
    """Each by the rule for its reason; no rule known: last."""
    desk.mapping(WAITING)
    desk.sync([*people(12), person("Zoe", "Bolt")])
    began = now(desk).timestamp()
    clock = {"misses": 1, "missed_at": began, "counted_at": began}
    set_link(desk, "p0", state="missed", note="absent", **clock)
    set_link(desk, "p1", state="leaving", note="disabled", **clock)
    set_link(desk, "p2", state="missed", note="deleted", **{**clock, "missed_at": began - 60})
    set_link(desk, "p3", state="leaving", note="out_of_scope", **clock)
    set_link(desk, "p4", state="missed", note="unheard of", **clock)
    set_link(
        desk, "zoe", state="missed", note="absent", **{**clock, "missed_at": began - 9 * 86400}
    )

    found = leaving(desk)
    assert list(found) == ["P1", "P2", "P3", "Zoe", "P0", "P4"]
    assert {name: (one.action, one.release_licenses) for name, one in found.items()} == {
        "P1": ("deactivate", False),
        "P2": ("deactivate", True),
        "P3": ("keep", False),
        "Zoe": ("deactivate", False),
        "P0": ("deactivate", False),
        "P4": (None, False),
    }
    assert found["P1"].overdue  # the next read acts
    assert near(found["Zoe"].due, now(desk) + HOUR)  # her days are over, and a read is left
    assert found["P4"].due is None

    assert list(leaving(desk, Wanted(client=desk.client("Bolt")))) == ["Zoe"]
    assert list(leaving(desk, Wanted(user=desk.user("P3").id))) == ["P3"]
    assert list(leaving(desk, Wanted("people", limit=2))) == ["P1", "P2"]
    assert leavers(desk.engine, Wanted(limit=2)).total == 6
    assert leaving(desk, Wanted("other")) == {}


def test_the_inactive_do_not_leave_again(desk: Desk) -> None:
    desk.mapping(WAITING)
    desk.sync(people(6))
    desk.sync(people(4))
    desk.set("P4", active="no")

    assert set(leaving(desk)) == {"P5"}


def test_what_keeps_a_leaver_on_the_desk_is_told_and_true(desk: Desk) -> None:
    desk.mapping(WAITING)
    desk.sync(people(8))
    desk.connect("second", "csv", {"combined": "2.csv", "contents": "full", "key": "Staff no"})
    desk.reload()
    desk.write([person("P2", Staff_no="b2")], "2.csv")
    flow.sync(desk.engine, "second", actor="tester")
    desk.sync(people(5, first=3))
    assert leaving(desk)["P0"].kept is None

    desk.set("P0", keep_active="yes")
    desk.set("P1", active="yes")
    found = {name: one.kept for name, one in leaving(desk).items()}
    assert found["P0"] == "it is flagged to be kept active"
    assert found["P1"] == "a person set whether it is active"
    assert found["P2"] == "another source still has it: second"

    desk.wait(days=8)
    desk.sync()
    assert desk.names(active=False) == []


def test_another_source_that_still_has_a_leaver_is_named(desk: Desk) -> None:
    desk.mapping(WAITING)
    desk.sync(people(6))
    desk.sync(people(5))
    desk.connect("second", "csv", {"combined": "2.csv", "contents": "full", "key": "Staff no"})
    desk.reload()
    desk.write([person("P5")], "2.csv")
    flow.sync(desk.engine, "second", actor="tester")
    assert leaving(desk)["P5"].kept == "another source still has it: second"

    desk.precedence = '[precedence]\n"user.active" = ["people", "second"]\n'
    desk.reload()
    assert leaving(desk)["P5"].kept is None  # `people` alone decides who is active


def test_whose_rule_is_to_review_waits_for_a_person_until_one_decides(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[gone]\ndeleted = { action = "review" }\nabsent = { action = "keep" }\n')
    source.people = crowd(8)
    desk.sync()
    source.pages = [Page(crowd(8)[4:], tombstones=gone("p0", "p1", "p2"))]
    desk.sync()

    found = leaving(desk)
    assert set(found) == {"P0", "P1", "P2"}  # P3 is absent, and kept
    assert {(one.state, one.waits, one.action, one.due) for one in found.values()} == {
        ("gone", True, "review", None)
    }
    desk.set("P0", active="no")
    desk.set("P1", keep_active="yes")
    assert set(leaving(desk)) == {"P2"}
    desk.set("P2", active="yes")
    assert leaving(desk) == {}


def test_who_is_disabled_is_on_the_way_out_while_the_clock_of_that_rule_runs(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[gone]\ndisabled = { action = "deactivate", after = "2 reads" }\n')
    source.people = [who("Ada", active=False), who("Bob"), who("Cy")]
    desk.sync()
    source.people = [who("Ada", active=False), who("Bob", active=False), who("Cy")]
    desk.sync()

    told = leaving(desk)["Bob"]
    assert (told.state, told.reason, told.reads) == ("leaving", "disabled", (1, 2))
    assert near(told.due, now(desk) + HOUR)
    desk.wait(hours=2)
    desk.sync()
    assert desk.names(active=True) == ["Cy"]
    assert leaving(desk) == {}


def test_who_is_disabled_waits_for_a_person_where_the_rule_says_so(
    desk: Desk, source: Source
) -> None:
    """The record is there and says more than nothing: another record of the user outweighs it."""
    desk.mapping('[gone]\ndisabled = { action = "review" }\n')
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    assert leaving(desk) == {}
    source.people = [who("Ada", active=False), who("Bob")]
    desk.sync()

    told = leaving(desk)["Ada"]
    assert (told.waits, told.reason, told.action, told.kept) == (True, "disabled", "review", None)
    set_link(desk, "bob", entity_id=desk.user("Ada").id)
    assert leaving(desk) == {}


def test_whoever_waits_for_a_person_comes_first(desk: Desk) -> None:
    desk.mapping(WAITING + 'deleted = { action = "review" }\n')
    desk.sync(people(6))
    desk.sync(people(5))
    set_link(desk, "p0", state="gone", note="deleted", missed_at=now(desk).timestamp())
    long_ago = now(desk).timestamp() - 30 * DAY.total_seconds()
    set_link(desk, "p5", misses=2, missed_at=long_ago, counted_at=long_ago)

    assert list(leaving(desk)) == ["P0", "P5"]


def test_a_rule_that_was_edited_since_is_told_as_it_stands(desk: Desk) -> None:
    desk.mapping(WAITING)
    desk.sync(people(6))
    desk.sync(people(5))
    desk.mapping('[gone]\nabsent = { action = "keep" }\n')

    told = leaving(desk)["P5"]
    assert (told.action, told.reads, told.days) == ("keep", None, None)
    assert told.overdue  # the next read ends it


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_connection_that_is_paused_or_not_configured_any_more_is_told_as_far_as_known(
    desk: Desk,
) -> None:
    desk.mapping(WAITING)
    desk.sync(people(6))
    desk.sync(people(5))
    assert not leaving(desk)["P5"].paused
    desk.undo(desk.sync([*people(4), person("P4", Title="Boss")]).run)
    assert leaving(desk)["P5"].paused
    (desk.folder / "connections" / "people.toml").unlink()
    desk.reload()

    told = leaving(desk)["P5"]
    assert (told.reason, told.action, told.due, told.reads) == ("absent", None, None, None)
    assert near(told.since, now(desk))


# -- what kept somebody, and is no more ------------------------------------------------------------


@pytest.mark.parametrize("goes_by", ["a release", "a word"])
def test_who_was_flagged_to_be_kept_leaves_when_the_flag_goes(desk: Desk, goes_by: str) -> None:
    desk.sync([*people(10), person("Ada")])
    desk.set("Ada", keep_active="yes")
    desk.sync(people(10))
    desk.wait(days=2)
    desk.sync(people(10))
    assert desk.user("Ada").active

    if goes_by == "a release":
        desk.release("Ada", "keep_active")
    else:
        desk.set("Ada", keep_active="no")
    outcome = desk.sync(people(10))

    assert not desk.user("Ada").active
    assert [(action, key) for action, key, _ in desk.changes(outcome.run)] == [
        ("deactivate", "ada")
    ]
    assert desk.changes(desk.sync(people(10)).run) == []


def test_an_edit_of_who_is_kept_anyway_says_nothing_new_of_them(desk: Desk) -> None:
    desk.sync([*people(10), person("Ada")])
    desk.set("Ada", keep_active="yes")
    desk.sync(people(10))
    desk.wait(days=2)
    desk.sync(people(10))

    desk.set("Ada", phone="0999999")

    assert desk.changes(desk.sync(people(10)).run) == []
    assert desk.user("Ada").active


def test_who_was_kept_for_another_source_leaves_when_that_is_undone(
    desk: Desk, sources: Sources
) -> None:
    sources["entra"].people = [who("Ada"), *crowd(10)]
    desk.sync_each("entra")
    sources["xero"].people = [who("Ada"), *crowd(10)]
    (second,) = desk.sync_each("xero")
    sources["entra"].people = crowd(10)
    desk.sync_each("entra")
    desk.wait(days=2)
    desk.sync_each("entra")
    assert desk.user("Ada").active

    desk.undo(second.run)
    desk.sync_each("entra")

    assert not desk.user("Ada").active


def test_whose_record_went_while_two_were_one_leaves_when_they_are_parted(desk: Desk) -> None:
    desk.sync([*people(10), person("Ada"), person("Ida")])
    run = desk.merge(desk.user("Ada").id, desk.user("Ida").id).run
    desk.sync([*people(10), person("Ada")])
    desk.wait(days=2)
    desk.sync([*people(10), person("Ada")])

    desk.undo(run)
    desk.resume()
    desk.sync([*people(10), person("Ada")])
    desk.wait(days=2)
    desk.sync([*people(10), person("Ada")])

    assert not desk.user("Ida").active
    assert desk.user("Ada").active
