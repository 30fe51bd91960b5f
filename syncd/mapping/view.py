"""What planning may ask about the stored world, and the clients and sites of one plan.

`Facts` is a small protocol that the engine satisfies from the store, asked by the page. `Directory`
adds what this plan already decided about clients and sites, so that page size and page order never
change an outcome, but for one thing: of people who spell a new site differently, the first one
names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from syncd import keys
from syncd.changes import Aside, Former, LinkFact, Place, Tie, Tied, Word
from syncd.entities import Entity, Kind, holding_id
from syncd.records import Identity

if TYPE_CHECKING:
    from syncd.mapping.holdings import Made

KeyTuple = tuple[str, ...]
Want = tuple[UUID | None, KeyTuple]
"""The client to search in (None: everywhere), and the keys."""


class Facts(Protocol):
    """What is stored, asked by the page. All answers leave out retired entities but `entities`."""

    def links(self, stream: str, keys: Sequence[str]) -> dict[str, LinkFact]: ...

    def entities(self, kind: Kind, ids: Collection[UUID]) -> dict[UUID, Entity]: ...

    def find(
        self, kind: Kind, fields: KeyTuple, wanted: Collection[tuple[UUID | None, KeyTuple]]
    ) -> dict[tuple[UUID | None, KeyTuple], list[UUID]]:
        """Entities that hold the normalized keys, within the client (None: anywhere)."""
        ...

    def former(
        self, kind: Kind, fields: KeyTuple, wanted: Collection[tuple[UUID | None, KeyTuple]]
    ) -> dict[tuple[UUID | None, KeyTuple], list[Former]]:
        """Who held the keys when they were merged into another, and whom they are now."""
        ...

    def merged_users(self) -> list[UUID]:
        """The users into whom others were merged."""
        ...

    def holders(self, identities: Collection[Identity]) -> dict[Identity, UUID]: ...

    def ties(self, stream: str, ids: Collection[UUID]) -> dict[UUID, Tie]: ...

    def tied(self, kind: Kind, ids: Collection[UUID]) -> list[Tied]:
        """The records that are, or were, tied to the entities; none where this partition alone
        ever tied any.
        """
        ...

    def items(self, places: Collection[Place]) -> dict[Place, bytes]:
        """The items that are stored at these places (partition, stream, key)."""
        ...

    def entities_of(self, places: Collection[Place]) -> dict[Place, UUID]:
        """Whom the records at these places (partition, stream, key) are tied to."""
        ...

    def licenses(
        self, users: Collection[UUID], provider: str | None = None
    ) -> dict[UUID, list[list[Any]]]:
        """[pool (hex), count] of the licenses that each user holds; nobody who holds none."""
        ...

    def pools(self, provider: str, clients: Collection[UUID]) -> dict[tuple[UUID, str], UUID]:
        """The pools of clients, by client and SKU."""
        ...

    def holders_of(self, pool: UUID) -> list[tuple[UUID, UUID, int]]:
        """(user, client, count) of those who have licenses of a pool, and keep them by this plan so
        far.
        """
        ...

    def once_in(self, pool: UUID) -> set[str]:
        """The keys of people of this partition who had licenses of a pool, and have none now."""
        ...

    def holdings(
        self, kind: Kind, provider: str, clients: Collection[UUID]
    ) -> dict[tuple[UUID, str], UUID]:
        """A provider's pools or subscriptions of clients by client and reference, retired too."""
        ...

    def special_sites(self, clients: Collection[UUID]) -> dict[tuple[UUID, str], UUID]: ...

    def quarantined(self, stream: str, keys: Collection[str]) -> dict[str, Aside]:
        """What is said of those of the keys that are in quarantine."""
        ...

    def decisions(self, stream: str, keys: Sequence[str]) -> dict[str, Word]:
        """What people said once and for all about records with these keys."""
        ...

    def planned_keys(
        self, ids: Collection[UUID]
    ) -> dict[tuple[UUID, str], tuple[UUID | None, str | None]]:
        """Keys that this plan changes on linked entities, or takes to another client: (entity,
        field) -> the client and the key to be.
        """
        ...

    def planned_holders(
        self, field: str, wanted: Collection[tuple[UUID | None, str]]
    ) -> dict[tuple[UUID | None, str], list[UUID]]:
        """Linked entities that this plan gives the key: the reverse of `planned_keys`."""
        ...


@dataclass(slots=True)
class ClientRef:
    """A client as the people of this plan see it."""

    id: UUID
    label: str
    new: bool = False
    main_site_name: str | None = None


@dataclass(slots=True)
class SiteRef:
    """A site as the people of this plan see it."""

    id: UUID
    client: UUID


@dataclass(slots=True)
class Directory:
    """Clients and sites by the keys that people's records name, stored or decided in this plan.

    Holds an entry for each distinct client and site of a partition, never for a user.
    """

    facts: Facts
    clients: dict[str, ClientRef | None] = field(default_factory=dict)
    sites: dict[str, SiteRef | None] = field(default_factory=dict)
    named: dict[tuple[UUID, str], UUID | None] = field(default_factory=dict)
    by_domain: dict[tuple[UUID, str], UUID | None] = field(default_factory=dict)
    special: dict[tuple[UUID, str], UUID | None] = field(default_factory=dict)
    with_sites: set[UUID] = field(default_factory=set)
    """Clients that this plan gives a site."""
    made: set[UUID] = field(default_factory=set)
    """Sites that this plan makes because people are to live there."""
    pools: dict[tuple[str, UUID], dict[str, UUID]] = field(default_factory=dict)
    """The pools of a provider and client, by SKU."""
    unmade: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By provider: pools (hex) that come to be with the first user who has a license of them."""
    made_holdings: dict[tuple[Kind, UUID, str, str], Made] = field(default_factory=dict)
    """Licenses and subscriptions that this plan makes, by client, provider and reference."""

    def load_clients(self, keys: Iterable[str]) -> None:
        """Look up the clients that organization keys are linked to, where not known yet."""
        missing = [key for key in dict.fromkeys(keys) if key not in self.clients]
        if not missing:
            return
        links = self.facts.links("organizations", missing)
        ids = {key: link.entity for key, link in links.items() if link.entity}
        found = self.facts.entities(Kind.CLIENT, set(ids.values()))
        for key in missing:
            client = found.get(ids[key]) if key in ids else None
            usable = client is not None and not client.retired
            self.clients[key] = client_ref(client) if usable and client else None

    def load_sites(self, keys: Iterable[str]) -> None:
        """Look up the sites that location keys are linked to, where not known yet."""
        missing = [key for key in dict.fromkeys(keys) if key not in self.sites]
        if not missing:
            return
        links = self.facts.links("locations", missing)
        ids = {key: link.entity for key, link in links.items() if link.entity}
        found = self.facts.entities(Kind.SITE, set(ids.values()))
        for key in missing:
            site = found.get(ids[key]) if key in ids else None
            usable = site is not None and not site.retired and site.client is not None
            self.sites[key] = SiteRef(site.id, site.client) if usable else None  # type: ignore[union-attr,arg-type]

    def load_named(self, wanted: Iterable[tuple[UUID, str]], by: str = "name") -> None:
        """Look up sites of a client by name (or by e-mail domain), where not known yet."""
        known = self.named if by == "name" else self.by_domain
        new = {client.id for client in self.clients.values() if client and client.new}
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in known]
        stored = [(client, (key,)) for client, key in missing if client not in new and key]
        held = holders(self.facts, Kind.SITE, (by,), stored) if stored else {}
        found = known_as(self.facts, Kind.SITE, by, stored, held)
        for client, key in missing:
            known[client, key] = found.get((client, (key,)))

    def load_special(self, clients: Iterable[ClientRef]) -> None:
        """Look up the main and holding sites of clients, where not known yet."""
        missing = {
            ref.id for ref in clients if not ref.new and (ref.id, "main") not in self.special
        }
        if not missing:
            return
        found = self.facts.special_sites(missing)
        for client in missing:
            for role in ("main", "holding"):
                self.special[client, role] = found.get((client, role))

    def load_pools(self, provider: str, clients: Iterable[UUID]) -> None:
        """Look up the provider's pools of clients, where not known yet."""
        missing = {client for client in clients if (provider, client) not in self.pools}
        if not missing:
            return
        self.pools |= {(provider, client): {} for client in missing}
        for (client, sku), pool in self.facts.pools(provider, missing).items():
            self.pools[provider, client][sku] = pool

    def license_of(self, provider: str, client: UUID, sku: str) -> list[Any]:
        """One license of a pool whose client was loaded, as changes hold it."""
        if pool := self.pools[provider, client].get(sku):
            return [pool.hex, 1]
        unmade = holding_id(Kind.LICENSE, client, provider, sku).hex
        self.unmade[provider].add(unmade)
        return [unmade, 1, sku, provider]

    def pools_of(self, provider: str, client: UUID) -> set[str]:
        """The pools (hex) of a client that was loaded, those to be made included."""
        known = self.pools[provider, client].values()
        return {pool.hex for pool in known} | self.unmade[provider]

    def add_pool(self, provider: str, client: UUID, sku: str, pool: UUID) -> None:
        """Remember a pool that this plan makes."""
        self.load_pools(provider, [client])
        self.pools[provider, client][sku] = pool

    def add_site(self, client: UUID, site: UUID, values: dict[str, Any]) -> None:
        """Remember a site that this plan creates."""
        self.with_sites.add(client)
        self.named[client, keys.key(Kind.SITE, "name", values.get("name", ""))] = site
        if domain := keys.key(Kind.SITE, "email_domain", values.get("email_domain", "")):
            self.by_domain[client, domain] = site

    def forget_site(self, site: UUID | None) -> None:
        """Take back that this plan creates a site: nobody may live there."""
        for known in (self.named, self.by_domain, self.special):
            for place in [place for place, one in known.items() if one == site]:
                del known[place]  # whoever asks again looks it up again
        self.with_sites = {client for (client, _), one in self.named.items() if one}


def known_as(
    facts: Facts,
    kind: Kind,
    name: str,
    wanted: Collection[Want],
    holding: Mapping[Want, Sequence[UUID]],
) -> dict[Want, UUID]:
    """The oldest of those who hold each key; else whom the one that had it was merged into."""
    left = [want for want in wanted if not holding.get(want)]
    had = facts.former(kind, (name,), left) if left else {}
    merged = {want: min(one.into for one in found) for want, found in had.items() if found}
    return merged | {want: min(ids) for want, ids in holding.items() if ids}


def holders(
    facts: Facts, kind: Kind, rule: KeyTuple, wanted: Collection[Want], fresh: Collection[Want] = ()
) -> dict[Want, list[UUID]]:
    """Entities by their keys, as this plan leaves those that are linked: two people swap mails, a
    site gets another name, somebody goes to another client. `fresh`: what is wanted in clients that
    this plan makes.
    """
    old = [want for want in wanted if want not in fresh]
    stored = facts.find(kind, rule, old) if old else {}
    held = {one for ids in stored.values() for one in ids}
    changed = facts.planned_keys(held) if held else {}

    def keeps(one: UUID, want: Want) -> bool:
        scope, values = want
        news = zip((changed.get((one, name)) for name in rule), values, strict=True)
        return all(new is None or new == (scope or new[0], value) for new, value in news)

    found = {
        want: sorted(one for one in ids if not changed or keeps(one, want))
        for want, ids in stored.items()
    }
    for want, ids in _gained(facts, rule, wanted).items():
        found[want] = sorted({*found.get(want, ()), *ids})
    return found


def _gained(facts: Facts, rule: KeyTuple, wanted: Collection[Want]) -> dict[Want, list[UUID]]:
    """Who takes on a key. One of several fields is met by chance of two changes at once: the next
    run sees it.
    """
    if len(rule) > 1:
        return {}
    singles = {(scope, values[0]) for scope, values in wanted}
    planned = facts.planned_holders(rule[0], singles)
    return {(scope, (value,)): ids for (scope, value), ids in planned.items()}


def client_ref(client: Entity) -> ClientRef:
    """The reference of a stored client."""
    name = client.values.get("name", "")
    return ClientRef(client.id, name, main_site_name=client.values.get("main_site_name"))
