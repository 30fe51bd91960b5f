"""Secrets at rest: sealed with a key that lies outside the database, and bound to one connection.

    keyring = Keyring.of(settings.secrets, settings.folder)
    sealed = keyring.seal("csp", {"refresh_token": …})
    keyring.unseal("csp", sealed)

The first key seals, every key opens. For each connection a key of its own is derived from each, so
that what was sealed for one connection opens for no other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syncd.errors import ConfigError
from syncd.toml_file import show

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

    from syncd.settings import Secrets

_BYTES = 32
_VARIABLE = "SYNCD_SECRETS_KEYS"


class Sealed(NamedTuple):
    """Authenticated ciphertext, and the name of the key that it takes to open it."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Keyring:
    """Where the keys are; they are read each time, so that a rotation reaches running processes."""

    file: Path
    given: str | None = None
    """Keys from the environment: they stand in for the file."""

    @classmethod
    def of(cls, secrets: Secrets, folder: Path) -> Keyring:
        """The configured keys."""
        given = secrets.keys.get_secret_value() if secrets.keys else None
        return cls(folder / secrets.keys_file, given)

    def seal(self, connection: str, content: Mapping[str, str]) -> Sealed:
        """Seal what only this connection may open; ConfigError if there is no key."""
        key = self._keys()[0]
        body = _cipher(key, connection).encrypt(json.dumps(dict(content)).encode())
        return Sealed(_name(key), body)

    def unseal(self, connection: str, sealed: Sealed) -> dict[str, str]:
        """What was sealed for this connection; ConfigError names the key that is missing."""
        from cryptography.fernet import InvalidToken

        for key in self._keys():
            if _name(key) == sealed.key:
                try:
                    found: dict[str, str] = json.loads(
                        _cipher(key, connection).decrypt(sealed.body)
                    )
                except InvalidToken:
                    raise ConfigError(
                        f'what is stored to connect "{connection}" was sealed for another '
                        f"connection, or was altered; connect it anew: syncd connect {connection}"
                    ) from None
                return found
        raise ConfigError(
            f'what is stored to connect "{connection}" takes key {sealed.key} to open, which is '
            f"not in {self.place()}; put it back there, or connect anew: "
            f"syncd connect {connection}; nothing was overwritten"
        )

    def names(self) -> list[str]:
        """What the keys are called, the one that seals first."""
        return [_name(key) for key in self._keys()]

    def exists(self) -> bool:
        """Whether there is any key."""
        return bool(self._text().split())

    def make(self) -> str:
        """Put a new key first, and return its name. The file is for nobody else to read."""
        if self.given is not None:
            raise ConfigError(
                f"the keys are in {_VARIABLE}: put a new one in front of them there; "
                "syncd keys new prints one"
            )
        key = new_key()
        self._write([key, *self._text().split()])
        return _name(_decoded(key, self.place()))

    def drop_all_but_first(self) -> None:
        """Forget the keys that seal nothing any more."""
        if self.given is None:
            self._write(self._text().split()[:1])

    def _write(self, keys: Sequence[str]) -> None:
        """Replace the file in one go: whoever reads it sees the old one or the new one."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_name(f".{self.file.name}.{random.token_hex(4)}")
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(opened, "w", encoding="ascii") as stream:
                stream.write("".join(f"{key}\n" for key in keys))
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(self.file)
        finally:
            beside.unlink(missing_ok=True)

    def _keys(self) -> list[bytes]:
        texts = self._text().split()
        if not texts:
            raise ConfigError(
                f"there is no key in {self.place()} to seal or open credentials with; put the one "
                "back that was there, or a new one, and connect anew: syncd keys new prints one"
            )
        return [_decoded(text, self.place()) for text in texts]

    def _text(self) -> str:
        if self.given is not None:
            return self.given.replace(",", " ")
        try:
            return self.file.read_text(encoding="ascii")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a file of keys"
            raise ConfigError(f"{show(self.file)} cannot be read: {reason}") from None

    def place(self) -> str:
        """Where the keys are, for a person."""
        return _VARIABLE if self.given is not None else show(self.file)


def new_key() -> str:
    """A new key, as a file or variable holds it."""
    return base64.urlsafe_b64encode(random.token_bytes(_BYTES)).decode()


def _decoded(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise ConfigError(f"{place} holds something that is no key; syncd keys new prints one")
    return key


def _name(key: bytes) -> str:
    return hashlib.sha256(b"syncd key\n" + key).hexdigest()[:8]


def _cipher(key: bytes, connection: str) -> Fernet:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"syncd grant of {connection}".encode()
    derived = HKDF(SHA256(), _BYTES, salt=None, info=info).derive(key)
    return Fernet(base64.urlsafe_b64encode(derived))
