"""A plan over the limits waits; what a person says about it happens, exactly and once."""

from __future__ import annotations

import pytest

from syncd.errors import UsageError
from syncd.store.holds import HoldRow
from syncd.sync import deciding
from syncd.sync.engine import Engine
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, crowd, who


@pytest.fixture
def held(desk: Desk) -> Desk:
    """A desk with ten users whose list has lost six of them."""
    desk.sync(people(10))
    outcome = desk.sync(people(4))
    assert outcome.state == "held"
    return desk


def test_a_list_that_lacks_most_users_changes_nothing_and_says_what_it_would_do(desk: Desk) -> None:
    """A37"""
    desk.sync(people(10))
    before = desk.rows()

    outcome = desk.sync(people(4))

    assert (outcome.state, outcome.code) == ("held", "held")
    assert desk.rows() == before
    (hold,) = desk.holds()
    assert outcome.holds == [hold.id]
    assert "6 of 10 active users would leave" in outcome.overruns[0]
    assert [key for action, key, _ in desk.changes(outcome.run) if action == "deactivate"] == [
        f"p{number}" for number in range(4, 10)
    ]


def test_approving_does_exactly_what_was_shown(held: Desk) -> None:
    (hold,) = held.holds()
    shown = held.changes(hold.run)

    outcome = held.approve(hold.id)

    assert outcome.state == "succeeded"
    assert held.changes(hold.run) == shown
    assert held.names(active=True) == ["P0", "P1", "P2", "P3"]
    assert held.holds() == []
    (decided,) = held.holds("approved")
    assert decided.decided_by == "boss"
    assert held.sync().counts.get("deactivate user") is None


def test_approving_applies_what_was_stored_and_not_what_the_source_says_by_now(held: Desk) -> None:
    held.write(people(10))

    held.approve(held.holds()[0].id)

    assert len(held.names(active=True)) == 4


def test_approving_confirms_first_misses(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "7 days" }\n')
    desk.sync(people(10))
    desk.sync(people(4))

    desk.approve(desk.holds()[0].id)

    assert len(desk.names(active=True)) == 4
    assert set(desk.links().values()) == {"alive", "gone"}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_hold_can_be_named_by_its_run_and_only_while_it_waits(held: Desk) -> None:
    (hold,) = held.holds()
    held.sync(people(10))

    with pytest.raises(UsageError, match="no plan"):
        held.approve(hold.id)
    with pytest.raises(UsageError, match="no plan"):
        held.approve(4711)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_plan_is_approved_once(held: Desk) -> None:
    (hold,) = held.holds()
    held.approve(hold.id)

    with pytest.raises(UsageError, match="no plan"):
        held.approve(hold.id)
    with pytest.raises(UsageError, match="no plan"):
        held.reject(hold.id)


def test_a_rejected_plan_is_not_raised_again_and_another_one_is(held: Desk) -> None:
    (hold,) = held.holds()
    before = held.rows()
    held.reject(hold.id)

    outcome = held.sync()
    assert (outcome.state, outcome.code) == ("partial", "rejected")
    assert held.holds() == []
    assert held.rows() == before

    assert held.sync(people(5)).state == "held"
    assert len(held.holds()) == 1


def test_an_equal_plan_keeps_the_hold_with_its_id_and_its_age(held: Desk) -> None:
    (first,) = held.holds()
    held.wait(hours=3)

    outcome = held.sync(reversed(people(4)))

    (again,) = held.holds()
    assert outcome.holds == [first.id]
    assert (again.id, again.held_at) == (first.id, first.held_at)
    assert again.step != first.step
    assert held.approve(first.id).state == "succeeded"
    assert len(held.names(active=True)) == 4


def test_an_equal_plan_that_creates_people_and_places_keeps_its_hold(held: Desk) -> None:
    """New ids are drawn each time; the plan is equal all the same."""
    more = [*people(4), person("New", "Fresh", Site="Hall", Staff_no="n1")]
    held.sync(more)
    (first,) = held.holds()

    held.sync(more)

    assert [one.id for one in held.holds()] == [first.id]


def test_another_plan_takes_the_place_of_the_one_that_waits(held: Desk) -> None:
    (first,) = held.holds()

    held.sync(people(3))

    (second,) = held.holds()
    assert second.id != first.id
    assert [one.id for one in held.holds("superseded")] == [first.id]
    with pytest.raises(UsageError, match="no plan"):
        held.approve(first.id)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_source_that_recovered_voids_the_hold(held: Desk) -> None:
    assert held.sync(people(10)).state == "succeeded"

    assert held.holds() == []
    assert len(held.names(active=True)) == 10


def test_an_approval_after_the_mapping_was_edited_is_refused(held: Desk) -> None:
    (hold,) = held.holds()
    before = held.rows()
    held.mapping('[user.fields]\njob_title = "department"\n')

    with pytest.raises(UsageError, match="mapping was edited"):
        held.approve(hold.id)
    assert held.rows() == before


def test_an_approval_leaves_out_who_was_edited_meanwhile_and_plans_them_again(held: Desk) -> None:
    held.sync([person("P0", Title="planned"), *people(4)[1:]])
    (hold,) = held.holds()
    held.set("P0", title="typed")
    held.set("P9", keep_active="yes", notes="stays")
    held.set("P8", active="no")

    outcome = held.approve(hold.id)

    assert (outcome.state, outcome.code) == ("partial", "stale")
    assert held.user("P0").values["job_title"] == "typed"
    assert outcome.counts["stale"] >= 2
    assert not held.user("P7").active
    stale = [reason for _, key, reason in held.changes(hold.run) if "left out" in reason]
    assert len(stale) == outcome.counts["stale"]

    again = held.sync()
    assert again.state == "succeeded"
    assert held.user("P0").values["job_title"] == "typed"
    assert held.user("P9").active


def test_an_approval_does_not_create_whom_somebody_added_meanwhile(held: Desk) -> None:
    held.sync([*people(4), person("New")])
    held.add_user("Acme", name="Newton", email="new@acme.example")

    outcome = held.approve(held.holds()[0].id)

    assert (outcome.state, outcome.counts["stale"]) == ("partial", 1)
    assert "New" not in held.names()

    held.sync()
    assert held.links()["new"] == "alive"
    assert "New" not in held.names()  # it is Newton


def test_a_plan_shows_what_would_be_held_and_holds_nothing(desk: Desk) -> None:
    desk.sync(people(10))
    before = desk.rows()

    outcome = desk.plan(people(4))

    assert (outcome.state, outcome.reason) == ("planned", "would be held")
    assert outcome.overruns
    assert desk.holds() == []
    assert desk.rows() == before


def test_planning_changes_no_entity_and_no_link(desk: Desk) -> None:
    desk.sync(people(3))
    before = desk.rows()

    outcome = desk.plan([person("P0", Title="new"), *people(2, first=1), person("New")])

    assert outcome.counts["create user"] == 1
    assert outcome.counts["update user"] == 1
    assert desk.rows() == before


# -- what happens between a plan and its approval --------------------------------------------------


@pytest.mark.parametrize("field", ["phone", "active"])
def test_a_word_that_is_taken_back_while_a_plan_waits_is_not_lost(desk: Desk, field: str) -> None:
    """What the record says was left out of the plan for the word's sake, and counts from now on."""
    by_hand, said = {"phone": ("0999999", "0222222"), "active": ("yes", False)}[field]
    desk.sync([*people(10), person("Ada", Phone="0123456")])
    desk.set("Ada", **{field: by_hand})
    word = "no" if field == "active" else "yes"
    held = desk.sync([*people(2), person("Ada", Phone="0222222", Active=word)])
    desk.release("Ada", field)

    desk.approve(held.holds[0])
    desk.sync()

    assert desk.user("Ada").values.get(field) == said
    assert desk.sync().counts["unchanged"] == 4  # three people and their client


def test_an_approval_of_a_plan_that_is_made_again_at_this_very_moment_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its draft is gone; what waits under the same number is an equal plan of a newer read."""
    desk.sync(people(10))
    held = desk.sync(people(2))
    refuse = deciding._refuse_outdated

    def later(engine: Engine, hold: HoldRow) -> None:
        refuse(engine, hold)
        desk.sync(people(2))

    monkeypatch.setattr(deciding, "_refuse_outdated", later)
    with pytest.raises(UsageError, match="planned it again"):
        desk.approve(held.holds[0])

    monkeypatch.setattr(deciding, "_refuse_outdated", refuse)
    assert desk.approve(held.holds[0]).state == "succeeded"
    assert len(desk.names(active=True)) == 2


def test_a_source_that_shrinks_is_held_although_another_one_has_the_people(
    desk: Desk, sources: dict[str, Source]
) -> None:
    """A37, C24: nobody would leave, and all that it said of them would be rewritten."""
    everybody = [who(f"P{n}", job_title="Head") for n in range(20)]
    sources["entra"].people = everybody
    sources["xero"].people = [who(f"P{n}", job_title="Clerk") for n in range(20)]
    desk.sync_each("entra", "xero")
    before = desk.rows()
    sources["entra"].people = everybody[:3]

    (outcome,) = desk.sync_each("entra")

    assert outcome.state == "held"
    (overrun,) = outcome.overruns
    assert "17 of 20 people are missing all at once" in overrun
    assert desk.rows() == before
    desk.approve(outcome.holds[0])
    desk.wait(days=2)
    (again,) = desk.sync_each("entra")
    assert again.state == "succeeded"  # it was approved, and is not asked again
    assert {user.values["job_title"] for user in desk.users()} == {"Head", "Clerk"}
    assert len(desk.names(active=True)) == 20


def test_a_few_people_may_go_from_a_source_at_once(desk: Desk, sources: dict[str, Source]) -> None:
    sources["entra"].people = crowd(20)
    sources["xero"].people = crowd(20)
    desk.sync_each("entra", "xero")
    sources["entra"].people = crowd(17)

    (outcome,) = desk.sync_each("entra")

    assert outcome.state == "succeeded"
