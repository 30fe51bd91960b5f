"""The names that a mapping may use: targets, sources, match keys, and the default sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syncd.entities import CUSTOM, FIELDS, KEY_FIELDS, Kind
from syncd.mapping.casts import custom_field
from syncd.records import Location, Organization, Person, Record

IDENTITY = "identity"
"""The correlation rule that compares what single sign-on presents; it stands alone."""

RECORDS: dict[Kind, type[Record]] = {
    Kind.CLIENT: Organization,
    Kind.SITE: Location,
    Kind.USER: Person,
}
"""The record that each kind of entity is mapped from."""

REQUIRED = "name"
"""The one target without which an entity cannot be kept."""

ACTIVE = "active"
"""The target that no record ever blanks: a source that does not say leaves it as it is."""

_STRUCTURED = frozenset({"clears", "custom", "extra", "licenses", "identities", "groups"})

# What people call a target after the record or the heading that they have before them.
ALIASES: dict[Kind, dict[str, str]] = {
    Kind.CLIENT: {
        "tenant": "tenant_id",
        "reference": "ref",
        "country": "country_code",
        "vip": "is_vip",
        "toplevel_name": "top_level",
    },
    Kind.SITE: {"reference": "ref", "country": "country_code", "mail_domain": "email_domain"},
    Kind.USER: {
        "title": "job_title",
        "mail": "email",
        "emailaddress": "email",
        "phonenumber": "phone",
        "user_principal_name": "login",
        "web_access_level": "access_level",
        "contract_end": "contract_end_date",
        "never_send_mail": "never_send_emails",
    },
}
"""Names that people know better than ours: of records, and of the headings of import sheets."""

DEFAULT_FIELDS: dict[Kind, dict[str, Any]] = {  # as a mapping file would write them
    Kind.CLIENT: {
        "name": "name",
        "ref": "reference",
        "tenant_id": "tenant",
        "accounts_id": "accounts_id",
        "domain": "domain",
        "website": "website",
        "accounts_email": "mail",
        "phone": "phone",
        "tax_number": "tax_number",
        "currency": "currency",
        "country_code": {"from": "country", "with": "country"},
        "timezone": "timezone",
        "customer_type": "customer_type",
        "colour": "colour",
        "trading_name": "trading_name",
        "main_contact_name": "contact_name",
        "main_contact_email": "contact_mail",
        "main_site_name": "main_location",
        "is_vip": "vip",
        "exclude_from_invoice_sync": "exclude_from_invoices",
        "active": "active",
        "notes": "notes",
    },
    Kind.SITE: {
        "name": "name",
        "ref": "reference",
        "email_domain": "mail_domain",
        "phone": "phone",
        "timezone": "timezone",
        "country_code": {"from": "country", "with": "country"},
        "region_code": "region",
        "main_contact_name": "contact_name",
        **{f"address_line{n}": f"address_line{n}" for n in range(1, 6)},
        "is_invoice_site": "invoice_address",
        "active": "active",
        "notes": "notes",
    },
    Kind.USER: {
        "name": ["display_name", "{given_name} {family_name}"],
        "given_name": "given_name",
        "family_name": "family_name",
        "job_title": "job_title",
        "email": ["mail", "user_principal_name"],
        "email2": "mail2",
        "email3": "mail3",
        "login": "user_principal_name",
        "sam_account_name": "sam_account_name",
        "employee_id": "employee_id",
        "third_party_id": "third_party_id",
        "phone": "business_phone",
        "mobile": "mobile",
        "home_phone": "home_phone",
        "department": "department",
        "manager_email": "manager_mail",
        "access_level": "access_level",
        "contract_end_date": "contract_end",
        "is_important_contact": "important_contact",
        "is_service_account": "service_account",
        "never_send_emails": "never_send_mail",
        **{f"other{n}": f"other{n}" for n in range(1, 6)},
        "active": "active",
        "notes": "notes",
    },
}


def is_template(source: str) -> bool:
    """Whether a source is a template such as `{given_name} {family_name}`, not a plain name."""
    return "{" in source or "}" in source


def check_source(kind: Kind, source: str) -> None:
    """Return if the records of `kind` have this plain source; else raise a telling ValueError."""
    head, dot, name = source.partition(".")
    if dot and head in ("extra", "custom"):
        if not name.strip() or name.startswith("__"):
            raise ValueError(f'"{source}" is not the name of a field of the record')
        return
    known = RECORDS[kind].model_fields.keys() - _STRUCTURED
    if source not in known:
        record = RECORDS[kind].__name__
        raise ValueError(f'{record} records have no "{source}"{suggestion(source, known)}')


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean "…"?`, or nothing if no known name is near."""
    from difflib import get_close_matches  # only a mistake needs it

    near = get_close_matches(wrong, sorted(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def target(kind: Kind, name: str) -> str:
    """The field of an entity that `name` means; raises a telling ValueError if there is none."""
    if name.startswith(CUSTOM):
        if custom_field(name) is None:
            raise ValueError(f"{name!r} is not a name that a custom field can have")
        return name
    name = ALIASES[kind].get(name, name)
    settable = {field.name for field in FIELDS[kind].values() if not field.local}
    if name not in settable:
        raise ValueError(f'a {kind} has no field "{name}"{suggestion(name, settable)}')
    return name


def match_field(kind: Kind, name: str) -> str:
    """The match key that `name` means; raises a telling ValueError if there is none."""
    name = ALIASES[kind].get(name, name)
    known = (*KEY_FIELDS[kind], *((IDENTITY,) if kind is Kind.USER else ()))
    if name not in known:
        raise ValueError(f'a {kind} is not matched by "{name}", only by {", ".join(known)}')
    return name
