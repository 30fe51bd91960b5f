"""What records of licenses and subscriptions say: as the provider tells it, with nothing to map."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Final

from syncd.entities import FIELDS, Kind
from syncd.mapping.casts import Notice, RecordRejected, as_text, fit
from syncd.mapping.mapped import Mapped, Value
from syncd.records import License, Record, Subscription
from syncd.text import decimal_text

RECORD_OF: dict[Kind, type[Record]] = {Kind.LICENSE: License, Kind.SUBSCRIPTION: Subscription}


class FixedRules:
    """Stands where mappings have rules: every field of the entity is the record's own."""

    match: Final = ()
    when_create: Final[frozenset[str]] = frozenset()
    when_empty: Final[frozenset[str]] = frozenset()
    passing: Final[frozenset[str]] = frozenset()

    def __init__(self, kind: Kind) -> None:
        self.kind: Final = kind

    def apply(self, record: Record) -> Mapped:
        """What the record says; raises RecordRejected."""
        notices: list[Notice] = []
        said = dict(self._values(record, notices))
        return Mapped({**said, "active": True}, notices=tuple(notices))

    def _values(self, record: Record, notices: list[Notice]) -> Iterator[tuple[str, Value]]:
        for name, field in FIELDS[self.kind].items():
            given = getattr(record, name, None)
            if isinstance(given, bool):
                yield name, given
            elif isinstance(given, date):
                yield name, given.isoformat()
            elif isinstance(given, Decimal):
                yield name, _number(name, given)
            elif given is not None and (text := as_text(given, name)):
                yield name, fit(field, text, notices)


def _number(name: str, given: Decimal) -> str:
    text = decimal_text(given)
    if text is None:
        raise RecordRejected("bad_value", name, "is no number of seats")
    return text
