"""What a change leaves: who owns each value, in the fewest words."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from syncd.changes import OWNERS, in_force
from syncd.entities import Entity, Kind, new_id

NAMES = [f"custom.{letter}" for letter in "abcdefg"]
SOURCES = ["entra", "xero", "hr"]
owners = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SOURCES))


def user(values: dict[str, Any], provenance: dict[str, str]) -> Entity:
    return Entity(new_id(), Kind.USER, new_id(), new_id(), values, {}, provenance, False)


def told(one: Entity) -> dict[str, str | None]:
    """The owner of each value."""
    return {name: one.owner(name) for name in one.values}


@given(
    st.dictionaries(st.sampled_from(NAMES), st.just("old")),
    owners,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["new", None])),
    owners,
    st.sampled_from([*SOURCES, "local"]),
)
def test_owners_are_the_same_however_briefly_they_are_kept(
    values: dict[str, str],
    provenance: dict[str, str],
    news: dict[str, str | None],
    named: dict[str, str],
    writer: str,
) -> None:
    before = user(values, {"*": "entra", **provenance})

    after = in_force(before, {**news, OWNERS: named}, writer)

    writes = {name: named.get(name, writer) for name, value in news.items() if value}
    merged = {name: value for name, value in {**values, **news}.items() if value}
    assert after.values == merged
    assert told(after) == {
        name: writes.get(name) or named.get(name) or before.owner(name) for name in merged
    }


def test_a_source_that_takes_a_user_over_is_named_once() -> None:
    before = user({**dict.fromkeys(NAMES, "same"), "active": True}, {"*": "entra"})

    after = in_force(before, {OWNERS: dict.fromkeys(NAMES, "xero")}, "xero")

    assert after.provenance == {"*": "xero", "active": "entra"}


def test_a_person_owns_what_they_set_and_no_more() -> None:
    before = user(dict.fromkeys(NAMES, "same"), {"*": "entra"})

    after = in_force(before, dict.fromkeys(NAMES, "set"), "local")

    assert after.provenance == {"*": "entra", **dict.fromkeys(NAMES, "local")}
