"""Tokens of Microsoft's sign-in service: by a refresh token, or by the application itself.

MSAL makes the requests; they travel through our Http, to the configured authority and nowhere else.
Every request has an MSAL application of its own: its cache would give a delegated token for an
application's, and repeat an error that has been mended since. Nothing is kept but in memory.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from syncd.connectors.http.answers import Answer, failure
from syncd.connectors.http.client import Http
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft.refusals import refusal
from syncd.errors import BadResponse, RateLimited, SyncdError

EARLY = 120.0
"""Seconds before its end at which a token is not sent any more."""
_OPENID = "/v2.0/.well-known/openid-configuration"


class Certificate(NamedTuple):
    """What an application proves itself with: PEM texts, and the thumbprint (SHA-256, hex)."""

    private_key: str
    public_certificate: str


class Tokens(NamedTuple):
    """One answer of the token endpoint. `refresh`: the newest refresh token, where one came."""

    access: str
    seconds: float
    refresh: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """Asks for tokens. `proof`: the application's secret or certificate; None for a public one."""

    http: Http
    authority: Endpoint
    client_id: str
    proof: str | Certificate | None = None

    def by_application(self, tenant: str, scope: str) -> Tokens:
        """A token of the application itself, in one tenant."""
        return self.ask(tenant, lambda made: made.acquire_token_for_client(scopes=[scope]))

    def by_refresh(self, tenant: str, scope: str, refresh_token: str) -> Tokens:
        """A token of the person who signed in, in their own tenant or, for partners, another."""
        return self.ask(
            tenant,
            lambda made: made.acquire_token_by_refresh_token(refresh_token, scopes=[scope]),
        )

    def ask(self, tenant: str, how: Callable[[Any], Mapping[str, Any]]) -> Tokens:
        """What MSAL's own object gives when it is asked so, or the error that says why nothing."""
        try:
            found = how(self.application(tenant))
        except SyncdError:
            raise
        except Exception as error:  # it takes an answer apart without looking at it first
            raise BadResponse(
                f"{self.authority.host} answered with something that is no token "
                f"({type(error).__name__})"
            ) from None
        return self._tokens(tenant, found)

    def application(self, tenant: str) -> Any:
        """MSAL's own object, also for ways of signing in that take a person."""
        import msal

        options: dict[str, Any] = {
            "authority": f"{self.authority.root}{self.authority.path}/{tenant}",
            "http_client": _Transport(self.http, self.authority),
            "instance_discovery": False,
        }
        if self.proof is None:
            return msal.PublicClientApplication(self.client_id, **options)
        proof: Any = self.proof
        if isinstance(proof, Certificate):
            proof = proof._asdict()
        return msal.ConfidentialClientApplication(
            self.client_id, client_credential=proof, **options
        )

    def _tokens(self, tenant: str, found: Mapping[str, Any]) -> Tokens:
        if "error" in found:
            raise refusal(self.authority.host, tenant, found)
        access, seconds = found.get("access_token"), found.get("expires_in")
        if not isinstance(access, str) or not access or not isinstance(seconds, int | float | str):
            raise BadResponse(f"{self.authority.host} answered without a token")
        refresh = found.get("refresh_token")
        try:
            return Tokens(access, float(seconds), refresh if isinstance(refresh, str) else None)
        except ValueError:
            raise BadResponse(
                f"{self.authority.host} does not say how long a token lasts"
            ) from None


@dataclass(slots=True)
class Bearer:
    """The newest access token that `acquire` gave, as long as it lasts; threads may share it."""

    acquire: Callable[[], Tokens]
    clock: Callable[[], float] = time.monotonic
    _token: str = field(default="", repr=False)
    _ends: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, refused: str | None = None, /) -> str:
        """As `Auth.token`."""
        with self._lock:
            if not self._token or refused == self._token or self.clock() >= self._ends:
                found = self.acquire()
                self._token, self._ends = found.access, self.clock() + found.seconds - EARLY
            return self._token


class _Reply(NamedTuple):
    """An answer as MSAL reads it."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """MSAL asks for this where it cannot go on; our Http raised long before."""


@dataclass(frozen=True, slots=True)
class _Transport:
    """What MSAL sends, through our Http."""

    http: Http
    authority: Endpoint

    def get(self, url: str, **_options: Any) -> _Reply:
        """Where the endpoints of an authority are is no question: they are below it."""
        base = self.authority.checked(url).removesuffix(_OPENID)
        known = {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        }
        return _Reply(200, json.dumps(known), {})

    def post(
        self,
        url: str,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_options: Any,
    ) -> _Reply:
        """A request for a token."""
        mine = {name: value for name, value in (headers or {}).items() if name != "Accept"}
        answer = self.http.send("POST", self.authority.checked(url), mine, dict(data or {}))
        _raise_what_is_no_refusal(answer)
        return _Reply(answer.status, answer.text(), dict(answer.headers))

    def close(self) -> None:
        """The Http is its connector's."""


def _raise_what_is_no_refusal(answer: Answer) -> None:
    """A refusal has a body that says why; anything else is as everywhere."""
    error = failure(answer)
    if isinstance(error, RateLimited):
        raise error
    if error is not None and answer.status not in (400, 401, 403):
        raise error
    if not isinstance(answer.json(), dict):
        raise BadResponse(f"{answer.host} answered with JSON of another form than expected")
