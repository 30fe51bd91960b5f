"""Dropped files and processes that die, or meet: every file is applied once, and none is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd import failpoints
from syncd.errors import Busy
from syncd.sync import deciding, dropping
from syncd.sync.engine import Engine
from tests.chaos.desk import HEADINGS, TOO_LONG, TUESDAY, Child, Desk, freeze
from tests.properties.states import state

NewDesk = Callable[..., Desk]

CONNECTION = """
connector = "folder"
mapping = "people"

[config]
folder = "drop"
contents = "full"
key = "employee_id"
stable_for = 0
page_size = 4
"""
MORE = f"""{HEADINGS},password
x1,Dogwood,Oslo,Una,una@dogwood.example,una,Clerk,no,hunter2
x2,Dogwood,Oslo,Vic,vic@dogwood.example,{TOO_LONG},Clerk,no,hunter2
x3,Dogwood,Oslo
"""
LATER = f"""{HEADINGS}
x1,Dogwood,Oslo,Una,una@dogwood.example,una,Clerk,no
x9,Dogwood,Oslo,Wim,wim@dogwood.example,wim,Clerk,no
"""

TWICE = ("drop.answered", "drop.named", "drop.moved", "drop.forgotten", "close.ended", "run.opened")
"""Places to die at with the second file as well."""
ELSEWHERE = ("step.opened", "read.changed.planned", "read.changed.stored")
"""Places where these files do not lead."""
ALL = failpoints.SYNCING + failpoints.DROPPING
PLACES = [
    *(("sqlite", name, 1) for name in ALL if name not in ELSEWHERE),
    *(("postgresql", name, 1) for name in failpoints.DROPPING),
    *(("sqlite", name, 2) for name in TWICE),
]


def with_files(desk: Desk) -> Desk:
    """A desk on which two files were dropped into a folder."""
    (desk.folder / "connections" / "drop.toml").write_text(CONNECTION)
    leave(desk, "tuesday.csv", TUESDAY, 1)
    leave(desk, "more.csv", MORE, 2)
    return desk


def leave(desk: Desk, name: str, text: str, at: int) -> None:
    path = desk.folder / "drop" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (1_790_000_000 + at,) * 2)


def work_off(engine: Engine) -> list[str]:
    return [outcome.state for outcome in dropping.sync_all(engine, "drop")]


def dying_at(name: str, count: int, work: Callable[[Engine], object]) -> Callable[[Engine], object]:
    def armed(engine: Engine) -> object:
        failpoints.arm(name, count)
        return work(engine)

    return armed


def seen(desk: Desk) -> tuple[str, dict[str, bytes]]:
    """The state of the desk, and every file in its folder."""
    drop = desk.folder / "drop"
    files = {
        str(one.relative_to(drop)): one.read_bytes() for one in drop.rglob("*") if one.is_file()
    }
    return str(desk.use(lambda engine: state(engine.database))), files


@pytest.fixture(scope="module")
def clean() -> dict[str, tuple[str, dict[str, bytes]]]:
    return {}


def undisturbed(
    clean: dict[str, tuple[str, dict[str, bytes]]], new_desk: NewDesk, dialect: str
) -> tuple[str, dict[str, bytes]]:
    if dialect not in clean:
        desk = with_files(new_desk(dialect, "undisturbed"))
        assert desk.use(work_off) == ["partial", "partial"]
        clean[dialect] = seen(desk)
    return clean[dialect]


@pytest.mark.parametrize(("dialect", "name", "count"), PLACES)
def test_whoever_goes_on_ends_where_nothing_had_happened(
    dialect: str, name: str, count: int, new_desk: NewDesk,
    clean: dict[str, tuple[str, dict[str, bytes]]],
) -> None:  # fmt: skip
    expected = undisturbed(clean, new_desk, dialect)
    desk = with_files(new_desk(dialect))

    assert Child(desk, dying_at(name, count, work_off)).wait() == ("killed", None)
    desk.use(work_off)

    assert seen(desk) == expected
    assert b"hunter2" not in b"".join(expected[1].values())
    assert desk.use(work_off) == [], "nothing is left to do"


def held(desk: Desk) -> Desk:
    """A desk on which a file waits for a decision."""
    with_files(desk).use(work_off)
    desk.configure(limit="{ count = 0, share = 0.0 }")
    leave(desk, "held.csv", LATER, 3)
    assert desk.use(work_off) == ["held"]
    return desk


def decide(engine: Engine) -> None:
    outcome = deciding.approve(engine, 1, "boss")
    dropping.follow(engine, "drop", outcome.run)


DECIDED = ["step.claimed", "apply.batch.written", "apply.ended", "close.run", "close.ended",
           "drop.answered", "drop.named", "drop.moved", "drop.forgotten", "drop.ended"]  # fmt: skip


@pytest.mark.parametrize("name", DECIDED)
def test_an_approval_that_is_killed_is_followed_by_the_next_sync(
    name: str, new_desk: NewDesk
) -> None:
    quiet = held(new_desk("sqlite", "quiet"))
    quiet.use(decide)
    desk = held(new_desk("sqlite"))

    assert Child(desk, dying_at(name, 1, decide)).wait() == ("killed", None)
    desk.use(work_off)

    assert seen(desk) == seen(quiet)


@pytest.mark.parametrize("place", ["drop.opened", "drop.claimed", "read.ended", "drop.answered"])
def test_two_workers_on_one_folder_apply_every_file_once(
    place: str, dialect: str, new_desk: NewDesk, clean: dict[str, tuple[str, dict[str, bytes]]]
) -> None:
    expected = undisturbed(clean, new_desk, dialect)
    desk = with_files(new_desk(dialect))

    def frozen(engine: Engine) -> object:
        failpoints.arm(place, 1, freeze)
        return work_off(engine)

    slow = Child(desk, frozen)
    slow.wait_until_stopped()
    other = Child(desk, work_off)
    assert other.wait()[0] in ("done", "raised")
    slow.go_on()
    assert slow.wait()[0] in ("done", "raised")
    desk.use(work_off)

    assert seen(desk) == expected


def test_a_second_worker_is_told_that_another_one_is_at_work(new_desk: NewDesk) -> None:
    desk = with_files(new_desk("sqlite"))

    def frozen(engine: Engine) -> object:
        failpoints.arm("read.ended", 1, freeze)
        return work_off(engine)

    slow = Child(desk, frozen)
    slow.wait_until_stopped()
    assert Child(desk, work_off).wait() == ("raised", Busy.__name__)
    slow.go_on()
    assert slow.wait() == ("done", ["partial", "partial"])


def test_a_file_in_work_that_nobody_knows_of_comes_back(
    new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a database was restored from a backup."""
    desk = with_files(new_desk("sqlite"))
    lost = desk.folder / "drop" / ".syncd" / "unknown"
    lost.mkdir(parents=True)
    Path(desk.folder / "drop" / "more.csv").rename(lost / "original.csv")
    assert desk.use(work_off) == ["partial"], "it may be another worker's"
    monkeypatch.setattr("syncd.sync.filing._ORPHAN_AGE", -1)

    assert desk.use(work_off) == ["partial"]

    assert [name for name in seen(desk)[1] if "found-unknown" in name]
