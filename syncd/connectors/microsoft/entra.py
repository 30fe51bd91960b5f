"""Entra ID: one tenant's users, as Microsoft Graph tells of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr

from syncd.connectors import base
from syncd.connectors.asking import Asking
from syncd.connectors.base import MEMBERSHIPS, Connector, Context, Deletes, Page, Partition, Stream
from syncd.connectors.grants import Grant
from syncd.connectors.http.client import Api, Http
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft import graph
from syncd.connectors.microsoft.licensing import parse_license, parse_subscription
from syncd.connectors.microsoft.people import merge, parse_membership, parse_person
from syncd.connectors.microsoft.signin import Bearer, SignIn, Tokens
from syncd.connectors.microsoft.signing_in import REFRESH, SECRET, by_person, by_secret
from syncd.connectors.microsoft.skus import product_names
from syncd.connectors.microsoft.tenant import Tenant, organization_item, parse_organization
from syncd.errors import ProviderError
from syncd.records import License, Membership, Organization, Person, Subscription

TENANT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$"


def _endpoint(url: str) -> str:
    Endpoint.of(url)
    return url


Base = Annotated[str, AfterValidator(_endpoint)]
"""The base URL of an API: https, a host, and nothing that could mean two things."""


class EntraConfig(base.Config):
    """Which tenant to read, and as whom."""

    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)]
    """Its id (a GUID) or one of its domains."""
    client_id: str = Field(min_length=1)
    """The application's id."""
    client_secret: SecretStr | None = None
    sign_in: Literal["application", "person"] = "application"
    authority: Base = "https://login.microsoftonline.com"
    graph: Base = "https://graph.microsoft.com/v1.0"
    sku_table: Path | None = None
    """A newer table of product names than the one that is shipped."""


class Entra(Connector[EntraConfig]):
    """Reads one tenant."""

    name: ClassVar[str] = "entra"
    serves_all: ClassVar[bool] = True
    Config: ClassVar[type[base.Config]] = EntraConfig

    def __init__(self, config: EntraConfig, context: Context) -> None:
        super().__init__(config, context)
        http = Http(context.network)
        secret = config.client_secret.get_secret_value() if config.client_secret else None
        self._signing = SignIn(http, Endpoint.of(config.authority), config.client_id, secret)
        endpoint = Endpoint.of(config.graph)
        self._scope = f"{endpoint.root}/.default"
        self._api = Api(http, endpoint, Bearer(self._tokens), explain=graph.explain)
        self._table = context.folder / config.sku_table if config.sku_table else None
        self._told: dict[str, Any] | None = None

    def _tokens(self) -> Tokens:
        tenant, scope = self.config.tenant, self._scope
        if self.config.sign_in == "application" and self._signing.proof is not None:
            return self._signing.by_application(tenant, scope)
        grant = Grant(self.context.vault, self.context.connection)
        if self.config.sign_in == "application":
            proved = replace(self._signing, proof=grant.held().content[SECRET])
            return proved.by_application(tenant, scope)

        def ask(held: dict[str, str]) -> tuple[dict[str, str], Tokens]:
            found = self._signing.by_refresh(tenant, scope, held[REFRESH])
            return {**held, REFRESH: found.refresh or held[REFRESH]}, found

        return grant.renew(ask)

    def connect(self, asking: Asking) -> dict[str, str]:
        """Have a person sign in, or tell the application's secret; it is tried out at once."""
        how = by_person if self.config.sign_in == "person" else by_secret
        return how(self._signing, self.config.tenant, self._scope, asking)

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
