"""The README tells the truth: its connector works, its commands and files exist."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from syncd import cli
from syncd.cli import setup
from syncd.cli.app import app
from syncd.connectors import base
from syncd.connectors.base import Connector, Context
from syncd.connectors.testkit import ConnectorContract, World

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CONNECTOR = next(text for language, text in BLOCKS if language == "python")
COMMANDS = sorted(
    {
        line.partition("#")[0].strip()
        for line in [
            *(row for language, text in BLOCKS if not language for row in text.splitlines()),
            *re.findall(r"`(syncd [^`]+)`", README),
        ]
        if line.startswith("syncd ")
    }
)


def load(source: str) -> ModuleType:
    module = ModuleType("readme_connector")
    sys.modules[module.__name__] = module
    exec(compile(source, "README.md", "exec"), module.__dict__)
    return module


class JsonLinesWorld(World):
    """A folder with the two files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people: dict[str, dict[str, Any]] = {}
        self.module = load(CONNECTOR)
        for name in ("Ada", "Bob", "Cleo"):
            self.add_person(name)

    def connect(self, page_size: int = 100) -> Connector[Any]:
        config = self.module.Config(page_size=page_size)
        connector: Connector[Any] = self.module.JsonLines(config, Context("lines", self.folder))
        return connector

    def add_person(self, name: str) -> str:
        key = f"p{len(self.people)}"
        self.people[key] = {"id": key, "name": name, "company": "c1", "seen": 0}
        self.write()
        return key

    def rename_person(self, key: str, name: str) -> None:
        self.people[key]["name"] = name
        self.write()

    def remove_person(self, key: str) -> None:
        del self.people[key]
        self.write()

    def truncate(self) -> None:
        whole = (self.folder / "people.jsonl").read_bytes()
        (self.folder / "people.jsonl").write_bytes(whole[:-9])

    def plant_secret(self, secret: str) -> None:
        for person in self.people.values():
            person["password"] = secret
        self.write()

    def tick(self) -> None:
        for person in self.people.values():
            person["seen"] += 1
        self.people = dict(reversed(self.people.items()))
        self.write()

    def write(self) -> None:
        (self.folder / "companies.jsonl").write_text('{"id": "c1", "name": "Acme"}\n')
        lines = [json.dumps(person) + "\n" for person in self.people.values()]
        (self.folder / "people.jsonl").write_text("".join(lines))


class TestTheSmallestConnector(ConnectorContract):
    def world(self, tmp_path: Path) -> World:
        return JsonLinesWorld(tmp_path)


def test_the_smallest_connector_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    JsonLinesWorld(tmp_path)
    module = sys.modules["readme_connector"]
    monkeypatch.setattr(base, "find", lambda _name: module.JsonLines)
    for folder in ("connections", "mappings"):
        (tmp_path / folder).mkdir()
    (tmp_path / "syncd.toml").touch()
    (tmp_path / "mappings" / "people.toml").touch()
    connection = 'connector = "jsonl"\nmapping = "people"\n'
    (tmp_path / "connections" / "lines.toml").write_text(connection)
    folder = ["--config", str(tmp_path)]
    assert cli.run([*folder, "db", "upgrade"]) == 0
    assert cli.run([*folder, "sync"]) == 0
    assert "create 1 client; create 1 site; create 3 users" in capsys.readouterr().out.replace(
        ", ", "; create "
    )


def test_the_smallest_connector_is_shorter_than_sixty_lines() -> None:
    assert len(CONNECTOR.splitlines()) < 60


def test_the_two_commands_come_first() -> None:
    first = BLOCKS[0][1].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    words = line.split()[1:]
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            assert "list" in command.commands, f"{line}: there is no such command"
            command = command.commands["list"]
            break
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_there_are_documented_commands() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_a_linked_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_make_knows_the_commands_that_the_page_names() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make (\w+)", README)) - {"alone"} <= targets


def test_a_wheel_holds_what_init_writes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    wanted = {f"config/{name}": f"syncd/templates/{name}" for name in setup.TEMPLATES}
    assert included == wanted
    assert all((ROOT / source).is_file() for source in wanted)
