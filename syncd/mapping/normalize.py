"""Text in one spelling: the transforms that a mapping may name, and the keys of matching."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial

from syncd.entities import KEY_FIELDS, Kind
from syncd.mapping import countries
from syncd.text import clean, fold

Transform = Callable[[str], str]

KEY_WIDTH = 255
"""No key is longer. What would be (folding can lengthen a text) has no key: it never matches."""

_SHORTEST_PHONE = 6
_LONGEST_ADDRESS = 320

is_ordinary_address = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
).fullmatch
"""Whether a text is an e-mail address of the kind that nearly all are: plain ASCII, unquoted."""
_E164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_TRUNK_ZERO = re.compile(r"\(\s*0\s*\)")
_BRACKETED_ADDRESS = re.compile(r"[^<>]*<\s*([^<>\s]+)\s*>").fullmatch
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?://)?", re.ASCII).match
_WORD_START = re.compile(r"(?<![^\W_])(?<![^\W_]{2}['\u2019])[^\W\d_]")
_NO_DIGITS = {code: None for code in range(128) if not chr(code).isdigit()}
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


def digits(text: str) -> str:
    """Only the digits of `text`, whatever script they are written in, as 0 to 9."""
    if text.isascii():
        return text.translate(_NO_DIGITS)
    return "".join(str(unicodedata.decimal(letter)) for letter in text if letter.isdecimal())


def domain(text: str) -> str:
    """The domain of an address, a URL or a domain: no scheme, `www.`, port, path or final dot.

    Internationalized names come out in Unicode, so that `xn--mller-kva.de` is `müller.de`.
    """
    host = clean(text).lower()
    if not host.isascii():
        host = clean(unicodedata.normalize("NFKC", host).lower())
    if scheme := _SCHEME(host):
        rest = host[scheme.end() :]
        host = rest if scheme[0].endswith("//") or not rest[:1].isdigit() else host
    host = re.split(r"[/?#\s]", host, maxsplit=1)[0].rpartition("@")[2]
    host = host.partition(":")[0].strip(".").removeprefix("www.")
    return ".".join(map(_unicode_label, host.split("."))) if "xn--" in host else host


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        # The bare codec, not "idna": that one maps ß to ss, and so one domain to another.
        return clean(label[4:].encode("ascii").decode("punycode"))
    except (UnicodeError, ValueError, OverflowError):
        return label


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


# -- match keys ------------------------------------------------------------------------------------


def plausible_address(text: str) -> bool:
    """Whether `text` is one e-mail address, by its form alone; nobody is asked."""
    if is_ordinary_address(text):
        return True
    if "@" not in text or len(text) > _LONGEST_ADDRESS:
        return False
    # Quoted local parts and internationalized domains are rare enough for a slow, careful look.
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(text, check_deliverability=False, allow_quoted_local=True)
    except (EmailNotValidError, UnicodeError):
        return False
    return True


def _fold_email(value: str) -> str:
    folded = fold(value)
    return folded if plausible_address(folded) else ""


def _fold_phone(value: str) -> str:
    """The digits that are dialled from abroad, without `+` or `00`.

    A `(0)` behind the country code goes. A national number keeps its leading zero and so differs
    from the international form: `with = "phone:GB"` makes both one. Short ones are extensions,
    which many people share: they have no key.
    """
    if "(" in value:
        value = _TRUNK_ZERO.sub("", value)
    dialled = digits(value).removeprefix("00")
    return dialled if len(dialled) >= _SHORTEST_PHONE else ""


_FORMS: dict[str, Transform] = {
    "email": _fold_email,
    "domain": domain,
    "email_domain": domain,
    "phone": _fold_phone,
    "mobile": _fold_phone,
}
_KEY_FORMS: dict[Kind, dict[str, Transform]] = {
    kind: {field: _FORMS.get(field, fold) for field in fields}
    for kind, fields in KEY_FIELDS.items()
}


def key(kind: Kind, field: str, value: str | None) -> str:
    """`value` of a key field as a match key, equal on every database; "" is none and never matches.

    An e-mail field that holds anything but one plausible address has no key.
    """
    if not value:
        return ""
    folded = _KEY_FORMS[kind][field](value)
    return folded if len(folded) <= KEY_WIDTH else ""


def keys(kind: Kind, values: Mapping[str, str | bool]) -> dict[str, str]:
    """Every match key that an entity with these values has: field to key, none of them empty."""
    found = {}
    for field, form in _KEY_FORMS[kind].items():
        value = values.get(field)
        if isinstance(value, str) and (folded := form(value)) and len(folded) <= KEY_WIDTH:
            found[field] = folded
    return found
