"""How tenants stand: noted as data, with what mends it, and only where it is news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.errors import AccessLost
from syncd.store import answers_partitions
from syncd.sync import standing
from tests.fakes.https import Reply
from tests.stories.microsoft import OneTenant, Partner


def health(partner: Partner | OneTenant) -> dict[str, list[str] | None]:
    """The troubles of each partition; None: never read."""
    found = answers_partitions.health(partner.desk.database)
    return {one.name: None if one.troubles is None else sorted(one.troubles) for one in found}


def test_a_tenant_that_was_read_is_ok_and_that_is_written_once(partner: Partner) -> None:
    partner.customers(2)
    partner.sync()
    assert health(partner) == {"Customer 00": [], "Customer 01": []}


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("consent", "consent_missing"),
        ("roles", "role_missing"),
        ("terminated", "gdap_expired"),
        ("never related", "gdap_missing"),
        ("conditional access", "conditional_access"),
        ("no customer", "relationship_ended"),
    ],
)
def test_each_way_of_losing_a_tenant_has_a_name(partner: Partner, how: str, code: str) -> None:
    tenants = partner.customers(4)
    partner.sync()
    lost = tenants[0]
    if how == "consent":
        lost.consented = False
    elif how == "roles":
        lost.roles = False
    elif how == "terminated":
        lost.relate(status="terminated")
    elif how == "never related":
        lost.relationships = []
    elif how == "conditional access":
        partner.world.service.refused[lost.id] = ("interaction_required", 53003, "")
    else:
        told = b'{"code": 20002, "description": "no relationship"}'
        partner.world.partner_faults.on(f"customers/{lost.id}", Reply(403, told))
    outcome = partner.sync()
    assert outcome.state == "partial"
    assert health(partner) == {
        "Customer 00": [code], "Customer 01": [], "Customer 02": [], "Customer 03": [],
    }  # fmt: skip
    assert len(partner.active(lost)) == 2
    before = answers_partitions.health(partner.desk.database)
    partner.desk.wait(hours=3)
    partner.sync()
    assert answers_partitions.health(partner.desk.database) == before  # since when, too


def test_delegated_administration_that_ends_soon_is_told_beforehand(partner: Partner) -> None:
    tenants = partner.customers(3)
    soon, late = (datetime.now(UTC) + timedelta(days=days) for days in (29, 31))
    tenants[0].relate(ends=f"{soon:%Y-%m-%dT%H:%M:%SZ}")
    tenants[1].relate(ends=f"{late:%Y-%m-%dT%H:%M:%SZ}")
    tenants[2].relate(ends=f"{soon:%Y-%m-%dT%H:%M:%SZ}")
    tenants[2].relationships[0]["autoExtendDuration"] = "P180D"
    assert partner.sync().state == "succeeded"
    assert health(partner) == {
        "Customer 00": ["gdap_expiring"], "Customer 01": [], "Customer 02": [],
    }  # fmt: skip


def test_access_that_is_back_is_ok_again(partner: Partner) -> None:
    lost, *_ = partner.customers(4)
    partner.sync()
    lost.consented = False
    partner.sync()
    lost.consented = True
    assert partner.sync().state == "succeeded"
    assert health(partner)["Customer 00"] == []


def test_a_tenant_that_throttles_for_too_long_says_so(partner: Partner) -> None:
    partner.customers(2)
    partner.world.graph_faults.on("users/delta", Reply(429, b"", {"Retry-After": "3600"}), times=1)
    partner.sync()
    assert sorted(map(str, health(partner).values())) == ["['throttled']", "[]"]


def test_the_check_names_who_cannot_be_read_and_the_fix(partner: Partner) -> None:
    lost, *_ = partner.customers(3)
    lost.consented = False
    (told,) = standing.diagnose(partner.desk.engine, "csp")
    assert "Customer 00" in told
    assert "no consent" in told
    assert "administrator" in told


def test_the_check_fails_where_nothing_can_be_read(partner: Partner) -> None:
    for lost in partner.customers(3):
        lost.roles = False
    with pytest.raises(AccessLost, match="none of it can be read"):
        standing.diagnose(partner.desk.engine, "csp")


def test_the_check_of_one_tenant_finds_what_a_sync_would_run_into(tenant: OneTenant) -> None:
    tenant.world.graph_faults.on("/users", Reply(403, b'{"error": {"code": "Forbidden"}}'))
    with pytest.raises(AccessLost, match=r"User\.Read\.All"):
        standing.diagnose(tenant.desk.engine, "entra")
