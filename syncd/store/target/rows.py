"""Rows of entity tables, built from values: one tuple in the order of the table's columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import filterfalse
from operator import itemgetter
from typing import Any
from uuid import UUID

from syncd import keys
from syncd.changes import OVERRIDES, OWNERS, SPECIAL, UNDO, Action, Change, in_force
from syncd.entities import CUSTOM, FIELDS, KEY_FIELDS, Entity, Kind
from syncd.store.bulk import json_text

_REFERENCES: dict[Kind, tuple[str, ...]] = {
    Kind.CLIENT: (),
    Kind.SITE: ("client_id", "role"),
    Kind.USER: ("client_id", "site_id"),
}
_TAIL = ("custom", "provenance", "overrides", "retired")

COLUMNS: dict[Kind, tuple[str, ...]] = {
    kind: (
        *_REFERENCES[kind],
        *FIELDS[kind],
        *(f"key_{name}" for name in KEY_FIELDS[kind]),
        *_TAIL,
    )
    for kind in Kind
}
"""Columns of each entity table without its id, in the order of the rows made here."""

_FIELD_NAMES = {kind: tuple(FIELDS[kind]) for kind in Kind}


def created(change: Change, connection: str, *, packed: bool) -> list[Any]:
    """The id and row of a new entity as a driver takes them: ids `packed` as bytes, or as text."""
    after, site = change.after, change.after.get("site")
    entity, client = _plain(change.entity, packed), _plain(change.client, packed)
    row = _row(
        change.kind,
        client,
        _packed(site) if site and packed else site,
        after,
        _all_owned_by(connection),
        after.get(OVERRIDES) or None,
        change.keys,
    )
    return [entity, *row]


def _plain(entity: UUID | None, packed: bool) -> bytes | str | None:
    if entity is None:
        return None
    return entity.bytes if packed else entity.hex


@lru_cache(maxsize=4096)
def _packed(text: str) -> bytes:
    """Many users share a site."""
    return bytes.fromhex(text)


@lru_cache(maxsize=64)
def _all_owned_by(connection: str) -> str:
    return json_text({"*": connection})


def of(entity: Entity, *, keys_too: bool = True) -> list[Any]:
    """The row of a stored entity, without its id; without its keys, which take the most time, where
    nobody wants them.
    """
    return _row(
        entity.kind,
        entity.client,
        entity.site,
        entity.values,
        json_text(entity.provenance),
        entity.overrides or None,
        None if keys_too else _NO_KEYS,
        entity.retired,
    )


_NO_KEYS: dict[str, str] = {}


def is_plain(change: Change) -> bool:
    """Whether a change of a stored entity does nothing but set fields of it, as far as is known."""
    if change.base is None or change.rule == UNDO or change.action is Action.DECIDE:
        return False
    return _BESIDES.isdisjoint(change.after) and _BESIDES.isdisjoint(change.before)


_BESIDES = SPECIAL - {"client", "site", "role", OWNERS, OVERRIDES}
"""What others write than those who write rows of entities."""


def left_by(
    changes: Sequence[Change], stored: Mapping[UUID, Entity], connection: str
) -> Iterable[Entity]:
    """Each of the entities as its changes, one after the other, leave it."""
    latest: dict[UUID, Entity] = {}
    for one in changes:
        entity = latest.get(one.entity) or stored[one.entity]
        latest[one.entity] = in_force(entity, one.after, connection)
    return latest.values()


def updated(
    kind: Kind, changes: Sequence[Change], entities: Iterable[Entity], *, packed: bool
) -> tuple[tuple[str, ...], list[list[Any]]]:
    """The columns that changes of one kind set and no others, for each index left alone is time
    saved; and the values of the entities, the id at the end, as a driver takes them: ids `packed`
    as bytes, or as text. In the order of the ids, so that each page of the table is visited once.
    """
    columns: set[str] = set().union(*map(touched, changes))
    places = [at for at, name in enumerate(COLUMNS[kind]) if name in columns]
    keys_too = any(name.startswith("key_") for name in columns)
    made = []
    for entity in entities:
        row = of(entity, keys_too=keys_too)
        values = [row[at] for at in places]
        made.append([*map(partial(_driven, packed), values), _plain(entity.id, packed)])
    made.sort(key=itemgetter(-1))
    return tuple(COLUMNS[kind][at] for at in places), made


def _driven(packed: bool, value: Any) -> Any:
    return _plain(value, packed) if isinstance(value, UUID) else value


def touched(change: Change) -> set[str]:
    """The columns that a change of a stored entity may set."""
    columns = {"provenance"}
    for name in change.after:
        if name == OWNERS:
            continue
        columns.add(_COLUMN_OF.get(name, "custom" if name.startswith(CUSTOM) else name))
        if name in KEY_FIELDS[change.kind]:
            columns.add(f"key_{name}")
    return columns


_COLUMN_OF = {"client": "client_id", "site": "site_id", OVERRIDES: "overrides"}


def _row(
    kind: Kind,
    client: UUID | bytes | str | None,
    site: UUID | bytes | str | None,
    values: dict[str, Any],
    provenance: str,
    overrides: dict[str, Any] | None,
    known: dict[str, str] | None,
    retired: bool = False,
) -> list[Any]:
    row: list[Any] = []
    if kind is Kind.USER:
        row += (client, site)
    elif kind is Kind.SITE:
        row += (client, values.get("role"))
    row += map(values.get, _FIELD_NAMES[kind])
    found = keys.keys(kind, values) if known is None else known
    row += map(found.get, KEY_FIELDS[kind])
    custom = _custom(values)
    row += (
        json_text(custom) if custom else None,
        provenance,
        json_text(overrides) if overrides else None,
        retired,
    )
    return row


_NOT_CUSTOM = frozenset(name for names in _FIELD_NAMES.values() for name in names) | SPECIAL


def _custom(values: dict[str, Any]) -> dict[str, Any]:
    start = len(CUSTOM)
    names = sorted(filterfalse(_NOT_CUSTOM.__contains__, values))
    return {name[start:]: value for name in names if (value := values[name]) is not None}
