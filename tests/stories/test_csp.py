"""A partner with many customers: some of them lose us, and nobody pays for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.https import Reply
from tests.stories.microsoft import Partner


def test_each_customer_becomes_a_client_with_its_address_and_its_people(partner: Partner) -> None:
    partner.customers(3)
    outcome = partner.sync()
    assert outcome.state == "succeeded", outcome
    found = [(one.name, one.client, one.site) for one in partner.desk.users()]
    assert found[:2] == [
        ("Person 00 0", "Customer 00", "Main"),
        ("Person 00 1", "Customer 00", "Main"),
    ]
    assert len(found) == 6
    again = partner.sync()
    assert again.state == "succeeded", again
    assert "read people" not in again.counts


def test_an_idle_run_asks_little_of_each_customer(partner: Partner) -> None:
    partner.customers(5)
    partner.sync()
    before = partner.desk.rows()
    partner.sync()
    assert partner.desk.rows() == before
    asked = sum(len(partner.world.asked(part)) for part in ("signin", "graph", "partner"))
    assert asked <= 5 * 6 + 4


@pytest.mark.parametrize("how", ["roles", "consent", "relationship", "conditional access"])
def test_customers_that_may_not_be_read_stay_as_they_are_and_the_others_go_on(
    partner: Partner, how: str
) -> None:
    """A40"""
    tenants = partner.customers(8)
    partner.sync()
    lost, kept = tenants[:3], tenants[3:]
    for tenant in tenants:
        tenant.delete(next(iter(tenant.users)))
        tenant.add("Joiner Of All")
    for tenant in lost:
        if how == "roles":
            tenant.roles = False
        elif how == "consent":
            tenant.consented = False
        elif how == "relationship":
            tenant.relate(status="terminated")
        else:
            partner.world.service.refused[tenant.id] = ("interaction_required", 53003, "")
    partner.world.service.expire_access()

    outcome = partner.sync()

    assert outcome.state == "partial"
    for tenant in lost:
        assert len(partner.active(tenant)) == 2
        assert "Joiner Of All" not in partner.active(tenant)
    for tenant in kept:
        assert len(partner.active(tenant)) == 2
        assert "Joiner Of All" in partner.active(tenant)
    told = [one for one in outcome.notices if "people not read" in one]
    assert len(told) == 3


def test_a_customer_that_left_the_partner_keeps_its_people(partner: Partner) -> None:
    """A41"""
    tenants = partner.customers(8)
    partner.sync()
    tenants[0].is_customer = False
    outcome = partner.sync()
    assert "not listed by the source any more" in " ".join(outcome.notices)
    assert len(partner.active(tenants[0])) == 2


def test_a_halved_list_of_customers_retires_nobody(partner: Partner) -> None:
    tenants = partner.customers(8)
    partner.sync()
    for tenant in tenants[:5]:
        tenant.is_customer = False
    outcome = partner.sync()
    assert outcome.state == "partial"
    assert all(len(partner.active(tenant)) == 2 for tenant in tenants)


def test_a_grant_that_was_revoked_pauses_the_connection(partner: Partner) -> None:
    """A21"""
    partner.customers(2)
    partner.sync()
    partner.world.service.revoke()
    with pytest.raises(Exception, match="syncd connect"):
        partner.sync()
    row = partner.desk.engine.runs.ensure_connection("csp", "")
    assert row.state == "paused"
    assert len(partner.world.asked("signin")) == 1


def test_one_tenant_that_does_not_answer_fails_alone(partner: Partner) -> None:
    """A06"""
    tenants = partner.customers(3)
    partner.world.partner_faults.on(tenants[1].id, Reply(503))
    outcome = partner.sync()
    assert outcome.state == "partial"
    assert [len(partner.active(tenant)) for tenant in tenants] == [2, 0, 2]


def test_no_secret_is_in_the_database_or_in_what_is_shown(partner: Partner, tmp_path: Path) -> None:
    """E15, E17"""
    partner.customers(2)
    outcome = partner.sync()
    from syncd.store import tables as t

    told = repr((outcome, partner.desk.rows(*t.metadata.sorted_tables)))
    assert "canary-" not in told
