"""Partner Center, as far as we read it: customers, their profiles, and what they were sold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec

from syncd.connectors.base import RawItem
from syncd.connectors.http.answers import Answer
from syncd.connectors.http.client import Api
from syncd.connectors.http.walk import walk
from syncd.connectors.microsoft.decoding import UNREADABLE, in_order
from syncd.errors import AccessLost, BadResponse, PermissionDenied, ProviderError
from syncd.records import Location, Organization, Reject
from syncd.text import clean

_VERSION = re.compile(r"^/?(?:v1/)?")
_ENDED = {"20002": "relationship_ended", "60003": "tenant_gone"}
_SENTENCES = {
    "relationship_ended": "this customer is not the partner's any more: the relationship ended",
    "tenant_gone": "there is no such tenant (any more)",
}


def headers() -> dict[str, str]:
    """What Partner Center wants with every call: ids by which its support can find it."""
    return {"MS-RequestId": str(uuid4()), "MS-CorrelationId": str(uuid4()), "X-Locale": "en-US"}


class Customer(NamedTuple):
    """A customer as lists tell of it."""

    tenant: str
    name: str


class _Header(msgspec.Struct):
    key: str
    value: str


class _Link(msgspec.Struct):
    uri: str
    headers: list[_Header] = []


class _Links(msgspec.Struct):
    next: _Link | None = None


class _Collection(msgspec.Struct):
    items: list[msgspec.Raw]
    links: _Links = msgspec.field(default_factory=_Links)


_collection = msgspec.json.Decoder(_Collection)


def pages(api: Api, target: str) -> Iterator[Sequence[msgspec.Raw]]:
    """The pages of a collection. The next one is asked for by a link, which may lack the version,
    together with headers; `totalCount` means nothing.
    """
    more: dict[str, Mapping[str, str]] = {}

    def ask(link: str) -> Answer:
        path, _, _ = link.partition("#")
        return api.get(path, more.get(link))

    def read(answer: Answer) -> tuple[Sequence[msgspec.Raw], str | None]:
        found = _decoded(answer)
        following = found.links.next
        if following is None:
            return found.items, None
        given = {header.key: header.value for header in following.headers}
        # The link is the same for every page: what tells them apart is in the headers.
        link = f"{_path(answer, following.uri)}#{sorted(given.items())}"
        more[link] = given
        return found.items, link

    yield from walk(target, ask, read)


def _decoded(answer: Answer) -> _Collection:
    answer.expect_json()
    try:
        return _collection.decode(answer.bare())
    except UNREADABLE:
        raise BadResponse(
            f"{answer.host} answered with something else than a list of items"
        ) from None


def _path(answer: Answer, uri: str) -> str:
    """The path of a link below our endpoint; BadResponse for a link that is a whole URL."""
    if "://" in uri or uri.startswith("//"):
        raise BadResponse(f"{answer.host} answered with a link that leads elsewhere")
    return _VERSION.sub("", uri, count=1).replace("?", "\0", 1).replace("?", "&").replace("\0", "?")


def customers(api: Api, size: int = 500) -> Iterator[Customer]:
    """All customers of the partner."""
    for page in pages(api, f"customers?size={size}"):
        for raw in page:
            yield _customer(api, raw)


class _Profile(msgspec.Struct):
    tenantId: str | None = None  # noqa: N815
    companyName: str | None = None  # noqa: N815


class _Customer(msgspec.Struct):
    id: str
    companyProfile: _Profile = msgspec.field(default_factory=_Profile)  # noqa: N815


_listed = msgspec.json.Decoder(_Customer)


def _customer(api: Api, raw: msgspec.Raw) -> Customer:
    """A list with a customer that cannot be read is not whole: nobody of it is known to be gone."""
    try:
        found = _listed.decode(raw)
    except UNREADABLE:
        raise BadResponse(f"{api.endpoint.host} lists a customer that cannot be read") from None
    if not found.id:
        raise BadResponse(f"{api.endpoint.host} lists a customer without an id")
    return Customer(found.id.lower(), found.companyProfile.companyName or found.id)


# -- one customer, with its address ----------------------------------------------------------------


class _Address(msgspec.Struct):
    country: str | None = None
    city: str | None = None
    state: str | None = None
    region: str | None = None
    addressLine1: str | None = None  # noqa: N815
    addressLine2: str | None = None  # noqa: N815
    postalCode: str | None = None  # noqa: N815
    phoneNumber: str | None = None  # noqa: N815


class _Company(msgspec.Struct):
    companyName: str | None = None  # noqa: N815
    domain: str | None = None
    email: str | None = None
    address: _Address = msgspec.field(default_factory=_Address)


class _Whole(msgspec.Struct):
    id: str
    companyProfile: _Company = msgspec.field(default_factory=_Company)  # noqa: N815
    customDomains: list[str] | None = None  # noqa: N815
    relationshipToPartner: str | None = None  # noqa: N815
    associatedPartnerId: str | None = None  # noqa: N815


_whole = msgspec.json.Decoder(_Whole)
_loose = msgspec.json.Decoder(dict[str, Any])
_KEPT = ("id", "customDomains", "relationshipToPartner", "associatedPartnerId")
_KEPT_OF_COMPANY = ("companyName", "domain", "email", "address")


def customer_item(api: Api, tenant: str) -> RawItem:
    """A customer as it is kept: without etags, links and the billing profile."""
    answer = api.get(f"customers/{tenant}")
    answer.expect_json()
    try:
        told = _loose.decode(answer.bare())
    except UNREADABLE:
        raise BadResponse(f"{answer.host} answered with something else than a customer") from None
    if str(told.get("id", "")).lower() != tenant:
        raise BadResponse(f"{answer.host} answered with another customer than was asked for")
    company = told.get("companyProfile")
    kept = {name: told[name] for name in _KEPT if name in told} | {"id": tenant}
    if isinstance(company, dict):
        own = {name: company[name] for name in _KEPT_OF_COMPANY if name in company}
        if isinstance(own.get("address"), dict):
            own["address"].pop("links", None)
            own["address"].pop("attributes", None)
        kept["companyProfile"] = own
    if isinstance(kept.get("customDomains"), list):
        kept["customDomains"] = sorted(kept["customDomains"], key=str)
    return RawItem(tenant, in_order(kept))


def parse_customer(raw: bytes) -> Sequence[Organization | Location | Reject]:
    """The customer as an organization, and its address as the location of its head office."""
    try:
        told = _whole.decode(raw)
    except UNREADABLE:
        return [Reject(None, "bad_value", "it has another form than Partner Center describes")]
    if not told.id:
        return [Reject(None, "missing_key", "it has no id", ("id",))]
    company, address = told.companyProfile, told.companyProfile.address
    values = {
        "name": company.companyName,
        "domain": company.domain,
        "mail": company.email,
        "phone": address.phoneNumber,
        "country": address.country,
    }
    extra = {
        "domains": told.customDomains or [],
        "relationship": told.relationshipToPartner,
        "reseller": told.associatedPartnerId,
    }
    found = Organization.unchecked(
        {
            "key": told.id,
            "tenant": told.id,
            **{name: clean(value) for name, value in values.items() if value},
            "custom": {},
            "extra": {name: value for name, value in extra.items() if value is not None},
        }
    )
    lines = {
        "address_line1": address.addressLine1,
        "address_line2": address.addressLine2,
        "address_line3": address.city,
        "address_line4": address.state or address.region,
        "address_line5": address.postalCode,
        "phone": address.phoneNumber,
        "country": address.country,
    }
    known = {name: clean(value) for name, value in lines.items() if value and clean(value)}
    if not any(name.startswith("address") for name in known):
        return [found]
    more = {"key": told.id, "organization": told.id, "name": "Main", "custom": {}, "extra": {}}
    return [found, Location.unchecked({**more, **known})]


# -- what errors mean ------------------------------------------------------------------------------


def explain(answer: Answer) -> ProviderError | None:
    """What Partner Center means by an answer, where its status does not tell."""
    if answer.status not in (400, 403, 404):
        return None
    code = _code(answer)
    if condition := _ENDED.get(code):
        lost = AccessLost(f"{answer.host}: {_SENTENCES[condition]} ({code})")
        lost.condition = condition
        return lost
    if answer.status == 403:
        shown = code or "no code"
        denied = PermissionDenied(
            f"{answer.host} does not permit this to the account that signed in ({shown})"
        )
        denied.condition = "role_missing"
        return denied
    return None


def _code(answer: Answer) -> str:
    """The code of an error: documented as a text, and sent as a number."""
    try:
        told: Any = msgspec.json.decode(answer.bare())
    except UNREADABLE:
        return ""
    code = told.get("code") if isinstance(told, dict) else None
    return str(code) if isinstance(code, int | str) and str(code).isdigit() else ""
