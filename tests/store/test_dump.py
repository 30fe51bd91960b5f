"""Equal states have equal dumps, whatever ids, times and runs they were made with."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd import settings
from syncd.entities import Kind
from syncd.store import answers, answers_runs
from syncd.store.dump import canonical_dump
from syncd.sync import connections, editing, flow, undoing
from syncd.sync.engine import Engine

CONFIG = Path(__file__).parents[2] / "config"
RETIRED = '"@retired":true'


@pytest.fixture
def engine(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The sample sheets on one database, not synced yet."""
    monkeypatch.setenv("SYNCD_DATABASE_URL", database_url)
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder, ignore=shutil.ignore_patterns("*.db*"))
    opened = Engine.open(settings.load(folder))
    yield opened
    opened.database.close()


def test_a_dump_holds_each_thing_once_and_no_id_or_time_of_ours(engine: Engine) -> None:
    flow.sync(engine, "people")
    text = canonical_dump(engine.database)
    kinds = [line.split(" ", 1)[0] for line in text.splitlines()]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "client": 5,
        "link": 54,
        "site": 12,
        "user": 40,
    }
    users = answers.users(engine.database, answers.Search(limit=0)).lines
    assert not any(user.id.hex in text or str(user.id) in text for user in users)
    assert not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:", text)
    assert text.splitlines() == sorted(text.splitlines())


def test_another_run_of_the_same_sheet_gives_the_same_dump(engine: Engine) -> None:
    flow.sync(engine, "people")
    before = canonical_dump(engine.database)
    flow.sync(engine, "people", full=True)
    assert canonical_dump(engine.database) == before


def test_both_databases_and_new_ids_give_the_same_dump(
    engine: Engine, tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(sqlite_template, other)
    monkeypatch.setenv("SYNCD_DATABASE_URL", f"sqlite:///{other}")
    twin = Engine.open(settings.load(engine.settings.folder))
    for each in (engine, twin):
        flow.sync(each, "people")
    assert canonical_dump(twin.database) == canonical_dump(engine.database)
    twin.database.close()


CHANGES: dict[str, Callable[[Engine], object]] = {
    "a value": lambda engine: _set(engine, "job_title", "Boss"),
    "a custom value": lambda engine: _set(engine, "custom.cost_centre", "X1"),
    "an activity": lambda engine: _set(engine, "active", "no"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_dump_sees(engine: Engine, change: Callable[[Engine], object]) -> None:
    flow.sync(engine, "people")
    before = canonical_dump(engine.database)
    change(engine)
    assert canonical_dump(engine.database) != before


def test_what_an_undo_retired_can_be_left_out(engine: Engine) -> None:
    empty = canonical_dump(engine.database)
    run = flow.sync(engine, "people").run
    undoing.undo(engine, run, "tess")
    assert canonical_dump(engine.database, retired=False) == empty == ""
    assert canonical_dump(engine.database).count(RETIRED) == 57
    connections.resume(engine, "people", "tess")


def _set(engine: Engine, field: str, value: str) -> None:
    found = answers.referred(engine.database, Kind.USER, "maud.okafor@alderfinch.example.com")
    editing.set_values(engine, Kind.USER, found[0].id, {field: value}, "tess")
    assert answers_runs.runs(engine.database, limit=1)[0].mode == "edit"
