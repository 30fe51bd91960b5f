"""Groups that the mapping names: who is in them counts, whatever a person's own record says."""

from __future__ import annotations

import pytest

from tests.fakes.https import Reply
from tests.stories.microsoft import OneTenant

MAPPING = """extends = "entra"
[user]
groups = ["Service desk", "{id}"]
[user.fields]
access_level = {{ expr = "contains(groups, 'Service desk') && 'tickets' || 'none'" }}
"custom.vpn" = {{ expr = "contains(groups, '{id}') && 'yes' || 'no'" }}
"""


def _people(tenant: OneTenant) -> list[str]:
    """The ids of Bob and Maya."""
    ids = {one["displayName"]: key for key, one in tenant.home.users.items()}
    return [ids["Bob Builder"], ids["Maya Okafor"]]


@pytest.fixture
def grouped(tenant: OneTenant) -> OneTenant:
    """Maya is in a group that the mapping names, and Bob in another one, named by its id."""
    bob, maya = _people(tenant)
    tenant.home.group("Service desk", maya)
    other = tenant.home.group("VPN o'users", bob)
    tenant.home.group("Whoever", maya, bob)
    (tenant.desk.folder / "mappings" / "groups.toml").write_text(MAPPING.format(id=other))
    tenant.mapping = "groups"
    tenant.configure()
    return tenant


def levels(tenant: OneTenant) -> dict[str, str]:
    found = {one.name: one.values for one in tenant.desk.users()}
    return {
        name: f"{said['access_level']}, {said['custom']['vpn']}" for name, said in found.items()
    }


def test_a_mapping_can_ask_for_groups_by_name_and_by_id(grouped: OneTenant) -> None:
    outcome = grouped.sync()
    assert outcome.state == "succeeded", outcome
    assert levels(grouped) == {"Bob Builder": "none, yes", "Maya Okafor": "tickets, no"}
    before = grouped.desk.rows()
    grouped.sync()
    grouped.sync(full=True)
    assert grouped.desk.rows() == before


def test_who_joins_or_leaves_a_group_is_planned_again_though_nothing_else_is_new(
    grouped: OneTenant,
) -> None:
    grouped.sync()
    bob, maya = _people(grouped)
    grouped.home.group("Service desk", bob)
    outcome = grouped.sync()
    assert outcome.counts["update user"] == 2
    assert levels(grouped) == {"Bob Builder": "tickets, yes", "Maya Okafor": "none, no"}
    grouped.home.group("Service desk", bob, maya)
    grouped.sync()
    assert levels(grouped) == {"Bob Builder": "tickets, yes", "Maya Okafor": "tickets, no"}


def test_a_group_that_is_gone_has_no_members(grouped: OneTenant) -> None:
    grouped.sync()
    grouped.home.groups.clear()
    grouped.home.group_names.clear()
    assert grouped.sync().state == "succeeded"
    assert set(levels(grouped).values()) == {"none, no"}


def test_where_groups_may_not_be_read_everybody_stays_in_theirs(grouped: OneTenant) -> None:
    grouped.sync()
    grouped.world.graph_faults.on("/groups", Reply(403, b'{"error": {"code": "Forbidden"}}'))
    bob, _ = _people(grouped)
    grouped.home.rename(bob, "Bob Byron")
    assert grouped.sync().state == "partial"
    assert levels(grouped) == {"Bob Byron": "none, yes", "Maya Okafor": "tickets, no"}


def test_a_membership_is_heard_when_another_source_speaks_of_the_person(
    grouped: OneTenant,
) -> None:
    grouped.sync()
    user = grouped.desk.user("Maya Okafor")
    grouped.desk.set("Maya Okafor", job_title="Boss")
    assert grouped.desk.user("Maya Okafor").values["access_level"] == user.values["access_level"]


def test_a_mapping_that_names_no_group_asks_for_none(tenant: OneTenant) -> None:
    tenant.sync()
    assert not tenant.world.asked("graph", "groups")
