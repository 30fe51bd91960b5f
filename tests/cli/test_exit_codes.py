"""Every way that a command can end has its exit code and one clear paragraph."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from syncd import cli
from syncd.cli import exits
from syncd.cli.exits import Exit
from syncd.store import leases
from syncd.store.database import Database
from syncd.store.runs import Runs
from syncd.sync import flow
from syncd.sync.flow import Outcome
from tests.cli.conftest import Program


def test_a_sync_without_trouble_ends_with_0(program: Program) -> None:
    assert program("sync").code == 0


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["plan", "--nonsense"], ["undo"], ["approve", "x"], ["users", "set"]],
)
def test_a_wrong_command_line_ends_with_64(program: Program, arguments: list[str]) -> None:
    answer = program(*arguments)
    assert answer.code == 64
    assert answer.err.startswith("error: ")
    assert answer.out == ""


def test_an_unknown_run_or_plan_ends_with_64(program: Program) -> None:
    assert program("undo", "99").code == 64
    assert program("approve", "99").code == 64
    assert program("runs", "99").code == 64


def test_no_configuration_ends_with_4_and_names_init(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["--config", str(tmp_path), "plan"]) == 4
    assert "syncd init" in capsys.readouterr().err


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_wrong_setting_ends_with_4_and_names_its_line(program: Program) -> None:
    program.write("mappings/people.toml", '[user]\nmatsh = ["email"]\n')
    answer = program("plan")
    assert answer.code == 4
    assert "mappings/people.toml:2" in answer.err


def test_a_database_without_tables_ends_with_4_until_it_is_upgraded(
    tmp_path: Path, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program(tmp_path / "config", empty_database_url, capsys)
    answer = program("users")
    assert answer.code == 4
    assert "syncd db upgrade" in answer.err
    assert program("db", "upgrade").code == 0
    assert program("db", "check").code == 0
    assert program("users").code == 0


def test_a_database_that_nobody_serves_ends_with_5_and_shows_no_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql+psycopg://syncd:hunter2-canary@127.0.0.1:1/none"
    program = Program(tmp_path / "config", url, capsys)
    for command in ("users", "sync", "check"):
        answer = program(command)
        assert answer.code == 5
        assert "hunter2" not in answer.out + answer.err


def test_a_source_that_is_not_there_ends_with_5(program: Program) -> None:
    (program.folder / "people.csv").unlink()
    answer = program("sync")
    assert answer.code == 5
    assert "people.csv" in answer.out + answer.err
    assert program("check").code == 5


def test_a_connection_at_work_elsewhere_ends_with_75(
    program: Program, database: Database, database_url: str
) -> None:
    program("sync")
    lease = database.transact(lambda conn: leases.claim(database, conn, 1, 60))
    runs = Runs(database)
    run = database.transact(lambda conn: runs.insert_run(conn, 1, "apply", "other"))
    database.transact(lambda conn: runs.add_step(conn, run, 1))
    answer = program("sync")
    assert answer.code == 75
    assert "another process is syncing this connection" in answer.err
    database.transact(lease.release)


def test_a_held_plan_ends_with_6(held: Program) -> None:
    assert held("sync").code == 6
    assert held("plan").code == 6


def test_quarantined_records_end_with_3(program: Program) -> None:
    program.drop(["x", "Nobody", "x@acme.example", "Acme", "Bath", "", "perhaps"])
    answer = program("sync")
    assert answer.code == 3
    assert "bad_value" in answer.out
    assert "repair: " in answer.out


def test_a_plan_with_changes_ends_with_2_only_if_that_is_asked_for(program: Program) -> None:
    assert program("plan").code == 0
    assert program("plan", "--detailed-exitcode").code == 2
    program("sync")
    assert program("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_an_unforeseen_error_ends_with_1_and_tells_nothing_of_its_text(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=hunter2-canary")

    monkeypatch.setattr(flow, "sync", broken)
    answer = program("sync")
    assert answer.code == 1
    assert "RuntimeError" in answer.err
    assert "hunter2" not in answer.err


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_debug_shows_where_an_error_came_from_without_secrets(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=hunter2-canary")

    monkeypatch.setattr(flow, "sync", broken)
    assert cli.run(["--debug", "--config", str(program.folder), "sync"]) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_page_end_and_the_next_sync_goes_on(
    program: Program, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    real = flow.sync

    def interrupted(*arguments: Any, **options: Any) -> Outcome:
        signal.raise_signal(number)
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(flow, "sync", interrupted)
        answer = program("sync")
    assert answer.code == 1
    assert "the next sync goes on" in answer.err
    assert program("users").out == ""
    assert program("sync").code == 0
    assert "Ada Byron" in program("users").out


def _outcome(state: str, code: str | None = None, **counts: int) -> Outcome:
    named = {name.replace("_", " "): count for name, count in counts.items()}
    return Outcome(1, "plan" if state == "planned" else "apply", state, code, counts=named)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (_outcome("succeeded"), Exit.DONE),
        (_outcome("partial", "quarantine"), Exit.QUARANTINED),
        (_outcome("partial", "read_nobody"), Exit.QUARANTINED),
        (_outcome("partial", "bad_response"), Exit.FAILED),
        (_outcome("partial", "access_lost"), Exit.UNREACHABLE),
        (_outcome("failed", "auth_failed"), Exit.UNREACHABLE),
        (_outcome("failed", "unavailable"), Exit.UNREACHABLE),
        (_outcome("failed", "permission_denied"), Exit.UNREACHABLE),
        (_outcome("failed", "bad_response"), Exit.FAILED),
        (_outcome("failed", "mapping"), Exit.FAILED),
        (_outcome("throttled", "throttled"), Exit.UNREACHABLE),
        (_outcome("cancelled", "cancelled"), Exit.FAILED),
        (_outcome("planned", create_user=1), Exit.DONE),
        (_outcome("planned", create_user=1, quarantined=1), Exit.QUARANTINED),
    ],
)
def test_an_outcome_has_its_exit_code(outcome: Outcome, code: Exit) -> None:
    assert exits.of_outcome(outcome) is code


def test_of_several_runs_the_most_telling_code_counts() -> None:
    assert exits.worst([Exit.DONE, Exit.QUARANTINED, Exit.HELD, Exit.BUSY]) is Exit.BUSY
    assert exits.worst([Exit.FAILED, Exit.UNREACHABLE]) is Exit.UNREACHABLE
    assert exits.worst([]) is Exit.DONE
