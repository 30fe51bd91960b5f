"""Correlation: the first rule that finds anybody decides, and doubt is an answer."""

from __future__ import annotations

from uuid import UUID

import pytest

from syncd.changes import LinkState, Situation
from syncd.entities import Kind
from syncd.mapping.match import Match, Subject, claims, correlate
from syncd.records import Identity
from tests.mapping.facts import FakeFacts

RULES = [("identity",), ("employee_id",), ("email",), ("name", "phone")]
IDENTITY = Identity("https://idp.example", "s1")


@pytest.fixture
def world() -> FakeFacts:
    return FakeFacts()


@pytest.fixture
def acme(world: FakeFacts) -> UUID:
    return world.client("Acme")


@pytest.fixture
def ada(world: FakeFacts, acme: UUID) -> UUID:
    hall = world.site(acme, "Hall")
    return world.user(acme, hall, "Ada", email="ada@x.example", employee_id="7", phone="1234567")


def look_up(world: FakeFacts, scope: UUID | None, fresh: bool = False, **keys: str) -> Match:
    subject = Subject(keys, scope, fresh)
    return correlate(Kind.USER, "people", RULES, [subject], world)[0]


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"employee_id": "7", "email": "other@x.example"}, "employee_id"),
        ({"employee_id": "8", "email": "ada@x.example"}, "email"),
        ({"name": "ada", "phone": "1234567"}, "name+phone"),
        ({"name": "ada"}, None),
        ({"phone": "1234567"}, None),
        ({"name": "ada", "phone": "7654321"}, None),
        ({"email": ""}, None),
        ({}, None),
    ],
)
def test_the_first_rule_that_finds_anybody_decides(
    world: FakeFacts, acme: UUID, ada: UUID, keys: dict[str, str], rule: str | None
) -> None:
    match = look_up(world, acme, **keys)

    if rule is None:
        assert match.situation is Situation.NEW
    else:
        assert (match.situation, match.entity, match.rule) == (Situation.MATCHED, ada, rule)


def test_an_earlier_rule_wins_over_a_later_one_that_names_somebody_else(
    world: FakeFacts, acme: UUID, ada: UUID
) -> None:
    world.user(acme, world.site(acme, "Hall"), "Bob", email="bob@x.example")

    match = look_up(world, acme, employee_id="7", email="bob@x.example")

    assert (match.entity, match.rule) == (ada, "employee_id")


def test_keys_are_those_of_one_client_and_identities_of_all(
    world: FakeFacts, acme: UUID, ada: UUID
) -> None:
    """B08"""
    bolt = world.client("Bolt")
    world.identities[IDENTITY] = ada

    assert look_up(world, bolt, email="ada@x.example").situation is Situation.NEW
    subject = Subject({}, bolt, identities=(IDENTITY,))
    assert correlate(Kind.USER, "people", RULES, [subject], world)[0].entity == ada


def test_nobody_is_found_in_a_client_that_this_plan_creates(
    world: FakeFacts, acme: UUID, ada: UUID
) -> None:
    match = look_up(world, acme, fresh=True, email="ada@x.example")

    assert match.situation is Situation.NEW


def test_two_who_answer_to_one_rule_are_ambiguous(world: FakeFacts, acme: UUID, ada: UUID) -> None:
    """B02"""
    twin = world.user(acme, world.site(acme, "Hall"), "Ada II", email="ada@x.example")

    match = look_up(world, acme, email="ada@x.example")

    assert match.situation is Situation.AMBIGUOUS
    assert set(match.rivals) == {ada, twin}


@pytest.mark.parametrize(
    ("state", "situation"),
    [
        (LinkState.ALIVE, Situation.AMBIGUOUS),
        (LinkState.MISSED, Situation.AMBIGUOUS),
        (LinkState.GONE, Situation.NEW),
        (LinkState.UNDONE, Situation.NEW),
    ],
)
def test_whom_this_source_links_or_once_linked_is_never_matched(
    world: FakeFacts, acme: UUID, ada: UUID, state: LinkState, situation: Situation
) -> None:
    world.link("people", "old-key", ada, Kind.USER, state)

    match = look_up(world, acme, email="ada@x.example")

    assert (match.situation, match.entity, match.rivals) == (situation, None, (ada,))
    assert match.why


def test_a_key_that_its_holder_gives_up_in_this_plan_is_free(
    world: FakeFacts, acme: UUID, ada: UUID
) -> None:
    world.planned[ada, "email"] = "new@x.example"

    assert look_up(world, acme, email="ada@x.example").situation is Situation.NEW


def test_a_key_that_somebody_takes_on_in_this_plan_is_theirs(
    world: FakeFacts, acme: UUID, ada: UUID
) -> None:
    world.link("people", "ada", ada, Kind.USER)
    world.planned[ada, "email"] = "new@x.example"

    match = look_up(world, acme, email="new@x.example")

    assert (match.situation, match.rivals) == (Situation.AMBIGUOUS, (ada,))


def test_claims_meet_where_entity_or_key_are_the_same(acme: UUID) -> None:
    """B01"""

    def claimed(**keys: str) -> set[int]:
        return set(claims(Kind.USER, RULES, Subject(keys, acme), Match(Situation.NEW)))

    assert claimed(email="a@x.example") & claimed(email="a@x.example", employee_id="1")
    assert claimed(name="ada", phone="1") & claimed(name="ada", phone="1", email="b@x.example")
    assert not claimed(email="a@x.example") & claimed(email="b@x.example")
    assert not claimed(name="ada") | claimed(phone="1") | claimed(email="")
