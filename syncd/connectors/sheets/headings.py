"""Which spreadsheet headings mean which record field: the table, and the look-up in it.

A heading is compared without case, accents, punctuation, spaces, a leading `*` and a bracketed
suffix: `*First Name [Required]` is `firstname`. The canonical heading, the first of each row below,
is what raw items carry, so the names here must not change without a reason.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Literal, NamedTuple

from syncd.records import Location, Organization, Person, Record
from syncd.text import fold


class Kind(StrEnum):
    """Whom a column describes. The words are those that people put before a heading."""

    CLIENT = "client"
    SITE = "site"
    USER = "user"


RECORDS: dict[Kind, type[Record]] = {
    Kind.CLIENT: Organization,
    Kind.SITE: Location,
    Kind.USER: Person,
}

Cell = Literal["text", "flag", "unflag", "status", "date", "list", "extra", "custom"]
"""How a cell is read: `unflag` is a yes/no with the opposite meaning, `status` a word as Active."""


class Column(NamedTuple):
    """One known column: canonical heading, record field (or name in `extra`), how to read it."""

    heading: str
    field: str
    cell: Cell
    synonyms: tuple[str, ...] = ()


def _column(heading: str, field: str, *synonyms: str, cell: Cell = "text") -> Column:
    return Column(heading, field, cell, synonyms)


def _extra(heading: str, *synonyms: str) -> Column:
    return Column(heading, heading, "extra", synonyms)


_CLIENT_COLUMNS = [
    _column(
        "name", "name", "client", "client name", "customer", "company", "organisation",
        "organization", "contact name", "Kunde", "Firma", "Unternehmen", "société", "entreprise",
        "empresa", "cliente", "azienda", "klant", "bedrijf",
    ),
    _column("toplevel_name", "parent", "top level", "toplevel", "parent company"),
    _column("ref", "reference", "reference", "client ref", "customer number", "Kundennummer"),
    _column("inactive", "active", "disabled", cell="unflag"),
    _column("active", "active", "enabled", "is active", cell="flag"),
    _column("website", "website", "web site", "homepage", "web page"),
    _column("domain", "domain", "domain name", "primary domain"),
    _column("tenant_id", "tenant", "azure tenant id", "microsoft tenant id", "tenant"),
    _column("accountsid", "accounts_id", "account number", "accounts id", "account code"),
    _column(
        "accountsemailaddress", "mail", "accounts email address", "accounts email",
        "email address", "email", "mail", "billing email",
    ),
    _column("tax_number", "tax_number", "vat number", "tax id", "vat id", "abn", "USt-IdNr"),
    _column("default_currency_code", "currency", "currency", "currency code", "default currency"),
    _column("is_vip", "vip", "vip", cell="flag"),
    _column("customertype", "customer_type", "customer type", "client type"),
    _column("colour", "colour", "color"),
    _column("notes", "notes", "note", "comments"),
    _column("main_site_name", "main_location", "main site", "main location"),
    _column("newclient_sitename", "main_location"),
    _column("main_phonenumber", "phone", "phone number", "phone", "telephone", "main phone"),
    _column("main_contact_name", "contact_name", "main contact", "primary contact"),
    _column("newclient_contactname", "contact_name"),
    _column("newclient_contactemail", "contact_mail", "main contact email"),
    _column("newclient_timezone", "timezone", "timezone", "time zone"),
    _column("newclient_countrycode", "country", "country code", "country"),
    _column("trading_name", "trading_name", "trading as", "legal name"),
    _column(
        "excludefrominvoicesync", "exclude_from_invoices", "exclude from invoices", cell="flag"
    ),
    _extra("third_party_id"),
    *[_extra(f"po_address_line{n}", f"POAddressLine{n}") for n in range(1, 5)],
    _extra("po_city", "POCity"),
    _extra("po_region", "PORegion"),
    _extra("po_postal_code", "POPostalCode"),
    _extra("po_country", "POCountry"),
    *[_extra(f"sa_address_line{n}", f"SAAddressLine{n}") for n in range(1, 5)],
    _extra("sa_city", "SACity"),
    _extra("sa_region", "SARegion"),
    _extra("sa_postal_code", "SAPostalCode"),
    _extra("sa_country", "SACountry"),
]  # fmt: skip

_SITE_COLUMNS = [
    _column(
        "name", "name", "site", "site name", "location", "office", "branch", "Standort",
        "Niederlassung", "emplacement", "agence", "sede", "sitio", "vestiging", "locatie",
    ),
    _column("ref", "reference", "reference", "site ref"),
    _column("inactive", "active", "disabled", cell="unflag"),
    _column("active", "active", "enabled", "is active", cell="flag"),
    _column("phonenumber", "phone", "phone", "telephone", "phone number", "Telefon"),
    _column("emaildomain", "mail_domain", "email domain", "mail domain"),
    _column("timezone", "timezone", "time zone"),
    _column("country_code", "country", "country", "SACountry"),
    _column("region_code", "region", "region", "SARegion"),
    _column("delivery_address_line1", "address_line1", "address", "address line 1",
            "street address", "SAAddressLine1"),
    *[
        _column(f"delivery_address_line{n}", f"address_line{n}", f"address line {n}",
                f"SAAddressLine{n}")
        for n in range(2, 6)
    ],
    _extra("city", "SACity"),
    _extra("postal_code", "SAPostalCode", "postcode", "zip", "zip code"),
    _column("maincontact_name", "contact_name", "main contact", "site contact"),
    _column("isinvoicesite", "invoice_address", "is invoice site", "invoice site", cell="flag"),
    _column("notes", "notes", "note", "comments"),
]  # fmt: skip

_USER_COLUMNS = [
    _column("name", "display_name", "display name", "full name", "Anzeigename", "nom complet",
            "nombre completo", "nome completo", "volledige naam"),
    _column("firstname", "given_name", "first name", "forename", "given name", "Vorname",
            "prénom", "nombre", "nome", "voornaam"),
    _column("surname", "family_name", "last name", "family name", "Nachname", "Familienname",
            "nom", "nom de famille", "apellido", "apellidos", "cognome", "achternaam"),
    _column("title", "job_title", "job title", "position", "role", "employee title", "Funktion",
            "Stelle", "fonction", "poste", "cargo", "functie"),
    _column("emailaddress", "mail", "email", "e-mail", "email address", "mail", "primary email",
            "E-Mail-Adresse", "courriel", "adresse e-mail", "correo", "correo electrónico",
            "indirizzo e-mail", "e-mailadres"),
    _column("email2", "mail2", "email 2", "second email", "work secondary email"),
    _column("email3", "mail3", "email 3", "third email", "home secondary email"),
    _column("phonenumber", "business_phone", "phone", "telephone", "phone number",
            "business phone", "work phone", "office phone", "Telefon", "Telefonnummer",
            "téléphone", "teléfono", "telefono", "telefoon"),
    _column("mobilenumber", "mobile", "mobile", "cell", "mobile phone", "cell phone",
            "mobile number", "Handy", "Mobiltelefon", "portable", "móvil", "cellulare", "mobiel"),
    _column("homenumber", "home_phone", "home phone", "home number"),
    _column("login", "user_principal_name", "username", "user name", "upn",
            "user principal name", "login name", "Benutzername", "identifiant", "usuario",
            "nome utente", "gebruikersnaam"),
    _column("samaccountname", "sam_account_name", "sam account name"),
    _column("employee_id", "employee_id", "employee number", "staff no", "staff number",
            "staff id", "Personalnummer", "matricule", "personeelsnummer"),
    _column("third_party_id", "third_party_id", "third party id", "external id"),
    _column("department", "department", "dept", "Abteilung", "département", "departamento",
            "dipartimento", "reparto", "afdeling"),
    _column("manager_email", "manager_mail", "manager", "manager mail"),
    _column("city", "city", "town", "Stadt", "Ort", "ville", "ciudad", "città", "plaats"),
    _column("country", "country", "country/region", "Land", "pays", "país", "paese"),
    _column("inactive", "active", "disabled", "block credential", "blocked", "sign-in blocked",
            "inaktiv", "inactif", cell="unflag"),
    _column("active", "active", "enabled", "account enabled", "is active", "aktiv", "actif",
            cell="flag"),
    _column("status", "active", cell="status"),
    _column("user_type", "user_type", "user type", "employee type"),
    _column("web_access_level", "access_level", "access level"),
    _column("contract_end_date", "contract_end", "contract end", "end date", "leaving date",
            "Austrittsdatum", cell="date"),
    _column("isimportantcontact", "important_contact", "important contact", "vip", cell="flag"),
    _column("isserviceaccount", "service_account", "service account", cell="flag"),
    _column("neversendemails", "never_send_mail", "never send emails", cell="flag"),
    _column("licenses", "licenses", "licences", "license", "licence", "Lizenzen", cell="list"),
    *[_column(f"other{n}", f"other{n}", f"other {n}") for n in range(1, 6)],
    _column("notes", "notes", "note", "comments", "Notizen", "Bemerkungen"),
    _extra("azureoid", "azure object id", "object id", "entra object id"),
    _extra("azure_tenant_id", "entra tenant id"),
    _extra("oktaid", "okta user id"),
    _extra("googleworkplace_id", "google id", "google workspace id"),
    _extra("ref", "reference"),
    _extra("org_unit_path", "Org Unit Path"),
    _extra("cost_center", "cost centre", "Kostenstelle"),
    _extra("street_address", "street"),
    _extra("state", "state or province", "county"),
    _extra("postal_code", "postcode", "zip", "zip code", "PLZ"),
    _extra("usage_location"),
]  # fmt: skip

COLUMNS: dict[Kind, dict[str, Column]] = {
    kind: {column.heading: column for column in columns}
    for kind, columns in {
        Kind.CLIENT: _CLIENT_COLUMNS,
        Kind.SITE: _SITE_COLUMNS,
        Kind.USER: _USER_COLUMNS,
    }.items()
}
"""The known columns, by canonical heading, in the order in which raw items carry them."""

_RANKS = {
    kind: {heading: number for number, heading in enumerate(columns)}
    for kind, columns in COLUMNS.items()
}

SEARCH: dict[Kind, tuple[Kind, ...]] = {
    Kind.CLIENT: (Kind.CLIENT,),
    Kind.SITE: (Kind.SITE, Kind.CLIENT),
    Kind.USER: (Kind.USER, Kind.SITE, Kind.CLIENT),
}
"""Whose columns a sheet of this kind may hold; an ambiguous heading belongs to the first."""

_PREFIXES: dict[str, Kind] = {
    "client": Kind.CLIENT,
    "customer": Kind.CLIENT,
    "company": Kind.CLIENT,
    "organisation": Kind.CLIENT,
    "organization": Kind.CLIENT,
    "site": Kind.SITE,
    "location": Kind.SITE,
    "user": Kind.USER,
}
_CUSTOM = {
    "CF": {Kind.CLIENT: Kind.CLIENT, Kind.SITE: Kind.CLIENT, Kind.USER: Kind.USER},
    "SF": {Kind.SITE: Kind.SITE, Kind.USER: Kind.SITE},
}
"""Prefix of custom fields: whose they are, by the kind of sheet they stand in."""

_SECRET_WORDS = frozenset(
    {
        "pin",
        "pins",
        "hash",
        "hashes",
        "salt",
        "otp",
        "totp",
        "pwd",
        "pw",
        "psk",
        "cvv",
        "mfa",
        "2fa",
    }
)
_SECRET_PARTS = re.compile(
    r"passw|passphrase|passcode|pincode|secret|apikey|privatekey|recoverycode|accesskey"
    r"|kennwort|motdepasse|contrasena|wachtwoord|senha|geheim|codiceaccesso|token"
)


class Meaning(NamedTuple):
    """What a heading stands for: a column of one kind, known or custom."""

    kind: Kind
    column: Column

    def label(self, sheet: Kind) -> str:
        """The canonical heading as it would be written in a sheet of kind `sheet`."""
        heading = self.column.heading
        return heading if self.kind is sheet else f"{self.kind}_{heading}"


def squash(heading: str) -> str:
    """A heading as it is compared: folded, no accents, no bracketed suffix, letters and digits."""
    bare = unicodedata.normalize("NFKD", fold(re.sub(r"[\[(][^\])]*[\])]?\s*$", "", heading)))
    return "".join(char for char in bare if char.isalnum())


def _vocabulary(kind: Kind) -> dict[str, Column]:
    known: dict[str, Column] = {}
    for column in COLUMNS[kind].values():
        for name in (column.heading, *column.synonyms):
            known.setdefault(squash(name), column)
    return known


_KNOWN: dict[Kind, dict[str, Column]] = {kind: _vocabulary(kind) for kind in Kind}


def looks_secret(heading: str) -> bool:
    """Whether a column must never be read: passwords, PINs, tokens, hashes."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)
    words = re.split(r"[^a-z0-9]+", fold(plain))
    squashed = "".join(
        char for char in unicodedata.normalize("NFKD", fold(heading)) if char.isalnum()
    )
    return not _SECRET_WORDS.isdisjoint(words) or bool(_SECRET_PARTS.search(squashed))


def meaning(heading: str, sheet: Kind) -> Meaning | None:
    """What `heading` means in a sheet about `sheet`; None where nobody knows."""
    return (
        _exact(heading, sheet)
        or _known(squash(heading), sheet)
        or _custom(heading, sheet)
        or _prefixed(heading, sheet)
    )


def overridden(heading: str, overrides: Mapping[str, str]) -> str:
    """What a `headings` setting makes of a heading: what it stands for, "" for nothing; without a
    word about it, itself.
    """
    instead = _folded(tuple(overrides.items()))
    return instead.get(squash(heading), heading)


@lru_cache(maxsize=64)
def _folded(overrides: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {squash(heading): target for heading, target in overrides}


def kinds_with(heading: str) -> list[Kind]:
    """The kinds that have a column of this name, without a word before it that says which."""
    return [kind for kind in Kind if squash(heading) in _KNOWN[kind]]


def near_miss(heading: str, sheet: Kind) -> str | None:
    """A known heading that `heading` may be a misspelling of."""
    known = {name: kind for kind in reversed(SEARCH[sheet]) for name in _KNOWN[kind]}
    for name in difflib.get_close_matches(squash(heading), known, n=1, cutoff=0.75):
        return Meaning(known[name], _KNOWN[known[name]][name]).label(sheet)
    return None


def canonical_order(kind: Kind, columns: Iterable[Column]) -> list[Column]:
    """Columns as raw items carry them: known ones as in the table, then custom ones by name."""
    return sorted(columns, key=lambda it: (rank(kind, it.heading), it.heading))


def rank(kind: Kind, heading: str) -> int:
    """The place of a canonical heading in the table; custom ones come after all."""
    return _RANKS[kind].get(heading, len(_RANKS[kind]))


@lru_cache(maxsize=4096)
def column_of(kind: Kind, heading: str) -> Column | None:
    """The column that a raw item's canonical heading names."""
    return COLUMNS[kind].get(heading) or _custom_column(heading)


def unknown_targets(headings: Mapping[str, str]) -> list[str]:
    """The targets of a `headings` setting that no kind of sheet knows."""
    return [
        target
        for target in headings.values()
        if target and not any(meaning(target, sheet) for sheet in Kind)
    ]


def _exact(heading: str, sheet: Kind) -> Meaning | None:
    """Canonical spelling first: `main_contact_name` and `maincontact_name` are two columns."""
    for kind in SEARCH[sheet]:
        if column := COLUMNS[kind].get(fold(heading)):
            return Meaning(kind, column)
    return None


def _known(squashed: str, sheet: Kind) -> Meaning | None:
    for kind in SEARCH[sheet]:
        if column := _KNOWN[kind].get(squashed):
            return Meaning(kind, column)
    return None


def _custom_column(heading: str) -> Column | None:
    prefix, name = heading[:2].upper(), re.sub(r"\W+", "_", fold(heading[2:])).strip("_")
    return Column(prefix + name, name, "custom") if prefix in _CUSTOM and name else None


def _custom(heading: str, sheet: Kind) -> Meaning | None:
    column = _custom_column(heading.strip().lstrip("*"))
    owner = _CUSTOM[column.heading[:2]].get(sheet) if column else None
    return Meaning(owner, column) if column and owner else None


def _prefixed(heading: str, sheet: Kind) -> Meaning | None:
    """`client_ref`, `Site Notes`, `client_CFregion`: a heading that says whom it describes."""
    for prefix, kind in _PREFIXES.items():
        rest = heading.strip().lstrip("*")
        if kind in SEARCH[sheet] and fold(rest).startswith(prefix):
            rest = rest[len(prefix) :].lstrip(" _-.:/")
            if column := _KNOWN[kind].get(squash(rest)):
                return Meaning(kind, column)
            if (found := _custom(rest, kind)) and found.kind is kind:
                return found
    return None
