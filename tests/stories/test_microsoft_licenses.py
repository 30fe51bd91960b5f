"""Licenses and subscriptions of Microsoft: what was bought, who has it, and how that was before."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from syncd.store import answers_licenses
from syncd.store import tables as t
from syncd.store.answers_licenses import Pools
from syncd.store.dump import canonical_dump
from tests.fakes.https import Reply
from tests.fakes.microsoft.directory import BUSINESS_BASIC, BUSINESS_PREMIUM
from tests.stories.desk import Desk
from tests.stories.microsoft import OneTenant, Partner

BASIC, PREMIUM = "Microsoft 365 Business Basic", "Microsoft 365 Business Premium"


@pytest.fixture
def licensed(tenant: OneTenant) -> OneTenant:
    """Two products: of one everything is assigned, of the other nothing."""
    tenant.home.buy(BUSINESS_BASIC, 2)
    tenant.home.buy(BUSINESS_PREMIUM, 5)
    for user in list(tenant.home.users)[:2]:
        tenant.home.assign(user, BUSINESS_BASIC)
    return tenant


def pools(desk: Desk, at: datetime | None = None) -> dict[str, tuple[Decimal | None, int]]:
    """Bought and assigned, by product."""
    found = answers_licenses.pools(desk.database, at=at)
    return {one.product: (one.bought, one.assigned) for one in found.lines}


def now(desk: Desk) -> datetime:
    return desk.database.query(desk.database.now)


def test_pools_are_named_counted_and_assigned_at_the_first_read(licensed: OneTenant) -> None:
    outcome = licensed.sync()
    assert outcome.state == "succeeded", outcome
    assert pools(licensed.desk) == {BASIC: (2, 2), PREMIUM: (5, 0)}
    again = licensed.sync()
    assert again.state == "succeeded", again
    before = licensed.desk.rows()
    licensed.sync(full=True)
    assert licensed.desk.rows() == before


def test_a_move_is_told_by_the_ledger_and_by_nothing_else(licensed: OneTenant) -> None:
    licensed.sync()
    before = now(licensed.desk)
    licensed.desk.wait(hours=24)
    bob = next(iter(licensed.home.users))
    licensed.home.assign(bob, BUSINESS_PREMIUM)
    licensed.home.buy(BUSINESS_PREMIUM, 6)
    licensed.sync()
    assert pools(licensed.desk) == {BASIC: (2, 1), PREMIUM: (6, 1)}
    assert pools(licensed.desk, before) == {BASIC: (2, 2), PREMIUM: (5, 0)}


def test_before_the_first_read_nothing_is_known(licensed: OneTenant) -> None:
    early = now(licensed.desk)
    licensed.desk.wait(hours=1)
    licensed.sync()
    assert answers_licenses.pools(licensed.desk.database, at=early) == Pools(
        [], 0, [licensed.home.name]
    )


def test_a_plan_that_was_approved_later_tells_of_the_day_on_which_it_was_read(
    licensed: OneTenant,
) -> None:
    licensed.sync()
    licensed.desk.wait(hours=24)
    bob, maya, *_ = licensed.home.users
    licensed.home.assign(bob)
    licensed.home.assign(maya)
    licensed.desk.mapping("[limits]\nlicense_release = { count = 1, share = 0.0 }", "entra")
    held = licensed.sync()
    read = now(licensed.desk)
    if held.state == "held":
        licensed.desk.wait(hours=24)
        licensed.desk.approve(held.run)
    assert held.state == "held"
    assert pools(licensed.desk, read)[BASIC] == (2, 0)


def test_a_product_that_is_gone_leaves_nothing_and_comes_back_with_all_who_had_it(
    licensed: OneTenant,
) -> None:
    licensed.sync()
    sku = licensed.home.skus.pop(BUSINESS_BASIC)
    outcome = licensed.sync()
    assert outcome.state == "succeeded", outcome
    assert pools(licensed.desk) == {PREMIUM: (5, 0)}
    gone = canonical_dump(licensed.desk.database)
    licensed.sync()
    assert canonical_dump(licensed.desk.database) == gone
    licensed.home.skus[BUSINESS_BASIC] = sku
    licensed.sync()
    assert pools(licensed.desk) == {BASIC: (2, 2), PREMIUM: (5, 0)}


def test_an_undo_takes_pools_and_assignments_back(licensed: OneTenant) -> None:
    licensed.sync()
    before = pools(licensed.desk)
    licensed.home.assign(next(iter(licensed.home.users)), BUSINESS_PREMIUM)
    licensed.home.buy(BUSINESS_PREMIUM, 9)
    run = licensed.sync().run
    licensed.desk.undo(run)
    assert pools(licensed.desk) == before


def test_an_undo_of_the_first_read_leaves_nothing_and_the_next_brings_it_all_back(
    licensed: OneTenant,
) -> None:
    run = licensed.sync().run
    before = canonical_dump(licensed.desk.database, retired=False)
    licensed.desk.undo(run)
    assert pools(licensed.desk) == {}
    licensed.desk.resume("entra")
    licensed.sync()
    assert pools(licensed.desk) == {BASIC: (2, 2), PREMIUM: (5, 0)}
    assert before


@pytest.mark.parametrize(
    ("seats", "flags"),
    [(1, ("over-assigned",)), (-3, ("over-assigned", "negative")), (2.5, ("fractional",))],
)
def test_odd_counts_are_kept_as_they_are_told_and_flagged(
    licensed: OneTenant, seats: float, flags: tuple[str, ...]
) -> None:
    """A50"""
    licensed.home.buy(BUSINESS_BASIC, seats)
    assert licensed.sync().state == "succeeded"
    found = {one.product: one for one in answers_licenses.pools(licensed.desk.database).lines}
    assert (found[BASIC].bought, found[BASIC].flags) == (Decimal(str(seats)), flags)


def test_an_unknown_product_is_kept_under_its_own_name_and_flagged(licensed: OneTenant) -> None:
    """A50"""
    sku = "11111111-2222-4333-8444-555555555555"
    licensed.home.buy(sku, 3, "CONTOSO_SECRET_SKU")
    licensed.home.assign(next(iter(licensed.home.users)), sku)
    licensed.sync()
    found = {one.product: one for one in answers_licenses.pools(licensed.desk.database).lines}
    told = found["CONTOSO_SECRET_SKU"]
    assert (told.sku, told.assigned, told.flags) == (sku, 1, ("unknown product",))


def test_a_newer_table_names_what_was_unknown(licensed: OneTenant, tmp_path: Path) -> None:
    sku = "11111111-2222-4333-8444-555555555555"
    licensed.home.buy(sku, 3, "CONTOSO_NEW")
    licensed.sync()
    heading = "Product_Display_Name,String_Id,GUID,Service_Plan_Name"
    row = f"Contoso New,CONTOSO_NEW,{sku.upper()}\u00a0,X"
    (tmp_path / "table.csv").write_text(f"\ufeff{heading}\n{row}\n", encoding="utf-8")
    licensed.configure(sku_table=str(tmp_path / "table.csv"))
    licensed.sync()
    assert "Contoso New" in pools(licensed.desk)


def test_two_sources_of_one_tenant_never_add_up(partner: Partner) -> None:
    (customer,) = partner.customers(1)
    customer.buy(BUSINESS_BASIC, 2)
    customer.assign(next(iter(customer.users)), BUSINESS_BASIC)
    partner.sync()
    second = OneTenant(partner.desk, partner.world)
    second.configure(tenant=customer.id)
    customer.buy(BUSINESS_BASIC, 3)
    outcome = second.sync()
    assert outcome.state in ("succeeded", "partial"), outcome
    assert pools(partner.desk) == {BASIC: (2, 1)}  # the first connection stands before the second
    partner.sync()
    assert pools(partner.desk) == {BASIC: (3, 1)}


def test_one_subscription_is_one_where_both_services_say_so(partner: Partner) -> None:
    (customer,) = partner.customers(1)
    customer.buy(BUSINESS_BASIC, 25)
    sold = customer.order(BASIC, 25)
    customer.subscribe(BUSINESS_BASIC, 25, commerce=sold)
    partner.sync()
    found, total = answers_licenses.subscriptions(partner.desk.database)
    assert total == 1
    assert (found[0].product, found[0].sku, found[0].term, found[0].flags) == (
        BASIC, BUSINESS_BASIC, "P1Y", (),
    )  # fmt: skip
    before = partner.desk.rows()
    partner.sync(full=True)
    assert partner.desk.rows() == before


def test_two_that_share_no_id_stand_side_by_side_and_are_flagged(partner: Partner) -> None:
    (customer,) = partner.customers(1)
    customer.order(BASIC, 25)
    customer.subscribe(BUSINESS_BASIC, 25)
    partner.sync()
    found, total = answers_licenses.subscriptions(partner.desk.database)
    assert total == 2
    assert {one.flags for one in found} == {("perhaps the same as another",)}


def test_a_subscription_changes_and_ends(partner: Partner) -> None:
    (customer,) = partner.customers(1)
    key = customer.order(BASIC, 25)
    partner.sync()
    customer.commerce[key] |= {
        "quantity": 30, "status": "suspended", "commitmentEndDate": "9999-12-14T00:00:00Z",
    }  # fmt: skip
    partner.sync()
    (one,), _ = answers_licenses.subscriptions(partner.desk.database)
    assert (one.quantity, one.status, one.started_on) == (30, "suspended", "2026-02-03")
    del customer.commerce[key]
    partner.sync()
    assert answers_licenses.subscriptions(partner.desk.database) == ([], 0)


def test_what_was_sold_is_kept_true_where_the_directory_may_not_be_read(partner: Partner) -> None:
    (customer,) = partner.customers(1)
    customer.buy(BUSINESS_BASIC, 25)
    customer.subscribe(BUSINESS_BASIC, 25)
    key = customer.order(BASIC, 25)
    partner.sync()
    customer.roles = False
    customer.commerce[key]["quantity"] = 26
    outcome = partner.sync()
    assert outcome.state == "partial"
    found, _ = answers_licenses.subscriptions(partner.desk.database)
    assert sorted(one.quantity or 0 for one in found) == [25, 26]
    assert pools(partner.desk) == {BASIC: (25, 0)}


def test_an_empty_list_of_products_waits_for_a_person(licensed: OneTenant) -> None:
    licensed.desk.mapping("[limits]\nlicense_release = { count = 1, share = 0.0 }", "entra")
    licensed.sync()
    licensed.world.graph_faults.on("subscribedSkus", Reply(200, b'{"value": []}'))
    assert licensed.sync().state == "held"
    assert pools(licensed.desk) == {BASIC: (2, 2), PREMIUM: (5, 0)}


def test_the_ledger_says_when_it_was_so_and_when_it_was_written(licensed: OneTenant) -> None:
    licensed.sync()
    c = t.license_ledger.c
    with licensed.desk.database.read() as conn:
        rows = conn.execute(sa.select(c.effective_at, c.recorded_at)).all()
    assert len(rows) == 4
    assert all(effective <= recorded for effective, recorded in rows)
