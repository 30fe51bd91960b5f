"""A tenant of Entra ID, from its first read to the day on which somebody leaves."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.https import Reply
from tests.fakes.microsoft.signin import CLIENT_SECRET
from tests.stories.microsoft import OneTenant


def test_a_first_read_makes_a_client_its_sites_and_its_people(tenant: OneTenant) -> None:
    outcome = tenant.sync()

    assert outcome.state == "succeeded", outcome
    found = [(one.name, one.client, one.site) for one in tenant.desk.users()]
    assert found == [
        ("Bob Builder", "The Partner", "Bristol"),
        ("Maya Okafor", "The Partner", "Main"),
    ]
    maya = tenant.desk.user("Maya Okafor")
    issuer = f"https://login.microsoftonline.com/{tenant.home.id}/v2.0"
    assert (issuer, maya.values["email"]) == (issuer, "maya.okafor@partner.example")


def test_a_second_read_asks_only_for_what_changed_and_writes_nothing(tenant: OneTenant) -> None:
    tenant.sync()
    before = tenant.desk.rows()
    outcome = tenant.sync()
    assert outcome.state == "succeeded", outcome
    assert "read people" not in outcome.counts
    assert tenant.desk.rows() == before
    assert len(tenant.world.asked("graph")) <= 4


def test_where_nothing_came_a_cursor_is_renewed_once_a_day_and_nothing_else_is_written(
    tenant: OneTenant,
) -> None:
    tenant.sync()
    before = tenant.desk.rows()
    tenant.world.graph_faults.altering(
        "deltatoken",
        lambda _, reply: Reply(200, reply.body.replace(b"?$delta", b"?another=link&$delta")),
    )
    tenant.sync()
    assert tenant.desk.rows() == before
    tenant.desk.wait(hours=25)
    tenant.sync()
    after = tenant.desk.rows()
    assert after.pop("cursor") != before.pop("cursor")
    assert after == before


def test_everything_is_read_again_once_a_week_whatever_a_delta_tells(tenant: OneTenant) -> None:
    tenant.sync()
    for days, is_full in ((3, False), (3, False), (2, True), (3, False), (3, False), (2, True)):
        tenant.desk.wait(days=days)
        assert ("read people" in tenant.sync().counts) is is_full, days


def test_how_often_everything_is_read_is_for_the_connection_to_say(tenant: OneTenant) -> None:
    tenant.full_every = "12h"
    tenant.configure()
    tenant.sync()
    tenant.desk.wait(hours=11)
    assert "read people" not in tenant.sync().counts
    tenant.desk.wait(hours=2)
    assert "read people" in tenant.sync().counts


def test_a_person_whom_a_delta_forgot_to_take_away_is_found_missing_by_full_reads(
    tenant: OneTenant,
) -> None:
    tenant.sync()
    everybody = tenant.home.users
    del everybody[next(key for key, one in everybody.items() if one["givenName"] == "Maya")]
    assert tenant.sync().state == "succeeded"
    assert tenant.desk.user("Maya Okafor").active
    for _ in range(2):  # one read that lacks somebody is not believed yet
        tenant.desk.wait(days=8)
        tenant.sync()
    assert not tenant.desk.user("Maya Okafor").active


def test_another_secret_is_no_reason_to_read_everything_again(tenant: OneTenant) -> None:
    tenant.sync()
    tenant.world.service.secret = "another-secret"
    tenant.configure(client_secret="another-secret")
    assert "read people" not in tenant.sync().counts


def test_a_delta_brings_a_joiner_a_leaver_and_a_rename(tenant: OneTenant) -> None:
    tenant.sync()
    maya, bob, _ = tenant.home.users
    tenant.home.rename(maya, "Maya Byron")
    tenant.home.delete(bob)
    tenant.home.add("Ada New")
    outcome = tenant.sync()
    assert outcome.state == "succeeded", outcome
    assert [(one.name, one.active) for one in tenant.desk.users()] == [
        ("Ada New", True),
        ("Bob Builder", False),
        ("Maya Byron", True),
    ]
    tenant.home.restore(bob)
    tenant.sync()
    assert tenant.desk.user("Bob Builder").active


def test_a_disabled_account_leaves_and_comes_back(tenant: OneTenant) -> None:
    tenant.sync()
    maya, *_ = tenant.home.users
    tenant.home.disable(maya)
    tenant.home.change(maya, mail=None)
    tenant.sync()
    assert not tenant.desk.user("Maya Okafor").active
    tenant.home.change(maya, accountEnabled=True)
    tenant.sync()
    assert tenant.desk.user("Maya Okafor").active


def test_an_expired_delta_is_read_in_full_and_finds_who_left_meanwhile(tenant: OneTenant) -> None:
    tenant.sync()
    _, bob, _ = tenant.home.users
    tenant.home.purge(bob)
    tenant.world.expire_cursors()
    outcome = tenant.sync()
    assert outcome.counts["read people"] == 2
    tenant.desk.wait(hours=2)
    tenant.sync(full=True)
    assert tenant.desk.names(active=True) == ["Maya Okafor"]


def test_two_who_swap_their_addresses_stay_who_they_are(tenant: OneTenant) -> None:
    tenant.sync()
    maya, bob, _ = tenant.home.users
    ids = {one.name: one.id for one in tenant.desk.users()}
    tenant.home.swap_mails(maya, bob)
    tenant.sync()
    assert {one.name: one.id for one in tenant.desk.users()} == ids
    assert tenant.desk.user("Maya Okafor").values["email"] == "bob.builder@partner.example"


def test_the_secret_of_the_application_is_nowhere(tenant: OneTenant, tmp_path: Path) -> None:
    tenant.sync()
    assert CLIENT_SECRET not in repr(tenant.desk.rows())
    assert CLIENT_SECRET not in repr(tenant.desk.engine.settings)
