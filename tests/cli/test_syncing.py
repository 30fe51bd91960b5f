"""plan, sync, approve, reject, undo and resume, as someone types them."""

from __future__ import annotations

import re

from tests.cli.conftest import Program


def active(program: Program) -> set[str]:
    users = program("users", "--json", "--limit", "0").json["users"]
    return {user["name"] for user in users if user["active"]}


def test_a_plan_says_what_would_happen_and_changes_nothing(program: Program) -> None:
    answer = program("plan")
    assert "create 1 client, 1 site, 5 users" in answer.out
    assert "create user  Ada Byron <ada.byron@acme.example>, Acme / Bath: new" in answer.out
    assert program("users").out == ""


def test_a_change_is_told_field_by_field_with_its_reason(program: Program) -> None:
    program("sync")
    program.hire("Ada Byron", title="Countess")
    answer = program("sync", "people")
    assert 'job_title: (empty) -> "Countess"' in answer.out
    assert "the source says so" in answer.out


def test_a_second_sync_says_that_nothing_changed(program: Program) -> None:
    program("sync")
    answer = program("sync")
    assert answer.code == 0
    assert re.search(r"did +nothing", answer.out)


def test_a_long_plan_is_cut_and_says_how_to_see_the_rest(program: Program) -> None:
    for number in range(30):
        program.hire(f"Person {number}")
    cut = program("plan")
    assert cut.out.count("create ") < 25
    assert "more changes: --all" in cut.out
    assert program("plan", "--all").out.count("create user") == 35


def test_a_held_plan_shows_its_limits_its_changes_and_the_command_to_type(held: Program) -> None:
    answer = held("sync")
    assert "would leave; the limit is" in answer.out
    assert answer.out.count("deactivate user") == 4
    plan = re.search(r"syncd approve (\d+)", answer.out)
    assert plan
    assert f"syncd reject {plan[1]}" in answer.out
    assert len(active(held)) == 7
    assert f"syncd approve {plan[1]}" in held("review").out


def test_approve_does_what_was_shown_and_undo_takes_it_back(held: Program) -> None:
    waiting = held("review", "--json").json["holds"][0]
    answer = held("approve", str(waiting["id"]))
    assert answer.code == 0
    assert answer.out.count("active: yes -> no") == 4
    assert active(held) == {"Eve Hill", "Ivo Marek", "Uma Rao"}
    undone = held("undo", str(waiting["run"]))
    assert undone.code == 0
    assert "syncd resume people" in undone.err
    assert len(active(held)) == 7


def test_a_rejected_plan_changes_nothing_and_is_not_raised_again(held: Program) -> None:
    waiting = held("review", "--json").json["holds"][0]
    assert held("reject", str(waiting["id"])).code == 0
    assert held("review", "--json").json["holds"] == []
    assert held("sync").code == 3
    assert held("review", "--json").json["holds"] == []
    assert len(active(held)) == 7


def test_a_paused_connection_is_left_out_until_it_is_resumed(program: Program) -> None:
    program("connections", "pause", "people", "--reason", "holidays")
    assert "holidays" in program("sync").err
    assert program("users").out == ""
    assert "holidays" in program("connections").err
    assert program("resume", "people").code == 0
    program("sync")
    assert len(active(program)) == 5


def test_one_connection_that_cannot_begin_does_not_stop_the_others(program: Program) -> None:
    program.write("connections/broken.toml", 'connector = "nowhere"\nmapping = "people"\n')
    answer = program("sync")
    assert answer.code == 4
    assert "broken: there is no connector" in answer.err
    assert len(active(program)) == 5


def test_a_source_that_holds_nobody_is_told_plainly(program: Program) -> None:
    program.rows.clear()
    program.drop()
    assert "not a single person was read" in program("sync").out


def test_a_first_miss_is_told_without_a_change_of_values(program: Program) -> None:
    program("sync")
    del program.rows["ada.byron"]
    program.drop()
    answer = program("sync")
    assert "miss user  Ada Byron" in answer.out
    assert "active:" not in answer.out
    assert "Ada Byron" in active(program)


def test_the_actor_is_in_the_list_of_runs(program: Program) -> None:
    program("sync", "--actor", "night shift")
    program("plan")
    told = program("runs").out
    assert "night shift" in told
    assert "tess" in told
