"""However a directory is read, planned, interrupted or undone, the desk ends up the same."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, note, settings
from hypothesis import strategies as st

from syncd import failpoints
from syncd.errors import UsageError
from syncd.store import tables as t
from syncd.store.dump import canonical_dump
from syncd.sync import connections, deciding, flow, undoing
from syncd.sync.engine import Engine
from tests.properties.conftest import EXAMPLES
from tests.properties.directory import Directory, histories
from tests.properties.states import aside, contents, ledger, plan, state
from tests.properties.worlds import NAME, TIGHT, Worlds, serve, sync

same = settings.get_profile("sameness")
fewer = settings(same, max_examples=EXAMPLES or 20)
settings.load_profile("sameness")

ORDERS = [(1, 0, False), (2, 1, True), (3, 2, False), (100, 0, True), (4, 3, True)]
"""Page size, item to begin with, whether backwards."""
orders = st.sampled_from(ORDERS)


def live(engine: Engine) -> str:
    return canonical_dump(engine.database, retired=False)


def lived(engine: Engine, days: list[Directory]) -> None:
    for day in days:
        sync(engine, day)


@given(histories(), orders, orders)
def test_a_plan_is_the_same_for_every_page_size_and_order(
    worlds: Worlds, days: list[Directory], one: tuple[int, int, bool], other: tuple[int, int, bool]
) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    plans = []
    for size, turn, backwards in (one, other):
        serve(days[-1], page_size=size, turn=turn, backwards=backwards)
        planned = flow.sync(engine, NAME, mode="plan")
        plans.append((plan(engine.database, planned.run), planned.counts["quarantined"]))
    note(f"{plans[0][0]}\n---\n{plans[1][0]}")
    assert plans[0] == plans[1]


@given(histories(), orders, orders)
def test_a_sync_ends_the_same_for_every_page_size_and_order(
    worlds: Worlds, days: list[Directory], one: tuple[int, int, bool], other: tuple[int, int, bool]
) -> None:
    ends = []
    for size, turn, backwards in (one, other):
        engine = worlds.new()
        for day in days:
            sync(engine, day, page_size=size, turn=turn, backwards=backwards)
        ends.append(state(engine.database))
    assert ends[0] == ends[1]


@given(histories(), orders)
def test_a_sync_does_what_a_plan_said(
    worlds: Worlds, days: list[Directory], order: tuple[int, int, bool]
) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    size, turn, backwards = order
    serve(days[-1], page_size=size, turn=turn, backwards=backwards)
    planned = flow.sync(engine, NAME, mode="plan")
    said = plan(engine.database, planned.run)

    done = sync(engine, days[-1])

    assert plan(engine.database, done.run) == said
    assert done.counts["quarantined"] == planned.counts["quarantined"]


@given(histories(least=1), orders)
def test_a_second_sync_of_the_same_directory_writes_nothing(
    worlds: Worlds, days: list[Directory], order: tuple[int, int, bool]
) -> None:
    engine = worlds.new()
    lived(engine, days)
    before, dump = contents(engine.database), state(engine.database)
    note(dump)
    size, turn, backwards = order

    again = sync(engine, days[-1], page_size=size, turn=turn, backwards=backwards)

    note(plan(engine.database, again.run))
    assert state(engine.database) == dump
    assert contents(engine.database) == before


@given(histories(least=1))
def test_a_plan_changes_nothing(worlds: Worlds, days: list[Directory]) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    before, dump = contents(engine.database, but=(t.change,)), state(engine.database)

    serve(days[-1])
    flow.sync(engine, NAME, mode="plan")

    assert contents(engine.database, but=(t.change,)) == before
    assert state(engine.database) == dump


@given(histories())
def test_an_undo_restores_every_field_and_a_sync_after_it_does_all_of_it_again(
    worlds: Worlds, days: list[Directory]
) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    before = unsettled(live(engine))
    done = sync(engine, days[-1])
    after = live(engine)
    try:
        undone = undoing.undo(engine, done.run, "me")
    except UsageError:  # it applied nothing
        assert not plan(engine.database, done.run)
        return

    assert not undone.counts.get("stale")
    assert unsettled(live(engine)) == before
    connections.resume(engine, NAME, "me")
    sync(engine, days[-1])
    assert live(engine) == after


def unsettled(dump: str) -> str:
    """A dump without whether its links are settled: an undo has all of them planned again."""
    return dump.replace('"settled":true', '"settled":false')


@given(histories())
def test_an_approval_does_exactly_what_was_shown(worlds: Worlds, days: list[Directory]) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    worlds.keep("approval.db")
    free = worlds.back_to("approval.db")
    sync(free, days[-1])
    expected, wanted = canonical_dump(free.database), aside(free.database)

    tight = worlds.back_to("approval.db", TIGHT)
    serve(days[-1])
    held = flow.sync(tight, NAME)
    shown = plan(tight.database, held.run)
    if held.holds:
        serve({})  # whatever the source says by now
        approved = deciding.approve(tight, held.holds[0], "me")
        assert approved.code != "stale"

    assert plan(tight.database, held.run) == shown
    assert (unsettled(canonical_dump(tight.database)), aside(tight.database)) == (
        unsettled(expected),
        wanted,
    )


class PowerCut(BaseException):
    """Nothing in the engine catches it."""


def cut() -> None:
    raise PowerCut


@given(
    histories(),
    st.lists(st.tuples(st.sampled_from(failpoints.KNOWN), st.integers(1, 4)), min_size=1, max_size=2),
)
def test_an_interrupted_sync_ends_like_one_that_was_not(
    worlds: Worlds, days: list[Directory], places: list[tuple[str, int]]
) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    worlds.keep("interrupted.db")
    calm = worlds.back_to("interrupted.db")
    sync(calm, days[-1])
    expected = state(calm.database)

    engine = worlds.back_to("interrupted.db")
    for place in places:
        failpoints.arm(*place, cut)
        try:
            sync(engine, days[-1])
        except PowerCut:
            pass
        finally:
            failpoints.arm("")
    sync(engine, days[-1])

    assert state(engine.database) == expected


@fewer
@given(histories(), orders)
def test_sqlite_and_postgresql_agree(
    worlds: Worlds,
    postgres: Callable[[], Engine],
    days: list[Directory],
    order: tuple[int, int, bool],
) -> None:
    engine, other = worlds.new(), postgres()
    size, turn, backwards = order
    for day in days:
        sync(engine, day)
        sync(other, day, page_size=size, turn=turn, backwards=backwards)
        assert state(engine.database) == state(other.database)
    assert ledger(engine.database)
