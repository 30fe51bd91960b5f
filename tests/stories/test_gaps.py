"""Gaps, both ways: who is in a source and not on the desk, who is on the desk and in no source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Deletes, Page
from syncd.entities import Kind
from syncd.records import Organization, Person, Record
from syncd.store import answers_review
from syncd.store import gaps as counting
from syncd.store import tables as t
from syncd.sync import editing, flow, gaps, reviewing
from syncd.sync.gaps import Asked, Missing, Reason, Unsourced
from syncd.sync.rulings import Case, Ruling, Verb
from tests.stories import source as sources
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, gone, raw, who

EVERYTHING = Asked()
MEMBERS = "[user]\nscope = \"user_type != 'Guest'\"\n"
KEEP = '[gone]\nabsent = { action = "keep" }\ndeleted = { action = "review" }\n'


def missing(desk: Desk, asked: Asked = EVERYTHING) -> dict[str, Missing]:
    """The people who are not on the desk, by key."""
    return {one.key: one for one in gaps.missing_people(desk.engine, asked).lines}


def unsourced(desk: Desk, asked: Asked = EVERYTHING) -> dict[str, Unsourced]:
    """The users whom no source has, by name."""
    return {one.name: one for one in gaps.unsourced_users(desk.engine, asked).lines}


def why(desk: Desk, name: str) -> list[Reason]:
    return unsourced(desk)[name].reasons


def set_link(desk: Desk, key: str, **values: object) -> None:
    """What parts of the engine write that are not there yet."""
    with desk.database.engine.begin() as conn:
        conn.info["writes"] = True
        c = t.link.c
        conn.execute(sa.update(t.link).where(c.stream == "people", c.key == key).values(**values))


def unlink(desk: Desk, key: str) -> int:
    """`syncd review unlink KEY`; the run that did it."""
    [record] = answers_review.named(desk.database, answers_review.Wanted(key=key, stream="people"))
    ruling = Ruling(Verb.UNLINK, "tess", None)
    [(_, outcome)] = reviewing.decide(desk.engine, ruling, [Case(record)]).outcomes
    return outcome.run


def counts(desk: Desk, **options: Any) -> tuple[int, int]:
    """What a run of the first connection counts: people and users who are gaps; `syncd gaps` lists
    as many.
    """
    outcome = desk.sync(**options)
    found = outcome.counts["people not on the desk"], outcome.counts["users in no source"]
    listed = gaps.missing_people(desk.engine, Asked("people"))
    assert found == (listed.total, gaps.unsourced_users(desk.engine, EVERYTHING).total)
    return found


def sync_second(desk: Desk, rows: list[dict[str, object]]) -> None:
    """The connection `second`, which reads a sheet of its own."""
    desk.connect("second", "csv", {"combined": "2.csv", "contents": "full", "key": "Staff no"})
    desk.reload()
    desk.write(rows, "2.csv")
    flow.sync(desk.engine, "second", actor="tester")


# -- people who are not on the desk ----------------------------------------------------------------


def test_everybody_whom_the_desk_lacks_is_told_with_the_reason(desk: Desk, source: Source) -> None:
    desk.mapping(MEMBERS)
    source.people = [
        who("Ada"),
        who("Bob", user_type="Guest"),
        who("Cy", "nowhere"),
        raw("dee", display_name=[]),
        who("Eve"),
    ]
    desk.sync()
    set_link(desk, "eve", state="unlinked", note="", entity_id=None)

    found = missing(desk)

    assert {key: one.code for key, one in found.items()} == {
        "bob": "skipped",
        "cy": "unknown_client",
        "dee": "bad_value",
        "eve": "unlinked",
    }
    assert found["bob"].message == "out of the mapping's scope"
    assert "waits for a decision" in found["cy"].message
    assert (found["cy"].since is not None, found["cy"].run) == (True, 1)
    assert (found["bob"].name, found["bob"].mail) == ("Bob", "bob@acme.example")
    assert (found["dee"].name, found["dee"].client) == (None, None)
    assert {one.connection for one in found.values()} == {"people"}


def test_whom_a_record_may_be_is_told_by_name(desk: Desk, source: Source) -> None:
    desk.sync()
    source.people = [who("Ada")]
    desk.sync()
    for name in ("Bob One", "Bob Two"):
        desk.add_user("Acme", name=name, email="bob@acme.example")
    source.people = [who("Ada"), who("Bob")]
    desk.sync()

    found = missing(desk)["bob"]
    assert found.code == "ambiguous_user"
    assert sorted(found.rivals) == [
        "Bob One <bob@acme.example> (Acme)",
        "Bob Two <bob@acme.example> (Acme)",
    ]


def test_clients_are_told_by_their_name_on_the_desk_else_in_the_words_of_the_source(
    desk: Desk, source: Source
) -> None:
    """A client that waits in quarantine itself is told as its record says."""
    desk.mapping('[client]\nmatch = ["ref"]\ncreate = false\n')
    source.organizations = [raw("acme", name="Acme", reference="A"), raw("bolt", name="Bolt AG")]
    source.people = [who("Ada"), who("Bob", "bolt"), who("Cy", "nowhere"), raw("dee", mail="d@x.y")]
    desk.sync()
    assert {one.client for one in missing(desk).values()} == {"Acme", "Bolt AG", "nowhere", None}

    desk.mapping('[client]\nmatch = ["ref"]\n\n' + MEMBERS)
    source.people = [who("Ada", user_type="Guest"), *source.people[1:]]
    desk.sync()
    with desk.database.engine.begin() as conn:
        conn.info["writes"] = True
        conn.execute(sa.update(t.client).where(t.client.c.name == "Acme").values(name="ACME Ltd"))

    found = gaps.missing_people(desk.engine, EVERYTHING)
    assert {one.key: one.client for one in found.lines} == {
        "ada": "ACME Ltd",
        "cy": "nowhere",
        "dee": None,
    }
    assert found.clients == [("ACME Ltd", 1), ("nowhere", 1), (None, 1)]
    assert missing(desk)["ada"].client_id == desk.client("ACME Ltd")


def test_whoever_is_linked_is_on_the_desk_even_if_the_newest_record_cannot_be_read(
    desk: Desk, source: Source
) -> None:
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.people = [raw("ada", display_name=[]), who("Bob")]
    outcome = desk.sync()

    assert outcome.counts["in quarantine"] == 1
    assert missing(desk) == {}
    assert outcome.counts["people not on the desk"] == 0


def test_a_record_that_waits_and_was_out_of_scope_before_is_told_once(
    desk: Desk, source: Source
) -> None:
    desk.mapping(MEMBERS)
    source.people = [who("Ada"), who("Bob", user_type="Guest")]
    desk.sync()
    source.people = [who("Ada"), who("Bob", "nowhere")]

    assert counts(desk) == (1, 0)
    assert [one.code for one in missing(desk).values()] == ["unknown_client"]


@pytest.mark.parametrize("way", ["absent", "deleted"])
def test_a_record_out_of_scope_that_is_gone_is_no_gap_any_more(
    desk: Desk, source: Source, way: str
) -> None:
    desk.mapping(MEMBERS)
    source.people = [who("Ada"), who("Bob", user_type="Guest")]
    assert counts(desk) == (1, 0)
    source.people = [who("Ada")]
    if way == "deleted":
        source.deletes = Deletes.UNKNOWN
        source.pages = [Page(source.people, gone("bob")), Page([])]

    assert counts(desk) == (0, 0)
    assert desk.sync().counts["unchanged"] == 3  # Ada and two clients

    source.pages, source.people = None, [who("Ada"), who("Bob", user_type="Guest")]
    assert counts(desk) == (1, 0)
    assert desk.links() == {"ada": "alive", "bob": "skipped"}


def test_what_was_undone_is_a_gap_until_the_next_sync_has_looked_for_it(desk: Desk) -> None:
    desk.sync(people(3))
    run = desk.sync(people(5)).run
    desk.undo(run)

    found = missing(desk)
    assert {key: (one.code, one.actor, one.name) for key, one in found.items()} == {
        "p3": ("undone", "boss", "P3"),
        "p4": ("undone", "boss", "P4"),
    }

    desk.resume()
    assert counts(desk, rows=people(4)) == (0, 0)
    assert missing(desk) == {}  # P3 is on the desk again, P4 is not in the source any more


def test_an_undo_after_an_undo_hides_nobody(desk: Desk) -> None:
    first, second = (desk.sync(people(count)).run for count in (3, 5))
    desk.undo(second)
    desk.undo(first)

    assert {one.code for one in missing(desk).values()} == {"undone"}
    assert set(missing(desk)) == {"p0", "p1", "p2", "p3", "p4"}


def test_whom_a_person_ignores_is_told_so(desk: Desk, source: Source) -> None:
    desk.mapping(MEMBERS)
    source.people = [who("Ada"), who("Bob", user_type="Guest")]
    desk.sync()
    with desk.database.engine.begin() as conn:
        conn.info["writes"] = True
        place = {"partition_id": 1, "stream": "people", "key": "bob", "step_id": 1}
        now = desk.database.now(conn)
        said = {"verdict": "ignore", "actor": "boss", "decided_at": now}
        conn.execute(sa.insert(t.decision).values(**place, **said))

    assert (missing(desk)["bob"].code, missing(desk)["bob"].actor) == ("ignored", "boss")


def test_a_connection_that_is_not_configured_any_more_is_told_by_its_keys(desk: Desk) -> None:
    desk.mapping("[user]\nscope = \"job_title != 'Robot'\"\n\n" + KEEP)
    desk.sync([person("Ada"), person("Bob", Title="Robot"), person("Cy")])
    desk.sync([person("Ada"), person("Bob", Title="Robot")])
    (desk.folder / "connections" / "people.toml").unlink()
    desk.reload()

    bob = missing(desk)["bob"]
    assert (bob.name, bob.mail, bob.client, bob.code) == (None, None, None, "skipped")
    (lost,) = why(desk, "Cy")
    assert (lost.code, lost.reason, lost.rule) == ("gone", "absent", None)


def test_no_more_lines_than_asked_for_are_kept_and_all_are_counted(
    desk: Desk, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "PAGE", 2)
    source.people = [who(f"P{number}", "nowhere") for number in (4, 2, 0, 3, 1)]
    source.people += [raw("z", display_name=[])]
    desk.sync()

    found = gaps.missing_people(desk.engine, Asked(limit=3))
    assert [one.name for one in found.lines] == ["P0", "P1", "P2"]
    assert (found.total, found.clients) == (6, [("nowhere", 5), (None, 1)])
    assert len(missing(desk)) == 6

    for number in range(3):
        desk.add_user("Acme", name=f"U{number}")
    alone = gaps.unsourced_users(desk.engine, Asked(limit=2))
    assert [one.name for one in alone.lines] == ["U0", "U1"]
    assert (alone.total, alone.clients) == (3, [("Acme", 3)])


def test_gaps_of_one_client_or_one_connection_can_be_asked_for(desk: Desk) -> None:
    desk.mapping("[user]\nscope = \"job_title != 'Robot'\"\n")
    rows = [person("Ada"), person("Bob", Title="Robot"), person("Cy", "Bolt", Title="Robot")]
    desk.sync(rows)
    sync_second(desk, [{**person("Dee"), "E-mail": "broken", "Inactive": "perhaps"}])
    desk.add_user("Acme", name="Zoe")

    assert set(missing(desk)) == {"bob", "cy", "dee"}
    assert set(missing(desk, Asked("second"))) == {"dee"}
    assert set(missing(desk, Asked(client=desk.client("Bolt"), word="bolt"))) == {"cy"}
    assert set(missing(desk, Asked(client=desk.client("Acme"), word="acme"))) == {"bob"}
    assert set(unsourced(desk, Asked(client=desk.client("Acme")))) == {"Zoe"}
    assert unsourced(desk, Asked(client=desk.client("Bolt"))) == {}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_client_that_only_the_source_knows_can_be_asked_for(desk: Desk, source: Source) -> None:
    source.people = [who("Ada"), who("Bob", "nowhere")]
    desk.sync()
    desk.add_user("Acme", name="Zoe")

    assert set(missing(desk, Asked(word="NOWHERE "))) == {"bob"}
    assert unsourced(desk, Asked(word="nowhere")) == {}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_came_inside_the_item_of_another_record_is_read_from_there(
    desk: Desk, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parser(model: type[Record]) -> Any:
        def parse(data: bytes) -> Sequence[Record]:
            said = json.loads(data)
            inner = said.pop("people", [])
            return [model(**said), *(Person(**one) for one in inner)]

        return parse

    monkeypatch.setattr(sources, "_parser", parser)
    desk.mapping(MEMBERS)
    inside = {"key": "bob", "display_name": "Bob", "organization": "acme", "user_type": "Guest"}
    source.organizations = [raw("acme", name="Acme", people=[inside])]
    source.people = [who("Ada")]
    desk.sync()

    assert (missing(desk)["bob"].name, missing(desk)["bob"].client) == ("Bob", "Acme")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_an_item_that_names_its_own_unknown_client_is_told_by_that_name(
    desk: Desk, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parser(model: type[Record]) -> Any:
        def parse(data: bytes) -> Sequence[Record]:
            said = json.loads(data)
            name = said.pop("company", None)
            own = [Organization(key=said["organization"], name=name)] if name else []
            return [*own, model(**said)]

        return parse

    monkeypatch.setattr(sources, "_parser", parser)
    desk.mapping('[client]\nmatch = ["ref"]\ncreate = false\n')
    source.organizations = []
    source.people = [who("Ada", "c9", company="Cobalt & Co")]
    desk.sync()

    assert missing(desk)["ada"].client == "Cobalt & Co"


# -- users whom no source has ----------------------------------------------------------------------


def test_a_user_added_by_hand_is_told_with_who_added_it(desk: Desk) -> None:
    desk.sync(people(2))
    desk.add_user("Acme", name="Zoe", email="zoe@acme.example")
    editing.set_values(desk.engine, Kind.USER, desk.user("Zoe").id, {"title": "Boss"}, "tess")

    assert set(unsourced(desk)) == {"Zoe"}
    (reason,) = why(desk, "Zoe")
    assert (reason.code, reason.actor, reason.since is not None) == ("added", "boss", True)


def test_users_whose_record_is_gone_are_told_with_the_rule_that_kept_them(
    desk: Desk, source: Source
) -> None:
    desk.mapping(KEEP)
    source.people = [who("Ada"), who("Bob"), who("Cy"), who("Dee")]
    desk.sync()
    source.pages = [Page([who("Ada"), who("Dee")], tombstones=gone("bob"))]
    desk.sync()

    found = {name: one.reasons for name, one in unsourced(desk).items()}
    assert {
        name: [(one.code, one.connection, one.reason, one.rule) for one in reasons]
        for name, reasons in found.items()
    } == {
        "Bob": [("gone", "people", "deleted", "review")],
        "Cy": [("gone", "people", "absent", "keep")],
    }
    assert all(one.since is not None for reasons in found.values() for one in reasons)


def test_whoever_is_kept_active_against_the_rule_is_told_so(desk: Desk) -> None:
    desk.sync(people(8))
    desk.set("P0", keep_active="yes")
    desk.set("P1", active="yes")
    desk.sync(people(6, first=2))

    found = unsourced(desk)
    assert set(found) == {"P0", "P1"}
    assert (found["P0"].keep_active, found["P0"].set_active) == (True, False)
    assert (found["P1"].keep_active, found["P1"].set_active) == (None, True)
    assert found["P0"].reasons[0].rule == "deactivate"


def test_whoever_is_active_by_an_undo_is_told_so(desk: Desk) -> None:
    desk.sync(people(8))
    edits = [desk.set(name, active="no") for name in ("P0", "P1")]
    desk.sync(people(6, first=2))
    undo = desk.undo(edits[0].run)
    desk.undo(edits[1].run)
    desk.set("P1", active="no")
    desk.set("P1", active="yes")

    found = unsourced(desk)
    assert {name: (one.reasons[0].undo, one.set_active) for name, one in found.items()} == {
        "P0": (undo.run, False),
        "P1": (None, True),
    }


def test_a_user_whose_record_a_person_unlinked_is_told_with_who_did_it(desk: Desk) -> None:
    desk.sync(people(2))
    desk.add_user("Acme", name="Zoe", email="zoe@acme.example")
    desk.sync([*people(2), person("Zoe")])
    for key in ("p0", "zoe"):
        unlink(desk, key)
    first = {name: one.reasons for name, one in unsourced(desk).items()}
    assert {
        name: [(one.code, one.connection, one.key, one.actor) for one in reasons]
        for name, reasons in first.items()
    } == {
        "P0": [("unlinked", "people", "p0", "tess")],
        "Zoe": [("unlinked", "people", "zoe", "tess")],
    }
    assert first["P0"][0].since is not None


def test_an_unlinked_record_that_is_tied_again_is_told_as_it_stands(desk: Desk) -> None:
    desk.mapping(KEEP)
    desk.sync(people(8))
    desk.undo(unlink(desk, "p0"))
    assert unsourced(desk) == {}
    desk.sync(people(7, first=1))
    assert [one.code for one in why(desk, "P0")] == ["gone"]


def test_a_user_whose_record_was_taken_away_is_told_with_who_took_it(desk: Desk) -> None:
    desk.sync(people(2))
    edit = desk.set("P0", title="Boss")
    set_link(desk, "p0", state="unlinked", step_id=desk.step(edit.run).id)

    (reason,) = why(desk, "P0")
    assert (reason.code, reason.connection, reason.key) == ("unlinked", "people", "p0")
    assert (reason.actor, missing(desk)["p0"].actor) == ("boss", "boss")


def test_the_inactive_the_missed_and_the_leaving_are_no_gaps(desk: Desk) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "2 reads" }\n')
    rows = people(6)
    desk.sync(rows)
    desk.add_user("Acme", name="Zoe", active="no")
    set_link(desk, "p1", state="leaving", note="disabled")

    assert counts(desk, rows=rows[1:]) == (0, 0)
    assert desk.links()["p0"] == "missed"
    assert unsourced(desk) == {}


def test_a_user_whom_another_source_still_has_is_no_gap(desk: Desk) -> None:
    desk.mapping(KEEP)
    desk.sync(people(3))
    sync_second(desk, people(1))

    assert counts(desk, rows=people(1, first=2)) == (0, 1)
    assert set(unsourced(desk)) == {"P1"}


# -- on every run ----------------------------------------------------------------------------------


def test_every_run_counts_the_gaps_of_both_directions(desk: Desk, source: Source) -> None:
    """Whatever happened since the run before; a plan counts what stands before it."""
    desk.mapping(MEMBERS + "\n" + KEEP)
    source.people = [who("Ada"), who("Bob"), who("Cy"), who("Dee", user_type="Guest")]
    assert counts(desk, mode="plan") == (0, 0)
    assert counts(desk) == (1, 0)
    assert counts(desk) == (1, 0)

    desk.add_user("Acme", name="Eve", email="eve@acme.example")
    assert counts(desk) == (1, 1)
    source.people = [*source.people, who("Eve")]
    assert counts(desk) == (1, 0)  # whom no source had is matched

    source.people = source.people[1:]
    assert counts(desk) == (1, 1)  # the rule keeps Ada
    source.people = [who("Ada"), *source.people]
    assert counts(desk) == (1, 0)  # she is back, and nothing else changed
    source.people = source.people[1:]
    assert counts(desk) == (1, 1)
    source.people = [who("Ada", job_title="Boss"), *source.people]
    assert counts(desk) == (1, 0)  # she is back, with another title

    desk.set("Bob", title="Boss")
    assert counts(desk) == (1, 0)
    source.people = [one for one in source.people if one.key not in ("bob", "cy")]
    assert counts(desk, mode="plan") == (1, 0)
    assert counts(desk) == (1, 2)
    desk.set("Bob", active="no")
    assert counts(desk, mode="plan") == (1, 1)
    assert counts(desk) == (1, 1)


def test_an_undo_counts_too_and_so_does_the_run_after_it(desk: Desk) -> None:
    desk.mapping(KEEP)
    desk.sync(people(4))
    desk.add_user("Acme", name="Zoe", email="zoe@acme.example")
    matched = desk.sync([*people(4), person("Zoe")])
    assert matched.counts["users in no source"] == 0

    undone = desk.undo(matched.run)
    assert undone.counts["users in no source"] == 1
    assert undone.counts["people not on the desk"] == 1
    desk.resume()
    assert counts(desk) == (0, 0)


def test_two_connections_count_their_own_people_and_the_users_of_the_whole_desk(
    desk: Desk,
) -> None:
    desk.mapping("[user]\nscope = \"job_title != 'Robot'\"\n\n" + KEEP)
    desk.sync([person("Ada"), person("Bob", Title="Robot")])
    sync_second(desk, [person("Cy"), person("Dee")])
    assert counts(desk) == (1, 0)

    (desk.folder / "mappings" / "second.toml").write_text(KEEP)
    desk.reload()
    sync_second(desk, [person("Cy")])
    assert counts(desk) == (1, 1)


def test_users_are_not_counted_again_while_nothing_can_have_changed_their_number(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that finds nothing new takes two seconds for 100,000 users; counting them, a tenth."""
    desk.sync(people(4))
    desk.add_user("Acme", name="Zoe")
    assert counts(desk) == (0, 1)

    def refuse(_conn: object) -> int:
        raise AssertionError("the users were counted")

    monkeypatch.setattr(counting, "count_users", refuse)
    assert counts(desk) == (0, 1)
    assert counts(desk, rows=[person("P0", Title="Boss"), *people(4, first=1)]) == (0, 1)
    assert counts(desk, mode="plan") == (0, 1)

    desk.set("Zoe", title="Boss")  # an edit may change anything
    with pytest.raises(AssertionError, match="counted"):
        desk.sync()


def test_a_run_beside_another_that_still_writes_counts_for_itself(desk: Desk) -> None:
    desk.sync(people(2))
    with desk.database.engine.begin() as conn:
        conn.info["writes"] = True
        sync = {"trigger": "manual", "mode": "edit", "state": "open", "actor": "tess"}
        rest = {"cancel_requested": False, "counts": {}, "started_at": desk.database.now(conn)}
        conn.execute(sa.insert(t.run).values(**sync, **rest))
        conn.execute(sa.update(t.link).where(t.link.c.key == "p0").values(state="unlinked"))

    assert counts(desk, mode="plan")[1] == 1


def test_a_run_without_changes_still_writes_no_entity(desk: Desk) -> None:
    desk.sync(people(3))
    desk.add_user("Acme", name="Zoe")
    before = desk.rows()

    outcome = desk.sync()

    assert outcome.counts["users in no source"] == 1
    assert desk.rows() == before
