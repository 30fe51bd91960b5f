"""Rows of entity tables, built from values: one tuple in the order of the table's columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import filterfalse
from operator import itemgetter
from typing import Any
from uuid import UUID

from syncd import keys
from syncd.changes import OVERRIDES, OWNERS, SPECIAL, UNDO, Action, Change, in_force
from syncd.entities import CUSTOM, FIELDS, HOLDINGS, KEY_FIELDS, Entity, Kind
from syncd.store.bulk import json_text

_REFERENCES: dict[Kind, tuple[str, ...]] = {
    Kind.CLIENT: (),
    Kind.SITE: ("client_id", "role"),
    Kind.USER: ("client_id", "site_id"),
    **dict.fromkeys(HOLDINGS, ("client_id",)),
}
_KEY = "key_"
_TAIL = ("custom", "provenance", "overrides", "retired")

COLUMNS: dict[Kind, tuple[str, ...]] = {
    kind: (
        *_REFERENCES[kind],
        *FIELDS[kind],
        *(_KEY + name for name in KEY_FIELDS[kind]),
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
        after.get(OVERRIDES, {}),
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


def is_plain(change: Change) -> bool:
    """Whether a change of a stored entity does nothing but set fields of it, as far as is known."""
    if change.base is None or change.rule == UNDO or change.action is Action.DECIDE:
        return False
    if change.kind is Kind.LICENSE and "bought" in change.after:
        return False  # the ledger has to tell of it
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
    fields = [name for name in FIELDS[kind] if name in columns]
    others = [name for name in COLUMNS[kind] if name in columns and name not in FIELDS[kind]]
    cells = [_cell(kind, name, packed) for name in others]
    made = [
        [*map(one.values.get, fields), *[cell(one) for cell in cells], _plain(one.id, packed)]
        for one in entities
    ]
    made.sort(key=itemgetter(-1))
    return (*fields, *others), made


def _cell(kind: Kind, column: str, packed: bool) -> Callable[[Entity], Any]:
    """What makes the value of a column that is none of the entity's plain fields."""
    if column.startswith(_KEY):
        field = column.removeprefix(_KEY)
        return lambda one: keys.key(kind, field, one.values.get(field)) or None
    made: dict[str, Callable[[Entity], Any]] = {
        "client_id": lambda one: _plain(one.client, packed),
        "site_id": lambda one: _plain(one.site, packed),
        "role": lambda one: one.values.get("role"),
        "custom": lambda one: _text(_custom(one.values)),
        "provenance": lambda one: json_text(one.provenance),
        "overrides": lambda one: _text(one.overrides),
        "retired": lambda one: one.retired,
    }
    return made[column]


def _text(told: dict[str, Any]) -> str | None:
    return json_text(told) if told else None


def touched(change: Change) -> set[str]:
    """The columns that a change of a stored entity may set."""
    columns = {"provenance"}
    for name in change.after:
        if name == OWNERS:
            continue
        columns.add(_COLUMN_OF.get(name, "custom" if name.startswith(CUSTOM) else name))
        if name in KEY_FIELDS[change.kind]:
            columns.add(_KEY + name)
    return columns


_COLUMN_OF = {"client": "client_id", "site": "site_id", OVERRIDES: "overrides"}


def _row(
    kind: Kind,
    client: UUID | bytes | str | None,
    site: UUID | bytes | str | None,
    values: dict[str, Any],
    provenance: str,
    overrides: dict[str, Any],
    known: dict[str, str] | None,
) -> list[Any]:
    row: list[Any] = []
    if kind is Kind.USER:
        row += (client, site)
    elif kind is Kind.SITE:
        row += (client, values.get("role"))
    elif kind is not Kind.CLIENT:
        row.append(client)
    row += map(values.get, _FIELD_NAMES[kind])
    found = keys.keys(kind, values) if known is None else known
    row += map(found.get, KEY_FIELDS[kind])
    row += (_text(_custom(values)), provenance, _text(overrides), False)
    return row


_NOT_CUSTOM = frozenset(name for names in _FIELD_NAMES.values() for name in names) | SPECIAL


def _custom(values: dict[str, Any]) -> dict[str, Any]:
    start = len(CUSTOM)
    names = sorted(filterfalse(_NOT_CUSTOM.__contains__, values))
    return {name[start:]: value for name in names if (value := values[name]) is not None}
