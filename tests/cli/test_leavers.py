"""leavers, as someone types it, and what explain says of one who is on the way out."""

from __future__ import annotations

import re

from tests.cli.conftest import Program

WAITING = '[client]\nmatch = ["name"]\n[gone]\nabsent = { action = "deactivate", after = %s }\n'


def leave(program: Program, number: str) -> None:
    del program.rows[number]
    program.drop()
    assert program("sync").code == 0


def test_leavers_tells_who_is_due_when_and_why(program: Program) -> None:
    program.write("mappings/people.toml", WAITING % '["2 reads", "7 days"]')
    program("sync")
    assert program("leavers").err == "nobody is on the way out\n"
    leave(program, "bob.stone")

    answer = program("leavers")
    assert answer.code == 0
    assert re.fullmatch(
        r"Bob Stone <bob\.stone@acme\.example>  \(Acme\)\n"
        r"    people bob\.stone: absent since \S+Z\n"
        r"    read 1 of 2, day 1 of 7, due \S+Z at the earliest; then deactivated\n",
        answer.out,
    )
    program("users", "set", "bob.stone@acme.example", "keep_active=yes")
    assert "but it stays: it is flagged to be kept active" in program("leavers").out


def test_leavers_speaks_json_and_can_be_narrowed_and_cut(program: Program) -> None:
    program.write("mappings/people.toml", WAITING % '"2 reads"')
    program.hire("Max", client="Umbra")
    program("sync")
    leave(program, "bob.stone")
    leave(program, "max")

    told = program("leavers", "--json").json
    assert (told["format_version"], told["total"]) == (1, 2)
    assert told["leavers"][0]["reads"] == {"passed": 1, "of": 2}
    assert (told["leavers"][0]["days"], told["leavers"][0]["state"]) == (None, "missed")
    umbra = program("leavers", "people", "--client", "umbra", "--json").json
    assert [one["name"] for one in umbra["leavers"]] == ["Max"]
    assert "1 of 2 shown" in program("leavers", "--limit", "1").err
    assert program("leavers", "poeple").code == 4
    assert program("leavers", "--client", "Nobody Ltd").code == 64


def test_explain_says_that_a_user_is_on_the_way_out(program: Program) -> None:
    program.write("mappings/people.toml", WAITING % '"2 reads"')
    program("sync")
    leave(program, "bob.stone")

    told = program("explain", "bob.stone@acme.example").out
    assert re.search(
        r"^on the way out: people bob\.stone: absent since \S+; read 1 of 2, due", told, re.M
    )
    data = program("explain", "bob.stone@acme.example", "--json").json
    assert data["leaving"][0]["reason"] == "absent"
    assert "on the way out" not in program("explain", "ada.byron@acme.example").out


def test_who_waits_for_a_person_is_told_with_what_to_type(program: Program) -> None:
    program.write("mappings/people.toml", (WAITING % "[]").replace("deactivate", "review"))
    program("sync")
    leave(program, "bob.stone")

    told = program("leavers").out
    assert "its rule is to review: it waits for a person" in told
    command = re.search(r"deactivate it: syncd (.+?);", told)
    assert command
    assert program(*command[1].split()).code == 0
    assert program("leavers").out == ""


def test_a_paused_connection_moves_no_clock_and_that_is_told(program: Program) -> None:
    program.write("mappings/people.toml", WAITING % '"2 reads"')
    program("sync")
    leave(program, "bob.stone")
    program("connections", "pause", "people")
    assert "but its connection is not active, and only a read acts" in program("leavers").out
