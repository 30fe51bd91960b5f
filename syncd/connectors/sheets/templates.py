"""Sample sheets to fill in: every column that syncd knows by name, and two rows that show how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncd.connectors.sheets.writing import open_writer

_CLIENTS = (
    "name", "toplevel_name", "ref", "inactive", "website", "domain", "accountsid",
    "accountsemailaddress", "tax_number", "default_currency_code", "is_vip", "customertype",
    "colour", "notes", "main_site_name", "main_phonenumber", "main_contact_name", "trading_name",
    "excludefrominvoicesync", "newclient_timezone", "newclient_contactemail",
    "newclient_countrycode",
)  # fmt: skip
_SITES = (
    "name", "client_name", "inactive", "phonenumber", "emaildomain", "timezone", "country_code",
    "region_code", *(f"delivery_address_line{n}" for n in range(1, 6)), "isinvoicesite",
    "maincontact_name", "ref", "notes",
)  # fmt: skip
_USERS = (
    "name", "firstname", "surname", "title", "emailaddress", "email2", "email3", "phonenumber",
    "mobilenumber", "homenumber", "login", "samaccountname", "site_name", "client_name",
    "department", "manager_email", "inactive", "isimportantcontact", "isserviceaccount",
    "neversendemails", "web_access_level", "azureoid", "azure_tenant_id", "oktaid",
    "googleworkplace_id", "third_party_id", "employee_id", "contract_end_date",
    *(f"other{n}" for n in range(1, 6)), "notes",
)  # fmt: skip
_COMBINED = (
    *_USERS,
    "client_ref", "client_website", "site_phonenumber", "site_delivery_address_line1",
    "site_country_code",
)  # fmt: skip

HEADINGS: dict[str, tuple[str, ...]] = {
    "clients": _CLIENTS,
    "sites": _SITES,
    "users": _USERS,
    "combined": _COMBINED,
}
"""The columns of each template."""

_SAMPLES: dict[str, tuple[dict[str, str], ...]] = {
    "clients": (
        {
            "name": "Alder & Finch LLP", "ref": "C-001", "website": "alderfinch.example.com",
            "domain": "alderfinch.example.com", "main_site_name": "Bath",
            "default_currency_code": "GBP", "inactive": "no", "newclient_countrycode": "GB",
        },
        {"name": "Brightwater Dental", "ref": "C-002", "is_vip": "yes", "inactive": "no"},
    ),
    "sites": (
        {
            "name": "Bath", "client_name": "Alder & Finch LLP", "country_code": "GB",
            "delivery_address_line1": "1 Mill Lane", "emaildomain": "alderfinch.example.com",
            "isinvoicesite": "yes", "inactive": "no",
        },
        {"name": "Main", "client_name": "Brightwater Dental", "inactive": "no"},
    ),
    "users": (
        {
            "name": "Maud Okafor", "firstname": "Maud", "surname": "Okafor", "title": "Partner",
            "emailaddress": "maud.okafor@alderfinch.example.com", "login": "mokafor",
            "client_name": "Alder & Finch LLP", "site_name": "Bath", "employee_id": "1001",
            "phonenumber": "+44 1225 496 0001", "inactive": "no",
        },
        {
            "name": "Tom Reyes", "emailaddress": "tom.reyes@brightwater.example.org",
            "client_name": "Brightwater Dental", "site_name": "Main", "employee_id": "1002",
            "contract_end_date": "2027-12-31", "inactive": "no",
        },
    ),
}  # fmt: skip
_SAMPLES["combined"] = (
    {**_SAMPLES["users"][0], "client_ref": "C-001", "site_country_code": "GB"},
    {**_SAMPLES["users"][1], "client_ref": "C-002"},
)


def write(what: str, folder: Path) -> list[Path]:
    """Write the template of this name into a folder, in both formats; FileExistsError where one is
    there already.
    """
    paths = [folder / f"{what}{suffix}" for suffix in (".csv", ".xlsx")]
    for path in paths:
        if path.exists():
            raise FileExistsError(str(path))
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        with open_writer(path, {"delimiter": "comma"}) as writer:
            writer.write(rows(what))
    return paths


def rows(what: str) -> list[list[Any]]:
    """The headings of a template, and its sample rows."""
    headings = HEADINGS[what]
    samples = [[sample.get(one, "") for one in headings] for sample in _SAMPLES[what]]
    return [list(headings), *samples]
