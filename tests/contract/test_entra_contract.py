"""The Entra connector keeps the contract of all connectors, on real HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors.base import Context
from syncd.connectors.microsoft.entra import Entra, EntraConfig
from syncd.connectors.testkit import ConnectorContract, World
from tests.fakes.https import Reply
from tests.fakes.microsoft.directory import BUSINESS_BASIC, BUSINESS_PREMIUM, Tenant
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld


class OneTenant(World):
    """A tenant, by default the partner's own, read as any other would be. Groups are asked for, and
    the first three people are in one.
    """

    def __init__(self, world: MicrosoftWorld, folder: Path, tenant: Tenant | None = None) -> None:
        self.world, self.folder = world, folder
        self.tenant = tenant or world.directory.home
        self.tenant.buy(BUSINESS_BASIC, 25)
        self.tenant.buy(BUSINESS_PREMIUM, 25)
        self.tenant.subscribe(BUSINESS_PREMIUM, 25)
        self.tenant.address = {"street": "1 Quay Street", "city": "Bristol", "country": "GB"}
        for name in ("Maya Okafor", "Zoë Müller", "Bob Builder"):
            self.add_person(name)
        self.tenant.group("Service desk", *self.tenant.users)

    def connect(self, page_size: int = 100) -> Entra:
        self.world.graph.page_size = page_size
        config = EntraConfig(
            tenant=self.tenant.domain,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            authority=self.world.servers["signin"].root,
            graph=f"{self.world.servers['graph'].root}/v1.0",
        )
        context = Context("entra", self.folder, self.world.network(), groups=("Service desk",))
        return Entra(config, context)

    def add_person(self, name: str) -> str:
        key = self.tenant.add(name)
        self.tenant.assign(key, BUSINESS_BASIC, BUSINESS_PREMIUM)
        return key

    def rename_person(self, key: str, name: str) -> None:
        self.tenant.rename(key, name)

    def remove_person(self, key: str) -> None:
        self.tenant.delete(key)

    def truncate(self) -> None:
        def cut(asked: object, reply: Reply) -> Reply:
            return Reply(200, reply.body.replace(b"@odata.deltaLink", b"@odata.other"))

        self.world.graph_faults.altering("users/delta", cut)

    def plant_secret(self, secret: str) -> None:
        for key in [*self.tenant.users]:
            self.tenant.change(key, passwordProfile={"password": secret}, onPremisesPin=secret)

    def expire_cursors(self) -> None:
        self.world.expire_cursors()

    def tick(self) -> None:
        for user in self.tenant.users.values():
            user["assignedLicenses"] = [
                {**one, "disabledPlans": ["x"]} for one in reversed(user["assignedLicenses"])
            ]
            user["proxyAddresses"] = [*reversed(user["proxyAddresses"])]
            user["signInActivity"] = {"lastSignInDateTime": "2026-11-11T00:00:00Z"}


class TestEntra(ConnectorContract):
    """All of the contract."""

    @pytest.fixture(autouse=True)
    def _serving(self) -> Iterator[None]:
        with MicrosoftWorld().serving() as self.microsoft:
            yield

    def world(self, tmp_path: Path) -> World:
        return OneTenant(self.microsoft, tmp_path)
