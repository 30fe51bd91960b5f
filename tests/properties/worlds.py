"""Engines on small databases, and what a history of directories does to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import sqlalchemy as sa

from syncd import settings, toml_file
from syncd.settings import ConnectionSettings, Settings
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.runs import Runs
from syncd.sync import deciding, flow, reading
from syncd.sync.engine import Engine
from tests.properties.directory import Directory, Memory

NAME = "desk"
WIDE = "{ count = 1000, share = 1.0 }"
TIGHT = "{ count = 0, share = 0.0 }"
MAPPING = """
[client]
match = ["ref", "name"]

[site]
from = ["office_location"]

[user]
match = ["identity", "email", "login"]
scope = "user_type != 'Guest'"
[user.fields]
login = "user_principal_name"
job_title = {{ from = "job_title", clear = true }}

[gone]
absent = {{ action = "deactivate", after = "1 read" }}
out_of_scope = {{ action = "deactivate" }}

[limits]
deactivate = {limit}
deactivate_run = {limit}
create = {limit}
site_move = {limit}
key_change = {limit}
errors = {{ count = 1000, share = 1.0 }}
"""


def _settings(limit: str) -> Settings:
    file = toml_file.parse('connector = "memory"\n', NAME, "desk.toml", Path())
    mapping = toml_file.parse(MAPPING.format(limit=limit), NAME, "mapping.toml", Path())
    return Settings(
        folder=Path(),
        database=settings.Database(),
        log=settings.Log(),
        engine=settings.Engine(threads=1, page_size=3),  # several batches for each plan
        precedence={},
        connections={NAME: ConnectionSettings(NAME, "memory", NAME, None, {}, file)},
        mappings={NAME: mapping},
    )


_SETTINGS = {limit: _settings(limit) for limit in (WIDE, TIGHT)}


def open_engine(database: Database, limit: str = WIDE) -> Engine:
    return Engine(_SETTINGS[limit], database, Runs(database))


class Worlds:
    """SQLite databases below one folder. One engine serves all of them, so that every statement is
    compiled once: `use` leads it to another file.
    """

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.template = folder, template
        self.file = folder / "current.db"
        self.database = Database(f"sqlite:///{self.file}")
        self.engine = open_engine(self.database)

    def new(self, limit: str = WIDE) -> Engine:
        """An engine on an empty database."""
        return self._from(self.template, limit)

    def keep(self, name: str) -> None:
        """Remember the current database under a name."""
        self.database.engine.dispose()
        shutil.copy(self.file, self.folder / name)

    def back_to(self, name: str, limit: str = WIDE) -> Engine:
        """An engine on the database of that name, as it was then."""
        return self._from(self.folder / name, limit)

    def _from(self, file: Path, limit: str) -> Engine:
        self.database.engine.dispose()
        for leftover in self.folder.glob("current.db*"):
            leftover.unlink()
        shutil.copy(file, self.file)
        return open_engine(self.database, limit)


def serve(
    directory: Directory, *, page_size: int = 3, turn: int = 0, backwards: bool = False
) -> None:
    reading.KNOWN_AT_ONCE = 0 if backwards else 200_000  # what is settled is found either way
    Memory.directory = directory
    Memory.page_size, Memory.turn, Memory.backwards = page_size, turn, backwards


def sync(engine: Engine, directory: Directory, **how: int) -> flow.Outcome:
    """One sync; what is always held (moves, an emptied client) is approved."""
    serve(directory, **how)  # type: ignore[arg-type]
    outcome = flow.sync(engine, NAME)
    assert outcome.state in ("succeeded", "partial", "held"), outcome
    if outcome.holds:
        outcome = deciding.approve(engine, outcome.holds[0], "me")
    assert not (left_out := stale(engine.database)), left_out
    return outcome


def stale(database: Database) -> list[str]:
    """Why changes were left out although nobody else wrote."""
    c = t.change.c
    with database.read() as conn:
        rows = conn.execute(sa.select(t.change).where(c.outcome == "stale")).all()
    return [f"{row.kind} {row.action} {row.stream}/{row.key}: {row.reason}" for row in rows]
