"""Match keys: values in the one spelling by which records are compared, equal on every database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from syncd.entities import KEY_FIELDS, Kind
from syncd.text import clean, fold

KEY_WIDTH = 255
"""No key is longer. What would be (folding can lengthen a text) has no key: it never matches."""
_SHORTEST_PHONE = 6
_LONGEST_ADDRESS = 320
is_ordinary_address = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
).fullmatch
"""Whether a text is an e-mail address of the kind that nearly all are: plain ASCII, unquoted."""
_TRUNK_ZERO = re.compile(r"\(\s*0\s*\)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?://)?", re.ASCII).match
_NO_DIGITS = bytes(code for code in range(128) if not chr(code).isdigit())


def digits(text: str) -> str:
    """Only the digits of `text`, whatever script they are written in, as 0 to 9."""
    if text.isascii():
        return text.encode().translate(None, _NO_DIGITS).decode()
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


_FORMS: dict[str, Callable[[str], str]] = {
    "email": _fold_email,
    "domain": domain,
    "email_domain": domain,
    "phone": _fold_phone,
    "mobile": _fold_phone,
}
_KEY_FORMS: dict[Kind, dict[str, Callable[[str], str]]] = {
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
