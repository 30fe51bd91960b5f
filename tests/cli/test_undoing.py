"""undo of a run or a part of it, and --keep, as someone types them."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Program


@pytest.fixture
def busy(program: Program) -> Program:
    """The command line after run 2, which gave titles to two people and created one."""
    program("sync")
    program.hire("Ada Byron", title="Countess")
    program.hire("Bob Stone", title="Mason", site="Bristol")
    program.hire("Ivo Marek", client="Umbra")
    assert program("sync").code == 0
    return program


def titles(program: Program) -> dict[str, str | None]:
    users = program("users", "--json", "--limit", "0").json["users"]
    return {user["name"]: user["job_title"] for user in users}


def test_a_field_is_taken_back_and_the_rest_is_listed_as_it_is(busy: Program) -> None:
    answer = busy("undo", "2", "--field", "title")

    assert answer.code == 0
    assert "took back   update 2 users" in answer.out
    assert 'job_title: "Countess" -> (empty)' in answer.out
    assert "syncd resume people" in answer.err
    assert titles(busy)["Ada Byron"] is None
    assert busy("users", "ivo").out != ""
    assert "succeeded, partly undone by 3" in busy("runs").out
    assert "takes back a part of run 2" in busy("runs", "3").out
    assert "undone by run 3" in busy("changes", "--user", "Ada Byron").out


def test_options_may_be_repeated_and_narrow_each_other(busy: Program) -> None:
    undone = busy("undo", "2", "--user", "Ada Byron", "--user", "Bob Stone", "--field", "site")
    assert "took back   update 1 user" in undone.out
    assert titles(busy)["Bob Stone"] == "Mason"

    answer = busy("undo", "2", "--client", "Umbra", "--json")
    actions = [change["action"] for change in answer.json["runs"][0]["changes"]]
    assert actions == ["retire", "retire", "retire"]
    assert "Ivo Marek" not in titles(busy)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--field", "titel"], 'there is no field "titel"; did you mean "title"?'),
        (["--field", "phone"], "run 2 changed no phone; it changed job_title of 2 users"),
        (["--user", "Eve Hill"], "run 2 did nothing to Eve Hill"),
        (["--user", "Nobody"], 'no user is called "Nobody"'),
    ],
)
def test_what_cannot_be_taken_back_is_told_with_what_can(
    busy: Program, arguments: list[str], why: str
) -> None:
    answer = busy("undo", "2", *arguments)

    assert answer.code == 64
    assert why in answer.err


def test_what_stays_is_told_first_and_why(busy: Program) -> None:
    busy("users", "set", "Ivo Marek", "title=Guard")
    busy("users", "set", "Ada Byron", "title=Lady")

    answer = busy("undo", "2")

    assert answer.code == 3
    assert "stays       1 client, 1 site, 1 user" in answer.out
    assert "left out    1 change that no longer fitted" in answer.out
    assert "leave user  Ivo Marek" in answer.out
    assert "it stays: run 3 changed it since" in answer.out
    assert "left out: update user  Ada Byron" in answer.out
    assert "left out: job_title changed since" in answer.out
    told = answer.out.splitlines()
    first = next(at for at, line in enumerate(told) if line.startswith("update user"))
    assert all("stays" in line or "left out" in line or not line.startswith(("leave", "left"))
               for line in told[first:])  # fmt: skip


def test_what_is_kept_is_said_and_no_sync_does_it_again(busy: Program) -> None:
    answer = busy("undo", "2", "--field", "title", "--field", "site", "--keep")

    assert "syncd users release gives it back" in answer.err
    assert "job_title blank by hand: no -> yes" in answer.out
    assert 'site set by hand: (empty) -> "Bath"' in answer.out
    resumed = busy("resume", "people")
    assert "it was paused: run 2 was partly undone by tess" in resumed.err
    assert "2 records of it will be planned again" in resumed.err
    busy("sync")
    assert titles(busy)["Ada Byron"] is None
    assert "site    Bath  (set by hand)" in busy("explain", "Bob Stone").out
    assert busy("users", "release", "Bob Stone", "site").code == 0
    busy("sync")
    assert "site    Bristol" in busy("explain", "Bob Stone").out


def test_an_undo_says_that_the_connection_is_paused_only_where_it_is(busy: Program) -> None:
    busy("review", "unlink", "ivo.marek")

    answer = busy("undo", "3")

    assert answer.code == 0
    assert "paused" not in answer.err
    assert "people is paused now" in busy("undo", "2").err


def test_an_undo_of_an_edit_tells_of_no_word_that_was_released_already(program: Program) -> None:
    program("sync")
    program("users", "set", "Ada Byron", "title=Boss", "phone=+442079460018")
    program("users", "release", "Ada Byron", "title")

    told = program("undo", "2").out
    assert 'job_title: "Boss" -> (empty)' in told
    assert 'phone set by hand: "+442079460018" -> (empty)' in told
    assert "job_title set by hand" not in told
    assert "job_title set by hand" not in program("changes", "--run", "4").out

    program("undo", "4")
    assert '"Boss"  set by hand' not in program("explain", "Ada Byron").out
