"""`undo --keep`: what is restored is a person's word, so that no sync does the same again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from syncd.cli.exits import is_change
from syncd.connectors.base import Deletes
from syncd.entities import Kind
from syncd.store import answers_runs
from syncd.store import tables as t
from syncd.store.dump import canonical_dump
from syncd.sync import editing
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, who


def proposed(desk: Desk) -> dict[str, int]:
    """What the next sync would do."""
    desk.resume()
    return {name: n for name, n in desk.plan().counts.items() if n and is_change(name)}


def overrides(desk: Desk, name: str) -> dict[str, object]:
    return dict(desk.user(name).values.get("overrides") or {})


def ignored(desk: Desk) -> dict[tuple[str, str], tuple[str, str, str]]:
    """(stream, key) to (verdict, actor, reason) of the standing words on records."""
    with desk.database.read() as conn:
        rows = conn.execute(sa.select(t.decision)).all()
    return {(row.stream, row.key): (row.verdict, row.actor, row.reason) for row in rows}


@pytest.fixture
def busy(desk: Desk) -> Outcome:
    """A run that changed, blanked, added to and created users."""
    desk.mapping('[user.fields]\njob_title = { from = "job_title", clear = true }\n')
    desk.sync([person("Ada", Title="Clerk", Phone="1234567"), person("Bob", Title="Cook")])
    rows = [person("Ada", Title="Head", Phone="1234567", Notes="new", CF_code="x"), person("Bob")]
    return desk.sync([*rows, person("New", "Crane")])


def test_what_was_undone_without_it_is_proposed_again(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run)

    assert proposed(desk) == {
        "create client": 1, "create site": 1, "create user": 1, "update user": 2
    }  # fmt: skip


def test_what_was_undone_with_it_is_not(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, users=["Ada", "Bob"], keep=True)

    assert proposed(desk) == {}
    desk.sync()
    ada, bob = desk.user("Ada").values, desk.user("Bob").values
    assert (ada["job_title"], ada.get("notes"), ada.get("custom")) == ("Clerk", None, None)
    assert bob["job_title"] == "Cook"


def test_each_restored_value_is_set_by_hand_and_a_blank_one_is_blank_on_purpose(
    desk: Desk, busy: Outcome
) -> None:
    undone = desk.undo(busy.run, users=["Ada", "Bob"], keep=True)

    assert overrides(desk, "Ada") == {"job_title": "Clerk", "notes": "", "custom.code": ""}
    assert overrides(desk, "Bob") == {"job_title": "Cook"}
    asked = answers_runs.Asked(run=undone.run, limit=0)
    told = {one.key: one for one in answers_runs.changes(desk.database, asked)}
    assert told["ada"].actor == "boss"
    assert told["ada"].after["@overrides"] == overrides(desk, "Ada")


def test_a_release_gives_it_back_to_the_source(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, users=["Ada"], keep=True)
    desk.resume()
    desk.sync()

    editing.release(desk.engine, Kind.USER, desk.user("Ada").id, ["title"], "boss")
    desk.sync()

    ada = desk.user("Ada").values
    assert (ada["job_title"], ada.get("notes")) == ("Head", None)


def test_it_goes_with_some_fields_too(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, fields=["notes"], keep=True)

    assert overrides(desk, "Ada") == {"notes": ""}
    assert overrides(desk, "Bob") == {}
    assert ignored(desk) == {}
    assert proposed(desk) == {}


def test_the_record_of_an_undone_creation_is_to_be_ignored(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, keep=True)

    word = ("ignore", "boss", f"undo of run {busy.run} with --keep")
    with desk.database.read() as conn:
        tied = sa.select(t.link.c.stream, t.link.c.key).where(t.link.c.state == "undone")
        undone = {tuple(row) for row in conn.execute(tied)}
    assert ("people", "new") in undone
    assert ignored(desk) == dict.fromkeys(undone, word)


def test_what_an_undo_with_it_took_away_does_not_come_again(desk: Desk, busy: Outcome) -> None:
    desk.undo(busy.run, keep=True)

    assert proposed(desk) == {}
    desk.sync()
    assert desk.names() == ["Ada", "Bob"]


def test_a_word_to_ignore_takes_the_place_of_an_earlier_one(desk: Desk, busy: Outcome) -> None:
    with desk.database.engine.begin() as conn:
        old = {"verdict": "create", "actor": "eve", "step_id": 1, "key": "new"}
        now = desk.database.now(conn)
        conn.execute(
            sa.insert(t.decision).values(**old, partition_id=1, stream="people", decided_at=now)
        )

    desk.undo(busy.run, users=["New"], keep=True)

    assert ignored(desk)["people", "new"][:2] == ("ignore", "boss")
    assert len(ignored(desk)) == 1


def test_the_record_of_an_undone_adoption_is_to_be_ignored_too(desk: Desk) -> None:
    desk.sync([person("Zoe")])
    desk.add_user("Acme", name="Ada", email="ada@acme.example")
    outcome = desk.sync([person("Zoe"), person("Ada", Title="Clerk")])

    desk.undo(outcome.run, keep=True)

    assert set(ignored(desk)) == {("people", "ada")}
    assert "job_title" in overrides(desk, "Ada")


def test_a_creation_that_stays_is_not_ignored(desk: Desk) -> None:
    outcome = desk.sync([person("Ada"), person("Bob")])
    desk.set("Ada", title="Countess")

    desk.undo(outcome.run, keep=True)

    assert ("people", "bob") in ignored(desk)
    assert ("people", "ada") not in ignored(desk)


def test_leavers_who_were_brought_back_stay_active(desk: Desk) -> None:
    rows = people(6)
    desk.sync(rows)
    outcome = desk.sync(rows[1:])

    desk.undo(outcome.run, keep=True)

    assert overrides(desk, "P0") == {"active": True}
    assert "deactivate user" not in proposed(desk)
    desk.sync()
    assert desk.user("P0").active


def test_a_site_that_was_restored_stays(desk: Desk, source: Source) -> None:
    desk.mapping('[site]\nfrom = ["office_location"]\n')
    source.people = [who("Ada", office_location="Hall")]
    desk.sync()
    source.people = [who("Ada", office_location="Tower")]
    outcome = desk.sync()

    undone = desk.undo(outcome.run, keep=True)

    assert desk.user("Ada").site == "Hall"
    assert proposed(desk) == {}
    asked = answers_runs.Asked(run=undone.run, limit=0)
    [told] = [one for one in answers_runs.changes(desk.database, asked) if one.kind is Kind.USER]
    assert told.after["@overrides"] == {"site": "Hall"}


@pytest.fixture
def moved(desk: Desk) -> Outcome:
    """A run that moved P0 from Acme to Bolt."""
    desk.sync([*people(5), person("Zoe", "Bolt", Site="Hall")])
    rows = [
        person("P0", "Bolt", Site="Hall"),
        *people(4, first=1),
        person("Zoe", "Bolt", Site="Hall"),
    ]
    held = desk.sync(rows)
    return desk.approve(held.holds[0])


def test_a_user_whose_move_was_taken_back_is_not_moved_again(desk: Desk, moved: Outcome) -> None:
    desk.undo(moved.run, keep=True)

    assert overrides(desk, "P0").keys() == {"client", "email"}
    assert proposed(desk) == {}
    desk.sync([person("P0", "Bolt", Site="Hall", Title="Boss"), *people(4, first=1),
               person("Zoe", "Bolt", Site="Hall")])  # fmt: skip
    user = desk.user("P0")
    assert (user.client, user.site, user.values["job_title"]) == ("Acme", "Main", "Boss")


def test_a_user_held_in_a_client_still_follows_the_sites_of_that_client(
    desk: Desk, moved: Outcome
) -> None:
    desk.undo(moved.run, keep=True)
    desk.resume()

    desk.sync([person("P0", "Acme", Site="Attic"), *people(4, first=1),
               person("Zoe", "Bolt", Site="Hall")])  # fmt: skip

    assert (desk.user("P0").client, desk.user("P0").site) == ("Acme", "Attic")


def test_a_released_client_is_a_held_move_again(desk: Desk, moved: Outcome) -> None:
    desk.undo(moved.run, keep=True)
    desk.resume()
    desk.sync()
    editing.release(desk.engine, Kind.USER, desk.user("P0").id, ["client"], "boss")

    held = desk.sync()

    assert held.state == "held"
    assert held.counts["move user"] == 1


def test_an_identity_that_was_taken_back_is_not_given_again(desk: Desk, source: Source) -> None:
    source.deletes = Deletes.UNKNOWN
    source.people = [who("Ada", job_title="Clerk")]
    desk.sync()
    idp = [["https://idp.example", "a1"]]
    source.people = [who("Ada", job_title="Head", identities=idp)]
    outcome = desk.sync()

    desk.undo(outcome.run, keep=True)

    assert proposed(desk) == {}
    desk.sync()
    assert desk.rows(t.identity)["identity"] == []
    editing.release(desk.engine, Kind.USER, desk.user("Ada").id, ["identities"], "boss")
    desk.sync()
    assert len(desk.rows(t.identity)["identity"]) == 1


def test_what_a_person_set_since_is_not_overwritten_even_if_the_value_is_the_same(
    desk: Desk,
) -> None:
    desk.sync([person("Ada", Title="Clerk")])
    outcome = desk.sync([person("Ada", Title="Head")])
    desk.set("Ada", title="Head")

    undone = desk.undo(outcome.run, keep=True)

    assert (undone.state, undone.code) == ("partial", "stale")
    assert overrides(desk, "Ada") == {"job_title": "Head"}


def test_a_user_who_is_to_be_kept_active_is_not_made_inactive(desk: Desk) -> None:
    rows = people(6)
    desk.sync(rows)
    desk.sync(rows[1:])
    outcome = desk.sync([person("P0", Title="Boss"), *rows[1:]])
    desk.set("P0", keep_active="yes")

    desk.undo(outcome.run, keep=True)

    assert desk.user("P0").active
    assert overrides(desk, "P0") == {"keep_active": True, "job_title": ""}


def test_a_dump_tells_such_words_without_ids(desk: Desk, moved: Outcome) -> None:
    desk.undo(moved.run, keep=True)

    text = canonical_dump(desk.database)

    assert desk.client("Acme").hex not in text
    assert '"@overrides":{"client":"people/organizations/' in text
