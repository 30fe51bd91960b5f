"""The limits of a plan: pure arithmetic, at their edges."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.mapping.guard import ClientCounts, allowed, overruns
from syncd.mapping.rules import Limit, Mapping

LIMITS = Mapping().limits


def said(*clients: ClientCounts, **more: Any) -> list[tuple[str, str]]:
    active = sum(one.active for one in clients)
    given = {"run_leaving": 0, "run_active": active, "partition_active": active, "empty": False}
    found = overruns(LIMITS, clients, **{**given, **more})
    return [(one.guard, one.scope) for one in found]


@pytest.mark.parametrize(
    ("count", "share", "scope", "most"),
    [
        *((3, 0.1, 0, 3), (3, 0.1, 30, 3), (3, 0.1, 39, 3), (3, 0.1, 40, 4)),
        *((20, 0.5, 30, 20), (20, 0.5, 101, 50), (0, 0.0, 100, 0)),
    ],
)
def test_the_larger_of_count_and_share_is_allowed(
    count: int, share: float, scope: int, most: int
) -> None:
    assert allowed(Limit(count=count, share=share), scope) == most


@pytest.mark.parametrize(
    ("counts", "guards"),
    [
        ({"active": 10, "leaving": 3}, []),
        ({"active": 10, "leaving": 4}, ["leavers", "leavers"]),
        ({"active": 100, "leaving": 10}, []),
        ({"active": 100, "leaving": 11}, ["leavers", "leavers"]),
        ({"active": 7, "leaving": 1, "left_today": 3}, ["leavers", "leavers"]),
        ({"active": 7, "leaving": 0, "left_today": 9}, []),
        ({"active": 2, "leaving": 2}, ["emptied_client"]),
        ({"active": 1, "leaving": 1}, []),
        ({"active": 3, "leaving": 2, "moving": 1}, ["emptied_client", "moves"]),
        ({"total": 0, "creating": 5000}, []),
        ({"total": 10, "creating": 50}, []),
        ({"total": 10, "creating": 51}, ["creations"]),
        ({"total": 1000, "creating": 250}, []),
        ({"total": 1000, "moving": 1}, ["moves"]),
        ({"total": 10, "site_moves": 20}, []),
        ({"total": 10, "site_moves": 21}, ["site_moves"]),
        ({"total": 10, "key_changes": 21}, ["key_changes"]),
        ({"assigned": 40, "releasing": 20}, []),
        ({"assigned": 40, "releasing": 21}, ["license_releases"]),
        ({"assigned": 400, "releasing": 100}, []),
        ({"assigned": 400, "releasing": 101}, ["license_releases"]),
        ({"assigned": 0, "releasing": 21}, ["license_releases"]),
    ],
)
def test_each_limit_holds_what_is_over_it(counts: dict[str, int], guards: list[str]) -> None:
    assert [guard for guard, _ in said(ClientCounts("Acme", **counts))] == guards


def test_an_empty_answer_is_told_first() -> None:
    assert said(empty=True) == [("empty_read", "partition")]


def test_small_counts_of_many_clients_add_up() -> None:
    clients = [ClientCounts(f"C{n}", active=10, leaving=2) for n in range(10)]

    assert said(*clients) == [("leavers", "partition")]
    assert said(*clients, run_leaving=21) == [("leavers", "partition"), ("leavers", "run")]
