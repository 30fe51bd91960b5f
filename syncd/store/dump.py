"""The canonical dump: all that syncd keeps, as text in which equal states are equal texts.

One line for each entity, link, identity and row of the license ledger, sorted. Ids that we made are
replaced by where a thing came from (connection, stream and key), or, for what came from nowhere, by
what it is; times, runs and steps are left out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from syncd.changes import LinkState
from syncd.entities import CUSTOM, FIELDS, KEY_FIELDS, REFERENCE_OF, Kind
from syncd.store import tables as t
from syncd.store.database import Database
from syncd.text import decimal_text

_encode = msgspec.json.Encoder(order="sorted", decimal_format="string").encode


def canonical_dump(database: Database, *, retired: bool = True) -> str:
    """The whole state as text; without `retired`, without retired entities and undone links."""
    return database.query(lambda conn: _Dump(conn, retired).text())


class _Dump:
    """One snapshot on its way to text."""

    def __init__(self, conn: Connection, retired: bool) -> None:
        self.conn = conn
        self.retired = retired
        self.links = self._links()
        self.hidden: set[UUID] = set()
        """Retired entities, where they are left out."""
        self.named: dict[UUID, str] = {}
        self.names: dict[UUID, str] = {}
        self.origins: dict[UUID, list[str]] = defaultdict(list)
        for link in self.links:
            if link.entity_id:
                self.origins[link.entity_id].append(_place(link))

    def text(self) -> str:
        lines = [line for kind in Kind for line in self._entities(kind)]  # clients first
        lines += [*self._link_lines(), *self._identities(), *self._ledger()]
        return "".join(f"{line}\n" for line in sorted(lines))

    # -- entities ----------------------------------------------------------------------------------

    def _entities(self, kind: Kind) -> Iterator[str]:
        rows = self.conn.execute(sa.select(t.TABLE_OF[kind])).all()
        for row in rows:
            self.names[row.id] = self._natural(kind, row)
            self.named[row.id] = min(self.origins.get(row.id, [self.names[row.id]]))
        for row in rows:
            if row.retired and not self.retired:
                self.hidden.add(row.id)
                continue
            yield _line(kind, self.named[row.id], self._content(kind, row))

    def _natural(self, kind: Kind, row: Row[Any]) -> str:
        """What an entity is, in words that another database would use too."""
        if kind in REFERENCE_OF:
            reference = getattr(row, REFERENCE_OF[kind])
            return f"{self.names[row.client_id]} {row.provider}/{reference}"
        names = [row.name] if kind is Kind.CLIENT else [self.names[row.client_id], row.name]
        others = [getattr(row, f"key_{name}") or "" for name in KEY_FIELDS[kind] if name != "name"]
        told = "/".join(str(name) for name in names)
        return f"{told} [{' '.join(filter(None, others))}]" if any(others) else told

    def _content(self, kind: Kind, row: Row[Any]) -> dict[str, Any]:
        stored = row._asdict()
        content = {name: value for name in FIELDS[kind] if (value := stored[name]) is not None}
        for name in ("custom", "overrides", "role"):
            if value := stored.get(name):
                content[f"@{name}"] = self._with_names(value) if name == "overrides" else value
        content["@owners"] = _owners(row.provenance, content, row.custom or {})
        if kind is not Kind.CLIENT:
            content["@client"] = self.named[row.client_id]
        if kind is Kind.USER:
            content["@site"] = self.named[row.site_id]
        if kind is Kind.LICENSE:
            content["@assigned"] = _plain(row.assigned or 0)
        return content | ({"@retired": True} if row.retired else {})

    def _with_names(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """A person's words; those on where a user is, without ids of ours."""
        return {
            name: self.named[UUID(hex=value)] if name in ("client", "site") else value
            for name, value in overrides.items()
        }

    # -- links -------------------------------------------------------------------------------------

    def _links(self) -> Sequence[Row[Any]]:
        c = t.link.c
        same = sa.and_(*(c[name] == t.item.c[name] for name in ("partition_id", "stream", "key")))
        query = (
            sa.select(t.link, t.item.c.raw, t.connection.c.name, t.partition.c.key.label("part"))
            .join(t.partition, t.partition.c.id == c.partition_id)
            .join(t.connection, t.connection.c.id == t.partition.c.connection_id)
            .join(t.item, same, isouter=True)
        )
        if not self.retired:
            query = query.where(c.state != LinkState.UNDONE)
        return self.conn.execute(query).all()

    def _link_lines(self) -> Iterator[str]:
        for link in self.links:
            content = {
                "state": link.state,
                "kind": link.kind,
                "matched_by": link.matched_by,
                "misses": link.misses,
                "entity": self.names.get(link.entity_id),
                "item": hashlib.sha256(link.raw).hexdigest() if link.raw is not None else None,
                "settled": link.digest is not None,
                "note": link.note,
                "owner": link.owner,
                "pinned": link.pinned,
            }
            yield _line("link", _place(link), content)

    # -- what belongs to entities ------------------------------------------------------------------

    def _identities(self) -> Iterator[str]:
        for row in self.conn.execute(sa.select(t.identity)):
            if row.user_id not in self.hidden:
                content = {"user": self.named.get(row.user_id), "connection": row.connection}
                yield _line("identity", f"{row.issuer} {row.subject}", content)

    def _ledger(self) -> Iterator[str]:
        for row in self.conn.execute(sa.select(t.license_ledger)):
            moved = {"bought": _plain(row.bought_delta), "assigned": row.assigned_delta}
            content = {"user": self.named.get(row.user_id), **moved}
            yield _line("ledger", self.named[row.pool_id], content)


def _plain(number: Any) -> str | None:
    """A number as every database tells it."""
    return None if number is None else decimal_text(Decimal(number))


def _owners(
    provenance: dict[str, str], content: dict[str, Any], custom: dict[str, str]
) -> dict[str, list[str]]:
    """Whose each value is, by owner: the same however it came to be written down."""
    names = [*(name for name in content if name[0] != "@"), *(CUSTOM + name for name in custom)]
    owners: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        owners[provenance.get(name) or provenance.get("*", "")].append(name)
    return owners


def _place(link: Row[Any]) -> str:
    """Where a record comes from; one partition has no name of its own."""
    return "/".join(filter(None, (link.name, link.part, link.stream, link.key)))


def _line(kind: str, name: str, content: dict[str, Any]) -> str:
    return f"{kind} {_encode(name).decode()} {_encode(content).decode()}"
