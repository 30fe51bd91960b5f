"""Desks for stories, on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors import base
from syncd.connectors.csv_files import Csv
from syncd.sync import walking
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.stories.desk import Desk
from tests.stories.microsoft import CONNECTORS, OneTenant, Partner
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


@pytest.fixture
def microsoft(monkeypatch: pytest.MonkeyPatch) -> Iterator[MicrosoftWorld]:
    """A miniature Microsoft, for which nobody waits."""
    monkeypatch.setattr(base, "find", CONNECTORS.__getitem__)
    monkeypatch.setattr(walking.time, "sleep", lambda _seconds: None)
    with MicrosoftWorld().serving() as world:
        yield world


@pytest.fixture
def tenant(desk: Desk, microsoft: MicrosoftWorld) -> OneTenant:
    """A desk that reads one tenant with three people in it, of whom one is a guest."""
    for name in ("Maya Okafor", "Bob Builder"):
        office = "Bristol" if name < "C" else None
        microsoft.directory.home.add(name, officeLocation=office)
    microsoft.directory.home.guest("Gail Guest")
    return OneTenant(desk, microsoft)


@pytest.fixture
def partner(desk: Desk, microsoft: MicrosoftWorld) -> Partner:
    """A desk that reads the customers of a partner, who has none yet."""
    return Partner(desk, microsoft)
