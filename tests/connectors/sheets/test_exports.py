"""What a sheet is about, and whose export it is."""

from __future__ import annotations

import pytest

from syncd.connectors.sheets import templates
from syncd.connectors.sheets.exports import kind_of, recognize
from syncd.connectors.sheets.headings import Kind

EMAIL = ("emailaddress",)


@pytest.mark.parametrize(
    ("headings", "key", "kind"),
    [
        (["Name", "Email", "Company", "Site"], EMAIL, Kind.USER),
        (["E-mail", "Client"], EMAIL, Kind.USER),
        (["First name", "Client"], (), Kind.USER),
        (["Staff no", "Name"], ("Staff no",), Kind.USER),
        (["Name", "Email"], EMAIL, Kind.USER),
        (["name", "client_name", "emaildomain"], EMAIL, Kind.SITE),
        (["Site", "Client"], (), Kind.SITE),
        (["Client", "Website", "VAT number"], EMAIL, Kind.CLIENT),
        (["name", "ref"], (), Kind.CLIENT),
        (["Customer", "Accounts id"], (), Kind.CLIENT),
        (["Phone", "Notes"], (), None),
    ],
)
def test_headings_tell_what_the_rows_are(
    headings: list[str], key: tuple[str, ...], kind: Kind | None
) -> None:
    assert kind_of(headings, {}, key) is kind


def test_an_override_counts_for_what_it_means() -> None:
    assert kind_of(["Wer", "Kunde"], {"Wer": "surname"}, ()) is Kind.USER


@pytest.mark.parametrize("what", templates.HEADINGS)
def test_a_template_is_known_by_its_headings(what: str) -> None:
    expected = {"clients": Kind.CLIENT, "sites": Kind.SITE}.get(what, Kind.USER)
    assert kind_of(templates.HEADINGS[what], {}, EMAIL) is expected
    assert recognize(templates.HEADINGS[what]) is None


@pytest.mark.parametrize(
    ("headings", "tool"),
    [
        (["Display name", "User principal name", "Licenses"], "Microsoft 365 admin centre"),
        (["Block credential", "User principal name", "Display name"], "Microsoft 365 admin centre"),
        (
            ["First Name [Required]", "Last Name [Required]", "Email Address [Required]",
             "Org Unit Path [Required]"],
            "Google Workspace",
        ),
        (["*ContactName", "EmailAddress", "POCity"], "Xero"),
        (["ContactName", "SAAddressLine1"], "Xero"),
        (["Name", "Email"], None),
    ],
)  # fmt: skip
def test_an_export_is_known_by_its_headings(headings: list[str], tool: str | None) -> None:
    found = recognize(headings)
    assert (found.tool if found else None) == tool
