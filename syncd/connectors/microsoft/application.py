"""The registered application that reads: how a connection names it, and what it proves itself with.

Its secret or its certificate stand in the configuration; a secret may also have been told once, by
`syncd connect`, and is sealed then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from syncd import certificates
from syncd.connectors import base
from syncd.connectors.asking import Asking
from syncd.connectors.grants import Grant
from syncd.connectors.http.client import Http
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft.signin import Certificate, SignIn
from syncd.connectors.microsoft.signing_in import SECRET, by_person, by_secret
from syncd.errors import ConfigError, UsageError
from syncd.health import Trouble

TENANT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$"
SOON = timedelta(days=30)
"""So long before it ends a certificate is told of."""


def _endpoint(url: str) -> str:
    Endpoint.of(url)
    return url


def _whole(pem: SecretStr) -> SecretStr:
    certificates.read(pem.get_secret_value())
    return pem


Base = Annotated[str, AfterValidator(_endpoint)]
"""The base URL of an API: https, a host, and nothing that could mean two things."""


class ApplicationConfig(base.Config):
    """Which tenant to start from, and as whom."""

    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)]
    """Its id (a GUID) or one of its domains."""
    client_id: str = Field(min_length=1)
    """The application's id."""
    client_secret: SecretStr | None = None
    client_certificate: Annotated[SecretStr, AfterValidator(_whole)] | None = None
    """Instead of a secret: a PEM file's content, certificate and private key."""
    sign_in: Literal["application", "person"] = "application"
    authority: Base = "https://login.microsoftonline.com"
    graph: Base = "https://graph.microsoft.com/v1.0"
    sku_table: Path | None = None
    """A newer table of product names than the one that is shipped."""

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if self.client_secret and self.client_certificate:
            raise ValueError("give client_secret or client_certificate, not both")
        return self


@dataclass(frozen=True, slots=True)
class Application:
    """The application of one connection. `signing`: as what it signs in without a told secret."""

    config: ApplicationConfig
    grant: Grant
    signing: SignIn
    ends: datetime | None
    """When its certificate does."""

    @classmethod
    def of(cls, config: ApplicationConfig, http: Http, grant: Grant) -> Application:
        """As it is configured."""
        signing = SignIn(http, Endpoint.of(config.authority), config.client_id)
        if config.client_secret:
            proved = replace(signing, proof=config.client_secret.get_secret_value())
            return cls(config, grant, proved, None)
        if config.client_certificate:
            proof = certificates.read(config.client_certificate.get_secret_value())
            certificate = Certificate(proof.private_key, proof.certificate)
            return cls(config, grant, replace(signing, proof=certificate), proof.ends)
        return cls(config, grant, signing, None)

    def proved(self) -> SignIn:
        """As the application; ConfigError where its certificate has ended."""
        if self.ends and self.ends <= datetime.now(UTC):
            raise ConfigError(
                f"the certificate of the application ended on {self.ends:%Y-%m-%d}: register a new "
                f'one, and name its file as client_certificate of "{self.grant.connection}"'
            )
        if self.signing.proof is not None or self.config.sign_in == "person":
            return self.signing
        return replace(self.signing, proof=self.grant.held().content[SECRET])

    def connect(self, scope: str, asking: Asking) -> dict[str, str]:
        """Have a person sign in, or tell the application's secret; UsageError where its certificate
        is all that it takes.
        """
        if self.config.sign_in == "person":
            return by_person(self.proved(), self.config.tenant, scope, asking)
        if self.ends:
            name = self.grant.connection
            raise UsageError(
                f'the certificate of "{name}" proves the application: there is nothing to connect; '
                f"to try it out: syncd check {name}"
            )
        return by_secret(self.signing, self.config.tenant, scope, asking)

    def health(self) -> Sequence[Trouble]:
        """Whether its certificate ends soon."""
        soon = self.ends is not None and self.ends < datetime.now(UTC) + SOON
        return [Trouble("certificate_expiring", f"{self.ends:%Y-%m-%d}")] if soon else []
