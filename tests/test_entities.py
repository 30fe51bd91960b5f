"""The ids that syncd gives to what it keeps."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest

from syncd.entities import new_id, uuid_of


def fresh_ids(count: int) -> list[UUID]:
    """The first ids of a new thread, whose clock no other test has touched."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: [new_id() for _ in range(count)]).result()


def test_an_id_is_a_uuid_of_version_7_that_tells_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    (made,) = fresh_ids(1)

    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
    assert uuid_of(made.bytes) == UUID(hex=made.hex) == made


@pytest.mark.parametrize("moments", [[5000] * 5000, [5000, 4000, 3000, 6000]])
def test_each_id_follows_the_last_although_the_clock_stands_still_or_goes_back(
    monkeypatch: pytest.MonkeyPatch, moments: list[int]
) -> None:
    """More of them than 12 bits can count within one millisecond."""
    clock = iter(moments)
    monkeypatch.setattr("syncd.entities.time.time_ns", lambda: next(clock, 6000) * 1_000_000)

    made = fresh_ids(len(moments))

    assert made == sorted(made)
    assert len({*made}) == len(moments)
    assert {one.version for one in made} == {7}
