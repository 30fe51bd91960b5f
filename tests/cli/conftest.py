"""A command line at work: a scratch configuration on each kind of database, and one sheet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from syncd import cli

HEADINGS = ["Staff no", "Name", "E-mail", "Client", "Site", "Title", "Inactive"]


class Answer(NamedTuple):
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Program:
    """`program("plan", "--json")` is `syncd --config … plan --json`."""

    def __init__(self, folder: Path, url: str, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capture = capture
        self.rows: dict[str, list[str]] = {}
        for name in ("connections", "mappings"):
            (folder / name).mkdir(parents=True)
        self.write("syncd.toml", f'[database]\nurl = "{url}"\n')
        self.write(
            "connections/people.toml",
            'connector = "csv"\nmapping = "people"\n[config]\ncombined = "people.csv"\n'
            'contents = "full"\nkey = "Staff no"\n',
        )
        self.write("mappings/people.toml", '[client]\nmatch = ["name"]\n')

    def __call__(self, *arguments: str) -> Answer:
        self.capture.readouterr()
        code = cli.run(["--config", str(self.folder), *arguments])
        out, err = self.capture.readouterr()
        assert "Traceback" not in out + err
        return Answer(code, out, err)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def hire(self, name: str, client: str = "Acme", site: str = "Bath", title: str = "") -> None:
        """Add someone to the sheet."""
        number = name.lower().replace(" ", ".")
        mail = f"{number}@{client.lower()}.example"
        self.rows[number] = [number, name, mail, client, site, title, "no"]
        self.drop()

    def drop(self, *lines: list[str]) -> None:
        """Write the sheet, with further lines at its end."""
        with (self.folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADINGS, *self.rows.values(), *lines])


@pytest.fixture
def program(
    tmp_path: Path,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Program:
    """The command line with five people in one sheet, and nothing synced yet."""
    monkeypatch.setenv("SYNCD_ACTOR", "tess")
    made = Program(tmp_path / "config", database_url, capsys)
    for name in ("Ada Byron", "Zoë Müller", "Lucía Ferrer", "Bob Stone", "Eve Hill"):
        made.hire(name)
    return made


@pytest.fixture
def held(program: Program) -> Program:
    """The command line after a list that lacked four of seven people."""
    for name in ("Ivo Marek", "Uma Rao"):
        program.hire(name)
    assert program("sync").code == 0
    for number in list(program.rows)[:4]:
        del program.rows[number]
    program.drop()
    assert program("sync").code == 6
    return program
