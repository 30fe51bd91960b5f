"""`syncd plan --mapping FILE`, as someone types it before an edit."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import Program

SCOPE = "[user]\nscope = \"display_name != 'Ada Byron'\"\n"


@pytest.fixture
def synced(program: Program) -> Program:
    """The command line after the first sync of five people."""
    assert program("sync").code == 0
    return program


def plan(program: Program, edit: str, *more: str) -> tuple[int, str]:
    """(exit code, output) of a plan under an edit."""
    program.write("new.toml", f'extends = "people"\n{edit}')
    answer = program("plan", "--mapping", str(program.folder / "new.toml"), *more)
    return answer.code, answer.out


def test_it_says_at_once_whom_the_edit_changes_and_then_how(synced: Program) -> None:
    synced.hire("Cy Hill", client="Bolt")
    synced("sync")
    synced.rows.clear()  # nobody reads the sheet
    code, told = plan(synced, '[user.fields]\ndepartment = "mail"\n')
    assert code == 0
    first, second, *_ = told.splitlines()
    assert re.fullmatch(
        r"people: run 3 planned from stored items, under .*new.toml; nothing was changed", first
    )
    assert second == "  this edit changes 6 users in 2 clients"
    assert "would do    update 6 users" in told
    assert 'department: (empty) -> "ada.byron@acme.example"' in told
    assert "from stored items, under" in synced("runs").out
    assert '"department"' not in synced("users", "Ada", "--json").out


def test_users_out_of_scope_are_told_although_nothing_happens_to_them(synced: Program) -> None:
    code, told = plan(synced, SCOPE)
    assert code == 0
    assert "this edit changes no user" in told
    assert "1 user would be out of scope; their rule is to keep them" in told
    synced.write("mappings/old.toml", '[client]\nmatch = ["name"]\n')
    synced.write("mappings/people.toml", f'extends = "old"\n{SCOPE}')
    assert "1 user went out of scope; their rule is to keep them" in synced("sync").out
    code, told = plan(synced, "[user]\nscope = \"display_name != 'Bob Stone'\"\n")
    assert "1 record would come into scope" in told


def test_an_edit_that_would_be_held_says_so_and_exits_as_a_held_plan(synced: Program) -> None:
    leave = '[gone]\nout_of_scope = { action = "deactivate" }\n'
    code, told = plan(synced, f'[user]\nscope = "given_name"\n{leave}')
    assert code == 6
    assert "nothing was changed; a sync would be held" in told
    assert "5 users would be out of scope; their rule is to deactivate them" in told
    assert "5 of 5 active users would leave" in told
    assert told.count("deactivate user") == 5
    assert synced("review", "--json").json["holds"] == []


def test_what_an_edit_sets_aside_or_lets_out_is_told(synced: Program) -> None:
    broken = "[user.fields]\nother1 = { expr = \"display_name == 'Bob Stone' && abs(mail)\" }\n"
    code, told = plan(synced, broken)
    assert code == 3
    assert "quarantine  1 would be set aside" in told
    assert "expression  bob.stone" in told
    synced.write("mappings/people.toml", f'[client]\nmatch = ["name"]\n{broken}')
    synced("sync")
    _, told = plan(synced, "[user.fields]\nother1 = false\n")
    assert re.search("quarantine  1 would come out$", told, re.MULTILINE)


def test_programs_get_the_same(synced: Program) -> None:
    code, told = plan(synced, '[user.fields]\ndepartment = "mail"\n', "--json")
    assert code == 0
    (run,) = json.loads(told)["runs"]
    assert run["edit"]["mapping"].endswith("new.toml")
    assert (run["edit"]["users"], run["edit"]["clients"]) == (5, 1)
    assert len(run["changes"]) == 5
    assert synced("plan", "--json").json["runs"][0]["edit"] is None


def test_a_script_can_tell_an_edit_that_changes_something_from_one_that_does_not(
    synced: Program,
) -> None:
    assert plan(synced, "", "--detailed-exitcode")[0] == 0
    assert plan(synced, '[user.fields]\ndepartment = "mail"\n', "--detailed-exitcode")[0] == 2


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_it_is_said_what_is_wrong_with_the_question(program: Program) -> None:
    file = str(program.folder / "new.toml")
    program.write("new.toml", 'extends = "people"\n')
    unsynced = program("plan", "people", "--mapping", file)
    assert unsynced.code == 64
    assert "syncd sync people" in unsynced.err
    program("sync")
    unknown = program("plan", "peple", "--mapping", file)
    assert (unknown.code, 'did you mean "people"?' in unknown.err) == (64, True)
    full = program("plan", "--full", "--mapping", file)
    assert (full.code, "leave one of them out" in full.err) == (64, True)
    missing = program("plan", "--mapping", str(program.folder / "nw.toml"))
    assert (missing.code, "nw.toml: cannot be read" in missing.err) == (4, True)
    program.write("connections/second.toml", 'connector = "csv"\nmapping = "people"\n')
    which = program("plan", "--mapping", file)
    assert (which.code, "there is: people, second" in which.err) == (64, True)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_check_reports_a_chain_that_is_broken_and_values_that_are_wrong(program: Program) -> None:
    program.write("mappings/people.toml", '# for all\nextends = "bse"\n')
    broken = program("check")
    assert broken.code == 4
    assert "mappings/people.toml:2: extends: there is no mappings/bse.toml" in broken.err
    program.write("mappings/bse.toml", "[user]\nadopt = 3\n")
    wrong = program("check")
    assert wrong.code == 4
    assert "mappings/bse.toml:2: user.adopt" in wrong.out
    program.write("mappings/bse.toml", "[user]\nadopt = false\n")
    assert program("check").code == 0
