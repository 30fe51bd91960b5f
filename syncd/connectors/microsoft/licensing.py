"""Licenses and subscriptions: how items of Graph and Partner Center are kept, and what they mean.

An item holds what we read of the provider's own, and, under names that begin with `#`, what it
takes to understand it alone: the tenant, the service that told it, and the product's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from syncd.connectors.base import RawItem
from syncd.connectors.microsoft.decoding import UNREADABLE, in_order
from syncd.connectors.microsoft.people import PROVIDER, TENANT
from syncd.records import License, Reject, Subscription
from syncd.text import clean

NAME = "#name"
SOURCE = "#source"
DIRECTORY = "directory"
"""Graph, and what the keys of its subscriptions begin with."""
COMMERCE = "commerce"
"""Partner Center, and the same: in this order its values stand before those of Graph."""

_SKU = ("skuId", "skuPartNumber", "appliesTo", "capabilityStatus", "consumedUnits", "prepaidUnits")
_DIRECTORY = (
    *("id", "commerceSubscriptionId", "skuId", "skuPartNumber", "status", "totalLicenses"),
    *("isTrial", "createdDateTime", "nextLifecycleDateTime"),
)
_COMMERCE = (
    *("id", "offerId", "offerName", "friendlyName", "quantity", "unitType", "status"),
    *("parentSubscriptionId", "creationDate", "effectiveStartDate", "commitmentEndDate"),
    *("autoRenewEnabled", "isTrial", "billingCycle", "termDuration", "orderId"),
)
_loose = msgspec.json.Decoder(dict[str, Any])

Found = tuple[list[RawItem], list[Reject]]


def license_items(raws: Sequence[msgspec.Raw], tenant: str, names: Mapping[str, str]) -> Found:
    """A page of subscribed SKUs, each with the product's name where it is known."""
    items, rejects = [], []
    for told, reject in _each(raws, "skuId"):
        if told is None:
            rejects.append(reject)
            continue
        sku = told["skuId"].lower()
        more = {NAME: names[sku]} if sku in names else {}
        items.append(RawItem(sku, _kept(told, _SKU, {TENANT: tenant, **more})))
    return items, rejects


def directory_items(raws: Sequence[msgspec.Raw], tenant: str, names: Mapping[str, str]) -> Found:
    """A page of a tenant's commercial subscriptions, as Graph tells of them."""
    items, rejects = [], []
    for told, reject in _each(raws, "id"):
        if told is None:
            rejects.append(reject)
            continue
        name = names.get(str(told.get("skuId")).lower())
        more = {TENANT: tenant, SOURCE: DIRECTORY} | ({NAME: name} if name else {})
        key = f"{DIRECTORY}/{told['id'].lower()}"
        items.append(RawItem(key, _kept(told, _DIRECTORY, more)))
    return items, rejects


def commerce_items(raws: Sequence[msgspec.Raw], tenant: str) -> Found:
    """A page of what a partner sold to a customer, as Partner Center tells of it."""
    items, rejects = [], []
    for told, reject in _each(raws, "id"):
        if told is None:
            rejects.append(reject)
            continue
        key = f"{COMMERCE}/{told['id'].lower()}"
        items.append(RawItem(key, _kept(told, _COMMERCE, {TENANT: tenant, SOURCE: COMMERCE})))
    return items, rejects


def _each(raws: Sequence[msgspec.Raw], key: str) -> Iterator[tuple[dict[str, Any] | None, Reject]]:
    for at, raw in enumerate(raws):
        reject = Reject(None, "missing_key", f"it has no {key}", (key,), f"item {at + 1} of a page")
        try:
            told = _loose.decode(raw)
        except UNREADABLE:
            told = {}
        usable = isinstance(told.get(key), str) and told[key]
        yield (told if usable else None), reject


def _kept(told: Mapping[str, Any], names: Sequence[str], more: Mapping[str, str]) -> bytes:
    return in_order({**{name: told[name] for name in names if name in told}, **more})


# -- what they mean --------------------------------------------------------------------------------


class _Units(msgspec.Struct):
    enabled: Decimal | None = None
    warning: Decimal | None = None


class _Sku(msgspec.Struct):
    skuId: str  # noqa: N815
    tenant: str = msgspec.field(name=TENANT)
    name: str | None = msgspec.field(name=NAME, default=None)
    skuPartNumber: str | None = None  # noqa: N815
    appliesTo: str | None = None  # noqa: N815
    capabilityStatus: str | None = None  # noqa: N815
    consumedUnits: Decimal | None = None  # noqa: N815
    prepaidUnits: _Units | None = None  # noqa: N815


class _Directory(msgspec.Struct):
    id: str
    tenant: str = msgspec.field(name=TENANT)
    name: str | None = msgspec.field(name=NAME, default=None)
    commerceSubscriptionId: str | None = None  # noqa: N815
    skuId: str | None = None  # noqa: N815
    skuPartNumber: str | None = None  # noqa: N815
    status: str | None = None
    totalLicenses: Decimal | None = None  # noqa: N815
    isTrial: bool | None = None  # noqa: N815
    createdDateTime: str | None = None  # noqa: N815
    nextLifecycleDateTime: str | None = None  # noqa: N815


class _Commerce(msgspec.Struct):
    id: str
    tenant: str = msgspec.field(name=TENANT)
    offerId: str | None = None  # noqa: N815
    offerName: str | None = None  # noqa: N815
    friendlyName: str | None = None  # noqa: N815
    quantity: Decimal | None = None
    unitType: str | None = None  # noqa: N815
    status: str | None = None
    parentSubscriptionId: str | None = None  # noqa: N815
    creationDate: str | None = None  # noqa: N815
    effectiveStartDate: str | None = None  # noqa: N815
    commitmentEndDate: str | None = None  # noqa: N815
    autoRenewEnabled: bool | None = None  # noqa: N815
    isTrial: bool | None = None  # noqa: N815
    billingCycle: str | None = None  # noqa: N815
    termDuration: str | None = None  # noqa: N815
    orderId: str | None = None  # noqa: N815


class _Source(msgspec.Struct):
    source: str = msgspec.field(name=SOURCE)


_sku, _source = msgspec.json.Decoder(_Sku), msgspec.json.Decoder(_Source)
_directory, _commerce = msgspec.json.Decoder(_Directory), msgspec.json.Decoder(_Commerce)
_BAD = [Reject(None, "bad_value", "it has another form than Microsoft describes")]


def parse_license(raw: bytes) -> Sequence[License | Reject]:
    """One product of a tenant. Seats in their grace period can be assigned and count as bought."""
    try:
        told = _sku.decode(raw)
    except UNREADABLE:
        return _BAD
    if not (told.skuId and told.tenant):
        return _BAD
    units = told.prepaidUnits or _Units()
    counted = [count for count in (units.enabled, units.warning) if count is not None]
    values = {
        "name": told.name,
        "part_number": told.skuPartNumber,
        "status": told.capabilityStatus,
        "applies_to": told.appliesTo,
        "bought": sum(counted, Decimal(0)) if counted else None,
        "consumed": told.consumedUnits,
    }
    sku = told.skuId.lower()
    made = {"key": sku, "organization": told.tenant, "provider": PROVIDER, "sku": sku}
    return [License.unchecked({**made, **_known(values)})]


def parse_subscription(raw: bytes) -> Sequence[Subscription | Reject]:
    """One subscription, of whichever service tells of it."""
    try:
        if _source.decode(raw).source == COMMERCE:
            return _sold(_commerce.decode(raw))
        return _held(_directory.decode(raw))
    except UNREADABLE:
        return _BAD


def _sold(told: _Commerce) -> Sequence[Subscription | Reject]:
    values = {
        "name": told.friendlyName or told.offerName,
        "status": told.status,
        "quantity": told.quantity,
        "unit": told.unitType,
        "term": told.termDuration,
        "billing_cycle": told.billingCycle.lower() if told.billingCycle else None,
        "started_on": _day(told.effectiveStartDate or told.creationDate),
        "ends_on": _day(told.commitmentEndDate),
        "auto_renew": told.autoRenewEnabled,
        "trial": told.isTrial,
        "parent": told.parentSubscriptionId,
        "offer": told.offerId,
        "order_reference": told.orderId,
    }
    return _subscription(COMMERCE, told.id, told.id, told.tenant, values)


def _held(told: _Directory) -> Sequence[Subscription | Reject]:
    values = {
        "name": told.name,
        "sku": told.skuId.lower() if told.skuId else None,
        "part_number": told.skuPartNumber,
        "status": told.status,
        "quantity": told.totalLicenses,
        "started_on": _day(told.createdDateTime),
        "ends_on": _day(told.nextLifecycleDateTime),
        "trial": told.isTrial,
    }
    reference = told.commerceSubscriptionId or told.id
    return _subscription(DIRECTORY, told.id, reference, told.tenant, values)


def _subscription(
    source: str, key: str, reference: str, tenant: str, values: dict[str, Any]
) -> Sequence[Subscription | Reject]:
    if not (key and tenant):
        return _BAD
    made = {
        "key": f"{source}/{key.lower()}",
        "organization": tenant,
        "provider": PROVIDER,
        "reference": reference.lower(),
        "seen_by": source,
    }
    return [Subscription.unchecked({**made, **_known(values)})]


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, with clean texts."""
    cleaned = {
        name: clean(value) or None if isinstance(value, str) else value
        for name, value in values.items()
    }
    given = {name: value for name, value in cleaned.items() if value is not None}
    return {**given, "custom": {}, "extra": {}}


def _day(moment: str | None) -> date | None:
    """The day of a moment, however fine that is told; far in the future means never."""
    try:
        day = date.fromisoformat((moment or "")[:10])
    except ValueError:
        return None
    return day if day.year < _NEVER else None


_NEVER = 9000
