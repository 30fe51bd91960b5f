"""One row laid over what is stored of the same record."""

from __future__ import annotations

import json

import pytest

from syncd.connectors.sheets.headings import COLUMNS, Kind
from syncd.connectors.sheets.overlay import lay_over


def laid(stored: dict[str, str | None], sent: dict[str, str | None]) -> dict[str, str | None]:
    raw = lay_over(Kind.USER, json.dumps(stored).encode(), json.dumps(sent).encode())
    found: dict[str, str | None] = json.loads(raw)
    return found


def test_what_is_not_said_stays_and_what_is_said_counts() -> None:
    stored = {"#key": "a", "name": "Ada", "title": "Clerk", "CFx": "1"}
    assert laid(stored, {"#key": "a", "title": "Partner", "phonenumber": None}) == {
        "#key": "a", "name": "Ada", "title": "Partner", "CFx": "1", "phonenumber": None,
    }  # fmt: skip


def test_a_site_does_not_come_along_to_another_client() -> None:
    stored = {"#key": "a", "#client": "acme", "#site": "acme|bath"}
    assert "#site" not in laid(stored, {"#key": "a", "#client": "beta"})
    assert laid(stored, {"#key": "a", "#client": "acme"})["#site"] == "acme|bath"


def test_equal_content_is_equal_bytes_in_whatever_order_it_came() -> None:
    names = list(COLUMNS[Kind.USER])[:6]
    whole = {"#key": "a", **dict.fromkeys(names, "x")}
    half, rest = dict(list(whole.items())[:4]), dict(list(whole.items())[4:])
    one = lay_over(Kind.USER, json.dumps(half).encode(), json.dumps({"#key": "a", **rest}).encode())
    other = lay_over(
        Kind.USER, json.dumps({"#key": "a", **rest}).encode(), json.dumps(half).encode()
    )
    assert one == other
    assert list(json.loads(one)) == ["#key", *names]


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"a": 1}'])
def test_what_cannot_be_read_is_replaced(broken: bytes) -> None:
    assert lay_over(Kind.USER, broken, b'{"#key":"a"}') == b'{"#key":"a"}'
