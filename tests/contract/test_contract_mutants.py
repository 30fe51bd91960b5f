"""The contract is itself tested: a correct connector keeps it, and each broken one fails it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import pytest
from pydantic import ValidationError

from syncd.connectors import base
from syncd.connectors.base import Connector, Context, Deletes, Page, Partition, RawItem, Repeats
from syncd.connectors.testkit import ConnectorContract, World
from syncd.errors import BadResponse, CursorExpired
from syncd.records import Person, Record, Reject, Tombstone


@dataclass(frozen=True)
class Entry:
    """A person as the provider in memory keeps them; `name` is None once they are deleted."""

    name: str | None
    version: int
    password: str = "none"
    at: int = 0
    """When it was changed, by a clock that can stand still."""


def parse_entry(raw: bytes) -> Sequence[Person | Reject]:
    try:
        members = json.loads(raw)
        return [Person(key=members["id"], display_name=members["name"])]
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
        return [Reject(None, "unreadable_item", "not a person of the memory provider")]


class Memory(Connector[base.Config]):
    """A correct incremental connector in few lines; the mutants below break one promise each."""

    name: ClassVar[str] = "memory"
    world: MemoryWorld
    page_size: int

    @base.stream(Person, parse=parse_entry, deletes=Deletes.TOMBSTONE, incremental=True)
    def people(
        self, partition: Partition, cursor: str | None, resume: str | None = None
    ) -> Iterator[Page]:
        for at, page in enumerate(self.pages(cursor)):
            if at >= self.start(resume):
                yield replace(page, resume=str(at + 1))

    def start(self, resume: str | None) -> int:
        return int(resume or 0)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        since = self.since(cursor)
        changed = [(key, it) for key, it in self.world.entries.items() if self.is_new(it, since)]
        alive = [self.item(key, it) for key, it in changed if it.name]
        for chunk in self.chunks(alive):
            yield Page(chunk)
        self.end_of_read()
        gone = [Tombstone(key) for key, it in changed if not it.name] if cursor else []
        yield Page((), tombstones=gone, cursor=f"{self.world.epoch}:{self.world.version}")

    def is_new(self, entry: Entry, since: int) -> bool:
        return entry.version > since

    def since(self, cursor: str | None) -> int:
        epoch, _, version = (cursor or f"{self.world.epoch}:0").partition(":")
        if int(epoch) != self.world.epoch:
            raise CursorExpired("the provider forgot this cursor")
        return int(version)

    def item(self, key: str, entry: Entry) -> RawItem:
        return RawItem(key, json.dumps({"id": key, "name": entry.name}).encode())

    def chunks(self, items: list[RawItem]) -> Iterator[list[RawItem]]:
        for start in range(0, len(items), self.page_size):
            yield items[start : start + self.page_size]

    def end_of_read(self) -> None:
        if self.world.truncated:
            raise BadResponse("the answer ended too early")


class MemoryWorld(World):
    """A provider in memory, read by the connector class under test."""

    def __init__(self, connector: type[Memory]) -> None:
        self.connector = connector
        self.entries: dict[str, Entry] = {}
        self.version, self.epoch, self.truncated = 0, 1, False
        self.stands, self.clock = False, 0
        for name in ("Ada", "Bob", "Cleo"):
            self.add_person(name)

    def connect(self, page_size: int = 100) -> Memory:
        connector = self.connector(base.Config(), Context("memory", Path()))
        connector.world, connector.page_size = self, page_size
        return connector

    def put(self, key: str, name: str | None) -> None:
        self.version += 1
        self.clock += not self.stands
        self.entries[key] = Entry(name, self.version, at=self.clock)

    def stop_clock(self) -> None:
        self.stands = True

    def add_person(self, name: str) -> str:
        key = f"p{len(self.entries)}"
        self.put(key, name)
        return key

    def rename_person(self, key: str, name: str) -> None:
        self.put(key, name)

    def remove_person(self, key: str) -> None:
        self.put(key, None)

    def truncate(self) -> None:
        self.truncated = True

    def plant_secret(self, secret: str) -> None:
        self.entries = {key: replace(it, password=secret) for key, it in self.entries.items()}

    def expire_cursors(self) -> None:
        self.epoch += 1


class TestMemory(ConnectorContract):
    def world(self, tmp_path: Path) -> World:
        return MemoryWorld(Memory)


# -- mutants ---------------------------------------------------------------------------------------


class EndsNormallyWhenTruncated(Memory):
    def end_of_read(self) -> None:
        """Does not look."""


class PutsTheTimeIntoItems(Memory):
    def item(self, key: str, entry: Entry) -> RawItem:
        members = {"id": key, "name": entry.name, "read_at": time.time_ns()}
        return RawItem(key, json.dumps(members).encode())


class PutsThePositionIntoItems(Memory):
    def pages(self, cursor: str | None) -> Iterator[Page]:
        for page in super().pages(cursor):
            items = [RawItem(it.key, it.raw[:-1] + b', "of": %d}' % self.world.version)
                     for it in page.items]  # fmt: skip
            yield replace(page, items=items)


class LeaksPasswords(Memory):
    def item(self, key: str, entry: Entry) -> RawItem:
        members = {"id": key, "name": entry.name, "password": entry.password}
        return RawItem(key, json.dumps(members).encode())


class DropsTheLastShortPage(Memory):
    def chunks(self, items: list[RawItem]) -> Iterator[list[RawItem]]:
        whole = len(items) - len(items) % self.page_size if self.page_size < 10 else len(items)
        return super().chunks(items[:whole])


class HasNumbersForKeys(Memory):
    def item(self, key: str, entry: Entry) -> RawItem:
        return RawItem(int(key[1:]), super().item(key, entry).raw)  # type: ignore[arg-type]


class HasTextForBytes(Memory):
    def item(self, key: str, entry: Entry) -> RawItem:
        return RawItem(key, super().item(key, entry).raw.decode())  # type: ignore[arg-type]


class NamesNoTombstones(Memory):
    def pages(self, cursor: str | None) -> Iterator[Page]:
        for page in super().pages(cursor):
            yield replace(page, tombstones=())


class KeepsTheDeleted(Memory):
    def pages(self, cursor: str | None) -> Iterator[Page]:
        gone = [self.item(key, replace(it, name="?")) for key, it in self.world.entries.items()
                if not it.name]  # fmt: skip
        yield Page(gone)
        yield from super().pages(cursor)


class IgnoresTheCursor(Memory):
    def since(self, cursor: str | None) -> int:
        super().since(cursor)
        return 0


class RestartsQuietly(Memory):
    def since(self, cursor: str | None) -> int:
        try:
            return super().since(cursor)
        except CursorExpired:
            return 0


class GoesByTheClock(Memory):
    def is_new(self, entry: Entry, since: int) -> bool:
        last = [it.at for it in self.world.entries.values() if it.version <= since]
        return entry.at > max(last, default=0)


class GoesOnOnePageTooLate(Memory):
    def start(self, resume: str | None) -> int:
        return int(resume) + 1 if resume else 0


class GivesNoCursor(Memory):
    def pages(self, cursor: str | None) -> Iterator[Page]:
        for page in super().pages(cursor):
            yield replace(page, cursor=None)


class RepeatsPartitions(Memory):
    def partitions(self) -> Iterator[Partition]:
        yield from [Partition("one", "one"), Partition("one", "another")]


class ChangesItsNeighbours(Memory):
    def item(self, key: str, entry: Entry) -> RawItem:
        names = sorted(it.name or "" for it in self.world.entries.values())
        members = {"id": key, "name": entry.name, "colleagues": names}
        return RawItem(key, json.dumps(members).encode())


_calls = itertools.count()


def parse_impurely(raw: bytes) -> Sequence[Person | Reject]:
    return [
        it.model_copy(update={"notes": str(next(_calls))}) if isinstance(it, Person) else it
        for it in parse_entry(raw)
    ]


def parse_or_raise(raw: bytes) -> Sequence[Person | Reject]:
    members = json.loads(raw)
    return [Person(key=members["id"], display_name=members["name"])]


def parse_into_other_keys(raw: bytes) -> Sequence[Person | Reject]:
    return [
        it.model_copy(update={"key": "x" + it.key}) if isinstance(it, Person) else it
        for it in parse_entry(raw)
    ]


def parse_telling_values(raw: bytes) -> Sequence[Person | Reject]:
    found = parse_entry(raw)
    told = raw.decode(errors="replace")
    return [it if isinstance(it, Record) else it._replace(message=told) for it in found]


def parse_into_tuples(raw: bytes) -> Sequence[Any]:
    found = parse_entry(raw)
    return found if isinstance(found[0], Record) else [("bad", raw)]


def parsed_by(parse: Callable[[bytes], Sequence[Any]]) -> type[Memory]:
    """The correct connector with another parse function."""

    class Mutant(Memory):
        @base.stream(Person, parse=parse, deletes=Deletes.TOMBSTONE, incremental=True)
        def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
            return self.pages(cursor)

    return Mutant


class ContradictsItself(Memory):
    @base.stream(Person, parse=parse_entry, repeats=Repeats.CONFLICT, deletes=Deletes.TOMBSTONE)
    def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        yield from self.pages(cursor)
        yield Page([self.item("p0", Entry("Somebody else", 1))])


MUTANTS: list[tuple[type[Memory], str]] = [
    (EndsNormallyWhenTruncated, "a_truncated_source_raises_instead_of_ending_normally"),
    (PutsTheTimeIntoItems, "an_unchanged_world_gives_identical_bytes"),
    (PutsThePositionIntoItems, "a_changed_record_changes_its_own_item_and_no_other"),
    (ChangesItsNeighbours, "a_changed_record_changes_its_own_item_and_no_other"),
    (LeaksPasswords, "secrets_of_the_source_are_never_read"),
    (DropsTheLastShortPage, "page_size_does_not_change_what_is_read"),
    (HasNumbersForKeys, "reading_gives_string_keys_and_bytes"),
    (HasTextForBytes, "reading_gives_string_keys_and_bytes"),
    (NamesNoTombstones, "a_removed_record_goes_as_the_stream_declares"),
    (KeepsTheDeleted, "a_removed_record_goes_as_the_stream_declares"),
    (IgnoresTheCursor, "a_cursor_gives_later_changes_and_only_those"),
    (GivesNoCursor, "a_cursor_gives_later_changes_and_only_those"),
    (GoesByTheClock, "changes_of_one_moment_are_all_seen"),
    (GoesOnOnePageTooLate, "a_read_goes_on_from_any_page"),
    (RestartsQuietly, "an_expired_cursor_says_so"),
    (RepeatsPartitions, "a_healthy_source_passes_the_check_and_has_distinct_partitions"),
    (ContradictsItself, "a_key_is_repeated_only_as_its_stream_declares"),
    (parsed_by(parse_impurely), "parse_gives_equal_records_for_equal_bytes"),
    (parsed_by(parse_or_raise), "parse_never_raises_whatever_the_bytes"),
    (parsed_by(parse_into_tuples), "parse_never_raises_whatever_the_bytes"),
    (parsed_by(parse_telling_values), "a_reject_carries_no_values"),
    (
        parsed_by(parse_into_other_keys),
        "an_item_is_parsed_without_its_connector_into_the_records_of_its_stream",
    ),
]


@pytest.mark.parametrize(("mutant", "promise"), MUTANTS)
def test_a_broken_connector_fails_the_promise_it_breaks(
    mutant: type[Memory], promise: str, tmp_path: Path
) -> None:
    contract = ConnectorContract()
    contract.world = lambda tmp_path: MemoryWorld(mutant)  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        getattr(contract, f"test_{promise}")(tmp_path)


def test_every_promise_of_the_contract_is_broken_by_some_mutant() -> None:
    promises = {name for name in dir(ConnectorContract) if name.startswith("test_")}
    assert promises == {f"test_{promise}" for _, promise in MUTANTS}


class OnlyTheNecessary(World):
    """A world that implements nothing optional."""

    def __init__(self) -> None:
        self.inner = MemoryWorld(Memory)

    def connect(self, page_size: int = 100) -> Memory:
        return self.inner.connect(page_size)

    def add_person(self, name: str) -> str:
        return self.inner.add_person(name)

    def rename_person(self, key: str, name: str) -> None:
        self.inner.rename_person(key, name)


def test_what_a_world_cannot_do_is_skipped_with_a_reason(tmp_path: Path) -> None:
    contract = ConnectorContract()
    contract.world = lambda tmp_path: OnlyTheNecessary()  # type: ignore[method-assign]
    with pytest.raises(SkipTest, match="cannot be truncated"):
        contract.test_a_truncated_source_raises_instead_of_ending_normally(tmp_path)
    with pytest.raises(SkipTest, match="cannot remove"):
        contract.test_a_removed_record_goes_as_the_stream_declares(tmp_path)
