"""Entities as they are stored, by their ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from syncd.entities import CUSTOM, FIELDS, HOLDINGS, Entity, Kind, uuid_of
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


def load_entities(
    database: Database, conn: Connection, kind: Kind, ids: Collection[UUID]
) -> dict[UUID, Entity]:
    """Stored entities by id, retired ones too; unknown ids are left out."""
    sql = _ENTITY_SQL[kind]
    found = {}
    rows = bulk.of_ids(database, conn, sql, ids)
    if database.dialect == "sqlite":
        rows = (_from_sqlite(kind, row) for row in rows)
    for row in rows:
        found[row[0]] = _entity(kind, row)
    return found


def _entity_sql(kind: Kind) -> str:
    references = {
        Kind.CLIENT: "null, null, null",
        Kind.SITE: "client_id, null, role",
        Kind.USER: "client_id, site_id, null",
        **dict.fromkeys(HOLDINGS, "client_id, null, null"),
    }
    names = ", ".join(FIELDS[kind])
    return (
        f"select id, {references[kind]}, custom, overrides, provenance, retired, {names} "
        f"from {t.TABLE_OF[kind].name} where id"
    )


_ENTITY_SQL = {kind: _entity_sql(kind) for kind in Kind}
_JSON_AT = (4, 5, 6)
_BOOLS_AT = {
    kind: (7, *(8 + at for at, field in enumerate(fields.values()) if field.type == "bool"))
    for kind, fields in FIELDS.items()
}


def _from_sqlite(kind: Kind, row: Sequence[Any]) -> list[Any]:
    """A row as SQLite keeps it, with ids, JSON and truth values made of it."""
    made = list(row)
    made[0] = uuid_of(made[0])
    for at in (1, 2):
        made[at] = bulk.shared_uuid(made[at])
    for at in _JSON_AT:
        made[at] = made[at] and bulk.json_value(made[at])
    for at in _BOOLS_AT[kind]:
        if made[at] is not None:
            made[at] = bool(made[at])
    return made


def _entity(kind: Kind, row: Sequence[Any]) -> Entity:
    entity, client, site, role, custom, overrides, provenance, retired = row[:8]
    pairs = zip(FIELDS[kind], row[8:], strict=True)
    values = {name: value for name, value in pairs if value is not None}
    for name, value in (custom or {}).items():
        values[CUSTOM + name] = value
    if role is not None:
        values["role"] = role
    return Entity(entity, kind, client, site, values, overrides or {}, provenance, retired)
