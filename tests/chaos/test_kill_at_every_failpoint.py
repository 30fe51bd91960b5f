"""Whatever the moment at which a process dies, the next one ends where nothing had happened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from syncd import failpoints
from syncd.errors import UsageError
from syncd.sync import deciding, flow, undoing
from syncd.sync.engine import Engine
from tests.chaos.desk import NONE, Child, Desk
from tests.properties.states import contents, state

NewDesk = Callable[..., Desk]

AGAIN = {
    "read.page.fetched": 4,
    "read.page.planned": 5,
    "read.page.writing": 6,
    "read.page.stored": 7,
    "read.stream.ended": 2,
    "read.newcomers.planned": 2,
    "read.newcomers.stored": 3,
    "settle.sweep": 3,
    "apply.batch.loaded": 2,
    "apply.batch.writing": 3,
    "apply.batch.entities": 4,
    "apply.batch.links": 5,
    "apply.batch.written": 6,
    "apply.batch.committed": 7,
}
"""Places that a sync passes often, and a later pass to die at, too."""

PLACES = [
    *((dialect, name, 1) for dialect in ("sqlite", "postgresql") for name in failpoints.SYNCING),
    *(("sqlite", name, count) for name, count in AGAIN.items()),
]
APPLY_AND_CLOSE = [n for n in failpoints.SYNCING if n.split(".")[0] in ("apply", "close")]
DECIDED = ["step.claimed", *APPLY_AND_CLOSE]
UNDONE = [name for name in APPLY_AND_CLOSE if name != "close.step"]  # an undo works on no step


def sync(engine: Engine) -> str:
    return flow.sync(engine, "people").state


def dying_at(name: str, count: int, work: Callable[[Engine], object]) -> Callable[[Engine], object]:
    def armed(engine: Engine) -> object:
        failpoints.arm(name, count)
        return work(engine)

    return armed


@pytest.fixture(scope="module")
def clean() -> dict[object, str]:
    """The states after histories without any accident, each made once."""
    return {}


def undisturbed(
    clean: dict[object, str], new_desk: NewDesk, dialect: str, history: Callable[[Desk], object]
) -> str:
    key = (dialect, history.__name__)
    if key not in clean:
        desk = new_desk(dialect, "undisturbed")
        history(desk)
        clean[key] = str(desk.use(lambda engine: state(engine.database)))
    return clean[key]


def assert_settled(desk: Desk, expected: str) -> None:
    """The state is as expected, and another sync neither changes nor writes anything."""
    engine = desk.open()
    assert state(engine.database) == expected
    before = contents(engine.database)
    flow.sync(engine, "people")
    assert contents(engine.database) == before
    engine.database.close()


def tuesday(desk: Desk) -> None:
    assert desk.sync().state == "partial"  # some rows wait in quarantine


@pytest.mark.parametrize(("dialect", "name", "count"), PLACES)
def test_a_sync_that_is_killed_anywhere_ends_as_if_it_had_not_been(
    dialect: str, name: str, count: int, new_desk: NewDesk, clean: dict[object, str]
) -> None:
    expected = undisturbed(clean, new_desk, dialect, tuesday)
    desk = new_desk(dialect)

    assert Child(desk, dying_at(name, count, sync)).wait() == ("killed", None)
    desk.sync()

    assert_settled(desk, expected)


def test_a_sync_that_is_killed_again_and_again_still_ends(
    dialect: str, new_desk: NewDesk, clean: dict[object, str]
) -> None:
    expected = undisturbed(clean, new_desk, dialect, tuesday)
    desk = new_desk(dialect)

    for place in (("read.page.stored", 3), ("apply.batch.entities", 2)):
        assert Child(desk, dying_at(*place, sync)).wait() == ("killed", None)
    desk.sync()

    assert_settled(desk, expected)


def test_a_new_process_with_hashes_of_its_own_goes_on(
    new_desk: NewDesk, clean: dict[object, str]
) -> None:
    """Draft rows hold hashes that only their process understands: a fork would share them."""
    expected = undisturbed(clean, new_desk, "sqlite", tuesday)
    desk = new_desk("sqlite")
    program = (
        "import sys; from pathlib import Path; from syncd import settings;"
        "from syncd.sync import flow; from syncd.sync.engine import Engine;"
        "flow.sync(Engine.open(settings.load(Path(sys.argv[1]))), 'people')"
    )
    for place in ("read.newcomers.stored:2", "guard.stored"):
        died = subprocess.run(
            [sys.executable, "-c", program, str(desk.folder)],
            env={**os.environ, "SYNCD_FAILPOINT": place, "PYTHONHASHSEED": "7"},
            check=False,
        )
        assert died.returncode == -9
    desk.sync()

    assert_settled(desk, expected)


# -- approve and undo ------------------------------------------------------------------------------


def hold(desk: Desk) -> int:
    """The id of Tuesday's plan, held because nothing at all is allowed."""
    desk.configure(limit=NONE)
    (held,) = desk.sync().holds
    return held


def approve(engine: Engine) -> str:
    (held,) = engine.database.query(lambda conn: engine.runs.holds(conn, "waiting"))
    return deciding.approve(engine, held.id, "me").state


def held_then_approved(desk: Desk) -> None:
    hold(desk)
    assert desk.use(approve) == "partial"


@pytest.mark.parametrize("name", DECIDED)
def test_an_approval_that_is_killed_is_carried_out_by_the_next_sync(
    name: str, dialect: str, new_desk: NewDesk, clean: dict[object, str]
) -> None:
    expected = undisturbed(clean, new_desk, dialect, held_then_approved)
    desk = new_desk(dialect)
    hold(desk)

    assert Child(desk, dying_at(name, 1, approve)).wait() == ("killed", None)
    desk.sync()

    assert_settled(desk, expected)


def undo(engine: Engine) -> str:
    return undoing.undo(engine, 2, "me").state


def synced_then_undone(desk: Desk) -> None:
    desk.sync()
    assert desk.use(undo) == "succeeded"


@pytest.mark.parametrize("name", UNDONE)
def test_an_undo_that_is_killed_is_finished_by_the_next_one(
    name: str, dialect: str, new_desk: NewDesk, clean: dict[object, str]
) -> None:
    expected = undisturbed(clean, new_desk, dialect, synced_then_undone)
    desk = new_desk(dialect)
    desk.sync()

    assert Child(desk, dying_at(name, 1, undo)).wait() == ("killed", None)
    if name == "close.ended":
        with pytest.raises(UsageError, match="did so already"):
            desk.use(undo)
    else:
        assert desk.use(undo) == "succeeded"

    assert desk.use(lambda engine: state(engine.database)) == expected
