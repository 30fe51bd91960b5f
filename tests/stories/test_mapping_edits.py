"""A mapping is edited: what that would do is told from stored items, and a sync does just that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from syncd.connectors import base
from syncd.connectors.base import Connector, Deletes, Page, Partition, stream
from syncd.errors import ConfigError, ProviderUnavailable, UsageError
from syncd.records import Organization, Person, Record
from syncd.store import tables as t
from syncd.sync import connections, replanning
from syncd.sync.flow import Outcome
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, crowd, gone, who

ONLY_SOME = "[user]\nscope = \"starts_with(display_name, 'P1')\"\n"
LEAVE = '[gone]\nout_of_scope = { action = "deactivate" }\n'


def plan_under(desk: Desk, edit: str, name: str = "people") -> Outcome:
    """Plan what an edit of a mapping would do."""
    file = desk.folder / "new.toml"
    file.write_text(f'extends = "{name}"\n{edit}', encoding="utf-8")
    return replanning.plan_under(desk.engine, name, file, "planner")


def make(desk: Desk, edit: str, name: str = "people") -> None:
    """Make the edit: lay it over what the mapping said so far."""
    folder = desk.folder / "mappings"
    before = f"before-{len(list(folder.iterdir()))}"
    (folder / f"{name}.toml").rename(folder / f"{before}.toml")
    (folder / f"{name}.toml").write_text(f'extends = "{before}"\n{edit}', encoding="utf-8")
    desk.reload()


def changes(desk: Desk, run: int) -> list[tuple[Any, ...]]:
    """All that a run's plan says of its changes, in an order that depends on nothing else."""
    c = t.change.c
    told = (c.kind, c.action, c.entity_id, c.stream, c.key, c.reason, c.rule, c.before, c.after)
    query = sa.select(*told, c.client_id, c.effects).join(t.step, t.step.c.id == c.step_id)
    with desk.database.read() as conn:
        return sorted(
            (tuple(row) for row in conn.execute(query.where(t.step.c.run_id == run))), key=repr
        )


def told(desk: Desk, run: int) -> list[tuple[Any, ...]]:
    """The same without ids, which a creation makes up."""
    return sorted((one[:2] + one[3:7] for one in changes(desk, run)), key=repr)


def changed(desk: Desk, run: int) -> list[tuple[str, str]]:
    """(action, key) of a run's changes of users, sorted."""
    return sorted((action, key) for action, key, _ in desk.changes(run))


# -- what is shown is what is done -----------------------------------------------------------------


def test_an_edit_of_fields_is_shown_just_as_the_next_sync_does_it(desk: Desk) -> None:
    rows = [person(f"P{n}", "Acme" if n < 7 else "Bolt", Title="Clerk") for n in range(9)]
    desk.sync(rows)
    desk.set("P3", department="Set by hand")
    before = desk.rows()
    edit = (
        '[user.fields]\njob_title = "{job_title} of {display_name}"\n'
        'department = "job_title"\n[client.fields]\nnotes = "name"\n'
    )

    outcome = plan_under(desk, edit)

    assert desk.rows() == before
    assert (outcome.mode, outcome.state, outcome.overruns) == ("plan", "planned", [])
    assert outcome.edit
    assert (outcome.edit.users, outcome.edit.clients) == (9, 2)
    assert outcome.counts["update user"] == 9
    assert outcome.counts["update client"] == 2
    make(desk, edit)
    done = desk.sync()
    assert done.state == "succeeded"
    assert changes(desk, done.run) == changes(desk, outcome.run)
    assert desk.user("P3").values["department"] == "Set by hand"
    assert desk.user("P3").values["job_title"] == "Clerk of P3"


def test_a_plan_of_an_edit_that_is_made_already_is_empty(desk: Desk) -> None:
    desk.sync(people(3))

    outcome = plan_under(desk, "")

    assert changes(desk, outcome.run) == []
    assert outcome.edit
    assert (outcome.edit.users, outcome.edit.clients) == (0, 0)
    assert outcome.counts["unchanged"] == 4  # three people and their client


def test_a_run_says_that_it_was_planned_from_stored_items_and_with_which_file(desk: Desk) -> None:
    desk.sync(people(3))

    outcome = plan_under(desk, '[user.fields]\ndepartment = "display_name"\n')

    assert outcome.reason
    assert outcome.reason.startswith("from stored items, under ")
    assert outcome.reason.endswith("new.toml")
    with desk.database.read() as conn:
        told = conn.execute(sa.select(t.run.c.mode, t.run.c.reason).where(t.run.c.id == 2)).one()
    assert tuple(told) == ("plan", outcome.reason)


def test_the_plan_does_not_depend_on_the_size_of_a_page(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.mapping("[user]\nscope = \"display_name != 'P1'\"\n")
    desk.sync([*people(7), person("P8", **{"E-mail": "p3@acme.example"}), person("P9", "Bolt")])
    edit = (
        '[user]\nscope = "display_name != \'P2\'"\nmatch = ["login"]\n'
        '[user.fields]\ndepartment = "mail"\n[client.fields]\nnotes = "name"\n'
    )
    whole = plan_under(desk, edit)

    monkeypatch.setenv("SYNCD_ENGINE_PAGE_SIZE", "1")
    desk.reload()
    outcome = plan_under(desk, edit)

    assert outcome.counts == whole.counts
    assert told(desk, outcome.run) == told(desk, whole.run)
    assert len(changes(desk, whole.run)) == 10


def test_records_of_every_stream_are_planned(desk: Desk) -> None:
    desk.sync([person("Ada", Site="Bath"), person("Bob", "Bolt", Site="York")])

    outcome = plan_under(
        desk, '[client.fields]\nnotes = "name"\n[site.fields]\nnotes = "{name} office"\n'
    )

    assert sorted(key[:2] for key in told(desk, outcome.run)) == [
        ("client", "update"),
        ("client", "update"),
        ("site", "update"),
        ("site", "update"),
    ]
    assert outcome.edit
    assert outcome.edit.users == 0


def test_items_that_hold_several_records_are_planned(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Together([("ada", "Ada", "acme"), ("bob", "Bob", "bolt")])
    monkeypatch.setattr(base, "find", lambda _name: together.connector())
    desk.connect("people", "memory", {})
    desk.reload()
    desk.sync()
    edit = '[client.fields]\nnotes = "name"\n[user.fields]\ndepartment = "display_name"\n'

    outcome = plan_under(desk, edit)

    make(desk, edit)
    done = desk.sync()
    assert changed(desk, done.run) == [("update", "ada"), ("update", "bob")]
    assert changes(desk, outcome.run) == changes(desk, done.run)
    assert outcome.counts["update client"] == 2


def test_of_several_sources_only_the_one_is_planned_whose_mapping_is_edited(
    desk: Desk, sources: dict[str, Source]
) -> None:
    """What the others say still counts, and by their own mappings."""
    desk.prefer(default=["entra", "xero"])
    sources["entra"].people = [who("Ada", job_title="Chef"), who("Bob", department="Food")]
    sources["xero"].people = [who("Ada", job_title="Cook", department="Kitchen"), who("Cy")]
    desk.sync_each("entra", "xero")
    edit = '[user.fields]\njob_title = "department"\nnotes = "mail"\n'

    outcome = plan_under(desk, edit, "entra")

    told = {key: (before, after) for _, _, _, _, key, _, _, before, after, *_ in
            changes(desk, outcome.run)}  # fmt: skip
    assert {key: after for key, (_, after) in told.items()} == {
        "ada": {"job_title": "Cook", "notes": "ada@acme.example", "@owners": {"job_title": "xero"}},
        "bob": {"job_title": "Food", "notes": "bob@acme.example"},
    }
    make(desk, edit, "entra")
    (done,) = desk.sync_each("entra")
    assert changes(desk, done.run) == changes(desk, outcome.run)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_other_records_of_the_connection_say_is_understood_by_the_edited_mapping_too(
    desk: Desk,
) -> None:
    file = desk.folder / "new.toml"
    file.write_text('extends = "people"\n[user]\nadopt = false\n', encoding="utf-8")
    before = desk.engine.speaker("people")

    edited = desk.engine.under("people", file)

    said = edited.speaker("people")
    assert before
    assert said
    assert said.rules.version == edited.rules("people").version != before.rules.version


# -- nobody is asked, and nothing is changed -------------------------------------------------------


def test_nobody_is_asked_so_the_provider_may_be_down_and_the_connection_paused(
    desk: Desk, source: Source
) -> None:
    source.people, source.cursor = crowd(3), "c1"
    desk.sync()
    connections.pause(desk.engine, "people", "holidays", "boss")
    source.asked.clear()
    source.refusal = source.hidden = ProviderUnavailable("down")
    before = desk.rows()

    outcome = plan_under(desk, '[user.fields]\ndepartment = "display_name"\n')

    assert outcome.state == "planned"
    assert outcome.counts["update user"] == 3
    assert source.asked == []
    assert desk.rows() == before
    assert desk.connection_state()[0] == "paused"


def test_every_partition_that_the_store_knows_is_planned(desk: Desk, source: Source) -> None:
    source.partitions = ["acme", "bolt"]
    source.people = [who("Ada"), who("Bob", "bolt"), who("Cy", "bolt")]
    desk.sync()
    source.hidden = ProviderUnavailable("down")

    outcome = plan_under(desk, '[user.fields]\ndepartment = "display_name"\n')

    assert outcome.edit
    assert (outcome.edit.users, outcome.edit.clients) == (3, 2)


def test_a_plan_that_waits_goes_on_waiting_and_can_be_approved(desk: Desk) -> None:
    desk.sync(people(10))
    held = desk.sync(people(4))

    outcome = plan_under(desk, '[user.fields]\ndepartment = "display_name"\n')

    assert outcome.counts["update user"] == 10  # whoever is missing from the sheet is not gone yet
    assert [hold.id for hold in desk.holds()] == held.holds
    assert desk.approve(held.holds[0]).state == "succeeded"
    assert len(desk.names(active=True)) == 4


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_nothing_can_be_planned_again_of_what_was_never_synced(desk: Desk) -> None:
    desk.write(people(3))
    with pytest.raises(UsageError, match=r"nothing of people is stored yet.*syncd sync people"):
        plan_under(desk, "")
    desk.plan()
    with pytest.raises(UsageError, match="nothing of people is stored yet"):
        plan_under(desk, "")
    with pytest.raises(UsageError, match='no connection "peple"; did you mean "people"'):
        replanning.plan_under(desk.engine, "peple", desk.folder / "new.toml", "planner")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_mapping_that_is_wrong_opens_no_run(desk: Desk) -> None:
    desk.sync(people(3))

    with pytest.raises(ConfigError, match=r"new.toml:3: user.scope: .*did you mean \"city\""):
        plan_under(desk, "[user]\nscope = \"citty == 'Bath'\"\n")

    assert len(desk.rows(t.run)["run"]) == 1


def test_an_edit_that_hardly_any_record_survives_is_told_as_that(desk: Desk) -> None:
    """B33"""
    desk.sync(people(50))
    before = desk.rows()

    outcome = plan_under(desk, '[user.fields]\nother1 = { expr = "length(city)" }\n')

    assert (outcome.state, outcome.code) == ("failed", "mapping")
    assert desk.rows() == before


# -- who is planned --------------------------------------------------------------------------------


def test_records_that_are_gone_or_missed_keep_their_state_and_are_not_planned(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "7 days" }\n')
    source.people = crowd(12)
    desk.sync()
    source.pages = [Page(crowd(11)[1:], tombstones=gone("p0"))]
    desk.sync()
    assert (desk.links()["p0"], desk.links()["p11"]) == ("gone", "missed")
    edit = '[user.fields]\ndepartment = "display_name"\n'

    outcome = plan_under(desk, edit)

    wanted = [("update", f"p{n}") for n in range(1, 11)]
    assert changed(desk, outcome.run) == sorted(wanted)
    make(desk, edit)
    assert [one for one in changed(desk, desk.sync().run) if one[0] != "miss"] == sorted(wanted)


def test_no_clock_of_a_record_that_is_gone_runs_on_by_a_plan_from_stored_items(
    desk: Desk, source: Source
) -> None:
    """What is stored proves nothing about what is absent, nor about for how long."""
    clocks = '[gone]\ndeleted = { after = "2 reads" }\nabsent = { after = "2 reads" }\n'
    make(desk, clocks)
    source.people = crowd(12)
    desk.sync()
    source.pages = [Page(crowd(11)[1:], tombstones=gone("p0"))]
    desk.sync()
    assert (desk.links()["p0"], desk.links()["p11"]) == ("missed", "missed")
    desk.wait(days=1)

    outcome = plan_under(desk, "")

    assert changes(desk, outcome.run) == []
    assert "absent people" not in outcome.counts


def test_records_whose_users_were_undone_are_planned_as_a_sync_would(desk: Desk) -> None:
    first = desk.sync(people(3))
    desk.undo(first.run)
    edit = '[user.fields]\ndepartment = "display_name"\n'

    outcome = plan_under(desk, edit)

    assert changed(desk, outcome.run) == [("create", "p0"), ("create", "p1"), ("create", "p2")]
    desk.resume()
    make(desk, edit)
    assert changed(desk, desk.sync().run) == changed(desk, outcome.run)


def test_who_was_undone_and_left_the_source_since_is_not_planned(desk: Desk) -> None:
    desk.sync(people(1))
    desk.undo(desk.sync(people(3)).run)
    desk.resume()
    desk.sync(people(2))

    outcome = plan_under(desk, '[user.fields]\ndepartment = "display_name"\n')

    assert changed(desk, outcome.run) == [("update", "p0"), ("update", "p1")]


def test_what_waits_in_quarantine_is_planned_as_well(desk: Desk) -> None:
    """A record that the edit heals would come out; one that it breaks would go in."""
    twin = person("Bob", **{"E-mail": "ada@acme.example"})
    long = person("Cy", Title="x" * 300)
    desk.sync([person("Ada"), twin, person("Dee"), person("Eve", Login="eve"), long])
    desk.sync([*people(0), person("Ada"), twin, person("Dee"), person("Eve", Login="eve"), long])
    assert desk.quarantine() == {"ada": "shared_key", "bob": "shared_key"}
    edit = (
        '[user]\nmatch = ["login"]\n'
        "[user.fields]\nother1 = { expr = \"display_name == 'Dee' && abs(mail) || 'x'\" }\n"
    )

    outcome = plan_under(desk, edit)

    assert outcome.counts["out of quarantine"] == 2
    assert outcome.counts["quarantined"] == 1
    aside = desk.step(outcome.run).counts["aside"]
    assert [(key, code) for _, key, code, *_ in aside] == [("dee", "expression")]
    assert ("create", "ada") in changed(desk, outcome.run)
    make(desk, edit)
    done = desk.sync()
    assert changed(desk, done.run) == changed(desk, outcome.run)
    assert desk.quarantine() == {"dee": "expression"}


def test_of_a_linked_record_in_quarantine_its_newest_item_is_planned(
    desk: Desk, source: Source
) -> None:
    source.people = crowd(3)
    desk.mapping('[user.fields]\nother1 = { expr = "abs(extra.n || `0`)" }\n')
    desk.sync()
    source.people = [who("P0", extra={"n": "many"}, job_title="Head"), *crowd(3)[1:]]
    desk.sync()
    assert desk.quarantine() == {"p0": "expression"}

    outcome = plan_under(desk, "[user.fields]\nother1 = false\n")

    (change,) = changes(desk, outcome.run)
    assert (change[4], change[8]) == ("p0", {"job_title": "Head"})
    assert outcome.counts["out of quarantine"] == 1


def test_an_address_that_a_record_in_quarantine_gives_up_is_free_for_another(
    desk: Desk, source: Source
) -> None:
    """What heals is planned with all others, not before them."""
    source.people = crowd(3)
    make(desk, '[user.fields]\nother1 = { expr = "abs(extra.n || `0`)" }\n')
    desk.sync()
    moved = who("P0", extra={"n": "many"}, mail="new@acme.example")
    source.people = [moved, *crowd(3)[1:], who("Zoe", mail="p0@acme.example")]
    desk.sync()
    assert desk.quarantine() == {"p0": "expression", "zoe": "ambiguous_user"}
    edit = "[user.fields]\nother1 = false\n"

    outcome = plan_under(desk, edit)

    assert changed(desk, outcome.run) == [("create", "zoe"), ("update", "p0")]
    make(desk, edit)
    assert changed(desk, desk.sync().run) == changed(desk, outcome.run)


def test_a_record_whose_bytes_nobody_has_stays_in_quarantine_and_its_user_as_it_is(
    desk: Desk,
) -> None:
    desk.sync([person("Ada", Title="Clerk"), person("Cy")])
    desk.sync([person("Ada", Title="Head"), person("Ada", Title="Boss"), person("Cy")])
    assert desk.quarantine() == {"ada": "duplicate_key"}
    edit = '[user.fields]\ndepartment = "display_name"\n'

    outcome = plan_under(desk, edit)

    assert changed(desk, outcome.run) == [("update", "cy")]
    assert outcome.counts["out of quarantine"] == 0
    make(desk, edit)
    assert changed(desk, desk.sync().run) == [("update", "cy")]


# -- scope -----------------------------------------------------------------------------------------


def test_users_whom_an_edit_leaves_out_are_counted_although_their_rule_is_to_keep_them(
    desk: Desk,
) -> None:
    desk.sync(people(20))
    before = desk.living()

    outcome = plan_under(desk, ONLY_SOME)

    assert changes(desk, outcome.run) == []
    assert outcome.counts["out of scope: keep"] == 9  # all but P1 and P10 to P19
    make(desk, ONLY_SOME)
    held = desk.sync()
    assert held.state == "held"
    assert held.overruns == outcome.overruns
    assert held.overruns == [
        "partition: 9 of 20 people would leave the mapping's scope; the limit is 3"
    ]
    done = desk.approve(held.holds[0])
    assert (done.state, done.counts["out of scope: keep"]) == ("succeeded", 9)
    assert desk.living() == before
    assert "out of scope: keep" not in desk.sync().counts
    another = plan_under(desk, '[user.fields]\ndepartment = "display_name"\n')
    assert "out of scope: keep" not in another.counts  # they were out already
    assert len(changes(desk, another.run)) == 11


def test_a_held_edit_that_takes_others_out_of_scope_is_another_plan(desk: Desk) -> None:
    """Although no change tells of anybody whom it keeps."""
    desk.sync(people(20))
    make(desk, ONLY_SOME)
    first = desk.sync().holds
    assert desk.sync().holds == first

    make(desk, "[user]\nscope = \"starts_with(display_name, 'P1') || display_name == 'P2'\"\n")
    second = desk.sync().holds
    assert second != first
    desk.reject(second[0])
    assert desk.sync().holds == []  # that one is not raised again

    make(desk, "[user]\nscope = \"starts_with(display_name, 'P1') || display_name == 'P3'\"\n")
    assert desk.sync().state == "held"


def test_a_few_may_go_out_of_scope(desk: Desk) -> None:
    desk.sync(people(20))
    make(desk, "[user]\nscope = \"display_name != 'P1'\"\n")
    assert desk.sync().counts["out of scope: keep"] == 1


def test_records_that_an_edit_takes_in_are_counted(desk: Desk) -> None:
    make(desk, ONLY_SOME)
    desk.sync(people(12))
    assert len(desk.users()) == 3

    outcome = plan_under(desk, "[user]\nscope = \"display_name != 'P3'\"\n")

    assert outcome.counts["into scope"] == 8
    assert outcome.counts["create user"] == 8
    assert "out of scope: keep" not in outcome.counts


@pytest.mark.parametrize("incremental", [False, True])
def test_an_edit_that_leaves_out_most_users_is_shown_then_held_and_then_done_as_shown(
    desk: Desk, source: Source, incremental: bool
) -> None:
    source.people = crowd(25)
    source.cursor = "c1" if incremental else None
    desk.sync()
    source.pages = [Page([], cursor="c2")] if incremental else None
    edit = ONLY_SOME + LEAVE

    outcome = plan_under(desk, edit)
    before = desk.rows()

    leaving = sorted(f"p{n}" for n in (0, *range(2, 10), *range(20, 25)))
    assert changed(desk, outcome.run) == [("deactivate", key) for key in leaving]
    assert outcome.counts["out of scope: deactivate"] == 14
    assert "14 of 25 active users would leave" in outcome.overruns[0]
    source.pages = None
    make(desk, edit)
    held = desk.sync()
    assert held.state == "held"
    assert held.overruns == outcome.overruns
    assert desk.rows() == before
    assert changes(desk, held.run) == changes(desk, outcome.run)

    approved = desk.approve(held.holds[0])

    assert approved.state == "succeeded"
    assert changes(desk, held.run) == changes(desk, outcome.run)
    assert desk.names(active=False) == sorted(key.upper() for key in leaving)
    assert desk.sync().counts.get("deactivate user") is None


# -- match keys ------------------------------------------------------------------------------------


def test_another_match_key_keeps_every_linked_user_on_its_row_and_creates_nobody(
    desk: Desk,
) -> None:
    rows = [person(f"P{n}", Login=f"login{n}") for n in range(5)]
    desk.sync(rows)
    desk.add_user("Acme", name="Zoe", email="zoe@acme.example", login="zoe")
    desk.add_user("Acme", name="Zoe", email="zoe@acme.example", login="zoe2")
    desk.sync([*rows, person("Zoe", Login="zoe")])
    assert desk.quarantine() == {"zoe": "ambiguous_user"}
    before = {user.id for user in desk.users()}
    edit = '[user]\nmatch = ["login"]\n'

    outcome = plan_under(desk, edit)

    assert changed(desk, outcome.run) == [("update", "zoe")]
    assert outcome.counts["out of quarantine"] == 1
    make(desk, edit)
    done = desk.sync()
    assert changes(desk, done.run) == changes(desk, outcome.run)
    assert {user.id for user in desk.users()} == before
    assert desk.quarantine() == {}
    assert set(desk.links().values()) == {"alive"}


def test_a_match_key_that_fits_another_user_moves_no_link(desk: Desk) -> None:
    """A linked record is never correlated again, whoever has its key by now."""
    desk.sync([person("Ada", Login="one"), person("Bob", Login="two")])
    before = {user.name: user.id for user in desk.users()}
    desk.sync([person("Ada", Login="two"), person("Bob", Login="one")])

    make(desk, '[user]\nmatch = ["login"]\n')
    outcome = desk.sync()

    assert changes(desk, outcome.run) == []
    assert {user.name: user.id for user in desk.users()} == before


# -- sources that send only what changed -----------------------------------------------------------


def test_an_edit_reaches_the_records_that_a_source_does_not_send_again(
    desk: Desk, source: Source
) -> None:
    source.people, source.cursor = crowd(4), "c1"
    desk.sync()
    edit = '[user.fields]\ndepartment = "display_name"\n'
    outcome = plan_under(desk, edit)
    make(desk, edit)
    source.asked.clear()

    done = desk.sync()

    assert changes(desk, done.run) == changes(desk, outcome.run)
    assert done.counts["update user"] == 4
    assert source.asked == [None]  # read in full, for the place was kept under another meaning
    desk.sync()
    assert source.asked == [None, "c1"]


# -- a source whose items hold several records -----------------------------------------------------


class Together:
    """A provider each of whose items is a person and their organization."""

    def __init__(self, rows: Sequence[tuple[str, str, str]]) -> None:
        self.rows = rows

    def connector(self) -> type[Connector[Any]]:
        rows = self.rows

        def parse(data: bytes) -> Sequence[Record]:
            key, name, client = json.loads(data)
            mail = f"{key}@{client}.example"
            return [
                Organization(key=client, name=client.title()),
                Person(key=key, display_name=name, mail=mail, organization=client),
            ]

        class Rows(Connector[base.Config]):
            name = "together"

            @stream(Person, parse=parse, deletes=Deletes.ABSENCE)
            def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
                yield Page([base.RawItem(row[0], json.dumps(row).encode()) for row in rows])

        return Rows
