"""Delegated administration (GDAP): which customers a partner may administer, and until when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec

from syncd.connectors.http.client import Api
from syncd.connectors.microsoft import graph, requests
from syncd.connectors.microsoft.decoding import UNREADABLE
from syncd.errors import BadResponse

SOON = timedelta(days=30)
_IN_FORCE = frozenset({"active", "expiring"})
_BY_MICROSOFT = "MLT_"
"""Names of relationships that Microsoft made for itself begin so."""


class _Customer(msgspec.Struct):
    tenantId: str  # noqa: N815


class _Relationship(msgspec.Struct):
    status: str
    customer: _Customer | None = None
    displayName: str | None = None  # noqa: N815
    endDateTime: datetime | None = None  # noqa: N815
    autoExtendDuration: str | None = None  # noqa: N815

    def is_in_force(self, now: datetime) -> bool:
        ended = self.endDateTime is not None and self.endDateTime <= now
        return self.status in _IN_FORCE and not ended

    @property
    def extends_itself(self) -> bool:
        return self.autoExtendDuration not in (None, "PT0S", "P0D")


_decode = msgspec.json.Decoder(_Relationship).decode


@dataclass(frozen=True, slots=True)
class Gdap:
    """All relationships, by the customer's tenant."""

    of: Mapping[str, list[_Relationship]]

    def missing(self, tenant: str, now: datetime) -> str | None:
        """The trouble of a tenant for which none is in force."""
        theirs = self.of.get(tenant, [])
        if any(one.is_in_force(now) for one in theirs):
            return None
        return "gdap_expired" if theirs else "gdap_missing"

    def ending(self, tenant: str, now: datetime) -> date | None:
        """The day on which the last relationship ends, where that is soon."""
        theirs = [one for one in self.of.get(tenant, []) if one.is_in_force(now)]
        if not theirs or any(one.extends_itself for one in theirs):
            return None
        ends = [one.endDateTime for one in theirs if one.endDateTime is not None]
        last = max(ends) if len(ends) == len(theirs) else None
        return last.date() if last is not None and last - now <= SOON else None


def read(api: Api) -> Gdap:
    """All relationships of the partner in whose tenant `api` asks."""
    found: dict[str, list[_Relationship]] = defaultdict(list)
    for page in graph.pages(api, requests.relationships(api.endpoint.base)):
        for raw in page.items:
            try:
                one = _decode(raw)
            except UNREADABLE:
                raise BadResponse(
                    f"{api.endpoint.host} tells of delegated administration in another form"
                ) from None
            if one.customer and not (one.displayName or "").startswith(_BY_MICROSOFT):
                found[one.customer.tenantId.lower()].append(one)
    return Gdap(found)
