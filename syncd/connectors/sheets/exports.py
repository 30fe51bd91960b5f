"""What a sheet is about, and whose export it is, as far as its headings tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from syncd.connectors.sheets.headings import (
    Kind,
    Meaning,
    kinds_with,
    looks_secret,
    meaning,
    overridden,
    squash,
)


class Export(NamedTuple):
    """The export of another tool: how it is known, and what it means as it is."""

    tool: str
    kind: Kind
    signatures: tuple[frozenset[str], ...]
    """Any of these sets of headings, as they are compared, is enough."""
    key: tuple[str, ...]
    """What identifies its users, unless somebody says otherwise."""
    unused: frozenset[str]
    """Headings that such an export always has and that say nothing we keep."""


def _set(*headings: str) -> frozenset[str]:
    return frozenset(map(squash, headings))


EXPORTS = (
    Export(
        "Microsoft 365 admin centre",
        Kind.USER,
        (
            _set("User principal name", "Display name", "Licenses"),
            _set("User principal name", "Display name", "Block credential"),
        ),
        ("User principal name",),
        _set(
            "DirSyncEnabled", "Fax", "Last dirsync time", "License assignment details",
            "Preferred data location", "Preferred language", "Proxy addresses", "Release track",
            "Soft deletion time stamp", "When created", "Alternate email address", "Roles",
            "Alternate email addresses",
        ),
    ),
    Export(
        "Google Workspace",
        Kind.USER,
        (_set("First Name [Required]", "Last Name [Required]", "Email Address [Required]",
              "Org Unit Path [Required]"),),
        ("Email Address [Required]",),
        _set(
            "New Primary Email", "Last Sign In", "Recovery Email", "Recovery Phone",
            "Work Address", "Home Address", "2sv Enrolled", "2sv Enforced", "Building ID",
            "Floor Name", "Floor Section", "Email Usage", "Drive Usage", "Photos Usage",
            "Storage limit", "Storage Used", "New Status", "New Licenses",
            "Advanced Protection Program enrollment",
        ),
    ),
    Export(
        "Xero",
        Kind.CLIENT,
        (_set("*ContactName", "EmailAddress", "POCity"), _set("*ContactName", "SAAddressLine1")),
        (),
        _set(
            "FirstName", "LastName", "POAttentionTo", "SAAttentionTo", "FaxNumber", "MobileNumber",
            "DDINumber", "SkypeName", "BankAccountName", "BankAccountNumber",
            "BankAccountParticulars", "AccountsReceivableTaxCodeName",
            "AccountsPayableTaxCodeName", "Discount", "CompanyNumber", "DueDateBillDay",
            "DueDateBillTerm", "DueDateSalesDay", "DueDateSalesTerm", "SalesAccount",
            "PurchasesAccount", "BrandingTheme", "DefaultTaxBills", "DefaultTaxSales",
            *(f"{name}{n}" for n in (1, 2) for name in (
                "TrackingName", "SalesTrackingOption", "PurchasesTrackingOption")),
            *(f"Person{n}{name}" for n in range(1, 6) for name in (
                "FirstName", "LastName", "Email", "IncludeInEmail")),
        ),
    ),
)  # fmt: skip


def recognize(headings: Sequence[str]) -> Export | None:
    """The tool that exports such headings, if it is one that we know."""
    present = {squash(heading) for heading in headings}
    for export in EXPORTS:
        if any(signature <= present for signature in export.signatures):
            return export
    return None


def kind_of(
    headings: Sequence[str], overrides: Mapping[str, str], key: Sequence[str]
) -> Kind | None:
    """What the rows of a sheet are, where its headings leave no doubt: users, sites or clients.

    Told by the columns that only one kind has. key: the headings that identify users.
    """
    named = [overridden(one, overrides) for one in headings if not looks_secret(one)]
    kinds = [kinds_with(one) for one in named]
    own = Counter(found[0] for found in kinds if len(found) == 1)
    as_users = {found for one in named if (found := meaning(one, Kind.USER))}
    has_key = _has_all(key, headings, as_users)
    name = {found.kind for found in as_users if found.column.heading == "name"}
    if own[Kind.USER] or name == set(Kind) or (has_key and Kind.CLIENT in name):
        return Kind.USER
    if Kind.CLIENT in name and (own[Kind.SITE] or Kind.SITE in name):
        return Kind.SITE
    if own[Kind.CLIENT] and not own[Kind.SITE]:
        return Kind.CLIENT
    if has_key:
        return Kind.USER
    as_clients = {found for one in named if (found := meaning(one, Kind.CLIENT))}
    has_name = any(found.column.heading == "name" for found in as_clients)
    return Kind.CLIENT if has_name and Kind.CLIENT not in name else None


def _has_all(key: Sequence[str], headings: Sequence[str], meant: Collection[Meaning]) -> bool:
    """Whether the columns that identify users are there, by any of their spellings."""
    spelled = {squash(one) for one in headings}
    return bool(key) and all(
        squash(one) in spelled or meaning(one, Kind.USER) in meant for one in key
    )
