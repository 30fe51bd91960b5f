"""Entra's token endpoint in miniature: who may have which token, for how long, and why not."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.https import Asked, Reply
from tests.fakes.microsoft.directory import Directory, Tenant

GRAPH = "https://graph.microsoft.com"
PARTNER = "https://api.partnercenter.microsoft.com"
CLIENT_ID = "11111111-2222-4333-8444-555555555555"
CLIENT_SECRET = "canary-client-secret-5e9d"
SECONDS = 3599


@dataclass(frozen=True)
class Token:
    """What an access token stands for."""

    tenant: str
    audience: str
    delegated: bool
    ends: float


@dataclass
class SignInService:
    """Gives tokens. `clock`: seconds, which tests move on."""

    directory: Directory
    issued: dict[str, Token] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    strict: bool = False
    """Whether a refresh token can be used but once, as some providers have it."""
    secret: str = CLIENT_SECRET
    application_permissions: bool = True
    refused: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """Per tenant ("" for all): error, AADSTS number and suberror of every request."""
    clock: float = 0.0
    codes: dict[str, str] = field(default_factory=dict)
    nonce: str = ""
    """Of whoever signed in last."""
    asked_for: str = ""
    """The scope of the newest device code."""

    def first_grant(self) -> str:
        """The refresh token of somebody who has just signed in, with MFA."""
        made = f"canary-refresh-{secrets.token_urlsafe(24)}"
        self.refresh_tokens.add(made)
        return made

    def revoke(self) -> None:
        """No refresh token is worth anything any more."""
        self.refresh_tokens.clear()

    def expire_access(self) -> None:
        """Every access token has come to its end."""
        self.clock += SECONDS + 1

    def tenant_of(self, asked: Asked) -> str | None:
        """The tenant of the token that a request bears, good or not."""
        found = self.issued.get(asked.headers.get("Authorization", "").removeprefix("Bearer "))
        return found.tenant if found else None

    def token(self, asked: Asked, audience: str, *, tenant: str | None = None) -> Token | None:
        """What the bearer token of a request stands for, if it is good here."""
        given = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        found = self.issued.get(given)
        if found is None or found.audience != audience or found.ends <= self.clock:
            return None
        return found if tenant in (None, found.tenant) else None

    def answer(self, asked: Asked) -> Reply:
        """One request to the authority."""
        path = asked.target.partition("?")[0].strip("/").split("/")
        tenant = self.directory.tenant(path[0])
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if path[1:] == ["oauth2", "v2.0", "devicecode"]:
            self.asked_for = form["scope"]
            return _json(200, self._device_code())
        if path[1:] != ["oauth2", "v2.0", "token"] or asked.method != "POST":
            return _json(404, {"error": "invalid_request"})
        if tenant is None:
            return _refused("invalid_request", 90002, f"Tenant '{path[0]}' not found.")
        for named in ("", tenant.id):
            if named in self.refused:
                error, code, suberror = self.refused[named]
                return _refused(error, code, "Refused.", suberror)
        is_public = form["grant_type"] in _OF_PERSONS and "client_secret" not in form
        if not (is_public or form.get("client_secret") == self.secret or _proves(form)):
            return _refused(
                "invalid_client", 7000215, "Invalid client secret provided.", status=401
            )
        return self._granted(tenant, form)

    def _granted(self, tenant: Tenant, form: dict[str, str]) -> Reply:
        audience = next(
            one.removesuffix("/.default")
            for one in form.get("scope", self.asked_for).split()
            if one.endswith("/.default")
        )
        if form["grant_type"] == "client_credentials":
            if not tenant.consented:
                return _refused("unauthorized_client", 700016, "Application not found.")
            return _json(200, self._issue(tenant, audience, delegated=False))
        if form["grant_type"] in (_CODE, _DEVICE):
            return self._signed_in(tenant, audience, form)
        if form.get("refresh_token") not in self.refresh_tokens:
            return _refused("invalid_grant", 50173, "The provided grant has expired.")
        if self.strict:
            self.refresh_tokens.discard(form["refresh_token"])
        if tenant is not self.directory.home and not tenant.consented:
            return _refused("invalid_grant", 65001, "The user has not consented.")
        return _json(200, self._issue(tenant, audience, delegated=True))

    def _device_code(self) -> dict[str, Any]:
        self.codes["device"] = "DEVICE42"
        return {
            "user_code": "DEVICE42",
            "device_code": "device",
            "verification_uri": "https://microsoft.example/devicelogin",
            "expires_in": 900,
            "interval": 1,
            "message": "x",
        }

    def sign_in(self, address: str) -> tuple[str, dict[str, str]]:
        """Where a browser that opens this page is sent, and with which form, once its person has
        signed in.
        """
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = secrets.token_urlsafe(8)
        self.codes[code], self.nonce = query["code_challenge"], query["nonce"]
        assert query["response_mode"] == "form_post"
        return query["redirect_uri"], {"code": code, "state": query["state"]}

    def _signed_in(self, tenant: Tenant, audience: str, form: dict[str, str]) -> Reply:
        """A code is good once, for whoever asked for it."""
        challenge = self.codes.pop(form.get("code", form.get("device_code", "")), None)
        if form["grant_type"] == _CODE:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
                return _refused("invalid_grant", 501481, "The verifier does not match.")
        elif challenge is None:
            return _refused("authorization_pending", 70016, "Pending.")
        return _json(200, self._issue(tenant, audience, delegated=True))

    def _issue(self, tenant: Tenant, audience: str, *, delegated: bool) -> dict[str, Any]:
        token = f"canary-access-{secrets.token_urlsafe(16)}"
        self.issued[token] = Token(tenant.id, audience, delegated, self.clock + SECONDS)
        found: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": SECONDS,
            "ext_expires_in": SECONDS,
            "access_token": token,
        }
        if delegated:
            about = {"sub": "me", "oid": "me", "tid": tenant.id, "iss": "i", "aud": CLIENT_ID}
            about |= {"nonce": self.nonce} if self.nonce else {}
            about |= {"exp": 2e9, "iat": 1, "preferred_username": "service@partner.example"}
            found |= {
                "scope": f"{audience}/.default",
                "refresh_token": self.first_grant(),
                "id_token": f"{_packed({'alg': 'none'})}.{_packed(about)}.",
                "client_info": _packed({"uid": "me", "utid": tenant.id}),
            }
        return found


_CODE, _DEVICE = "authorization_code", "urn:ietf:params:oauth:grant-type:device_code"
_OF_PERSONS = ("refresh_token", _CODE, _DEVICE)


def _proves(form: dict[str, str]) -> bool:
    return "client_assertion" in form


def _packed(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _refused(error: str, code: int, sentence: str, suberror: str = "", status: int = 400) -> Reply:
    told = {
        "error": error,
        "error_description": f"AADSTS{code}: {sentence} Trace ID: 0a Correlation ID: 0b",
        "error_codes": [code],
        "timestamp": "2026-05-02 10:11:12Z",
        "trace_id": "0a",
        "correlation_id": "0b",
    }
    return _json(status, {**told, "suberror": suberror} if suberror else told)


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode())
