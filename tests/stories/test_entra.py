"""A tenant of Entra ID, from its first read to the day on which somebody leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors import base
from syncd.connectors.microsoft.entra import Entra
from syncd.sync import flow
from syncd.sync.flow import Outcome
from tests.fakes.https import ca_file
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.stories.desk import Desk


class Tenant:
    """A desk that reads the tenant of a miniature Microsoft."""

    def __init__(self, desk: Desk, world: MicrosoftWorld) -> None:
        self.desk, self.world, self.home = desk, world, world.directory.home
        network = world.network()
        private = ", ".join(f'"{one}"' for one in network.private)
        desk.precedence = f'[network]\nprivate = [{private}]\nca_file = "{ca_file()}"\n'
        (desk.folder / "connections" / "people.toml").unlink()
        config = {
            "tenant": self.home.id,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "authority": world.servers["signin"].root,
            "graph": f"{world.servers['graph'].root}/v1.0",
        }
        lines = "\n".join(f"{key} = {value!r}" for key, value in config.items())
        text = f'connector = "entra"\n[config]\n{lines}\n'
        (desk.folder / "connections" / "entra.toml").write_text(text, encoding="utf-8")
        desk.reload()

    def sync(self, mode: str = "apply", *, full: bool = False) -> Outcome:
        self.world.forget_what_was_asked()
        return flow.sync(self.desk.engine, "entra", mode=mode, full=full)


@pytest.fixture
def tenant(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    """With three people in it, of whom one is a guest."""
    monkeypatch.setattr(base, "find", lambda _name: Entra)
    with MicrosoftWorld().serving() as world:
        made = Tenant(desk, world)
        for name in ("Maya Okafor", "Bob Builder"):
            made.home.add(name, officeLocation="Bristol" if name < "C" else None)
        made.home.guest("Gail Guest")
        yield made


def test_a_first_read_makes_a_client_its_sites_and_its_people(tenant: Tenant) -> None:
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


def test_a_second_read_asks_only_for_what_changed_and_writes_nothing(tenant: Tenant) -> None:
    tenant.sync()
    before = tenant.desk.rows()
    outcome = tenant.sync()
    assert outcome.state == "succeeded", outcome
    assert "read people" not in outcome.counts
    assert tenant.desk.rows() == before
    assert len(tenant.world.asked("graph")) <= 4


def test_a_delta_brings_a_joiner_a_leaver_and_a_rename(tenant: Tenant) -> None:
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


def test_a_disabled_account_leaves_and_comes_back(tenant: Tenant) -> None:
    tenant.sync()
    maya, *_ = tenant.home.users
    tenant.home.disable(maya)
    tenant.home.change(maya, mail=None)
    tenant.sync()
    assert not tenant.desk.user("Maya Okafor").active
    tenant.home.change(maya, accountEnabled=True)
    tenant.sync()
    assert tenant.desk.user("Maya Okafor").active


def test_an_expired_delta_is_read_in_full_and_finds_who_left_meanwhile(tenant: Tenant) -> None:
    tenant.sync()
    _, bob, _ = tenant.home.users
    tenant.home.purge(bob)
    tenant.world.expire_cursors()
    outcome = tenant.sync()
    assert outcome.counts["read people"] == 2
    tenant.desk.wait(hours=2)
    tenant.sync(full=True)
    assert tenant.desk.names(active=True) == ["Maya Okafor"]


def test_two_who_swap_their_addresses_stay_who_they_are(tenant: Tenant) -> None:
    tenant.sync()
    maya, bob, _ = tenant.home.users
    ids = {one.name: one.id for one in tenant.desk.users()}
    tenant.home.swap_mails(maya, bob)
    tenant.sync()
    assert {one.name: one.id for one in tenant.desk.users()} == ids
    assert tenant.desk.user("Maya Okafor").values["email"] == "bob.builder@partner.example"


def test_the_secret_of_the_application_is_nowhere(tenant: Tenant, tmp_path: Path) -> None:
    tenant.sync()
    assert CLIENT_SECRET not in repr(tenant.desk.rows())
    assert CLIENT_SECRET not in repr(tenant.desk.engine.settings)
