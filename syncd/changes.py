"""What was decided: situations, actions, changes and the counts that guards look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum, unique
from typing import Any, NamedTuple
from uuid import UUID

from syncd.entities import LOCAL, Entity, Kind

OWNERS = "@owners"
"""In `before` and `after` of a change: {field: connection} where the value is another connection's
than the one whose run it is; or where nothing but the owner of an equal value changes.
"""
OVERRIDES = "@overrides"
"""In `before` and `after` of a change: {field: value that a person set, null for none}."""
MERGED = "@merged"
"""In `after` of a merge: into whom, by which step, and how much of what went with it."""
LICENSES = "licenses"
"""In `after` of a change: [pool (hex), count] of the licenses that it takes from its user; in
`before`, of those that it gives, with SKU and provider after it where there is no such pool yet.
"""
UNDO = "undo"
"""The rule of a change that takes another one back."""
DECISION = "@decision"
"""In `before` and `after` of a change: a person's standing word about its record, null for none."""
ASIDE = "@aside"
"""In `before` and `after` of a change: as what its record waits in quarantine, null for not."""
PINNED = "@pinned"
"""In `before` and `after` of a change: whether its record's link is pinned."""
SPECIAL = frozenset(
    {
        *("client", "site", "role", "identities", "retired", LICENSES),
        *(OWNERS, OVERRIDES, DECISION, ASIDE, PINNED, MERGED),
    }
)
"""Names in a change that are not fields of the entity."""
RIVALS = "@rivals"
"""In `before` of a creation: ids of those that it may be the same as."""
NOBODY = UUID(int=0)
"""The entity of a change that is about a record and concerns none."""
PERSON = "a person"
"""The rule by which a person's word ties a record to its entity."""


OUT_OF_SCOPE = "out_of_scope"
"""The note of a link whose record is there, and the mapping's scope does not include it."""
LEFT_BEHIND = "left_behind"
"""The note of a link whose record does not say any more what it gave to its entity."""
NOTES = {
    OUT_OF_SCOPE: "out of the mapping's scope",
    LEFT_BEHIND: "it gave a value here that it does not say any more",
}
"""Notes of links in words, where they are not words already."""
LEFT_SCOPE = "out of scope: "
"""Begins the name of the count of users who left the scope; the rest is what their rule does."""
JOINED_SCOPE = "into scope"
HEALED = "out of quarantine"
"""Names of counts of records."""


class Situation(StrEnum):
    """Where a record stands towards the entities that we keep."""

    LINKED = "linked"
    MATCHED = "matched"
    NEW = "new"
    AMBIGUOUS = "ambiguous"
    GONE = "gone"


class Action(StrEnum):
    """What one change does to its entity."""

    __hash__ = str.__hash__  # equal to its text, and fast

    CREATE = "create"
    UPDATE = "update"
    LINK = "link"  # only the tie is made or comes back; no field changes
    MISS = "miss"  # absent from a complete read; the clock of `gone` runs
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"
    MOVE = "move"  # to another client
    RETIRE = "retire"  # a creation undone: hidden, its keys released, its row kept
    UNLINK = "unlink"
    GONE = "gone"  # a link is gone and its rule keeps the entity as it is
    MERGE = "merge"  # it is another one: hidden like a retired one, and its records go there
    DECIDE = "decide"  # a person's word about a record; what comes of it are changes of their own


@unique
class Effect(IntFlag):
    """What else a change does that a guard counts. A stored number: bits never change meaning."""

    NONE = 0
    SITE_MOVE = 1
    KEY_CHANGE = 2
    REVIVES = 4  # a retired entity comes back
    RECREATED = 8  # a new entity for a record whose key another, gone record had
    DECIDED = 16  # a person said so, whoever else has its keys
    LICENSE_RELEASE = 32  # a user leaves, and their licenses are free for others
    LICENSE_LOSS = 64  # the source says that a user has licenses no more


class Verdict(StrEnum):
    """What a person said once and for all about a record."""

    LINK = "link"
    CREATE = "create"
    IGNORE = "ignore"


class LinkState(StrEnum):
    """Whether a tie to a record is alive. Only `alive` and `skipped` links can be settled."""

    __hash__ = str.__hash__  # equal to its text, and fast

    ALIVE = "alive"
    SKIPPED = "skipped"  # out of scope: the item is kept, no entity is tied
    MISSED = "missed"  # absent or deleted; the clock of its rule runs
    LEAVING = "leaving"  # there, and disabled or out of scope; the clock of its rule runs
    GONE = "gone"
    UNDONE = "undone"
    UNLINKED = "unlinked"  # by a person; it waits for their word


class Word(NamedTuple):
    """A person's standing word about one record; `entity` is whom to link."""

    verdict: Verdict
    entity: UUID | None
    actor: str
    reason: str | None = None


class Former(NamedTuple):
    """Who was merged: the entity that it was, and whom it is now."""

    entity: UUID
    into: UUID


@dataclass(slots=True)
class Change:
    """One decided action on one entity, with the values before and after, and why.

    `before` and `after` hold the changed fields only; for a creation `after` holds every value.
    `seq` orders the changes of one step; `reason` is a sentence, `rule` what matched or removed.
    """

    kind: Kind
    action: Action
    entity: UUID
    client: UUID | None
    stream: str
    key: str
    reason: str
    after: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)
    rule: str = ""
    effects: int = 0
    seq: int = -1
    keys: dict[str, str] | None = None
    """The match keys of a creation, so that nobody need fold its values again, and of a user who
    goes to another client and takes all of them along; not stored.
    """
    base: Entity | None = None
    """The entity as it was decided on, the plan's own changes before this one included; not stored.
    """


_REVIVES = int(Effect.REVIVES)  # flags are slow to combine


def creates(change: Change) -> bool:
    """Whether the change inserts a new entity."""
    return change.action is Action.CREATE and not change.effects & _REVIVES


def in_force(entity: Entity, after: Mapping[str, Any], writer: str) -> Entity:
    """The entity once a change with this `after` is applied; `writer` owns what names no owner."""
    set_here = {name: value for name, value in after.items() if name not in SPECIAL}
    if "role" in after:
        set_here["role"] = after["role"]
    values = _overlaid(entity.values, set_here)
    return Entity(
        entity.id,
        entity.kind,
        UUID(hex=after["client"]) if after.get("client") else entity.client,
        UUID(hex=after["site"]) if after.get("site") else entity.site,
        values,
        _overlaid(entity.overrides, after.get(OVERRIDES, {})),
        _briefly(_owners(entity, after, writer), values, writer),
        bool(after.get("retired", entity.retired)),
    )


def _overlaid(values: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the new ones; None takes one away."""
    merged = {**values, **news}
    for name, value in news.items():
        if value is None:
            del merged[name]
    return merged


def _owners(entity: Entity, after: Mapping[str, Any], writer: str) -> dict[str, str]:
    """Who owns each value from now on: the writer, or whom the change names."""
    owners = dict(entity.provenance) or {"*": writer}
    default = owners.get("*")
    new = {name: writer for name in after if name not in SPECIAL}
    for name, owner in (new | (after.get(OWNERS) or {})).items():
        if owner == default or after.get(name, owner) is None:  # what is blank is nobody's
            owners.pop(name, None)
        else:
            owners[name] = owner
    return owners


def _briefly(owners: dict[str, str], values: Mapping[str, Any], writer: str) -> dict[str, str]:
    """The same owners of these values: a connection that owns most of them is said once, as `*`.
    Else a source that takes a whole directory over would double the size of its rows.
    """
    default = owners.get("*")
    if writer in (default, LOCAL) or default is None or 2 * len(owners) <= len(values):
        return owners
    others = {name: owner for name in values if (owner := owners.get(name, default)) != writer}
    return {"*": writer, **others} if len(others) < len(owners) - 1 else owners


def effects_of(action: str, after: Mapping[str, Any]) -> set[str]:
    """What an undo of a change takes back: the fields it set, be it their value or a person's word;
    of an entity that it created or revived, all at once: `retired`.
    """
    if action == Action.CREATE:
        return {"retired"}
    named = {*after, *after.get(OVERRIDES, ()), *after.get(OWNERS, ())}
    return named - {OWNERS, OVERRIDES}


def gained_identities(change: Change) -> list[list[str]]:
    """(issuer, subject) of each identity that a change gives to its user."""
    return change.after.get("identities") or []


def lost_identities(change: Change) -> list[list[str]]:
    """(issuer, subject) of each identity that a change takes from its user."""
    return change.before.get("identities") or []


def released_licenses(change: Change) -> list[list[Any]]:
    """[pool, count] of the licenses that a change takes from its user."""
    return change.after.get(LICENSES) or []


def given_licenses(change: Change) -> list[list[Any]]:
    """[pool, count] of the licenses that a change gives to its user, be it back; and SKU and
    provider, where the pool is to be made.
    """
    return change.before.get(LICENSES) or []


class LinkFact(NamedTuple):
    """A stored link as planning needs it."""

    key: str
    state: LinkState
    kind: Kind
    entity: UUID | None
    misses: int
    missed_at: float | None  # seconds since the epoch, on the database's clock
    matched_by: str = ""
    counted_at: float | None = None
    note: str = ""
    digest: bytes | None = None

    @property
    def is_free(self) -> bool:
        """Whether the record is tied to nobody, so that a person's word about it counts."""
        return self.entity is None or self.state is LinkState.UNDONE


class Tie(NamedTuple):
    """A link of one connection and stream to an entity, under another key."""

    key: str
    alive: bool


Place = tuple[int, str, str]
"""Partition, stream and key."""


class Tied(NamedTuple):
    """A link of any connection to an entity. `digest`: as it was settled, None for not. `holder`:
    stream and key of the item that the record is in.
    """

    entity: UUID
    connection: str
    partition: int
    stream: str
    key: str
    state: LinkState
    note: str
    holder: tuple[str, str]
    digest: bytes | None
    silent: frozenset[str] = frozenset()
    """Fields that an undo took back since the item came: what it says of them does not count."""


class LinkWrite(NamedTuple):
    """What becomes of one link when its item's decision is applied.

    `digest` None leaves the item unsettled. `change` is the place, in its page, of the change that
    it belongs to, -1 for none. `raw` None leaves the stored item as it is. Stored by position: add
    fields at the end only.
    """

    stream: str
    key: str
    state: str
    kind: str
    entity: UUID | None
    matched_by: str
    digest: bytes | None
    raw: bytes | None
    change: int
    is_new: bool
    misses: int = 0
    missed_at: float | None = None
    note: str = ""
    """Why an item is skipped, or why its record is going or gone: absent, deleted, disabled, …."""
    owner: str = ""
    """`stream/key` of the item that held this record, where it is not the record's own."""
    counted_at: float | None = None
    ignore: bool = False
    """Whether a person wants the record to be ignored from now on."""
    pinned: bool | None = None
    """Whether nobody but a person may change it from now on; None leaves that as it is."""


Aside = tuple[str, str, "bytes | None"]
"""Of an item in quarantine: reason code, message, and its bytes where they are known."""


class Quarantined(NamedTuple):
    """An item set aside with a reason code, waiting for a person or a later run."""

    stream: str
    key: str
    code: str
    message: str
    fields: tuple[str, ...]
    raw: bytes | None
    suggestion: str = ""

    @property
    def said(self) -> Aside:
        """What is compared with the quarantine, to tell whether this is news."""
        return self.code, self.message, self.raw


class Notice(NamedTuple):
    """Something a person should know about a record that was kept all the same."""

    stream: str
    key: str
    code: str
    field: str
    message: str


@dataclass(slots=True)
class Decisions:
    """What planning made of one page: changes, link writes, and what was set aside."""

    changes: list[Change] = field(default_factory=list)
    links: list[LinkWrite] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    healed: list[tuple[str, str]] = field(default_factory=list)
    """(stream, key) of items that were in quarantine and are not any more."""
    notices: list[Notice] = field(default_factory=list)
    claims: list[tuple[int, int]] = field(default_factory=list)
    """(hash of a claimed user or unique key, index of the claiming link in `links`); ~index where
    the record is linked already and so loses what it claims, not its place.
    """
    left_scope: int = 0
    """Records of users that the mapping's scope included so far, and does not any more."""
    joined_scope: int = 0
    """Records that it did not include so far."""


@dataclass(frozen=True, slots=True)
class Overrun:
    """One limit that a plan exceeds: which, where, how many, and how many are allowed."""

    guard: str
    scope: str
    count: int
    limit: int
    sentence: str
