"""A partner with many customers: some of them lose us, and nobody pays for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors import base
from syncd.connectors.microsoft.csp import MicrosoftCsp
from syncd.sealing import new_key
from syncd.sync import flow, walking
from syncd.sync.flow import Outcome
from syncd.sync.granting import vault
from tests.fakes.https import Reply, ca_file
from tests.fakes.microsoft.directory import Tenant
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.stories.desk import Desk


class Partner:
    """A desk that reads the customers of a partner."""

    def __init__(self, desk: Desk, world: MicrosoftWorld) -> None:
        self.desk, self.world = desk, world
        network = world.network()
        private = ", ".join(f'"{one}"' for one in network.private)
        desk.precedence = f'[network]\nprivate = [{private}]\nca_file = "{ca_file()}"\n'
        (desk.folder / "connections" / "people.toml").unlink()
        config = {
            "tenant": world.directory.home.id,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "authority": world.servers["signin"].root,
            "graph": f"{world.servers['graph'].root}/v1.0",
            "partner_center": f"{world.servers['partner'].root}/v1",
        }
        lines = "\n".join(f"{key} = {value!r}" for key, value in config.items())
        text = f'connector = "microsoft_csp"\n[config]\n{lines}\n'
        (desk.folder / "connections" / "csp.toml").write_text(text, encoding="utf-8")
        (desk.folder / "syncd.keys").write_text(new_key())
        desk.reload()
        kept = vault(desk.database, desk.engine.settings, "csp")
        kept.put({"refresh_token": world.service.first_grant()}, "ada")

    def customers(self, count: int, people: int = 2) -> list[Tenant]:
        """So many customers with so many people each."""
        made = []
        for number in range(count):
            tenant = self.world.directory.customer(f"Customer {number:02}")
            for each in range(people):
                tenant.add(f"Person {number:02} {each}")
            made.append(tenant)
        return made

    def sync(self, mode: str = "apply", *, full: bool = False) -> Outcome:
        self.world.forget_what_was_asked()
        return flow.sync(self.desk.engine, "csp", mode=mode, full=full)

    def active(self, tenant: Tenant) -> list[str]:
        return [one.name for one in self.desk.users() if one.client == tenant.name and one.active]


@pytest.fixture
def partner(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Partner]:
    monkeypatch.setattr(base, "find", lambda _name: MicrosoftCsp)
    monkeypatch.setattr(walking.time, "sleep", lambda _seconds: None)
    with MicrosoftWorld().serving() as world:
        yield Partner(desk, world)


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
    assert asked <= 5 * 3 + 4


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
