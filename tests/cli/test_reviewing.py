"""The review queue at the command line: what it shows, what one may say, and how it ends."""

from __future__ import annotations

import io
import sys

import pytest

from tests.cli.conftest import Program


@pytest.fixture
def waiting(program: Program) -> Program:
    """Nina waits, because two users have her address; so does a row that cannot be read."""
    assert program("sync").code == 0
    for name in ("Nina Hall", "Nina Holt"):
        program("users", "add", "--client", "Acme", f"name={name}", "email=nina@acme.example")
    program.hire("Nina", title="Pilot")
    program.drop(["bad", "Bad Row", "bad@acme.example", "Acme", "Bath", "", "perhaps"])
    assert program("sync").code == 3
    return program


def test_the_queue_tells_whom_a_record_may_be_and_what_to_type(waiting: Program) -> None:
    told = waiting("review").out
    assert "ambiguous_user  nina  (people of people)" in told
    assert "perhaps: Nina Hall <nina@acme.example> (Acme): same e-mail" in told
    assert "syncd review create nina" in told
    command = next(line for line in told.splitlines() if "link it:" in line)
    assert waiting(*command.split("syncd ")[1].split()).code == 0
    assert "nina" not in waiting("review").out


def test_the_queue_as_json_has_scores_reasons_and_commands(waiting: Program) -> None:
    answer = waiting("review", "--code", "ambiguous_user", "--json").json
    assert (answer["format_version"], answer["quarantined"]) == (1, 1)
    [entry] = answer["quarantine"]
    assert entry["suggestions"][0]["score"] == 100
    assert entry["suggestions"][0]["proof"] is False  # two have it
    assert entry["suggestions"][0]["taken"] is None
    assert entry["commands"]["ignore"] == "syncd review ignore nina"
    assert entry["rivals"][0].startswith("Nina Hall")
    assert entry["repair"]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ([], ["bad", "nina"]),
        (["--code", "bad_value"], ["bad"]),
        (["--stream", "organizations"], []),
        (["--connection", "people"], ["bad", "nina"]),
        (["--connection", "other"], []),
        (["--client", "Acme"], ["nina"]),
        (["--limit", "1"], ["bad"]),
    ],
)
def test_the_queue_can_be_narrowed(waiting: Program, options: list[str], keys: list[str]) -> None:
    answer = waiting("review", *options, "--json").json
    assert [entry["key"] for entry in answer["quarantine"]] == keys
    assert answer["quarantined"] == (2 if "--limit" in options else len(keys))
    assert ("nothing waits" in waiting("review", *options).err) is not bool(keys)


def test_people_of_a_client_with_an_endless_name_are_told_which_cell_to_shorten(
    program: Program,
) -> None:
    program.drop(["9", "Zed", "zed@x.example", "Client " + "x" * 400, "Bath", "", "no"])
    assert program("sync").code == 3
    told = program("review").out
    assert "bad_key  9  (people of people)" in told
    assert "the key of its organization is longer than 400 characters (organization)" in told
    assert "repair: shorten or correct it in the source; a sheet's client and site names" in told


def test_a_key_is_found_as_the_sheet_spells_it(waiting: Program) -> None:
    assert waiting("review", "unlink", "Ada.Byron").code == 0
    assert waiting("review", "create", "NINA").code == 0
    assert [entry["key"] for entry in waiting("review", "--json").json["quarantine"]] == [
        "ada.byron",
        "bad",
    ]


def test_a_stream_that_there_is_not_ends_with_64(waiting: Program) -> None:
    assert waiting("review", "--stream", "persons").code == 64


def test_a_decision_says_what_it_did_and_how_to_take_it_back(waiting: Program) -> None:
    answer = waiting("review", "create", "nina", "--reason", "a third one")
    assert answer.code == 0
    assert "create user  Nina <nina@acme.example>, Acme / Bath: created by tess" in answer.out
    assert 'standing word: (empty) -> "create"' in answer.out
    run = answer.err.split("syncd undo ")[1].split()[0]
    told = waiting("changes", "--run", run)
    assert "review by tess" in told.out
    assert "created by tess: a third one" in told.out
    assert waiting("undo", run).code == 0
    assert "ambiguous_user  nina" in waiting("review").out


def test_explain_shows_the_standing_word(waiting: Program) -> None:
    waiting("review", "link", "nina", "Nina Hall", "--reason", "same badge", "--actor", "max")
    told = waiting("explain", "nina").out
    assert "decided by a person: people people nina" in told
    assert "link to Nina Hall <nina@acme.example> (Acme), for good" in told
    assert "pinned: only a person" in told
    assert "said by max at 2" in told
    assert "because: same badge" in told
    assert "matched by a person" in told
    [word] = waiting("explain", "nina", "--json").json["decisions"]
    assert (word["verdict"], word["actor"], word["pinned"]) == ("link", "max", True)
    waiting("review", "ignore", "bad")
    assert "ignore, for good" in waiting("explain", "bad").out


def test_what_cannot_be_said_ends_with_64_and_says_why(waiting: Program) -> None:
    for arguments, why in {
        ("create", "bad"): "cannot understand",
        ("link", "nina"): "say whom",
        ("link", "nina", "Ada Byron"): "has another record of people: ada.byron",
        ("link", "nina", "nobody at all"): "no user is called",
        ("link", "nina", "nina@acme.example"): "may be any of these",
        ("unlink", "nina"): "tied to nobody",
        ("forget", "nina"): "nobody said anything",
        ("dismiss", "ada.byron"): "nothing says that it was re-created",
        ("pin", "no such key"): "no source has a record",
        ("ignore", "ada.byron"): "it is linked to Ada Byron",
        ("ignore",): "name a KEY, or say which ones",
        ("ignore", "nina", "--code", "bad_value"): "one or the other",
    }.items():
        answer = waiting("review", *arguments)
        assert answer.code == 64, arguments
        assert why in answer.err, arguments


def test_a_key_of_two_streams_is_asked_for(waiting: Program) -> None:
    waiting.rows["acme"] = ["acme", "Acme Robot", "bot@acme.example", "Acme", "Bath", "", "no"]
    waiting.drop()
    waiting("sync")
    answer = waiting("review", "pin", "acme")
    assert answer.code == 64
    assert "--connection people --stream organizations" in answer.err
    assert waiting("review", "pin", "acme", "--stream", "people").code == 0


def test_many_are_decided_with_a_filter_after_saying_how_many(waiting: Program) -> None:
    asked = waiting("review", "ignore", "--connection", "people")
    assert asked.code == 64
    assert "this would ignore 2 records; say --yes" in asked.err
    assert len(waiting("review", "--json").json["quarantine"]) == 2

    assert waiting("review", "ignore", "--connection", "people", "--yes").code == 0
    assert "nothing waits" in waiting("review").err
    assert waiting("sync").code == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_many_are_asked_for(
    waiting: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reply, code, left in (("n", 1, 2), ("y", 0, 1)):
        monkeypatch.setattr(sys, "stdin", Terminal(f"{reply}\n"))
        answer = waiting("review", "ignore", "--code", "bad_value")
        assert answer.code == code
        assert "ignore 1 record?" in answer.err
        assert len(waiting("review", "--json").json["quarantine"]) == left


def test_what_is_left_of_many_is_said_and_ends_with_3(waiting: Program) -> None:
    answer = waiting("review", "create", "--connection", "people", "--yes")
    assert answer.code == 3
    assert "left alone   bad: cannot understand" in answer.out
    assert "create user  Nina" in answer.out
    linked = waiting("review", "link", "--code", "bad_value", "--yes")
    assert (linked.code, linked.out) == (3, "left alone   bad: nobody is like it\n")
    none = waiting("review", "create", "--code", "typo", "--yes")
    assert none.code == 0
    assert "what waits: bad_value" in none.err


def test_a_word_that_waits_for_its_record_ends_with_3(waiting: Program) -> None:
    answer = waiting("review", "link", "bad", "Nina Hall")
    assert answer.code == 3
    assert "still waits  bad: cannot understand" in answer.out


def test_the_queue_tells_what_a_person_said_already_of_a_record_that_waits(
    waiting: Program,
) -> None:
    undecided = waiting("review", "--code", "bad_value")
    assert "decided" not in undecided.out
    waiting("review", "link", "bad", "Nina Hall", "--reason", "same badge")

    told = waiting("review", "--code", "bad_value").out
    assert "    decided: link to Nina Hall <nina@acme.example> (Acme), said by tess on 2" in told
    assert "; done as soon as nothing else is in its way\n" in told
    bad, nina = waiting("review", "--json").json["quarantine"]
    said = bad["decided"]
    assert (said["verdict"], said["actor"], said["reason"]) == ("link", "tess", "same badge")
    assert said["label"].startswith("Nina Hall")
    assert nina["decided"] is None

    assert waiting(*bad["commands"]["forget"].split()[1:]).code == 0
    assert waiting("review", "--code", "bad_value").out == undecided.out


def test_a_re_created_account_is_shown_until_it_is_dismissed(program: Program) -> None:
    program.write(
        "mappings/people.toml",
        '[client]\nmatch = ["name"]\n[gone]\nabsent = { action = "deactivate", after = [] }\n',
    )
    program("sync")
    ada = program.rows.pop("ada.byron")
    program.drop()
    program("sync")
    program.rows["ada2"] = ["ada2", *ada[1:]]
    program.drop()
    program("sync")
    told = program("review").out
    assert "recreated  ada2  (people of people)" in told
    assert "its email belonged to a record that is gone" in told
    assert "syncd users merge " in told
    [hint] = program("review", "--code", "recreated", "--json").json["recreated"]
    assert hint["key"] == "ada2"
    assert program("review", "--client", "Acme", "--json").json["recreated"] == [hint]
    assert program("review", "dismiss", "ada2", "--reason", "two people").code == 0
    assert "nothing waits" in program("review").err
