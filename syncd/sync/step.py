"""One step at work: everything that its phases share."""

from __future__ import annotations

import math
import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from syncd.changes import (
    JOINED_SCOPE,
    LEFT_SCOPE,
    Decisions,
    Effect,
    Overrun,
    Quarantined,
)
from syncd.connectors.base import Covers, Deletes, Page, Partition, Stream
from syncd.errors import Cancelled, Interrupted, ProviderError
from syncd.health import Trouble
from syncd.mapping.items import Item, digests
from syncd.mapping.page import Context
from syncd.mapping.planner import Planner
from syncd.store.counts import RECREATED
from syncd.store.database import Database, Transaction
from syncd.store.draft import Draft
from syncd.store.facts import StoreFacts
from syncd.store.leases import Lease
from syncd.store.runs import Runs

if TYPE_CHECKING:
    from syncd.sync.reading import Reading

PAGE_OF_NEWCOMERS = -1
PAGE_OF_SETTLING = -2
PAGE_OF_CHANGES = -3
"""Source pages of decisions that no single read page led to."""


MOST_NOTICES = 200
_RECREATED = int(Effect.RECREATED)


class Progress(NamedTuple):
    """Where a step is. `total` is None while nobody knows."""

    phase: str
    stream: str
    done: int
    total: int | None


Report = Callable[[Progress], None]


class Reader(Protocol):
    """What a step reads: a connector, or what stands in for one."""

    @property
    def serves_all(self) -> bool: ...

    def check(self) -> None: ...

    def streams(self) -> list[Stream]: ...

    def holds(self, stream: Stream, /) -> bool: ...

    def coverage(self, stream: Stream, /) -> Covers | None: ...

    def doubts(self) -> Sequence[Overrun]: ...

    def health(self, partition: Partition, /) -> Sequence[Trouble] | None: ...

    def deletes(self, stream: Stream, /) -> Deletes: ...

    def read(
        self, stream: Stream, partition: Partition, cursor: str | None, resume: str | None = None, /
    ) -> Iterator[Page]: ...


@dataclass(slots=True)
class StreamRead:
    """What the read of one stream has shown so far, for when it has ended."""

    reconsidered: bool = False
    """Some newcomer has a link already, to no entity: it was out of scope."""
    repeating: bool = False
    """Some key stands there more than once."""
    living: int | None = None
    """How many living links there are, where somebody counted them."""
    living_seen: int = 0
    """How many of the items on all pages have a living link."""
    vanished: int = 0
    """How many of them this read is the first not to mention."""
    conflicted: set[str] = field(default_factory=set)
    """Keys that one page held twice with different content."""
    refused: array[int] = field(default_factory=lambda: array("q"))
    """Where a key may not repeat: hashes of keys that came without any item."""
    ticked: set[str] = field(default_factory=set)
    """Keys of leavers that this read said something of: their clocks were looked at."""
    left_out: tuple[str, ...] = ()
    """What the keys begin with of items that may not be read."""
    misfits: array[int] = field(default_factory=lambda: array("q"))
    """Flat: page, hash of key and of bytes of linked items that could not be planned. Without them
    two items of one key, of which one is set aside and one settled, look equal.
    """


@dataclass(slots=True)
class Step:
    """A claimed step: its phases read the connector, plan by `planner` and write to `draft`."""

    id: int
    run: int
    connection: str
    database: Database
    runs: Runs
    connector: Reader
    partition: Partition
    lease: Lease
    draft: Draft
    facts: StoreFacts
    context: Context
    planner: Planner
    batch: int
    """How many records are planned together, and so kept in memory."""
    digest_key: bytes
    """Of the mapping and all else that decides what an item means: part of every item's digest."""
    cursors: dict[str, str]
    report: Report
    stop: threading.Event
    full: bool = False
    proves: bool = True
    """Whether the read says anything about who is absent, and how long records have been leaving.
    """
    aged: frozenset[str] = frozenset()
    """Streams whose cursor is to be replaced even if nothing comes."""
    written: float = -math.inf
    """When the lease was last renewed with a write, on this process's clock."""
    counts: Counter[str] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)
    next_cursors: dict[str, str] = field(default_factory=dict)
    ended: list[Stream] = field(default_factory=list)
    """Streams that were read to their end."""
    denied: list[ProviderError] = field(default_factory=list)
    """Why streams were left out that may not be read."""
    keyless: bool = False
    """Some item had no key: nothing can be said about what is absent."""
    reads: dict[str, StreamRead] = field(default_factory=lambda: defaultdict(StreamRead))
    """What the read of each stream has shown so far."""
    broken_off: Reading | None = None
    """What is being read, wherever that can break off and go on."""
    doubts: list[Overrun] = field(default_factory=list)
    """What speaks against applying the plan without a word, besides its counts."""

    def write(self, work: Callable[[Transaction], None]) -> None:
        """One transaction of this step; refused if the lease is lost. A plan that gets lost is made
        again, and one that is applied or reported cannot get lost: what follows it is durable.
        """

        def guarded(conn: Transaction) -> None:
            self.lease.hold(self.database, conn)
            work(conn)

        began = time.monotonic()
        self.database.transact(guarded, durable=False)
        self.written = began

    @property
    def is_fresh(self) -> bool:
        """Whether the lease was renewed just now, with nine tenths of it left at least."""
        return time.monotonic() - self.written < self.lease.seconds / 10

    def store(self, stream: str, source_page: int, decisions: Decisions) -> None:
        """Add a page of decisions to the draft, in a transaction of its own."""
        self.write(lambda conn: self.draft.add(conn, stream, source_page, decisions))
        self.draft.advance(decisions)
        self.count(decisions)

    def cursor(self, stream: Stream) -> str | None:
        """From where the stream is read, unless it is read in full."""
        return None if self.full else self.cursors.get(stream.name)

    def items(self, raws: Sequence[tuple[str, bytes]]) -> list[Item]:
        """Keys and bytes as items, with their digests."""
        found = digests(self.digest_key, [raw for _, raw in raws])
        return [Item(key, raw, digest) for (key, raw), digest in zip(raws, found, strict=True)]

    def count(self, decisions: Decisions) -> None:
        """Remember what a stored page held, for the run's report."""
        self.counts["quarantined"] += len(decisions.quarantined)
        self.counts["notices"] += len(decisions.notices)
        if again := sum(1 for one in decisions.changes if one.effects & _RECREATED):
            self.counts[RECREATED] += again
        self.tell([f"{one.stream} {one.key}: {one.message}" for one in decisions.notices])
        if decisions.left_scope:
            rule = self.context.rules.mapping.gone.out_of_scope
            self.counts[f"{LEFT_SCOPE}{rule.action}"] += decisions.left_scope
        self.counts[JOINED_SCOPE] += decisions.joined_scope

    def not_yet_aside(self, stream: str, aside: list[Quarantined]) -> list[Quarantined]:
        """Those that are not in quarantine just so already, and that no person ignores. Ask while
        facts are open.
        """
        if not aside:
            return []
        keys = [one.key for one in aside]
        stored, ignored = self.facts.quarantined(stream, keys), self.facts.ignored(stream, keys)
        fresh = [one for one in aside if stored.get(one.key) != one.said]
        return [one for one in fresh if one.key not in ignored]

    def tell(self, notices: Sequence[str]) -> None:
        """Keep what a person should know; there is a limit to what a person can read."""
        self.notices += notices[: max(0, MOST_NOTICES - len(self.notices))]

    def stop_if_asked(self) -> None:
        """Raise Interrupted when someone asked this process to stop."""
        if self.stop.is_set():
            raise Interrupted("stopped on request; the next sync starts this read again")

    def stop_if_cancelled(self) -> None:
        """Raise Cancelled when someone asked the run, or Interrupted when someone asked this
        process, to stop. Ask while facts are open.
        """
        self.stop_if_asked()
        if self.runs.cancel_requested(self.facts.conn, self.run):
            raise Cancelled("cancelled on request; the cursor stays where it was")
