"""Processes that meet on one connection: one works; who comes or wakes up late does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import make_url

from syncd import failpoints, settings
from syncd.errors import Busy, Interrupted
from syncd.store.leases import Lease
from syncd.sync import flow, walking
from syncd.sync.engine import Engine
from syncd.sync.step import Progress
from tests.chaos.desk import Child, Desk, freeze
from tests.properties.states import state

NewDesk = Callable[..., Desk]


def sync(engine: Engine) -> str:
    return flow.sync(engine, "people").state


def frozen_at(name: str, count: int = 1) -> Callable[[Engine], object]:
    def armed(engine: Engine) -> object:
        failpoints.arm(name, count, freeze)
        return sync(engine)

    return armed


def state_of(desk: Desk) -> str:
    return str(desk.use(lambda engine: state(engine.database)))


def undisturbed(new_desk: NewDesk, dialect: str) -> str:
    desk = new_desk(dialect, "undisturbed")
    desk.sync()
    return state_of(desk)


def sync_as_soon_as_it_may(desk: Desk) -> flow.Outcome:
    until = time.monotonic() + 20
    while True:
        try:
            return desk.sync()
        except Busy:
            assert time.monotonic() < until, "the lease of a frozen process never ended"
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("place", "count"),
    [("read.page.planned", 3), ("guard.counted", 1), ("apply.batch.committed", 2)],
)
def test_a_worker_that_was_frozen_for_longer_than_its_lease_writes_nothing_more(
    place: str, count: int, dialect: str, new_desk: NewDesk
) -> None:
    expected = undisturbed(new_desk, dialect)
    desk = new_desk(dialect).configure(lease_seconds=1)
    sleeper = Child(desk, frozen_at(place, count))
    sleeper.wait_until_stopped()
    with pytest.raises(Busy):
        desk.sync()

    sync_as_soon_as_it_may(desk)
    assert state_of(desk) == expected
    sleeper.go_on()

    assert sleeper.wait() == ("raised", "LeaseLost")
    assert state_of(desk) == expected


def frozen_inside_a_transaction(desk: Desk, place: str) -> Callable[[Engine], object]:
    """With connections of its own, made with this desk's settings."""

    def work(_shared: Engine) -> object:
        return frozen_at(place)(Engine.open(settings.load(desk.folder), check=False))

    return work


INSIDE = ["read.page.writing", "guard.writing", "apply.batch.entities", "apply.batch.written"]


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.parametrize("place", INSIDE)
def test_a_worker_that_is_frozen_inside_a_transaction_keeps_others_waiting_for_a_while_only(
    place: str, dialect: str, new_desk: NewDesk
) -> None:
    expected = undisturbed(new_desk, dialect)
    desk = new_desk(dialect).configure(lease_seconds=1)
    sleeper = Child(desk, frozen_inside_a_transaction(desk, place))
    sleeper.wait_until_stopped()

    impatient = make_url(desk.url).update_query_dict({"options": "-c lock_timeout=4000"})
    desk.url = impatient.render_as_string(hide_password=False)  # or a failure would never end
    sync_as_soon_as_it_may(desk.configure(lease_seconds=1))
    assert state_of(desk) == expected
    sleeper.go_on()

    assert sleeper.wait() == ("raised", "LeaseLost")
    assert state_of(desk) == expected


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.parametrize("place", INSIDE)
def test_a_worker_whose_transaction_was_ended_while_it_slept_does_it_again_if_nobody_else_did(
    place: str, dialect: str, new_desk: NewDesk
) -> None:
    expected = undisturbed(new_desk, dialect)
    desk = new_desk(dialect).configure(lease_seconds=1)
    sleeper = Child(desk, frozen_inside_a_transaction(desk, place))
    sleeper.wait_until_stopped()
    wait_until_nobody_is_in_a_transaction(desk)
    sleeper.go_on()

    assert sleeper.wait() == ("done", "partial")
    assert state_of(desk) == expected


def wait_until_nobody_is_in_a_transaction(desk: Desk) -> None:
    idle = "select count(*) from pg_stat_activity where datname = current_database() and state = %s"
    until = time.monotonic() + 20
    with psycopg.connect(desk.url.replace("+psycopg", ""), autocommit=True) as connection:
        while connection.execute(idle, ("idle in transaction",)).fetchone() != (0,):
            assert time.monotonic() < until, "the transaction of a frozen process never ended"
            time.sleep(0.1)


def frozen_before_its_claim(engine: Engine) -> str:
    """Asleep between seeing that the step is due and claiming it."""
    claim = walking.claim

    def late(engine: Engine, partition: int) -> Lease:
        freeze()
        return claim(engine, partition)

    walking.claim = late  # only in this process
    return sync(engine)


@pytest.mark.parametrize(
    "asleep",
    [frozen_before_its_claim, frozen_at("close.step"), frozen_at("close.started")],
    ids=["claim", "close.step", "close.started"],
)
def test_a_worker_that_slept_while_another_did_all_the_work_leaves_it_alone(
    asleep: Callable[[Engine], object], dialect: str, new_desk: NewDesk
) -> None:
    expected = undisturbed(new_desk, dialect)
    desk = new_desk(dialect)
    sleeper = Child(desk, asleep)
    sleeper.wait_until_stopped()

    desk.sync()
    assert state_of(desk) == expected
    sleeper.go_on()

    assert sleeper.wait() == ("done", "partial")
    assert state_of(desk) == expected


def test_a_run_that_a_plan_laid_aside_is_not_worked_on_any_more(
    dialect: str, new_desk: NewDesk
) -> None:
    """The run is open and its step not yet claimed: one of them may have it, never both."""
    expected = undisturbed(new_desk, dialect)
    desk = new_desk(dialect)
    sleeper = Child(desk, frozen_before_its_claim)
    sleeper.wait_until_stopped()

    planned = desk.use(lambda engine: flow.sync(engine, "people", mode="plan").state)
    sleeper.go_on()

    assert planned == "planned"
    assert sleeper.wait() == ("done", "cancelled")
    desk.sync()
    assert state_of(desk) == expected


@pytest.mark.parametrize("phase", ["read", "apply"])
def test_a_process_that_is_asked_to_end_stops_at_the_next_page_and_the_next_one_goes_on(
    phase: str, dialect: str, new_desk: NewDesk
) -> None:
    expected = undisturbed(new_desk, dialect)
    desk = new_desk(dialect)
    seen: list[Progress] = []

    def interrupted(engine: Engine) -> None:
        def stop_soon(progress: Progress) -> None:
            seen.append(progress)
            if progress.phase == phase:
                engine.stop.set()

        engine.report = stop_soon
        with pytest.raises(Interrupted):
            flow.sync(engine, "people")

    desk.use(interrupted)
    assert [progress.phase for progress in seen].count(phase) == 1
    desk.sync()

    assert state_of(desk) == expected


@pytest.mark.parametrize("round_", range(5))
def test_of_two_processes_at_once_one_works_and_the_other_is_told_that_it_is_busy(
    round_: int, dialect: str, new_desk: NewDesk
) -> None:
    desk = new_desk(dialect)
    begin, go = os.pipe()
    loser_ended, loser_ends = os.pipe()

    def racing(engine: Engine) -> object:
        os.close(go)
        os.close(loser_ends)
        os.read(begin, 1)  # until the parent closes its end: both at once
        failpoints.arm("read.page.planned", 1, lambda: os.read(loser_ended, 1) and None)
        return sync(engine)

    racers = [Child(desk, racing), Child(desk, racing)]
    os.close(go)
    first = _first_to_end(racers)
    os.close(loser_ends)
    (second,) = [one for one in racers if one is not first]

    assert first.wait() == ("raised", "Busy")
    assert second.wait() == ("done", "partial")
    for end in (begin, loser_ended):
        os.close(end)
    assert state_of(desk) == undisturbed(new_desk, dialect)


def _first_to_end(children: list[Child]) -> Child:
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return next(child for child in children if child.pid == ended.si_pid)


def test_a_plan_after_a_crash_at_the_very_end_says_that_the_run_succeeded(
    dialect: str, new_desk: NewDesk
) -> None:
    desk = new_desk(dialect)
    sleeper = Child(desk, frozen_at("close.started"))
    sleeper.wait_until_stopped()

    planned = desk.use(lambda engine: flow.sync(engine, "people", mode="plan").counts)
    sleeper.go_on()

    assert not [name for name in planned if name.startswith(("create", "update"))]
    assert sleeper.wait() == ("done", "partial")
