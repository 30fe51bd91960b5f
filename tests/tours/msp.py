"""A managed-service provider's tour: 25 customers of Microsoft, 2,000 users: `make demo-msp`.

The partner, its customers and everything that Microsoft would answer are a miniature that is served
on this computer, over real HTTPS; syncd is the real one. Works in ./.demo-msp, which it makes anew.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from syncd import tour
from syncd.tour import UNREACHABLE, Step
from tests.fakes.https import ca_file
from tests.fakes.microsoft.directory import BUSINESS_BASIC, BUSINESS_PREMIUM, Tenant
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld

FOLDER = Path(".demo-msp")
TENANTS, PEOPLE = 25, 80
LOST, FIRST, LAST = 7, 0, 12
"""Places of customers: the one without consent, the one that is looked at, the one that is lost."""

_PLACES = ("Bristol", "Bath", "Exeter", "Truro", "Poole")
_WORDS = ["Alder", "Birch", "Cedar", "Damson", "Elder", "Fern", "Gorse", "Hazel", "Iris", "Juniper"]
_TRADES = ["Dental", "Foods", "Joinery", "Legal", "Motors"]
_GIVEN = ["Ada", "Ben", "Cleo", "Dev", "Eve", "Finn", "Gita", "Hugo", "Ines", "Joel", "Kira"]
_FAMILY = ["Byron", "Okafor", "Novak", "Silva", "Mori", "Weber", "Rossi", "Haddad", "Lindgren"]


class Scene:
    """The miniature and what happens in it."""

    def __init__(self, world: MicrosoftWorld) -> None:
        self.world = world
        self.random = random.Random(25)
        self.tenants = [self._customer(number) for number in range(TENANTS)]
        self.tenants[LOST].consented = False
        self.before = ""

    def _customer(self, number: int) -> Tenant:
        name = f"{_WORDS[number % 10]} {_TRADES[number // 5 % 5]} {number + 1:02}"
        tenant = self.world.directory.customer(name)
        tenant.address = {"street": f"{number + 1} Quay Street", "city": _PLACES[number % 5]}
        tenant.buy(BUSINESS_BASIC, PEOPLE)
        tenant.buy(BUSINESS_PREMIUM, 25)
        sold = tenant.order("Microsoft 365 Business Basic", PEOPLE)
        tenant.subscribe(BUSINESS_BASIC, PEOPLE, commerce=sold)
        tenant.order("Microsoft 365 Business Premium", 25)
        for _ in range(PEOPLE):
            self._person(tenant)
        return tenant

    def _person(self, tenant: Tenant) -> str:
        given, family = self.random.choice(_GIVEN), self.random.choice(_FAMILY)
        number = len(tenant.users) + 1
        login = f"{given}.{family}{number}@{tenant.domain}".lower()
        office = self.random.choice([*_PLACES[:2], None])
        key = tenant.add(
            f"{given} {family}",
            id=f"{tenant.id[:-4]}{number:04x}",
            userPrincipalName=login,
            mail=login,
            proxyAddresses=[f"SMTP:{login}"],
            officeLocation=office,
        )
        tenant.assign(key, BUSINESS_BASIC if number % 4 else BUSINESS_PREMIUM)
        return key

    def configure(self) -> Iterator[str]:
        """The configuration, as someone would write it."""
        folder = Path("config")
        (folder / "connections").mkdir(parents=True)
        servers = self.world.servers
        reached = ", ".join(f'"{one}"' for one in self.world.network().private)
        (folder / "syncd.toml").write_text(
            "# The miniature is on this computer, and has a certificate of its own.\n"
            f"[network]\nprivate = [{reached}]\nca_file = '{ca_file()}'\n"
        )
        (folder / "connections" / "csp.toml").write_text(
            'connector = "microsoft_csp"\n\n[config]\n'
            f'tenant = "{self.world.directory.home.id}"\nclient_id = "{CLIENT_ID}"\n'
            'client_secret = "${file:csp.secret}"\n'
            f'authority = "{servers["signin"].root}"\ngraph = "{servers["graph"].root}/v1.0"\n'
            f'partner_center = "{servers["partner"].root}/v1"\n'
        )
        (folder / "csp.secret").write_text(CLIENT_SECRET)
        yield "cat config/syncd.toml config/connections/csp.toml"
        for name in ("syncd.toml", "connections/csp.toml"):
            tour.say((folder / name).read_text().rstrip())

    def change(self) -> Iterator[str]:
        """A day passes in the world."""
        time.sleep(1.1)
        self.before = datetime.now().astimezone().isoformat(timespec="seconds")
        time.sleep(1.1)
        tenant = self.tenants[FIRST]
        leaver, renamed, licensed, *_ = tenant.users
        tenant.add("Zoe Newcomer")
        tenant.assign(leaver)
        tenant.delete(leaver)
        tenant.rename(renamed, "Maud Newname")
        tenant.assign(licensed, BUSINESS_PREMIUM)
        self.tenants[LAST].consented = False
        for told in ("a joiner", "a leaver", "a rename", "a license moved", "a consent withdrawn"):
            tour.say(f"#   {told}")
        yield from ()

    @property
    def first(self) -> str:
        """The customer that is looked at."""
        return self.tenants[FIRST].name

    def steps(self) -> Sequence[Step]:
        """The tour."""
        first = ["--client", self.first]
        return (
            Step("A partner's connection, and a database.", ["db", "upgrade"],
                 before=self.configure),
            Step("Sign in once, as a person; the miniature says yes by itself.",
                 ["connect", "csp", "--code"]),
            Step("Is all of it in order? One customer never gave consent.", ["check", "csp"]),
            Step("What would a sync do?", ["plan", "csp"]),
            Step("Do it. What one customer lacks does not keep the others waiting.",
                 ["sync", "csp"], UNREACHABLE),
            Step("The clients, each with its sites and users …", ["clients", "--limit", "30"]),
            Step("… the sites of one …", ["sites", *first]),
            Step("… its users …", ["users", *first, "--limit", "8"]),
            Step("… its licenses …", ["licenses", *first]),
            Step("… and its subscriptions, of which one is told by both services.",
                 ["subscriptions", *first]),
            Step("How do the customers stand?", ["connections", "health", "csp"]),
            Step("Sync again: nothing changes.", ["sync", "csp"], UNREACHABLE),
            Step("Then the world changes:", ["sync", "csp"], UNREACHABLE, before=self.change),
            Step("Exactly that, and why:", ["changes", "--run", "4"]),
            Step("The licenses before the move …",
                 lambda: ["licenses", *first, "--at", self.before]),
            Step("… and now.", ["licenses", *first]),
            Step("Who lost us, since when, and what mends it?", ["connections", "health", "csp"]),
        )  # fmt: skip


def main() -> int:
    """Take the tour; 0 if every step ended as it should."""
    with MicrosoftWorld().serving() as world:
        return tour.take(FOLDER, Scene(world).steps())


if __name__ == "__main__":
    sys.exit(main())
