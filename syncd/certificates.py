"""Certificates with their private keys, as PEM text."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

_SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


class Proof(NamedTuple):
    """A private key and its certificate, each as PEM text, and when the latter ends (UTC)."""

    private_key: str
    certificate: str
    ends: datetime


def read(pem: str) -> Proof:
    """The first certificate of a text and its private key; ValueError says what is missing, and
    repeats nothing of it.
    """
    data = pem.encode()
    try:
        found = x509.load_pem_x509_certificates(data)[0]
    except (ValueError, IndexError):
        raise ValueError("it holds no certificate (BEGIN CERTIFICATE … in PEM form)") from None
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise ValueError("its private key is locked by a password; store it without one") from None
    except Exception:  # the library has many errors for this, some of them internal
        raise ValueError("it holds no private key (BEGIN PRIVATE KEY … in PEM form)") from None
    if key.public_key().public_bytes(*_SPKI) != found.public_key().public_bytes(*_SPKI):
        raise ValueError("its private key is not that of its first certificate")
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Proof(secret, found.public_bytes(Encoding.PEM).decode(), found.not_valid_after_utc)
