"""Desks that read a miniature Microsoft: one tenant of Entra ID, or the customers of a partner."""

from __future__ import annotations

from typing import Any

from syncd.connectors.base import Connector
from syncd.connectors.microsoft.csp import MicrosoftCsp
from syncd.connectors.microsoft.entra import Entra
from syncd.sealing import new_key
from syncd.sync import flow
from syncd.sync.flow import Outcome
from syncd.sync.granting import vault
from tests.fakes.https import ca_file
from tests.fakes.microsoft import directory
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.stories.desk import Desk

CONNECTORS: dict[str, type[Connector[Any]]] = {"entra": Entra, "microsoft_csp": MicrosoftCsp}


class Reader:
    """A desk with one connection to a world."""

    connection = ""
    connector = ""
    mapping = ""
    full_every = "7d"

    def __init__(self, desk: Desk, world: MicrosoftWorld) -> None:
        self.desk, self.world = desk, world
        private = ", ".join(f'"{one}"' for one in world.network().private)
        desk.precedence = f'[network]\nprivate = [{private}]\nca_file = "{ca_file()}"\n'
        (desk.folder / "connections" / "people.toml").unlink(missing_ok=True)
        self.configure()

    def configure(self, **more: Any) -> None:
        """Write the connection's file, with more settings of the connector."""
        config = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "authority": self.world.servers["signin"].root,
            "graph": f"{self.world.servers['graph'].root}/v1.0",
            "tenant": self.world.directory.home.id,
            **self.settings(),
            **more,
        }
        lines = "\n".join(f"{key} = {value!r}" for key, value in config.items())
        mapping = f'mapping = "{self.mapping}"\n' if self.mapping else ""
        top = f'connector = "{self.connector}"\nfull_every = "{self.full_every}"\n{mapping}'
        text = f"{top}[config]\n{lines}\n"
        path = self.desk.folder / "connections" / f"{self.connection}.toml"
        path.write_text(text, encoding="utf-8")
        self.desk.reload()

    def settings(self) -> dict[str, Any]:
        return {}

    def sync(self, mode: str = "apply", *, full: bool = False) -> Outcome:
        self.world.forget_what_was_asked()
        return flow.sync(self.desk.engine, self.connection, mode=mode, full=full)


class OneTenant(Reader):
    """Reads the world's own tenant through Entra ID."""

    connection, connector = "entra", "entra"

    @property
    def home(self) -> directory.Tenant:
        return self.world.directory.home


class Partner(Reader):
    """Reads the customers of the world's partner."""

    connection, connector = "csp", "microsoft_csp"

    def __init__(self, desk: Desk, world: MicrosoftWorld) -> None:
        super().__init__(desk, world)
        (desk.folder / "syncd.keys").write_text(new_key())
        kept = vault(desk.database, desk.engine.settings, "csp")
        kept.put({"refresh_token": world.service.first_grant()}, "ada")

    def settings(self) -> dict[str, Any]:
        return {"partner_center": f"{self.world.servers['partner'].root}/v1"}

    def customers(self, count: int, people: int = 2) -> list[directory.Tenant]:
        """So many customers with so many people each."""
        made = []
        for number in range(count):
            tenant = self.world.directory.customer(f"Customer {number:02}")
            for each in range(people):
                tenant.add(f"Person {number:02} {each}")
            made.append(tenant)
        return made

    def active(self, tenant: directory.Tenant) -> list[str]:
        return [one.name for one in self.desk.users() if one.client == tenant.name and one.active]
