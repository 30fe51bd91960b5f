"""What providers have: organizations, locations, people and what these are licensed for, as typed
values; no word of ours.

A connector parses raw items into these; a mapping reads them. `None` means that the source said
nothing about a field; a field named in `clears` is one that the source says is empty on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field


class Identity(NamedTuple):
    """What single sign-on will present for a person: issuer (a URL or a name) and subject."""

    issuer: str
    subject: str


class Record(BaseModel):
    """Base of the typed values; `key` is the provider's immutable id within one stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(min_length=1, max_length=400)
    clears: tuple[str, ...] = ()
    custom: dict[str, str | None] = {}
    """The desk's own custom fields, where a source carries them (CF…, SF… columns); None clears."""
    extra: dict[str, Any] = {}
    """Vendor fields without a canonical home; a mapping may read them as `extra.NAME`."""

    @classmethod
    def unchecked(cls, values: dict[str, Any]) -> Self:
        """The record that `model_validate` makes of values of the right types, without looking at
        each: for connectors whose every value was just made by their own code. Name `custom` and
        `extra`, or records share them.
        """
        record = cls.__new__(cls)
        _put(record, "__dict__", _defaults(cls) | values)
        _put(record, "__pydantic_fields_set__", set(values))
        _put(record, "__pydantic_extra__", None)
        _put(record, "__pydantic_private__", None)
        return record


_put = object.__setattr__


@cache
def _defaults(kind: type[Record]) -> dict[str, Any]:
    fields = kind.model_fields.items()
    return {name: field.default for name, field in fields if not field.is_required()}


class Organization(Record):
    """A company, tenant or customer: what syncd may keep as a client."""

    name: str | None = None
    parent: str | None = None
    reference: str | None = None
    tenant: str | None = None
    accounts_id: str | None = None
    domain: str | None = None
    website: str | None = None
    mail: str | None = None
    phone: str | None = None
    tax_number: str | None = None
    currency: str | None = None
    country: str | None = None
    timezone: str | None = None
    trading_name: str | None = None
    contact_name: str | None = None
    contact_mail: str | None = None
    customer_type: str | None = None
    colour: str | None = None
    vip: bool | None = None
    exclude_from_invoices: bool | None = None
    main_location: str | None = None
    active: bool | None = None
    notes: str | None = None


class Location(Record):
    """An office or address of an organization: what syncd may keep as a site."""

    organization: str
    name: str | None = None
    reference: str | None = None
    phone: str | None = None
    mail_domain: str | None = None
    timezone: str | None = None
    country: str | None = None
    region: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    address_line3: str | None = None
    address_line4: str | None = None
    address_line5: str | None = None
    contact_name: str | None = None
    invoice_address: bool | None = None
    active: bool | None = None
    notes: str | None = None


class Person(Record):
    """A human, shared mailbox or service account: what syncd may keep as a user."""

    organization: str | None = None
    """Key of the Organization record this person belongs to."""
    location: str | None = None
    """Key of the Location record, where the provider links people to locations."""
    display_name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    job_title: str | None = None
    mail: str | None = None
    mail2: str | None = None
    mail3: str | None = None
    user_principal_name: str | None = None
    sam_account_name: str | None = None
    employee_id: str | None = None
    third_party_id: str | None = None
    business_phone: str | None = None
    mobile: str | None = None
    home_phone: str | None = None
    department: str | None = None
    office_location: str | None = None
    city: str | None = None
    country: str | None = None
    manager_mail: str | None = None
    user_type: str | None = None
    access_level: str | None = None
    contract_end: date | None = None
    important_contact: bool | None = None
    service_account: bool | None = None
    never_send_mail: bool | None = None
    other1: str | None = None
    other2: str | None = None
    other3: str | None = None
    other4: str | None = None
    other5: str | None = None
    active: bool | None = None
    """False: the source says disabled. None: the source does not say."""
    notes: str | None = None
    licenses: tuple[str, ...] | None = None
    """What the person is licensed for, each once; empty: for nothing; None: it is not said."""
    license_provider: str | None = None
    """Whose licenses these are, where several connections tell of the same; None: the connection's
    own.
    """
    identities: tuple[Identity, ...] = ()
    groups: tuple[str, ...] = ()
    """Of the groups that the mapping names, those that the person is in; the stream of memberships
    tells.
    """


class Membership(Record):
    """The groups that a person is in, by the person's key."""

    groups: tuple[str, ...] = ()


class License(Record):
    """How many licenses of one product an organization has. `sku` is the provider's immutable id of
    the product, `consumed` how many of them it counts as assigned.
    """

    organization: str
    provider: str
    sku: str
    name: str | None = None
    part_number: str | None = None
    status: str | None = None
    applies_to: str | None = None
    bought: Decimal | None = None
    consumed: Decimal | None = None


class Subscription(Record):
    """What an organization ordered. `reference` is the provider's commercial id: records that share
    it are about one subscription. `seen_by`: which of the provider's services tells of it.
    """

    organization: str
    provider: str
    reference: str
    seen_by: str | None = None
    name: str | None = None
    sku: str | None = None
    part_number: str | None = None
    status: str | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    term: str | None = None
    """ISO 8601, as the provider says it: P1M, P1Y, P3Y."""
    billing_cycle: str | None = None
    started_on: date | None = None
    ends_on: date | None = None
    """When it renews or ends."""
    auto_renew: bool | None = None
    trial: bool | None = None
    parent: str | None = None
    """The reference of the subscription that this one adds to."""
    offer: str | None = None
    order_reference: str | None = None


class Tombstone(NamedTuple):
    """The provider says that a key is gone; `reason` as the provider calls it (deleted, …)."""

    key: str
    reason: str = "deleted"


class Reject(NamedTuple):
    """An item that could not be read. `key` is None where not even that is known.

    `fields` are names, `reason` is a stable code (`bad_value`, `missing_key`, `ragged_row`, …),
    `message` tells a person what to repair, without values; `where` is a place such as "line 17".
    """

    key: str | None
    reason: str
    message: str
    fields: tuple[str, ...] = ()
    where: str | None = None


class Rekeying(NamedTuple):
    """How stored items come to other keys. `named`: what these are made of, as a setting says it;
    `key_of`: what an item is to be known by, "" where its own values do not tell; `under`: the item
    as it would come under a key.
    """

    named: tuple[str, ...]
    key_of: Callable[[bytes], str]
    under: Callable[[bytes, str], bytes]
