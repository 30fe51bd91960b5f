"""Two who are one: the one that stays has what both had, every source's word, and their history."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from syncd.entities import Kind, new_id
from syncd.errors import UsageError
from syncd.records import Identity
from syncd.store import answers_merged, answers_review, answers_runs
from syncd.store import tables as t
from syncd.store.answers_review import Wanted
from syncd.store.dump import canonical_dump
from syncd.sync import reviewing
from syncd.sync.rulings import Case, Ruling, Verb
from tests.stories import licenses
from tests.stories.desk import Desk, people, person
from tests.stories.source import Source, crowd, gone, raw, who

Sources = dict[str, Source]


def dump(desk: Desk) -> str:
    """All that there is, but retired ones and whether links are settled."""
    text = canonical_dump(desk.database, retired=False)
    return text.replace('"settled":true', '"settled":false')


def values(desk: Desk, *fields: str, name: str = "Ada") -> list[Any]:
    """What stands in these fields, each with its owner."""
    user, owners = desk.user(name), desk.owners(name)
    return [(user.values.get(field), owners.get(field)) for field in fields]


def two_sources(desk: Desk, sources: Sources, ada: dict[str, Any], ida: dict[str, Any]) -> None:
    """entra knows Ada, xero knows her as Ida: two users of one client, among a crowd."""
    desk.prefer(default=["entra", "xero"])
    sources["entra"].people = [who("Ada", **ada), *crowd(10)]
    sources["xero"].people = [who("Ida", **ida), *crowd(10)]
    desk.sync_each("entra", "xero")


def one_source(desk: Desk, sources: Sources, ada: dict[str, Any], ida: dict[str, Any]) -> None:
    """entra knows her twice."""
    sources["entra"].people = [who("Ada", **ada), who("Ida", **ida), *crowd(10)]
    desk.sync_each("entra")


def one_of_both(desk: Desk) -> int:
    """Ida goes into Ada; the run that did it."""
    outcome = desk.merge(desk.user("Ada").id, desk.user("Ida").id)
    assert outcome.state == "succeeded", outcome
    return outcome.run


def used(desk: Desk) -> list[str]:
    """The connections that were synced so far."""
    return [one.name for one in answers_runs.connections(desk.database)]


def clean(desk: Desk, *names: str) -> None:
    """Another sync of these changes nothing."""
    before = dump(desk)
    for outcome in desk.sync_each(*names):
        assert outcome.state == "succeeded", outcome
        assert not [name for name in outcome.counts if name.endswith(" user")], outcome
    assert dump(desk) == before
    settled = canonical_dump(desk.database)
    desk.sync_each(*names)
    assert canonical_dump(desk.database) == settled


# -- users -----------------------------------------------------------------------------------------


def test_one_of_two_sources_has_what_both_say(desk: Desk, sources: Sources) -> None:
    two_sources(
        desk,
        sources,
        {"job_title": "Chef", "business_phone": "1"},
        {"job_title": "Cook", "department": "Food", "mobile": "2"},
    )

    one_of_both(desk)

    assert len(desk.names()) == 11
    assert values(desk, "name", "job_title", "department", "mobile", "phone") == [
        ("Ada", "entra"),
        ("Chef", "entra"),
        ("Food", "xero"),
        ("2", "xero"),
        ("1", "entra"),
    ]
    clean(desk, "entra", "xero")


def test_the_first_source_s_word_stands_although_its_record_came_with_the_merge(
    desk: Desk, sources: Sources
) -> None:
    two_sources(desk, sources, {"job_title": "Chef"}, {"job_title": "Cook"})

    desk.merge(desk.user("Ida").id, desk.user("Ada").id)

    assert values(desk, "name", "job_title") == [("Ada", "entra"), ("Chef", "entra")]
    clean(desk, "xero", "entra")


def test_a_sync_after_a_merge_makes_nobody_and_matches_nobody_anew(
    desk: Desk, sources: Sources
) -> None:
    two_sources(desk, sources, {}, {"department": "Food"})
    one_of_both(desk)

    sources["xero"].people = [who("Ida", department="Bar"), *crowd(10)]
    desk.sync_each("xero")

    assert len(desk.names()) == 11
    assert values(desk, "department") == [("Bar", "xero")]
    assert desk.links() == dict.fromkeys(desk.links(), "alive")


def test_values_that_nobody_says_fill_blanks_and_keep_their_owner(
    desk: Desk, sources: Sources
) -> None:
    two_sources(desk, sources, {}, {"department": "Food", "job_title": "Cook"})
    sources["xero"].people = [who("Ida"), *crowd(10)]
    desk.sync_each("xero")  # which says nothing of them any more
    sources["entra"].people = [who("Ada", job_title="Chef"), *crowd(10)]
    desk.sync_each("entra")

    one_of_both(desk)

    assert values(desk, "department", "job_title") == [("Food", "xero"), ("Chef", "entra")]
    clean(desk, "entra", "xero")


def test_what_a_person_set_on_either_stands(desk: Desk, sources: Sources) -> None:
    two_sources(desk, sources, {"job_title": "Chef", "business_phone": "1"}, {"job_title": "Cook"})
    desk.set("Ada", title="Boss")
    desk.set("Ida", title="Queen", phone="7", department="", keep_active="yes")

    run = one_of_both(desk)

    assert values(desk, "job_title", "phone", "department", "keep_active") == [
        ("Boss", "local"),
        ("7", "local"),
        (None, None),
        (True, "local"),
    ]
    (told,) = [one for one in answers_runs.changes(desk.database, answers_runs.Asked(run=run))
               if one.action == "update"]  # fmt: skip
    assert told.after["@overrides"] == {"phone": "7", "department": "", "keep_active": True}
    clean(desk, "entra", "xero")
    desk.release("Ada", "phone")
    assert values(desk, "phone") == [("1", "entra")]


@pytest.mark.parametrize("first", ["Ada", "Ida"])
def test_who_was_active_stays_active(desk: Desk, sources: Sources, first: str) -> None:
    two_sources(desk, sources, {}, {})
    sources["xero"].people = crowd(10)
    desk.sync_each("xero")
    desk.set("Ida", active="no")
    assert desk.names(active=False) == ["Ida"]

    second = "Ida" if first == "Ada" else "Ada"
    desk.merge(desk.user(first).id, desk.user(second).id)

    assert desk.names(active=False) == []
    clean(desk, "entra", "xero")


def test_an_authority_decides_who_is_active(desk: Desk, sources: Sources) -> None:
    two_sources(desk, sources, {}, {"active": True})
    desk.prefer(default=["entra", "xero"], user_active=["entra"])
    sources["entra"].people = [who("Ada", active=False), *crowd(10)]
    desk.sync_each("entra")

    one_of_both(desk)

    assert desk.names(active=False) == ["Ada"]
    clean(desk, "entra", "xero")


def test_identities_go_along_and_keep_their_source(desk: Desk, sources: Sources) -> None:
    two_sources(
        desk,
        sources,
        {"identities": [Identity("idp", "a")]},
        {"identities": [Identity("idp", "i")]},
    )
    one_of_both(desk)

    ada = desk.user("Ada").id
    assert desk.rows(t.identity)["identity"] == [
        ("idp", "a", ada, "entra"),
        ("idp", "i", ada, "xero"),
    ]
    clean(desk, "entra", "xero")


def test_a_site_and_a_client_are_those_that_the_first_source_names(
    desk: Desk, sources: Sources
) -> None:
    desk.prefer(default=["xero", "entra"])
    for name in ("entra", "xero"):
        desk.mapping('[site]\nfrom = ["office_location"]\n', name)
    sources["entra"].people = [who("Ada", "acme", office_location="Hull"), *crowd(10)]
    sources["xero"].people = [who("Ida", "bolt", office_location="Leeds"), *crowd(10)]
    desk.sync_each("entra", "xero")
    before = dump(desk)

    run = one_of_both(desk)

    assert (desk.user("Ida").client, desk.user("Ida").site) == ("Bolt", "Leeds")
    clean(desk, "entra", "xero")
    desk.undo(run)
    assert dump(desk) == before


def test_who_was_added_by_hand_goes_into_who_is_synced(desk: Desk, sources: Sources) -> None:
    one_source(desk, sources, {"job_title": "Chef"}, {})
    desk.add_user("Acme", name="Countess", email="lovelace@acme.example", phone="7")

    desk.merge(desk.user("Ada").id, desk.user("Countess").id)

    assert values(desk, "name", "phone", "job_title", name="Countess") == [
        ("Countess", "local"),
        ("7", "local"),
        ("Chef", "entra"),
    ]
    clean(desk, "entra")


def third_source(desk: Desk, sources: Sources, **said: Any) -> None:
    """hr comes to a desk on which Ida went into Ada, and knows her by Ida's address."""
    two_sources(desk, sources, {}, {})
    one_of_both(desk)
    sources["hr"].people = [who("Ida", **said), *crowd(10)]


def test_another_source_s_record_of_who_went_is_one_of_who_stayed(
    desk: Desk, sources: Sources
) -> None:
    third_source(desk, sources, department="Food")

    (outcome,) = desk.sync_each("hr")

    assert outcome.state == "succeeded", outcome
    assert len(desk.names()) == 11
    assert values(desk, "name", "department") == [("Ada", "entra"), ("Food", "hr")]
    why = "matched by the email of one of those that it was merged of"
    assert ("update", "ida", why) in desk.changes(outcome.run)
    clean(desk, "entra", "xero", "hr")


@pytest.mark.parametrize("first", ["entra", "xero"])
@pytest.mark.parametrize("newcomer", ["Ada", "Ida"])
def test_whichever_of_two_addresses_stands_another_source_finds_its_user_by_either(
    desk: Desk, sources: Sources, first: str, newcomer: str
) -> None:
    two_sources(desk, sources, {}, {})
    one_of_both(desk)
    desk.prefer(default=[first])
    desk.sync_each("entra", "xero")
    names = desk.names()

    sources["hr"].people = [who(newcomer, key="7", business_phone="1"), *crowd(10)]
    desk.sync_each("hr")

    assert desk.names() == names
    assert values(desk, "phone", name={"entra": "Ada", "xero": "Ida"}[first]) == [("1", "hr")]
    clean(desk, "entra", "xero", "hr")


def test_a_record_that_came_to_two_who_were_one_is_told_when_they_are_parted(
    desk: Desk, sources: Sources
) -> None:
    two_sources(desk, sources, {}, {})
    run = one_of_both(desk)
    sources["hr"].people = [who("Ida", department="Food"), *crowd(10)]
    desk.sync_each("hr", "entra", "xero")

    undone = desk.undo(run)

    (told,) = undone.notices
    assert told == (
        "ida of hr was matched with Ada <ada@acme.example> while that was two, and stays there; "
        "if it is the other's: syncd review unlink ida --connection hr"
    )
    assert values(desk, "department") == [("Food", "hr")]
    record = answers_review.named(desk.database, Wanted("hr", key="ida"))
    said = Ruling(Verb.UNLINK, "boss")
    reviewing.decide(desk.engine, said, [Case(one) for one in record])
    assert values(desk, "department") == [(None, None)]


def test_an_address_that_who_went_had_and_no_source_says_any_more_waits_for_a_person(
    desk: Desk, sources: Sources
) -> None:
    """Whoever has it now may be somebody else."""
    third_source(desk, sources)
    sources["xero"].people = [who("Ida", mail="countess@acme.example"), *crowd(10)]
    desk.sync_each("xero")

    desk.sync_each("hr")

    assert desk.quarantine() == {"ida": "ambiguous_user"}
    assert len(desk.names()) == 11


def test_an_address_that_who_went_had_is_that_of_who_has_it_now(
    desk: Desk, sources: Sources
) -> None:
    third_source(desk, sources)
    desk.add_user("Acme", name="Idabel", email="ida@acme.example")

    desk.sync_each("hr")

    assert desk.user("Idabel").values["email"] == "ida@acme.example"
    assert len(desk.names()) == 12
    assert desk.quarantine() == {}


# -- the history -----------------------------------------------------------------------------------


def test_the_one_that_stays_has_the_history_of_both(desk: Desk, sources: Sources) -> None:
    two_sources(desk, sources, {}, {})
    desk.set("Ida", title="Queen")
    ada, ida = desk.user("Ada").id, desk.user("Ida").id
    run = one_of_both(desk)

    told = answers_runs.changes(desk.database, answers_runs.Asked(entity=ada))
    assert [(one.action, one.entity) for one in told] == [
        ("merge", ida),
        ("update", ada),
        ("update", ida),
        ("create", ida),
        ("create", ada),
    ]
    assert "merged into Ada <ada@acme.example> by boss: one and the same" in told[0].reason
    (absorbed,) = answers_merged.absorbed(desk.database, ada)
    assert (absorbed.id, absorbed.run, absorbed.actor) == (ida, run, "boss")
    (known,) = answers_merged.known_before(desk.database, Kind.USER, "ida@acme.example")
    assert known.id == ada

    desk.undo(run)
    assert answers_merged.absorbed(desk.database, ada) == []
    told = answers_runs.changes(desk.database, answers_runs.Asked(entity=ada, limit=0))
    assert {one.entity for one in told} == {ada}


def test_three_that_are_one_are_merged_one_after_the_other(desk: Desk, sources: Sources) -> None:
    one_source(desk, sources, {}, {})
    ada, ida, eve = (desk.user(name).id for name in ("Ada", "Ida", "P0"))
    before = dump(desk)
    first = desk.merge(ida, eve).run
    second = desk.merge(ada, ida).run

    assert len(desk.names()) == 10
    assert {one.id for one in answers_merged.absorbed(desk.database, ada)} == {ida, eve}
    clean(desk, "entra")
    with pytest.raises(UsageError, match=f"merged into another by run {second} since"):
        desk.undo(first)
    desk.undo(second)
    desk.undo(first)
    assert dump(desk) == before


# -- undone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [two_sources, one_source])
def test_an_undo_gives_back_all_of_it_and_it_can_be_done_again(
    desk: Desk, sources: Sources, world: Any
) -> None:
    world(
        desk,
        sources,
        {"job_title": "Chef", "identities": [Identity("idp", "a")]},
        {"department": "Food", "identities": [Identity("idp", "i")]},
    )
    desk.set("Ida", title="Queen")
    before, rows = dump(desk), desk.living()
    run = one_of_both(desk)
    merged = dump(desk)

    assert desk.undo(run).state == "succeeded"

    assert desk.living() == rows
    assert dump(desk) == before
    assert desk.rows(t.merged)["merged"] == []
    clean(desk, *used(desk))
    assert dump(desk) == before
    one_of_both(desk)
    assert dump(desk) == merged


def test_an_undo_leaves_what_was_changed_since(desk: Desk, sources: Sources) -> None:
    two_sources(desk, sources, {}, {"department": "Food", "mobile": "2"})
    run = one_of_both(desk)
    desk.set("Ada", department="Board")
    sources["xero"].people = [who("Ida", department="Bar", mobile="3"), *crowd(10)]
    desk.sync_each("xero")

    undone = desk.undo(run)

    assert (undone.state, undone.code) == ("partial", "stale")
    assert values(desk, "department", "mobile") == [("Board", "local"), ("3", "xero")]
    desk.sync_each("entra", "xero")
    assert values(desk, "department", "mobile", name="Ida") == [("Bar", "xero"), ("3", "xero")]
    clean(desk, "entra", "xero")


def test_what_was_done_before_a_merge_is_not_taken_back_beside_it(
    desk: Desk, sources: Sources
) -> None:
    """The run that changed Ida is undone when Ida is Ada: her record must not leave Ada."""
    two_sources(desk, sources, {}, {"department": "Food"})
    sources["xero"].people = [who("Ida", department="Bar"), *crowd(10)]
    (changed,) = desk.sync_each("xero")
    one_of_both(desk)
    merged = dump(desk)

    undone = desk.undo(changed.run)

    assert (undone.state, undone.code) == ("partial", "stale")
    assert dump(desk) == merged
    desk.resume("xero")
    clean(desk, "entra", "xero")


def test_what_was_done_after_a_merge_is_taken_back_after_its_undo(
    desk: Desk, sources: Sources
) -> None:
    two_sources(desk, sources, {}, {"department": "Food"})
    run = one_of_both(desk)
    sources["xero"].people = [who("Ida", department="Bar"), *crowd(10)]
    (changed,) = desk.sync_each("xero")
    desk.undo(run)
    desk.undo(changed.run)

    desk.resume("xero")
    desk.sync_each("xero", "entra")

    assert values(desk, "department", name="Ida") == [("Bar", "xero")]
    assert len(desk.names()) == 12
    clean(desk, "xero", "entra")


# -- two records of one source ---------------------------------------------------------------------


def merged_twice_known(desk: Desk, sources: Sources, size: int = 100) -> Source:
    """entra has two records of Ada, `ada` and `ida`; pages and batches hold so many people."""
    one_source(
        desk,
        sources,
        {"job_title": "Chef", "department": "Food"},
        {"job_title": "Cook", "mobile": "1"},
    )
    one_of_both(desk)
    desk.sync_each("entra")
    desk.precedence = f"[engine]\npage_size = {size}\n"
    desk.reload()
    source = sources["entra"]
    source.page_size = size
    assert values(desk, "job_title", "department", "mobile") == [
        ("Chef", "entra"),
        ("Food", "entra"),
        ("1", "entra"),
    ]
    return source


sizes = pytest.mark.parametrize("size", [1, 100])
"""Both records in one batch, and each in its own."""


@sizes
@pytest.mark.parametrize("order", ["ada first", "ida first"])
def test_both_records_change_in_one_read(
    desk: Desk, sources: Sources, size: int, order: str
) -> None:
    source = merged_twice_known(desk, sources, size)
    both = [
        who("Ada", department="Bar", business_phone="5"),
        who("Ida", job_title="Baker", mobile="2"),
    ]
    source.people = [*(both if order == "ada first" else both[::-1]), *crowd(10)]

    (outcome,) = desk.sync_each("entra")

    assert outcome.state == "succeeded", outcome
    assert values(desk, "job_title", "department", "mobile", "phone", "email") == [
        ("Baker", "entra"),  # the first record says nothing of it any more
        ("Bar", "entra"),
        ("2", "entra"),
        ("5", "entra"),
        ("ada@acme.example", "entra"),
    ]
    clean(desk, "entra")
    desk.undo(outcome.run)
    assert values(desk, "job_title", "department", "mobile", "phone") == [
        ("Chef", "entra"),
        ("Food", "entra"),
        ("1", "entra"),
        (None, None),
    ]


@sizes
@pytest.mark.parametrize("stays", ["Ada", "Ida"])
def test_one_record_disappears_and_the_other_changes(
    desk: Desk, sources: Sources, size: int, stays: str
) -> None:
    source = merged_twice_known(desk, sources, size)
    source.people = [who(stays, job_title="Head"), *crowd(10)]

    (outcome,) = desk.sync_each("entra")

    assert outcome.state == "succeeded", outcome
    assert [one.values["job_title"] for one in desk.users() if one.name == stays] == ["Head"]
    assert len(desk.names(active=True)) == 11
    clean(desk, "entra")


@sizes
def test_both_records_disappear(desk: Desk, sources: Sources, size: int) -> None:
    source = merged_twice_known(desk, sources, size)
    ada = desk.user("Ada").id
    source.people = crowd(10)

    (outcome,) = desk.sync_each("entra")

    assert [user.id for user in desk.users() if not user.active] == [ada]
    if size > 1:
        assert values(desk, "job_title") == [("Chef", "entra")]  # not the other's, for a moment
    assert outcome.counts["deactivate user"] == 1
    assert {desk.links()[key] for key in ("ada", "ida")} == {"gone"}
    clean(desk, "entra")
    source.people = [who("Ida", job_title="Cook"), *crowd(10)]
    desk.sync_each("entra")
    assert desk.names(active=False) == []
    assert len(desk.names()) == 11


@sizes
def test_both_records_are_disabled_or_deleted_in_one_read(
    desk: Desk, sources: Sources, size: int
) -> None:
    source = merged_twice_known(desk, sources, size)
    source.people = [who("Ada", active=False), who("Ida", active=False), *crowd(10)]
    desk.sync_each("entra")
    assert desk.names(active=False) == ["Ada"]
    clean(desk, "entra")

    source.people = [who("Ada", active=False), who("Ida", active=True), *crowd(10)]
    desk.sync_each("entra")
    assert desk.names(active=False) == []
    clean(desk, "entra")


@sizes
def test_both_records_are_missed_until_their_clock_has_run_out(
    desk: Desk, sources: Sources, size: int
) -> None:
    source = merged_twice_known(desk, sources, size)
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "2 reads" }\n', "entra")
    ada = desk.user("Ada").id
    source.people = crowd(10)

    desk.sync_each("entra")
    assert desk.names(active=False) == []
    desk.wait(hours=2)
    (outcome,) = desk.sync_each("entra")

    assert [user.id for user in desk.users() if not user.active] == [ada]
    assert outcome.counts["deactivate user"] == 1


@sizes
def test_both_records_bring_the_same_identity(desk: Desk, sources: Sources, size: int) -> None:
    source = merged_twice_known(desk, sources, size)
    same = {"identities": [Identity("idp", "x")]}
    source.people = [who("Ada", **same), who("Ida", **same), *crowd(10)]

    (outcome,) = desk.sync_each("entra")

    assert outcome.state == "succeeded", outcome
    ada = desk.user("Ada").id
    assert desk.rows(t.identity)["identity"] == [("idp", "x", ada, "entra")]
    clean(desk, "entra")


def test_a_newcomer_with_a_key_of_one_of_the_records_is_not_that_one(
    desk: Desk, sources: Sources
) -> None:
    source = merged_twice_known(desk, sources)
    again = who("Ada", key="new")
    source.people = [*source.people, again]
    desk.sync_each("entra")
    assert desk.quarantine() == {"new": "ambiguous_user"}

    source.people = [*crowd(10), again]  # both of Ada's are gone
    desk.sync_each("entra")

    known = sorted((user.name, user.active) for user in desk.users())
    assert known[:2] == [("Ada", False), ("Ada", True)]


@pytest.mark.parametrize("rest", ["xero", "entra"])
def test_nobody_leaves_who_has_another_record(desk: Desk, sources: Sources, rest: str) -> None:
    two_sources(desk, sources, {}, {})
    one_of_both(desk)
    lost = "entra" if rest == "xero" else "xero"

    sources[lost].people = crowd(10)
    desk.sync_each(lost, rest)
    assert desk.names(active=False) == []

    sources[rest].people = crowd(10)
    desk.sync_each(rest)
    assert len(desk.names(active=False)) == 1


def test_a_tombstone_of_one_record_and_news_of_the_other(desk: Desk, sources: Sources) -> None:
    from syncd.connectors.base import Deletes, Page

    source = merged_twice_known(desk, sources)
    source.deletes = Deletes.TOMBSTONE
    source.pages = [Page([who("Ida", job_title="Baker")], tombstones=gone("ada"))]

    desk.sync_each("entra")

    assert values(desk, "job_title", "name", name="Ida") == [("Baker", "entra"), ("Ida", "entra")]
    assert desk.names(active=False) == []


# -- at the same time ------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [two_sources, one_source])
def test_a_merge_in_the_middle_of_a_sync_is_not_lost(
    desk: Desk, sources: Sources, world: Any
) -> None:
    world(desk, sources, {"job_title": "Chef"}, {"department": "Food"})
    name = "xero" if world is two_sources else "entra"
    others = [who("Ada", job_title="Chef")] if name == "entra" else []
    sources[name].people = [*others, who("Ida", department="Bar"), *crowd(10)]
    sources[name].page_size = 6

    def meanwhile() -> None:
        sources[name].between = None
        one_of_both(desk)

    sources[name].between = meanwhile
    desk.sync_each(name)
    assert len(desk.names()) == 11
    desk.sync_each(name)

    assert values(desk, "job_title", "department") == [("Chef", "entra"), ("Bar", name)]
    clean(desk, *used(desk))


def test_a_plan_that_waited_while_two_were_merged_ties_nobody_to_who_is_gone(
    desk: Desk, sources: Sources
) -> None:
    two_sources(desk, sources, {}, {"department": "Food"})
    sources["xero"].people += [who(f"X{number}") for number in range(10)]
    desk.sync_each("xero")
    sources["xero"].people = [who("Ida", department="Bar"), *crowd(10)]  # ten leave: that waits
    (held,) = desk.sync_each("xero")
    one_of_both(desk)

    desk.approve(held.holds[0])

    links = {row.key: row.entity_id for row in _links(desk)}
    assert links["ida"] == desk.user("Ada").id
    desk.sync_each("xero")
    assert values(desk, "department") == [("Bar", "xero")]
    clean(desk, "entra", "xero")


def test_a_plan_that_waited_while_its_newcomer_came_and_was_merged_makes_nobody(
    desk: Desk, sources: Sources
) -> None:
    one_source(desk, sources, {}, {})
    sources["hr"].people = [who(f"X{number}") for number in range(10)]
    desk.sync_each("hr")
    sources["hr"].people = [who("Eve")]  # and ten leave: that waits
    (held,) = desk.sync_each("hr")
    sources["entra"].people += [who("Eve")]
    desk.sync_each("entra")
    desk.merge(desk.user("Ada").id, desk.user("Eve").id)
    names = desk.names()

    desk.approve(held.holds[0])

    assert desk.names() == names


def test_an_undo_in_the_middle_of_a_sync_is_not_lost(desk: Desk, sources: Sources) -> None:
    two_sources(desk, sources, {}, {"department": "Food"})
    run = one_of_both(desk)
    sources["xero"].people = [who("Ida", department="Bar"), *crowd(10)]
    sources["xero"].page_size = 6

    def meanwhile() -> None:
        sources["xero"].between = None
        desk.undo(run)

    sources["xero"].between = meanwhile
    desk.sync_each("xero")
    desk.sync_each("xero", "entra")

    assert values(desk, "department", name="Ida") == [("Bar", "xero")]
    assert values(desk, "department") == [(None, None)]
    clean(desk, "entra", "xero")


def _links(desk: Desk) -> list[Any]:
    with desk.database.read() as conn:
        return list(conn.execute(sa.select(t.link).where(t.link.c.stream == "people")))


# -- clients and sites -----------------------------------------------------------------------------


@pytest.fixture
def offices(desk: Desk) -> Desk:
    """Two clients with a Main and a Hull each; Bolt has a Leeds, too."""
    desk.sync(
        [
            person("Ada", "Acme", Site="Hull"),
            person("Bob", "Acme"),
            person("Cy", "Bolt", Site="Hull", Title="Cook"),
            person("Dee", "Bolt", Site="Leeds"),
            person("Eve", "Bolt"),
        ]
    )
    return desk


def merged_clients(desk: Desk) -> int:
    outcome = desk.merge(desk.client("Acme"), desk.client("Bolt"), Kind.CLIENT)
    assert outcome.state == "succeeded", outcome
    return outcome.run


def homes(desk: Desk) -> list[tuple[str, str, str]]:
    return [(user.name, user.client, user.site) for user in desk.users()]


def test_one_of_two_clients_has_the_sites_and_users_of_both(offices: Desk) -> None:
    before, rows = dump(offices), offices.living()

    run = merged_clients(offices)

    assert offices.sites() == [("Acme", "Hull"), ("Acme", "Leeds"), ("Acme", "Main")]
    assert homes(offices) == [
        ("Ada", "Acme", "Hull"),
        ("Bob", "Acme", "Main"),
        ("Cy", "Acme", "Hull"),
        ("Dee", "Acme", "Leeds"),
        ("Eve", "Acme", "Main"),
    ]
    merged = dump(offices)
    assert offices.sync().counts.get("create user", 0) == 0
    assert dump(offices) == merged
    settled = canonical_dump(offices.database)
    offices.sync()
    assert canonical_dump(offices.database) == settled

    assert offices.undo(run).state == "succeeded"
    assert offices.living() == rows
    assert dump(offices) == before
    offices.sync()
    assert dump(offices) == before
    merged_clients(offices)
    assert dump(offices) == merged


def test_newcomers_of_a_client_that_went_belong_to_the_one_that_stayed(offices: Desk) -> None:
    merged_clients(offices)

    offices.sync(
        [
            person("Ada", "Acme", Site="Hull"),
            person("Bob", "Acme"),
            person("Cy", "Bolt", Site="Hull", Title="Head"),
            person("Dee", "Bolt", Site="Leeds"),
            person("Eve", "Bolt"),
            person("Flo", "Bolt", Site="York"),
        ]
    )

    assert homes(offices)[2:] == [
        ("Cy", "Acme", "Hull"),
        ("Dee", "Acme", "Leeds"),
        ("Eve", "Acme", "Main"),
        ("Flo", "Acme", "York"),
    ]
    assert offices.user("Cy").values["job_title"] == "Head"


def test_users_of_two_clients_with_one_key_are_told_and_not_merged(offices: Desk) -> None:
    offices.add_user("Acme", name="Cyrus", email="cy@bolt.example")

    outcome = offices.merge(offices.client("Acme"), offices.client("Bolt"), Kind.CLIENT)

    assert len(offices.names()) == 6
    (told,) = outcome.notices
    assert "Cyrus <cy@bolt.example> and Cy <cy@bolt.example> have the same email" in told
    kept, gone_ = (UUID(one) for one in told.split()[-2:])
    offices.merge(kept, gone_)
    assert len(offices.names()) == 5


def test_two_sites_of_a_client_become_one(offices: Desk) -> None:
    before = dump(offices)
    ids = _sites(offices, "Bolt")

    outcome = offices.merge(ids["Hull"], ids["Leeds"], Kind.SITE)

    assert homes(offices)[2:4] == [("Cy", "Bolt", "Hull"), ("Dee", "Bolt", "Hull")]
    offices.sync()
    assert homes(offices)[3] == ("Dee", "Bolt", "Hull")
    offices.undo(outcome.run)
    assert dump(offices) == before


def test_a_site_that_goes_hands_on_its_role(offices: Desk) -> None:
    ids = _sites(offices, "Bolt")

    offices.merge(ids["Leeds"], ids["Main"], Kind.SITE)
    offices.sync([*_rows(), person("Gus", "Bolt")])

    assert offices.user("Gus").site == "Leeds"


def test_the_name_of_a_site_that_went_is_one_of_the_site_that_stayed(
    desk: Desk, sources: Sources
) -> None:
    desk.mapping('[site]\nfrom = ["office_location"]\n', "entra")
    staff = [who("Ada", office_location="Hull"), who("Ida", office_location="Leeds")]
    sources["entra"].people = staff
    desk.sync_each("entra")
    ids = _sites(desk, "Acme")
    desk.merge(ids["Hull"], ids["Leeds"], Kind.SITE)

    sources["entra"].people = [*staff, who("Eve", office_location="leeds")]
    desk.sync_each("entra")

    assert {user.site for user in desk.users()} == {"Hull"}
    clean(desk, "entra")


@pytest.mark.parametrize("match", ["ref", "name"])
def test_the_name_of_a_client_that_went_makes_no_new_one(
    desk: Desk, sources: Sources, match: str
) -> None:
    """By its name it is the one that stayed; where names do not match, a person says so."""
    desk.mapping(f'[client]\nmatch = ["{match}"]\n', "xero")
    sources["entra"].people = [who("Ada"), who("Ida", "bolt")]
    desk.sync_each("entra")
    desk.merge(desk.client("Acme"), desk.client("Bolt"), Kind.CLIENT)

    sources["xero"].organizations = [raw("b", name="Bolt")]
    desk.sync_each("xero")

    assert desk.quarantine() == ({} if match == "name" else {"b": "same_name"})
    with desk.database.read() as conn:
        clients = conn.execute(sa.select(t.client.c.name).where(sa.not_(t.client.c.retired)))
        assert list(clients.scalars()) == ["Acme"]


def _rows() -> list[Any]:
    return [
        person("Ada", "Acme", Site="Hull"),
        person("Bob", "Acme"),
        person("Cy", "Bolt", Site="Hull", Title="Cook"),
        person("Dee", "Bolt", Site="Leeds"),
        person("Eve", "Bolt"),
    ]


def _sites(desk: Desk, client: str) -> dict[str, UUID]:
    with desk.database.read() as conn:
        c = t.site.c
        rows = conn.execute(sa.select(c.name, c.id).where(c.client_id == desk.client(client)))
        return {row[0]: row[1] for row in rows}


def test_a_merge_of_users_is_undone_in_the_client_that_theirs_went_into(offices: Desk) -> None:
    offices.add_user("Bolt", name="Cyrus", email="cyrus@bolt.example")
    users = offices.merge(offices.user("Cy").id, offices.user("Cyrus").id).run
    clients = merged_clients(offices)

    offices.undo(users)
    assert ("Cyrus", "Acme", "Main") in homes(offices)

    offices.undo(clients)
    assert ("Cyrus", "Bolt", "Main") in homes(offices)


def test_values_of_clients_are_those_of_all_their_sources(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero"])
    for name in ("entra", "xero"):
        desk.mapping('[client]\nmatch = ["ref"]\n', name)
    sources["entra"].organizations = [raw("acme", name="Acme", website="a.example")]
    sources["xero"].organizations = [
        raw("acme", name="Acme Ltd", website="x.example", currency="EUR")
    ]
    for name in ("entra", "xero"):
        sources[name].people = [who("Ada")]
    desk.sync_each("entra", "xero")
    entra, xero = desk.client("Acme"), desk.client("Acme Ltd")

    desk.merge(xero, entra, Kind.CLIENT)

    with desk.database.read() as conn:
        (client,) = conn.execute(sa.select(t.client).where(sa.not_(t.client.c.retired))).all()
    assert (client.id, client.name, client.website, client.currency) == (
        xero,
        "Acme",
        "a.example",
        "EUR",
    )
    assert client.provenance == {"*": "xero", "name": "entra", "website": "entra"} | {
        name: owner
        for name, owner in client.provenance.items()
        if name not in ("*", "name", "website")
    }
    clean_clients = dump(desk)
    desk.sync_each("entra", "xero")
    assert dump(desk) == clean_clients


def test_a_hundred_users_move_by_the_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncd.store import merges

    monkeypatch.setattr(merges, "PAGE", 7)
    desk.sync([person(f"P{n}", "Bolt" if n % 2 else "Acme") for n in range(100)])
    before = dump(desk)

    run = merged_clients(desk)

    assert {user.client for user in desk.users()} == {"Acme"}
    desk.undo(run)
    assert dump(desk) == before


# -- licenses and decisions ------------------------------------------------------------------------


def _ledger(desk: Desk) -> dict[tuple[str, str | None], tuple[Any, Any]]:
    """Sums by pool (sku, client) and user."""
    c, p = t.license_ledger.c, t.license_pool.c
    query = (
        sa.select(t.client.c.name + " " + p.sku, t.user.c.name, sa.func.sum(c.bought_delta),
                  sa.func.sum(c.assigned_delta))
        .join(t.license_pool, p.id == c.pool_id)
        .join(t.client, t.client.c.id == p.client_id)
        .join(t.user, t.user.c.id == c.user_id, isouter=True)
        .group_by(t.client.c.name, p.sku, t.user.c.name)
    )  # fmt: skip
    with desk.database.read() as conn:
        found = {
            (row[0], row[1]): (int(row[2] or 0), int(row[3] or 0)) for row in conn.execute(query)
        }
    return {key: sums for key, sums in found.items() if any(sums)}


def _pool(desk: Desk, client: str, sku: str, bought: int, *users: str) -> UUID:
    """A pool of a client with its ledger."""
    pool, ids = new_id(), [desk.user(name).id for name in users]

    def work(conn: Any) -> None:
        now = desk.database.now(conn)
        conn.execute(
            sa.insert(t.license_pool).values(
                id=pool, client_id=desk.client(client), provider="ms", sku=sku,
                bought=str(bought), assigned=len(ids), active=True, provenance={"*": "ms"},
                retired=False,
            )
        )  # fmt: skip
        dated = {"id": None, "pool_id": pool, "effective_at": now, "recorded_at": now}
        rows = [{**dated, "id": new_id(), "user_id": None, "bought_delta": bought}]
        rows += [{**dated, "id": new_id(), "user_id": one, "assigned_delta": 1} for one in ids]
        for row in rows:
            conn.execute(sa.insert(t.license_ledger).values(**row))

    desk.database.transact(work)
    return pool


def _pools(desk: Desk) -> set[tuple[str, str, int, int]]:
    p = t.license_pool.c
    query = sa.select(t.client.c.name, p.sku, p.bought, p.assigned)
    query = query.join(t.client, t.client.c.id == p.client_id)
    with desk.database.read() as conn:
        return {(row[0], row[1], int(row[2]), int(row[3])) for row in conn.execute(query)}


def test_licenses_of_a_user_are_the_other_s_from_now_on(offices: Desk) -> None:
    _pool(offices, "Bolt", "E3", 5, "Cy", "Dee")
    before = _ledger(offices)

    run = offices.merge(offices.user("Cy").id, offices.user("Dee").id).run

    assert _ledger(offices) == {
        ("Bolt E3", None): (5, 0),
        ("Bolt E3", "Cy"): (0, 2),
    }
    assert _pools(offices) == {("Bolt", "E3", 5, 2)}
    assert len(offices.rows(t.license_ledger)["license_ledger"]) == 5  # nothing was rewritten
    offices.undo(run)
    assert _ledger(offices) == before


def test_pools_of_a_client_go_along_and_the_same_ones_become_one(offices: Desk) -> None:
    _pool(offices, "Acme", "E3", 5, "Ada")
    _pool(offices, "Bolt", "E3", 3, "Cy", "Dee")
    _pool(offices, "Bolt", "P1", 2, "Eve")
    row = {
        "id": new_id(),
        "client_id": offices.client("Bolt"),
        "provider": "ms",
        "reference": "s1",
        "active": True,
        "provenance": {"*": "ms"},
        "retired": False,
    }
    offices.database.transact(lambda conn: conn.execute(sa.insert(t.subscription).values(**row)))
    before, pools, rows = _ledger(offices), _pools(offices), offices.rows(t.subscription)

    run = merged_clients(offices)

    assert _ledger(offices) == {
        ("Acme E3", None): (5, 0),
        ("Bolt E3", None): (3, 0),  # counts of two tenants never add up
        ("Acme E3", "Ada"): (0, 1),
        ("Acme E3", "Cy"): (0, 1),
        ("Acme E3", "Dee"): (0, 1),
        ("Acme P1", None): (2, 0),
        ("Acme P1", "Eve"): (0, 1),
    }
    assert _pools(offices) == {("Acme", "E3", 5, 3), ("Acme", "P1", 2, 1), ("Bolt", "E3", 3, 0)}
    with offices.database.read() as conn:
        (subscription,) = conn.execute(sa.select(t.subscription)).all()
    assert subscription.client_id == offices.client("Acme")
    offices.undo(run)
    assert (_ledger(offices), _pools(offices)) == (before, pools)
    assert offices.rows(t.subscription) == rows


def test_a_word_about_who_went_is_about_who_stayed(desk: Desk, sources: Sources) -> None:
    two_sources(desk, sources, {}, {})
    ada, ida = desk.user("Ada").id, desk.user("Ida").id

    def say(conn: Any) -> None:
        conn.execute(
            sa.insert(t.decision).values(
                partition_id=1, stream="people", key="later", verdict="link", entity_id=ida,
                actor="boss", step_id=0, decided_at=desk.database.now(conn),
            )
        )  # fmt: skip

    def whom() -> UUID:
        with desk.database.read() as conn:
            found: UUID = conn.execute(sa.select(t.decision.c.entity_id)).scalar_one()
            return found

    desk.database.transact(say)
    run = one_of_both(desk)
    assert whom() == ada
    desk.undo(run)
    assert whom() == ida


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_cannot_be_one_is_said(offices: Desk) -> None:
    ada, bob, acme = offices.user("Ada").id, offices.user("Bob").id, offices.client("Acme")
    ours, theirs = _sites(offices, "Acme")["Hull"], _sites(offices, "Bolt")["Hull"]
    for kept, gone_, kind, why in (
        (ada, ada, Kind.USER, "one and the same user"),
        (ada, acme, Kind.USER, "no such user"),
        (acme, new_id(), Kind.CLIENT, "no such client"),
        (ours, theirs, Kind.SITE, "two clients"),
    ):
        with pytest.raises(UsageError, match=why):
            offices.merge(kept, gone_, kind)
    offices.merge(ada, bob)
    with pytest.raises(UsageError, match="no such user"):
        offices.merge(ada, bob)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_look_changes_nothing(offices: Desk) -> None:
    before = offices.rows()

    outcome = offices.merge(offices.client("Acme"), offices.client("Bolt"), Kind.CLIENT, look=True)

    assert (outcome.state, outcome.counts["merge site"]) == ("planned", 2)
    assert offices.rows() == before
    with pytest.raises(UsageError, match="mode plan"):
        offices.undo(outcome.run)


@pytest.mark.parametrize("released_by", ["a sync", "the provider"])
def test_licenses_that_were_taken_since_a_merge_come_back_to_nobody(
    desk: Desk, released_by: str
) -> None:
    desk.sync([*people(10), person("Ada"), person("Ida")])
    pool = licenses.pool(desk, "E3")
    licenses.assign(desk, pool, "Ida")
    run = desk.merge(desk.user("Ada").id, desk.user("Ida").id).run
    if released_by == "a sync":
        desk.mapping(
            '[gone]\nabsent = { action = "deactivate", after = [], release_licenses = true }\n'
        )
        desk.sync(people(10))
    else:
        licenses.assign(desk, pool, "Ada", count=-1)

    desk.undo(run)

    held: dict[str, int] = {}
    for one in licenses.ledger(desk, pool):
        held[one.user] = held.get(one.user, 0) + one.count
    assert set(held.values()) == {0}
    assert licenses.assigned(desk, pool) == 0


def parted(desk: Desk, rows: list[Any], since: list[Any]) -> list[Any]:
    """Two clients are merged, `since` comes, and the merge is undone; all rows of the source."""
    desk.sync(rows)
    run = desk.merge(desk.client("Acme"), desk.client("Bolt"), Kind.CLIENT).run
    names = {row["Name"] for row in since}
    rows = [row for row in rows if row["Name"] not in names] + since
    desk.sync(rows)
    assert {user.client for user in desk.users()} == {"Acme"}
    desk.undo(run)
    desk.resume()
    return rows


def on_sites_of_others(desk: Desk) -> list[str]:
    """Users of one client on a site of another."""
    query = sa.select(t.user.c.name).join(t.site, t.site.c.id == t.user.c.site_id)
    query = query.where(t.site.c.client_id != t.user.c.client_id)
    with desk.database.read() as conn:
        return list(conn.execute(query).scalars())


def test_who_came_to_a_site_of_two_clients_that_are_parted_goes_with_it(desk: Desk) -> None:
    rows = parted(
        desk,
        [person("Ann", Site="Bath"), person("Cy", "Bolt", Site="Leeds")],
        [person("Eve", "Bolt", Site="Leeds"), person("Fay", "Bolt", Site="York")],
    )

    assert on_sites_of_others(desk) == []
    assert homes(desk) == [
        ("Ann", "Acme", "Bath"),
        ("Cy", "Bolt", "Leeds"),
        ("Eve", "Bolt", "Leeds"),
        ("Fay", "Bolt", "York"),  # a site that came for Bolt goes with Bolt
    ]
    outcome = desk.sync(rows)
    assert (outcome.state, desk.changes(outcome.run)) == ("succeeded", [])


def test_who_came_without_a_site_of_their_own_moves_with_the_next_sync(desk: Desk) -> None:
    rows = parted(
        desk,
        [person("Ann", Site="Bath"), person("Cy", "Bolt", Site="Leeds")],
        [person("Eve", "Bolt")],
    )
    assert homes(desk)[2] == ("Eve", "Acme", "Main")

    outcome = desk.sync(rows)

    assert outcome.state == "held"  # as every move
    desk.approve(outcome.holds[0])
    assert homes(desk)[2] == ("Eve", "Bolt", "Main")
    assert desk.changes(desk.sync(rows).run) == []


def test_who_went_to_a_site_of_the_other_client_stays_there_until_the_next_sync(
    desk: Desk, sources: Sources
) -> None:
    """Or they would be of one client and on a site of the other."""
    desk.mapping('[site]\nfrom = ["office_location"]\n', "entra")
    staff = [who("Ann", office_location="Bath"), who("Cy", "bolt", office_location="Leeds")]
    sources["entra"].people = [*staff, who("Dee", "bolt", office_location="Leeds")]
    desk.sync_each("entra")
    run = desk.merge(desk.client("Acme"), desk.client("Bolt"), Kind.CLIENT).run
    sources["entra"].people = [*staff, who("Dee", "bolt", office_location="Bath")]
    desk.sync_each("entra")

    undone = desk.undo(run)

    assert on_sites_of_others(desk) == []
    assert homes(desk)[1:] == [("Cy", "Bolt", "Leeds"), ("Dee", "Acme", "Bath")]
    told = answers_runs.changes(desk.database, answers_runs.Asked(run=undone.run))
    assert "it stays: it went to a site that was never of that client" in [
        one.reason for one in told
    ]
    (outcome,) = desk.sync_each("entra")
    assert outcome.state == "held"
    desk.approve(outcome.holds[0])
    assert homes(desk)[2] == ("Dee", "Bolt", "Bath")
    assert on_sites_of_others(desk) == []


def test_who_came_while_two_sites_were_one_is_looked_at_again_when_they_are_parted(
    desk: Desk,
) -> None:
    rows = [person("Ann", Site="Bath"), person("Cy", Site="Leeds")]
    desk.sync(rows)
    sites = {user.name: user.values["site_id"] for user in desk.users()}
    run = desk.merge(sites["Ann"], sites["Cy"], Kind.SITE).run
    rows += [person("Eve", Site="Leeds")]
    desk.sync(rows)

    desk.undo(run)
    desk.resume()
    desk.sync(rows)

    homes = {user.name: user.site for user in desk.users()}
    assert homes == {"Ann": "Bath", "Cy": "Leeds", "Eve": "Leeds"}
