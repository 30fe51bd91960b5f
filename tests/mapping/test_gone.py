"""What becomes of a record that is gone: by its reason, its rule and its clock."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from syncd.changes import Action, Effect, LinkFact, LinkState
from syncd.entities import Kind
from syncd.mapping.fields import compile_mapping
from syncd.mapping.gone import plan_gone
from syncd.mapping.page import Context, Page
from syncd.mapping.rules import Mapping
from syncd.mapping.values import Precedence
from tests.mapping.facts import FakeFacts

HOUR, DAY, NOW = 3600.0, 86_400.0, 1e9


@pytest.fixture
def world() -> FakeFacts:
    return FakeFacts()


@pytest.fixture
def ada(world: FakeFacts) -> UUID:
    acme = world.client("Acme")
    return world.user(acme, world.site(acme, "Main"), "Ada")


def plan(
    world: FakeFacts,
    link: LinkFact,
    rule: dict[str, Any],
    stream: str = "people",
    reason: str = "absent",
) -> tuple[Action | None, LinkState | None]:
    """(action, state of the link) that are decided for one record that is gone; `rule`: of those
    that are absent.
    """
    rules = compile_mapping(Mapping.model_validate({"gone": {"absent": rule}}))
    page = Page()
    context = Context(rules, world, Precedence("people", {}), NOW)
    plan_gone(context, stream, [link], reason, page)
    changes, links = page.out.changes, page.out.links
    return (
        changes[0].action if changes else None,
        LinkState(links[0].state) if links else None,
    )


DUE = (Action.DEACTIVATE, LinkState.GONE)
WAITS = (Action.MISS, LinkState.MISSED)
KEPT = (Action.GONE, LinkState.GONE)
NOTHING = (None, None)


@pytest.mark.parametrize(
    ("after", "misses", "since", "wanted"),
    [
        ([], 0, None, DUE),
        (["2 reads"], 0, None, WAITS),
        (["2 reads"], 1, 0.5 * HOUR, NOTHING),
        (["2 reads"], 1, 1.5 * HOUR, DUE),
        (["3 reads"], 1, 1.5 * HOUR, WAITS),
        (["7 days"], 0, None, WAITS),
        (["7 days"], 1, 6.9 * DAY, NOTHING),  # there is nothing left to count
        (["7 days"], 1, 7.1 * DAY, DUE),
        (["7 days", "9 reads"], 5, 7.1 * DAY, WAITS),
    ],
)
def test_a_clock_runs_from_the_first_miss(
    world: FakeFacts, ada: UUID, after: list[str], misses: int, since: float | None, wanted: Any
) -> None:
    state = LinkState.MISSED if misses else LinkState.ALIVE
    missed_at = None if since is None else NOW - since
    link = LinkFact("ada", state, Kind.USER, ada, misses, missed_at, note="absent")

    assert plan(world, link, {"action": "deactivate", "after": after}) == wanted


@pytest.mark.parametrize("action", ["keep", "review"])
def test_a_rule_may_keep_whoever_is_gone(world: FakeFacts, ada: UUID, action: str) -> None:
    link = LinkFact("ada", LinkState.ALIVE, Kind.USER, ada, 0, None)

    assert plan(world, link, {"action": action}) == KEPT


def test_nobody_leaves_who_is_kept_for_another_reason(world: FakeFacts, ada: UUID) -> None:
    """B12"""
    link = LinkFact("ada", LinkState.ALIVE, Kind.USER, ada, 0, None)
    user, rule = world.stored[ada], {"action": "deactivate", "after": []}
    assert plan(world, link, rule) == DUE

    world.tie_elsewhere(ada)
    assert plan(world, link, rule) == KEPT
    world.others.clear()

    user.values["keep_active"] = True
    assert plan(world, link, rule) == KEPT
    del user.values["keep_active"]

    user.overrides["active"] = True
    assert plan(world, link, rule) == KEPT
    user.overrides.clear()

    user.values["active"] = False
    assert plan(world, link, rule) == KEPT


@pytest.mark.parametrize(
    ("stream", "kind"), [("organizations", Kind.CLIENT), ("locations", Kind.SITE)]
)
def test_a_client_or_site_is_only_marked(world: FakeFacts, stream: str, kind: Kind) -> None:
    """A41"""
    acme = world.client("Acme")
    place = acme if kind is Kind.CLIENT else world.site(acme, "Hall")
    link = LinkFact("acme", LinkState.ALIVE, kind, place, 0, None)

    assert plan(world, link, {"action": "deactivate", "after": []}, stream) == KEPT


def test_a_record_that_nobody_was_made_of_is_only_marked(world: FakeFacts) -> None:
    link = LinkFact("bob", LinkState.SKIPPED, Kind.USER, None, 0, None)

    assert plan(world, link, {"action": "deactivate"}) == (None, LinkState.GONE)


@pytest.mark.parametrize("note", ["", "absent", "deleted", "disabled"])
def test_who_is_retired_is_absent_and_nobody_waits(world: FakeFacts, ada: UUID, note: str) -> None:
    state = LinkState.MISSED if note else LinkState.ALIVE
    link = LinkFact("ada", state, Kind.USER, ada, 1, NOW - HOUR, note=note)

    for action, wanted in (("deactivate", DUE), ("keep", KEPT), ("review", KEPT)):
        rule = {"action": action, "after": ["9 reads", "90 days"]}
        assert plan(world, link, rule, reason="retired") == wanted


@pytest.mark.parametrize("state", [LinkState.ALIVE, LinkState.MISSED, LinkState.LEAVING])
def test_what_is_retired_together_does_not_keep_each_other(
    world: FakeFacts, ada: UUID, state: LinkState
) -> None:
    world.tie_elsewhere(ada, state)  # in partition 99
    rules = compile_mapping(Mapping())
    link = LinkFact("ada", LinkState.ALIVE, Kind.USER, ada, 0, None)
    actions = []
    for retiring in (frozenset[int](), frozenset({99})):
        page = Page()
        context = Context(rules, world, Precedence("people", {}), NOW, retiring=retiring)
        plan_gone(context, "people", [link], "retired", page)
        actions.append(page.out.changes[0].action)

    assert actions == [Action.GONE, Action.DEACTIVATE]


# -- licenses --------------------------------------------------------------------------------------

OFFICE, VISIO = ["0" * 31 + "1", 1], ["0" * 31 + "2", 3]
RELEASE = int(Effect.LICENSE_RELEASE)


def released(world: FakeFacts, ada: UUID, rule: dict[str, Any], **link: Any) -> tuple[Any, int]:
    """(licenses that the change about Ada releases, its effects), once she is absent."""
    rules = compile_mapping(Mapping.model_validate({"gone": {"absent": rule}}))
    page = Page()
    context = Context(rules, world, Precedence("people", {}), NOW)
    fact = LinkFact("ada", LinkState.ALIVE, Kind.USER, ada, 0, None)._replace(**link)
    plan_gone(context, "people", [fact], "absent", page)
    (change,) = page.out.changes
    assert ("licenses" in change.before) is ("licenses" in change.after)
    assert not change.before.get("licenses")
    return change.after.get("licenses"), change.effects


def rule(action: str = "deactivate", after: str = "1 read", **more: Any) -> dict[str, Any]:
    return {"action": action, "after": after, "release_licenses": True, **more}


def test_a_deactivation_names_every_license_that_it_releases(world: FakeFacts, ada: UUID) -> None:
    world.held[ada] = [OFFICE, VISIO]
    assert released(world, ada, rule()) == ([OFFICE, VISIO], RELEASE)


def test_a_miss_is_counted_and_releases_nothing_yet(world: FakeFacts, ada: UUID) -> None:
    world.held[ada] = [OFFICE]
    assert released(world, ada, rule(after="2 reads")) == (None, RELEASE)


@pytest.mark.parametrize(
    "given", [rule(release_licenses=False), rule("keep"), rule("review")], ids=str
)
def test_who_stays_or_whose_rule_says_nothing_keeps_them(
    world: FakeFacts, ada: UUID, given: dict[str, Any]
) -> None:
    world.held[ada] = [OFFICE]
    assert released(world, ada, given) == (None, 0)


def test_who_holds_none_releases_none(world: FakeFacts, ada: UUID) -> None:
    assert released(world, ada, rule()) == (None, 0)
    assert released(world, ada, rule(after="2 reads")) == (None, 0)


def test_nobody_releases_a_license_twice_in_one_plan(world: FakeFacts, ada: UUID) -> None:
    """Two records that became one user, gone at once."""
    world.held[ada] = [OFFICE]
    rules = compile_mapping(Mapping.model_validate({"gone": {"absent": rule()}}))
    links = [LinkFact(key, LinkState.ALIVE, Kind.USER, ada, 0, None) for key in ("a", "b")]
    page = Page()

    plan_gone(Context(rules, world, Precedence("people", {}), NOW), "people", links, "absent", page)

    assert [change.after.get("licenses") for change in page.out.changes] == [[OFFICE], None]
    assert [change.effects for change in page.out.changes] == [RELEASE, 0]
