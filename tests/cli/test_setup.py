"""From nothing to a configuration that works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from syncd import cli
from syncd.cli import setup
from tests.cli.conftest import Program

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCD_CONFIG", raising=False)
    monkeypatch.delenv("SYNCD_DATABASE_URL", raising=False)
    return tmp_path


def test_init_writes_a_configuration_that_syncs(elsewhere: Path) -> None:
    assert cli.run(["init"]) == 0
    assert cli.run(["check"]) == 0
    assert cli.run(["sync"]) == 3  # the sheet has bad rows on purpose
    assert (elsewhere / "config" / "syncd.db").is_file()
    for name in setup.TEMPLATES:
        assert (elsewhere / "config" / name).read_bytes() == (ROOT / "config" / name).read_bytes()


def test_init_never_overwrites(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "desk" / "mappings").mkdir(parents=True)
    mine = elsewhere / "desk" / "mappings" / "people.toml"
    mine.write_text("# mine\n")
    assert cli.run(["init", "desk"]) == 4
    assert "nothing is ever overwritten" in capsys.readouterr().err
    assert mine.read_text() == "# mine\n"
    assert not (elsewhere / "desk" / "syncd.toml").exists()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_check_says_what_is_good_and_what_is_bad(program: Program) -> None:
    program.write("connections/other.toml", 'connector = "csv"\nmapping = "broken"\n')
    program.write("mappings/broken.toml", '[user]\nscope = "(("\n')
    answer = program("check")
    assert answer.code == 4
    assert "ok   people: source" in answer.out
    assert "bad  other: mapping" in answer.out
    assert program("check", "people").code == 0


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_check_tells_of_a_broken_mapping_that_stops_no_other_command(program: Program) -> None:
    program.write("mappings/later.toml", "[user\n")
    answer = program("check")
    assert answer.code == 4
    assert "bad  mapping later, which no connection uses: " in answer.out
    assert "later.toml:1: not valid TOML" in answer.out
    assert program("check", "people").code == 0
    assert program("plan").code == 0


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_connection_whose_file_is_gone_is_listed_as_not_configured(program: Program) -> None:
    program("sync")
    assert "people  csv        active" in program("connections").out
    (program.folder / "connections" / "people.toml").unlink()

    answer = program("connections")
    assert "active" not in answer.out
    assert "people  csv        not configured" in answer.out
    assert "people is not configured any more" in answer.err
    assert program("connections", "--json").json["connections"][0]["configured"] is False

    assert program("connections", "retire", "people").code == 6
    assert program("approve", "1").code == 0
    answer = program("connections")
    assert "not configured" not in answer.out + answer.err
    assert "people is retired" in answer.err


def test_the_demo_works_and_works_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "syncd.demo"]
    for _ in range(2):
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            env={"PYTHONPATH": _path(), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "$ syncd review" in ended.stdout
    assert re.search(r"did +nothing", ended.stdout)


def test_the_tour_of_a_provider_works(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.tours.msp"],
        cwd=tmp_path,
        env={"PYTHONPATH": _path(), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "create 25 clients" in ended.stdout
    assert re.search(r"did +nothing", ended.stdout)
    day = "did         update 2 licenses, 2 users; create 1 user; deactivate 1 user"
    assert day in ended.stdout


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "mine").touch()
    ended = subprocess.run(
        [sys.executable, "-m", "syncd.demo"],
        cwd=tmp_path,
        env={"PYTHONPATH": _path(), "PATH": ""},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    assert (tmp_path / ".demo" / "mine").exists()


def _path() -> str:
    return ":".join([str(ROOT), *sys.path[1:]])


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("syncd ")
