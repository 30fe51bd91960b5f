"""Desks for stories, on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors import base
from syncd.connectors.csv_files import Csv
from tests.stories.desk import Desk
from tests.stories.source import Source


@pytest.fixture
def desk(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk that reads people.csv, with an empty database."""
    monkeypatch.setattr(base, "find", lambda _name: Csv)  # entry points are slow to look through
    opened = Desk(tmp_path / "config", database_url)
    yield opened
    opened.close()


@pytest.fixture
def source(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A provider in memory that the desk's connection reads instead of a file."""
    made = Source()
    monkeypatch.setattr(base, "find", lambda _name: made.connector())
    desk.connect("people", "memory", {})
    desk.reload()
    return made


@pytest.fixture
def sources(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> dict[str, Source]:
    """Three providers in memory, each read by the connection of its name."""
    made = {name: Source() for name in ("entra", "xero", "hr")}
    monkeypatch.setattr(base, "find", lambda name: made[name].connector())
    for name in made:
        desk.connect(name, name, {})
    (desk.folder / "connections" / "people.toml").unlink()
    desk.reload()
    return made
