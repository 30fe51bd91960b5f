"""Another key for the people of a sheet: everybody stays who they are, and so does their past."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from syncd.errors import UsageError
from syncd.store import tables as t
from syncd.store.dump import canonical_dump
from syncd.sync import relinking
from syncd.sync.rulings import Verb
from tests.stories.desk import Desk, people, person
from tests.stories.test_gaps import unlink
from tests.stories.test_review import say

Rows = list[dict[str, Any]]


def relink(desk: Desk, key: str = "E-mail") -> relinking.Relinked:
    """Have the people be known by another column, in the configuration as well."""
    desk.configure(key=key)
    wanted = relinking.Wanted("people", None, (), "boss")
    _, (found,) = relinking.relink(desk.engine, wanted)
    return found


def ids(desk: Desk) -> dict[str, object]:
    return {user.name: user.id for user in desk.users()}


def items(desk: Desk) -> dict[str, str]:
    """By key of a stored person: the key that the item itself says."""
    c = t.item.c
    query = sa.select(c.key, c.raw).where(c.stream == "people")
    with desk.database.read() as conn:
        return {row[0]: json.loads(row[1])["#key"] for row in conn.execute(query)}


def test_everybody_keeps_their_user_and_the_next_sync_changes_nothing(desk: Desk) -> None:
    rows = people(5)
    desk.sync(rows)
    before = ids(desk)

    found = relink(desk)

    assert (found.records, found.examples[0]) == (5, ("p0", "p0@acme.example"))
    assert {key for key in desk.links() if "@" in key} == {
        f"p{number}@acme.example" for number in range(5)
    }
    settled = desk.rows(t.link, t.item)
    outcome = desk.sync(rows)
    assert outcome.counts["unchanged"] == 6
    assert desk.rows(t.link, t.item) == settled
    assert ids(desk) == before


def test_without_it_everybody_would_be_new(desk: Desk) -> None:
    desk.sync(people(5))
    desk.configure(key="E-mail")

    outcome = desk.sync()

    assert outcome.state == "held"


def test_who_changes_then_is_followed_by_the_new_key(desk: Desk) -> None:
    desk.sync(people(3))
    before = ids(desk)
    relink(desk)

    desk.sync([person("P0"), person("P1"), {**person("P2"), "Staff no": "other", "Name": "Pia"}])

    assert ids(desk)["Pia"] == before["P2"]
    assert desk.names() == ["P0", "P1", "Pia"]


def test_two_records_may_swap_their_keys(desk: Desk) -> None:
    desk.sync([person("Ada", CFbadge="ben"), person("Ben", CFbadge="ada")])
    before = ids(desk)

    relink(desk, "CFbadge")
    desk.sync([person("Ada", CFbadge="ben", Phone="1"), person("Ben", CFbadge="ada")])

    assert ids(desk) == before
    assert desk.user("Ada").values["phone"] == "1"


def test_a_run_of_before_can_be_taken_back(desk: Desk) -> None:
    desk.sync(people(3))
    run = desk.sync([*people(2), person("P2", Phone="12"), person("Eve")]).run
    relink(desk)
    assert {key for _, key, _ in desk.changes(run)} == {"p2@acme.example", "eve@acme.example"}

    desk.undo(run)

    assert desk.names() == ["P0", "P1", "P2"]
    assert "phone" not in desk.user("P2").values
    keys = {f"p{number}@acme.example" for number in range(3)}
    assert set(desk.links()) - {"acme"} == {*keys, "eve@acme.example"}
    assert all(key == said for key, said in items(desk).items())
    desk.resume()
    desk.sync()
    assert (desk.names(), desk.user("P2").values["phone"]) == (["Eve", "P0", "P1", "P2"], "12")


def test_going_back_leaves_everything_as_it_was(desk: Desk) -> None:
    desk.sync(people(3))
    desk.sync([*people(2), person("P2", Phone="12"), person("Eve")])
    before = canonical_dump(desk.database)

    relink(desk)
    assert canonical_dump(desk.database) != before
    relink(desk, "Staff no")

    assert canonical_dump(desk.database) == before


def test_a_composite_key_is_of_all_parts(desk: Desk) -> None:
    desk.sync([person("Ada", CFbadge="1"), person("Ben", CFbadge="1")])
    desk.configure(key=["CFbadge", "E-mail"])

    relinking.relink(desk.engine, relinking.Wanted("people", None, (), "boss"))
    settled = desk.rows(t.link)
    desk.sync()

    assert desk.rows(t.link) == settled


def test_what_people_said_about_records_goes_along(desk: Desk) -> None:
    desk.sync(people(4))
    unlink(desk, "p3")
    assert "p3" in desk.quarantine()

    relink(desk)

    assert "p3@acme.example" in desk.quarantine()
    desk.sync()
    assert "p3@acme.example" in desk.quarantine()
    assert len(desk.users()) == 4


def test_who_is_gone_keeps_the_old_key_where_the_new_one_is_anothers(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = [] }\n')
    desk.sync([*people(9), {**person("Old"), "E-mail": "box@acme.example"}])
    rows = [*people(9), {**person("New"), "E-mail": "box@acme.example"}]
    desk.sync(people(9))
    desk.sync(rows)

    relink(desk)

    assert (desk.links()["old"], desk.links()["box@acme.example"]) == ("gone", "alive")


@pytest.mark.parametrize(
    ("column", "cells", "why"),
    [
        ("CFbadge", ["1", "", "3"], r'1 record has nothing in "CFbadge" \(p1\)'),
        ("CFbadge", ["1", "2", "1"], r'records have the same "CFbadge" \(p0 and p2\)'),
        ("Shoe", ["1", "2", "3"], '"Shoe" is not kept with users'),
    ],
)
def test_what_would_mix_people_up_is_refused_and_changes_nothing(
    desk: Desk, column: str, cells: list[str], why: str
) -> None:
    desk.sync([{**row, column: cell} for row, cell in zip(people(3), cells, strict=True)])
    before = desk.rows()

    with pytest.raises(UsageError, match=why):
        relink(desk, column)

    assert desk.rows() == before


def test_a_word_about_a_record_that_nobody_has_stands(desk: Desk) -> None:
    desk.sync(people(2))
    desk.sync([*people(2), {**person("Eve"), "E-mail": "eve@acme.example", "Inactive": "perhaps"}])
    assert "eve" in desk.quarantine()
    say(desk, Verb.IGNORE, "eve")

    relink(desk)
    desk.sync([*people(2), person("Eve", Inactive="no")])

    assert desk.names() == ["P0", "P1"]


def test_a_record_out_of_scope_is_one_as_well(desk: Desk) -> None:
    desk.mapping("[user]\nscope = \"job_title != 'Robot'\"\n")
    desk.sync([person("Ada", CFbadge="1"), person("Bot", Job_Title="Robot")])

    with pytest.raises(UsageError, match=r'nothing in "CFbadge" \(bot\)'):
        relink(desk, "CFbadge")


def test_a_key_of_somebody_who_is_gone_is_not_given_away(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = [] }\n')
    rows = [{**row, "CFbadge": row["Staff no"] + "b"} for row in people(9)]
    desk.sync([*rows, person("Old")])
    desk.sync([*rows, person("New", CFbadge="old")])

    with pytest.raises(UsageError, match=r"are known by such a key \(old\)"):
        relink(desk, "CFbadge")


def test_a_plan_that_waits_is_in_the_way(desk: Desk) -> None:
    desk.sync(people(20))
    desk.sync(people(2))
    (hold,) = desk.holds()

    with pytest.raises(UsageError, match=f"plan {hold.id} of people waits"):
        relink(desk)


def test_a_relink_is_in_the_history_and_says_how_to_go_back(desk: Desk) -> None:
    desk.sync(people(2))
    desk.configure(key="E-mail")
    outcome, _ = relinking.relink(desk.engine, relinking.Wanted("people", None, (), "boss"))

    assert desk.changes(outcome.run)[0] == (
        "link",
        "p0@acme.example",
        'known by "E-mail" from now on; it was p0',
    )
    with pytest.raises(UsageError, match="syncd connections relink people"):
        desk.undo(outcome.run)


def test_looking_changes_nothing(desk: Desk) -> None:
    desk.sync(people(2))
    before = desk.rows()
    wanted = relinking.Wanted("people", None, ("E-mail",), "boss")

    assert relinking.look(desk.engine, wanted)[0].records == 2
    assert desk.rows() == before
