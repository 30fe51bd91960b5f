"""Users of Entra ID: what is asked for, how an item is kept, and the person that it is.

An item is the user as Graph sent it, with its unordered lists in order, so that equal users are
equal bytes; a later delta is laid over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from syncd.connectors.base import RawItem
from syncd.connectors.microsoft.decoding import UNREADABLE, in_order
from syncd.records import Identity, Membership, Person, Reject, Tombstone
from syncd.text import clean

TENANT = "#tenant"
"""The member of an item that holds the id of its tenant: the issuer's, and the client's key."""
PROVIDER = "microsoft"
"""Whose licenses these are, whichever connection tells of them."""
_ISSUER = "https://login.microsoftonline.com/{tenant}/v2.0"
_INITIAL = ".onmicrosoft.com"


class _User(msgspec.Struct):
    """What we ask for of a user; names as in Graph. What was never set is not sent."""

    id: str
    accountEnabled: bool | None = None  # noqa: N815
    userType: str | None = None  # noqa: N815
    displayName: str | None = None  # noqa: N815
    givenName: str | None = None  # noqa: N815
    surname: str | None = None
    userPrincipalName: str | None = None  # noqa: N815
    mail: str | None = None
    proxyAddresses: list[str] | None = None  # noqa: N815
    otherMails: list[str] | None = None  # noqa: N815
    employeeId: str | None = None  # noqa: N815
    employeeType: str | None = None  # noqa: N815
    jobTitle: str | None = None  # noqa: N815
    department: str | None = None
    companyName: str | None = None  # noqa: N815
    officeLocation: str | None = None  # noqa: N815
    city: str | None = None
    state: str | None = None
    country: str | None = None
    usageLocation: str | None = None  # noqa: N815
    mobilePhone: str | None = None  # noqa: N815
    businessPhones: list[str] | None = None  # noqa: N815
    assignedLicenses: list[_Assigned] | None = None  # noqa: N815
    onPremisesSyncEnabled: bool | None = None  # noqa: N815
    externalUserState: str | None = None  # noqa: N815
    tenant: str | None = msgspec.field(name=TENANT, default=None)


class _Assigned(msgspec.Struct):
    skuId: str  # noqa: N815


SELECT = tuple(name for name in _User.__struct_encode_fields__ if name != TENANT)
"""What is asked for: nothing that changes without meaning, such as the time of the last sign-in."""


def _as_sent() -> Any:
    """The form of a user in which what was not sent is told from what is empty; as bytes, its
    members stand in order. Annotations, and what was not asked for, are left out.
    """
    asked = sorted(msgspec.structs.fields(_User), key=lambda one: one.encode_name)
    members = [(one.name, one.type | UnsetType, UNSET) for one in asked]
    removed = ("removed", Raw | UnsetType, UNSET)
    names = {one.name: one.encode_name for one in asked} | {"removed": "@removed"}
    return msgspec.defstruct("Sent", [*members, removed], rename=names)


_sent = msgspec.json.Decoder(_as_sent()).decode
_encode = msgspec.json.Encoder().encode
_sku_of = attrgetter("skuId")
_loose = msgspec.json.Decoder(dict[str, Any])


def items(
    raws: Sequence[msgspec.Raw], tenant: str
) -> tuple[list[RawItem], list[Tombstone], list[Reject]]:
    """A page of users: those who are there, those who went, and what has no id."""
    found: list[RawItem] = []
    gone: dict[str, Tombstone] = {}
    rejects: list[Reject] = []
    for at, raw in enumerate(raws):
        try:
            plain = _sent(raw)
            if plain.id and plain.removed is UNSET:
                gone.pop(plain.id, None)  # of one that stands there twice, the last word counts
                found.append(RawItem(plain.id, _plainly_kept(plain, tenant)))
                continue
        except UNREADABLE:
            pass  # it has another form than Graph describes: kept as it is, for a person to see
        user = _decoded(raw)
        key = user.get("id") if user is not None else None
        if user is None or not isinstance(key, str) or not key:
            where = f"item {at + 1} of a page"
            rejects.append(Reject(None, "missing_key", "it has no id", ("id",), where))
        elif "@removed" in user:
            gone[key] = Tombstone(key, _reason(user["@removed"]))
        else:
            gone.pop(key, None)
            found.append(RawItem(key, _kept(user, tenant)))
    if gone:
        found = [item for item in found if item.key not in gone]
    return found, list(gone.values()), rejects


def _decoded(raw: msgspec.Raw) -> dict[str, Any] | None:
    try:
        return _loose.decode(raw)
    except UNREADABLE:
        return None


def _reason(removed: Any) -> str:
    reason = removed.get("reason") if isinstance(removed, Mapping) else None
    return "deleted" if reason != "changed" else "deleted, and can be restored"


def _plainly_kept(user: Any, tenant: str) -> bytes:
    """The item, of a user in the form that Graph describes: the same bytes as of any other."""
    for texts in (user.proxyAddresses, user.otherMails):
        if texts and len(texts) > 1:
            texts.sort()
    if user.assignedLicenses and len(user.assignedLicenses) > 1:
        user.assignedLicenses.sort(key=_sku_of)
    user.tenant = tenant
    return _encode(user)


def _kept(user: dict[str, Any], tenant: str) -> bytes:
    """The item: what was asked for, with lists that mean the same in the same order."""
    user = {name: user[name] for name in SELECT if name in user}
    for name, order in _UNORDERED:
        if isinstance(listed := user.get(name), list):
            user[name] = order(listed)
    user[TENANT] = tenant
    return in_order(user)


def _texts_in_order(values: list[Any]) -> list[Any]:
    return sorted(values, key=str)


def _licenses_in_order(values: list[Any]) -> list[Any]:
    """Without which parts of a product are switched off, which nobody here reads."""
    named = [one.get("skuId") if isinstance(one, Mapping) else one for one in values]
    return [{"skuId": name} for name in sorted(named, key=str)]


_UNORDERED: tuple[tuple[str, Callable[[list[Any]], list[Any]]], ...] = (
    ("proxyAddresses", _texts_in_order),
    ("otherMails", _texts_in_order),
    ("assignedLicenses", _licenses_in_order),
)


def membership_items(members: Mapping[str, set[str]]) -> list[RawItem]:
    """Who is in which groups, by the person's id."""
    return [
        RawItem(key, in_order({"id": key, "groups": sorted(names)}))
        for key, names in members.items()
    ]


class _Member(msgspec.Struct):
    id: str
    groups: list[str]


_member = msgspec.json.Decoder(_Member)


def parse_membership(raw: bytes) -> Sequence[Membership | Reject]:
    """The groups of one person."""
    try:
        told = _member.decode(raw)
    except UNREADABLE:
        return [Reject(None, "bad_value", "it is no list of groups")]
    if not told.id:
        return [Reject(None, "missing_key", "it has no id", ("id",))]
    values = {"key": told.id, "groups": tuple(told.groups), "custom": {}, "extra": {}}
    return [Membership.unchecked(values)]


def merge(stored: bytes, sent: bytes) -> bytes:
    """The whole user, of the stored item and of what changed: what was not sent is as it was, and
    what is null is not there any more.
    """
    before, news = _loose.decode(stored), _loose.decode(sent)
    return in_order({**before, **news})


# -- the person ------------------------------------------------------------------------------------

_typed = msgspec.json.Decoder(_User)


def parse_person(raw: bytes) -> Sequence[Person | Reject]:
    """The person of one item, or why it cannot be read."""
    try:
        user = _typed.decode(raw)
    except msgspec.ValidationError as error:
        field = _field(str(error))
        message = "it has another form than Graph describes"
        return [Reject(_key(raw), "bad_value", message, (field,) if field else ())]
    except UNREADABLE:
        return [Reject(None, "unreadable", "it is not JSON")]
    if not user.id:
        return [Reject(None, "missing_key", "it has no id", ("id",))]
    return [Person.unchecked(_values(user, _as_it_is if _is_clean(raw) else _clean))]


def _is_clean(raw: bytes) -> bool:
    """Whether no text in it needs cleaning, as in nearly every user: asked once of all together.
    Stored items hold no blanks between their parts.
    """
    odd = (b"\\", b"\x7f", b'" ', b' "')
    return raw.isascii() and not any(part in raw for part in odd)


def _values(user: _User, clean: Callable[[Any], Any]) -> dict[str, Any]:
    phones, aliases = user.businessPhones or (), _aliases(user)
    values: dict[str, Any] = {
        "key": user.id,
        "organization": user.tenant,
        "display_name": user.displayName,
        "given_name": user.givenName,
        "family_name": user.surname,
        "job_title": user.jobTitle,
        "mail": user.mail,
        "mail2": aliases[0] if aliases else None,
        "mail3": aliases[1] if len(aliases) > 1 else None,
        "user_principal_name": user.userPrincipalName,
        "employee_id": user.employeeId,
        "business_phone": phones[0] if phones else None,
        "mobile": user.mobilePhone,
        "department": user.department,
        "office_location": user.officeLocation,
        "city": user.city,
        "country": user.country,
        "user_type": user.userType,
        "active": user.accountEnabled,
    }
    found = {name: clean(value) for name, value in values.items() if value is not None}
    found["custom"] = {}
    found["extra"] = _extra(user, aliases, clean)
    if user.assignedLicenses is not None:
        found["licenses"] = tuple(sorted({one.skuId.lower() for one in user.assignedLicenses}))
        found["license_provider"] = PROVIDER
    if user.tenant:
        found["identities"] = (Identity(_issuer(user.tenant), user.id),)
    return found


def _as_it_is(value: Any) -> Any:
    return None if value == "" else value


def _clean(value: Any) -> Any:
    return clean(value) or None if isinstance(value, str) else value


@cache
def _issuer(tenant: str) -> str:
    return _ISSUER.format(tenant=tenant)


def _aliases(user: _User) -> list[str]:
    """Other addresses at which mail reaches them; what they are called to the public first."""
    main = (user.mail or "").casefold()
    proxies = [one[5:] for one in user.proxyAddresses or () if one[:5].casefold() == "smtp:"]
    found = {one for one in proxies if one.casefold() != main}
    return sorted(found, key=lambda one: (one.casefold().endswith(_INITIAL), one.casefold()))


def _extra(user: _User, aliases: list[str], clean: Callable[[Any], Any]) -> dict[str, Any]:
    """What a mapping may read besides: `kind` tells people from guests and shared mailboxes."""
    found: dict[str, Any] = {
        "kind": _kind(user),
        "aliases": aliases,
        "other_mails": user.otherMails or [],
        "employee_type": user.employeeType,
        "company_name": user.companyName,
        "state": user.state,
        "usage_location": user.usageLocation,
        "on_premises": user.onPremisesSyncEnabled,
        "external_user_state": user.externalUserState,
    }
    return {name: clean(value) for name, value in found.items() if value is not None}


def _kind(user: _User) -> str:
    """A disabled member with an address and no license is, as a rule, a shared mailbox or a room:
    nobody signs in to one.
    """
    if (user.userType or "").casefold() == "guest" or "#EXT#" in (user.userPrincipalName or ""):
        return "guest"
    if user.accountEnabled is False:
        return "shared_mailbox" if user.mail and not user.assignedLicenses else "disabled"
    return "member"


def _field(message: str) -> str | None:
    """The field that a validation error names: `… - at `$.mail``."""
    _, found, path = message.partition("`$.")
    return path.rstrip("`").partition("[")[0].partition(".")[0] if found else None


def _key(raw: bytes) -> str | None:
    try:
        key = _loose.decode(raw).get("id")
    except UNREADABLE:
        return None
    return key if isinstance(key, str) and key else None
