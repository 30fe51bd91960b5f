"""What becomes of a record that is gone: by its reason, its rule and its clock."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from syncd.changes import Action, LinkFact, LinkState
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
    world: FakeFacts, link: LinkFact, rule: dict[str, Any], stream: str = "people"
) -> tuple[Action | None, LinkState | None]:
    """(action, state of the link) that are decided for one absent record."""
    rules = compile_mapping(Mapping.model_validate({"gone": {"absent": rule}}))
    page = Page()
    context = Context(rules, world, Precedence("people", {}), NOW)
    plan_gone(context, stream, [link], "absent", page)
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
