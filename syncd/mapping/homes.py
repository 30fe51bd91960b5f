"""Where a user belongs: the client and site that its records name together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from syncd.changes import Effect
from syncd.entities import Entity, Kind
from syncd.mapping.contributions import Contribution
from syncd.mapping.page import Context, Page
from syncd.mapping.sites import load_for, site_of
from syncd.mapping.values import Difference
from syncd.mapping.view import ClientRef, client_ref


@dataclass(slots=True)
class Known:
    """A user that we keep, all that is said about it, and the client that it belongs to."""

    user: Entity
    said: Sequence[Contribution]
    client: ClientRef


def with_homes(
    work: Context, users: Sequence[tuple[Entity, Sequence[Contribution]]]
) -> list[Known]:
    """Users with the clients that they belong to, and their sites looked up for `set_home`."""
    if not users:
        return []
    clients = _clients(work, users)
    known = [Known(user, said, _client_of(work, user, said, clients)) for user, said in users]
    load_for(work, [(one.said, one.client) for one in known])
    return known


def _clients(
    work: Context, users: Iterable[tuple[Entity, Sequence[Contribution]]]
) -> dict[UUID, ClientRef]:
    """Every client that is in question; those that this plan makes are in the directory only."""
    ids = {user.client for user, _ in users if user.client}
    ids |= {one.client for _, said in users for one in said if one.client}
    stored = work.facts.entities(Kind.CLIENT, ids)
    refs = {one.id: client_ref(one) for one in stored.values()}
    return refs | {ref.id: ref for ref in work.directory.clients.values() if ref and ref.id in ids}


def _client_of(
    work: Context, user: Entity, said: Sequence[Contribution], clients: dict[UUID, ClientRef]
) -> ClientRef:
    """The client that the first record which names one names; else, and where a person said so, the
    one that the user has.
    """
    assert user.client is not None
    if "client" in user.overrides:
        return clients[user.client]
    for one in work.precedence.ordered(said, Kind.USER, "client"):
        if one.speaks and one.client in clients:
            return clients[one.client]
    return clients[user.client]


def set_home(work: Context, known: Known, page: Page, diff: Difference) -> None:
    """Move the user where its records say; a site that a person set stays within the client."""
    user, client = known.user, known.client
    moves = client.id != user.client
    if moves:
        diff.set("client", user.client.hex if user.client else None, client.id.hex)
    elif "site" in user.overrides:
        return
    site = site_of(work, known.said, client, None if moves else user.site, page)
    if site != user.site:
        diff.set("site", user.site.hex if user.site else None, site.hex)
        diff.effects |= Effect.SITE_MOVE
