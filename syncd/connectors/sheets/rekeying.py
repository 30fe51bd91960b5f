"""Other columns that identify users: the keys that stored rows have by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from syncd.connectors.sheets.headings import Kind, meaning, overridden
from syncd.connectors.sheets.layout import join_key
from syncd.connectors.sheets.records import KEY, MAX_KEY
from syncd.errors import UsageError
from syncd.records import Rekeying
from syncd.text import fold

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str | None]).decode


def by_columns(key: Sequence[str], headings: Mapping[str, str]) -> Rekeying:
    """Rekeying by the cells under these headings. `headings`: as the setting of that name. Raises
    UsageError for one whose cells are not kept.
    """
    names = [_kept(heading, headings) for heading in key]

    def key_of(raw: bytes) -> str:
        cells = _cells(raw)
        parts = [fold(cells.get(name) or "") for name in names]
        found = (join_key(parts) if len(parts) > 1 else parts[0]) if all(parts) else ""
        return found if len(found) <= MAX_KEY else ""

    return Rekeying(tuple(key), key_of, _under)


def _kept(heading: str, headings: Mapping[str, str]) -> str:
    """The name under which the cells of a column of users are stored."""
    found = meaning(overridden(heading, headings) or heading, Kind.USER)
    if found is None or found.kind is not Kind.USER:
        raise UsageError(
            f'the column "{heading}" is not kept with users, so nobody knows whose cell was whose; '
            "have it read first, as one that is known or as a custom field: "
            f'headings = {{ "{heading}" = "CF{heading}" }}'
        )
    return found.column.heading


def _under(raw: bytes, key: str) -> bytes:
    cells = _cells(raw)
    return _encode({**cells, KEY: key}) if KEY in cells else raw


def _cells(raw: bytes) -> dict[str, str | None]:
    """The cells of a stored row; none of what is not one."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, ValueError):
        return {}
