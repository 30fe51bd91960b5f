"""Texts of Graph users come into records clean, whether they are looked at one by one or not."""

from __future__ import annotations

import json

import pytest

from syncd.connectors.microsoft import people
from syncd.records import Person
from syncd.text import clean

TEXTS = (
    "plain",
    "two words",
    "two  blanks",
    "",
    " ",
    " leading",
    "trailing ",
    'a "quote" inside',
    '"',
    "back\\slash",
    "Zoë",
    "zero\u200bwidth",
    "no\u00a0break\u00a0",
    "tab\tand\nline",
    "bell\x07",
    "delete\x7f",
    "nul\x00",
    "x, ",
    ", x",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["displayName", "department", "companyName"])
def test_every_text_is_cleaned(field: str, text: str) -> None:
    sent = json.dumps({"id": "u1", field: text, "jobTitle": "Clerk"}).encode()
    [person] = people.parse_person(people.merge(b"{}", sent))
    assert isinstance(person, Person)
    held = {"displayName": person.display_name, "department": person.department}
    held["companyName"] = person.extra.get("company_name")
    assert held[field] == (clean(text) or None)
    assert person.job_title == "Clerk"


def test_a_flag_that_is_false_is_no_blank() -> None:
    sent = b'{"id": "u1", "displayName": "", "accountEnabled": false}'
    [person] = people.parse_person(people.merge(b"{}", sent))
    assert isinstance(person, Person)
    assert (person.active, person.display_name) == (False, None)
