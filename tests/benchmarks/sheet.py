"""The sheet that benchmarks read: made-up people, the same ones every time, in any order.

A row is a function of its number alone, so that a million of them need no memory. In every hundred
rows, `edits` rows (1, 2, …) have had their job title and department changed.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

USERS_OF_A_CLIENT = 500
SITES_OF_A_CLIENT = 4
KEY = "emailaddress"

HEADINGS = (
    "client_name",
    "client_ref",
    "site_name",
    "delivery_address_line1",
    "country_code",
    "name",
    "firstname",
    "surname",
    "title",
    KEY,
    "phonenumber",
    "mobilenumber",
    "login",
    "samaccountname",
    "department",
    "manager_email",
    "third_party_id",
    "inactive",
    "isimportantcontact",
    "contract_end_date",
    "CF Cost centre",
    "CF Building",
)

_GIVEN = (
    "Ada", "Björn", "Chloé", "Dorothea", "Emeka", "Fatima", "Grace", "Hiroshi", "Ingrid", "João",
    "Katherine", "Liam", "Maud", "Nadia", "Olu", "Priya", "Quentin", "Rosa", "Søren", "Tobias",
    "Ursula", "Viktor", "Wanda", "Xiang", "Yusuf", "Zoë",
)  # fmt: skip
_FAMILY = (
    "Abara", "Becker", "Castellanos", "Dubois", "Eriksen", "Fitzgerald", "Grünwald", "Hughes",
    "Ivanova", "Jansen", "Kowalska", "Lindqvist", "MacDonald", "Nakamura", "O'Neil", "Petrov",
    "Quist", "Renner", "Sørensen", "Takahashi", "Underwood", "Vasquez", "Whitfield", "Young",
)  # fmt: skip
_TITLES = ("Engineer", "Accountant", "Team lead", "Office manager", "Analyst", "Nurse", "Driver")
_DEPARTMENTS = ("Support", "Finance", "Operations", "Sales", "Research", "Care", "Logistics")
_STREETS = ("Station Road", "High Street", "Mill Lane", "Church Street", "Park Avenue")
_BUILDINGS = ("North", "South", "East", "Annexe", "")


def clients(users: int) -> int:
    """How many clients a sheet of so many users has."""
    return -(-users // USERS_OF_A_CLIENT)


def row(number: int, edits: int = 0) -> tuple[str, ...]:
    """The cells of one user."""
    client, place = divmod(number, USERS_OF_A_CLIENT)
    site = place % SITES_OF_A_CLIENT
    mixed = number * 2654435761 % 2**32  # spreads what is derived from it, like a hash
    given = _GIVEN[mixed % len(_GIVEN)]
    family = _FAMILY[mixed // 31 % len(_FAMILY)]
    domain = f"client{client:04}.example"
    login = f"user{number:07}@{domain}"
    edit = number % 100 if 0 < number % 100 <= edits else 0
    return (
        f"Client {client:04} Limited",
        f"C{client:04}",
        f"{_BUILDINGS[site]} office",
        f"{client % 90 + 1} {_STREETS[site]}",
        "GB",
        f"{given} {family}",
        given,
        family,
        _TITLES[(mixed // 7 + edit) % len(_TITLES)],
        login,
        f"+44 1632 {100000 + mixed % 900000}",
        f"07700 {100000 + mixed // 11 % 900000}" if mixed % 4 else "",
        login,
        f"u{number:07}",
        _DEPARTMENTS[(mixed // 13 + edit) % len(_DEPARTMENTS)],
        f"user{client * USERS_OF_A_CLIENT:07}@{domain}",
        f"HR-{number:08}",
        "no",
        "yes" if place % 50 == 0 else "no",
        f"2030-{mixed % 12 + 1:02}-28" if mixed % 10 == 0 else "",
        f"CC{mixed % 40:03}",
        _BUILDINGS[mixed // 17 % len(_BUILDINGS)],
    )


def write(path: Path, users: int, *, edits: int = 0, shuffle: int | None = None) -> None:
    """Write the sheet as UTF-8 CSV; `shuffle` is a seed for the order of its rows."""
    numbers = list(range(users))
    if shuffle is not None:
        random.Random(shuffle).shuffle(numbers)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        writer.writerows(row(number, edits) for number in numbers)
