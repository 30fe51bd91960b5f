"""csv template, csv inspect, and dropped files on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Program

pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)

DROP = """
connector = "folder"
mapping = "people"
[config]
folder = "drop"
contents = "full"
key = "Email"
stable_for = 0
"""
PEOPLE = "Name,Email,Client,Password\nAda,ada@acme.example,Acme,hunter2\n"


@pytest.fixture
def drop(program: Program) -> Path:
    """A folder that the connection `drop` reads."""
    program.write("connections/drop.toml", DROP)
    folder = program.folder / "drop"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("what", ["clients", "sites", "users", "combined"])
def test_a_template_is_written_in_both_formats_and_reads_as_what_it_is(
    program: Program, tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "templates"
    answer = program("csv", "template", what, str(folder))
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 2
    for suffix in (".csv", ".xlsx"):
        told = program("csv", "inspect", str(folder / f"{what}{suffix}"), "--json").json["file"]
        assert told["kind"] == ("users" if what == "combined" else what)
        assert told["rows"] == 2
        assert told["rejects"] == {}
        assert not [one for one in told["headings"] if one["means"] is None]


def test_a_template_never_overwrites(program: Program, tmp_path: Path) -> None:
    (tmp_path / "users.xlsx").write_text("mine")
    answer = program("csv", "template", "users", str(tmp_path))
    assert answer.code == 64
    assert "exists already" in answer.err
    assert not (tmp_path / "users.csv").exists()


def test_inspect_shows_how_a_file_would_be_read(program: Program, drop: Path) -> None:
    (drop / "people.csv").write_text(PEOPLE + ",,Acme,x\nBo,,Acme,\n", encoding="utf-16")
    answer = program("csv", "inspect", str(drop / "people.csv"))
    assert answer.code == 3
    for part in ("UTF-16", "comma", "full", "emailaddress", "looks like a secret", "missing_key"):
        assert part in answer.out
    assert "hunter2" not in answer.out


def test_inspect_needs_no_configuration(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncd import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("Surnme,First name,Mail,Client\nB,Ada,ada@acme.example,Acme\n")
    program.capture.readouterr()
    assert cli.run(["csv", "inspect", "x.csv"]) == 1
    out = program.capture.readouterr().out
    assert 'not known, not read; did you mean "surname"?' in out
    assert "set `key`" in out
    assert "ada@acme.example" in out, "its rows are shown all the same"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.xlsx", b"PK\x03\x04", "not a whole workbook"),
        ("x.csv", b"", "is empty"),
        ("x.csv", b"Name,Name\n", "occur twice"),
        ("x.pdf.csv", b"\x00" * 99, "is not text"),
    ],
)
def test_inspect_says_why_a_file_would_be_refused(
    program: Program, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    answer = program("csv", "inspect", str(tmp_path / name))
    assert answer.code == 1
    assert said in answer.out


def test_dropped_files_are_synced_planned_and_told(program: Program, drop: Path) -> None:
    assert program("sync", "drop").code == 0
    assert "nothing was dropped" in program("sync", "drop").err
    (drop / "people.csv").write_text(PEOPLE)
    assert program("plan", "drop", "--detailed-exitcode").code == 2
    (drop / "odd.pdf").write_text("x")
    planned = program("plan", "drop")
    assert planned.code == 1
    assert "odd.pdf" in planned.out
    answer = program("sync", "drop")

    assert answer.code == 1, "one of them was refused"
    assert "people.csv -> processed/people.csv" in answer.out
    assert "processed/people.result.csv" in answer.out
    assert "odd.pdf -> rejected/odd.pdf" in answer.out
    assert program("users").out.count("Ada") == 1


def test_a_held_file_is_approved_or_rejected(program: Program, drop: Path) -> None:
    rows = "".join(f"P{n},p{n}@acme.example,Acme,\n" for n in range(20))
    (drop / "people.csv").write_text(PEOPLE + rows)
    program("sync", "drop")
    program.write("mappings/people.toml", '[client]\nmatch = ["name"]\n[gone]\nabsent = '
                  '{ action = "deactivate", after = [] }\n')  # fmt: skip
    (drop / "people.csv").write_text(PEOPLE)
    assert program("sync", "drop").code == 6
    (drop / "other.csv").write_text(PEOPLE + rows.replace("Acme", "Beta"))
    waits = program("sync", "drop", "--json")
    assert waits.code == 6
    assert waits.json["runs"][0]["code"] == "waits"

    answer = program("reject", "1")

    assert "people.csv -> rejected/people.csv" in answer.out
    os.replace(drop / "rejected" / "people.csv", drop / "people.csv")  # noqa: PTH105
    assert "rejected" in program("sync", "drop").out
