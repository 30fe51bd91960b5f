"""Partitions that a source lists no more, and those that a person retired."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Page
from syncd.errors import Interrupted, ProviderUnavailable, UsageError
from syncd.store import tables as t
from syncd.store.answers_partitions import partitions
from syncd.store.dump import canonical_dump
from syncd.sync import connections, deciding, flow
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, people, person
from tests.stories.licenses import assign, assigned, pool
from tests.stories.source import Source, crowd, gone, raw, who

Sources = dict[str, Source]

TENANTS = ["acme", "bolt", "cove", "dune", "east"]


def states(desk: Desk, connection: str = "people") -> dict[str, str]:
    """Key to state of the partitions of a connection."""
    return {one.key: one.state for one in partitions(desk.database, connection)}


def retire(desk: Desk, partition: str | None = None, name: str = "people") -> Outcome:
    return connections.retire(desk.engine, name, "boss", partition)


def approved(desk: Desk, outcome: Outcome) -> list[Outcome]:
    """What comes of approving all that a run holds, in order."""
    return [desk.approve(hold) for hold in outcome.holds]


def notes(desk: Desk) -> dict[str, tuple[str, str]]:
    """Key to (state, note) of the people's links."""
    c = t.link.c
    query = sa.select(c.key, c.state, c.note).where(c.stream == "people")
    with desk.database.read() as conn:
        return {row[0]: (row[1], row[2]) for row in conn.execute(query)}


@pytest.fixture
def tenants(desk: Desk, source: Source) -> Source:
    """Five tenants with three people each, all of them on the desk."""
    source.partitions = [*TENANTS]
    source.organizations = [raw(key, name=key.title()) for key in TENANTS]
    source.people = [who(f"{key.title()}{n}", key) for key in TENANTS for n in range(3)]
    source.cursor = "here"
    assert desk.sync().state == "succeeded"
    return source


# -- not listed any more ---------------------------------------------------------------------------


def test_a_partition_that_is_not_listed_any_more_is_skipped_and_all_of_it_stays(
    desk: Desk, tenants: Source
) -> None:
    before = desk.rows()
    tenants.partitions.remove("bolt")
    tenants.people.append(who("New", "bolt"))

    first, second = desk.sync(), desk.sync()

    assert (first.state, second.state) == ("succeeded", "succeeded")
    (notice,) = first.notices
    assert "not listed by the source any more, so not read: bolt" in notice
    assert "syncd connections retire people PARTITION" in notice
    assert second.notices == []
    assert states(desk) == {**dict.fromkeys(TENANTS, "listed"), "bolt": "unlisted"}
    after = desk.rows()
    for table in (t.client, t.site, t.user, t.link, t.item):
        assert after[table.name] == before[table.name]
    assert len(after["cursor"]) == len(before["cursor"])


def test_a_partition_that_is_listed_again_is_read_again(desk: Desk, tenants: Source) -> None:
    tenants.partitions.remove("bolt")
    desk.sync()
    tenants.people.append(who("New", "bolt"))

    tenants.partitions.append("bolt")
    outcome = desk.sync(full=True)

    assert outcome.notices == []
    assert set(states(desk).values()) == {"listed"}
    assert "New" in desk.names()


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_plan_says_what_is_not_listed_and_changes_nothing(desk: Desk, tenants: Source) -> None:
    tenants.partitions.remove("bolt")

    assert "bolt" in desk.plan().notices[0]
    assert set(states(desk).values()) == {"listed"}
    assert "bolt" in desk.sync().notices[0]


def test_a_halved_list_retires_nobody_and_is_no_plain_success(desk: Desk, tenants: Source) -> None:
    users = desk.users()
    tenants.partitions = ["acme", "bolt"]

    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("partial", "partitions_missing")
    assert "cove, dune, east" in outcome.notices[0]
    assert list(states(desk).values()).count("unlisted") == 3
    assert desk.users() == users
    assert (
        desk.sync().state == "succeeded"
    )  # it was said once; the list of partitions still says it


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_half_of_a_list_and_most_of_a_short_one_may_go_with_a_note(
    desk: Desk, tenants: Source
) -> None:
    for listed in (["acme", "bolt", "cove", "dune"], ["acme", "bolt"], ["acme"]):
        tenants.partitions = listed
        outcome = desk.sync()
        assert outcome.state == "succeeded"
        assert len(outcome.notices) == 1


def test_a_list_that_is_suddenly_empty_is_not_a_list_of_everything(
    desk: Desk, tenants: Source
) -> None:
    users, asked, reasons = desk.users(), len(tenants.asked), []
    tenants.partitions = []

    for _ in range(2):
        outcome = desk.sync()
        assert (outcome.state, outcome.code) == ("partial", "partitions_missing")
        reasons.append(outcome.reason)

    assert "acme, bolt, cove, dune, east" in str(reasons[0])
    assert reasons[1] == "no partition is there to be read"
    assert len(tenants.asked) == asked
    assert set(states(desk).values()) == {"unlisted"}
    assert desk.users() == users
    assert desk.plan().state == "partial"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_list_that_cannot_be_had_says_nothing_about_partitions(
    desk: Desk, tenants: Source
) -> None:
    tenants.hidden = ProviderUnavailable("down")
    with pytest.raises(ProviderUnavailable):
        desk.sync()
    assert set(states(desk).values()) == {"listed"}


# -- retired ---------------------------------------------------------------------------------------


def test_a_retired_partition_is_held_and_its_people_leave_when_it_is_approved(
    desk: Desk, tenants: Source
) -> None:
    users = desk.users()
    reads = len(tenants.asked)

    outcome = retire(desk, "bolt")

    assert (outcome.state, outcome.mode) == ("held", "retire_part")
    assert (desk.users(), states(desk)["bolt"]) == (users, "listed")
    (done,) = approved(desk, outcome)
    assert done.state == "succeeded"
    assert desk.names(active=False) == ["Bolt0", "Bolt1", "Bolt2"]
    assert states(desk) == {**dict.fromkeys(TENANTS, "listed"), "bolt": "retired"}
    assert {key: note for key, note in notes(desk).items() if note[0] != "alive"} == {
        f"bolt{n}": ("gone", "retired") for n in range(3)
    }
    reasons = {reason for _, _, reason in desk.changes(outcome.run)}
    assert reasons == {"a person retired its source"}
    assert len(tenants.asked) == reads


def test_a_retired_partition_is_not_read_although_it_is_listed(desk: Desk, tenants: Source) -> None:
    approved(desk, retire(desk, "bolt"))

    outcome = desk.sync(full=True)

    assert outcome.state == "succeeded"
    assert outcome.notices == []
    assert desk.names(active=False) == ["Bolt0", "Bolt1", "Bolt2"]
    assert states(desk)["bolt"] == "retired"


def test_an_undo_takes_a_retirement_back_completely(desk: Desk, tenants: Source) -> None:
    before, users = canonical_dump(desk.database), desk.living()
    outcome = retire(desk, "bolt")
    approved(desk, outcome)

    undone = desk.undo(outcome.run)

    assert undone.state == "succeeded"
    assert desk.living() == users
    assert states(desk)["bolt"] == "unlisted"
    desk.resume()
    desk.sync()
    assert states(desk)["bolt"] == "listed"
    assert canonical_dump(desk.database) == before


def test_a_partition_that_is_resumed_is_read_in_full_and_its_people_return_on_the_same_rows(
    desk: Desk, tenants: Source
) -> None:
    users = [(user.id, user.active) for user in desk.users()]
    approved(desk, retire(desk, "bolt"))

    connections.resume(desk.engine, "people", "boss", "bolt")
    assert states(desk)["bolt"] == "unlisted"
    outcome = desk.sync()

    assert tenants.asked[-5:].count(None) == 1
    assert outcome.counts["reactivate user"] == 3
    assert [(user.id, user.active) for user in desk.users()] == users
    assert states(desk)["bolt"] == "listed"


def test_few_are_retired_without_a_question(desk: Desk, source: Source) -> None:
    source.partitions = ["acme", "bolt"]
    source.people = [*crowd(30), who("Zoe", "bolt")]
    desk.sync()

    outcome = retire(desk, "bolt")

    assert outcome.state == "succeeded"
    assert desk.names(active=False) == ["Zoe"]
    assert states(desk)["bolt"] == "retired"


def test_whom_another_source_still_has_stays_with_its_values(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero"])
    sources["entra"].people = [who("Ada", job_title="Chef"), who("Bob", job_title="Cook")]
    sources["xero"].people = [who("Ada", job_title="Baker"), *crowd(20)]
    desk.sync_each("entra", "xero")

    outcome = retire(desk, name="entra")
    approved(desk, outcome)

    assert desk.names(active=False) == ["Bob"]
    assert desk.user("Ada").values["job_title"] == "Baker"
    assert desk.owners("Ada")["job_title"] == "xero"


def test_a_mapping_that_keeps_keeps_and_one_that_waits_does_not_wait(
    desk: Desk, sources: Sources
) -> None:
    desk.mapping('[gone]\nabsent = { action = "keep" }\n', "entra")
    desk.mapping(
        '[gone]\nabsent = { action = "deactivate", after = "90 days", release_licenses = true }\n',
        "xero",
    )
    sources["entra"].people = [who("Ada")]
    sources["xero"].people = [who("Bob"), *crowd(3)]
    sources["hr"].people = crowd(40)
    desk.sync_each("entra", "xero", "hr")
    office = pool(desk, "office")
    assign(desk, office, "Ada", "Bob")

    assert retire(desk, name="entra").state == "succeeded"
    approved(desk, retire(desk, name="xero"))

    assert desk.names(active=False) == ["Bob"]
    assert notes(desk)["ada"] == ("gone", "retired")
    assert assigned(desk, office) == 1


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_rule_of_a_retired_source_acts_when_the_last_one_leaves(
    desk: Desk, sources: Sources, configured: bool
) -> None:
    desk.mapping('[gone]\nabsent = { action = "keep" }\n', "xero")
    for name in ("entra", "xero"):
        sources[name].people = [who("Ada"), *crowd(10)]
    desk.sync_each("entra", "xero")
    retire(desk, name="entra")
    assert desk.names(active=False) == []
    if not configured:
        (desk.folder / "connections" / "entra.toml").unlink()
        desk.reload()

    sources["xero"].people = crowd(10)
    desk.sync_each("xero")

    assert desk.names(active=False) == ["Ada"]


@pytest.mark.parametrize("how", ["missed", "leaving", "skipped", "quarantined"])
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_every_record_of_it_counts_as_gone(desk: Desk, source: Source, how: str) -> None:
    slow = '= { action = "deactivate", after = "30 days" }\n'
    scope = "[user]\nscope = \"user_type != 'Guest'\"\n"
    desk.mapping(f"{scope}\n[gone]\nabsent {slow}disabled {slow}")
    source.people = crowd(10)
    desk.sync()
    p0 = {
        "missed": [],
        "leaving": [who("P0", active=False)],
        "skipped": [who("New", user_type="Guest")],
        "quarantined": [who("P0", organization="nowhere")],
    }[how]
    source.people = [*p0, *source.people[1:]]
    desk.sync()

    approved(desk, retire(desk))

    assert desk.names(active=True) == []
    assert {state for state, _ in notes(desk).values()} == {"gone"}
    assert desk.quarantine() == {}


def test_clients_and_sites_that_people_s_rows_name_are_gone_with_them(desk: Desk) -> None:
    desk.sync([*people(3), person("Zoe", "Bolt", Site="Hall")])

    approved(desk, retire(desk))

    c = t.link.c
    with desk.database.read() as conn:
        rows = conn.execute(sa.select(c.kind, c.state, c.note)).all()
    assert {row[0] for row in rows} == {"client", "site", "user"}
    assert {tuple(row[1:]) for row in rows} == {("gone", "retired")}
    assert desk.names(active=True) == []


def test_a_tombstone_whose_clock_runs_does_not_keep_a_user_from_leaving(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[gone]\ndeleted = { action = "deactivate", after = "30 days" }\n')
    source.people = crowd(4)
    desk.sync()
    source.pages = [Page(crowd(4)[1:], tombstones=gone("p0"))]
    desk.sync()
    assert notes(desk)["p0"] == ("missed", "deleted")

    approved(desk, retire(desk))

    assert notes(desk)["p0"] == ("gone", "retired")
    assert desk.names(active=True) == []


# -- retired as a whole ----------------------------------------------------------------------------


def test_a_retired_connection_is_not_synced_until_it_is_resumed(desk: Desk, source: Source) -> None:
    source.people = crowd(5)
    desk.sync()
    users = [(user.id, user.active) for user in desk.users()]
    outcome = retire(desk)
    assert (outcome.state, outcome.mode) == ("held", "retire")
    assert desk.connection_state()[0] == "active"

    approved(desk, outcome)

    assert desk.connection_state() == ("retired", f"retired by boss (run {outcome.run})")
    with pytest.raises(UsageError, match="is retired: retired by boss"):
        desk.sync()
    with pytest.raises(UsageError, match="is retired already"):
        retire(desk)

    desk.resume()
    desk.sync()
    assert [(user.id, user.active) for user in desk.users()] == users
    assert states(desk) == {"": "listed"}


def test_an_undone_retirement_of_a_connection_leaves_it_paused_and_whole(
    desk: Desk, tenants: Source
) -> None:
    before = canonical_dump(desk.database)
    outcome = retire(desk)
    approved(desk, outcome)
    assert desk.names(active=True) == []

    desk.undo(outcome.run)

    assert desk.connection_state()[0] == "paused"
    desk.resume()
    desk.sync()
    assert canonical_dump(desk.database) == before
    assert set(states(desk).values()) == {"listed"}


def test_resuming_a_connection_leaves_retired_what_was_retired_by_itself(
    desk: Desk, tenants: Source
) -> None:
    approved(desk, retire(desk, "bolt"))
    approved(desk, retire(desk))
    assert set(states(desk).values()) == {"retired"}

    desk.resume()
    desk.sync()

    assert states(desk) == {**dict.fromkeys(TENANTS, "listed"), "bolt": "retired"}
    assert desk.names(active=False) == ["Bolt0", "Bolt1", "Bolt2"]


@pytest.fixture
def shared(desk: Desk, source: Source) -> Source:
    """Two tenants that both have Ada: a person said that her two records are one user."""
    source.partitions = ["acme", "bolt"]
    source.people = [who("Ada", key="a"), who("Eda", "bolt", key="b"), *crowd(3)]
    source.people.append(who("Zoe", "bolt"))
    desk.sync()
    one, other, c = desk.user("Ada").id, desk.user("Eda").id, t.link.c
    with desk.database.engine.begin() as conn:
        conn.execute(sa.update(t.link).where(c.entity_id == other).values(entity_id=one))
        conn.execute(sa.update(t.user).where(t.user.c.id == other).values(retired=True))
        row = {"entity_id": other, "into_id": one, "kind": "user", "step_id": 1}
        conn.execute(sa.insert(t.merged).values(**row))
    return source


def test_who_is_in_several_partitions_of_it_leaves_with_the_last(
    desk: Desk, shared: Source
) -> None:
    outcome = retire(desk)
    first, second = outcome.holds

    with pytest.raises(UsageError, match="acme being retired before"):
        desk.approve(second)
    desk.approve(first)
    assert desk.names(active=True) == ["Eda", "Zoe"]  # as the tenant that is left knows them
    desk.approve(second)

    assert desk.names(active=True) == []
    assert desk.connection_state()[0] == "retired"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_partition_that_is_not_retired_after_all_keeps_its_people(
    desk: Desk, shared: Source
) -> None:
    first, second = retire(desk).holds
    desk.reject(first)

    with pytest.raises(UsageError, match="decide on that first"):
        desk.approve(second)

    approved(desk, retire(desk, "bolt"))
    assert desk.user("Ada").active
    assert desk.names(active=False) == ["Zoe"]
    assert desk.connection_state()[0] == "active"


def test_a_later_partition_waits_for_an_earlier_one_although_it_is_small(
    desk: Desk, source: Source
) -> None:
    desk.mapping("[limits]\ndeactivate = { count = 3, share = 0.0 }\n")
    source.partitions = ["acme", "bolt"]
    source.people = [*crowd(9), who("Zoe", "bolt")]
    desk.sync()

    outcome = retire(desk)

    assert len(outcome.holds) == 2
    assert any("acme is to be retired first" in one for one in outcome.overruns)
    approved(desk, outcome)
    assert desk.connection_state()[0] == "retired"


def test_a_partition_that_came_since_keeps_a_connection_from_being_retired(
    desk: Desk, tenants: Source
) -> None:
    outcome = retire(desk)
    tenants.partitions.append("fern")
    desk.sync()

    last = approved(desk, outcome)[-1]

    assert (last.state, last.code) == ("partial", "not_retired")
    assert "fern" in str(last.reason)
    assert desk.connection_state()[0] == "active"
    assert retire(desk).state == "succeeded"
    assert desk.connection_state()[0] == "retired"


def test_a_connection_that_is_not_configured_any_more_is_retired_by_the_default_rule(
    desk: Desk, sources: Sources
) -> None:
    sources["entra"].people = [who("Ada"), *crowd(8)]
    sources["xero"].people = [who("Ada")]
    desk.sync_each("entra", "xero")
    (desk.folder / "connections" / "entra.toml").unlink()
    desk.reload()

    outcome = retire(desk, name="entra")
    assert outcome.state == "held"
    approved(desk, outcome)

    assert desk.names(active=True) == ["Ada"]
    desk.undo(outcome.run)
    assert len(desk.names(active=True)) == 9


# -- while it waits, and when it is interrupted ----------------------------------------------------


def test_a_partition_is_not_read_while_a_plan_to_retire_it_waits(
    desk: Desk, tenants: Source
) -> None:
    outcome = retire(desk, "bolt")
    tenants.people.append(who("New", "bolt"))

    synced = desk.sync(full=True)

    assert "bolt is not read while a plan to retire it waits" in synced.notices[0]
    assert "New" not in desk.names()
    assert [hold.id for hold in desk.holds()] == outcome.holds

    desk.reject(outcome.holds[0])
    assert desk.sync(full=True).notices == []
    assert "New" in desk.names()


def test_a_connection_that_waits_to_be_retired_as_a_whole_reads_nothing_and_says_why(
    desk: Desk, source: Source
) -> None:
    source.people = crowd(5)
    desk.sync()
    retire(desk)

    outcome = desk.sync()

    assert outcome.state == "partial"
    assert "all is not read while a plan to retire it waits" in str(outcome.reason)
    assert len(source.asked) == 1


def test_an_undo_of_an_older_run_brings_nobody_back_whose_source_was_retired(
    desk: Desk, tenants: Source
) -> None:
    tenants.people = [who("Bolt0", "bolt", job_title="Chef"), *tenants.people]
    tenants.people = [one for at, one in enumerate(tenants.people) if at != 4]
    edited = desk.sync(full=True)
    assert desk.user("Bolt0").values["job_title"] == "Chef"
    approved(desk, retire(desk, "bolt"))

    desk.undo(edited.run)

    assert "job_title" not in desk.user("Bolt0").values
    assert not desk.user("Bolt0").active
    assert notes(desk)["bolt0"] == ("gone", "retired")


def test_who_asks_again_has_thought_again(desk: Desk, tenants: Source) -> None:
    outcome = retire(desk, "bolt")
    assert retire(desk, "bolt").holds == outcome.holds  # an equal plan keeps its hold
    desk.reject(outcome.holds[0])

    again = retire(desk, "bolt")

    assert again.state == "held"
    approved(desk, again)
    assert states(desk)["bolt"] == "retired"


def test_a_retirement_takes_the_place_of_a_plan_that_waits(desk: Desk, tenants: Source) -> None:
    tenants.people = [one for one in tenants.people if "bolt" not in one.key]
    (held,) = desk.sync(full=True).holds

    outcome = retire(desk, "bolt")

    assert [hold.id for hold in desk.holds()] == outcome.holds
    assert held not in outcome.holds


def test_a_plan_that_another_source_overtook_is_not_the_end_of_it(
    desk: Desk, sources: Sources
) -> None:
    sources["entra"].people = crowd(8)
    sources["xero"].people = [who("P0"), who("Zoe")]
    desk.sync_each("entra", "xero")
    outcome = retire(desk, name="entra")
    sources["xero"].people = [who("P0", job_title="Chef"), who("Zoe")]
    desk.sync_each("xero")

    (done,) = approved(desk, outcome)

    assert (done.state, done.code) == ("partial", "stale")
    assert "retire it again" in str(done.reason)
    assert states(desk, "entra") == {"": "listed"}
    assert retire(desk, name="entra").state == "succeeded"
    assert states(desk, "entra") == {"": "retired"}
    assert desk.names(active=True) == ["P0", "Zoe"]
    assert desk.user("P0").values["job_title"] == "Chef"


def test_an_edited_mapping_voids_a_plan_to_retire(desk: Desk, tenants: Source) -> None:
    outcome = retire(desk, "bolt")
    desk.mapping('[gone]\nabsent = { action = "keep" }\n')

    with pytest.raises(UsageError, match="the mapping was edited"):
        approved(desk, outcome)

    assert retire(desk, "bolt").state == "succeeded"
    assert desk.names(active=False) == []


def test_an_interrupted_retirement_is_finished_before_anything_else(
    desk: Desk, tenants: Source
) -> None:
    outcome = retire(desk, "bolt")
    desk.engine.stop.set()
    with pytest.raises(Interrupted):
        approved(desk, outcome)
    desk.engine.stop.clear()

    with pytest.raises(UsageError, match="syncd connections retire"):
        desk.sync()
    with pytest.raises(UsageError, match="retired already"):
        retire(desk, "bolt")

    assert states(desk)["bolt"] == "retired"
    assert desk.names(active=False) == ["Bolt0", "Bolt1", "Bolt2"]
    assert desk.sync().state == "succeeded"


# -- what cannot be retired ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "partition", "says"),
    [
        ("people", "nowhere", 'people has no partition "nowhere"; name one by its key: acme'),
        ("poeple", None, 'there is no connection "poeple"'),
        ("fresh", None, "fresh was never synced"),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_is_not_there_cannot_be_retired(
    desk: Desk, tenants: Source, name: str, partition: str | None, says: str
) -> None:
    desk.connect("fresh", "memory", {})
    desk.reload()
    with pytest.raises((UsageError, Exception), match=says):
        retire(desk, partition, name)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_only_what_is_retired_can_be_resumed(desk: Desk, tenants: Source) -> None:
    with pytest.raises(UsageError, match="bolt of people is not retired: it is listed"):
        connections.resume(desk.engine, "people", "boss", "bolt")
    approved(desk, retire(desk, "bolt"))
    with pytest.raises(UsageError, match="retired already"):
        retire(desk, "bolt")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_sync_that_only_closes_a_retirement_does_not_read_what_is_retired(
    desk: Desk, tenants: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ended after the last partition was retired, and before that was said."""
    outcome = retire(desk)
    *most, last = outcome.holds
    for hold in most:
        desk.approve(hold)
    with monkeypatch.context() as killed:
        killed.setattr(deciding, "close", lambda *_: outcome)
        desk.approve(last)

    with pytest.raises(UsageError, match="is retired"):
        flow.sync(desk.engine, "people", actor="tester")
    assert desk.names(active=True) == []
