"""Who leaves, for which reason, and when; and how many may leave before a person must say so."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.connectors.base import Deletes, Page
from syncd.store import tables as t
from syncd.sync import reading
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, crowd, gone, raw, who


def guards(desk: Desk) -> list[tuple[str, str]]:
    """(guard, scope) of every limit that the waiting plan exceeds."""
    (hold,) = desk.holds()
    return [(one["guard"], one["scope"]) for one in hold.overruns]


def without(rows: list[dict[str, Any]], *numbers: int) -> list[dict[str, Any]]:
    """The rows but those."""
    return [row for at, row in enumerate(rows) if at not in numbers]


# -- reasons ---------------------------------------------------------------------------------------

DISABLED, DELETED, ABSENT, OUT = "p0", "p1", "p2", "p3"


@pytest.mark.parametrize("reason", ["disabled", "deleted", "absent", "out_of_scope"])
def test_each_reason_for_leaving_has_a_rule_of_its_own(
    desk: Desk, source: Source, reason: str
) -> None:
    """B13: four people leave for four reasons; only the reason that deactivates takes its one."""
    keep = {"disabled", "deleted", "absent", "out_of_scope"} - {reason}
    rules = [f'{one} = {{ action = "keep" }}' for one in sorted(keep)]
    rules.append(f'{reason} = {{ action = "deactivate", after = [] }}')
    desk.mapping("[gone]\n" + "\n".join(rules))
    scope = "[user]\nscope = \"user_type != 'Guest'\"\n"
    desk.mapping("[gone]\n" + "\n".join(rules) + "\n\n" + scope)
    source.people = crowd(6)
    desk.sync()

    source.pages = [
        Page(
            [who("P0", active=False), who("P3", user_type="Guest"), who("P4"), who("P5")],
            tombstones=gone("p1"),
        )
    ]
    desk.sync()

    wanted = {"disabled": "P0", "deleted": "P1", "absent": "P2", "out_of_scope": "P3"}
    assert desk.names(active=False) == [wanted[reason]]


def test_a_key_that_stands_there_twice_does_not_stand_in_for_one_that_is_absent(
    desk: Desk, source: Source
) -> None:
    """As many items as living links are no proof that each of them was seen."""
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = [] }\n')
    source.people = crowd(4)
    desk.sync()

    p0, p1, p2, _ = source.people
    source.pages = [Page([p0, p1, p2]), Page([p2])]
    desk.sync()

    assert desk.names(active=False) == ["P3"]


def test_a_record_that_was_never_in_scope_is_no_user(desk: Desk, source: Source) -> None:
    desk.mapping("[user]\nscope = \"user_type != 'Guest'\"\n")
    source.people = [who("Ada"), who("Bob", user_type="Guest")]

    outcome = desk.sync()

    assert desk.names() == ["Ada"]
    assert desk.links() == {"ada": "alive", "bob": "skipped"}
    assert outcome.state == "succeeded"

    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    assert desk.names() == ["Ada", "Bob"]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_whoever_is_to_be_kept_active_is_kept_active(desk: Desk, source: Source) -> None:
    """B12"""
    source.people = crowd(8)
    desk.sync()
    for name in ("P0", "P1"):
        desk.set(name, keep_active="yes")

    source.people = [who("P0", active=False), *crowd(8)[2:]]
    desk.sync()

    assert len(desk.names(active=True)) == 8
    assert desk.links()["p1"] == "gone"


def test_a_user_that_was_never_linked_never_leaves(desk: Desk) -> None:
    """B12"""
    desk.sync(people(4))
    desk.add_user("Acme", name="Admin", email="admin@acme.example")

    desk.sync(people(3))

    assert "Admin" in desk.names(active=True)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_user_activated_by_hand_stays_active(desk: Desk) -> None:
    """B11"""
    desk.sync(people(5))
    desk.set("P0", active="yes")

    desk.sync([person("P0", Disabled="yes"), *people(4, first=1)])

    assert len(desk.names(active=True)) == 5


def test_a_client_whose_record_is_gone_waits_for_a_person(desk: Desk, source: Source) -> None:
    """A41: its users are untouched."""
    source.deletes = Deletes.TOMBSTONE
    source.people = [who("Ada"), who("Bob", "bolt")]
    desk.sync()
    before = desk.living()

    source.organizations = [raw("acme", name="Acme")]
    source.pages = [Page([])]
    desk.sync()

    assert desk.living() == before


# -- clocks ----------------------------------------------------------------------------------------


def test_two_reads_must_miss_a_user_and_reads_within_an_hour_are_one(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "2 reads" }\n')
    rows = people(6)
    desk.sync(rows)

    outcome = desk.sync(rows[1:])
    assert [action for action, _, _ in desk.changes(outcome.run)] == ["miss"]
    desk.wait(minutes=59)
    desk.sync()
    desk.sync()
    assert desk.names(active=False) == []
    assert desk.links()["p0"] == "missed"

    desk.wait(minutes=2)
    desk.sync()
    assert desk.names(active=False) == ["P0"]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_shows_up_in_between_begins_anew(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "2 reads" }\n')
    rows = people(6)
    for read in (rows, rows[1:], rows, rows[1:]):
        desk.sync(read)
        desk.wait(hours=2)

    assert desk.names(active=False) == []
    assert desk.links()["p0"] == "missed"


def test_days_count_from_the_first_miss(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = ["7 days", "2 reads"] }\n')
    rows = people(6)
    desk.sync(rows)
    desk.sync(rows[1:])
    desk.wait(days=6, hours=23)
    desk.sync()
    assert desk.names(active=False) == []

    desk.wait(hours=2)
    desk.sync()
    assert desk.names(active=False) == ["P0"]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_clock_that_is_wrong_on_this_machine_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D27: rules and leases go by the database's clock."""
    import time

    import time_machine

    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "2 reads" }\n')
    rows = people(6)
    desk.sync(rows)
    desk.sync(rows[1:])

    with time_machine.travel(time.time() + 5 * 3600):
        assert desk.sync().state == "succeeded"
    with time_machine.travel(time.time() - 5 * 3600):
        assert desk.sync().state == "succeeded"

    assert desk.names(active=False) == []
    assert desk.links()["p0"] == "missed"


# -- brakes ----------------------------------------------------------------------------------------


def test_three_may_leave_a_client_and_a_fourth_may_not(desk: Desk) -> None:
    rows = people(10)
    desk.sync(rows)

    assert desk.plan(without(rows, 0, 1, 2)).overruns == []
    outcome = desk.sync(without(rows, 0, 1, 2, 3))

    assert outcome.state == "held"
    assert guards(desk) == [("leavers", "Acme"), ("leavers", "partition")]
    assert len(desk.names(active=True)) == 10


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_tenth_may_leave_a_large_client(desk: Desk) -> None:
    rows = people(60)
    desk.sync(rows)

    assert desk.sync(rows[6:]).state == "succeeded"
    assert len(desk.names(active=False)) == 6


def test_first_misses_count_although_their_clock_is_not_due(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "7 days" }\n')
    rows = people(10)
    desk.sync(rows)

    assert desk.sync(rows[4:]).state == "held"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_few_may_leave_each_client_and_yet_too_many_in_all(desk: Desk) -> None:
    clients = [people(5, f"Client {letter}", first=5 * at) for at, letter in enumerate("ABCDE")]
    rows = [row for client in clients for row in client]
    desk.sync(rows)

    outcome = desk.sync([row for client in clients for row in client[1:]])

    assert outcome.state == "held"
    assert guards(desk) == [("leavers", "partition")]


def test_the_limit_for_a_run_counts_all_of_it(desk: Desk) -> None:
    desk.mapping("[limits]\ndeactivate_run = { count = 1, share = 0.0 }\n")
    desk.sync(people(10))

    assert desk.sync(people(9)).state == "succeeded"
    desk.wait(hours=25)
    assert desk.sync(people(7)).state == "held"
    assert guards(desk) == [("leavers", "run")]


def test_a_client_is_never_emptied_without_a_word(desk: Desk) -> None:
    rows = [*people(40), *people(2, "Tiny", first=40)]
    desk.sync(rows)

    assert desk.sync(rows[:40]).state == "held"
    assert guards(desk) == [("emptied_client", "Tiny")]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_only_user_of_a_client_may_leave(desk: Desk) -> None:
    rows = [*people(40), *people(1, "Tiny", first=40)]
    desk.sync(rows)

    assert desk.sync(rows[:40]).state == "succeeded"


def test_slow_bleeding_is_stopped_by_the_count_of_a_day(desk: Desk) -> None:
    rows = people(12)
    desk.sync(rows)
    for left in (11, 10, 9):
        assert desk.sync(rows[:left]).state == "succeeded"

    assert desk.sync(rows[:8]).state == "held"
    assert guards(desk) == [("leavers", "Acme"), ("leavers", "partition")]

    desk.wait(hours=25)
    assert desk.sync().state == "succeeded"
    assert len(desk.names(active=True)) == 8
    assert desk.holds() == []


def test_an_empty_client_may_be_filled_at_once_and_a_living_one_may_not(desk: Desk) -> None:
    desk.mapping("[limits]\ncreate = { count = 5, share = 0.25 }\n")
    assert desk.sync(people(20)).state == "succeeded"
    assert desk.sync(people(25)).state == "succeeded"

    assert desk.sync([*people(40), *people(20, "New", first=40)]).state == "held"
    assert guards(desk) == [("creations", "Acme")]


def test_a_move_to_another_client_is_always_held_and_is_one_change(desk: Desk) -> None:
    desk.sync([*people(5), person("Zoe", "Bolt")])
    before = desk.user("P0").id

    outcome = desk.sync([person("P0", "Bolt"), *people(4, first=1), person("Zoe", "Bolt")])

    assert outcome.state == "held"
    assert guards(desk) == [("moves", "Bolt")]
    desk.approve(desk.holds()[0].id)
    assert (desk.user("P0").id, desk.user("P0").client) == (before, "Bolt")
    assert desk.user("P0").site == "Main"
    assert [action for action, _, _ in desk.changes(outcome.run)] == ["move"]


def test_a_returner_who_is_with_another_client_by_now_is_a_move_too(desk: Desk) -> None:
    """R3: coming back is no way around the guard."""
    rows = [*people(5), person("Zoe", "Bolt")]
    desk.sync(rows)
    desk.sync(rows[1:])
    assert desk.names(active=False) == ["P0"]

    assert desk.sync([person("P0", "Bolt"), *rows[1:]]).state == "held"
    assert guards(desk) == [("moves", "Bolt")]
    desk.approve(desk.holds()[0].id)
    assert (desk.user("P0").active, desk.user("P0").client) == (True, "Bolt")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_many_changes_of_site_are_held(desk: Desk) -> None:
    desk.mapping("[limits]\nsite_move = { count = 2, share = 0.0 }\n")
    rows = [person(f"P{n}", Site="Here") for n in range(6)]
    desk.sync(rows)

    assert desk.sync([person(f"P{n}", Site="There") for n in range(6)]).state == "held"
    assert guards(desk) == [("site_moves", "Acme")]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_many_changes_of_keys_are_held(desk: Desk) -> None:
    desk.mapping("[limits]\nkey_change = { count = 2, share = 0.0 }\n")
    desk.sync(people(6))

    assert (
        desk.sync([{**row, "E-mail": f"new{row['E-mail']}"} for row in people(6)]).state == "held"
    )
    assert guards(desk) == [("key_changes", "Acme")]


def test_an_edited_scope_is_counted_like_any_other_reason(desk: Desk) -> None:
    """R3: an edit of the mapping may not empty a client."""
    rows = [person(f"P{n}", User_type="Guest" if n < 6 else "Member") for n in range(10)]
    desk.sync(rows)

    scope = "[user]\nscope = \"user_type != 'Guest'\"\n"
    desk.mapping(scope + '\n[gone]\nout_of_scope = { action = "deactivate" }\n')
    assert desk.sync().state == "held"
    assert len(desk.names(active=True)) == 10


# -- absence that means nothing --------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_is_not_in_a_list_of_changes_has_not_left(desk: Desk) -> None:
    """C24"""
    desk.configure(contents="changes")
    desk.sync(people(10))

    outcome = desk.sync([person("P3", Title="new")])

    assert outcome.state == "succeeded"
    assert len(desk.names(active=True)) == 10


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_ragged_row_proves_nothing(desk: Desk) -> None:
    """R1: the row may well be about whoever is missing."""
    desk.sync(people(4))
    lines = (desk.folder / "people.csv").read_text().splitlines()
    (desk.folder / "people.csv").write_text("\n".join([*lines[:-1], "p3,broken", ""]))

    outcome = desk.sync()

    assert outcome.state == "partial"
    assert len(desk.names(active=True)) == 4
    assert list(desk.quarantine().values()) == ["ragged_row"]


def test_a_client_that_no_row_names_any_more_waits_for_a_person(desk: Desk) -> None:
    """A41"""
    rows = [*people(5), person("Zoe", "Bolt")]
    desk.sync(rows)
    before = desk.rows(t.client, t.site)

    outcome = desk.sync(rows[:5])

    assert desk.rows(t.client, t.site) == before
    assert not desk.user("Zoe").active
    assert outcome.counts["gone client"] == 1


def test_an_empty_list_is_held(desk: Desk) -> None:
    """A36, C23"""
    desk.sync(people(10))

    outcome = desk.sync([])

    assert outcome.state in ("held", "failed")
    assert len(desk.names(active=True)) == 10


def test_an_empty_answer_is_held_even_if_only_one_is_linked(desk: Desk, source: Source) -> None:
    """A36"""
    source.people = crowd(1)
    desk.sync()
    source.people = []

    outcome = desk.sync()

    assert outcome.state == "held"
    assert guards(desk) == [("empty_read", "partition")]
    assert desk.names(active=True) == ["P0"]


@pytest.mark.parametrize("at_once", [0, 200_000])
def test_the_plan_of_an_empty_answer_names_everybody_who_would_leave(
    desk: Desk, source: Source, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """A36, whether or not what is settled fits into memory."""
    monkeypatch.setattr(reading, "KNOWN_AT_ONCE", at_once)
    source.people = crowd(7)
    desk.sync()
    source.people = []

    outcome = desk.sync()

    leaving = [who for action, _, who in desk.changes(outcome.run) if action == "deactivate"]
    assert len(leaving) == 7
    desk.approve(desk.holds("waiting")[0].id)
    assert desk.names(active=True) == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_an_empty_answer_about_an_empty_desk_is_no_plain_success(
    desk: Desk, source: Source
) -> None:
    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("partial", "read_nobody")


# -- a clock for every reason ----------------------------------------------------------------------

RULE = '{ action = "deactivate", after = "2 reads" }'


def leaves(source: Source, reason: str) -> None:
    """P0 is on the way out of a crowd of eight for this reason."""
    rest = crowd(8)[1:]
    first: dict[str, list[Any]] = {
        "disabled": [who("P0", active=False)],
        "out_of_scope": [who("P0", user_type="Guest")],
    }
    source.pages = [Page([*first.get(reason, []), *rest])]
    if reason == "deleted":
        source.pages = [Page(rest, tombstones=gone("p0"))]


@pytest.mark.parametrize("reason", ["absent", "deleted", "disabled", "out_of_scope"])
def test_every_reason_may_wait_for_a_second_read(desk: Desk, source: Source, reason: str) -> None:
    """Shows 3: told first, then done on time; and whoever returns returns on the same row."""
    desk.mapping(f"[gone]\n{reason} = {RULE}\n\n[user]\nscope = \"user_type != 'Guest'\"\n")
    source.people = crowd(8)
    desk.sync()
    one = desk.user("P0").id
    leaves(source, reason)

    outcome = desk.sync()
    assert [action for action, _, _ in desk.changes(outcome.run)] == ["miss"]
    outcome = desk.sync()  # within the hour
    assert desk.changes(outcome.run) == []
    assert desk.names(active=False) == []

    desk.wait(hours=2)
    outcome = desk.sync()
    assert [action for action, _, _ in desk.changes(outcome.run)] == ["deactivate"]
    assert desk.names(active=False) == ["P0"]
    assert desk.changes(desk.sync().run) == []

    source.pages = [Page(crowd(8)[1:]), Page([who("P0", active=True)])]
    desk.sync()
    assert desk.user("P0").id == one
    assert desk.names(active=False) == []


@pytest.mark.parametrize("reason", ["deleted", "disabled"])
def test_a_clock_runs_on_while_the_provider_tells_only_what_is_new(
    desk: Desk, source: Source, reason: str
) -> None:
    """A delta does not mention again who is disabled or deleted; every read counts all the same."""
    desk.mapping(f"[gone]\n{reason} = {RULE}\n")
    source.deletes, source.cursor = Deletes.TOMBSTONE, "c1"
    source.people = crowd(8)
    desk.sync()
    if reason == "deleted":
        source.pages = [Page([], tombstones=gone("p0"), cursor="c2")]
    else:
        source.pages = [Page([who("P0", active=False)], cursor="c2")]
    desk.sync()
    assert desk.names(active=False) == []

    source.pages = [Page([], cursor="c3")]
    desk.wait(hours=2)
    desk.sync()

    assert source.asked[-1] == "c2"
    assert desk.names(active=False) == ["P0"]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_days_run_for_who_is_disabled_too_and_write_nothing_meanwhile(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[gone]\ndisabled = { action = "deactivate", after = "7 days" }\n')
    source.people = crowd(8)
    desk.sync()
    source.people = [who("P0", active=False), *crowd(8)[1:]]
    desk.sync()
    before = desk.rows()

    for _ in range(3):
        desk.wait(days=2)
        assert desk.changes(desk.sync().run) == []
    assert desk.rows() == before

    desk.wait(days=2)
    desk.sync()
    assert desk.names(active=False) == ["P0"]


def test_a_held_plan_confirms_who_is_on_the_way_out(desk: Desk, source: Source) -> None:
    desk.mapping(f"[gone]\ndisabled = {RULE}\n")
    source.people = crowd(8)
    desk.sync()
    source.people = [who(f"P{n}", active=False) for n in range(5)] + crowd(8)[5:]

    outcome = desk.sync()
    assert outcome.state == "held"
    assert {action for action, _, _ in desk.changes(outcome.run)} == {"deactivate"}
    desk.approve(outcome.holds[0])

    assert len(desk.names(active=False)) == 5
    assert set(desk.links().values()) == {"alive"}
    assert desk.changes(desk.sync().run) == []
