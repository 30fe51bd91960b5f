"""The miniature Microsoft: sign-in, Graph and Partner Center around one directory, on real HTTPS.

with MicrosoftWorld().serving() as world:
    harbour = world.directory.customer("Harbour and Lane")
    maya = harbour.add("Maya Okafor")
    world.graph_faults.on("/users/delta", Reply(503), times=2)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from syncd.settings import Network
from tests.fakes.https import Asked, Reply, Server, ca_file, serving
from tests.fakes.microsoft.directory import Directory, Tenant, made_id
from tests.fakes.microsoft.faults import Doing, Faults
from tests.fakes.microsoft.graph import Graph
from tests.fakes.microsoft.partner import PartnerCenter
from tests.fakes.microsoft.signin import SignInService


def _partner() -> Directory:
    return Directory(Tenant(made_id("tenant", "partner"), "The Partner", "partner.example"))


@dataclass
class MicrosoftWorld:
    """Everything, and what is broken of it. The servers are there while it is `serving`."""

    directory: Directory = field(default_factory=_partner)
    signin_faults: Faults = field(default_factory=Faults)
    graph_faults: Faults = field(default_factory=Faults)
    partner_faults: Faults = field(default_factory=Faults)
    servers: dict[str, Server] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service = SignInService(self.directory)
        self.graph = Graph(self.directory, self.service)
        self.partner = PartnerCenter(self.directory, self.service)
        self.graph_faults.tenant_of = self.service.tenant_of

    @contextmanager
    def serving(self) -> Iterator[MicrosoftWorld]:
        """On loopback, each part at a port of its own."""
        with (
            serving(_broken(self.signin_faults, self.service.answer)) as signin,
            serving(_broken(self.graph_faults, self.graph.answer)) as graph,
            serving(_broken(self.partner_faults, self.partner.answer)) as partner,
        ):
            self.servers = {"signin": signin, "graph": graph, "partner": partner}
            self.graph.root, self.partner.root = graph.root, partner.root
            yield self

    def network(self) -> Network:
        """The settings with which this world can be reached."""
        private = tuple(one.root.removeprefix("https://") for one in self.servers.values())
        return Network(private=private, ca_file=ca_file())

    def asked(self, part: str, pattern: str = "") -> list[Asked]:
        """The requests to one part so far whose target matches."""
        return [one for one in self.servers[part].asked if re.search(pattern, one.target)]

    def forget_what_was_asked(self) -> None:
        for server in self.servers.values():
            server.asked.clear()

    def expire_cursors(self) -> None:
        """No delta link that was given out is good any more."""
        for one in (self.directory.home, *self.directory.customers.values()):
            one.oldest = len(one.events) + 1
            one.events.append(("nobody", "noted"))


def _broken(faults: Faults, right: Callable[[Asked], Reply]) -> Callable[[Asked], Reply | Doing]:
    return lambda asked: faults.answer(asked, right)
