"""What people ask about the desk: searching clients, sites and users; finding the one they mean.

A search looks for every word of a text, whatever its case and accents, in names, e-mail addresses,
references and postal addresses; a user is found by the address of their site too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from syncd import keys
from syncd.entities import HOLDINGS, Entity, Kind
from syncd.errors import StoreUnavailable
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.store.entities import load_entities
from syncd.text import fold

L = TypeVar("L")

REFERENCES: dict[Kind, tuple[str, ...]] = {
    Kind.CLIENT: ("ref", "tenant_id", "accounts_id", "domain", "name"),
    Kind.SITE: ("ref", "email_domain", "name"),
    Kind.USER: ("email", "login", "employee_id", "third_party_id", "name"),
}
"""The keys that a person may name an entity by; the first that anybody has decides."""

_ACCENTS = dict.fromkeys(range(0x300, 0x370))
_ADDRESS = tuple(f"address_line{number}" for number in range(1, 6))


class ClientLine(NamedTuple):
    """One client in a list; `users` are its active ones."""

    id: UUID
    name: str
    ref: str | None
    domain: str | None
    top_level: str | None
    active: bool
    sites: int
    users: int


class SiteLine(NamedTuple):
    """One site in a list; `role` is main, holding or nothing, `users` are its active ones."""

    id: UUID
    client: str
    name: str
    ref: str | None
    address: str
    role: str | None
    active: bool
    users: int


class UserLine(NamedTuple):
    """One user in a list; `barred`: inactive because the client or the site is."""

    id: UUID
    client: str
    site: str
    name: str
    email: str | None
    login: str | None
    job_title: str | None
    phone: str | None
    active: bool
    barred: bool


class Named(NamedTuple):
    """An entity as a person would recognize it."""

    kind: Kind
    id: UUID
    label: str


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: words, in one client or all, everybody or the inactive ones only."""

    text: str = ""
    client: UUID | None = None
    inactive: bool = False
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Found(Generic[L]):
    """The first lines of an answer, and how many there are in all."""

    lines: list[L]
    total: int


def explained(error: BaseException) -> StoreUnavailable | None:
    """A fault of the database as a person can act on it, None for any other error."""
    if not isinstance(error, SQLAlchemyError):
        return None
    cause = str(getattr(error, "orig", None) or error).strip()
    return StoreUnavailable(f"the database cannot be used: {cause.partition(chr(10))[0]}")


# -- lists -----------------------------------------------------------------------------------------


def clients(database: Database, search: Search) -> Found[ClientLine]:
    """Clients that hold every word of the search, by name."""
    c = t.client.c
    columns = [c.key_name, c.trading_name, c.key_ref, c.key_domain, c.key_tenant_id]
    columns += [c.key_accounts_id, c.accounts_email, c.main_contact_name, c.main_contact_email]
    sites = _count(t.site, t.site.c.client_id == c.id)
    users = _count(t.user, t.user.c.client_id == c.id, t.user.c.active)
    query = sa.select(c.id, c.name, c.ref, c.domain, c.top_level, c.active, sites, users)
    query = _narrowed(query, t.client, search)
    query = in_order(database, query, c.key_name, c.id)
    return _found(database, _matching(database, query, columns, search), search.limit, ClientLine)


def sites(database: Database, search: Search) -> Found[SiteLine]:
    """Sites that hold every word of the search, by client and name."""
    c, owner = t.site.c, t.client.c
    lines = [c[name] for name in _ADDRESS]
    columns = [c.key_name, c.key_ref, c.key_email_domain, c.phone, c.main_contact_name, *lines]
    users = _count(t.user, t.user.c.site_id == c.id, t.user.c.active)
    query = sa.select(
        c.id, owner.name, c.name, c.ref, _joined(lines, ", "), c.role, c.active, users
    )
    query = _narrowed(query.join(t.client, owner.id == c.client_id), t.site, search)
    query = in_order(database, query, owner.key_name, c.key_name, c.id)
    return _found(database, _matching(database, query, columns, search), search.limit, SiteLine)


def users(database: Database, search: Search) -> Found[UserLine]:
    """Users that hold every word of the search, by client and name."""
    c, owner, home = t.user.c, t.client.c, t.site.c
    columns = [c.key_name, c.key_email, c.key_login, c.key_employee_id, c.key_third_party_id]
    columns += [c.email, c.email2, c.email3, c.phone, c.key_phone, c.mobile, c.key_mobile]
    columns += [c.job_title, home.key_name, *(home[name] for name in _ADDRESS)]
    barred = sa.type_coerce(sa.not_(sa.and_(owner.active, home.active)), sa.Boolean)
    query = sa.select(
        c.id,
        owner.name,
        home.name,
        c.name,
        c.email,
        c.login,
        c.job_title,
        c.phone,
        c.active,
        barred,
    )
    query = query.join(t.client, owner.id == c.client_id).join(t.site, home.id == c.site_id)
    query = _narrowed(query, t.user, search)
    query = in_order(database, query, owner.key_name, c.key_name, c.id)
    return _found(database, _matching(database, query, columns, search), search.limit, UserLine)


def _count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    query = sa.select(sa.func.count()).select_from(table)
    return query.where(*conditions, sa.not_(table.c.retired)).scalar_subquery()


def _narrowed(query: sa.Select[Any], table: sa.Table, search: Search) -> sa.Select[Any]:
    query = query.where(sa.not_(table.c.retired))
    if search.client is not None:
        owner = table.c.id if table is t.client else table.c.client_id
        query = query.where(owner == search.client)
    return query.where(sa.not_(table.c.active)) if search.inactive else query


def _matching(
    database: Database,
    query: sa.Select[Any],
    columns: Sequence[sa.ColumnElement[Any]],
    search: Search,
) -> sa.Select[Any]:
    """Every word must stand somewhere in the columns."""
    words = bare(search.text).split()
    if not words:
        return query
    haystack = _joined(columns, "\n")
    if database.dialect == "sqlite":
        return query.where(sa.func.holds(haystack, "\n".join(words), type_=sa.Boolean))
    text = _bare(haystack)
    return query.where(*(text.contains(word, autoescape=True) for word in words))


def _found(database: Database, query: sa.Select[Any], limit: int, line: type[L]) -> Found[L]:
    counted = query.add_columns(sa.func.count().over())
    counted = counted.limit(limit) if limit else counted

    def look(conn: Connection) -> Found[L]:
        if database.dialect == "sqlite":
            raw: Any = conn.connection.dbapi_connection
            raw.create_function("holds", 2, _holds, deterministic=True)
        rows = conn.execute(counted).all()
        return Found([line(*row[:-1]) for row in rows], rows[0][-1] if rows else 0)

    return database.query(look)


# -- text without case and accents -----------------------------------------------------------------


def bare(text: str) -> str:
    """`text` as a search compares it: folded, and without accents."""
    return _without_accents(fold(text))


def _without_accents(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKD", text).translate(_ACCENTS)


def _holds(text: str, words: str) -> bool:
    """Whether every one of the bare words stands in a stored text: a function for SQLite, which
    folds ASCII only.
    """
    bared = _without_accents(text.casefold())
    return all(word in bared for word in words.split("\n"))


def _joined(columns: Sequence[sa.ColumnElement[Any]], separator: str) -> sa.ColumnElement[str]:
    """The columns that hold something, in one text."""
    parts = [sa.func.coalesce(column + separator, "") for column in columns]
    text: sa.ColumnElement[str] = parts[0]
    for part in parts[1:]:
        text = text + part
    return text if separator == "\n" else sa.func.rtrim(text, separator)


def _bare(text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """What `bare` makes of a stored text, made by PostgreSQL."""
    apart = sa.func.lower(sa.func.normalize(text, sa.literal_column("NFKD")))
    folded = sa.func.replace(apart, "ß", "ss")
    return sa.func.regexp_replace(folded, "[\u0300-\u036f]", "", "g", type_=sa.Text)


def in_order(
    database: Database, query: sa.Select[Any], *columns: sa.ColumnElement[Any]
) -> sa.Select[Any]:
    """Keys sort by code point: the same on every database and in every language."""
    if database.dialect == "postgresql":
        columns = tuple(
            sa.collate(one, "C") if isinstance(one.type, sa.Text) else one for one in columns
        )
    return query.order_by(*columns)


# -- the one that is meant -------------------------------------------------------------------------


def under_key(find: Callable[[str], list[L]], key: str) -> list[L]:
    """What `find` has under a record's key as somebody typed it; if nothing has exactly that one,
    under its folded form, in which spreadsheets' keys are kept.
    """
    return find(key) or find(fold(key))


def referred(
    database: Database, kind: Kind, reference: str, client: UUID | None = None
) -> list[Named]:
    """The entities that a reference names exactly: an id, or the first key that anybody has.

    A site may also be named with its client, as `Elmstead Foods/Bakery`.
    """
    living = sa.not_(t.TABLE_OF[kind].c.retired)
    return database.query(
        lambda conn: named(database, conn, referred_among(conn, kind, reference, client, living))
    )


def referred_among(
    conn: Connection, kind: Kind, reference: str, client: UUID | None, these: sa.ColumnElement[bool]
) -> list[UUID]:
    """`referred` among the rows of that kind for which a condition holds."""
    found = _by_reference(conn, kind, reference, client, these)
    if not found and kind is Kind.SITE:
        found = _by_path(conn, reference, these)
    return found


def named(database: Database, conn: Connection, ids: Collection[UUID]) -> list[Named]:
    """Entities by id as a person would recognize them; unknown ids are left out."""
    stored = _of_any_kind(database, conn, ids)
    told = labels(database, conn, ids)
    return [Named(stored[one].kind, one, text) for one, text in told.items()]


def _by_reference(
    conn: Connection, kind: Kind, reference: str, client: UUID | None, these: sa.ColumnElement[bool]
) -> list[UUID]:
    table = t.TABLE_OF[kind]
    query = sa.select(table.c.id).where(these)
    if client is not None and kind is not Kind.CLIENT:
        query = query.where(table.c.client_id == client)
    if (given := as_id(reference)) and (
        found := conn.execute(query.where(table.c.id == given)).scalar()
    ):
        return [found]
    for name in REFERENCES.get(kind, ()):
        if key := keys.key(kind, name, reference):
            column = table.c[f"key_{name}"]
            where = sa.and_(column.is_not(None), column == key)
            if hits := list(conn.execute(query.where(where)).scalars()):
                return hits
    return []


def _by_path(conn: Connection, reference: str, these: sa.ColumnElement[bool]) -> list[UUID]:
    """Names of clients and of sites may hold slashes themselves, so every one is tried."""
    parts = reference.split("/")
    living = sa.not_(t.client.c.retired)
    found = []
    for at in range(1, len(parts)):
        for owner in _by_reference(conn, Kind.CLIENT, "/".join(parts[:at]), None, living):
            name = "/".join(parts[at:])
            found += _by_reference(conn, Kind.SITE, name, owner, these)
    return found


def as_id(reference: str) -> UUID | None:
    """The id that a text is, if it is one."""
    try:
        return UUID(reference)
    except ValueError:
        return None


def labels(database: Database, conn: Connection, ids: Collection[UUID]) -> dict[UUID, str]:
    """As `short_labels`, with the client that one belongs to."""
    found = _of_any_kind(database, conn, ids)
    clients = {entity.client for entity in found.values() if entity.client}
    owners = load_entities(database, conn, Kind.CLIENT, clients)
    return {
        one: f"{label(entity)} ({label(owners[entity.client])})" if entity.client else label(entity)
        for one, entity in found.items()
    }


def short_labels(database: Database, conn: Connection, ids: Collection[UUID]) -> dict[UUID, str]:
    """Entities as a person would recognize them, retired ones too; unknown ids are left out."""
    return {one: label(entity) for one, entity in _of_any_kind(database, conn, ids).items()}


def _of_any_kind(database: Database, conn: Connection, ids: Collection[UUID]) -> dict[UUID, Entity]:
    """Entities by id, whatever they are; an id is one of one kind."""
    found: dict[UUID, Entity] = {}
    for kind in Kind:
        if left := [one for one in ids if one not in found]:
            found |= load_entities(database, conn, kind, left)
    return found


def label(entity: Entity) -> str:
    """`Ada Byron <ada@example.org>`, or the name alone."""
    values = entity.values
    if entity.kind in HOLDINGS:
        return holding_label(values)
    name = str(values.get("name", "?"))
    address = values.get("email") or values.get("login") if entity.kind is Kind.USER else None
    return f"{name} <{address}>" if address else name


def holding_label(values: Mapping[str, Any]) -> str:
    """What people call a product: its name, else what its provider calls it."""
    told = (values.get(name) for name in ("name", "part_number", "sku", "reference"))
    return str(next(filter(None, told), "?"))
