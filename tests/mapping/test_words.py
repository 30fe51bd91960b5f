"""What people said about records stands before every rule; without a database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from syncd.changes import Action, Decisions, Effect, LinkFact, LinkState, Verdict, Word
from syncd.entities import Kind
from syncd.mapping.items import Item
from syncd.records import Organization, Person
from tests.mapping.facts import FakeFacts
from tests.mapping.test_planner import Bench, who


@pytest.fixture
def world() -> FakeFacts:
    """Ada and Bob at Acme, both with the address that the record `ada` has."""
    made = FakeFacts()
    acme = made.client("Acme", "acme")
    main = made.site(acme, "Main", role="main")
    for name in ("Ada", "Bob"):
        made.user(acme, main, name, email="ada@acme.example")
    return made


def named(world: FakeFacts, name: str) -> UUID:
    return next(one.id for one in world.stored.values() if one.values["name"] == name)


def say(world: FakeFacts, verdict: Verdict, whom: UUID | None = None, **key: str) -> None:
    place = (key.get("stream", "people"), key.get("key", "ada"))
    world.words[place] = Word(verdict, whom, "tess", "why not")


def tied(world: FakeFacts, state: LinkState, entity: UUID | None) -> None:
    world.linked["people", "ada"] = LinkFact("ada", state, Kind.USER, entity, 0, None)


def people(world: FakeFacts, *some: Person, **sections: Any) -> Decisions:
    return Bench(world, **sections).people(*some)


def test_who_is_named_is_linked_and_pinned_though_others_have_the_keys(world: FakeFacts) -> None:
    say(world, Verdict.LINK, named(world, "Bob"))
    (link,) = people(world, who("Ada")).links
    assert (link.entity, link.matched_by, link.pinned) == (named(world, "Bob"), "a person", True)


def test_a_later_plan_leaves_the_pin_as_it_is(world: FakeFacts) -> None:
    say(world, Verdict.LINK, named(world, "Bob"))
    tied(world, LinkState.ALIVE, named(world, "Bob"))
    (link,) = people(world, who("Ada", job_title="Head")).links
    assert link.pinned is None


def test_a_record_that_names_no_client_is_linked_in_the_client_of_who_is_named(
    world: FakeFacts,
) -> None:
    say(world, Verdict.LINK, named(world, "Bob"))
    out = people(world, who("Ada", organization=None))
    assert out.quarantined == []
    assert [change.action for change in out.changes] == [Action.UPDATE]


def test_adoption_by_a_person_needs_no_leave_of_the_mapping(world: FakeFacts) -> None:
    say(world, Verdict.LINK, named(world, "Bob"))
    user = {"match": ["email"], "adopt": False}
    assert people(world, who("Ada"), user=user).quarantined == []


def test_an_undone_record_goes_to_who_is_named_though_it_was_another_s(world: FakeFacts) -> None:
    say(world, Verdict.LINK, named(world, "Bob"))
    tied(world, LinkState.UNDONE, named(world, "Ada"))
    (link,) = people(world, who("Ada")).links
    assert link.entity == named(world, "Bob")


def test_a_linked_record_stays_where_it_is_whatever_was_said(world: FakeFacts) -> None:
    tied(world, LinkState.ALIVE, named(world, "Ada"))
    for verdict in Verdict:
        say(world, verdict, named(world, "Bob") if verdict is Verdict.LINK else None)
        out = people(world, who("Ada", job_title="Head"))
        assert [link.entity for link in out.links] == [named(world, "Ada")]


def test_a_creation_by_a_person_is_marked_and_claims_no_key(world: FakeFacts) -> None:
    say(world, Verdict.CREATE)
    out = people(world, who("Ada"))
    (change,) = out.changes
    assert (change.action, change.effects) == (Action.CREATE, int(Effect.DECIDED))
    assert change.reason == "created by tess: why not"
    assert out.claims == []


def test_an_ignored_record_is_not_even_parsed(world: FakeFacts) -> None:
    say(world, Verdict.IGNORE)
    bench = Bench(world)
    out = bench.plan("people", who("Zoe", key="zoe"), who("Ada"))
    ignored = next(link for link in out.links if link.key == "ada")
    assert (ignored.state, ignored.entity, ignored.digest) == (LinkState.SKIPPED, None, b"digest")
    assert ignored.note == "ignored by tess"
    assert [change.key for change in out.changes] == ["zoe"]


def test_a_word_about_a_record_inside_another_item_counts_too(world: FakeFacts) -> None:
    say(world, Verdict.IGNORE, stream="organizations", key="bolt")
    bench = Bench(world)
    both = [who("Zoe", organization="bolt"), Organization(key="bolt", name="Bolt")]
    out = bench.planner.plan("people", lambda _raw: both, [Item("zoe", b"zoe", b"d")], {})
    assert [(one.stream, one.state) for one in out.links] == [("organizations", LinkState.SKIPPED)]
    assert [one.code for one in out.quarantined] == ["unknown_client"]


@pytest.mark.parametrize("kind", [Kind.CLIENT, Kind.USER])
def test_a_word_that_names_nobody_of_its_kind_sets_the_record_aside(
    world: FakeFacts, kind: Kind
) -> None:
    whom = named(world, "Acme") if kind is Kind.CLIENT else UUID(int=5)
    world.stored.setdefault(UUID(int=5), world.stored[named(world, "Bob")])
    world.stored[UUID(int=5)].retired = True
    say(world, Verdict.LINK, whom)
    out = people(world, who("Ada"))
    assert [(one.code, one.fields) for one in out.quarantined] == [("decision_void", ())]
    assert (out.links, out.changes) == ([], [])
