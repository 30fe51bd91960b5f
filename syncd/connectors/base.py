"""The interface of a connector: pages talk to the provider and parse nothing; parse is pure.

A connector is a class with a name, a Config and at least one method marked with `@stream`. What it
can do is declared where it is implemented. See the README for the smallest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from importlib import metadata
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from syncd.changes import Overrun
from syncd.connectors.asking import Asking
from syncd.connectors.grants import Vault
from syncd.errors import (
    AccessLost,
    ConfigError,
    PermissionDenied,
    ProviderError,
    UsageError,
)
from syncd.health import Trouble
from syncd.records import (
    License,
    Location,
    Membership,
    Organization,
    Person,
    Record,
    Reject,
    Rekeying,
    Subscription,
    Tombstone,
)
from syncd.settings import Network

ENTRY_POINTS = "syncd.connectors"


class Deletes(StrEnum):
    """How a stream lets us know that something went away."""

    TOMBSTONE = auto()  # the provider names what went away
    ABSENCE = auto()  # missing from a full read that ended normally
    UNKNOWN = auto()  # we cannot tell, so we never guess


class Repeats(StrEnum):
    """What it means when one read holds a key twice with different content."""

    LAST = auto()  # the provider replays: the last item wins
    CONFLICT = auto()  # two records claim one key: none of them is believed


class RawItem(NamedTuple):
    """One item as the provider sent it: its key ("" where it has none) and its bytes."""

    key: str
    raw: bytes


class Partition(NamedTuple):
    """An independent slice of a connection (a tenant, a company, a folder)."""

    key: str
    name: str


DEFAULT_PARTITION = Partition("", "all")


class LeftOut(NamedTuple):
    """A part of a stream that may not be read, and why: items whose keys begin so."""

    keys: str
    why: PermissionDenied | AccessLost


@dataclass(frozen=True, slots=True)
class Page:
    """Items as the provider sent them, tombstones, and what could not even be cut into items."""

    items: Sequence[RawItem]
    tombstones: Sequence[Tombstone] = ()
    rejects: Sequence[Reject] = ()
    notices: Sequence[
        str
    ] = ()  # what a person should know (an unknown heading); no values of people
    repaired: Sequence[str] = ()  # under what items waited that were illegible, and come again
    resume: str | None = None  # position inside this read; dies with the run
    cursor: str | None = None  # valid after this page; outlives the run
    total: int | None = (
        None  # items in the whole read, where the provider says so: for progress only
    )
    left_out: LeftOut | None = None
    """A part of the stream that this read may not see: nothing of it is absent."""


Parse = Callable[[bytes], "Sequence[Record | Reject]"]
Merge = Callable[[bytes, bytes], bytes]
Covers = Callable[[str, "bytes | None"], bool]
"""Whether a read would have shown a record, by its key and stored item (None: it was illegible)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What one `@stream` method reads and how its items are to be understood."""

    name: str
    record: type[Record]
    method: str
    parse: Parse
    deletes: Deletes
    incremental: bool
    merge: Merge | None
    repeats: Repeats
    resumable: bool = False
    """Whether a read that broke off can go on from the last page's `resume`."""


STREAM_ORDER: tuple[type[Record], ...] = (
    Organization,
    Location,
    License,
    Subscription,
    Membership,
    Person,
)
"""Pools of licenses, and groups, before the people who are in them."""
MEMBERSHIPS = "memberships"
STREAM_NAMES: dict[type[Record], str] = {
    Organization: "organizations",
    Location: "locations",
    License: "licenses",
    Subscription: "subscriptions",
    Membership: MEMBERSHIPS,
    Person: "people",
}

C = TypeVar("C", bound="Config")
F = TypeVar("F", bound=Callable[..., Iterator[Page]])


def stream(
    record: type[Record],
    *,
    parse: Parse,
    deletes: Deletes = Deletes.UNKNOWN,
    incremental: bool = False,
    merge: Merge | None = None,
    repeats: Repeats = Repeats.LAST,
) -> Callable[[F], F]:
    """Mark a method `(self, partition, cursor) -> Iterator[Page]` as the reader of one stream. One
    that takes `resume` as well goes on from there, the page after the one that held it.

    parse: pure; bytes of one item to its records and rejects; raises nothing for bad input.
    merge: for providers that send only what changed: (stored, sent) to the whole item. A stream
    that is not incremental sends only that always, else a full read brings whole items.
    """

    def mark(method: F) -> F:
        name = STREAM_NAMES[record]
        resumable = "resume" in signature(method).parameters
        declared = Stream(
            name, record, method.__name__, parse, deletes, incremental, merge, repeats, resumable
        )
        method.__dict__["declared_stream"] = declared
        return method

    return mark


class Config(BaseModel):
    """Base of a connector's settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a connector runs: the connection's name, the folder of relative paths, how providers
    are reached, where what authorizes the connection is kept (None: nowhere), and the groups whose
    members the mapping asks for.
    """

    connection: str
    folder: Path
    network: Network = field(default_factory=Network)
    vault: Vault | None = None
    groups: tuple[str, ...] = ()


class Connector(Generic[C]):
    """Base of all connectors. One required method (a stream) and good defaults."""

    name: ClassVar[str]
    serves_all: ClassVar[bool] = False
    """Whether one instance reads all partitions of a run, in several threads at once."""
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: C, context: Context) -> None:
        self.config = config
        self.context = context

    def check(self) -> None:
        """Return when the source can be read, else raise the ProviderError that says why not."""

    def partitions(self) -> Iterator[Partition]:
        """The independent slices of this connection; one by default."""
        yield DEFAULT_PARTITION

    def deletes(self, stream: Stream) -> Deletes:
        """What the stream's absences mean with these settings; by default as declared."""
        return stream.deletes

    def holds(self, _stream: Stream) -> bool:
        """Whether this read is about the stream at all; of others only what waits is looked at."""
        return True

    def coverage(self, _stream: Stream) -> Covers | None:
        """What a full read would have shown; None: all there is. What it would not have shown is
        not absent.
        """
        return None

    def doubts(self) -> Sequence[Overrun]:
        """What speaks against applying what was read without a word; known once it was checked."""
        return ()

    def health(self, _partition: Partition) -> Sequence[Trouble]:
        """What else is wrong, or will be, with a partition, besides what a read runs into."""
        return ()

    def diagnose(self) -> Iterator[tuple[Partition, ProviderError | None]]:
        """Each partition, with why it cannot be read if it cannot, for who wants to know before a
        sync; nothing where what `check` does is all that can be known. `check` has returned.
        """
        yield from ()

    def connect(self, _asking: Asking) -> dict[str, str]:
        """What to keep, sealed, to be authorized from now on, once a person has signed in.
        UsageError where nothing of the kind is needed.
        """
        raise UsageError(f"the connector {self.name} is not signed in to: there is nothing to do")

    def rekeying(self, _key: Sequence[str]) -> Rekeying:
        """How people are known by another key from now on, where a setting says what identifies
        them: `_key` names what is to; nothing: as it is configured. UsageError where that is not
        for us to choose, or cannot be.
        """
        raise UsageError(
            f"what a record is known by is not for the connector {self.name} to choose"
        )

    def streams(self) -> list[Stream]:
        """The declared streams, organizations before locations before people."""
        found = [
            method.declared_stream
            for name in dir(type(self))
            if hasattr(method := getattr(type(self), name), "declared_stream")
        ]
        return sorted(found, key=lambda declared: STREAM_ORDER.index(declared.record))

    def read(
        self,
        stream: Stream,
        partition: Partition,
        cursor: str | None,
        resume: str | None = None,
    ) -> Iterator[Page]:
        """The pages of one stream, from its beginning or after the page that held `resume`. Ending
        normally promises that the read was complete.
        """
        more = {"resume": resume} if stream.resumable else {}
        pages: Iterator[Page] = getattr(self, stream.method)(partition, cursor, **more)
        return pages


def find(name: str) -> type[Connector[Any]]:
    """The connector class registered under `name` in the entry-point group `syncd.connectors`."""
    entries = metadata.entry_points(group=ENTRY_POINTS)
    if name in entries.names:
        loaded: type[Connector[Any]] = entries[name].load()
        return loaded
    known = ", ".join(sorted(entries.names)) or "none"
    raise ConfigError(f'there is no connector "{name}"; installed connectors: {known}')


def installed() -> list[str]:
    """Names of all installed connectors."""
    return sorted(metadata.entry_points(group=ENTRY_POINTS).names)
