"""One person in several sources: whose value stands, who decides that someone leaves, and why."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from syncd.records import Identity
from syncd.store import tables as t
from syncd.store.dump import canonical_dump
from tests.stories.desk import Desk
from tests.stories.source import Source, crowd, raw, who

Sources = dict[str, Source]


def ada(**said: Any) -> Any:
    """Ada as one source knows her."""
    return who("Ada", **said)


def values(desk: Desk, *fields: str, name: str = "Ada") -> list[Any]:
    """What stands in these fields, each with its owner."""
    user, owners = desk.user(name), desk.owners(name)
    return [(user.values.get(field), owners.get(field)) for field in fields]


def everybody(sources: Sources, **said: dict[str, Any]) -> None:
    """Ada and ten others, whom no limit minds, in these sources."""
    for name, more in said.items():
        sources[name].people = [ada(**more), *crowd(10)]


# -- values ----------------------------------------------------------------------------------------


def test_each_field_is_the_first_source_s_that_says_anything(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero", "hr"], user_business_phone=["hr"])
    desk.prefer(default=["entra", "xero", "hr"], user_phone=["hr", "entra"])
    everybody(
        sources,
        xero={"job_title": "Cook", "department": "Kitchen", "business_phone": "1"},
        entra={"job_title": "Chef", "business_phone": "2"},
        hr={"job_title": "Head", "business_phone": "3", "city": "Bath"},
    )

    desk.sync_each("xero", "entra", "hr")

    assert len(desk.names()) == 11
    assert values(desk, "job_title", "department", "phone") == [
        ("Chef", "entra"),
        ("Kitchen", "xero"),
        ("3", "hr"),
    ]


@pytest.mark.parametrize("order", [("entra", "xero", "hr"), ("hr", "xero", "entra")])
def test_the_order_of_the_syncs_does_not_matter(
    desk: Desk, sources: Sources, order: tuple[str, ...]
) -> None:
    desk.prefer(default=["entra", "xero", "hr"])
    everybody(
        sources,
        entra={"job_title": "Chef"},
        xero={"job_title": "Cook", "department": "Kitchen"},
        hr={"department": "Food", "business_phone": "3"},
    )

    desk.sync_each(*order)

    assert values(desk, "job_title", "department", "phone", "name") == [
        ("Chef", "entra"),
        ("Kitchen", "xero"),
        ("3", "hr"),
        ("Ada", "entra"),
    ]


def test_unlisted_sources_follow_in_the_order_of_their_first_sync(
    desk: Desk, sources: Sources
) -> None:
    everybody(sources, hr={"job_title": "Head"}, xero={"job_title": "Cook"})

    desk.sync_each("hr", "xero", "hr")

    assert values(desk, "job_title") == [("Head", "hr")]


def test_a_source_that_falls_silent_gives_way_to_the_next(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero"])
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})
    desk.sync_each("entra", "xero")

    everybody(sources, entra={})
    desk.sync_each("entra")
    assert values(desk, "job_title") == [("Cook", "xero")]

    everybody(sources, xero={})
    desk.sync_each("xero")
    assert values(desk, "job_title") == [("Cook", "xero")]  # nobody says that it is blank


def test_losing_a_source_changes_the_fields_it_owned_and_nothing_else(
    desk: Desk, sources: Sources
) -> None:
    """Shows 1"""
    desk.prefer(default=["entra", "xero"])
    everybody(
        sources,
        entra={"job_title": "Chef", "department": "Food", "business_phone": "1"},
        xero={"job_title": "Cook", "business_phone": "1", "mobile": "2"},
    )
    desk.sync_each("entra", "xero")
    before = desk.user("Ada").values

    sources["entra"].people = crowd(10)
    (outcome,) = desk.sync_each("entra")

    after = desk.user("Ada").values
    changed = {name for name in before if before[name] != after.get(name)} - {"provenance"}
    assert changed == {"job_title"}
    assert values(desk, "job_title", "department", "phone", "mobile") == [
        ("Cook", "xero"),
        ("Food", "entra"),  # nobody else says anything of it
        ("1", "xero"),
        ("2", "xero"),
    ]
    assert len(desk.names(active=True)) == 11
    ((action, key, reason),) = desk.changes(outcome.run)
    assert (action, key) == ("gone", "ada")
    assert "another source still has it: xero" in reason


def test_only_who_stands_before_the_owner_can_erase_its_value(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero"])
    for name in sources:
        desk.mapping('[user.fields]\ndepartment = { from = "department", clear = true }\n', name)
    everybody(sources, entra={}, xero={"department": "Kitchen"})
    desk.sync_each("xero", "entra")
    assert values(desk, "department") == [("Kitchen", "xero")]

    everybody(sources, entra={"department": "Food"}, xero={})
    desk.sync_each("entra", "xero")
    assert values(desk, "department") == [("Food", "entra")]

    everybody(sources, entra={})
    desk.sync_each("entra")
    assert values(desk, "department") == [(None, None)]


def test_a_value_for_a_blank_field_is_used_once_and_gives_way(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero"])
    desk.mapping('[user.fields]\nphone = { from = "business_phone", when = "empty" }\n', "entra")
    everybody(sources, entra={"business_phone": "1"})
    desk.sync_each("entra")
    assert values(desk, "phone") == [("1", "entra")]

    everybody(sources, entra={"business_phone": "2"}, xero={})
    desk.sync_each("entra", "xero")
    assert values(desk, "phone") == [("1", "entra")]

    everybody(sources, xero={"business_phone": "3"})
    desk.sync_each("xero", "entra")
    assert values(desk, "phone") == [("3", "xero")]


def test_a_value_that_counts_on_creation_gives_way_to_any_that_lasts(
    desk: Desk, sources: Sources
) -> None:
    desk.prefer(default=["entra", "xero"])
    desk.mapping('[user.fields]\njob_title = { from = "job_title", when = "create" }\n', "entra")
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})

    desk.sync_each("entra", "xero")

    assert values(desk, "job_title", "name") == [("Cook", "xero"), ("Ada", "entra")]


def test_a_new_source_stands_between_those_before_and_those_behind_it(
    desk: Desk, sources: Sources
) -> None:
    desk.prefer(default=["entra", "xero", "hr"])
    everybody(
        sources,
        entra={"job_title": "Chef"},
        xero={"job_title": "Cook", "department": "Kitchen", "mobile": "4"},
        hr={"department": "Food", "business_phone": "3"},
    )

    desk.sync_each("entra", "hr", "xero")

    assert values(desk, "job_title", "department", "phone", "mobile") == [
        ("Chef", "entra"),
        ("Kitchen", "xero"),
        ("3", "hr"),
        ("4", "xero"),
    ]


def test_what_a_source_does_not_say_under_its_edited_mapping_is_the_next_one_s_at_once(
    desk: Desk, sources: Sources
) -> None:
    desk.prefer(default=["entra", "xero"])
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})
    desk.sync_each("entra")

    desk.mapping("[user.fields]\njob_title = false\n", "entra")
    desk.sync_each("xero")

    assert values(desk, "job_title") == [("Cook", "xero")]


def test_a_record_out_of_scope_holds_no_value_against_another_source(
    desk: Desk, sources: Sources
) -> None:
    desk.prefer(default=["entra", "xero"])
    desk.mapping("[user]\nscope = \"user_type != 'Guest'\"\n", "entra")
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})
    desk.sync_each("entra")
    everybody(sources, entra={"job_title": "Chef", "user_type": "Guest"})

    desk.sync_each("entra", "xero")

    assert values(desk, "job_title") == [("Cook", "xero")]
    assert desk.names(active=False) == []


def test_what_a_person_set_stands_until_it_is_released(desk: Desk, sources: Sources) -> None:
    """B11: and then at once what the first source last said."""
    desk.prefer(default=["entra", "xero"])
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})
    desk.sync_each("entra", "xero")
    desk.set("Ada", title="Boss")

    everybody(sources, entra={"job_title": "Head"})
    desk.sync_each("entra", "xero")
    assert values(desk, "job_title") == [("Boss", "local")]

    desk.release("Ada", "title")
    assert values(desk, "job_title") == [("Head", "entra")]
    desk.sync_each("entra", "xero")
    before = canonical_dump(desk.database)
    desk.sync_each("entra", "xero")
    assert canonical_dump(desk.database) == before


def test_what_is_released_and_said_by_nobody_stays(desk: Desk, sources: Sources) -> None:
    everybody(sources, entra={})
    desk.sync_each("entra")
    desk.set("Ada", title="Boss")

    desk.release("Ada", "title")
    desk.sync_each("entra")

    assert values(desk, "job_title") == [("Boss", "local")]


def test_an_edited_precedence_counts_with_the_next_sync(desk: Desk, sources: Sources) -> None:
    desk.prefer(default=["entra", "xero"])
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})
    desk.sync_each("entra", "xero")

    desk.prefer(default=["xero", "entra"])
    desk.sync_each("entra")

    assert values(desk, "job_title", "name") == [("Cook", "xero"), ("Ada", "xero")]


@pytest.mark.parametrize("order", [("xero", "entra"), ("entra", "xero")])
def test_clients_and_sites_have_several_sources_too(
    desk: Desk, sources: Sources, order: tuple[str, ...]
) -> None:
    desk.prefer(default=["entra", "xero"])
    desk.mapping('[client]\nmatch = ["name"]\n', "entra")
    desk.mapping('[client]\nmatch = ["name"]\n', "xero")
    one = raw("a", name="Acme", website="one.example", active=True)
    two = raw("x", name="Acme", website="two.example", active=False, currency="EUR")
    sources["entra"].organizations, sources["xero"].organizations = [one], [two]
    for name in ("entra", "xero"):
        sources[name].people = [who("Ada", sources[name].organizations[0].key)]

    desk.sync_each(*order)

    with desk.database.read() as conn:
        (client,) = conn.execute(sa.select(t.client)).all()
    assert (client.website, client.currency, client.active) == ("one.example", "EUR", True)


# -- where someone belongs -------------------------------------------------------------------------


def known(name: str, organization: str, **more: Any) -> Any:
    """A person with an identity, which matches across clients."""
    identity = [Identity("idp", name.lower())]
    return who(name, organization, identities=identity, **more)


@pytest.mark.parametrize("first", ["entra", "xero"])
def test_two_sources_that_name_two_clients_do_not_move_a_person_to_and_fro(
    desk: Desk, sources: Sources, first: str
) -> None:
    desk.prefer(default=["entra", "xero"])
    sources["entra"].people = [known("Ada", "acme"), *crowd(4)]
    sources["xero"].people = [known("Ada", "bolt"), *crowd(4)]
    second = "xero" if first == "entra" else "entra"
    desk.sync_each(first)

    for name in (second, first, second):
        for hold in desk.sync_each(name)[0].holds:
            desk.approve(hold)

    assert desk.user("Ada").client == "Acme"
    before = canonical_dump(desk.database)
    for outcome in desk.sync_each(first, second):
        assert not outcome.holds
    assert canonical_dump(desk.database) == before


def test_a_person_in_two_clients_is_two_users_where_nothing_but_the_mail_says_so(
    desk: Desk, sources: Sources
) -> None:
    """B08"""
    sources["entra"].people = [who("Ada", "acme", mail="ada@x.example")]
    sources["xero"].people = [who("Ada", "bolt", mail="ada@x.example")]

    desk.sync_each("entra", "xero")

    assert [(user.name, user.client) for user in desk.users()] == [("Ada", "Acme"), ("Ada", "Bolt")]


@pytest.mark.parametrize("order", [("xero", "entra", "xero"), ("entra", "xero")])
def test_the_site_is_the_first_source_s_that_names_one(
    desk: Desk, sources: Sources, order: tuple[str, ...]
) -> None:
    desk.prefer(default=["entra", "xero"])
    for name in ("entra", "xero"):
        desk.mapping('[site]\nfrom = ["office_location"]\n', name)
    everybody(sources, entra={"office_location": "Hull"}, xero={"office_location": "Leeds"})

    desk.sync_each(*order)
    assert desk.user("Ada").site == "Hull"

    everybody(sources, entra={})
    desk.sync_each("entra")
    assert desk.user("Ada").site == "Leeds"


# -- who leaves ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["absent", "disabled"])
def test_nobody_leaves_whom_another_source_still_has(
    desk: Desk, sources: Sources, how: str
) -> None:
    everybody(sources, entra={}, xero={})
    desk.sync_each("entra", "xero")

    sources["entra"].people = [*([ada(active=False)] if how == "disabled" else []), *crowd(10)]
    desk.sync_each("entra")
    assert "Ada" in desk.names(active=True)

    sources["xero"].people = crowd(10)
    desk.sync_each("xero")
    assert desk.names(active=False) == ["Ada"]

    everybody(sources, xero={})
    desk.sync_each("xero")
    assert desk.names(active=False) == []


@pytest.mark.parametrize("order", [("entra", "xero"), ("xero", "entra")])
def test_a_new_source_takes_nobody_away_whom_another_has(
    desk: Desk, sources: Sources, order: tuple[str, ...]
) -> None:
    desk.prefer(default=order)
    everybody(sources, entra={}, xero={"active": False})

    desk.sync_each("entra", "xero")

    assert desk.names(active=False) == []


def test_two_sources_that_disable_do_not_keep_each_other(desk: Desk, sources: Sources) -> None:
    everybody(sources, entra={}, xero={})
    desk.sync_each("entra", "xero")

    everybody(sources, entra={"active": False}, xero={"active": False})
    desk.sync_each("entra", "xero")

    assert desk.names(active=False) == ["Ada"]


def test_the_rule_of_a_source_that_left_first_acts_when_the_last_one_leaves(
    desk: Desk, sources: Sources
) -> None:
    desk.mapping('[gone]\nabsent = { action = "keep" }\n', "xero")
    everybody(sources, entra={}, xero={})
    desk.sync_each("entra", "xero")

    for name in ("entra", "xero"):
        sources[name].people = crowd(10)
    desk.sync_each("entra", "xero")

    assert desk.names(active=False) == ["Ada"]


def test_an_authority_alone_decides_who_is_active(desk: Desk, sources: Sources) -> None:
    desk.prefer(user_active=["hr"])
    everybody(sources, hr={}, entra={"active": True})
    desk.sync_each("hr", "entra")

    everybody(sources, hr={"active": False})
    desk.sync_each("hr", "entra")
    assert desk.names(active=False) == ["Ada"]

    everybody(sources, entra={"active": True, "job_title": "Chef"})
    desk.sync_each("entra")
    assert desk.names(active=False) == ["Ada"]

    everybody(sources, entra={"active": False}, hr={"active": True})
    desk.sync_each("hr", "entra")
    assert desk.names(active=False) == []


def test_a_missed_record_is_as_good_as_any_until_its_clock_has_run_out(
    desk: Desk, sources: Sources
) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = "2 reads" }\n', "xero")
    everybody(sources, entra={}, xero={})
    desk.sync_each("entra", "xero")
    for name in ("entra", "xero"):
        sources[name].people = crowd(10)

    desk.sync_each("xero", "entra")
    assert "Ada" in desk.names(active=True)

    desk.wait(hours=2)
    desk.sync_each("xero")
    assert desk.names(active=False) == ["Ada"]


# -- two at once -----------------------------------------------------------------------------------


def test_a_plan_that_did_not_hear_another_source_is_made_again(
    desk: Desk, sources: Sources
) -> None:
    """While entra is planned, xero says something new; the value of neither is lost."""
    desk.prefer(default=["entra", "xero"])
    everybody(sources, entra={"job_title": "Chef"}, xero={"job_title": "Cook"})
    desk.sync_each("entra", "xero")
    everybody(sources, entra={}, xero={"job_title": "Baker"})
    sources["entra"].page_size = 6

    def meanwhile() -> None:
        sources["entra"].between = None
        desk.sync_each("xero")

    sources["entra"].between = meanwhile
    desk.sync_each("entra")
    desk.sync_each("entra")
    desk.sync_each("xero")

    assert values(desk, "job_title") == [("Baker", "xero")]


# -- undone, and back ------------------------------------------------------------------------------


def test_who_was_undone_and_made_by_another_source_is_not_there_twice(
    desk: Desk, sources: Sources
) -> None:
    sources["entra"].people = [known("Ada", "acme", job_title="Chef")]
    sources["xero"].people = [known("Ada", "acme", job_title="Cook")]
    (outcome,) = desk.sync_each("entra")
    desk.undo(outcome.run)

    desk.sync_each("xero")
    desk.resume("entra")
    desk.sync_each("entra")

    assert desk.names() == ["Ada"]
    assert values(desk, "job_title") == [("Chef", "entra")]  # it was used first


def test_who_was_undone_comes_back_without_the_values_of_then(desk: Desk, sources: Sources) -> None:
    everybody(sources, entra={"job_title": "Chef", "department": "Food"})
    (outcome,) = desk.sync_each("entra")
    one = desk.user("Ada").id
    desk.undo(outcome.run)
    desk.resume("entra")

    everybody(sources, entra={"department": "Kitchen"})
    desk.sync_each("entra")

    assert desk.user("Ada").id == one
    assert values(desk, "job_title", "department") == [(None, None), ("Kitchen", "entra")]


def test_a_site_that_a_source_names_in_vain_leaves_the_word_to_the_next_one(
    desk: Desk, sources: Sources
) -> None:
    """At once, and not only when the next one is planned again for some other reason."""
    desk.prefer(default=["entra", "xero"])
    desk.mapping('[site]\nfrom = ["city"]\ncreate = false\n', "entra")
    desk.mapping('[site]\nfrom = ["city"]\n', "xero")
    sources["xero"].people = [who("Bob", city="York"), who("Ada", city="Bath"), *crowd(10)]
    sources["entra"].people = [who("Bob", city="York"), who("Ada", city="York"), *crowd(10)]
    desk.sync_each("xero", "entra")
    assert desk.user("Ada").site == "York"

    sources["entra"].people = [who("Bob", city="York"), who("Ada", city="Nowhere"), *crowd(10)]
    desk.sync_each("entra")

    assert desk.user("Ada").site == "Bath"


@pytest.mark.parametrize("kind", ["user", "client"])
def test_a_value_that_its_source_left_behind_gives_way_to_a_new_source(
    desk: Desk, sources: Sources, kind: str
) -> None:
    """Whoever fell silent says nothing, and comes first with that."""
    desk.prefer(default=["xero"])
    everybody(sources, xero={"job_title": "Cook"})
    sources["xero"].organizations = [raw("acme", name="Acme", website="x.example")]
    desk.sync_each("xero")
    everybody(sources, xero={})
    sources["xero"].organizations = [raw("acme", name="Acme")]
    desk.sync_each("xero")
    everybody(sources, entra={"job_title": "Chef"})
    sources["entra"].organizations = [raw("acme", name="Acme", website="e.example")]

    desk.sync_each("entra")

    if kind == "user":
        assert values(desk, "job_title") == [("Chef", "entra")]
    else:
        with desk.database.read() as conn:
            assert conn.execute(sa.select(t.client.c.website)).all() == [("e.example",)]
    assert [desk.changes(one.run) for one in desk.sync_each("xero", "entra")] == [[], []]
