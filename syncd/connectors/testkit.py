"""The contract of a connector as a pytest class: subclass it, return a World, and run pytest.

    class TestAcme(ConnectorContract):
        def world(self, tmp_path: Path) -> World:
            return AcmeWorld(tmp_path)

A World is a provider in miniature that tests can change and break. What a world cannot do is
skipped, with the reason; what it can do must be right.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import SkipTest

from syncd.connectors.base import Connector, Deletes, Page, Partition, RawItem, Repeats, Stream
from syncd.errors import CursorExpired, ProviderError
from syncd.records import Person, Record, Reject

Place = tuple[str, str, str]
"""Where an item is found: stream, partition, key."""

_SECRET = "hunter2-Zq7-never-store"  # noqa: S105  a bait, not a password
_CANARY = "canary-51b7-value"
_GARBAGE = (
    b"",
    b" ",
    b"null",
    b"0",
    b'"text"',
    b"[]",
    b"{}",
    b"[[[[",
    b"\xff\xfe\x00",
    b'{"a":1}',
    b'{"":{}}',
    b"[" * 5_000,
    b'{"a":' * 5_000,
)


class World(ABC):
    """A source in miniature. It starts with at least three people, and no two of them alike."""

    @abstractmethod
    def connect(self, page_size: int = 100) -> Connector[Any]:
        """A fresh connector that reads this world as it is now, `page_size` items at a time."""

    @abstractmethod
    def add_person(self, name: str) -> str:
        """Add someone and return the key of their item in the stream of people."""

    @abstractmethod
    def rename_person(self, key: str, name: str) -> None:
        """Give someone another name."""

    def remove_person(self, key: str) -> None:  # noqa: ARG002  for those who override it
        """Remove someone."""
        raise SkipTest("this world cannot remove people")

    def truncate(self) -> None:
        """Break the source so that reading it ends too early."""
        raise SkipTest("this world cannot be truncated")

    def plant_secret(self, secret: str) -> None:  # noqa: ARG002  same
        """Put `secret` where this kind of source keeps passwords."""
        raise SkipTest("this kind of source keeps no secrets")

    def expire_cursors(self) -> None:
        """Make the provider forget every cursor it has given out."""
        raise SkipTest("this world cannot expire cursors")

    def stop_clock(self) -> None:  # noqa: B027  most sources tell no times
        """Have all that follows happen at one moment, by the clock of the source."""

    def tick(self) -> None:  # noqa: B027  most sources have nothing that changes without meaning
        """Let time pass, and change what changes without meaning (etags, sync times)."""


@dataclass
class Reading:
    """All that one read of every stream in every partition gave."""

    items: dict[Place, list[bytes]] = field(default_factory=dict)
    tombstones: set[Place] = field(default_factory=set)
    rejects: list[Reject] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    cursors: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, stream: Stream, partition: str, page: Page) -> None:
        """Note what one page holds."""
        for key, raw in page.items:
            self.items.setdefault((stream.name, partition, key), []).append(raw)
        self.tombstones |= {(stream.name, partition, stone.key) for stone in page.tombstones}
        self.rejects += page.rejects
        self.notices += page.notices
        if page.cursor is not None:
            self.cursors[stream.name, partition] = page.cursor

    def last(self) -> dict[Place, bytes]:
        """For each item, its last bytes."""
        return {place: raws[-1] for place, raws in self.items.items()}

    def has(self, stream: Stream, key: str) -> bool:
        """Whether the stream gave an item with this key, in any partition."""
        return any(place[0] == stream.name and place[2] == key for place in self.items)

    def buried(self, stream: Stream, key: str) -> bool:
        """Whether the stream gave a tombstone for this key, in any partition."""
        return any(place[0] == stream.name and place[2] == key for place in self.tombstones)


def read_all(connector: Connector[Any], since: Reading | None = None) -> Reading:
    """Read everything; incremental streams from the cursors of `since`, the others in full."""
    found = Reading()
    for partition in connector.partitions():
        for stream in connector.streams():
            cursor = since.cursors.get((stream.name, partition.key)) if since else None
            for page in connector.read(stream, partition, cursor if stream.incremental else None):
                found.add(stream, partition.key, page)
    return found


class ConnectorContract:
    """What every connector promises. Subclass it, implement `world`, and run pytest."""

    def world(self, tmp_path: Path) -> World:
        """A new world, with at least three people in it."""
        raise NotImplementedError("return the World of the connector under test")

    # -- what a read gives -----------------------------------------------------------------------

    def test_a_healthy_source_passes_the_check_and_has_distinct_partitions(
        self, tmp_path: Path
    ) -> None:
        connector = self.world(tmp_path).connect()
        connector.check()
        keys = [partition.key for partition in connector.partitions()]
        assert keys, "no partition in a healthy source"
        assert len(set(keys)) == len(keys), f"partition keys are not distinct: {keys}"

    def test_reading_gives_string_keys_and_bytes(self, tmp_path: Path) -> None:
        connector = self.world(tmp_path).connect()
        count = 0
        for stream, item in _items(connector):
            assert isinstance(item.key, str), f"{stream.name}: a key is not a string"
            assert item.key, f"{stream.name}: an item of a healthy source has no key"
            assert isinstance(item.raw, bytes), f"{stream.name}: raw is not bytes"
            count += stream.record is Person
        assert count >= 3, "a world starts with at least three people"

    def test_an_item_is_parsed_without_its_connector_into_the_records_of_its_stream(
        self, tmp_path: Path
    ) -> None:
        connector = self.world(tmp_path).connect()
        stored = list(_items(connector))
        del connector
        for stream, item in stored:
            parse = stream.parse
            assert not isinstance(getattr(parse, "__self__", None), Connector), (
                f"{stream.name}: parse is bound to a connector"
            )
            records = [found for found in parse(item.raw) if isinstance(found, Record)]
            keys = {record.key for record in records if isinstance(record, stream.record)}
            assert item.key in keys, (
                f"{stream.name}: no {stream.record.__name__} has the item's key"
            )

    def test_a_key_is_repeated_only_as_its_stream_declares(self, tmp_path: Path) -> None:
        connector = self.world(tmp_path).connect()
        strict = {it.name for it in connector.streams() if it.repeats is Repeats.CONFLICT}
        for (stream, _, key), raws in read_all(connector).items.items():
            if stream in strict:
                assert len(set(raws)) == 1, f"{stream}: {key} was read with different bytes"

    def test_page_size_does_not_change_what_is_read(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        for number in range(4):
            world.add_person(f"Page Filler {number}")
        whole = read_all(world.connect(page_size=1_000))
        for size in (1, 2, 3):
            small = read_all(world.connect(page_size=size))
            assert small.last() == whole.last(), f"pages of {size} give other items"
            assert small.tombstones == whole.tombstones, f"pages of {size} give other tombstones"
            assert len(small.rejects) == len(whole.rejects), f"pages of {size}: other rejects"

    # -- parse -----------------------------------------------------------------------------------

    def test_parse_gives_equal_records_for_equal_bytes(self, tmp_path: Path) -> None:
        for stream, item in _items(self.world(tmp_path).connect()):
            first, second = list(stream.parse(item.raw)), list(stream.parse(bytes(item.raw)))
            assert first == second, f"{stream.name}: parse is not pure"

    def test_parse_never_raises_whatever_the_bytes(self, tmp_path: Path) -> None:
        for stream, raws in _samples(self.world(tmp_path).connect()):
            for raw in [*_GARBAGE, *(bad for good in raws for bad in _damaged(good))]:
                try:
                    found: list[object] = list(stream.parse(raw))
                except Exception as error:
                    raise AssertionError(f"{stream.name}: parse raised {error!r}") from error
                strange = [it for it in found if not isinstance(it, Record | Reject)]
                assert not strange, f"{stream.name}: parse gave {strange[0]!r}"

    def test_a_reject_carries_no_values(self, tmp_path: Path) -> None:
        for stream, raws in _samples(self.world(tmp_path).connect()):
            for raw in (bad for good in raws for bad in _with_canaries(good)):
                rejects = [it for it in stream.parse(raw) if isinstance(it, Reject)]
                told = [f"{it.reason} {it.message} {it.fields} {it.where}" for it in rejects]
                assert not any(_CANARY in text for text in told), f"{stream.name}: {told}"

    # -- change ----------------------------------------------------------------------------------

    def test_an_unchanged_world_gives_identical_bytes(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        before = read_all(world.connect()).last()
        world.tick()
        after = read_all(world.connect()).last()
        assert set(after) == set(before), "other keys although nothing changed"
        changed = [place for place, raw in after.items() if before[place] != raw]
        assert not changed, f"bytes changed although nothing else did: {changed}"

    def test_a_changed_record_changes_its_own_item_and_no_other(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        key = world.add_person("Before The Wedding")
        before = read_all(world.connect()).last()
        world.rename_person(key, "After The Wedding")
        after = read_all(world.connect()).last()
        changed = {place for place in {*before, *after} if before.get(place) != after.get(place)}
        stream = _stream_of_people(world.connect())
        assert [(place[0], place[2]) for place in changed] == [(stream.name, key)], (
            f"expected only {key} of {stream.name} to change, but: {sorted(changed)}"
        )

    def test_a_removed_record_goes_as_the_stream_declares(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        key = world.add_person("Soon Gone")
        connector = world.connect()
        stream = _stream_of_people(connector)
        declared = connector.deletes(stream)
        if declared is Deletes.UNKNOWN:
            raise SkipTest("absence means nothing in this stream")
        before = read_all(connector)
        assert before.has(stream, key), "the added person was not read"
        world.remove_person(key)
        assert not read_all(world.connect()).has(stream, key), "a full read still holds the person"
        if declared is Deletes.TOMBSTONE:
            since = before if stream.incremental else None
            after = read_all(world.connect(), since)
            assert after.buried(stream, key), "no tombstone for the removed person"

    # -- harm ------------------------------------------------------------------------------------

    def test_a_truncated_source_raises_instead_of_ending_normally(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        world.truncate()
        try:
            read_all(world.connect())
        except ProviderError:
            return
        raise AssertionError("a truncated source was read to a normal end")

    def test_secrets_of_the_source_are_never_read(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        world.plant_secret(_SECRET)
        found = read_all(world.connect())
        secret = _SECRET.encode()
        leaks = [place for place, raws in found.items.items() if any(secret in it for it in raws)]
        assert not leaks, f"a secret is in the raw items {leaks}"
        assert _SECRET not in repr((found.rejects, found.notices, found.tombstones))

    # -- incremental streams -----------------------------------------------------------------------

    def test_a_cursor_gives_later_changes_and_only_those(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        stream = _incremental(world.connect())
        old = world.add_person("Already Known")
        first = read_all(world.connect())
        assert any(name == stream.name for name, _ in first.cursors), "a full read gave no cursor"
        new = world.add_person("Newly Arrived")
        then = read_all(world.connect(), first)
        assert then.has(stream, new), "a change after the cursor was not read"
        assert not then.has(stream, old), "the cursor was ignored: unchanged items were read again"

    def test_changes_of_one_moment_are_all_seen(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        stream = _incremental(world.connect())
        world.stop_clock()
        one, other = world.add_person("One Of Two"), world.add_person("Other Of Two")
        first = read_all(world.connect())
        world.rename_person(one, "One Renamed")
        then = read_all(world.connect(), first)
        assert then.has(stream, one), "a change at the moment of the cursor was not read"
        world.rename_person(other, "Other Renamed")
        last = read_all(world.connect(), then)
        assert last.has(stream, other), "a second change at the moment of the cursor was not read"

    def test_a_read_goes_on_from_any_page(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        for number in range(4):
            world.add_person(f"Page Filler {number}")
        if not any(stream.resumable for stream in world.connect().streams()):
            raise SkipTest("no stream goes on where it broke off")
        for stream, partition, pages in _resumable(world.connect(page_size=2)):
            for at, page in enumerate(pages):
                if page.resume is None:
                    continue
                rest = list(world.connect(page_size=2).read(stream, partition, None, page.resume))
                assert _told(rest) == _told(pages[at + 1 :]), (
                    f"{stream.name}: from page {at + 1} on it does not go on as it did"
                )

    def test_an_expired_cursor_says_so(self, tmp_path: Path) -> None:
        world = self.world(tmp_path)
        _incremental(world.connect())
        first = read_all(world.connect())
        world.expire_cursors()
        try:
            read_all(world.connect(), first)
        except CursorExpired:
            return
        raise AssertionError("an expired cursor did not raise CursorExpired")


def _resumable(connector: Connector[Any]) -> Iterator[tuple[Stream, Partition, list[Page]]]:
    """The pages of each stream that can go on, read from its beginning."""
    for partition in connector.partitions():
        for stream in connector.streams():
            if stream.resumable:
                yield stream, partition, list(connector.read(stream, partition, None))


def _told(pages: list[Page]) -> list[object]:
    """What pages hold, however it is cut into them."""
    return [one for page in pages for one in (*page.items, *page.tombstones, *page.rejects)]


def _items(connector: Connector[Any]) -> Iterator[tuple[Stream, RawItem]]:
    for partition in connector.partitions():
        for stream in connector.streams():
            for page in connector.read(stream, partition, None):
                for item in page.items:
                    yield stream, item


def _samples(connector: Connector[Any], count: int = 3) -> Iterator[tuple[Stream, list[bytes]]]:
    """Some raw items of each stream."""
    found: dict[str, tuple[Stream, list[bytes]]] = {}
    for stream, item in _items(connector):
        _, raws = found.setdefault(stream.name, (stream, []))
        if len(raws) < count:
            raws.append(item.raw)
    return iter(found.values())


def _damaged(raw: bytes) -> Iterator[bytes]:
    """`raw` cut short, with flipped bytes, and with members of other types. Always the same."""
    chance = random.Random(0)  # noqa: S311  damage must be the same in every run
    step = max(1, len(raw) // 40)
    yield from (raw[:end] for end in range(0, len(raw), step))
    for _ in range(60 if raw else 0):
        bad = bytearray(raw)
        bad[chance.randrange(len(bad))] = chance.randrange(256)
        yield bytes(bad)
    for strange in (None, 0, -1.5, True, "", "x" * 5_000, "\ud800\u0000", [], [None], {}, {"a": 1}):
        yield from _replaced(raw, strange)


def _with_canaries(raw: bytes) -> Iterator[bytes]:
    yield from _replaced(raw, _CANARY)
    yield from _replaced(raw, [_CANARY])
    yield from _replaced(raw, {"x": _CANARY})


def _replaced(raw: bytes, value: object) -> Iterator[bytes]:
    """A JSON object with each member in turn replaced by `value`; nothing for other bytes."""
    try:
        members = json.loads(raw)
    except ValueError:
        return
    if isinstance(members, dict):
        for name in members:
            yield json.dumps({**members, name: value}).encode()


def _stream_of_people(connector: Connector[Any]) -> Stream:
    found = next((stream for stream in connector.streams() if stream.record is Person), None)
    assert found, f"{type(connector).__name__} declares no stream of people"
    return found


def _incremental(connector: Connector[Any]) -> Stream:
    stream = _stream_of_people(connector)
    if not stream.incremental:
        raise SkipTest("the stream of people is not incremental")
    return stream
