"""Microsoft Graph, as far as we read it: pages cut into items, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from syncd.connectors.http.answers import Answer
from syncd.connectors.http.client import Api
from syncd.connectors.http.walk import walk
from syncd.connectors.microsoft.decoding import UNREADABLE
from syncd.errors import (
    AccessLost,
    BadResponse,
    CursorExpired,
    PermissionDenied,
    ProviderError,
)

_EXPIRED = frozenset({"syncStateNotFound", "resyncRequired", "syncStateInvalid"})
_DEEPEST = 8


class NotThere(BadResponse):
    """The tenant is there, and has no such object."""


class GraphPage(NamedTuple):
    """One page of a collection: its items as they stand there, where the next page is, and where a
    later delta goes on.
    """

    items: Sequence[msgspec.Raw]
    next: str | None
    delta: str | None


class _Envelope(msgspec.Struct):
    value: list[msgspec.Raw]
    next: str | None = msgspec.field(name="@odata.nextLink", default=None)
    delta: str | None = msgspec.field(name="@odata.deltaLink", default=None)
    error: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_envelope = msgspec.json.Decoder(_Envelope)


def pages(api: Api, target: str, *, is_delta: bool = False) -> Iterator[GraphPage]:
    """The pages of a collection, from its URL or from a link that Graph gave. A delta that ends
    without a link for the next time is not whole.
    """
    last: GraphPage | None = None
    for last in walk(target, api.follow, _page):
        yield last
    if is_delta and (last is None or last.delta is None):
        raise BadResponse(f"{api.endpoint.host} ended a delta without a link for the next one")


def _page(answer: Answer) -> tuple[GraphPage, str | None]:
    answer.expect_json()
    try:
        found = _envelope.decode(answer.bare())
    except UNREADABLE:
        raise BadResponse(
            f"{answer.host} answered with something else than a list of items"
        ) from None
    if found.error:
        raise BadResponse(f"{answer.host} answered with an error that calls itself a success")
    return GraphPage(found.value, found.next, found.delta), found.next


def one(api: Api, target: str) -> Any:
    """A single object, decoded."""
    found = api.follow(target).json()
    if not isinstance(found, dict) or "error" in found:
        raise BadResponse(f"{api.endpoint.host} answered with something else than an object")
    return found


# -- what errors mean ------------------------------------------------------------------------------


def explain(answer: Answer) -> ProviderError | None:
    """What Graph means by an answer, where its status does not tell."""
    if answer.status < 400:
        return None
    codes = _codes(answer)
    shown = _shown(codes)
    if answer.status == 410 or _EXPIRED & {*codes}:
        return CursorExpired(f"{answer.host} does not know any more what we read last {shown}")
    if answer.status == 403:
        denied = PermissionDenied(
            f"{answer.host} does not permit this: a role or a permission is missing {shown}"
        )
        denied.condition = "role_missing"
        return denied
    if answer.status == 404 and "Request_ResourceNotFound" in codes:
        return NotThere(f"{answer.host} does not have what was asked for {shown}")
    if answer.status == 404:
        return AccessLost(f"{answer.host} does not know this tenant {shown}")
    return None


def _codes(answer: Answer) -> list[str]:
    """The codes of an error, the most precise one last; they nest as deep as the service likes."""
    try:
        told: Any = msgspec.json.decode(answer.bare()).get("error")
    except (*UNREADABLE, AttributeError):
        return []
    codes = []
    for _ in range(_DEEPEST):
        if not isinstance(told, Mapping):
            break
        if isinstance(code := told.get("code"), str):
            codes.append(code)
        told = told.get("innerError") or told.get("innererror")
    return codes


def _shown(codes: Sequence[str]) -> str:
    """The most precise code, if it is one and not a sentence."""
    plain = [code for code in codes if code.isascii() and code.replace("_", "").isalnum()]
    return f"({plain[-1][:60]})" if plain else "(no code)"
