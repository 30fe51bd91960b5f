"""Why Microsoft gives no token, in words, with what to do: by the code in its description.

The codes are Entra's own (AADSTS…). Only the code and our sentence are shown: the vendor's text
may name people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from syncd.errors import (
    AccessLost,
    AuthFailed,
    BadResponse,
    ProviderError,
    ProviderUnavailable,
)

_CODE = re.compile(r"AADSTS(\d{4,8})")


class _Meaning(NamedTuple):
    error: type[ProviderError]
    condition: str
    sentence: str


_SIGN_IN = "sign in again: syncd connect"
_MEANINGS: dict[str, _Meaning] = {
    code: meaning
    for codes, meaning in (
        (
            ("65001", "65004", "700016", "500011"),
            _Meaning(
                AccessLost,
                "consent_missing",
                "this application has no consent in the tenant: an administrator there must "
                "give it",
            ),
        ),
        (
            ("90002", "900023"),
            _Meaning(AccessLost, "tenant_gone", "there is no such tenant (any more)"),
        ),
        (
            ("500021", "5000224", "90072", "50020", "50105"),
            _Meaning(
                AccessLost,
                "gdap_missing",
                "the account has no access to the tenant: its delegated administration (GDAP) has "
                "ended or gives this account no role",
            ),
        ),
        (
            ("700082", "70043", "70008"),
            _Meaning(
                AuthFailed,
                "grant_expired",
                f"what was granted was not used for too long and has expired: {_SIGN_IN}",
            ),
        ),
        (
            ("50173", "50078", "70000", "65005"),
            _Meaning(
                AuthFailed,
                "grant_revoked",
                "what was granted was taken back, perhaps because a password was changed: "
                + _SIGN_IN,
            ),
        ),
        (
            ("50076", "50079", "50074", "50072", "50158"),
            _Meaning(
                AuthFailed,
                "mfa_needed",
                "more than a password is asked for (MFA), which only a person can give: "
                + _SIGN_IN,
            ),
        ),
        (
            ("53000", "53001", "53002", "53003", "53004", "530003"),
            _Meaning(
                AuthFailed,
                "conditional_access",
                "a rule of the tenant (conditional access) forbids this sign-in: exempt the "
                "account or the place it signs in from",
            ),
        ),
        (
            ("7000222",),
            _Meaning(
                AuthFailed,
                "secret_expired",
                "the application's secret has expired: make a new one and configure it",
            ),
        ),
        (
            ("7000215", "7000216", "700027", "50012"),
            _Meaning(
                AuthFailed,
                "secret_wrong",
                "the application's secret or certificate is not the one that is known there",
            ),
        ),
        (
            ("50057", "50034", "50053", "50055"),
            _Meaning(
                AuthFailed,
                "account_unusable",
                "the account that signed in is disabled, locked or gone, or its password expired",
            ),
        ),
        (
            ("90033", "90013", "90055", "50196"),
            _Meaning(ProviderUnavailable, "", "cannot answer at present"),
        ),
    )
    for code in codes
}


def refusal(host: str, tenant: str, found: Mapping[str, Any]) -> ProviderError:
    """The error that a refused request for a token means."""
    error = found.get("error", "")
    if not isinstance(error, str):
        return BadResponse(f"{host} answered with something that is neither a token nor a refusal")
    code = _CODE.search(str(found.get("error_description", "")))
    meaning = _MEANINGS.get(code[1]) if code else None
    shown = f"AADSTS{code[1]}" if code else _plain(error)
    if meaning is None:
        meaning = _by_error(error)
    said = meaning.error(f"{host}, tenant {tenant}: {meaning.sentence} ({shown})")
    said.condition = meaning.condition
    return said


def _by_error(error: str) -> _Meaning:
    if error in ("temporarily_unavailable", "server_error"):
        return _Meaning(ProviderUnavailable, "", "cannot answer at present")
    if error in ("invalid_grant", "interaction_required", "consent_required", "login_required"):
        return _Meaning(
            AuthFailed, "grant_revoked", f"what was granted is not accepted: {_SIGN_IN}"
        )
    return _Meaning(AuthFailed, "refused", "the credentials are not accepted")


def _plain(error: str) -> str:
    return error if re.fullmatch(r"[a-z_]{1,40}", error) else "no reason"
