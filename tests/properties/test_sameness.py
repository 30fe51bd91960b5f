"""However a directory is read, planned, interrupted or undone, the desk ends up the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from hypothesis import given, note, settings
from hypothesis import strategies as st

from syncd import failpoints
from syncd.errors import UsageError
from syncd.store import tables as t
from syncd.store.database import Transaction
from syncd.store.dump import canonical_dump
from syncd.sync import connections, deciding, flow, undoing
from syncd.sync.engine import Engine
from tests.properties.conftest import EXAMPLES
from tests.properties.directory import Directory, histories
from tests.properties.states import aside, contents, difference, plan, state
from tests.properties.worlds import NAME, TIGHT, Worlds, serve, sync

same = settings.get_profile("sameness")
fewer = settings(same, max_examples=EXAMPLES or 12)
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
    assert difference(plans[0][0], plans[1][0]) == ""
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
    assert difference(*ends) == ""


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

    assert difference(said, plan(engine.database, done.run)) == ""
    assert done.counts["quarantined"] == planned.counts["quarantined"]


@given(histories(least=1), orders)
def test_a_second_sync_of_the_same_directory_writes_nothing(
    worlds: Worlds, days: list[Directory], order: tuple[int, int, bool]
) -> None:
    engine = worlds.new()
    lived(engine, days)
    before, dump = contents(engine.database), state(engine.database)
    size, turn, backwards = order

    again = sync(engine, days[-1], page_size=size, turn=turn, backwards=backwards)

    note(plan(engine.database, again.run))
    assert difference(dump, state(engine.database)) == ""
    assert contents(engine.database) == before


@given(histories(least=1))
def test_a_plan_changes_nothing(worlds: Worlds, days: list[Directory]) -> None:
    engine = worlds.new()
    lived(engine, days[:-1])
    before, dump = contents(engine.database, but=(t.change,)), state(engine.database)

    serve(days[-1])
    flow.sync(engine, NAME, mode="plan")

    assert contents(engine.database, but=(t.change,)) == before
    assert difference(dump, state(engine.database)) == ""


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
    assert difference(before, unsettled(live(engine))) == ""
    connections.resume(engine, NAME, "me")
    sync(engine, days[-1])
    assert difference(after, live(engine)) == ""


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

    assert difference(shown, plan(tight.database, held.run)) == ""
    assert difference(unsettled(expected), unsettled(canonical_dump(tight.database))) == ""
    assert aside(tight.database) == wanted


class PowerCut(BaseException):
    """Nothing in the engine catches it."""


def cut() -> None:
    raise PowerCut


def free_leases(conn: Transaction) -> None:
    """As if the process that holds them were dead; it is this one."""
    conn.execute(sa.update(t.partition).values(lease_owner=None, lease_until=None))


@given(
    histories(),
    st.lists(
        st.tuples(st.sampled_from(failpoints.SYNCING), st.integers(1, 4)), min_size=1, max_size=2
    ),
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
            engine.database.transact(free_leases)
        finally:
            failpoints.arm("")
    sync(engine, days[-1])

    assert difference(expected, state(engine.database)) == ""


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
        assert difference(state(engine.database), state(other.database)) == ""


# -- what the properties found ---------------------------------------------------------------------

ALDER = {"organizations": [{"key": "o1", "name": "Alder"}]}


def person(key: str, **fields: object) -> dict[str, object]:
    return {"key": key, "organization": "o1", "display_name": key, **fields}


def test_someone_who_comes_into_scope_is_planned_after_those_who_are_linked(worlds: Worlds) -> None:
    """`late` takes over the address that `linked` gives up, whichever page comes first."""
    before = [person("late", mail="b@x.com", user_type="Guest"), person("linked", mail="a@x.com")]
    after = [person("late", mail="a@x.com"), person("linked", mail="c@x.com")]
    for backwards in (False, True):
        engine = worlds.new()
        sync(engine, {**ALDER, "people": before})

        sync(engine, {**ALDER, "people": after}, page_size=1, backwards=backwards)  # type: ignore[arg-type]

        assert aside(engine.database) == ""


def test_a_key_that_changes_makes_a_new_record_in_the_very_run_that_misses_the_old_one(
    worlds: Worlds,
) -> None:
    engine = worlds.new()
    sync(engine, {**ALDER, "people": [person("p1", mail="a@x.com"), person("p2")]})
    renamed = {**ALDER, "people": [person("p9", mail="a@x.com"), person("p2")]}

    first = sync(engine, renamed)
    second = sync(engine, renamed)

    assert (first.counts["create user"], first.counts["deactivate user"]) == (1, 1)
    assert not [name for name in second.counts if name.endswith(" user")]


def test_links_that_changed_without_their_entity_are_undone_too(worlds: Worlds) -> None:
    """A guest is nobody here, but the item is kept, and with it what it said."""
    engine = worlds.new()
    guest = person("p1", mail="a@x.com", user_type="Guest")
    sync(engine, {**ALDER, "people": [guest]})
    before = unsettled(live(engine))
    done = sync(engine, {**ALDER, "people": [{**guest, "mail": "b@x.com"}, person("p2")]})
    assert unsettled(live(engine)) != before

    undoing.undo(engine, done.run, "me")

    assert difference(before, unsettled(live(engine))) == ""


def test_what_an_undone_run_had_matched_is_matched_again(worlds: Worlds) -> None:
    engine = worlds.new()
    sync(engine, {**ALDER, "people": [person("p1")]})  # gives Alder its Main
    main = {**ALDER, "locations": [{"key": "l1", "organization": "o1", "name": "Main"}]}
    done = sync(engine, {**main, "people": [person("p1")]})
    after = live(engine)
    assert '"matched_by":"name"' in after

    undoing.undo(engine, done.run, "me")
    connections.resume(engine, NAME, "me")
    sync(engine, {**main, "people": [person("p1")]})

    assert difference(after, live(engine)) == ""


def test_a_key_that_two_pages_hold_with_other_content_is_set_aside_once(worlds: Worlds) -> None:
    engine = worlds.new()
    sync(engine, {**ALDER, "people": [person("p1", mail="a@x.com")]})
    twice = [person("p1", mail="b@x.com"), person("p1", mail="c@x.com")]

    sync(engine, {**ALDER, "people": twice}, page_size=1)

    assert aside(engine.database).startswith("people p1 duplicate_key")


def test_nobody_lives_at_a_site_that_was_set_aside(worlds: Worlds) -> None:
    engine = worlds.new()
    mains = [{"key": key, "organization": "o1", "name": "Main"} for key in ("l1", "l2")]

    done = sync(engine, {**ALDER, "locations": mains, "people": [person("p1", location="l1")]})

    assert (done.counts["create site"], done.counts["create user"]) == (1, 1)
    assert aside(engine.database).count("shared_key") == 2


def test_people_who_spell_a_site_differently_live_at_one_site(worlds: Worlds) -> None:
    """Whoever is read first names it; the order of pages decides nothing else."""
    engine = worlds.new()
    people = [person("p1", office_location="Hull"), person("p2", office_location="hull ")]

    done = sync(engine, {**ALDER, "people": people}, page_size=1)
    again = sync(engine, {**ALDER, "people": people}, backwards=True)

    assert (done.counts["create site"], done.counts["create user"]) == (1, 2)
    assert not plan(engine.database, again.run)
    assert 'site "Alder/Hull"' in live(engine)


def test_no_site_is_made_for_people_who_were_all_set_aside(worlds: Worlds) -> None:
    same = [person(key, mail="a@x.com", office_location="Hull") for key in ("p1", "p2")]
    engine = worlds.new()

    alone = sync(engine, {**ALDER, "people": same})
    deserted = live(engine)
    joined = sync(engine, {**ALDER, "people": [*same, person("p3", office_location="Hull")]})

    assert (alone.counts["create site"], joined.counts["create site"]) == (1, 1)
    assert "Alder/Hull" not in deserted
    assert "Alder/Main" in deserted
    assert "Alder/Hull" in live(engine)
    assert aside(engine.database).count("shared_key") == 2


def test_people_find_a_site_by_the_name_that_it_has_from_now_on(worlds: Worlds) -> None:
    """Both that name their office and that go by Main; the old name is free for a new site."""

    def named(name: str) -> dict[str, object]:
        return {**ALDER, "locations": [{"key": "l1", "organization": "o1", "name": name}]}

    for name in ("Hull", "Main"):
        engine = worlds.new()
        sync(engine, {**named("Leeds"), "people": []})
        office = {"office_location": "Hull"} if name == "Hull" else {}
        people = [person("p1", **office), person("p2", office_location="Leeds")]

        done = sync(engine, {**named(name), "people": people})
        again = sync(engine, {**named(name), "people": people}, backwards=True)

        desk = live(engine)
        assert (done.counts["create site"], done.counts["create user"]) == (1, 2)
        assert [desk.count(f'"name":"{one}"') for one in (name, "Leeds")] == [1, 1]
        for site in ("desk/locations/l1", "Alder/Leeds"):
            assert desk.count(f'"@site":"{site}"') == 1
        assert not plan(engine.database, again.run)


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_who_goes_to_another_client_takes_a_key_along_that_a_newcomer_there_has_too(
    worlds: Worlds, known: bool
) -> None:
    """The plan knows, whether that client was there before or is new: nothing is left out of it."""
    birch = {"organizations": [*ALDER["organizations"], {"key": "o2", "name": "Birch"}]}
    there = [person(key, organization="o2", user_principal_name="ann") for key in ("p1", "p2")]
    engine = worlds.new()
    p1 = person("p1", user_principal_name="ann")
    sync(engine, {**(birch if known else ALDER), "people": [p1]})

    sync(engine, {**birch, "people": there})
    once = state(engine.database)
    sync(engine, {**birch, "people": there}, backwards=True)

    assert aside(engine.database).startswith("people p2 ambiguous_user")
    assert difference(once, state(engine.database)) == ""


def test_who_goes_to_another_client_leaves_no_key_behind(worlds: Worlds) -> None:
    birch = {"organizations": [*ALDER["organizations"], {"key": "o2", "name": "Birch"}]}
    engine = worlds.new()
    p1 = person("p1", user_principal_name="ann")
    sync(engine, {**birch, "people": [p1]})
    p2 = person("p2", user_principal_name="ann")

    done = sync(engine, {**birch, "people": [{**p1, "organization": "o2"}, p2]})

    assert (done.counts["move user"], done.counts["create user"]) == (1, 1)
    assert aside(engine.database) == ""


def test_who_goes_to_another_client_takes_its_keys_along_although_its_record_comes_twice(
    worlds: Worlds,
) -> None:
    """Two copies of one record; what one of them says is taken out of the plan again."""
    birch = {"organizations": [*ALDER["organizations"], {"key": "o2", "name": "Birch"}]}
    engine = worlds.new()
    sync(engine, {**birch, "people": [person("p1", user_principal_name="ann")]})
    there = [person(key, organization="o2", user_principal_name="ann") for key in ("p1", "p2")]

    sync(engine, {**birch, "people": [*there, there[0]]}, page_size=1)

    assert aside(engine.database).startswith("people p2 ambiguous_user")


def test_an_identity_that_two_linked_people_claim_goes_to_the_same_one_in_any_order(
    worlds: Worlds,
) -> None:
    ends = []
    for backwards in (False, True):
        engine = worlds.new()
        sync(engine, {**ALDER, "people": [person("p1"), person("p2")]})
        claimed = [person(key, identities=["s1"]) for key in ("p1", "p2")]
        sync(engine, {**ALDER, "people": claimed}, page_size=1, backwards=backwards)  # type: ignore[arg-type]
        ends.append(state(engine.database))
        assert aside(engine.database).count("shared_identity") == 2
    assert difference(*ends) == ""
    assert "idp s1" not in live(engine)
