"""Text in one spelling: the transforms that a mapping may name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from syncd.keys import digits, domain
from syncd.mapping import countries

Transform = Callable[[str], str]


_E164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_BRACKETED_ADDRESS = re.compile(r"[^<>]*<\s*([^<>\s]+)\s*>").fullmatch
_WORD_START = re.compile(r"(?<![^\W_])(?<![^\W_]{2}['\u2019])[^\W\d_]")
_TITLES = {"jr", "sr", "i", "ii", "iii", "iv", "v", "phd", "md", "dds", "esq", "mba", "cpa"}
_COMPANIES = {"llc", "llp", "ltd", "inc", "gmbh"}
_AFTER_NAME = _TITLES | _COMPANIES


class Doubtful(ValueError):
    """The text is not what a transform expects: keep it as it is and tell a person.

    `code` is the stable code of the notice; the message never holds the value.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# -- transforms ------------------------------------------------------------------------------------


def phone(text: str, region: str | None = None) -> str:
    """A telephone number as E.164 (`+442079460018`, an extension as ` x12` behind it).

    `region` is the country of numbers without an international prefix. Raises Doubtful for what
    cannot be a number of that country.
    """
    if _E164(text):
        return text
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise Doubtful("doubtful_phone", "not a telephone number; kept as it is")
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain} x{number.extension}" if number.extension else plain


def country(text: str) -> str:
    """A country's two letters (ISO 3166-1) from its code or name; raises Doubtful when unknown."""
    code = countries.code(text)
    if code is None:
        raise Doubtful("unknown_country", "not a country that is known; kept as it is")
    return code


def email(text: str) -> str:
    """The bare address in `text` (`Ann <mailto:ann@X.com>`), its domain in lower case."""
    bracketed = _BRACKETED_ADDRESS(text)
    address = bracketed[1] if bracketed else text
    if address[:7].lower() == "mailto:":
        address = address[7:]
    local, at, host = address.rpartition("@")
    return f"{local}{at}{host.lower()}"


def name(text: str) -> str:
    """A person's name with single spaces; `SURNAME, Given` becomes `Given Surname`.

    Other letters keep their case, and `Smith, Jr.` stays: not all that follows a comma is a name.
    """
    collapsed = " ".join(text.split())
    family, comma, given = (part.strip() for part in collapsed.partition(","))
    follows = given.replace(".", "").lower()
    if not comma or not family or not given or "," in given or follows in _AFTER_NAME:
        return collapsed
    return f"{given} {title(family) if family.isupper() else family}"


def title(text: str) -> str:
    """Every word with one capital: `o'neil-SMITH` becomes `O'Neil-Smith`, `ann's` stays `Ann's`."""
    return _WORD_START.sub(lambda letter: letter[0].upper(), text.lower())


TRANSFORMS: dict[str, Transform] = {
    "country": country,
    "digits": digits,
    "domain": domain,
    "email": email,
    "lower": str.lower,
    "name": name,
    "phone": phone,
    "title": title,
    "upper": str.upper,
}
"""What `with = …` may name; `phone:GB` gives `phone` the country of national numbers."""


def transform(spec: str) -> Transform:
    """The transform that `spec` names; raises ValueError, listing the known ones."""
    called, colon, argument = spec.partition(":")
    if called not in TRANSFORMS:
        known = ", ".join(TRANSFORMS)
        raise ValueError(f'there is no transform "{spec}"; the known ones are {known} and phone:GB')
    if not colon:
        return TRANSFORMS[called]
    region = countries.code(argument)
    if called != "phone" or region is None:
        raise ValueError(f'"{spec}": only phone takes an argument, a country such as phone:GB')
    return partial(phone, region=region)
