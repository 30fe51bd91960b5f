"""One tenant's directory on Graph: what `entra` and `microsoft_csp` both read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncd.connectors.base import Page, RawItem
from syncd.connectors.http.client import Api
from syncd.connectors.microsoft import graph, licensing, people, requests
from syncd.connectors.microsoft.decoding import UNREADABLE, in_order
from syncd.errors import BadResponse, CursorExpired
from syncd.records import Location, Organization, Reject
from syncd.text import clean

ORGANIZATION = (
    *("id", "displayName", "street", "city", "state", "postalCode", "country"),
    *("countryLetterCode", "verifiedDomains", "businessPhones", "technicalNotificationMails"),
)


_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_USER = "#microsoft.graph.user"
_MEMBERS = 2000
"""So many memberships are a page."""


class _Object(msgspec.Struct):
    id: str
    kind: str | None = msgspec.field(name="@odata.type", default=None)


_decode_object = msgspec.json.Decoder(_Object).decode


def _object(api: Api, raw: msgspec.Raw) -> _Object:
    """A list of members of which one cannot be read is not whole."""
    try:
        return _decode_object(raw)
    except UNREADABLE:
        raise BadResponse(f"{api.endpoint.host} lists a member that cannot be read") from None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant, by its id, and the Graph that tells of it."""

    api: Api
    key: str
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of products, by SKU."""

    @property
    def _root(self) -> str:
        return self.api.endpoint.base

    def organization(self) -> dict[str, Any]:
        """The tenant itself; BadResponse where Graph tells of another one."""
        found = graph.one(self.api, requests.organization(self._root, ORGANIZATION)).get("value")
        if not (isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict)):
            raise BadResponse(f"{self.api.endpoint.host} does not tell of one organization")
        told: dict[str, Any] = found[0]
        return told

    def licenses(self) -> Iterator[Page]:
        """All products that the tenant has licenses of."""
        for one in graph.pages(self.api, requests.licenses(self._root)):
            items, rejects = licensing.license_items(one.items, self.key, self.names)
            yield Page(items, rejects=rejects)

    def subscriptions(self) -> Iterator[Page]:
        """All that was subscribed to, from whomever."""
        for one in graph.pages(self.api, requests.subscriptions(self._root)):
            items, rejects = licensing.directory_items(one.items, self.key, self.names)
            yield Page(items, rejects=rejects)

    def memberships(self, groups: Sequence[str]) -> Iterator[Page]:
        """Who is in these groups, by name or id; a group that is not there has no members."""
        members: dict[str, set[str]] = defaultdict(set)
        for name in groups:
            for group in self._groups(name):
                for user in self._members(group):
                    members[user].add(name)
        items = people.membership_items(members)
        for start in range(0, max(len(items), 1), _MEMBERS):
            yield Page(items[start : start + _MEMBERS])

    def _groups(self, name: str) -> Iterator[str]:
        """The ids of the groups that are called so; several may be."""
        if _ID.fullmatch(name):
            yield name.lower()
            return
        for page in graph.pages(self.api, requests.groups(self._root, name)):
            for raw in page.items:
                yield _object(self.api, raw).id

    def _members(self, group: str) -> Iterator[str]:
        """The ids of the users who are members themselves."""
        try:
            for page in graph.pages(self.api, requests.members(self._root, group)):
                found = [_object(self.api, raw) for raw in page.items]
                yield from (one.id for one in found if one.kind in (None, _USER))
        except graph.NotThere:
            return

    def probe(self) -> None:
        """Returns where users may be read, at the price of one."""
        graph.one(self.api, requests.one_user(self._root))

    def people(self, cursor: str | None, resume: str | None = None) -> Iterator[Page]:
        """All users, or those that changed since the cursor; from `resume` on, if it is given."""
        target = resume or cursor or requests.users(self._root, people.SELECT)
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
