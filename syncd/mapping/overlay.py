"""Laying what a mapping file says over what stands below it: another mapping, or the defaults."""

from __future__ import annotations

from typing import Any

from syncd.entities import CUSTOM, Kind
from syncd.mapping import names

_SOURCE_KEYS = {"from", "expr", "value"}

Tables = dict[str, Any]


def sections(below: Tables, given: object) -> object:
    """The sections of a file; those that it leaves out are there and say nothing."""
    if not isinstance(given, dict):
        return given
    return {**{name: {} for name in below}, **given}


def section(below: Tables, given: object) -> object:
    """The entries of a section over those below, but its fields: they are laid over one by one."""
    if not isinstance(given, dict):
        return given
    return {**below, **given, "fields": given.get("fields", {})}


def tables(below: dict[str, Tables], given: object) -> object:
    """The tables of `given` over those below, key by key."""
    if not isinstance(given, dict):
        return given
    changed = {
        name: {**below.get(name, {}), **table} if isinstance(table, dict) else table
        for name, table in given.items()
    }
    return {**below, **changed}


def fields(kind: Kind, below: Tables, given: Tables) -> Tables:
    """The rules of all targets of a kind: those below, with the entries of `given` laid over them
    and `false` ones removed. Raises ValueError for an entry that cannot be meant.
    """
    rules = dict(below)
    named: set[str] = set()
    for name, entry in _spelled_flat(given).items():
        target = names.target(kind, name)
        if target in named:
            raise ValueError(f'"{target}" is given twice, once under another name')
        named.add(target)
        rules[target] = _laid_over(entry, below.get(target))
    kept = {target: _as_table(entry) for target, entry in rules.items() if entry is not False}
    if names.REQUIRED not in kept:
        raise ValueError(f'"{names.REQUIRED}" cannot be removed: a {kind} needs one')
    return kept


def _laid_over(entry: object, below: object) -> object:
    """An entry that names no source of its own adjusts the one below."""
    table, base = _as_table(entry), _as_table(below)
    if isinstance(table, dict) and isinstance(base, dict) and not table.keys() & _SOURCE_KEYS:
        return {**base, **table}
    return table


def _as_table(entry: object) -> object:
    if entry is True:
        raise ValueError("`true` is no source; give one, or `false` to leave the field alone")
    return {"from": entry} if isinstance(entry, (str, list, tuple)) else entry


def _spelled_flat(entries: Tables) -> Tables:
    """`custom.x = …` without quotes is a table in TOML; people mean the field "custom.x"."""
    flat = dict(entries)
    if isinstance(nested := flat.pop("custom", None), dict):
        flat |= {f"{CUSTOM}{name}": entry for name, entry in nested.items()}
    elif nested is not None:
        flat["custom"] = nested
    return flat
