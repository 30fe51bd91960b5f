"""A stored world in memory, for planning without a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from syncd import keys
from syncd.changes import Aside, Former, LinkFact, LinkState, Place, Tie, Tied, Word
from syncd.entities import Entity, Kind, new_id
from syncd.records import Identity

Want = tuple["UUID | None", tuple[str, ...]]


@dataclass
class FakeFacts:
    """Satisfies `mapping.view.Facts`. Put entities and links into it, then plan."""

    stored: dict[UUID, Entity] = field(default_factory=dict)
    linked: dict[tuple[str, str], LinkFact] = field(default_factory=dict)
    identities: dict[Identity, UUID] = field(default_factory=dict)
    others: list[Tied] = field(default_factory=list)
    """Records of other connections."""
    words: dict[tuple[str, str], Word] = field(default_factory=dict)
    planned: dict[tuple[UUID, str], str | None] = field(default_factory=dict)
    """Keys that this plan gives to linked users."""
    held: dict[UUID, list[list[Any]]] = field(default_factory=dict)
    """[pool, count] of users' licenses."""

    # -- making a world ----------------------------------------------------------------------------

    def client(self, name: str, key: str = "", **values: Any) -> UUID:
        """A client, linked under `key` if that is given."""
        entity = new_id()
        values = {"name": name, "active": True, **values}
        self.stored[entity] = Entity(entity, Kind.CLIENT, None, None, values, {}, {}, False)
        if key:
            self.link("organizations", key, entity, Kind.CLIENT)
        return entity

    def site(self, client: UUID, name: str, key: str = "", **values: Any) -> UUID:
        """A site of the client; `role="main"` for its main site."""
        entity = new_id()
        values = {"name": name, "active": True, **values}
        self.stored[entity] = Entity(entity, Kind.SITE, client, None, values, {}, {}, False)
        if key:
            self.link("locations", key, entity, Kind.SITE)
        return entity

    def user(self, client: UUID, site: UUID, name: str, key: str = "", **values: Any) -> UUID:
        """A user, linked under `key` if that is given."""
        entity = new_id()
        given = {"name": name, "active": True, **values}
        owners = {"*": "people"}
        self.stored[entity] = Entity(entity, Kind.USER, client, site, given, {}, owners, False)
        if key:
            self.link("people", key, entity, Kind.USER)
        return entity

    def link(
        self, stream: str, key: str, entity: UUID, kind: Kind, state: LinkState = LinkState.ALIVE
    ) -> None:
        self.linked[stream, key] = LinkFact(key, state, kind, entity, 0, None)

    def tie_elsewhere(self, entity: UUID, state: LinkState = LinkState.ALIVE) -> None:
        """Another connection, which is not configured here, has a record of the user."""
        tie = Tied(entity, "other", 99, "people", "x", state, "", ("people", "x"), None)
        self.others.append(tie)

    # -- answering ---------------------------------------------------------------------------------

    def links(self, stream: str, keys: Sequence[str]) -> dict[str, LinkFact]:
        return {key: self.linked[stream, key] for key in keys if (stream, key) in self.linked}

    def entities(self, kind: Kind, ids: Collection[UUID]) -> dict[UUID, Entity]:
        return {one: self.stored[one] for one in ids if self.stored[one].kind is kind}

    def find(
        self, kind: Kind, fields: tuple[str, ...], wanted: Collection[Want]
    ) -> dict[Want, list[UUID]]:
        found: dict[Want, list[UUID]] = {}
        for scope, values in wanted:
            found[scope, values] = [
                one.id
                for one in self.stored.values()
                if one.kind is kind
                and not one.retired
                and scope in (None, one.client)
                and all(
                    keys.key(kind, name, one.values.get(name)) == value
                    for name, value in zip(fields, values, strict=True)
                )
            ]
        return found

    def former(
        self, kind: Kind, fields: tuple[str, ...], wanted: Collection[Want]
    ) -> dict[Want, list[Former]]:
        return {}

    def merged_users(self) -> list[UUID]:
        return []

    def holders(self, identities: Collection[Identity]) -> dict[Identity, UUID]:
        return {one: self.identities[one] for one in identities if one in self.identities}

    def ties(self, stream: str, ids: Collection[UUID]) -> dict[UUID, Tie]:
        return {
            link.entity: Tie(key, link.state in (LinkState.ALIVE, LinkState.MISSED))
            for (where, key), link in self.linked.items()
            if where == stream and link.entity in ids
        }

    def tied(self, kind: Kind, ids: Collection[UUID]) -> list[Tied]:
        return [one for one in self.others if one.entity in ids]

    def items(self, places: Collection[Place]) -> dict[Place, bytes]:
        return {}

    def entities_of(self, places: Collection[Place]) -> dict[Place, UUID]:
        return {}

    def licenses(
        self, users: Collection[UUID], provider: str | None = None
    ) -> dict[UUID, list[list[Any]]]:
        return {one: self.held[one] for one in users if one in self.held}

    def pools(self, provider: str, clients: Collection[UUID]) -> dict[tuple[UUID, str], UUID]:
        return {}

    def special_sites(self, clients: Collection[UUID]) -> dict[tuple[UUID, str], UUID]:
        return {
            (one.client, one.values["role"]): one.id
            for one in self.stored.values()
            if one.kind is Kind.SITE and one.client in clients and "role" in one.values
        }

    def quarantined(self, stream: str, keys: Collection[str]) -> dict[str, Aside]:
        return {}

    def decisions(self, stream: str, keys: Sequence[str]) -> dict[str, Word]:
        return {key: self.words[stream, key] for key in keys if (stream, key) in self.words}

    def planned_keys(
        self, ids: Collection[UUID]
    ) -> dict[tuple[UUID, str], tuple[UUID | None, str | None]]:
        return {
            pair: (self.stored[pair[0]].client, key)
            for pair, key in self.planned.items()
            if pair[0] in ids
        }

    def planned_holders(
        self, field: str, wanted: Collection[tuple[UUID | None, str]]
    ) -> dict[tuple[UUID | None, str], list[UUID]]:
        found: dict[tuple[UUID | None, str], list[UUID]] = {}
        for (entity, name), key in self.planned.items():
            client = self.stored[entity].client
            for want in ((client, key), (None, key)):
                if name == field and want in wanted:
                    found.setdefault(want, []).append(entity)  # type: ignore[arg-type]
        return found
