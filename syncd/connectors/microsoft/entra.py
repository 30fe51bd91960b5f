"""Entra ID: one tenant's users, as Microsoft Graph tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from syncd.connectors import base
from syncd.connectors.asking import Asking
from syncd.connectors.base import MEMBERSHIPS, Connector, Context, Deletes, Page, Partition, Stream
from syncd.connectors.grants import Grant
from syncd.connectors.http.client import Api, Http
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft import graph
from syncd.connectors.microsoft.application import Application, ApplicationConfig
from syncd.connectors.microsoft.licensing import parse_license, parse_subscription
from syncd.connectors.microsoft.people import merge, parse_membership, parse_person
from syncd.connectors.microsoft.signin import Bearer, Tokens
from syncd.connectors.microsoft.signing_in import REFRESH
from syncd.connectors.microsoft.skus import product_names
from syncd.connectors.microsoft.tenant import Tenant, organization_item, parse_organization
from syncd.errors import ProviderError
from syncd.health import Trouble
from syncd.records import License, Membership, Organization, Person, Subscription


class EntraConfig(ApplicationConfig):
    """Which tenant to read, and as whom."""


class Entra(Connector[EntraConfig]):
    """Reads one tenant."""

    name: ClassVar[str] = "entra"
    serves_all: ClassVar[bool] = True
    Config: ClassVar[type[base.Config]] = EntraConfig

    def __init__(self, config: EntraConfig, context: Context) -> None:
        super().__init__(config, context)
        http = Http(context.network)
        self._grant = Grant(context.vault, context.connection)
        self._application = Application.of(config, http, self._grant)
        endpoint = Endpoint.of(config.graph)
        self._scope = f"{endpoint.root}/.default"
        self._api = Api(http, endpoint, Bearer(self._tokens), explain=graph.explain)
        self._table = context.folder / config.sku_table if config.sku_table else None
        self._told: dict[str, Any] | None = None

    def _tokens(self) -> Tokens:
        tenant, scope = self.config.tenant, self._scope
        if self.config.sign_in == "application":
            return self._application.proved().by_application(tenant, scope)

        def ask(held: dict[str, str]) -> tuple[dict[str, str], Tokens]:
            found = self._application.proved().by_refresh(tenant, scope, held[REFRESH])
            return {**held, REFRESH: found.refresh or held[REFRESH]}, found

        return self._grant.renew(ask)

    def connect(self, asking: Asking) -> dict[str, str]:
        """Have a person sign in, or tell the application's secret; it is tried out at once."""
        return self._application.connect(self._scope, asking)

    def health(self, _partition: Partition) -> Sequence[Trouble]:
        """Whether the application's certificate ends soon."""
        return self._application.health()

    def check(self) -> None:
        """The tenant can be read: its own record is asked for, once."""
        if self._told is None:
            product_names(self._table)
            self._told = Tenant(self._api, "").organization()

    def diagnose(self) -> Iterator[tuple[Partition, ProviderError | None]]:
        """The tenant is asked for one user."""
        denied = None
        try:
            Tenant(self._api, "").probe()
        except ProviderError as error:
            denied = error
        for partition in self.partitions():
            yield partition, denied

    def partitions(self) -> Iterator[Partition]:
        """The tenant, by its id, whatever domain it was configured by."""
        item = organization_item(self._organization())
        yield Partition(item.key, str(self._organization().get("displayName") or item.key))

    def _organization(self) -> dict[str, Any]:
        self.check()
        assert self._told is not None
        return self._told

    @base.stream(Organization, parse=parse_organization, deletes=Deletes.UNKNOWN)
    def organizations(self, _partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """The tenant itself, which a read never finds missing."""
        yield Page([organization_item(self._organization())])

    def _tenant(self, partition: Partition) -> Tenant:
        return Tenant(self._api, partition.key, product_names(self._table))

    @base.stream(License, parse=parse_license, deletes=Deletes.ABSENCE)
    def licenses(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """How many licenses of each product there are."""
        yield from self._tenant(partition).licenses()

    @base.stream(Subscription, parse=parse_subscription, deletes=Deletes.ABSENCE)
    def subscriptions(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """What was subscribed to."""
        yield from self._tenant(partition).subscriptions()

    @base.stream(Membership, parse=parse_membership, deletes=Deletes.ABSENCE)
    def memberships(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """Who is in the groups that the mapping names."""
        yield from self._tenant(partition).memberships(self.context.groups)

    def streams(self) -> list[Stream]:
        """All of them; memberships only where the mapping names groups."""
        found = super().streams()
        return found if self.context.groups else [one for one in found if one.name != MEMBERSHIPS]

    @base.stream(Person, parse=parse_person, deletes=Deletes.ABSENCE, incremental=True, merge=merge)
    def people(
        self, partition: Partition, cursor: str | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Users: all of them, or what changed since the cursor."""
        yield from self._tenant(partition).people(cursor, resume)
