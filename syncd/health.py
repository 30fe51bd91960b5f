"""How a partition stands: the troubles that are known by name, and how each of them is mended."""

from __future__ import annotations

from typing import NamedTuple


class Trouble(NamedTuple):
    """One thing that is not as it should be. `detail`: what makes it another one, such as a date;
    the same as long as nothing changes.
    """

    code: str
    detail: str = ""


class _Known(NamedTuple):
    means: str
    fix: str


_RETIRE = "if that is right: syncd connections retire CONNECTION PARTITION; nothing changes before"
_KNOWN: dict[str, _Known] = {
    "consent_missing": _Known(
        "the application has no consent in the tenant",
        "have an administrator of the tenant give the application consent, and sync again",
    ),
    "gdap_missing": _Known(
        "there is no delegated administration (GDAP) for the tenant",
        "request a GDAP relationship whose roles may read the directory, and have it approved",
    ),
    "gdap_expired": _Known(
        "delegated administration (GDAP) for the tenant has ended",
        "request a new GDAP relationship, and have the customer approve it",
    ),
    "gdap_expiring": _Known(
        "delegated administration (GDAP) for the tenant ends soon",
        "have it extended automatically, or request a new GDAP relationship before it ends",
    ),
    "certificate_expiring": _Known(
        "the certificate of the application ends soon",
        "register a new one for the application, and put it where client_certificate says",
    ),
    "role_missing": _Known(
        "a role or a permission is missing",
        "give the account the role Directory Readers (by GDAP, for a customer), or the application "
        "the permissions User.Read.All and Organization.Read.All with an administrator's consent",
    ),
    "conditional_access": _Known(
        "a rule of the tenant (conditional access) forbids the sign-in",
        "have the account, or the place that it signs in from, exempted there",
    ),
    "mfa_needed": _Known(
        "more than a password is asked for (MFA), which only a person can give",
        "sign in again: syncd connect CONNECTION",
    ),
    "relationship_ended": _Known("it is no customer of the partner's any more", _RETIRE),
    "tenant_gone": _Known("there is no such tenant any more", _RETIRE),
    "unlisted": _Known("the source does not list it any more", _RETIRE),
    "access_lost": _Known("it may not be read any more", "see the reason in: syncd runs"),
    "permission_denied": _Known("a permission is missing", "see the reason in: syncd runs"),
    "throttled": _Known(
        "the provider made us wait for longer than we are willing to",
        "nothing, if it passes: the next sync begins anew; else sync less often",
    ),
    "unavailable": _Known("it gave no usable answer", "nothing, if it passes: sync again"),
    "refused": _Known("what it answers cannot be used", "see the reason in: syncd runs"),
    "bad_response": _Known("its answers cannot be read", "see the reason in: syncd runs"),
}


def means(trouble: Trouble) -> str:
    """The trouble in words."""
    known = _KNOWN.get(trouble.code)
    told = known.means if known else trouble.code.replace("_", " ")
    return f"{told}: {trouble.detail}" if trouble.detail else told


def fix(code: str) -> str:
    """What to do about it."""
    return _KNOWN[code].fix if code in _KNOWN else "see the reason in: syncd runs"
