"""Planning as a table: what is stored, what is read, and what is decided; without a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from syncd.changes import Action, Change, Decisions, Effect, LinkState
from syncd.entities import Kind
from syncd.mapping.fields import compile_mapping
from syncd.mapping.items import Item
from syncd.mapping.page import Context
from syncd.mapping.planner import Planner
from syncd.mapping.rules import Mapping
from syncd.mapping.values import Precedence
from syncd.records import Location, Organization, Person, Record
from tests.mapping.facts import FakeFacts

MAPPING: dict[str, Any] = {
    "client": {"match": ["ref", "name"]},
    "user": {"match": ["employee_id", "email"]},
}


class Bench:
    """A planner over a world; records go in, decisions come out."""

    def __init__(self, world: FakeFacts, **sections: Any) -> None:
        rules = compile_mapping(Mapping.model_validate({**MAPPING, **sections}))
        self.world = world
        self.planner = Planner(Context(rules, world, Precedence("people", {}), now=1e9))

    def plan(self, stream: str, *records: Record) -> Decisions:
        """The decisions of one page."""
        named = {record.key.encode(): record for record in records}
        items = [Item(record.key, record.key.encode(), b"digest") for record in records]
        links = self.world.links(stream, [record.key for record in records])
        return self.planner.plan(stream, lambda raw: [named[raw]], items, links)

    def people(self, *records: Person) -> Decisions:
        return self.plan("people", *records)


@pytest.fixture
def world() -> FakeFacts:
    return FakeFacts()


@pytest.fixture
def acme(world: FakeFacts) -> UUID:
    return world.client("Acme", "acme")


@pytest.fixture
def main(world: FakeFacts, acme: UUID) -> UUID:
    return world.site(acme, "Main", role="main")


def who(name: str, **values: Any) -> Person:
    given = {"organization": "acme", "mail": f"{name.lower()}@acme.example", **values}
    return Person(key=given.pop("key", name.lower()), display_name=name, **given)


def of(kind: Kind, changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.kind is kind]


# -- situations ------------------------------------------------------------------------------------


def test_an_unknown_person_is_created_in_the_main_site(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    out = Bench(world).people(who("Ada"))

    (change,) = out.changes
    assert (change.action, change.client, change.after["site"]) == (Action.CREATE, acme, main.hex)
    assert change.after["active"] is True
    (link,) = out.links
    assert (link.entity, link.is_new, link.state) == (change.entity, True, LinkState.ALIVE)


def test_a_linked_person_is_updated_and_never_correlated_again(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    """B04"""
    ada = world.user(acme, main, "Ada", "ada", email="ada@acme.example")
    world.user(acme, main, "Rival", email="new@acme.example")

    out = Bench(world).people(who("Ada", mail="new@acme.example"))

    (change,) = out.changes
    assert (change.entity, change.action) == (ada, Action.UPDATE)
    assert change.before == {"email": "ada@acme.example"}
    assert change.after == {"email": "new@acme.example"}
    assert change.effects & Effect.KEY_CHANGE


def test_what_did_not_change_is_no_change(world: FakeFacts, acme: UUID, main: UUID) -> None:
    world.user(acme, main, "Ada", "ada", email="ada@acme.example")

    out = Bench(world).people(who("Ada"))

    assert out.changes == []
    assert [link.change for link in out.links] == [-1]


def test_a_matched_person_is_linked_with_the_rule_that_found_them(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    ada = world.user(acme, main, "Ada", email="ada@acme.example")

    out = Bench(world).people(who("Ada"))

    (change,) = out.changes
    assert (change.entity, change.action, change.rule) == (ada, Action.LINK, "email")
    assert out.links[0].matched_by == "email"


def test_a_re_created_account_is_a_new_user_who_is_said_to_be_one(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    old = world.user(acme, main, "Ada", email="ada@acme.example")
    world.link("people", "old-ada", old, Kind.USER, LinkState.GONE)

    out = Bench(world).people(who("Ada"))

    (change,) = out.changes
    assert change.action is Action.CREATE
    assert change.entity != old
    assert change.effects & Effect.RECREATED
    assert "re-created" in change.reason


def test_a_retired_user_comes_back_when_its_key_does(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    ada = world.user(acme, main, "Ada", "ada")
    world.stored[ada].retired = True

    (change,) = Bench(world).people(who("Ada")).changes

    assert (change.entity, change.action) == (ada, Action.CREATE)
    assert change.effects & Effect.REVIVES


def test_another_client_is_a_move_whatever_else_happens(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    world.user(acme, main, "Ada", "ada", email="ada@acme.example", active=False)
    bolt = world.client("Bolt", "bolt")
    there = world.site(bolt, "Main", role="main")

    (change,) = Bench(world).people(who("Ada", organization="bolt", active=True)).changes

    assert change.action is Action.MOVE
    assert change.after == {"client": bolt.hex, "site": there.hex, "active": True}
    assert change.client == bolt


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (who("Ada", organization=None), "no_client"),
        (who("Ada", organization="nobody"), "unknown_client"),
        (Person(key="x", organization="acme"), "required"),
        (who("Ada", mail="a" * 300 + "@x.example"), "too_long"),
        (who("Ada", organization="ac\x00me"), "bad_key"),
    ],
)
def test_who_cannot_be_kept_is_set_aside_with_a_reason(
    world: FakeFacts, acme: UUID, main: UUID, person: Person, code: str
) -> None:
    """B37"""
    out = Bench(world).people(person, who("Bob"))

    assert [one.code for one in out.quarantined] == [code]
    assert [change.after["name"] for change in out.changes] == ["Bob"]


@pytest.mark.parametrize(
    ("person", "field", "message"),
    [
        (
            who("Ada", organization="x" * 401),
            "organization",
            "the key of its organization is longer than 400 characters",
        ),
        (
            who("Ada", location="acme|" + "x" * 400),
            "location",
            "the key of its location is longer than 400 characters",
        ),
        (
            who("Ada", organization="ac\x00me"),
            "organization",
            "the key of its organization holds what no database can keep",
        ),
        (
            who("Ada", identities=[["", "b1"]], organization=None),
            "identities",
            "an identity is blank",
        ),
    ],
)
def test_a_key_that_cannot_be_kept_is_named(
    world: FakeFacts, acme: UUID, main: UUID, person: Person, field: str, message: str
) -> None:
    (aside,) = Bench(world).people(person).quarantined

    assert (aside.code, aside.message, aside.fields) == ("bad_key", message, (field,))


def test_an_ambiguous_person_is_set_aside_with_the_rivals(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    """B02"""
    rivals = {world.user(acme, main, name, email="ada@acme.example") for name in ("A", "B")}

    (aside,) = Bench(world).people(who("Ada")).quarantined

    assert aside.code == "ambiguous_user"
    assert {UUID(hex=one) for one in aside.suggestion.split(",")} == rivals


def test_swapped_addresses_and_a_newcomer_who_takes_a_free_one_do_not_meet(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    """Ada and Bob swap, Cy gives his up, and New takes that: everybody keeps who they are."""
    ids = {
        name: world.user(acme, main, name, name.lower(), email=f"{name.lower()}@acme.example")
        for name in ("Ada", "Bob", "Cy")
    }
    bench = Bench(world)

    linked = bench.people(
        who("Ada", mail="bob@acme.example"),
        who("Bob", mail="ada@acme.example"),
        who("Cy", mail="cyrus@acme.example"),
    )
    assert [(one.entity, one.action) for one in linked.changes] == [
        (entity, Action.UPDATE) for entity in ids.values()
    ]
    for change in linked.changes:
        world.planned[change.entity, "email"] = change.after["email"]

    out = bench.people(
        who("New", mail="cy@acme.example"),
        who("Late", mail="ada@acme.example"),
        who("Next", mail="cyrus@acme.example"),
    )
    assert [change.after["name"] for change in out.changes] == ["New"]
    assert [(one.key, one.code) for one in out.quarantined] == [
        ("late", "ambiguous_user"),
        ("next", "ambiguous_user"),
    ]


# -- whose values ----------------------------------------------------------------------------------


def test_a_value_set_by_hand_is_not_planned_over(world: FakeFacts, acme: UUID, main: UUID) -> None:
    """B11"""
    ada = world.user(acme, main, "Ada", "ada", email="ada@acme.example", job_title="typed")
    world.stored[ada].overrides = {"job_title": "typed"}

    assert Bench(world).people(who("Ada", job_title="Clerk")).changes == []


@pytest.mark.parametrize(("when", "kept"), [("always", "new"), ("create", "old"), ("empty", "old")])
def test_when_says_in_which_changes_a_rule_counts(
    world: FakeFacts, acme: UUID, main: UUID, when: str, kept: str
) -> None:
    world.user(acme, main, "Ada", "ada", email="ada@acme.example", job_title="old")
    rule = {"from": "job_title", "when": when}
    bench = Bench(world, user={**MAPPING["user"], "fields": {"job_title": rule}})

    changes = bench.people(who("Ada", job_title="new")).changes

    assert (changes[0].after["job_title"] if changes else "old") == kept


@pytest.mark.parametrize(("keeps", "acts"), [({}, True), ({"keep_active": True}, False)])
def test_who_is_disabled_leaves_unless_kept(
    world: FakeFacts, acme: UUID, main: UUID, keeps: dict[str, bool], acts: bool
) -> None:
    """B12"""
    world.user(acme, main, "Ada", "ada", email="ada@acme.example", **keeps)

    changes = Bench(world).people(who("Ada", active=False)).changes

    assert [change.action for change in changes] == ([Action.DEACTIVATE] if acts else [])


def test_who_lives_on_in_another_source_does_not_leave(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    ada = world.user(acme, main, "Ada", "ada", email="ada@acme.example")
    world.tie_elsewhere(ada)

    assert Bench(world).people(who("Ada", active=False)).changes == []


# -- sites -----------------------------------------------------------------------------------------


def test_the_site_of_a_person_is_found_in_order(world: FakeFacts, acme: UUID, main: UUID) -> None:
    """Their location, the named site, the domain's site, else Main."""
    hall = world.site(acme, "Hall", "hall")
    tower = world.site(acme, "Tower")
    domain = world.site(acme, "Online", email_domain="online.example")
    bench = Bench(world, site={"from": ["office_location", "city"], "by_email_domain": True})

    out = bench.people(
        who("A", location="hall", office_location="Tower"),
        who("B", office_location=" TOWER "),
        who("C", city="tower"),
        who("D", mail="d@online.example"),
        who("E"),
        who("F", location="unknown"),
    )

    wanted = [hall, tower, tower, domain, main, main]
    assert [change.after["site"] for change in out.changes] == [one.hex for one in wanted]


def test_a_site_that_is_named_first_here_is_created_once(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    bench = Bench(world, site={"from": "office_location"})

    pages = [bench.people(who(name, office_location="Tower")) for name in ("Ada", "Bob")]

    (site,) = of(Kind.SITE, [change for page in pages for change in page.changes])
    users = of(Kind.USER, [change for page in pages for change in page.changes])
    assert site.after == {"name": "Tower", "active": True}
    assert {user.after["site"] for user in users} == {site.entity.hex}


@pytest.mark.parametrize(("otherwise", "name"), [("main", "Main"), ("holding", "Unassigned")])
def test_whom_nothing_places_waits_where_the_mapping_says(
    world: FakeFacts, acme: UUID, otherwise: str, name: str
) -> None:
    out = Bench(world, site={"otherwise": otherwise}).people(who("Ada"), who("Bob"))

    (site,) = of(Kind.SITE, out.changes)
    assert (site.after["name"], site.after["role"]) == (name, otherwise)


def test_a_linked_person_whom_nothing_places_stays(
    world: FakeFacts, acme: UUID, main: UUID
) -> None:
    tower = world.site(acme, "Tower")
    world.user(acme, tower, "Ada", "ada", email="ada@acme.example")

    assert Bench(world).people(who("Ada")).changes == []


def test_sites_are_matched_within_their_client(world: FakeFacts, acme: UUID, main: UUID) -> None:
    bolt = world.client("Bolt", "bolt")
    out = Bench(world).plan(
        "locations",
        Location(key="1", organization="acme", name="main"),
        Location(key="2", organization="bolt", name="Main"),
        Location(key="3", organization="nobody", name="Main"),
    )

    assert [(one.action, one.client) for one in out.changes] == [
        (Action.UPDATE, acme),
        (Action.CREATE, bolt),
    ]
    assert [one.key for one in out.quarantined] == ["3"]


# -- clients ---------------------------------------------------------------------------------------


def test_a_name_alone_is_no_proof_unless_the_mapping_says_so(world: FakeFacts, acme: UUID) -> None:
    organization = Organization(key="new", name="ACME")

    strict = Bench(world, client={"match": ["ref"]}).plan("organizations", organization)
    loose = Bench(world).plan("organizations", organization)

    assert [one.code for one in strict.quarantined] == ["same_name"]
    # the only Acme is linked to another record of this source
    assert [one.code for one in loose.quarantined] == ["ambiguous_client"]


def test_unknown_clients_wait_where_none_are_to_be_created(world: FakeFacts) -> None:
    bench = Bench(world, client={"match": ["ref"], "create": False})

    out = bench.plan("organizations", Organization(key="new", name="New"))
    assert [one.code for one in out.quarantined] == ["unknown_client"]
    people = bench.people(who("Ada", organization="new"))
    assert [one.code for one in people.quarantined] == ["unknown_client"]


def test_people_find_the_client_that_this_plan_creates(world: FakeFacts) -> None:
    bench = Bench(world)

    (client,) = bench.plan("organizations", Organization(key="new", name="New")).changes
    changes = bench.people(who("Ada", organization="new")).changes

    assert {change.client for change in changes} == {client.entity}
    assert [change.kind for change in changes] == [Kind.SITE, Kind.USER]
