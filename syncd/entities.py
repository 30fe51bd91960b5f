"""What syncd keeps: clients, sites, users, what these are licensed for, and the fields of each. The
one list of their names.

The store makes its columns from it, the mapping checks its targets against it, and the command line
knows from it what can be set. Widths are in characters.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID, SafeUUID, uuid5


class Kind(StrEnum):
    """The kinds of entity that have fields."""

    __hash__ = str.__hash__  # equal to its text, and many times faster than an enumeration's own

    CLIENT = "client"
    SITE = "site"
    USER = "user"
    LICENSE = "license"
    SUBSCRIPTION = "subscription"


DESK = (Kind.CLIENT, Kind.SITE, Kind.USER)
"""What people name, match, edit and merge."""
HOLDINGS = (Kind.LICENSE, Kind.SUBSCRIPTION)
"""What a client has of a provider, by the provider's own ids: nothing to match, nothing to edit."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `key`: records can be matched by it. `local`: only people set it, never a source.

    `overflow`: what happens to a longer value: cut with a notice, or the record is quarantined.
    """

    name: str
    type: Literal["text", "bool", "date"] = "text"
    width: int = 255
    key: bool = False
    local: bool = False
    overflow: Literal["cut", "quarantine"] = "cut"


def _text(*names: str, width: int = 255) -> list[Field]:
    return [Field(name, width=width) for name in names]


def _key(*names: str) -> list[Field]:
    return [Field(name, key=True, overflow="quarantine") for name in names]


def _flag(*names: str) -> list[Field]:
    return [Field(name, type="bool") for name in names]


FIELDS: dict[Kind, dict[str, Field]] = {
    kind: {field.name: field for field in fields}
    for kind, fields in {
        Kind.CLIENT: [
            *_key("name", "ref", "tenant_id", "accounts_id", "domain"),
            *_text("top_level", "website", "accounts_email", "phone", "tax_number", "currency"),
            *_text("country_code", "timezone", "customer_type", "colour", "trading_name"),
            *_text("main_contact_name", "main_contact_email", "main_site_name"),
            *_flag("is_vip", "exclude_from_invoice_sync", "active"),
            Field("notes", width=4000),
        ],
        Kind.SITE: [
            *_key("name", "ref", "email_domain"),
            *_text("phone", "timezone", "country_code", "region_code", "main_contact_name"),
            *_text("address_line1", "address_line2", "address_line3", "address_line4"),
            *_text("address_line5"),
            *_flag("is_invoice_site", "active"),
            Field("notes", width=4000),
        ],
        Kind.USER: [
            *_key("email", "login", "employee_id", "third_party_id"),
            Field("name", key=True),
            Field("phone", key=True),
            Field("mobile", key=True),
            *_text("given_name", "family_name", "job_title", "email2", "email3", "home_phone"),
            *_text("sam_account_name", "department", "manager_email", "access_level"),
            *_text("other1", "other2", "other3", "other4", "other5"),
            *_flag("is_important_contact", "is_service_account", "never_send_emails", "active"),
            Field("contract_end_date", type="date"),
            Field("keep_active", type="bool", local=True),
            Field("notes", width=4000),
        ],
        Kind.LICENSE: [
            *_text("provider", "sku", width=400),
            *_text("name", "part_number", "status", "applies_to", "bought", "consumed"),
            *_flag("active"),
        ],
        Kind.SUBSCRIPTION: [
            *_text("provider", "reference", width=400),
            *_text("name", "sku", "part_number", "status", "quantity", "unit", "term"),
            *_text("billing_cycle", "parent", "offer", "order_reference", "seen_by"),
            Field("started_on", type="date"),
            Field("ends_on", type="date"),
            *_flag("auto_renew", "trial", "active"),
        ],
    }.items()
}
"""Numbers (bought, consumed, quantity) are decimal texts: half a seat is kept as it is told."""

REFERENCE_OF: dict[Kind, str] = {Kind.LICENSE: "sku", Kind.SUBSCRIPTION: "reference"}
"""The field that tells holdings of one client and provider apart."""

KEY_FIELDS: dict[Kind, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields.values() if field.key)
    for kind, fields in FIELDS.items()
}
"""The fields that correlation rules may name; each has a normalized, indexed column of its own."""

CUSTOM = "custom."
"""Prefix of a custom field: `custom.cost_center`. They are text of at most 255 characters."""

MAIN_SITE = "Main"
LOCAL = "local"
"""The owner of a value that a person set."""


@dataclass(slots=True)
class Entity:
    """What is stored of one: its non-blank values (custom fields as `custom.NAME`)."""

    id: UUID
    kind: Kind
    client: UUID | None
    site: UUID | None
    values: dict[str, Any]
    overrides: dict[str, Any]
    provenance: dict[str, str]
    retired: bool

    @property
    def active(self) -> bool:
        return bool(self.values.get("active"))

    def owner(self, name: str) -> str | None:
        """The connection that gave the value of field `name`, `local`, or None."""
        if name in self.overrides:
            return "local"
        return self.provenance.get(name) or self.provenance.get("*")


_new, _unknown = object.__new__, SafeUUID.unknown
_put_number, _put_safety = (UUID.__dict__[name].__set__ for name in ("int", "is_safe"))


def quick_uuid(number: int) -> UUID:
    """The UUID with this number, without the checks that take `UUID` most of its time."""
    made = _new(UUID)
    _put_number(made, number)
    _put_safety(made, _unknown)
    return made


def uuid_of(data: bytes) -> UUID:
    """The UUID with these 16 bytes."""
    return quick_uuid(int.from_bytes(data, "big"))


class _Clock(threading.local):
    stamp = 0
    """Of the last id: its millisecond, and 12 bits that count within it."""
    entropy: Iterator[tuple[int]] = iter(())


_clock = _Clock()


def _forget_entropy() -> None:
    _clock.entropy = iter(())  # two processes must never draw from one pool


os.register_at_fork(after_in_child=_forget_entropy)


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562): ordered within a thread: indexes grow at their end."""
    clock = _clock
    # While the clock stands still, or after it went back, the count goes on.
    stamp = clock.stamp = max(time.time_ns() // 1_000_000 << 12, clock.stamp + 1)
    drawn = next(clock.entropy, None)
    if drawn is None:  # asking the system for every id would cost more than all the rest
        clock.entropy = struct.iter_unpack(">Q", os.urandom(4096))
        drawn = next(clock.entropy)
    millis, count = stamp >> 12, stamp & 0xFFF
    return quick_uuid(millis << 80 | 7 << 76 | count << 64 | 2 << 62 | drawn[0] >> 2)


def holding_id(kind: Kind, client: UUID, provider: str, reference: str) -> UUID:
    """The id of a new pool of licenses or subscription: the same for whoever makes it (RFC 9562,
    version 5).
    """
    more = () if kind is Kind.LICENSE else (kind,)
    return uuid5(client, "\n".join((provider, reference, *more)))
