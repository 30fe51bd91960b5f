"""Microsoft CSP: the customers of a partner, each a tenant whose directory the partner may read.

    Partner Center -> customers, one partition each -> company and subscriptions of each
    Graph, in each customer's tenant -> its users, by the partner's own sign-in or the application's

One connector serves all partitions of a run: its tokens are asked for once, and renewed by one
thread at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, Literal

from syncd.connectors import base
from syncd.connectors.asking import Asking
from syncd.connectors.base import (
    MEMBERSHIPS,
    Connector,
    Context,
    Deletes,
    LeftOut,
    Page,
    Partition,
    Stream,
)
from syncd.connectors.grants import Grant
from syncd.connectors.http.answers import Answer
from syncd.connectors.http.client import Api, Auth, Http
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft import gdap, graph, partner_center
from syncd.connectors.microsoft.application import Application, ApplicationConfig, Base
from syncd.connectors.microsoft.gdap import Gdap
from syncd.connectors.microsoft.licensing import (
    DIRECTORY,
    commerce_items,
    parse_license,
    parse_subscription,
)
from syncd.connectors.microsoft.people import merge, parse_membership, parse_person
from syncd.connectors.microsoft.signin import Bearer, Tokens
from syncd.connectors.microsoft.signing_in import REFRESH
from syncd.connectors.microsoft.skus import product_names
from syncd.connectors.microsoft.tenant import Tenant
from syncd.errors import AccessLost, AuthFailed, PermissionDenied, ProviderError
from syncd.health import Trouble, means
from syncd.records import License, Membership, Organization, Person, Subscription

_AT_ONCE = 8
"""So many customers are asked at the same time whether they can be read."""
OF_THE_PARTNER = frozenset(
    {"grant_expired", "grant_revoked", "secret_expired", "secret_wrong", "account_unusable"}
)
"""Troubles of the sign-in itself; any other that a customer's tenant tells is that tenant's own."""


class CspConfig(ApplicationConfig):
    """Which partner, and as whom."""

    sign_in: Literal["application", "person"] = "person"
    """Partner Center tells company profiles to people only."""
    partner_center: Base = "https://api.partnercenter.microsoft.com/v1"
    partner_scope: str | None = None
    """What to ask a token of Partner Center for, where it is not its address."""


class MicrosoftCsp(Connector[CspConfig]):
    """Reads the customers of one partner."""

    name: ClassVar[str] = "microsoft_csp"
    Config: ClassVar[type[base.Config]] = CspConfig
    serves_all: ClassVar[bool] = True

    def __init__(self, config: CspConfig, context: Context) -> None:
        super().__init__(config, context)
        self._http = Http(context.network)
        self._grant = Grant(context.vault, context.connection)
        self._application = Application.of(config, self._http, self._grant)
        self._graph = Endpoint.of(config.graph)
        self._graph_scope = f"{self._graph.root}/.default"
        center = Endpoint.of(config.partner_center)
        self._partner_scope = config.partner_scope or f"{center.root}/.default"
        self._partner = Api(
            self._http,
            center,
            Bearer(lambda: self._at_home(self._partner_scope)),
            partner_center.headers,
            partner_center.explain,
        )
        self._table = context.folder / config.sku_table if config.sku_table else None
        self._tenants: dict[str, Api] = {}
        self._gdap: Gdap | None = None
        self._gdap_read = False
        self._gdap_lock = threading.Lock()
        self._checked = False
        self._lock = threading.Lock()

    # -- tokens ------------------------------------------------------------------------------------

    def _at_home(self, scope: str) -> Tokens:
        """A token in the partner's own tenant. What renews the grant comes from there alone."""
        home = self.config.tenant
        if self.config.sign_in == "application":
            return self._application.proved().by_application(home, scope)

        def ask(held: dict[str, str]) -> tuple[dict[str, str], Tokens]:
            found = self._application.proved().by_refresh(home, scope, held[REFRESH])
            return {**held, REFRESH: found.refresh or held[REFRESH]}, found

        return self._grant.renew(ask)

    def _in(self, tenant: str) -> Callable[[], Tokens]:
        """Tokens in a customer's tenant; what they cannot be had for there is that tenant's."""

        def acquire() -> Tokens:
            try:
                if self.config.sign_in == "application":
                    return self._application.proved().by_application(tenant, self._graph_scope)
                held = self._grant.held().content
                return self._application.proved().by_refresh(
                    tenant, self._graph_scope, held[REFRESH]
                )
            except AuthFailed as refused:
                if refused.condition in OF_THE_PARTNER:
                    raise
                lost = AccessLost(str(refused))
                lost.condition = refused.condition
                raise lost from None

        return acquire

    def _api(self, tenant: str) -> Api:
        with self._lock:
            if tenant not in self._tenants:
                auth: Auth = Bearer(self._in(tenant))
                explain = partial(self._explain, tenant)
                made = Api(self._http, self._graph, auth, explain=explain)
                self._tenants[tenant] = made
            return self._tenants[tenant]

    def _explain(self, tenant: str, answer: Answer) -> ProviderError | None:
        """What Graph means; that a role is missing has a reason where delegation has ended."""
        error = graph.explain(answer)
        if error is None or error.condition != "role_missing":
            return error
        known = self._delegations()
        condition = known.missing(tenant, datetime.now(UTC)) if known else None
        if condition is None:
            return error
        lost = AccessLost(f"{answer.host}: {means(Trouble(condition))}")
        lost.condition = condition
        return lost

    def connect(self, asking: Asking) -> dict[str, str]:
        """Have the partner's account sign in, or tell the application's secret."""
        return self._application.connect(self._partner_scope, asking)

    # -- what there is -----------------------------------------------------------------------------

    def check(self) -> None:
        """Partner Center lists customers; asked once, whichever partitions are read then."""
        with self._lock:
            if not self._checked:
                product_names(self._table)
                next(partner_center.customers(self._partner, size=1), None)
                self._checked = True

    def partitions(self) -> Iterator[Partition]:
        """The partner's customers, by the ids of their tenants."""
        for one in partner_center.customers(self._partner):
            self._checked = True
            yield Partition(one.tenant, one.name)

    def _delegations(self) -> Gdap | None:
        """What Graph tells of delegated administration, asked once; None where that may not be
        read, or nobody signed in whom it would concern.
        """
        if self.config.sign_in != "person":
            return None
        with self._gdap_lock:
            if not self._gdap_read:
                at_home = Bearer(lambda: self._at_home(self._graph_scope))
                try:
                    self._gdap = gdap.read(
                        Api(self._http, self._graph, at_home, explain=graph.explain)
                    )
                except (PermissionDenied, AccessLost):
                    self._gdap = None
                self._gdap_read = True
            return self._gdap

    def health(self, partition: Partition) -> Sequence[Trouble]:
        """Whether delegated administration of the customer, or the certificate, ends soon."""
        known = self._delegations()
        ends = known.ending(partition.key, datetime.now(UTC)) if known else None
        gdap_ends = [Trouble("gdap_expiring", ends.isoformat())] if ends else []
        return [*gdap_ends, *self._application.health()]

    def diagnose(self) -> Iterator[tuple[Partition, ProviderError | None]]:
        """The directory of each customer is asked for one user."""
        found = [*self.partitions()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from zip(found, pool.map(self._why_not, found), strict=True)

    def _why_not(self, partition: Partition) -> ProviderError | None:
        try:
            self._directory(partition).probe()
        except ProviderError as error:
            return error
        return None

    @base.stream(Organization, parse=partner_center.parse_customer, deletes=Deletes.UNKNOWN)
    def organizations(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """The customer itself, with its address."""
        yield Page([partner_center.customer_item(self._partner, partition.key)])

    def _directory(self, partition: Partition) -> Tenant:
        return Tenant(self._api(partition.key), partition.key, product_names(self._table))

    @base.stream(License, parse=parse_license, deletes=Deletes.ABSENCE)
    def licenses(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """How many licenses of each product the customer's tenant has."""
        yield from self._directory(partition).licenses()

    @base.stream(Subscription, parse=parse_subscription, deletes=Deletes.ABSENCE)
    def subscriptions(
        self, partition: Partition, _cursor: str | None, resume: str | None = None
    ) -> Iterator[Page]:
        """What the partner sold, then what the customer's directory tells of; where that may not be
        read, what was sold is kept true all the same.
        """
        if resume is None:
            yield from self._sold_to(partition.key)
        try:
            yield from self._directory(partition).subscriptions()
        except (PermissionDenied, AccessLost) as denied:
            yield Page([], left_out=LeftOut(f"{DIRECTORY}/", denied))

    def _sold_to(self, tenant: str) -> Iterator[Page]:
        for raws in partner_center.pages(self._partner, f"customers/{tenant}/subscriptions"):
            items, rejects = commerce_items(raws, tenant)
            yield Page(items, rejects=rejects)
        yield Page([], resume=DIRECTORY)

    @base.stream(Membership, parse=parse_membership, deletes=Deletes.ABSENCE)
    def memberships(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
        """Who is in the groups that the mapping names."""
        yield from self._directory(partition).memberships(self.context.groups)

    def streams(self) -> list[Stream]:
        """All of them; memberships only where the mapping names groups."""
        found = super().streams()
        return found if self.context.groups else [one for one in found if one.name != MEMBERSHIPS]

    @base.stream(Person, parse=parse_person, deletes=Deletes.ABSENCE, incremental=True, merge=merge)
    def people(
        self, partition: Partition, cursor: str | None, resume: str | None = None
    ) -> Iterator[Page]:
        """The users of the customer's tenant: all of them, or what changed since the cursor."""
        yield from self._directory(partition).people(cursor, resume)
