"""What is true in the miniature Microsoft: tenants with their users, licenses and relationships.

Everything that tests change goes through a method here, so that delta queries can tell of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")

BUSINESS_BASIC = "3b555118-da6a-4418-894f-7df1e2096870"
BUSINESS_PREMIUM = "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"
PART_NUMBERS = {BUSINESS_BASIC: "O365_BUSINESS_ESSENTIALS", BUSINESS_PREMIUM: "SPB"}
MOMENT = "2026-01-09T08:00:00Z"


def made_id(*parts: object) -> str:
    """The same id for the same words, in every run."""
    return str(uuid.uuid5(NAMESPACE, "/".join(map(str, parts))))


@dataclass
class Tenant:
    """One customer, or a partner's own tenant."""

    id: str
    name: str
    domain: str
    address: dict[str, str] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Soft-deleted users, who can be restored."""
    skus: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of Graph: by their own id."""
    commerce: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of Partner Center: by subscription id."""
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Members by group id."""
    group_names: dict[str, str] = field(default_factory=dict)
    consented: bool = True
    roles: bool = True
    """Whether the account of the partner may read the directory."""
    relationships: list[dict[str, Any]] = field(default_factory=list)
    """Delegated administration (GDAP), as Graph tells of it."""
    exists: bool = True
    is_customer: bool = True
    events: list[tuple[str, str]] = field(default_factory=list)
    """What delta queries tell: (user, what happened: "set", "changed" or "deleted")."""
    oldest: int = 0
    """Delta links from before this event have expired."""

    # -- what happens to users ---------------------------------------------------------------------

    def add(self, name: str, **values: Any) -> str:
        """A new user; returns its object id."""
        given, _, family = name.partition(" ")
        login = f"{name.lower().replace(' ', '.')}@{self.domain}"
        key = values.pop("id", None) or made_id(self.id, "user", name, len(self.events))
        self.users[key] = {
            "id": key,
            "accountEnabled": True,
            "userType": "Member",
            "displayName": name,
            "givenName": given,
            "surname": family or None,
            "userPrincipalName": login,
            "mail": login,
            "proxyAddresses": [f"SMTP:{login}"],
            "otherMails": [],
            "businessPhones": [],
            "assignedLicenses": [],
            "onPremisesSyncEnabled": None,
            "createdDateTime": MOMENT,
            **values,
        }
        self._tell(key, "set")
        return key

    def guest(self, name: str, home: str = "partner.example") -> str:
        """A guest from elsewhere."""
        login = name.lower().replace(" ", ".")
        principal = f"{login}_{home}#EXT#@{self.domain}"
        return self.add(name, userType="Guest", userPrincipalName=principal, mail=f"{login}@{home}")

    def change(self, key: str, **values: Any) -> None:
        """Set what Graph calls these."""
        self.users[key].update(values)
        self._tell(key, "set")

    def rename(self, key: str, name: str) -> None:
        self.change(key, displayName=name)

    def disable(self, key: str) -> None:
        self.change(key, accountEnabled=False)

    def delete(self, key: str) -> None:
        """To the bin, from which it can be restored."""
        self.deleted[key] = self.users.pop(key)
        self._tell(key, "changed")

    def purge(self, key: str) -> None:
        """For good."""
        self.deleted.pop(key, None)
        self.users.pop(key, None)
        self._tell(key, "deleted")

    def restore(self, key: str) -> None:
        self.users[key] = self.deleted.pop(key)
        self._tell(key, "set")

    def swap_mails(self, one: str, other: str) -> None:
        """Two people change addresses and logins."""
        for name in ("mail", "userPrincipalName", "proxyAddresses"):
            mine, theirs = self.users[one].get(name), self.users[other].get(name)
            self.change(one, **{name: theirs})
            self.change(other, **{name: mine})

    def _tell(self, key: str, what: str) -> None:
        self.events.append((key, what))

    # -- licenses ----------------------------------------------------------------------------------

    def buy(self, sku: str, seats: float, part_number: str | None = None) -> None:
        """So many seats of a product, altogether."""
        known = self.skus.get(sku)
        if known:
            known["prepaidUnits"]["enabled"] = seats
            return
        self.skus[sku] = {
            "id": f"{self.id}_{sku}",
            "accountId": self.id,
            "accountName": self.domain.partition(".")[0],
            "skuId": sku,
            "skuPartNumber": part_number or PART_NUMBERS.get(sku, "UNKNOWN_PART"),
            "appliesTo": "User",
            "capabilityStatus": "Enabled",
            "consumedUnits": 0,
            "prepaidUnits": {"enabled": seats, "warning": 0, "suspended": 0, "lockedOut": 0},
            "subscriptionIds": [],
            "servicePlans": [],
        }

    def drop(self, sku: str) -> None:
        """The product is not there any more."""
        del self.skus[sku]

    def assign(self, user: str, *skus: str) -> None:
        """These licenses, and no others."""
        before = {one["skuId"] for one in self.users[user]["assignedLicenses"]}
        licenses = [{"skuId": sku, "disabledPlans": []} for sku in skus]
        self.change(user, assignedLicenses=licenses)
        for sku in before.symmetric_difference(skus):
            if sku in self.skus:
                self.skus[sku]["consumedUnits"] += 1 if sku in skus else -1

    def subscribe(self, sku: str, seats: int, commerce: str | None = None, **values: Any) -> str:
        """A commercial subscription, as Graph shows it; returns its id."""
        key = made_id(self.id, "subscription", sku, len(self.subscriptions))
        self.subscriptions[key] = {
            "id": key,
            "commerceSubscriptionId": commerce or made_id(key, "commerce"),
            "skuId": sku,
            "skuPartNumber": self.skus.get(sku, {}).get("skuPartNumber"),
            "status": "Enabled",
            "totalLicenses": seats,
            "isTrial": False,
            "createdDateTime": "2026-02-03T09:12:44Z",
            "nextLifecycleDateTime": "2027-02-02T00:00:00Z",
            "ownerId": None,
            "ownerTenantId": None,
            "ownerType": None,
            "serviceStatus": [],
            **values,
        }
        if sku in self.skus:
            self.skus[sku]["subscriptionIds"].append(key)
        return key

    def order(self, name: str, seats: int, key: str | None = None, **values: Any) -> str:
        """A subscription that the partner sold, as Partner Center shows it; returns its id."""
        key = key or made_id(self.id, "order", name, len(self.commerce))
        self.commerce[key] = {
            "id": key,
            "offerId": "CFQ7TTC0LH18:0001:CFQ7TTC0K971",
            "offerName": name,
            "friendlyName": name,
            "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
            "quantity": seats,
            "unitType": "Licenses",
            "parentSubscriptionId": None,
            "creationDate": "2026-02-03T09:12:44.120Z",
            "effectiveStartDate": "2026-02-03T00:00:00Z",
            "commitmentEndDate": "2027-02-02T00:00:00Z",
            "billingCycleEndDate": "2026-12-02T00:00:00Z",
            "status": "active",
            "autoRenewEnabled": True,
            "isTrial": False,
            "billingType": "license",
            "billingCycle": "Monthly",
            "termDuration": "P1Y",
            "renewalTermDuration": "P1Y",
            "orderId": made_id(key, "order")[:12],
            "attributes": {"etag": '"eyJ2IjoxfQ=="', "objectType": "Subscription"},
            **values,
        }
        return key

    # -- groups and relationships ------------------------------------------------------------------

    def group(self, name: str, *members: str) -> str:
        """A group with these members, and no others; returns its id."""
        key = made_id(self.id, "group", name)
        self.group_names[key] = name
        self.groups[key] = list(members)
        return key

    def relate(self, status: str = "active", ends: str = "2028-06-01T00:00:00Z") -> None:
        """Delegated administration by the partner, in place of any that was there."""
        self.relationships = [
            {
                "id": f"{made_id(self.id, 'gdap')}-{made_id('gdap')}",
                "displayName": "MSP baseline",
                "status": status,
                "duration": "P730D",
                "autoExtendDuration": "PT0S",
                "activatedDateTime": "2026-06-01T00:00:00Z",
                "endDateTime": ends,
                "customer": {"tenantId": self.id, "displayName": self.name},
                "accessDetails": {
                    "unifiedRoles": [{"roleDefinitionId": "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"}]
                },
            }
        ]

    def changes_since(self, event: int) -> Iterator[tuple[str, str]]:
        """Who changed since then, each once, as they are now: "set", "changed" or "deleted"."""
        last = dict(self.events[event:])
        for key, what in last.items():
            yield key, "set" if key in self.users else "changed" if key in self.deleted else what


@dataclass
class Directory:
    """All tenants. `home`: the partner's own, whose people sign in."""

    home: Tenant
    customers: dict[str, Tenant] = field(default_factory=dict)

    def customer(self, name: str, domain: str | None = None, **values: Any) -> Tenant:
        """A new customer with an active relationship."""
        domain = domain or f"{name.lower().replace(' ', '')}.example"
        made = Tenant(made_id("tenant", name), name, domain, **values)
        made.relate()
        self.customers[made.id] = made
        return made

    def tenant(self, key: str) -> Tenant | None:
        """The tenant with this id or domain, where there is one."""
        for one in (self.home, *self.customers.values()):
            if key in (one.id, one.domain) and one.exists:
                return one
        return None
