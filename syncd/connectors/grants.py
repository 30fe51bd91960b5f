"""Grant: the stored authority of a connection, renewed by one process at a time.

Providers give a new refresh token with every access token, and some take the old one back. So the
new one is stored, sealed, before the access token that came with it is used; and two processes
never ask at once. Where one dies in between, the next asks with what is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from syncd.errors import AuthFailed, ProviderUnavailable
from syncd.failpoints import reach

T = TypeVar("T")
_LOOK_AGAIN = 0.1
_LONGEST = 120.0


class Held(NamedTuple):
    """What is stored. `version` grows with every renewal."""

    version: int
    content: dict[str, str]


class Vault(Protocol):
    """Where a grant is kept, so that other processes see it and the database does not."""

    def read(self) -> Held | None:
        """What is stored, if anything."""

    def claim(self, version: int, /) -> bool:
        """Whether to renew that version now is up to this process."""

    def unclaim(self, version: int, /) -> None:
        """It is not any more."""

    def replace(self, version: int, content: Mapping[str, str], /) -> bool:
        """Store a newer one, durably; False if it is not that version any more."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The authority of one connection. `connection`: its name, for messages."""

    vault: Vault | None
    """None: nothing is kept anywhere, as in a trial."""
    connection: str

    def held(self) -> Held:
        """What is stored; AuthFailed where nobody has connected yet."""
        found = self.vault.read() if self.vault else None
        if found is None:
            raise AuthFailed(
                f'nobody has signed in for the connection "{self.connection}" yet: '
                f"syncd connect {self.connection}"
            )
        return found

    def renew(self, ask: Callable[[dict[str, str]], tuple[Mapping[str, str], T]]) -> T:
        """Ask the provider with what is stored: `ask` gives what to store from now on, and what
        else came. Others wait meanwhile, and then ask with that.
        """
        ends = time.monotonic() + _LONGEST
        while time.monotonic() < ends:
            held = self.held()
            assert self.vault is not None  # something is held
            if self.vault.claim(held.version):
                return self._renewed(self.vault, held, ask)
            time.sleep(_LOOK_AGAIN)
        raise ProviderUnavailable(
            f'another process has been renewing the grant of "{self.connection}" for too long'
        )

    def _renewed(
        self, vault: Vault, held: Held, ask: Callable[[dict[str, str]], tuple[Mapping[str, str], T]]
    ) -> T:
        reach("grant.claimed")
        try:
            content, more = ask(dict(held.content))
        except BaseException:
            vault.unclaim(held.version)
            raise
        reach("grant.renewed")
        _store(vault, held, content)
        reach("grant.stored")
        return more


def _store(vault: Vault, held: Held, content: Mapping[str, str]) -> None:
    """Also where it was sealed anew meanwhile; but what a person obtained meanwhile stays."""
    version = held.version
    while not vault.replace(version, content):
        now = vault.read()
        if now is None or now.content != held.content:
            return
        version = now.version
