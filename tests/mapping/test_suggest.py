"""Whom a record may be: domains before keys before names, and never more than five."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import pytest

from syncd.mapping.suggest import Index, Sought, core_of


class Known(NamedTuple):
    id: UUID
    names: list[str]
    keys: dict[str, str]
    domains: dict[str, str]


def known(number: int, name: str, domain: str = "", **keys: str) -> Known:
    if domain:
        keys["domain"] = domain
    return Known(UUID(int=number), [name], keys, {domain: "domain"} if domain else {})


def ranked(sought: Sought, *several: Known) -> list[tuple[int, str, bool]]:
    return [(one.entity.int, one.why, one.proof) for one in Index(several).rank(sought)]


def test_domains_come_first_then_keys_then_names() -> None:
    sought = Sought(["Acme"], {"ref": "a1", "domain": "acme.example"}, {"acme.example": "domain"})
    found = ranked(
        sought, known(1, "Acme"), known(2, "Bolt", ref="a1"), known(3, "Zed", "acme.example")
    )
    assert found == [
        (3, "same domain", True),
        (2, "same reference", True),
        (1, "name 100 %", False),
    ]


@pytest.mark.parametrize(
    ("whose", "told"),
    [
        ("website", "its website is their domain"),
        ("people", "its people's mail is their domain"),
        ("mail", "its mail address is their domain"),
    ],
)
def test_a_domain_that_is_no_key_suggests_and_proves_nothing(whose: str, told: str) -> None:
    sought = Sought(["Acme"], {}, {"bolt.example": whose})
    assert ranked(sought, known(1, "Bolt", "bolt.example")) == [(1, told, False)]


def test_a_site_of_a_client_may_have_the_domain() -> None:
    site = Known(UUID(int=1), ["Bolt"], {}, {"bolt.example": "site"})
    sought = Sought([], {}, {"bolt.example": "domain"})
    assert ranked(sought, site) == [(1, "its domain is their site's e-mail domain", False)]


def test_where_anybody_has_an_address_says_nothing() -> None:
    sought = Sought([], {}, {"gmail.com": "people"})
    assert ranked(sought, Known(UUID(int=1), [], {}, {"gmail.com": "mail"})) == []


def test_a_key_that_two_have_proves_neither() -> None:
    found = ranked(Sought([], {"email": "a@b.example"}), known(1, "A", email="a@b.example"),
                   known(2, "B", email="a@b.example"))  # fmt: skip
    assert [proof for _, _, proof in found] == [False, False]


def test_a_phone_that_one_has_proves_nothing() -> None:
    found = ranked(Sought([], {"phone": "123456"}), known(1, "A", phone="123456"))
    assert found == [(1, "same phone", False)]


@pytest.mark.parametrize(
    ("name", "other", "percent"),
    [
        ("Contoso Ltd", "CONTOSO GmbH", 100),
        ("Contoso Leasing Ltd", "Contoso Ltd", 90),
        ("Müller & Söhne", "Söhne und Müller", 84),
        ("Smith, John", "John Smith", 100),
        ("The Bakery", "Bakery", 100),
        ("Elmstead Food", "Elmstead Foods", 96),
        ("Acme", "Macmeister", None),
        ("Alpha Group", "Beta Group", None),
        ("Ltd", "Contoso Ltd", None),
    ],
)
def test_names_are_alike_without_their_legal_forms(
    name: str, other: str, percent: int | None
) -> None:
    found = Index([known(1, other)]).rank(Sought([name]))
    assert [one.score for one in found] == ([percent] if percent else [])
    assert not any(one.proof for one in found)


def test_at_most_five_are_suggested() -> None:
    several = [known(number, f"Acme {number}") for number in range(9)]
    assert len(ranked(Sought(["Acme"]), *several)) == 5


@pytest.mark.parametrize(
    ("name", "core"),
    [("S.A. Dupont S.A.", "sa dupont"), ("Smith's Co., Ltd.", "smiths"), ("AG", "ag"), ("", "")],
)
def test_the_core_of_a_name(name: str, core: str) -> None:
    assert core_of(name) == core
