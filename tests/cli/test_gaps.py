"""gaps, as someone types it, and what plan, sync and runs say of them."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Program

SCOPE = '[client]\nmatch = ["name"]\n[user]\nscope = "job_title != \'Robot\'"\n'
WAITING = '[client]\nmatch = ["name"]\n[gone]\nabsent = { action = "deactivate", after = %s }\n'


@pytest.fixture
def gapped(program: Program) -> Program:
    """Five people on the desk; a robot, a row that cannot be read, and Zoe, added by hand."""
    program.write("mappings/people.toml", SCOPE)
    program.hire("Robby Robot", title="Robot")
    program.drop(["bad", "Bad Row", "bad@acme.example", "Acme", "Bath", "", "perhaps"])
    assert program("sync").code == 3
    program("users", "add", "--client", "Acme", "name=Zoe", "email=zoe@acme.example")
    return program


def leave(program: Program, number: str) -> None:
    del program.rows[number]
    program.drop()
    assert program("sync").code == 0


def test_gaps_tells_both_directions_by_client_with_reasons_and_what_to_repair(
    gapped: Program,
) -> None:
    answer = gapped("gaps")
    assert answer.code == 0
    assert answer.out.startswith(
        "people of a source who are not on the desk: 2\n  1  Acme\n  1  (no client)\n"
    )
    assert (
        "  Acme\n    Robby Robot <robby.robot@acme.example>  (people robby.robot)\n"
        "        skipped: out of the mapping's scope\n        repair: " in answer.out
    )
    assert "    people bad\n        bad_value: cannot understand the value" in answer.out
    assert "users on the desk whom no source has: 1\n  1  Acme\n" in answer.out
    assert re.search(r"Zoe <zoe@acme.example>\n        added by hand by tess on \d{4}-", answer.out)


def test_gaps_of_a_desk_without_any_says_none(program: Program) -> None:
    program("sync")
    assert program("gaps").out == (
        "people of a source who are not on the desk: none\n\n"
        "users on the desk whom no source has: none\n"
    )


def test_gaps_speaks_json_with_everything(gapped: Program) -> None:
    for number in range(30):
        gapped.hire(f"Robot {number}", title="Robot")
    gapped("sync")
    told = gapped("gaps", "--json").json
    assert told["format_version"] == 1
    people, users = told["people_not_on_the_desk"], told["users_in_no_source"]
    assert people["total"] == len(people["people"]) == 31
    assert people["clients"] == [{"client": "Acme", "count": 31}]
    assert people["people"][0].keys() >= {"connection", "key", "name", "mail", "code", "repair"}
    assert users["users"][0]["reasons"][0]["code"] == "added"
    assert users["users"][0]["reasons"][0]["sentence"].startswith("added by hand by tess")
    assert (
        len(gapped("gaps", "--json", "--limit", "2").json["people_not_on_the_desk"]["people"]) == 2
    )


def test_a_long_report_is_cut_and_says_how_to_see_the_rest(gapped: Program) -> None:
    for number in range(30):
        gapped.hire(f"Robot {number}", client=f"Client {number % 3}", title="Robot")
    gapped("sync")
    cut = gapped("gaps", "--limit", "2")
    assert "20 of" not in cut.err
    assert "2 of 31 shown; --limit 0 shows all" in cut.err
    assert "2 more clients" in cut.out
    assert gapped("gaps").err.count("20 of 31 shown") == 1
    assert gapped("gaps", "--limit", "0").out.count("skipped: ") == 31


def test_gaps_can_be_narrowed_to_a_connection_and_a_client(gapped: Program) -> None:
    gapped.hire("Cy Robot", client="Umbra", title="Robot")
    gapped("sync")
    assert "Robby" not in gapped("gaps", "--client", "umbra").out
    assert "Cy Robot" in gapped("gaps", "people", "--client", "umbra").out
    unknown = gapped("gaps", "--client", "Nobody Ltd")
    assert (unknown.code, "no client is called" in unknown.err) == (64, True)
    mistyped = gapped("gaps", "poeple")
    assert (mistyped.code, 'did you mean "people"' in mistyped.err) == (4, True)


def test_a_client_name_that_fits_several_is_refused(gapped: Program) -> None:
    gapped.hire("Max", client="Umbra")
    gapped("sync")
    gapped("clients", "set", "Umbra", "name=Acme")
    answer = gapped("gaps", "--client", "Acme")
    assert (answer.code, "may be any of these" in answer.err) == (64, True)


def test_a_sync_and_a_plan_tell_in_a_line_that_there_are_gaps(gapped: Program) -> None:
    line = (
        "  gaps        2 people of the source are not on the desk, "
        "1 user on the desk is in no source: syncd gaps\n"
    )
    for command in ("plan", "sync"):
        assert line in gapped(command).out
    assert "2 people not on the desk" in gapped("runs", "4").out

    gapped("users", "set", "zoe@acme.example", "active=no")
    gapped.drop()
    del gapped.rows["robby.robot"]
    gapped.hire("Uma Robot", title="Robot")
    told = gapped("sync").out  # Robby, who never was on the desk, is in no source any more either
    assert "gaps        1 person of the source is not on the desk: syncd" in told


def test_what_was_undone_is_told_with_who_did_it(gapped: Program) -> None:
    gapped("undo", "1")
    told = gapped("gaps").out
    assert re.search(
        r"Ada Byron <ada\.byron@acme\.example>  \(people ada\.byron\)\n +undone by tess", told
    )
    assert "repair: the next sync makes it again" in told


def test_what_was_unlinked_is_told_with_who_did_it_and_when(program: Program) -> None:
    program("sync")
    program("review", "unlink", "eve.hill")
    told = program("gaps").out
    assert re.search(r"unlinked by tess on \d{4}\S+: no more tied to people eve\.hill\n", told)
    assert "added by hand" not in told


def test_who_is_active_by_an_undo_is_not_called_kept(program: Program) -> None:
    program.write("mappings/people.toml", WAITING % "[]")
    program("sync")
    program("users", "set", "eve.hill@acme.example", "active=no")
    leave(program, "eve.hill")
    program("undo", "2")
    told = program("gaps").out
    assert "its rule is to deactivate, but an undo made it active again (run 4)" in told
    assert "kept active" not in told


def test_gaps_are_no_changes(gapped: Program) -> None:
    gapped.drop()
    gapped("sync")
    answer = gapped("plan", "--detailed-exitcode")
    assert (answer.code, "gaps  " in answer.out) == (0, True)
    assert re.search(r"would do +nothing", answer.out)


def test_a_sync_without_gaps_does_not_speak_of_them(program: Program) -> None:
    assert "gaps" not in program("sync").out


def test_whoever_was_kept_is_told_with_the_rule(program: Program) -> None:
    program.write("mappings/people.toml", WAITING % "[]")
    program("sync")
    for name, field in (("bob.stone", "keep_active"), ("eve.hill", "active")):
        program("users", "set", f"{name}@acme.example", f"{field}=yes")
        leave(program, name)
    told = program("gaps").out
    assert re.search(r"gone from people bob\.stone \(absent\) since \d{4}\S+; its rule is to", told)
    assert "kept active: it is flagged so" in told
    assert "kept active: a person set it so" in told

    (program.folder / "connections" / "people.toml").unlink()
    assert "its rule is not known" in program("gaps").out
