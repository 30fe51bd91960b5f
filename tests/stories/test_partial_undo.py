"""A part of a run is taken back: fields, users, a client; the rest stays, or goes later."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from syncd.errors import UsageError
from syncd.store import answers_runs
from syncd.store import tables as t
from syncd.store.answers_runs import RunLine
from syncd.store.dump import canonical_dump
from syncd.sync import undoing
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, who


def live(desk: Desk) -> str:
    return canonical_dump(desk.database, retired=False)


def fields(desk: Desk, name: str, *names: str) -> list[object]:
    """Values of a user, None for blanks."""
    values = desk.user(name).values
    return [values.get(one) for one in names]


def unsettled(desk: Desk) -> set[str]:
    """Keys of people that the next run looks at again."""
    with desk.database.read() as conn:
        c = t.link.c
        return set(conn.execute(sa.select(c.key).where(c.digest.is_(None))).scalars())


def run_of(desk: Desk, run: int) -> RunLine:
    return answers_runs.runs(desk.database, run=run)[0]


def statuses(desk: Desk, run: int) -> dict[str, str]:
    """What became of the changes of a run, by key."""
    asked = answers_runs.Asked(run=run, limit=0)
    return {one.key: one.status for one in answers_runs.changes(desk.database, asked)}


BEFORE = [
    person("Ada", Title="Clerk", Phone="1234567", Department="Sales"),
    person("Bob", Title="Clerk", Phone="1234568"),
    person("Zoe", "Bolt", Title="Cook"),
]
AFTER = [
    person("Ada", Title="Head", Phone="7654321", Department="Board", VIP="yes"),
    person("Bob", Title="Head", Phone="1234568", Notes="new"),
    person("Zoe", "Bolt", Title="Chef", Site="Hall"),
    person("New"),
    person("Kim", "Crane"),
]


@pytest.fixture
def busy(desk: Desk) -> Outcome:
    """A run that changed, moved and created users of three clients."""
    desk.sync(BEFORE)
    outcome = desk.sync(AFTER)
    assert outcome.state == "succeeded", outcome
    return outcome


# -- fields ----------------------------------------------------------------------------------------


def test_a_field_goes_back_for_everybody_and_nothing_else_does(desk: Desk, busy: Outcome) -> None:
    undone = desk.undo(busy.run, fields=["title"])

    assert undone.state == "succeeded", undone
    assert fields(desk, "Ada", "job_title", "phone", "department") == ["Clerk", "7654321", "Board"]
    assert fields(desk, "Bob", "job_title", "notes") == ["Clerk", "new"]
    assert fields(desk, "Zoe", "job_title") == ["Cook"]
    assert desk.user("Zoe").site == "Hall"
    assert desk.names() == ["Ada", "Bob", "Kim", "New", "Zoe"]


def test_links_stay_tied_and_are_planned_again(desk: Desk, busy: Outcome) -> None:
    assert unsettled(desk) == set()

    desk.undo(busy.run, fields=["phone"])

    assert set(desk.links().values()) == {"alive"}
    assert unsettled(desk) == {"ada"}
    assert desk.connection_state() == ("paused", f"run {busy.run} was partly undone by boss")
    desk.resume()
    assert desk.plan().counts["update user"] == 1
    desk.sync()
    assert fields(desk, "Ada", "phone") == ["7654321"]


def test_only_the_cursors_of_partitions_that_are_touched_are_cleared(
    desk: Desk, source: Source
) -> None:
    source.partitions, source.cursor = ["acme", "bolt"], "c1"
    source.people = [who("Ada"), who("Bob", "bolt")]
    desk.sync()
    source.people = [who("Ada", job_title="Head"), who("Bob", "bolt", department="Sales")]
    outcome = desk.sync(full=True)

    desk.undo(outcome.run, fields=["title"])

    source.asked.clear()
    desk.resume()
    desk.sync()
    assert set(source.asked) == {None, "c1"}  # two threads


@pytest.mark.parametrize(
    ("name", "at", "code"), [("site", "Hall", "b"), ("custom.code", "Tower", "a")]
)
def test_a_site_and_a_custom_field_are_fields_too(
    desk: Desk, name: str, at: str, code: str
) -> None:
    desk.sync([person("Ada", Site="Hall", CF_code="a")])
    outcome = desk.sync([person("Ada", Site="Tower", CF_code="b")])

    desk.undo(outcome.run, fields=[name])

    assert (desk.user("Ada").site, *fields(desk, "Ada", "custom")) == (at, {"code": code})


def test_a_move_is_one_field_and_takes_the_site_along(desk: Desk) -> None:
    desk.sync([*people(5), person("Zoe", "Bolt", Site="Hall")])
    moved = [person("P0", "Bolt", Site="Hall", Title="Boss"), *people(4, first=1)]
    held = desk.sync([*moved, person("Zoe", "Bolt", Site="Hall")])
    desk.approve(held.holds[0])
    with pytest.raises(UsageError, match=r"changed no site; it changed .*client of 1 user"):
        desk.undo(held.run, fields=["site"])

    desk.undo(held.run, fields=["client"])

    user = desk.user("P0")
    assert (user.client, user.site, user.values["job_title"]) == ("Acme", "Main", "Boss")


def test_a_leaver_who_is_active_again_leaves_again_by_the_next_run(desk: Desk) -> None:
    rows = people(6)
    desk.sync(rows)
    outcome = desk.sync(rows[1:])
    assert desk.links()["p0"] == "gone"

    desk.undo(outcome.run, fields=["active"])

    assert desk.names(active=True) == [f"P{number}" for number in range(6)]
    assert desk.links()["p0"] == "alive"
    desk.resume()
    assert desk.plan().counts["deactivate user"] == 1


def test_a_returner_who_is_inactive_again_returns_by_the_next_run(desk: Desk) -> None:
    rows = people(6)
    desk.sync(rows)
    desk.sync(rows[1:])
    outcome = desk.sync([person("P0", Title="Boss"), *rows[1:]])
    assert desk.user("P0").active

    desk.undo(outcome.run, fields=["active"])

    assert not desk.user("P0").active
    assert fields(desk, "P0", "job_title") == ["Boss"]
    desk.resume()
    assert desk.plan().counts["reactivate user"] == 1


def test_a_field_filter_touches_no_creation_and_no_identity(desk: Desk, source: Source) -> None:
    source.people = [who("Ada", job_title="Clerk")]
    desk.sync()
    idp = [["https://idp.example", "a1"]]
    source.people = [who("Ada", job_title="Head", identities=idp), who("New", job_title="Clerk")]
    outcome = desk.sync()

    desk.undo(outcome.run, fields=["job_title"])

    assert fields(desk, "Ada", "job_title") == ["Clerk"]
    assert fields(desk, "New", "job_title") == ["Clerk"]
    assert len(desk.rows(t.identity)["identity"]) == 1


def test_a_field_of_an_edit_by_hand_goes_back_with_its_override(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    edit = desk.set("Ada", title="Countess", notes="typed")

    desk.undo(edit.run, fields=["title"])

    assert fields(desk, "Ada", "job_title", "notes", "overrides") == [
        "Clerk",
        "typed",
        {"notes": "typed"},
    ]


# -- users and clients -----------------------------------------------------------------------------


def test_all_that_a_run_did_to_one_user_goes_back(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, users=["Ada"])

    assert fields(desk, "Ada", "job_title", "phone", "department") == ["Clerk", "1234567", "Sales"]
    assert fields(desk, "Bob", "job_title") == ["Head"]
    assert unsettled(desk) == {"ada"}


def test_one_of_the_creations_goes_back(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, users=["New"])

    assert desk.names() == ["Ada", "Bob", "Kim", "Zoe"]
    assert desk.links() == {
        "ada": "alive", "bob": "alive", "kim": "alive", "new": "undone", "zoe": "alive"
    }  # fmt: skip


def test_a_client_goes_back_with_its_sites_and_users(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, clients=["Crane"])
    assert desk.names() == ["Ada", "Bob", "New", "Zoe"]
    assert "Crane" not in {client for client, _ in desk.sites()}

    desk.undo(busy.run, clients=["Bolt"])
    assert (desk.user("Zoe").site, *fields(desk, "Zoe", "job_title")) == ("Main", "Cook")
    assert ("Bolt", "Hall") not in desk.sites()
    assert fields(desk, "Ada", "job_title") == ["Head"]


def test_users_and_fields_narrow_each_other(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, users=["Ada", "Bob"], fields=["title", "notes"])

    assert fields(desk, "Ada", "job_title", "phone") == ["Clerk", "7654321"]
    assert fields(desk, "Bob", "job_title", "notes") == ["Clerk", None]
    assert fields(desk, "Zoe", "job_title") == ["Chef"]


def test_clients_and_fields_narrow_each_other(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, clients=["Bolt"], fields=["title"])

    assert (desk.user("Zoe").site, *fields(desk, "Zoe", "job_title")) == ("Hall", "Cook")
    assert fields(desk, "Ada", "job_title") == ["Head"]


def test_whom_a_run_moved_away_belongs_to_both_clients(desk: Desk) -> None:
    desk.sync([*people(5), person("Zoe", "Bolt")])
    held = desk.sync([person("P0", "Bolt"), *people(4, first=1), person("Zoe", "Bolt")])
    desk.approve(held.holds[0])

    desk.undo(held.run, clients=["Acme"])

    assert desk.user("P0").client == "Acme"


# -- the rest, later -------------------------------------------------------------------------------

PARTS: dict[str, dict[str, list[str]]] = {
    "a field": {"fields": ["title"]},
    "two fields": {"fields": ["phone", "site"]},
    "a user": {"users": ["Ada"]},
    "a new user": {"users": ["New"]},
    "a client": {"clients": ["Bolt"]},
    "a new client": {"clients": ["Crane"]},
    "a field of a user": {"users": ["Ada"], "fields": ["department"]},
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_a_part_and_then_the_rest_is_the_whole(
    desk: Desk, busy: Outcome, part: dict[str, list[str]]
) -> None:
    desk.undo(busy.run, **part)  # type: ignore[arg-type]
    rest = desk.undo(busy.run)

    assert rest.state == "succeeded", rest
    assert not rest.counts.get("stale")
    assert desk.names() == ["Ada", "Bob", "Zoe"]
    assert set(desk.links().values()) == {"alive", "undone"}
    ended = live(desk)
    desk.resume()
    desk.sync(AFTER)
    whole = desk.undo(answers_runs.runs(desk.database)[0].id)
    assert whole.state == "succeeded"
    assert live(desk) == ended


def test_what_was_taken_back_is_told_with_the_run_that_did_it(desk: Desk, busy: Outcome) -> None:
    first = desk.undo(busy.run, fields=["title"])

    assert run_of(desk, busy.run).partly_undone_by == [first.run]
    assert run_of(desk, busy.run).undone_by is None
    assert run_of(desk, first.run).undoes_a_part
    told = statuses(desk, busy.run)
    assert told["ada"] == f"partly undone by run {first.run}"
    assert told["new"] == "done"

    rest = desk.undo(busy.run)

    assert run_of(desk, busy.run).undone_by == rest.run
    assert set(statuses(desk, busy.run).values()) == {f"undone by run {rest.run}"}


def test_a_part_is_taken_back_once(desk: Desk, busy: Outcome) -> None:
    first = desk.undo(busy.run, fields=["title"])
    with pytest.raises(UsageError, match=f"run {first.run} took it back already"):
        desk.undo(busy.run, fields=["job_title"])
    with pytest.raises(UsageError, match=f"run {first.run} took it back already"):
        desk.undo(busy.run, users=["Ada"], fields=["title"])
    desk.undo(busy.run, users=["Ada"])
    with pytest.raises(UsageError, match="took it back already"):
        desk.undo(busy.run, users=["Ada"])
    whole = desk.undo(busy.run)
    with pytest.raises(UsageError, match=f"run {whole.run} did so already"):
        desk.undo(busy.run, users=["Bob"])


def test_when_parts_made_the_whole_nothing_is_left(desk: Desk) -> None:
    desk.sync(BEFORE)
    outcome = desk.sync(
        [person("Ada", Title="Head", Phone="1234567", Department="Sales"), *BEFORE[1:]]
    )
    first = desk.undo(outcome.run, users=["Ada"])

    with pytest.raises(UsageError, match=f"run {first.run} took it back already"):
        desk.undo(outcome.run)


def test_an_undo_from_before_there_were_parts_was_of_the_whole(desk: Desk, busy: Outcome) -> None:
    undone = desk.undo(busy.run)
    with desk.database.engine.begin() as conn:  # as it was remembered then
        memory = {"undoes": str(desk.step(busy.run).id)}
        conn.execute(
            sa.update(t.step).where(t.step.c.run_id == undone.run).values(base_cursor=memory)
        )
        conn.execute(sa.update(t.run).values(undone_by=None))

    with pytest.raises(UsageError, match=f"run {undone.run} took it back already"):
        desk.undo(busy.run, fields=["title"])


def test_what_a_later_run_did_again_is_not_taken_back_with_the_rest(
    desk: Desk, busy: Outcome
) -> None:
    desk.undo(busy.run, users=["Ada", "Kim"])
    desk.resume()
    desk.sync()  # does it all again to Ada, and Kim is back
    assert fields(desk, "Ada", "job_title") == ["Head"]

    rest = desk.undo(busy.run)

    assert not rest.counts.get("stale")
    assert desk.names() == ["Ada", "Bob", "Kim", "Zoe"]
    assert fields(desk, "Ada", "job_title", "phone") == ["Head", "7654321"]
    assert (desk.user("Kim").client, desk.user("Kim").site) == ("Crane", "Main")
    assert ("Crane", "Main") in desk.sites()
    assert desk.links()["kim"] == "alive"
    assert fields(desk, "Bob", "job_title") == ["Clerk"]


def test_whom_a_later_run_put_at_a_new_site_again_keeps_it(desk: Desk) -> None:
    desk.sync([person("Ada"), person("Bob")])
    outcome = desk.sync([person("Ada", Site="Hall"), person("Bob", Site="Hall")])
    desk.undo(outcome.run, users=["Ada"])
    desk.resume()
    desk.sync()
    assert desk.user("Ada").site == "Hall"

    desk.undo(outcome.run)

    assert (desk.user("Ada").site, desk.user("Bob").site) == ("Hall", "Main")
    assert ("Acme", "Hall") in desk.sites()


def test_a_link_that_a_later_sync_wrote_stays_as_that_says(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Clerk", Phone="1234567")])
    outcome = desk.sync([person("Ada", Title="Head", Phone="1234567")])
    desk.sync([person("Ada", Title="Head", Phone="7654321")])
    items = desk.rows(t.item)

    desk.undo(outcome.run)

    assert fields(desk, "Ada", "job_title", "phone") == ["Clerk", "7654321"]
    assert desk.rows(t.item) == items
    assert unsettled(desk) == {"ada"}


def test_what_was_edited_since_stays_and_can_be_taken_back_when_that_was_undone(
    desk: Desk, busy: Outcome
) -> None:
    edit = desk.set("Ada", title="Countess")
    first = desk.undo(busy.run, fields=["title"])
    assert (first.state, first.code) == ("partial", "stale")
    assert fields(desk, "Ada", "job_title") == ["Countess"]
    assert fields(desk, "Bob", "job_title") == ["Clerk"]

    desk.undo(edit.run)
    second = desk.undo(busy.run, fields=["title"])

    assert second.state == "succeeded"
    assert fields(desk, "Ada", "job_title") == ["Clerk"]


def test_a_creation_can_go_when_a_part_of_a_later_run_that_changed_it_went(desk: Desk) -> None:
    first = desk.sync([person("Ada"), person("Bob")])
    second = desk.sync([person("Ada", Title="Head"), person("Bob", Title="Head")])
    desk.undo(second.run, users=["Ada"])

    undone = desk.undo(first.run)

    assert desk.names() == ["Bob"]
    stays = {key: reason for _, key, reason in desk.changes(undone.run) if "it stays" in reason}
    assert stays == {"bob": f"it stays: run {second.run} changed it since"}


def test_a_link_goes_back_once_whatever_became_of_it_then(desk: Desk) -> None:
    first = desk.sync([person("Ada"), person("Bob")])
    second = desk.sync([person("Ada", Title="Head"), person("Bob", Title="Head")])
    desk.undo(second.run, users=["Ada"])
    desk.undo(first.run)
    assert desk.links() == {"ada": "undone", "bob": "alive"}

    desk.undo(second.run)

    assert desk.links() == {"ada": "undone", "bob": "alive"}
    assert fields(desk, "Bob", "job_title") == [None]


def test_the_brake_forgets_only_whom_an_undo_made_active_again(desk: Desk) -> None:
    rows = people(100)
    desk.sync(rows)
    outcome = desk.sync(rows[8:])
    assert outcome.state == "succeeded"
    desk.undo(outcome.run, users=["P0", "P1", "P2"])
    desk.resume()

    held = desk.sync(rows[8:])  # 5 left today, 3 leave again: 8 of 10
    assert held.state == "succeeded", held.overruns
    assert desk.sync(rows[11:]).state == "held"


def test_the_brake_does_not_forget_leavers_of_whom_only_another_field_went_back(
    desk: Desk,
) -> None:
    rows = people(100)
    desk.sync(rows)
    leavers = [person(f"P{number}", Inactive="yes", Title="Gone") for number in range(8)]
    outcome = desk.sync([*leavers, *rows[8:]])
    assert outcome.counts["deactivate user"] == 8
    desk.undo(outcome.run, fields=["title"])
    desk.resume()

    more = [person(f"P{number}", Inactive="yes") for number in range(8, 11)]
    assert desk.sync([*leavers, *more, *rows[11:]]).state == "held"


# -- nothing to take back --------------------------------------------------------------------------


REFUSED: list[tuple[dict[str, list[str]], str]] = [
    ({"fields": ["mobile"]}, "changed no mobile; it changed job_title of 3 users"),
    ({"users": ["Bob"], "fields": ["phone"]}, "changed no phone of Bob"),
    ({"users": ["New"], "fields": ["title"]}, "changed no job_title of New.*created 2 users"),
    ({"users": ["Ada"], "clients": ["Bolt"]}, "did nothing to Ada <ada@acme.example> in Bolt"),
    ({"fields": ["titel"]}, 'no field "titel"; did you mean "title"'),
    ({"fields": ["custom."]}, 'no field "custom."'),
    ({"fields": ["identities"]}, 'no field "identities"'),
]


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(("part", "why"), REFUSED)
def test_a_part_that_holds_nothing_is_refused_with_what_the_run_did(
    desk: Desk, busy: Outcome, part: dict[str, list[str]], why: str
) -> None:
    before = live(desk)
    with pytest.raises(UsageError, match=why):
        desk.undo(busy.run, **part)  # type: ignore[arg-type]
    assert live(desk) == before
    assert desk.connection_state()[0] == "active"


class PowerCut(BaseException):
    """Nothing in the engine catches it."""


def cut(*_: object) -> None:
    raise PowerCut


def test_a_partial_undo_that_died_goes_on_as_it_was_begun(
    desk: Desk, busy: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(undoing, "_undo_step", cut)
        with pytest.raises(PowerCut):
            desk.undo(busy.run, users=["Ada"], fields=["title"], keep=True)
    ada = desk.user("Ada").id

    with pytest.raises(UsageError, match=f"--user {ada} --field job_title --keep"):
        desk.undo(busy.run)
    assert desk.undo(busy.run, users=["Ada"], fields=["title"], keep=True).state == "succeeded"

    assert fields(desk, "Ada", "job_title", "phone") == ["Clerk", "7654321"]
    assert run_of(desk, busy.run).undone_by is None


def test_a_partial_undo_that_died_before_it_planned_can_be_laid_aside(
    desk: Desk, busy: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(undoing, "_draft", cut)
        with pytest.raises(PowerCut):
            desk.undo(busy.run, fields=["title"])
    desk.resume()
    desk.plan()

    assert not run_of(desk, busy.run).partly_undone_by
    assert desk.undo(busy.run, fields=["title"]).state == "succeeded"
