"""Where a connection may send its credentials: one https host and port, compared as text and never
as what a URL parser makes of it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from syncd.errors import Refused

_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_BASE = re.compile(
    r"https://([^/:@?#\\\s]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?((?:/[\w.~-]+)*)/?"
)
_TARGET = re.compile(r"/(?!/)[^\\#\x00-\x1f\x7f-\x9f]*")
_VERBATIM = "/?&=$%+,;:@!'()*-._~[]{}|^`<>\""
"""What stands in a link as it came; all else (a blank, an umlaut) is percent-encoded."""
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API's base URL. `root`: scheme, host and port, as they are written in every request."""

    root: str
    path: str

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """The endpoint of a configured base URL; ValueError says what to write instead."""
        found = _BASE.fullmatch(url.strip())
        if not found:
            raise ValueError("write https://HOST or https://HOST:PORT, and a path if there is one")
        host, port, path = found[1].lower(), int(found[2] or HTTPS_PORT), found[3]
        if not _is_host(host):
            raise ValueError(f"{host} is not the name of a host")
        if not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")
        shown = host if port == HTTPS_PORT else f"{host}:{port}"
        return cls(f"https://{shown}", path)

    @property
    def host(self) -> str:
        """Host and, where it is not the usual one, port."""
        return self.root.removeprefix("https://")

    @property
    def base(self) -> str:
        """The base URL as it was configured."""
        return f"{self.root}{self.path}"

    def url(self, target: str) -> str:
        """The URL of a path (and query) of this API."""
        return self.checked(f"{self.base}/{target.lstrip('/')}")

    def checked(self, link: str) -> str:
        """A link that the provider gave, if it leads here; Refused for any other.

        It must begin with our own root, letter by letter: what no parser is asked, no parser can
        take for another host.
        """
        for root in (self.root, f"{self.root}:{HTTPS_PORT}"):
            target = link[len(root) :]
            if link[: len(root)].lower() == root and _TARGET.fullmatch(target):
                return self.root + quote(target, safe=_VERBATIM)
        raise Refused(
            f"{self.host} answered with a link that does not lead to {self.root}; it was not "
            "followed, and no credential left"
        )


def _is_host(host: str) -> bool:
    if host.startswith("["):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    if re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]*", host):  # 127.1, 0x7f.1: only the plain form counts
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return len(host) <= 253 and _NAME.fullmatch(host) is not None
