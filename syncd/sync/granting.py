"""What authorizes a connection, kept sealed in the database: the vault behind a Grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncd.connectors.grants import Held
from syncd.errors import ConfigError
from syncd.sealing import Keyring, Sealed
from syncd.settings import Settings
from syncd.store.database import Database
from syncd.store.grants import Grants
from syncd.store.runs import Runs

RENEWING_SECONDS = 60.0
"""How long a provider may take to renew a grant before another process tries."""


@dataclass(slots=True)
class StoredVault:
    """The vault of one connection: what `syncd.connectors.grants.Vault` asks for. The database is
    not touched before something is asked.
    """

    database: Database
    keyring: Keyring
    name: str
    connector: str

    @property
    def grants(self) -> Grants:
        return Grants(self.database)

    @property
    def connection(self) -> int:
        return Runs(self.database).ensure_connection(self.name, self.connector).id

    def read(self) -> Held | None:
        row = self.grants.read(self.connection)
        if row is None:
            return None
        return Held(row.version, self.keyring.unseal(self.name, Sealed(row.sealed_by, row.sealed)))

    def claim(self, version: int) -> bool:
        return self.grants.claim(self.connection, version, RENEWING_SECONDS)

    def unclaim(self, version: int) -> None:
        self.grants.unclaim(self.connection, version)

    def replace(self, version: int, content: Mapping[str, str]) -> bool:
        sealed = self.keyring.seal(self.name, content)
        return self.grants.replace(self.connection, version, sealed.key, sealed.body)

    def reseal(self, held: Held) -> bool:
        """Store the same under the newest key; False if it was replaced meanwhile."""
        sealed = self.keyring.seal(self.name, held.content)
        return self.grants.reseal(self.connection, held.version, sealed.key, sealed.body)

    def put(self, content: Mapping[str, str], actor: str) -> None:
        """Store what a person obtained."""
        sealed = self.keyring.seal(self.name, content)
        self.grants.put(self.connection, sealed.key, sealed.body, actor)


def vault(database: Database, settings: Settings, name: str) -> StoredVault:
    """The vault of a configured connection."""
    keyring = Keyring.of(settings.secrets, settings.folder)
    return StoredVault(database, keyring, name, settings.connection(name).connector)


def rotate(database: Database, settings: Settings) -> tuple[str, list[str]]:
    """Seal every grant with a new key, and forget the old ones; the new key's name, and whose
    grants were sealed anew. Keys from the environment are changed there: then with the first.
    """
    keyring, grants = Keyring.of(settings.secrets, settings.folder), Grants(database)
    if lost := grants.sealed_by() - set(keyring.names() if keyring.exists() else ()):
        raise ConfigError(
            f"some credentials take keys that are not in {keyring.place()}: "
            f"{', '.join(sorted(lost))}; put those back first; nothing was changed"
        )
    name = keyring.names()[0] if keyring.given is not None else keyring.make()
    renewed = []
    for label, connector in grants.connections():
        _seal_anew(StoredVault(database, keyring, label, connector))
        renewed.append(label)
    keyring.drop_all_but_first()
    return name, renewed


def _seal_anew(vault: StoredVault) -> None:
    """Again if another process replaced the grant meanwhile."""
    while (held := vault.read()) is not None:
        if vault.reseal(held):
            return
