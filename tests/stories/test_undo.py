"""Undo takes a run back, field by field, and leaves alone what others did since."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Deletes, Page
from syncd.entities import Kind
from syncd.errors import UsageError
from syncd.store import answers_runs
from syncd.store import tables as t
from syncd.store.history import Undoable
from syncd.store.runs import StepRow
from syncd.sync import editing, undoing
from syncd.sync.engine import Engine
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, gone, who


def test_undo_gives_back_every_field_and_who_owned_it(desk: Desk) -> None:
    first = [person("Ada", Title="Clerk", Phone="1234567", CF_code="a"), person("Bob", Site="Hall")]
    desk.sync(first)
    before, links = desk.living(), desk.links()
    second = [
        person("Ada", Title="Head", Phone="7654321", CF_code="b", VIP="yes", Notes="new"),
        person("Bob", Site="Tower", **{"E-mail": "robert@acme.example"}),
    ]
    outcome = desk.sync(second)
    assert desk.living() != before

    undone = desk.undo(outcome.run)

    assert undone.state == "succeeded", undone
    assert desk.living() == before
    assert desk.links() == links


def test_records_that_say_the_same_in_other_words_go_back_too_page_by_page(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where all that a page of them holds has changes of its own."""
    monkeypatch.setattr(undoing, "PAGE", 2)
    desk.sync([person(f"P{n}", VIP="yes") for n in range(9)])
    before = items(desk)
    second = [
        person(f"P{n}", VIP="true", Title="Head" if n in (2, 3, 4, 5, 8) else "") for n in range(9)
    ]
    outcome = desk.sync(second)
    assert outcome.counts["update user"] == 5
    assert not before.items() & items(desk).items()

    desk.undo(outcome.run)

    assert items(desk) == before


def items(desk: Desk) -> dict[str, bytes]:
    """What the people said last, as it is stored."""
    with desk.database.read() as conn:
        query = sa.select(t.item.c.key, t.item.c.raw).where(t.item.c.stream == "people")
        return {row[0]: row[1] for row in conn.execute(query)}


def test_an_undone_creation_is_hidden_and_its_keys_are_free(desk: Desk) -> None:
    desk.sync([person("Ada")])
    before = desk.living()
    outcome = desk.sync([person("Ada"), person("New"), person("Zoe", "Bolt", Site="Hall")])

    desk.undo(outcome.run)

    assert desk.living() == before
    assert desk.links() == {"ada": "alive", "new": "undone", "zoe": "undone"}
    desk.add_user("Acme", name="Other", email="new@acme.example")
    assert desk.names() == ["Ada", "Other"]


def test_an_undone_creation_comes_back_on_the_same_rows(desk: Desk) -> None:
    outcome = desk.sync([person("Ada", Title="Clerk"), person("Zoe", "Bolt", Site="Hall")])
    before, ids = desk.picture(), [user.id for user in desk.users()]
    desk.undo(outcome.run)
    assert desk.users() == []

    desk.resume()
    again = desk.sync()

    assert again.state == "succeeded", again
    assert desk.picture() == before
    assert [user.id for user in desk.users()] == ids
    assert set(desk.links().values()) == {"alive"}


def test_an_undone_run_pauses_the_connection_and_resuming_plans_it_again(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    outcome = desk.sync([person("Ada", Title="Head")])
    desk.undo(outcome.run)

    state, reason = desk.connection_state()
    assert state == "paused"
    assert f"run {outcome.run} was undone by boss" in str(reason)
    with pytest.raises(UsageError, match="paused"):
        desk.sync()

    desk.resume()
    plan = desk.plan()
    assert plan.counts["update user"] == 1
    desk.sync()
    assert desk.user("Ada").values["job_title"] == "Head"


def test_undo_clears_the_cursor_so_that_the_next_read_is_a_full_one(
    desk: Desk, source: Source
) -> None:
    source.people, source.cursor = [who("Ada")], "c1"
    desk.sync()
    source.people, source.cursor = [who("Bob")], "c2"
    outcome = desk.sync()

    desk.undo(outcome.run)
    desk.resume()
    desk.sync()

    assert source.asked == [None, "c1", None]


def test_leavers_come_back_when_the_run_is_undone(desk: Desk) -> None:
    rows = people(6)
    desk.sync(rows)
    before, links = desk.living(), desk.links()
    outcome = desk.sync(rows[2:])

    desk.undo(outcome.run)

    assert desk.living() == before
    assert desk.links() == links


def test_identities_go_back_too(desk: Desk, source: Source) -> None:
    source.deletes = Deletes.TOMBSTONE
    source.people, source.cursor = [who("Ada")], None
    desk.sync()
    source.people = [
        who("Ada", identities=[["https://idp.example", "a1"]]),
        who("Bob", identities=[["https://idp.example", "b1"]]),
    ]
    outcome = desk.sync()
    assert len(desk.rows(t.identity)["identity"]) == 2

    desk.undo(outcome.run)

    assert desk.rows(t.identity)["identity"] == []


def test_a_tombstone_can_be_undone(desk: Desk, source: Source) -> None:
    source.deletes = Deletes.TOMBSTONE
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    before = desk.living()
    source.pages = [Page([], tombstones=gone("ada"))]
    outcome = desk.sync()
    assert desk.names(active=True) == ["Bob"]

    desk.undo(outcome.run)

    assert desk.living() == before


def test_what_a_person_edited_since_stays_and_the_rest_goes_back(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk", Department="Sales"), person("Bob", Title="Clerk")])
    outcome = desk.sync(
        [person("Ada", Title="Head", Department="Board"), person("Bob", Title="Head")]
    )
    desk.set("Ada", title="Countess")

    undone = desk.undo(outcome.run)

    ada = desk.user("Ada").values
    assert ada["job_title"] == "Countess"
    assert ada["department"] == "Sales"
    assert desk.user("Bob").values["job_title"] == "Clerk"
    assert (undone.state, undone.code) == ("partial", "stale")


def test_what_was_created_and_edited_since_stays_and_is_said(desk: Desk) -> None:
    outcome = desk.sync([person("Ada"), person("Bob")])
    desk.set("Ada", title="Countess")

    undone = desk.undo(outcome.run)

    assert desk.names() == ["Ada"]
    assert desk.user("Ada").values["job_title"] == "Countess"
    assert [key for _, key, reason in desk.changes(undone.run) if "it stays" in reason] == ["ada"]


def test_a_client_with_users_of_another_origin_stays(desk: Desk) -> None:
    outcome = desk.sync([person("Ada")])
    desk.add_user("Acme", name="Hand")

    desk.undo(outcome.run)

    assert desk.names() == ["Hand"]
    assert desk.sites() == [("Acme", "Main")]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_run_is_undone_once_and_only_if_it_did_something(desk: Desk) -> None:
    outcome = desk.sync([person("Ada")])
    plan = desk.plan()
    undone = desk.undo(outcome.run)

    for run, why in ((outcome.run, "did so already"), (plan.run, "mode plan"), (4711, "no run")):
        with pytest.raises(UsageError, match=why):
            desk.undo(run)
    with pytest.raises(UsageError, match="mode undo"):
        desk.undo(undone.run)


class PowerCut(BaseException):
    """Nothing in the engine catches it."""


def cut(*_: object) -> None:
    raise PowerCut


def test_an_undo_that_died_before_it_planned_and_was_laid_aside_can_be_asked_for_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    before = desk.living()
    outcome = desk.sync([person("Ada", Title="Head")])
    with monkeypatch.context() as patch:
        patch.setattr(undoing, "_draft", cut)
        with pytest.raises(PowerCut):
            desk.undo(outcome.run)
    desk.resume()
    desk.plan()  # lays aside what the undo had begun

    again = desk.undo(outcome.run)

    assert again.state == "succeeded"
    assert desk.living() == before


def test_an_undo_that_died_when_a_part_was_back_already_is_finished_first(
    desk: Desk, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.partitions = ["acme", "bolt"]
    source.people = [who("Ada"), who("Bob", "bolt")]
    outcome = desk.sync()
    take_back, done = undoing._undo_step, []

    def the_first_only(engine: Engine, target: Undoable, step: StepRow) -> None:
        if done:
            raise PowerCut
        done.append(step)
        take_back(engine, target, step)

    with monkeypatch.context() as patch:
        patch.setattr(undoing, "_undo_step", the_first_only)
        with pytest.raises(PowerCut):
            desk.undo(outcome.run)
    desk.resume()

    with pytest.raises(UsageError, match="finish it first: syncd undo"):
        desk.plan()
    assert desk.undo(outcome.run).state == "succeeded"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_held_run_has_nothing_to_undo(desk: Desk) -> None:
    desk.sync(people(10))
    held = desk.sync(people(4))

    with pytest.raises(UsageError, match="applied nothing"):
        desk.undo(held.run)


def test_an_approved_plan_can_be_undone(desk: Desk) -> None:
    desk.sync(people(10))
    before = desk.living()
    held = desk.sync(people(4))
    desk.approve(held.holds[0])
    assert len(desk.names(active=True)) == 4

    assert desk.undo(held.run).state == "succeeded"
    assert desk.living() == before


def test_a_move_can_be_undone(desk: Desk) -> None:
    desk.sync([*people(5), person("Zoe", "Bolt")])
    before = desk.living()
    held = desk.sync([person("P0", "Bolt"), *people(4, first=1), person("Zoe", "Bolt")])
    desk.approve(held.holds[0])

    desk.undo(held.run)

    assert desk.living() == before


def test_an_edit_by_hand_can_be_undone(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    before = desk.living()
    edit = desk.set("Ada", title="Countess", notes="typed")

    assert desk.undo(edit.run).state == "succeeded"

    assert desk.living() == before
    assert desk.connection_state()[0] == "active"
    desk.sync([person("Ada", Title="Head")])
    assert desk.user("Ada").values["job_title"] == "Head"


def test_a_word_that_another_took_the_place_of_is_left_alone(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Head")])
    edit = desk.set("Ada", title="Head")
    desk.set("Ada", title="Countess")

    undone = desk.undo(edit.run)

    assert (undone.state, undone.code) == ("partial", "stale")
    assert desk.user("Ada").values["overrides"] == {"job_title": "Countess"}


def test_a_word_that_was_released_since_is_gone_and_the_value_before_it_comes_back(
    desk: Desk,
) -> None:
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Hand")
    before = desk.user("Hand").values
    edit = desk.set("Hand", title="Countess")
    editing.release(desk.engine, Kind.USER, desk.user("Hand").id, ["title"], "boss")
    assert desk.user("Hand").values["job_title"] == "Countess"

    assert desk.undo(edit.run).state == "succeeded"

    assert desk.user("Hand").values == before


def test_a_user_added_by_hand_whom_a_source_has_since_stays(desk: Desk) -> None:
    desk.sync([person("Zoe")])
    made = desk.add_user("Acme", name="Ada", email="ada@acme.example")
    desk.sync([person("Zoe"), person("Ada")])

    desk.undo(made.run)

    assert desk.names() == ["Ada", "Zoe"]


def test_what_was_taken_back_in_part_is_in_the_history(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk", Department="Sales")])
    outcome = desk.sync([person("Ada", Title="Head", Department="Board")])
    desk.set("Ada", title="Countess")
    undone = desk.undo(outcome.run)

    asked = answers_runs.Asked(entity=desk.user("Ada").id, limit=1)
    [newest] = answers_runs.changes(desk.database, asked)

    assert (newest.run, newest.status) == (undone.run, "partly done")
    assert newest.after == {"department": "Sales"}
    assert undone.counts["update user"] == undone.counts["stale"] == 1


def test_the_site_of_a_moved_user_stays_one_of_its_client(desk: Desk) -> None:
    desk.sync([*people(5), person("Zoe", "Bolt", Site="Hall")])
    bolt = [person("P0", "Bolt", Site="Hall"), person("Zoe", "Bolt", Site="Hall")]
    held = desk.sync([*people(4, first=1), *bolt])
    desk.approve(held.holds[0])
    bolt = [person("P0", "Bolt", Site="Tower"), person("Zoe", "Bolt", Site="Hall")]
    desk.sync([*people(4, first=1), *bolt])

    undone = desk.undo(held.run)

    assert (desk.user("P0").client, desk.user("P0").site) == ("Bolt", "Tower")
    assert undone.code == "stale"


def test_a_user_added_by_hand_can_be_undone(desk: Desk) -> None:
    desk.sync([person("Ada")])
    before = desk.living()
    made = desk.add_user("Acme", name="Hand")

    desk.undo(made.run)

    assert desk.living() == before


def test_a_release_can_be_undone(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    desk.set("Ada", title="Countess")
    before = desk.living()
    freed = editing.release(desk.engine, Kind.USER, desk.user("Ada").id, [], "boss")
    assert desk.living() != before

    desk.undo(freed.run)

    assert desk.living() == before


def test_an_adoption_can_be_undone(desk: Desk) -> None:
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Ada", email="ada@acme.example")
    before = desk.living()
    outcome = desk.sync([person("Zoe"), person("Ada", Title="Clerk")])
    assert desk.user("Ada").values["job_title"] == "Clerk"

    desk.undo(outcome.run)

    assert desk.living() == before
    assert desk.links()["ada"] == "undone"


def test_an_adoption_that_was_undone_happens_again_when_the_connection_resumes(desk: Desk) -> None:
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Ada", email="ada@acme.example")
    outcome = desk.sync([person("Zoe"), person("Ada", Title="Clerk")])
    desk.undo(outcome.run)

    desk.resume()
    desk.sync()

    assert desk.names() == ["Ada", "Zoe"]
    assert desk.user("Ada").values["job_title"] == "Clerk"
    assert desk.links()["ada"] == "alive"


def test_every_step_of_the_story_is_in_one_ledger(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    outcome = desk.sync([person("Ada", Title="Head")])
    desk.set("Ada", title="Countess")
    desk.undo(outcome.run)

    c = t.change.c
    query = (
        sa.select(t.run.c.mode, t.run.c.actor, c.action, c.outcome)
        .join(t.step, t.step.c.id == c.step_id)
        .join(t.run, t.run.c.id == t.step.c.run_id)
        .where(c.entity_id == desk.user("Ada").id)
        .order_by(t.run.c.id)
    )
    with desk.database.read() as conn:
        told = [tuple(row) for row in conn.execute(query)]
    assert told[:3] == [
        ("apply", "tester", "create", None),
        ("apply", "tester", "update", None),
        ("edit", "boss", "update", None),
    ]
    assert ("undo", "boss") in [one[:2] for one in told[3:]]


def test_of_two_who_undo_one_edit_at_a_time_one_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sync(people(1))
    edit = desk.set("P0", phone="0999999").run
    begin = undoing._open

    def later(*given: Any) -> int:
        monkeypatch.setattr(undoing, "_open", begin)
        desk.undo(edit)
        return begin(*given)

    monkeypatch.setattr(undoing, "_open", later)
    with pytest.raises(UsageError, match="undone by somebody else"):
        desk.undo(edit)
    assert desk.user("P0").values.get("phone") is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"custom.": "z"}, 'cannot be called ""'),
        ({"custom.code": "y" * 256}, "custom.code is at most 255 characters long"),
        ({"custom.a\nb": "z"}, "cannot be called"),
    ],
)
def test_a_custom_field_that_could_not_come_from_a_source_is_not_set_by_hand(
    desk: Desk, given: dict[str, str], why: str
) -> None:
    desk.sync(people(1))

    with pytest.raises(UsageError, match=why):
        desk.set("P0", **given)


def test_nobody_is_added_to_a_client_that_is_merged_at_this_very_moment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sync([*people(3), person("Zoe", "Bolt")])
    acme, bolt, apply = desk.client("Acme"), desk.client("Bolt"), editing._apply

    def later(*given: Any) -> Outcome:
        desk.merge(acme, bolt, Kind.CLIENT)
        return apply(*given)

    monkeypatch.setattr(editing, "_apply", later)
    outcome = editing.add_user(desk.engine, bolt, {"name": "Zed"}, "boss")

    assert outcome.counts["stale"] == 1
    assert desk.names() == ["P0", "P1", "P2", "Zoe"]
