"""The connections below every request: to public addresses only, with one deadline for all of it.

A name may lead to another address each time it is asked for; so the address that was looked at is
the one that is connected to. A peer may send a byte a minute; so each wait ends at the deadline of
the whole request, and not only when it is silent.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import certifi
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

from syncd.errors import ConfigError

_request = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """All that this thread sends and receives in this block ends in time, or TimeoutError."""
    _request.ends = time.monotonic() + seconds
    try:
        yield
    finally:
        _request.ends = None


def _left(idle: float | None) -> float | None:
    """How long the next wait may be."""
    ends: float | None = getattr(_request, "ends", None)
    if ends is None:
        return idle
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer took too long altogether")
    return left if idle is None else min(left, idle)


class _TimedSocket(ssl.SSLSocket):
    """A TLS socket whose waits end with the request's deadline."""

    def _timed(self, wait: Any, *args: Any) -> Any:
        idle = self.gettimeout()
        self.settimeout(_left(idle))
        try:
            return wait(*args)
        finally:
            self.settimeout(idle)

    def recv_into(self, *args: Any) -> int:
        found: int = self._timed(super().recv_into, *args)
        return found

    def recv(self, *args: Any) -> bytes:
        found: bytes = self._timed(super().recv, *args)
        return found

    def send(self, *args: Any) -> int:
        sent: int = self._timed(super().send, *args)
        return sent


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, whatever it is wrapped in."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or _embedded(found) or found
    return found.is_global and not found.is_multicast


_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""NAT64, and a form that is out of use: the last 32 bits are an address of version 4."""


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class PrivateAddress(NewConnectionError):
    """A name that should be public leads into a private network. `said`: to a person."""

    def __init__(self, connection: HTTPSConnection) -> None:
        at = f"{connection.host}:{connection.port}"
        self.said = (
            f"{connection.host} leads to an address of a private network, where no provider is; "
            f'if it is meant to, write network.private = ["{at}"] in syncd.toml'
        )
        super().__init__(connection, self.said)


class _Connection(HTTPSConnection):
    """Connects to the very address that was found to be public."""

    private_hosts: Collection[str] = ()

    def _new_conn(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        may_be_private = f"{self.host}:{self.port}" in self.private_hosts
        if not (may_be_private or all(is_public(str(at[4][0])) for at in found)):
            raise PrivateAddress(self)
        return self._first_that_answers(found)

    def _first_that_answers(self, found: list[Any]) -> socket.socket:
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(_left(self.timeout))
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.connect(address)
            except OSError as error:
                opened.close()
                failure = error
            else:
                return opened
        raise NewConnectionError(self, str(failure or "the name has no address")) from failure


class Adapter(HTTPAdapter):
    """requests on these connections. `private`: host:port of peers that may be in our own network;
    `ca_file`: certificates to be trusted besides the usual ones.
    """

    def __init__(self, private: Collection[str] = (), ca_file: str | None = None) -> None:
        self._private = frozenset(private)
        self._context = _tls(ca_file)
        super().__init__(pool_connections=64, pool_maxsize=64)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """A pool of our own kind of connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **options)
        connection = type("_Connection", (_Connection,), {"private_hosts": self._private})
        pool = type("_Pool", (HTTPSConnectionPool,), {"ConnectionCls": connection})
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"https": pool}

    def cert_verify(self, conn: Any, *_settings: Any) -> None:
        """The context knows whom to trust; nothing turns that off."""
        conn.cert_reqs = "CERT_REQUIRED"


def _tls(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.sslsocket_class = _TimedSocket
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigError(
                f"network.ca_file: {ca_file} is not a readable file of certificates (PEM)"
            ) from None
    return context
