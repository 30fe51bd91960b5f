"""Undo where several sources feed the same users: each takes back its own, and nothing else."""

from __future__ import annotations

import pytest

from syncd.entities import Kind
from syncd.errors import UsageError
from syncd.store import tables as t
from syncd.sync import connections, editing, flow
from syncd.sync.flow import Outcome
from tests.stories.desk import CSV, Desk, Row, person

PEOPLE, PHONES = "people", "phones"
HAND = ("1234567", PEOPLE)
TAKEN = ("7654321", PHONES)


@pytest.fixture
def two(desk: Desk) -> Desk:
    """A desk with a second sheet, which knows better."""
    desk.connect(PHONES, "csv", {**CSV, "combined": "phones.csv"})
    desk.precedence = f'[precedence]\ndefault = ["{PHONES}", "{PEOPLE}"]\n'
    desk.reload()
    return desk


def phones(desk: Desk, rows: list[Row]) -> Outcome:
    """Sync the second sheet, after dropping these rows."""
    desk.write(rows, "phones.csv")
    return flow.sync(desk.engine, PHONES, actor="tester")


def phone(desk: Desk, name: str) -> tuple[object, object]:
    """The phone of a user, and which connection gave it."""
    values = desk.user(name).values
    owners = values["provenance"]
    return values.get("phone"), owners.get("phone", owners["*"])


def ties(desk: Desk) -> dict[tuple[int, str], str]:
    """(partition, key) of people to the state of their link."""
    at = {name: number for number, name in enumerate(t.link.c.keys())}
    return {
        (row[at["partition_id"]], row[at["key"]]): row[at["state"]]
        for row in desk.rows(t.link)["link"]
        if row[at["stream"]] == "people"
    }


def taken_over(desk: Desk) -> tuple[Outcome, Outcome]:
    """Ada comes from the first sheet; the second one links her and takes over her phone."""
    first = desk.sync([person("Ada", Phone="1234567"), person("Bob", Phone="1234568")])
    assert phone(desk, "Ada") == HAND
    second = phones(desk, [person("Ada", Phone="7654321")])
    assert phone(desk, "Ada") == TAKEN
    return first, second


def test_a_value_goes_back_to_the_source_that_owned_it_before(two: Desk) -> None:
    _, second = taken_over(two)
    before = two.rows(t.link)

    assert two.undo(second.run).state == "succeeded"

    assert phone(two, "Ada") == HAND
    assert ties(two) == {(1, "ada"): "alive", (1, "bob"): "alive", (2, "ada"): "undone"}
    assert two.rows(t.link) != before


def test_a_field_goes_back_to_its_owner_while_both_stay_tied(two: Desk) -> None:
    _, second = taken_over(two)

    two.undo(second.run, fields=["phone"])

    assert phone(two, "Ada") == HAND
    assert ties(two)[2, "ada"] == "alive"
    assert two.connection_state()[0] == "active"  # of the first: only the second was undone
    with pytest.raises(UsageError, match="was partly undone by boss"):
        phones(two, [])


def test_every_source_of_what_was_taken_back_is_heard_again(two: Desk) -> None:
    """The first sheet changed while the second one owned the phone: it must not be forgotten."""
    _, second = taken_over(two)
    two.sync([person("Ada", Phone="5555555"), person("Bob", Phone="1234568")])
    assert phone(two, "Ada") == TAKEN

    two.undo(second.run, fields=["phone"])
    assert phone(two, "Ada") == HAND
    two.sync()

    assert phone(two, "Ada") == ("5555555", PEOPLE)


def test_a_user_whom_another_source_has_too_stays(two: Desk) -> None:
    first, _ = taken_over(two)

    undone = two.undo(first.run)

    assert two.names() == ["Ada"]
    assert phone(two, "Ada") == TAKEN
    stays = {key: reason for _, key, reason in two.changes(undone.run) if "it stays" in reason}
    assert stays == {"ada": "it stays: another source has it too"}


def test_a_user_whom_another_source_had_since_stays_too(two: Desk) -> None:
    first, _ = taken_over(two)
    phones(two, [person("Eve", "Bolt")])
    assert ties(two)[2, "ada"] == "gone"

    undone = two.undo(first.run)

    assert two.names() == ["Ada", "Eve"]
    stays = [reason for _, _, reason in two.changes(undone.run) if "it stays" in reason]
    assert stays[0].startswith("it stays: run")


def test_a_user_goes_with_its_creation_once_the_other_source_was_undone(two: Desk) -> None:
    first, second = taken_over(two)
    two.undo(second.run)

    two.undo(first.run)

    assert two.names() == []


def test_what_another_source_changed_since_stays_and_the_rest_goes_back(two: Desk) -> None:
    two.sync([person("Ada", Phone="1234567", Title="Clerk")])
    second = two.sync([person("Ada", Phone="1234568", Title="Head")])
    phones(two, [person("Ada", Phone="7654321")])

    undone = two.undo(second.run)

    assert phone(two, "Ada") == TAKEN
    assert two.user("Ada").values["job_title"] == "Clerk"
    assert (undone.state, undone.code) == ("partial", "stale")
    assert [reason for _, key, reason in two.changes(undone.run) if key == "ada"] == [
        "undo: the source says so; left out: phone changed since"
    ]


def test_a_value_that_another_source_gave_again_stays_even_if_it_is_the_same(two: Desk) -> None:
    two.sync([person("Ada", Phone="1234567")])
    second = two.sync([person("Ada", Phone="7654321")])
    phones(two, [person("Ada", Phone="5555555")])
    phones(two, [person("Ada", Phone="7654321")])
    assert phone(two, "Ada") == TAKEN

    undone = two.undo(second.run)

    assert phone(two, "Ada") == TAKEN
    assert undone.code == "stale"


def test_what_is_kept_is_kept_from_both(two: Desk) -> None:
    _, second = taken_over(two)
    two.undo(second.run, fields=["phone"], keep=True)
    connections.resume(two.engine, PHONES, "boss")

    phones(two, [person("Ada", Phone="7654321")])
    two.sync([person("Ada", Phone="5555555"), person("Bob", Phone="1234568")])

    assert two.user("Ada").values["phone"] == "1234567"
    assert two.user("Ada").values["overrides"] == {"phone": "1234567"}
    assert phone(two, "Ada")[1] == PEOPLE  # who is asked first when it is released


def test_one_user_of_one_source_goes_back_and_the_other_source_is_left_alone(two: Desk) -> None:
    taken_over(two)
    both = phones(two, [person("Ada", Phone="2222222"), person("Bob", Phone="3333333")])

    two.undo(both.run, users=["Bob"])

    assert phone(two, "Ada") == ("2222222", PHONES)
    assert phone(two, "Bob") == ("1234568", PEOPLE)
    assert ties(two)[2, "bob"] == "undone"
    assert ties(two)[1, "bob"] == "alive"


# -- while the source that was undone in part is paused, the others go on --------------------------


def again(desk: Desk, **more: object) -> None:
    """The first source has something to say of Ada."""
    outcome = desk.sync([person("Ada", Phone="1111111", **more)])
    assert outcome.state == "succeeded", outcome


def told_twice(desk: Desk, before: Row, after: Row) -> Outcome:
    """The first source has Ada; the second one says one thing of her, then another."""
    desk.sync([person("Ada", Phone="1111111")])
    phones(desk, [before])
    return phones(desk, [after])


def test_a_value_that_a_source_got_back_is_its_word_until_it_is_resumed(two: Desk) -> None:
    outcome = told_twice(two, person("Ada", Phone="2222222"), person("Ada", Phone="7654321"))

    two.undo(outcome.run, fields=["phone"])
    again(two, Title="Head")

    assert phone(two, "Ada") == ("2222222", PHONES)
    assert two.user("Ada").values["job_title"] == "Head"
    connections.resume(two.engine, PHONES, "boss")
    flow.sync(two.engine, PHONES)
    assert phone(two, "Ada") == TAKEN


def test_what_became_blank_again_stays_blank(two: Desk) -> None:
    outcome = told_twice(two, person("Ada"), person("Ada", Notes="odd", Department="Sales"))

    two.undo(outcome.run, fields=["notes"])
    again(two, Title="Head")

    values = two.user("Ada").values
    assert (values.get("notes"), values["department"]) == (None, "Sales")


def test_a_site_that_was_given_back_stays(two: Desk) -> None:
    outcome = told_twice(two, person("Ada", Site="Hall"), person("Ada", Site="Tower"))

    two.undo(outcome.run, fields=["site"])
    again(two, Title="Head")

    assert two.user("Ada").site == "Hall"


def test_a_move_that_was_taken_back_is_not_made_again_by_another_source(two: Desk) -> None:
    two.sync([person("Ada", Phone="1111111"), person("Zoe", "Bolt"), person("Kim")])
    rows = [person("Ada"), person("Zoe", "Bolt")]
    phones(two, rows)
    held = phones(two, [{**person("Ada"), "Client": "Bolt"}, person("Zoe", "Bolt")])
    two.approve(held.holds[0])
    assert two.user("Ada").client == "Bolt"

    two.undo(held.run, fields=["client"])
    outcome = two.sync([person("Ada", Title="Head"), person("Zoe", "Bolt"), person("Kim")])

    assert outcome.state == "succeeded", outcome
    assert (two.user("Ada").client, two.user("Ada").values["job_title"]) == ("Acme", "Head")


def test_who_is_active_again_is_not_deactivated_by_the_run_of_another_source(two: Desk) -> None:
    two.precedence += f'"user.active" = ["{PHONES}"]\n'
    two.reload()
    outcome = told_twice(two, person("Ada", Inactive="no"), person("Ada", Inactive="yes"))
    assert not two.user("Ada").active

    two.undo(outcome.run, fields=["active"])
    again(two, Title="Head")

    assert two.user("Ada").active
    connections.resume(two.engine, PHONES, "boss")
    flow.sync(two.engine, PHONES)
    assert not two.user("Ada").active


def test_two_fields_that_went_back_one_after_the_other_stay_back(two: Desk) -> None:
    two.precedence += f'"user.active" = ["{PHONES}"]\n'
    two.reload()
    before = person("Ada", Phone="2222222", Inactive="no")
    outcome = told_twice(two, before, person("Ada", Phone="7654321", Inactive="yes"))

    two.undo(outcome.run, fields=["phone"])
    two.undo(outcome.run, fields=["active"])
    again(two, Title="Head")

    assert phone(two, "Ada") == ("2222222", PHONES)
    assert two.user("Ada").active


@pytest.mark.parametrize("fields", [["phone"], []])
def test_the_whole_of_a_record_gives_back_what_it_said_before(two: Desk, fields: list[str]) -> None:
    outcome = told_twice(two, person("Ada", Phone="2222222"), person("Ada", Phone="7654321"))

    if fields:
        two.undo(outcome.run, fields=fields)
    two.undo(outcome.run)
    two.set("Ada", phone="5555555")
    editing.release(two.engine, Kind.USER, two.user("Ada").id, ["phone"], "boss")

    assert phone(two, "Ada") == ("2222222", PHONES)


def test_a_value_that_only_changed_its_owner_goes_back_to_the_one_before(two: Desk) -> None:
    two.sync([person("Ada", Phone="1234567")])
    outcome = phones(two, [person("Ada", Phone="1234567")])
    assert phone(two, "Ada") == ("1234567", PHONES)

    undone = two.undo(outcome.run, fields=["phone"])

    assert undone.state == "succeeded"
    assert phone(two, "Ada") == HAND
    with pytest.raises(UsageError, match="took it back already"):
        two.undo(outcome.run, fields=["phone"])
    assert two.undo(outcome.run).state == "succeeded"
    assert phone(two, "Ada") == HAND
