"""The application proves itself with a secret or a certificate; what is wrong with one is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from syncd.connectors.asking import Manner
from syncd.connectors.base import Connector, Context, Partition
from syncd.connectors.microsoft.csp import MicrosoftCsp
from syncd.connectors.microsoft.entra import Entra
from syncd.errors import ConfigError, UsageError
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.fakes.vault import MemoryVault


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _pem(key: rsa.RSAPrivateKey, how: KeySerializationEncryption | None = None) -> str:
    how = how or NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def _certificate(ends: datetime) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncd")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(_key().public_key()).serial_number(7)
    made = made.not_valid_before(ends - timedelta(days=365)).not_valid_after(ends)
    return made.sign(_key(), SHA256()).public_bytes(Encoding.PEM).decode()


def _in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


@dataclass
class Made:
    """A world, and connectors to it."""

    world: MicrosoftWorld
    folder: Path
    kind: type[Connector[Any]]

    def connector(self, **more: Any) -> Connector[Any]:
        servers = self.world.servers
        given = {
            "tenant": self.world.directory.home.id,
            "client_id": CLIENT_ID,
            "authority": servers["signin"].root,
            "graph": f"{servers['graph'].root}/v1.0",
            **({"partner_center": f"{servers['partner'].root}/v1"} if self.is_partner else {}),
            **more,
        }
        context = Context("cloud", self.folder, self.world.network(), MemoryVault())
        return self.kind(self.kind.Config.model_validate(given), context)

    @property
    def is_partner(self) -> bool:
        return self.kind is MicrosoftCsp


class Nobody:
    """Is never asked."""

    manner = Manner.CODE

    def tell(self, _sentence: str, /) -> None: ...

    def open(self, _url: str, /) -> None: ...

    def secret(self, _what: str, /) -> str:
        raise AssertionError("asked for a secret")


@pytest.fixture(params=[Entra, MicrosoftCsp])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    with MicrosoftWorld().serving() as world:
        yield Made(world, tmp_path, request.param)


def test_a_certificate_is_as_good_as_a_secret_and_is_never_sent(made: Made) -> None:
    proof = _pem(_key()) + _certificate(_in_days(90))
    found = made.connector(client_certificate=proof, sign_in="application")
    found.check()
    body = made.world.asked("signin")[0].body
    assert b"client_assertion=" in body
    assert b"client_secret" not in body
    assert b"PRIVATE" not in body
    assert found.health(Partition("x", "x")) == []


@pytest.mark.parametrize(("days", "told"), [(29, True), (31, False)])
def test_a_certificate_that_ends_soon_is_told_beforehand(made: Made, days: int, told: bool) -> None:
    ends = _in_days(days)
    proof = _certificate(ends) + _pem(_key())
    found = made.connector(client_certificate=proof, sign_in="application")
    troubles = found.health(Partition("x", "x"))
    assert [(one.code, one.detail) for one in troubles] == [
        ("certificate_expiring", f"{ends:%Y-%m-%d}")
    ] * told


def test_a_certificate_that_has_ended_is_not_used(made: Made) -> None:
    proof = _certificate(_in_days(-1)) + _pem(_key())
    with pytest.raises(ConfigError, match=r'ended on .* client_certificate of "cloud"'):
        made.connector(client_certificate=proof, sign_in="application").check()
    assert not made.world.asked("signin")


def test_what_is_wrong_with_a_certificate_is_said_without_its_key(made: Made) -> None:
    good, key = _certificate(_in_days(90)), _pem(_key())
    other = _pem(rsa.generate_private_key(65537, 2048))
    locked = _pem(_key(), BestAvailableEncryption(b"x"))
    for proof, said in (
        ("", "holds no certificate"),
        (key, "holds no certificate"),
        (good, "holds no private key"),
        (good + key.replace("A", "B"), "holds no private key"),
        (good + other, "not that of its first certificate"),
        (good + locked, "locked by a password"),
    ):
        with pytest.raises(ValidationError, match=said) as refused:
            made.connector(client_certificate=proof, sign_in="application")
        told = "; ".join(one["msg"] for one in refused.value.errors(include_input=False))
        assert not any(line in told for line in proof.split("\n")[1:-2] if len(line) > 20)


def test_two_proofs_are_one_too_many(made: Made) -> None:
    proof = _certificate(_in_days(90)) + _pem(_key())
    with pytest.raises(ValidationError, match="not both"):
        made.connector(client_certificate=proof, client_secret=CLIENT_SECRET)


def test_with_a_certificate_there_is_nothing_to_connect(made: Made) -> None:
    proof = _certificate(_in_days(90)) + _pem(_key())
    found = made.connector(client_certificate=proof, sign_in="application")
    with pytest.raises(UsageError, match="syncd check cloud"):
        found.connect(Nobody())
