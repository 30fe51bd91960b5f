"""The connector for CSP partners keeps the contract of all connectors, on real HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors.base import Context
from syncd.connectors.grants import Held
from syncd.connectors.microsoft.csp import CspConfig, MicrosoftCsp
from syncd.connectors.testkit import ConnectorContract, World
from tests.contract.test_entra_contract import OneTenant
from tests.fakes.microsoft.directory import BUSINESS_BASIC
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.fakes.vault import MemoryVault


class OneOfTwo(OneTenant):
    """A partner with two customers; what happens, happens to the first."""

    def __init__(self, world: MicrosoftWorld, folder: Path) -> None:
        first = world.directory.customer("Harbour and Lane")
        world.directory.customer("Another").add("Somebody Else")
        sold = first.order("Microsoft 365 Business Basic", 25)
        first.order("Something without a counterpart", 1)
        first.subscribe(BUSINESS_BASIC, 25, commerce=sold)
        super().__init__(world, folder, first)
        self.vault = MemoryVault(Held(1, {"refresh_token": world.service.first_grant()}))

    def connect(self, page_size: int = 100) -> MicrosoftCsp:  # type: ignore[override]
        self.world.graph.page_size = page_size
        self.world.partner.page_size = page_size
        servers = self.world.servers
        config = CspConfig.model_validate(
            {
                "tenant": self.world.directory.home.domain,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "authority": servers["signin"].root,
                "graph": f"{servers['graph'].root}/v1.0",
                "partner_center": f"{servers['partner'].root}/v1",
            }
        )
        groups = ("Service desk",)
        return MicrosoftCsp(
            config, Context("csp", self.folder, self.world.network(), self.vault, groups)
        )


class TestCsp(ConnectorContract):
    """All of the contract."""

    @pytest.fixture(autouse=True)
    def _serving(self) -> Iterator[None]:
        with MicrosoftWorld().serving() as self.microsoft:
            yield

    def world(self, tmp_path: Path) -> World:
        return OneOfTwo(self.microsoft, tmp_path)
