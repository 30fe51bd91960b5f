"""One spelling for what is one thing: transforms, match keys and countries."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.entities import KEY_FIELDS, Kind
from syncd.keys import KEY_WIDTH, key, keys, plausible_address
from syncd.mapping import countries
from syncd.mapping.normalize import TRANSFORMS, Doubtful, transform

ANY_TEXT = st.text(st.characters(codec=None))
KEYS = [(kind, field) for kind, fields in KEY_FIELDS.items() for field in fields]


@pytest.mark.parametrize(
    ("spec", "text", "result"),
    [
        ("phone", "+442079460018", "+442079460018"),
        ("phone", "+44 (0)20 7946 0018", "+442079460018"),
        ("phone:GB", "020 7946 0018", "+442079460018"),
        ("phone:UK", "020 7946 0018 ext. 12", "+442079460018 x12"),
        ("phone:Deutschland", "030 123456", "+4930123456"),
        ("country", "Deutschland", "DE"),
        ("country", " u.k. ", "GB"),
        ("email", "Ann <mailto:Ann.Smith@Contoso.COM>", "Ann.Smith@contoso.com"),
        ("email", "Ann.Smith@Contoso.COM", "Ann.Smith@contoso.com"),
        ("name", "SMITH, John", "John Smith"),
        ("name", "O'BRIEN,  Mary Jane", "Mary Jane O'Brien"),
        ("name", "von Neumann, John", "John von Neumann"),
        ("name", "SMITH  John", "SMITH John"),
        ("name", "John Smith, Jr.", "John Smith, Jr."),
        ("name", "Contoso, Inc.", "Contoso, Inc."),
        ("name", "Smith, John, MBA", "Smith, John, MBA"),
        ("name", "Smith,", "Smith,"),
        ("lower", "ÄB", "äb"),
        ("upper", "äb", "ÄB"),
        ("title", "head of o'neil-SMITH's it", "Head Of O'Neil-Smith's It"),
        ("digits", "No. 12-٣", "123"),
        ("domain", "https://www.Contoso.com:8080/about?x#y", "contoso.com"),
        ("domain", "ann@Contoso.com", "contoso.com"),
        ("domain", "mailto:ann@contoso.com", "contoso.com"),
        ("domain", "contoso.com:443", "contoso.com"),
        ("domain", "@contoso.com.", "contoso.com"),
        ("domain", "xn--mller-kva.de", "müller.de"),
        ("domain", "Mu\u0308ller.de", "müller.de"),
        ("domain", "xn--\u00fc.de", "xn--ü.de"),
    ],
)
def test_a_transform_gives_the_usual_spelling(spec: str, text: str, result: str) -> None:
    assert transform(spec)(text) == result


@pytest.mark.parametrize(
    ("spec", "text", "code"),
    [
        ("phone", "020 7946 0018", "doubtful_phone"),  # of which country?
        ("phone:GB", "ask Ann", "doubtful_phone"),
        ("phone:GB", "12", "doubtful_phone"),
        ("country", "Ruritania", "unknown_country"),
    ],
)
def test_a_transform_says_that_it_is_in_doubt(spec: str, text: str, code: str) -> None:
    with pytest.raises(Doubtful) as caught:
        transform(spec)(text)
    assert caught.value.code == code
    assert text not in str(caught.value)


@pytest.mark.parametrize("spec", ["shout", "lower:GB", "phone:", "phone:Ruritania", ""])
def test_an_unknown_transform_is_refused_with_the_known_ones_or_an_example(spec: str) -> None:
    with pytest.raises(ValueError, match="phone:GB"):
        transform(spec)


@pytest.mark.parametrize(
    ("kind", "field", "one", "other"),
    [
        (Kind.USER, "email", "Ann@Contoso.COM", "ann@contoso.com"),
        (Kind.USER, "email", "jose\u0301@müller.de", "JOSÉ@MÜLLER.de"),
        (Kind.USER, "email", "ann@contoso.com", "\ufeffann@con\u200btoso.com\u00a0"),
        (Kind.USER, "login", "CORP\\Ann", "corp\\ann"),
        (Kind.USER, "name", "Ann  Smith", " ann\u00a0smith "),
        (Kind.USER, "phone", "+44 (0)20 7946 0018", "0044 20-7946-0018"),
        (Kind.USER, "mobile", "tel:+447700900123", "447700900123"),
        (Kind.CLIENT, "domain", "https://www.contoso.com/", "Contoso.com"),
        (Kind.CLIENT, "domain", "xn--mller-kva.de", "www.müller.de"),
        (Kind.SITE, "email_domain", "@contoso.com", "contoso.com"),
    ],
)
def test_two_spellings_have_one_key(kind: Kind, field: str, one: str, other: str) -> None:
    assert key(kind, field, one) == key(kind, field, other) != ""


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("email", "ann@contoso.com", "ann+tickets@contoso.com"),
        ("email", "ann@contoso.com", "an.n@contoso.com"),
        ("phone", "+44 20 7946 0018", "+44 20 7946 0019"),
        ("employee_id", "007", "7"),
    ],
)
def test_two_things_have_two_keys(field: str, one: str, other: str) -> None:
    assert key(Kind.USER, field, one) != key(Kind.USER, field, other)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Kind.USER, "login", None),
        (Kind.USER, "login", " \u00a0\u200b\ufeff"),
        (Kind.USER, "email", "ann"),
        (Kind.USER, "email", "ann@contoso"),
        (Kind.USER, "email", "ann@contoso.com; bob@contoso.com"),
        (Kind.USER, "email", "ann@contoso.com bob@contoso.com"),
        (Kind.USER, "email", "ann@contoso.com/bob@contoso.com"),
        (Kind.USER, "email", "n/a"),
        (Kind.USER, "phone", "n/a"),
        (Kind.USER, "phone", "x4711"),
        (Kind.CLIENT, "domain", "https://"),
        (Kind.CLIENT, "name", "\ufdfa" * 100),  # folds to 18 letters each
    ],
)
def test_what_cannot_tell_two_things_apart_has_no_key(
    kind: Kind, field: str, value: str | None
) -> None:
    assert key(kind, field, value) == ""


def test_the_keys_of_an_entity_are_those_of_its_key_fields_that_are_not_blank() -> None:
    values: dict[str, str | bool] = {
        "name": "Ann Smith",
        "email": "two@contoso.com, one@contoso.com",
        "login": "ANN",
        "department": "Sales",
        "active": True,
    }
    assert keys(Kind.USER, values) == {"name": "ann smith", "login": "ann"}


@pytest.mark.parametrize(
    ("text", "plausible"),
    [
        ("ann.smith+desk@mail.contoso.co.uk", True),
        ("ann@corp.local", True),
        ('"ann smith"@contoso.com', True),
        ("ann@müller.de", True),
        ("用户@例子.公司", True),
        ("ann", False),
        ("@contoso.com", False),
        ("ann@", False),
        ("ann@@contoso.com", False),
        ("ann@contoso..com", False),
        ("a@contoso.com,b@contoso.com", False),
        (f"{'a' * 400}@müller.de", False),
        ("", False),
    ],
)
def test_an_address_is_judged_by_its_form(text: str, plausible: bool) -> None:
    assert plausible_address(text) is plausible


@given(st.sampled_from(KEYS), ANY_TEXT)
def test_every_text_has_a_key_that_every_database_can_store(
    where: tuple[Kind, str], text: str
) -> None:
    folded = key(*where, text)
    assert len(folded) <= KEY_WIDTH
    assert "\0" not in folded
    assert folded == folded.strip()
    folded.encode()


@given(st.sampled_from([*TRANSFORMS, "phone:GB"]), ANY_TEXT)
def test_a_transform_gives_a_text_or_says_that_it_is_in_doubt(spec: str, text: str) -> None:
    with suppress(Doubtful):
        assert isinstance(transform(spec)(text), str)


# -- countries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GB", "GB"),
        ("gb", "GB"),
        ("UK", "GB"),
        ("England", "GB"),
        ("United Kingdom", "GB"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("The United States of America", "US"),
        ("DEU", "DE"),
        ("deutschland", "DE"),
        ("Österreich", "AT"),
        ("OSTERREICH", "AT"),
        ("Côte d\u2019Ivoire", "CI"),
        ("Trinidad & Tobago", "TT"),
        ("the Netherlands", "NL"),
        ("South Korea", "KR"),
        ("日本", "JP"),
        ("Niger", "NE"),
        ("Nigeria", "NG"),
        ("", None),
        ("Atlantis", None),
        ("12", None),
    ],
)
def test_a_country_is_known_by_its_usual_names(text: str, code: str | None) -> None:
    assert countries.code(text) == code


def test_no_spelling_means_two_countries() -> None:
    meanings: dict[str, set[str]] = {}
    for line in countries._TABLE.strip().splitlines():
        alpha2, alpha3, names = line.split(maxsplit=2)
        for spelling in (alpha2, alpha3, *names.split(";")):
            meanings.setdefault(countries._bare(spelling), set()).add(alpha2)
    assert {spelling: codes for spelling, codes in meanings.items() if len(codes) > 1} == {}
    assert len(set.union(*meanings.values())) == 249
