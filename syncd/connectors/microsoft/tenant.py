"""One tenant's directory on Graph: what `entra` and `microsoft_csp` both read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from syncd.connectors.base import Page, RawItem
from syncd.connectors.http.client import Api
from syncd.connectors.microsoft import graph, people
from syncd.connectors.microsoft.decoding import UNREADABLE, in_order
from syncd.errors import BadResponse, CursorExpired
from syncd.records import Location, Organization, Reject
from syncd.text import clean

ORGANIZATION = (
    "id,displayName,street,city,state,postalCode,country,countryLetterCode,verifiedDomains,"
    "businessPhones,technicalNotificationMails"
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant, by its id, and the Graph that tells of it."""

    api: Api
    key: str

    def organization(self) -> dict[str, Any]:
        """The tenant itself; BadResponse where Graph tells of another one."""
        found = graph.one(self.api, f"organization?$select={ORGANIZATION}").get("value")
        if not (isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict)):
            raise BadResponse(f"{self.api.endpoint.host} does not tell of one organization")
        told: dict[str, Any] = found[0]
        return told

    def people(self, cursor: str | None, resume: str | None = None) -> Iterator[Page]:
        """All users, or those that changed since the cursor; from `resume` on, if it is given."""
        target = resume or cursor or f"users/delta?$select={people.SELECT}"
        try:
            for one in graph.pages(self.api, target, is_delta=True):
                found, gone, rejects = people.items(one.items, self.key)
                yield Page(found, gone, rejects, resume=one.next, cursor=one.delta)
        except CursorExpired as expired:
            if cursor is None:  # there was nothing to forget
                raise BadResponse(f"a full read was refused: {expired}") from None
            raise


def organization_item(told: dict[str, Any]) -> RawItem:
    """The organization as it is kept."""
    for name in [name for name in told if "@" in name]:
        del told[name]
    domains = told.get("verifiedDomains")
    if isinstance(domains, list):
        told["verifiedDomains"] = sorted(domains, key=str)
    key = told.get("id")
    return RawItem(key if isinstance(key, str) else "", in_order(told))


class _Domain(msgspec.Struct):
    name: str
    isDefault: bool | None = None  # noqa: N815
    isInitial: bool | None = None  # noqa: N815


class _Organization(msgspec.Struct):
    id: str
    displayName: str | None = None  # noqa: N815
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postalCode: str | None = None  # noqa: N815
    country: str | None = None
    countryLetterCode: str | None = None  # noqa: N815
    businessPhones: list[str] | None = None  # noqa: N815
    technicalNotificationMails: list[str] | None = None  # noqa: N815
    verifiedDomains: list[_Domain] | None = None  # noqa: N815


_typed = msgspec.json.Decoder(_Organization)


def parse_organization(raw: bytes) -> Sequence[Organization | Location | Reject]:
    """The tenant as an organization, and its address as the location of its head office."""
    try:
        told = _typed.decode(raw)
    except UNREADABLE:
        return [Reject(None, "bad_value", "it has another form than Graph describes")]
    if not told.id:
        return [Reject(None, "missing_key", "it has no id", ("id",))]
    domains = sorted(told.verifiedDomains or (), key=lambda one: (not one.isDefault, one.name))
    values = {
        "key": told.id,
        "tenant": told.id,
        "name": told.displayName,
        "domain": domains[0].name if domains else None,
        "phone": told.businessPhones[0] if told.businessPhones else None,
        "mail": told.technicalNotificationMails[0] if told.technicalNotificationMails else None,
        "country": told.countryLetterCode or told.country,
    }
    found = Organization.unchecked(
        {
            **{name: clean(value) for name, value in values.items() if value},
            "custom": {},
            "extra": {"domains": [one.name for one in domains]},
        }
    )
    office = _head_office(told)
    return [found, office] if office else [found]


def _head_office(told: _Organization) -> Location | None:
    lines = {
        "address_line1": told.street,
        "address_line2": told.city,
        "address_line3": told.state,
        "address_line4": told.postalCode,
        "country": told.countryLetterCode or told.country,
    }
    known = {name: clean(value) for name, value in lines.items() if value and clean(value)}
    if not known.keys() - {"country"}:
        return None
    more = {"key": told.id, "organization": told.id, "name": "Main", "custom": {}, "extra": {}}
    return Location.unchecked({**more, **known})
