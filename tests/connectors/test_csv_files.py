"""What the CSV connector makes of real files: good ones, odd ones and harmful ones."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import random
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from syncd.connectors.base import DEFAULT_PARTITION, Context, Deletes, Page
from syncd.connectors.csv_files import Csv, CsvConfig
from syncd.connectors.sheets import census, spool, text_files
from syncd.connectors.sheets.headings import (
    COLUMNS,
    RECORDS,
    Kind,
    looks_secret,
    meaning,
    near_miss,
)
from syncd.connectors.sheets.layout import join_key
from syncd.connectors.sheets.records import (
    ACTIVE,
    INACTIVE,
    NO,
    YES,
    parse_location,
    parse_organization,
    parse_person,
)
from syncd.errors import BadResponse, ProviderError, ProviderUnavailable
from syncd.records import Identity, Location, Organization, Person, Record, Reject

Make = Callable[..., Csv]
R = TypeVar("R", bound=Record)


@pytest.fixture
def sheet(tmp_path: Path) -> Make:
    """A function that writes a file and connects to it."""

    def make(content: str | bytes, *, to: str = "combined", **settings: Any) -> Csv:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / f"{to}.csv").write_bytes(data)
        settings = {to: f"{to}.csv", "contents": "full", "key": "login", **settings}
        return Csv(CsvConfig(**settings), Context("sheets", tmp_path))

    return make


def pages(connector: Csv, stream: str) -> list[Page]:
    declared = next(it for it in connector.streams() if it.name == stream)
    return list(connector.read(declared, DEFAULT_PARTITION, None))


def raws(connector: Csv, stream: str = "people") -> dict[str, bytes]:
    items = [item for page in pages(connector, stream) for item in page.items]
    assert len({item.key for item in items}) == len(items)
    return {item.key: item.raw for item in items}


def rejects(connector: Csv, stream: str = "people") -> list[Reject]:
    return [reject for page in pages(connector, stream) for reject in page.rejects]


def notices(connector: Csv, stream: str = "people") -> list[str]:
    return [notice for page in pages(connector, stream) for notice in page.notices]


def organizations(connector: Csv) -> dict[str, Organization]:
    return {it.key: it for it in _records(connector, "organizations", Organization)}


def locations(connector: Csv) -> dict[str, Location]:
    return {it.key: it for it in _records(connector, "locations", Location)}


def people(connector: Csv) -> dict[str, Person]:
    return {it.key: it for it in _records(connector, "people", Person)}


def _records(connector: Csv, stream: str, kind: type[R]) -> list[R]:
    declared = next(it for it in connector.streams() if it.name == stream)
    found = [it for raw in raws(connector, stream).values() for it in declared.parse(raw)]
    records = [it for it in found if isinstance(it, kind)]
    assert len(records) == len(found), found
    return records


def said(**settings: Any) -> Person | Reject:
    """What parse makes of one person with these cells."""
    (found,) = parse_person(json.dumps({"#key": "k", **settings}).encode())
    return found


# -- the combined sheet ----------------------------------------------------------------------------

COMBINED = """\
Login,Name,Client,Site,Client Website,Site Phone Number,Phone,CFBadge,client_CFregion,SFfloor
ada@a.example,Ada,Acme,Main,acme.example,111,1,B1,North,2
bob@a.example,Bob,ACME ,main,acme.example,111,2,,North,2
cleo@b.example,Cleo,Beta,,beta.example,,3,,,
"""


def test_a_row_is_a_client_a_site_and_a_user(sheet: Make) -> None:
    connector = sheet(COMBINED)
    assert organizations(connector) == {
        "acme": Organization(
            key="acme", name="ACME", website="acme.example", custom={"region": "North"}
        ),
        "beta": Organization(key="beta", name="Beta", website="beta.example"),
    }
    assert locations(connector) == {
        "acme|main": Location(
            key="acme|main", organization="acme", name="Main", phone="111", custom={"floor": "2"}
        )
    }
    ada = people(connector)["ada@a.example"]
    assert (ada.organization, ada.location) == ("acme", "acme|main")
    assert (ada.user_principal_name, ada.display_name, ada.business_phone) == (
        "ada@a.example", "Ada", "1",
    )  # fmt: skip
    assert ada.custom == {"badge": "B1"}
    assert people(connector)["cleo@b.example"].location is None


def test_the_order_of_rows_and_columns_changes_no_byte(sheet: Make) -> None:
    table = list(csv.reader(io.StringIO(COMBINED)))
    expected = {name: raws(sheet(COMBINED), name) for name in ("organizations", "locations")}
    expected_people = raws(sheet(COMBINED))
    chance = random.Random(7)
    for _ in range(10):
        columns = chance.sample(range(len(table[0])), len(table[0]))
        rows = [table[0], *chance.sample(table[1:], len(table) - 1)]
        text = io.StringIO()
        csv.writer(text, delimiter=";").writerows([[row[at] for at in columns] for row in rows])
        again = sheet(text.getvalue(), to="users")
        assert {name: raws(again, name) for name in expected} == expected
        assert raws(again) == expected_people


def test_where_rows_disagree_the_value_of_most_rows_wins_and_a_notice_says_so(sheet: Make) -> None:
    rows = ["1,Acme,x.example", "2,Acme,y.example", "3,Acme,y.example", "4,Acme,", "5,Beta,b,"]
    connector = sheet("login,client,website\n" + "\n".join(rows[:4]))
    assert organizations(connector)["acme"].website == "y.example"
    assert notices(connector, "organizations") == [
        'rows disagree about website of the client "Acme"; the value of most rows is used'
    ]
    tie = sheet("login,client,website\n1,Acme,y.example\n2,Acme,x.example\n")
    assert organizations(tie)["acme"].website == "x.example"


def test_a_row_without_a_user_still_defines_its_client_and_site(sheet: Make) -> None:
    connector = sheet("login,name,client,site\n,,Acme,Depot\n,Nameless,Acme,Depot\n")
    assert set(locations(connector)) == {"acme|depot"}
    assert rejects(connector) == [Reject(None, "missing_key", "nothing in login", where="line 3")]


def test_the_sheet_is_read_once(sheet: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = sheet(COMBINED)
    opened: list[str] = []
    real = os.open

    def spy(path: Any, *rest: Any, **more: Any) -> int:
        opened.append(str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", spy)
    for stream in connector.streams():
        pages(connector, stream.name)
    assert len([path for path in opened if path.endswith("combined.csv")]) == 1


def test_too_many_different_clients_are_refused(
    sheet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "MAX_DISTINCT", 2)
    with pytest.raises(BadResponse, match="more than 2 different things about client"):
        pages(sheet(COMBINED.replace("beta.example", "b") + "x,X,Gamma,,,,,,,\n"), "organizations")


def test_client_and_site_names_cannot_be_confused_in_a_key() -> None:
    assert join_key(["a|b", "c"]) != join_key(["a", "b|c"])
    assert join_key(["a\\", "b"]) != join_key(["a", "\\b"])


@given(st.lists(st.lists(st.text("ab|\\", max_size=4), min_size=2, max_size=2), max_size=8))
def test_joined_keys_are_as_different_as_their_parts(parts: list[list[str]]) -> None:
    assert len({join_key(it) for it in parts}) == len({tuple(it) for it in parts})


# -- separate sheets -------------------------------------------------------------------------------


def test_each_sheet_gives_the_records_of_its_kind(tmp_path: Path, sheet: Make) -> None:
    (tmp_path / "c.csv").write_text("name,ref,inactive,main_site_name\nAcme,R1,no,HQ\n")
    (tmp_path / "s.csv").write_text(
        "Name,Client,Delivery_Address_Line1,isinvoicesite\nHQ,Acme,1 St,y\n"
    )
    connector = sheet("login,name,client_name,site_name\na,Ada,Acme,HQ\nb,Bob,Nowhere,Depot\n",
                      to="users", clients="c.csv", sites="s.csv")  # fmt: skip
    assert organizations(connector) == {
        "acme": Organization(
            key="acme", name="Acme", reference="R1", active=True, main_location="HQ"
        )
    }
    assert locations(connector) == {
        "acme|hq": Location(key="acme|hq", organization="acme", name="HQ", address_line1="1 St",
                            invoice_address=True)
    }  # fmt: skip
    assert people(connector)["b"].location == "nowhere|depot"


def test_clients_without_a_sheet_come_from_the_sites_and_users_sheets(
    tmp_path: Path, sheet: Make
) -> None:
    (tmp_path / "s.csv").write_text("Name,Client\nHQ,Acme\n")
    connector = sheet("login,client,site\na,Beta,Depot\n", to="users", sites="s.csv")
    assert set(organizations(connector)) == {"acme", "beta"}
    assert set(locations(connector)) == {"acme|hq"}


def test_the_client_setting_stands_in_for_a_missing_column(sheet: Make) -> None:
    connector = sheet("login,site\na,HQ\n", client="Acme Ltd")
    assert organizations(connector)["acme ltd"].name == "Acme Ltd"
    assert people(connector)["a"].organization == "acme ltd"
    assert set(locations(connector)) == {"acme ltd|hq"}


def test_without_any_client_the_people_have_none_and_a_notice_says_so(sheet: Make) -> None:
    connector = sheet("login,name\na,Ada\n", to="users")
    assert people(connector)["a"].organization is None
    assert notices(connector) == ["users.csv has no client column and `client` is not set"]


def test_sites_without_any_client_are_refused(sheet: Make) -> None:
    with pytest.raises(BadResponse, match=r"no client column.*set `client`"):
        sheet("name\nHQ\n", to="sites").check()


def test_a_sheet_read_alone_gives_no_records_of_other_kinds(sheet: Make) -> None:
    connector = sheet("name\nAcme\n", to="clients")
    assert set(organizations(connector)) == {"acme"}
    assert pages(connector, "locations") == pages(connector, "people") == []


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_may_be_written_in_any_spelling_or_be_a_column_that_syncd_does_not_know(
    sheet: Make,
) -> None:
    assert set(raws(sheet("*Staff No.,name\nE 7,Ada\n", key="employee_id"))) == {"e 7"}
    unknown = sheet("Badge,name,client\nB7,Ada,A\n", key="badge")
    assert set(raws(unknown)) == {"b7"}
    assert notices(unknown) == []


def test_a_composite_key_needs_all_its_parts(sheet: Make) -> None:
    text = "login,client,name\nada,A|x,Ada\nada,B,Ada\n,B,Bob\n"
    connector = sheet(text, key=["client_name", "login"])
    assert set(raws(connector)) == {"a\\|x|ada", "b|ada"}
    assert [(it.reason, it.where) for it in rejects(connector)] == [("missing_key", "line 4")]


def test_a_file_without_its_key_column_is_refused(sheet: Make) -> None:
    with pytest.raises(BadResponse, match='no column "login", which the setting `key` names'):
        sheet("name,email\nAda,a@x\n").check()


def test_a_key_that_is_too_long_is_rejected_by_its_line(sheet: Make) -> None:
    connector = sheet(f"login,client\n{'x' * 401},A\nok,A\n")
    assert [(it.key, it.reason, it.where) for it in rejects(connector)] == [
        (None, "long_key", "line 2")
    ]


def test_spellings_of_one_key_are_two_items_with_one_key(sheet: Make) -> None:
    (page,) = pages(sheet("login,name,client\nAda,1,A\n ADA ,2,A\n"), "people")
    assert [item.key for item in page.items] == ["ada", "ada"]


# -- headings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "kind", "canonical"),
    [
        ("First Name [Required]", Kind.USER, "firstname"),
        ("Vorname", Kind.USER, "firstname"),
        ("PRÉNOM", Kind.USER, "firstname"),
        ("E-Mail", Kind.USER, "emailaddress"),
        ("User principal name", Kind.USER, "login"),
        ("Block credential", Kind.USER, "inactive"),
        ("Staff No", Kind.USER, "employee_id"),
        ("Status [READ ONLY]", Kind.USER, "status"),
        ("notes", Kind.USER, "notes"),
        ("Client Notes", Kind.CLIENT, "notes"),
        ("site_notes", Kind.SITE, "notes"),
        ("*ContactName", Kind.CLIENT, "name"),
        ("POCity", Kind.CLIENT, "po_city"),
        ("SAAddressLine1", Kind.SITE, "delivery_address_line1"),
        ("main_contact_name", Kind.CLIENT, "main_contact_name"),
        ("maincontact_name", Kind.SITE, "maincontact_name"),
        ("tax_number", Kind.CLIENT, "tax_number"),
        ("CF Cost Center", Kind.USER, "CFcost_center"),
        ("client_CFregion", Kind.CLIENT, "CFregion"),
        ("SFfloor", Kind.SITE, "SFfloor"),
    ],
)
def test_a_heading_in_a_combined_sheet_belongs_to(heading: str, kind: Kind, canonical: str) -> None:
    meant = meaning(heading, Kind.USER)
    assert meant
    assert (meant.kind, meant.column.heading) == (kind, canonical)


@pytest.mark.parametrize("kind", Kind)
def test_every_canonical_heading_means_itself_in_its_own_sheet(kind: Kind) -> None:
    for heading in COLUMNS[kind]:
        meant = meaning(heading, kind)
        assert meant
        assert (meant.kind, meant.column.heading) == (kind, heading)
        assert not looks_secret(heading)


@pytest.mark.parametrize("kind", Kind)
def test_every_column_has_a_field_of_its_record(kind: Kind) -> None:
    fields = RECORDS[kind].model_fields
    columns = COLUMNS[kind].values()
    assert [it for it in columns if it.cell != "extra" and it.field not in fields] == []


MICROSOFT = """\
Block credential,City,Country/Region,Department,Display name,First name,Last name,\
Last password change time stamp,Licenses,Mobile Phone,Object Id,Office,Password never expires,\
Phone number,Postal code,State,Street address,Title,Usage location,User principal name
True,Oslo,Norway,IT,Ada Byron,Ada,Byron,2020,Microsoft 365 E3+Visio,2,oid,HQ,False,\
1,0150,,Street 1,Engineer,NO,ada@a.example
"""
GOOGLE = """\
First Name [Required],Last Name [Required],Email Address [Required],Password [Required],\
Password Hash Function [UPLOAD ONLY],Org Unit Path [Required],Status [READ ONLY],\
Work Phone,Home Phone,Mobile Phone,Employee ID,Employee Title,Manager Email,Department,Cost Center
Ada,Byron,ada@a.example,****,,/IT,Suspended,1,3,2,E1,Engineer,bob@a.example,IT,42
"""
XERO = """\
*ContactName,AccountNumber,EmailAddress,FirstName,LastName,POAddressLine1,POCity,POCountry,\
SAAddressLine1,SACity,SAPostalCode,SACountry,PhoneNumber,MobileNumber,TaxNumber,Website,LegalName
Acme,A1,info@a.example,Ada,Byron,Box 1,Oslo,Norway,Street 1,Oslo,0150,Norway,1,2,T1,a.example,A AS
"""


def test_a_microsoft_365_export_is_read_as_it_is(sheet: Make) -> None:
    connector = sheet(MICROSOFT, to="users", key="User principal name", client="Acme")
    ada = people(connector)["ada@a.example"]
    assert (ada.active, ada.licenses, ada.location) == (
        False, ("Microsoft 365 E3", "Visio"), "acme|hq",
    )  # fmt: skip
    assert (ada.city, ada.country, ada.job_title) == ("Oslo", "Norway", "Engineer")
    assert ada.extra["azureoid"] == "oid"
    assert all("looks like a secret" in notice for notice in notices(connector))


def test_a_google_workspace_export_is_read_as_it_is(sheet: Make) -> None:
    connector = sheet(GOOGLE, to="users", key="Email Address", client="Acme")
    ada = people(connector)["ada@a.example"]
    assert (ada.active, ada.employee_id, ada.manager_mail) == (False, "E1", "bob@a.example")
    assert ada.extra == {"org_unit_path": "/IT", "cost_center": "42"}
    assert all("looks like a secret" in notice for notice in notices(connector))


def test_a_xero_export_is_read_as_it_is(sheet: Make) -> None:
    acme = organizations(sheet(XERO, to="clients"))["acme"]
    assert (acme.accounts_id, acme.mail, acme.phone) == ("A1", "info@a.example", "1")
    assert acme.extra["po_city"] == "Oslo"
    connector = sheet(XERO, to="users", key="EmailAddress")
    assert people(connector)["info@a.example"].organization == "acme"
    assert organizations(connector)["acme"].tax_number == "T1"


def test_an_unknown_heading_is_a_notice_with_a_near_miss(sheet: Make) -> None:
    connector = sheet("login,client,Departmt,Favourite Dish\na,A,IT,Soup\n")
    assert connector.notices() == notices(connector) == [
        'combined.csv: column "Departmt" is not known and was not read; did you mean "department"?',
        'combined.csv: column "Favourite Dish" is not known and was not read',
    ]  # fmt: skip
    assert near_miss("clientname2", Kind.USER) == "client_name"
    assert b"Soup" not in raws(connector)["a"]


def test_headings_can_be_overridden_and_ignored(sheet: Make) -> None:
    override = {"Abt": "department", "login 2": ""}
    connector = sheet("login,client,ABT,Login 2\na,A,IT,b\n", headings=override)
    assert people(connector)["a"].department == "IT"
    assert notices(connector) == []


@pytest.mark.parametrize(
    "heading",
    ["Password", "PASSWD", "User PIN", "userPin", "API key", "Token", "client_secret",
     "Password Hash Function [UPLOAD ONLY]", "CFPassword", "site_token", "Passwort", "hash"],
)  # fmt: skip
def test_what_looks_like_a_secret_is_never_read(sheet: Make, heading: str) -> None:
    connector = sheet(f"login,client,{heading}\na,A,hunter2\n")
    for stream in connector.streams():
        assert b"hunter2" not in b"".join(raws(connector, stream.name).values())
    assert notices(connector) == [
        f'combined.csv: column "{heading}" looks like a secret and is never read'
    ]


@pytest.mark.parametrize("heading", ["Shipping", "Block credential", "Opinion", "Passport"])
def test_harmless_words_are_not_secrets(heading: str) -> None:
    assert not looks_secret(heading)


@pytest.mark.parametrize(
    ("headings", "complaint"),
    [
        ("login,Name,NAME", "headings occur twice: Name, NAME"),
        ("login,Foo,foo", "headings occur twice"),
        ("login,Phone,Telephone", '"Phone" and "Telephone" both mean phonenumber'),
        ("login,,name", "column 2 has no heading"),
        ("login, ,name", "column 2 has no heading"),
    ],
)
def test_headings_that_could_mean_two_things_refuse_the_file(
    sheet: Make, headings: str, complaint: str
) -> None:
    with pytest.raises(BadResponse, match=complaint):
        pages(sheet(f"{headings}\na,b,c\n"), "people")


# -- values ----------------------------------------------------------------------------------------


def test_a_blank_cell_says_nothing_and_the_marker_clears(sheet: Make) -> None:
    connector = sheet("login,client,title,phone,CFx,mobile\na,A,, <clear> ,<clear>,<clear>x\n")
    ada = people(connector)["a"]
    assert (ada.job_title, ada.clears, ada.custom) == (None, ("business_phone",), {"x": None})
    assert ada.mobile == "<clear>x"
    other = sheet("login,client,phone\na,A,-\n", clear="-")
    assert people(other)["a"].clears == ("business_phone",)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "cp850", "utf-8-sig"])
@pytest.mark.parametrize("marker", ["<clear>", "§leer§"])
def test_the_marker_clears_in_every_encoding(sheet: Make, encoding: str, marker: str) -> None:
    marker = marker if encoding != "cp850" else "<clear>"
    text = f"login,client,name,title\nMüller,A,{marker},x\n"
    said = raws(sheet(text.encode(encoding), encoding=encoding, clear=marker))["müller"]
    assert json.loads(said)["name"] is None


def test_a_marker_that_no_byte_can_say_clears_nothing(sheet: Make) -> None:
    connector = sheet("login,client,name\nMüller,A,x\n".encode("cp1252"), clear="空")
    assert json.loads(raws(connector)["müller"])["name"] == "x"


@pytest.mark.parametrize("clear", ["<clear>", "-", "✗ leeren"])
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_the_marker_is_seen_wherever_it_stands(
    sheet: Make, monkeypatch: pytest.MonkeyPatch, clear: str, end: str
) -> None:
    monkeypatch.setattr(text_files, "BLOCK", 64)
    rows = [f"k{at},A,{clear if at % 7 == 0 else 'x' * (at % 5)}" for at in range(400)]
    connector = sheet(end.join(["login,client,phone", *rows]), clear=clear, page_size=3)
    for key, person in people(connector).items():
        assert (person.clears == ("business_phone",)) == (int(key[1:]) % 7 == 0)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"inactive": "TRUE"}, {"active": False}),
        ({"inactive": "nein"}, {"active": True}),
        ({"active": "ja"}, {"active": True}),
        ({"status": "Suspended"}, {"active": False}),
        ({"isserviceaccount": "0"}, {"service_account": False}),
        ({"contract_end_date": "2026-12-31"}, {"contract_end": date(2026, 12, 31)}),
        ({"contract_end_date": "2026-12-31T00:00:00Z"}, {"contract_end": date(2026, 12, 31)}),
        ({"contract_end_date": "05/06/2026"}, {"contract_end": date(2026, 6, 5)}),
        ({"contract_end_date": "05/06/2026", "#month_first": "yes"},
         {"contract_end": date(2026, 5, 6)}),
        ({"contract_end_date": "05.06.2026", "#month_first": "yes"},
         {"contract_end": date(2026, 6, 5)}),
        ({"contract_end_date": "9999-12-31"}, {"contract_end": None}),
        ({"contract_end_date": "0001-01-01"}, {"contract_end": None}),
        ({"licenses": "E3+E1; Visio,E3"}, {"licenses": ("E1", "E3", "Visio")}),
        ({"licenses": "Unlicensed"}, {"licenses": ()}),
        ({"licenses": None}, {"licenses": ()}),
        ({"licenses": " "}, {"licenses": None}),
        ({"name": "\u200b Zoe\u0308\u00a0\x00 "}, {"display_name": "Zoë"}),
        ({"name": "=cmd()"}, {"display_name": "=cmd()"}),
        ({"azureoid": "ABC", "azure_tenant_id": "T"},
         {"identities": (Identity("https://login.microsoftonline.com/t/v2.0", "abc"),)}),
        ({"azureoid": "ABC"}, {"identities": (), "extra": {"azureoid": "ABC"}}),
        ({"googleworkplace_id": "7"},
         {"identities": (Identity("https://accounts.google.com", "7"),)}),
        ({"oktaid": "o"}, {"identities": (Identity("okta", "o"),), "extra": {"oktaid": "o"}}),
    ],
)  # fmt: skip
def test_a_cell_is_understood_as(cells: dict[str, Any], expected: dict[str, Any]) -> None:
    person = said(**cells)
    assert isinstance(person, Person)
    assert {name: getattr(person, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("heading", "cell"),
    [
        ("inactive", "perhaps"),
        ("status", "On holiday"),
        ("contract_end_date", "31/31/2026"),
        ("contract_end_date", "12/31/2026"),
        ("contract_end_date", "soon"),
        ("contract_end_date", "31/12/26"),
    ],
)
def test_a_bad_value_is_a_reject_that_names_the_heading_and_not_the_value(
    heading: str, cell: str
) -> None:
    reject = said(**{heading: cell, "name": "Ada"})
    assert isinstance(reject, Reject)
    assert (reject.key, reject.reason, reject.fields) == ("k", "bad_value", (heading,))
    assert heading in reject.message
    assert cell not in reject.message


def test_month_first_dates_are_a_setting_that_travels_with_the_item(sheet: Make) -> None:
    text = "login,client,contract_end_date\na,A,05/06/2026\n"
    assert people(sheet(text))["a"].contract_end == date(2026, 6, 5)
    assert people(sheet(text, day_first=False))["a"].contract_end == date(2026, 5, 6)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_parse_makes_records_or_rejects_of_any_bytes(raw: bytes) -> None:
    for parse in (parse_organization, parse_location, parse_person):
        assert all(isinstance(it, Record | Reject) for it in parse(raw))


@given(st.text(string.printable + "\x7f\u00a0é\u200b", max_size=12))
def test_an_item_means_the_same_however_its_bytes_are_written(cell: str) -> None:
    cells = {"#key": "k", "name": cell, "inactive": "no", "CFx": cell, "ref": cell}
    escaped = "".join(f"\\u{ord(char):04x}" for char in cell)
    written = json.dumps({**cells, "name": "?", "CFx": "?", "ref": "?"}).replace("?", escaped)
    short = json.dumps(cells, ensure_ascii=False)
    assert parse_person(short.encode()) == parse_person(written.encode())


@pytest.mark.parametrize(
    ("heading", "yes", "no"),
    [("active", YES, NO), ("inactive", NO, YES), ("status", ACTIVE, INACTIVE)],
)
def test_a_flag_may_be_written_in_any_case(heading: str, yes: set[str], no: set[str]) -> None:
    assert yes.isdisjoint(no)
    for word in yes | no:
        for spelling in (word, word.upper(), word.title(), f"  {word.swapcase()} "):
            person = said(**{heading: spelling})
            assert isinstance(person, Person)
            assert person.active is (word in yes)


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12
) | st.text(string.ascii_letters + ',;"\r\n \t|', max_size=12)  # fmt: skip


@given(cells=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), data=st.data())
def test_any_cell_survives_the_way_from_a_file_to_an_item(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("round")
    text = io.StringIO()
    rows = [(f"k{number}", *pair) for number, pair in enumerate(cells)]
    writer = csv.writer(text, delimiter=data.draw(st.sampled_from(",;\t|")))
    writer.writerows([("login", "notes", "title"), *rows])
    (folder / "u.csv").write_bytes(text.getvalue().encode())
    size = data.draw(st.integers(1, 5))
    settings: dict[str, Any] = {"users": "u.csv", "contents": "full", "key": "login"}
    connector = Csv(CsvConfig(**settings, page_size=size), Context("c", folder))
    found = {key: json.loads(raw) for key, raw in raws(connector).items()}
    for key, notes, title in rows:
        assert found[key].get("notes", "") == notes
        assert found[key].get("title", "") == title


# -- files that are odd ----------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_part_of_the_first_heading(sheet: Make) -> None:
    assert set(raws(sheet(codecs.BOM_UTF8 + b"login,client\na,A\n"))) == {"a"}


def test_bytes_that_do_not_fit_the_pinned_encoding_name_their_line(sheet: Make) -> None:
    rows = "".join(f"user{number},A\r\n" for number in range(150_000))
    content = f"login,client\r\n{rows}Müller,A\r\n".encode("cp1252")
    with pytest.raises(BadResponse, match=r"combined.csv, line 150002: this is not UTF-8"):
        pages(sheet(content, encoding="utf-8"), "people")


def test_an_encoding_is_found_where_only_the_last_line_tells_it(sheet: Make) -> None:
    rows = "".join(f"user{number},A\r\n" for number in range(150_000))
    connector = sheet(f"login,client\r\n{rows}Müller,A\r\n".encode("cp1252"))
    assert any("Windows-1252, which is a guess" in one for one in notices(connector))
    assert "müller" in raws(connector)


def test_blank_lines_may_stand_before_the_headings(sheet: Make) -> None:
    connector = sheet("\r\n\nlogin,client\na,A\nb\n")
    assert set(raws(connector)) == {"a"}
    assert [reject.where for reject in rejects(connector)] == ["line 5"]


def test_a_line_may_name_the_delimiter_for_spreadsheet_programs(sheet: Make) -> None:
    connector = sheet("sep=;\nlogin;client, or company\na;A\n")
    assert set(raws(connector)) == {"a"}


def test_a_file_that_ends_in_the_middle_of_a_row_is_not_used(sheet: Make) -> None:
    with pytest.raises(BadResponse, match=r"line 3: the file ends in the middle of a row"):
        pages(sheet("login,name,client\na,Ada,A\nb,Bo"), "people")


@pytest.mark.parametrize("delimiter", list(",;\t|"))
def test_the_delimiter_is_found_in_the_headings(sheet: Make, delimiter: str) -> None:
    text = f'login{delimiter}client{delimiter}"name, or ; what"\na{delimiter}A{delimiter}x\n'
    assert people(sheet(text))["a"].organization == "a"


def test_a_single_column_that_nobody_knows_is_an_error(sheet: Make) -> None:
    with pytest.raises(BadResponse, match="single column"):
        sheet("login^name^client\na^b^c\n", key="x", to="clients").check()
    with pytest.raises(BadResponse, match=r'one column when split at ",".*3 at ";"'):
        sheet("login;name;client\n", delimiter=",").check()


def test_quotes_hold_delimiters_line_breaks_and_doubled_quotes(sheet: Make) -> None:
    connector = sheet('login,client,notes\na,A,"1, ""two""\r\nthree"\nshort\n')
    assert people(connector)["a"].notes == '1, "two"\r\nthree'
    assert [it.where for it in rejects(connector)] == ["line 4"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_read(sheet: Make, end: str) -> None:
    connector = sheet(end.join(["login,client", "a,A", "", "b", "c,C", ""]))
    assert set(raws(connector)) == {"a", "c"}
    assert [it.where for it in rejects(connector)] == ["line 4"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('login,client\na,"never closed\nb,B\n', "line 3: the file ends inside quotes"),
        ('login,client\na,"x"y\n', "line 2: this is not CSV"),
        (f'login,client\na,"{"x" * 1_100_000}"\n', "line 2: a cell of more than"),
        ("login,client\n" + "x" * 5_000_000, "a line of more than"),
    ],
)
def test_what_is_not_csv_is_refused_with_its_line(
    sheet: Make, content: str, complaint: str
) -> None:
    with pytest.raises(BadResponse, match=complaint):
        pages(sheet(content), "people")


def test_a_page_is_bounded_whatever_its_rows_hold(
    sheet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "login,client,notes\n" + "".join(f"k{at},A,{'x' * 1000}\n" for at in range(3000))
    monkeypatch.setattr(text_files, "MAX_PAGE", 1_000_000)
    assert len(raws(sheet(text, page_size=500))) == 3000
    with pytest.raises(BadResponse, match="a page of more than 1,000,000 bytes"):
        pages(sheet(text), "people")
    monkeypatch.setattr(text_files, "MAX_LINE", 900)
    monkeypatch.setattr(text_files, "BLOCK", 256)
    with pytest.raises(BadResponse, match="a line of more than 900"):
        pages(sheet(text), "people")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_file_of_short_lines_has_no_long_line_however_they_end(
    sheet: Make, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(text_files, "MAX_LINE", 900)
    monkeypatch.setattr(text_files, "BLOCK", 256)
    rows = [f"k{at},A" for at in range(500)]
    assert len(raws(sheet(end.join(["login,client", *rows])))) == 500


def test_pages_are_as_long_as_was_asked_for(sheet: Make) -> None:
    text = "login,client\n" + "".join(f"k{at},A\n" for at in range(1000))
    for size, full in ((300, 3), (1, 1000), (128, 7), (1000, 1)):
        found = [len(page.items) for page in pages(sheet(text, page_size=size), "people")]
        assert found[:full] == [size] * full
        assert sum(found) == 1000


def test_ragged_rows_are_rejected_by_line_and_the_rest_is_read(sheet: Make) -> None:
    connector = sheet("login,name,client\na,Ada,A\nb,Bob\n\n,,\nc,C,leo,A\nd,Dan,A\n", page_size=2)
    assert set(people(connector)) == {"a", "d"}
    assert [(it.key, it.reason, it.where) for it in rejects(connector)] == [
        (None, "ragged_row", "line 3"),
        (None, "ragged_row", "line 6"),
    ]


def test_an_empty_file_is_an_error_and_headings_alone_are_an_empty_read(sheet: Make) -> None:
    for nothing in (b"", codecs.BOM_UTF8):
        with pytest.raises(BadResponse, match="is empty"):
            pages(sheet(nothing), "people")
    headings_only = sheet("login,name,client\n")
    assert [pages(headings_only, it.name) for it in headings_only.streams()] == [[], [], []]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"PK\x03\x04rest", r"a workbook or an archive, but its name says .csv"),
        (b"\xd0\xcf\x11\xe0rest", r"a workbook of Excel 97 to 2003; save it as XLSX"),
        (
            b"\xd0\xcf\x11\xe0" + bytes(9000) + "EncryptedPackage".encode("utf-16-le"),
            "protected by a password",
        ),
    ],
)
def test_a_workbook_called_csv_is_refused(sheet: Make, content: bytes, complaint: str) -> None:
    with pytest.raises(BadResponse, match=complaint):
        sheet(content).check()


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"contents": "full", "key": "login"}
    for name in ("gone.csv", "no/such/folder.csv"):
        connector = Csv(CsvConfig(users=name, **settings), Context("c", tmp_path))
        with pytest.raises(ProviderUnavailable, match=Path(name).name):
            connector.check()


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir(),
    lambda path: path.symlink_to("/etc/hostname"),
    os.mkfifo,
    lambda path: path.symlink_to("/dev/zero"),
])  # fmt: skip
def test_what_is_not_a_regular_file_is_never_opened(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "u.csv")
    connector = Csv(CsvConfig(users="u.csv", contents="full", key=("x",)), Context("c", tmp_path))
    with pytest.raises(BadResponse, match="not a regular file"):
        connector.check()


def test_a_file_that_changes_between_two_passes_is_refused(sheet: Make, tmp_path: Path) -> None:
    connector = sheet(COMBINED)
    pages(connector, "organizations")
    (tmp_path / "combined.csv").write_text(COMBINED + "d,D,Delta,,,,,,,\n")
    with pytest.raises(BadResponse, match="changed while it was being read"):
        pages(connector, "people")


def test_a_file_that_changes_during_a_pass_does_not_end_normally(
    sheet: Make, tmp_path: Path
) -> None:
    connector = sheet("login,client\n" + "a,A\n" * 500_000, page_size=10)
    reading = connector.people(DEFAULT_PARTITION, None)
    next(reading)
    os.truncate(tmp_path / "combined.csv", 1_000_013)
    with pytest.raises(ProviderError, match="changed while it was being read"):
        list(reading)


# -- settings --------------------------------------------------------------------------------------


def test_full_files_make_absence_evidence_and_changes_do_not(sheet: Make) -> None:
    full, changes = sheet(COMBINED), sheet(COMBINED, contents="changes")
    assert {full.deletes(it) for it in full.streams()} == {Deletes.ABSENCE}
    assert {changes.deletes(it) for it in changes.streams()} == {Deletes.UNKNOWN}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "name a file"),
        ({"combined": "a.csv", "users": "b.csv"}, "name it alone"),
        ({"users": "a.csv", "contents": None}, "contents"),
        ({"users": "a.csv", "key": []}, "key"),
        ({"users": "a.csv", "key": "PIN"}, "looks like a secret"),
        ({"users": "a.csv", "key": ["login", "LOGIN"]}, "the same heading twice"),
        ({"users": "a.csv", "headings": {"X": "departmnt"}}, '"departmnt" is not a heading'),
        ({"users": "a.csv", "headings": {"Password": "notes"}}, "looks like a secret"),
        ({"users": "a.csv", "delimiter": "^"}, "comma"),
        ({"users": "a.csv", "clear": ' "x'}, "quotes"),
        ({"users": "a\0.csv"}, "pattern"),
        ({"users": "a.csv", "colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_explained(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        CsvConfig(**{"contents": "full", "key": "login", **settings})


def test_progress_knows_the_total_once_the_rows_were_counted(sheet: Make) -> None:
    connector = sheet(COMBINED)
    pages(connector, "organizations")
    assert [page.total for page in pages(connector, "people")] == [3]


def test_a_sheet_too_long_for_memory_is_told_the_same_way(
    sheet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = COMBINED + "short,row\n" + "".join(f"x{n},X,Xenon,,,,,,,\n" for n in range(50))
    direct = pages(sheet(content, page_size=7), "people")
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    connector = sheet(content, page_size=7)
    pages(connector, "organizations")
    for _ in range(2):
        spooled = pages(connector, "people")
        assert [replace(page, total=None) for page in spooled] == direct


@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_sheet_says_has_the_types_of_a_record(kind: Kind) -> None:
    """Records of sheets are made without a check, so each column is checked here."""
    cells = {"text": "x", "date": "2030-01-31", "flag": "yes", "unflag": "no", "status": "active"}
    headings = {it.heading: cells.get(it.cell, "x") for it in COLUMNS[kind].values()}
    item = {"#key": "k", "#client": "c", "#site": "s", "CFcost": "1", **headings}
    for said in (item, {**item, **dict.fromkeys(headings)}):
        parse = {
            Kind.CLIENT: parse_organization,
            Kind.SITE: parse_location,
            Kind.USER: parse_person,
        }
        (made,) = parse[kind](json.dumps(said).encode())
        assert isinstance(made, Record), made
        checked = type(made).model_validate(dict(made.__dict__), strict=True)
        assert made == checked
        assert made.model_dump() == checked.model_dump()
        assert made.model_fields_set <= checked.model_fields_set
