"""Microsoft as a stopwatch needs it: pages made beforehand, served by a process of its own.

`python -m tests.benchmarks.graph_world TENANTS USERS DELAY`: tenants, users of each, seconds that
every answer is kept back. Prints where it is; on a line of input it prints the CPU seconds that it
took and how often it was asked, and goes on; at the end of the input it ends.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.fakes.https import Asked, Reply, ca_file, serving

PAGE = 999
SKU = "3b555118-da6a-4418-894f-7df1e2096870"
PARTNER = "00000000-0000-4000-8000-00000000ffff"
CLIENT = "11111111-2222-4333-8444-555555555555"


def tenant_id(number: int) -> str:
    """The id of a tenant."""
    return f"00000000-0000-4000-8000-{number:012x}"


def user(tenant: int, number: int) -> dict[str, object]:
    """A user with the fields that most have: 1.1 kB, as Graph sends it."""
    login = f"person.{number}@tenant{tenant}.example"
    return {
        "id": f"{tenant:08x}-0000-4000-8000-{number:012x}",
        "accountEnabled": True,
        "userType": "Member",
        "displayName": f"Person {number} of Tenant {tenant}",
        "givenName": f"Person {number}",
        "surname": f"Of Tenant {tenant}",
        "userPrincipalName": login,
        "mail": login,
        "proxyAddresses": [f"SMTP:{login}", f"smtp:p{number}@tenant{tenant}.onmicrosoft.com"],
        "otherMails": [],
        "employeeId": str(number),
        "employeeType": None,
        "jobTitle": f"Role {number % 40}",
        "department": f"Department {number % 12}",
        "companyName": f"Tenant {tenant}",
        "officeLocation": f"Office {number % 5}",
        "city": "Bristol",
        "state": None,
        "country": "United Kingdom",
        "usageLocation": "GB",
        "mobilePhone": f"+44 7700 {number:06d}",
        "businessPhones": [f"+44 117 {number:06d}"],
        "assignedLicenses": [{"skuId": SKU, "disabledPlans": []}],
        "onPremisesSyncEnabled": None,
        "externalUserState": None,
    }


@dataclass
class Pages:
    """All answers, by what is asked and by whose token."""

    tenants: int
    users: int
    delay: float
    root: str = ""
    made: dict[tuple[int, str], bytes] = field(default_factory=dict)

    def make(self, root: str) -> None:
        """Everything but tokens, as bytes."""
        self.root = root
        for tenant in range(self.tenants):
            self._users(tenant)
            self._rest(tenant)
        customers = [
            {"id": tenant_id(one), "companyProfile": {"companyName": f"Tenant {one}"}}
            for one in range(self.tenants)
        ]
        self.made[-1, "customers"] = json.dumps({"items": customers, "links": {}}).encode()
        self.made[-1, "relationships"] = b'{"value": []}'

    def _users(self, tenant: int) -> None:
        whole = range(0, self.users, PAGE)
        for at in whole:
            rows = [user(tenant, number) for number in range(at, min(at + PAGE, self.users))]
            last = at + PAGE >= self.users
            link = "deltaLink" if last else "nextLink"
            token = "$deltatoken=d" if last else f"$skiptoken={at + PAGE}"
            name = "users" if at == 0 else f"$skiptoken={at}"
            self._page(tenant, name, rows, {f"@odata.{link}": self._delta(token)})
        self._page(tenant, "$deltatoken=d", [], {"@odata.deltaLink": self._delta("$deltatoken=d")})

    def _delta(self, token: str) -> str:
        return f"{self.root}/v1.0/users/delta?{token}"

    def _rest(self, tenant: int) -> None:
        key = tenant_id(tenant)
        told = {"id": key, "displayName": f"Tenant {tenant}", "verifiedDomains": []}
        self._page(tenant, "organization", [told])
        bought = {"enabled": self.users, "warning": 0}
        sku = {"skuId": SKU, "skuPartNumber": "X", "consumedUnits": self.users}
        self._page(tenant, "subscribedSkus", [{**sku, "prepaidUnits": bought}])
        self._page(tenant, "subscriptions", [])
        company = {"companyName": f"Tenant {tenant}", "domain": f"tenant{tenant}.example"}
        customer = {"id": key, "companyProfile": company}
        self.made[tenant, "customer"] = json.dumps(customer).encode()
        self.made[tenant, "sold"] = b'{"items": [], "links": {}}'

    def _page(
        self, tenant: int, name: str, rows: list[dict[str, object]], more: object = None
    ) -> None:
        found = {"@odata.context": "x", **(more or {}), "value": rows}  # type: ignore[dict-item]
        self.made[tenant, name] = json.dumps(found).encode()

    def answer(self, asked: Asked) -> Reply:
        """One request."""
        time.sleep(self.delay)
        path, _, query = asked.target.partition("?")
        if asked.method == "POST":
            return self._token(path.split("/")[1])
        parts = path.strip("/").split("/")
        tenant = int(asked.headers["Authorization"].removeprefix("Bearer t"))
        if parts[1] == "customers" and len(parts) > 2:
            tenant = int(parts[2][-12:], 16)
        found = self.made.get((tenant, self._name(parts, query)))
        return Reply(200, found) if found is not None else Reply(404)

    def _token(self, tenant: str) -> Reply:
        number = -1 if tenant == PARTNER else int(tenant[-12:], 16)
        told = {"token_type": "Bearer", "expires_in": 3600, "access_token": f"t{number}"}
        return Reply(200, json.dumps(told).encode())

    @staticmethod
    def _name(parts: list[str], query: str) -> str:
        if parts[1] == "customers":
            return ("customers", "customer", "sold")[len(parts) - 2]
        if parts[1] == "tenantRelationships":
            return "relationships"
        if parts[1] == "users":
            options = parse_qs(query)
            token = next((one for one in ("$skiptoken", "$deltatoken") if one in options), None)
            return f"{token}={options[token][0]}" if token else "users"
        return parts[-1]


def main() -> None:
    """Serve until nobody wants to know any more."""
    pages = Pages(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    with serving(pages.answer) as server:
        pages.make(server.root)
        print(json.dumps({"root": server.root, "ca_file": ca_file()}), flush=True)
        for _ in sys.stdin:
            told = {"cpu": time.process_time(), "asked": len(server.asked)}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
