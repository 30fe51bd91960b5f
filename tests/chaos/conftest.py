"""Desks that synced on Monday already, made once for each kind of database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from syncd import failpoints
from syncd.sync import applying
from tests.chaos.desk import MONDAY, TUESDAY, Desk
from tests.conftest import _database


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


@pytest.fixture(autouse=True)
def _a_transaction_for_each_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small plan is applied in many batches."""
    monkeypatch.setattr(applying, "BATCH", 1)


@pytest.fixture(autouse=True)
def _a_batch_for_each_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sheets would fit one batch, and nothing could happen between two."""
    monkeypatch.setattr(applying, "BATCH", 1)


@pytest.fixture(scope="module")
def desks(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[object]:
    """Makes desks on which Monday is done and Tuesday's sheet has arrived."""
    monday: dict[str, str | Path] = {}
    folder = tmp_path_factory.mktemp("desks")
    with _templates(folder, request) as template:

        def begin(dialect: str) -> str | Path:
            if dialect not in monday:
                monday[dialect] = template(dialect)
            return monday[dialect]

        yield begin


@contextmanager
def _templates(folder: Path, request: pytest.FixtureRequest) -> Iterator[object]:
    open_ones = []

    def template(dialect: str) -> str | Path:
        made = folder / dialect
        if dialect == "sqlite":
            made.mkdir()
            shutil.copy(request.getfixturevalue("sqlite_template"), made / "syncd.db")
            _monday(made, f"sqlite:///{made / 'syncd.db'}")
            return made / "syncd.db"
        server = request.getfixturevalue("postgres_server")
        database = _database(server, request.getfixturevalue("postgres_template"))
        url = database.__enter__()
        open_ones.append(database)
        _monday(made, url)
        return str(make_url(url).database)

    yield template
    for database in open_ones:
        database.__exit__(None, None, None)


def _monday(folder: Path, url: str) -> None:
    desk = Desk(folder, url).configure()
    desk.put(MONDAY)
    assert desk.sync().counts["create user"] == 8


@pytest.fixture
def new_desk(desks: object, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[object]:
    """Makes any number of desks for one test, each with a database of its own."""
    open_ones = []

    def make(dialect: str, name: str = "desk") -> Desk:
        folder = tmp_path / name
        folder.mkdir()
        begun = desks(dialect)  # type: ignore[operator]
        if dialect == "sqlite":
            shutil.copy(begun, folder / "syncd.db")
            url = f"sqlite:///{folder / 'syncd.db'}"
        else:
            database = _database(request.getfixturevalue("postgres_server"), begun)
            url = database.__enter__()
            open_ones.append(database)
        desk = Desk(folder, url).configure()
        desk.put(TUESDAY)
        return desk

    yield make
    for database in open_ones:
        database.__exit__(None, None, None)
