"""A provider in memory, for what no spreadsheet can say: tombstones, cursors, pages, faults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic import SecretStr, ValidationError

from syncd.connectors import base
from syncd.connectors.base import Connector, Deletes, Page, Partition, RawItem, Repeats, stream
from syncd.errors import ProviderUnavailable
from syncd.records import Organization, Person, Record, Reject, Tombstone


def raw(key: str, **values: object) -> RawItem:
    """An item as this provider sends it: the record as JSON."""
    return RawItem(key, json.dumps({"key": key, **values}, sort_keys=True).encode())


def who(name: str, organization: str = "acme", **values: object) -> RawItem:
    """The item of a person called `name`, with the key `name` in lower case."""
    key = str(values.pop("key", name.lower()))
    mail = f"{name.lower()}@{organization}.example"
    said = {"display_name": name, "mail": mail, "organization": organization, **values}
    return raw(key, **said)


def crowd(count: int) -> list[RawItem]:
    """So many people."""
    return [who(f"P{number}") for number in range(count)]


def within(partition: str, items: Sequence[RawItem]) -> Sequence[RawItem]:
    """Those of the items that a partition holds: its organization, or people of that."""
    if not partition:
        return items
    return [
        item for item in items if json.loads(item.raw).get("organization", item.key) == partition
    ]


def _parser(model: type[Record]) -> Any:
    def parse(data: bytes) -> Sequence[Record | Reject]:
        try:
            return [model.model_validate_json(data)]
        except ValidationError as error:
            names = tuple(str(one["loc"][0]) for one in error.errors() if one["loc"])
            return [Reject(None, "bad_value", "cannot be read", names)]

    return parse


class SourceConfig(base.Config):
    """The provider takes a secret, to see where it goes."""

    secret: SecretStr = SecretStr("")
    folder: str = ""


@dataclass
class Source:
    """What the provider holds and how it behaves. Set the attributes, then sync."""

    people: list[RawItem] = field(default_factory=list)
    organizations: list[RawItem] = field(
        default_factory=lambda: [raw("acme", name="Acme"), raw("bolt", name="Bolt")]
    )
    partitions: list[str] = field(default_factory=list)
    """Keys of organizations, each with its people a partition; none: all of it is one."""
    page_size: int = 100
    pages: list[Page] | None = None
    """The people's pages, one by one, instead of `people`."""
    cursor: str | None = None
    """What the last page of people carries."""
    deletes: Deletes = Deletes.ABSENCE
    repeats: Repeats = Repeats.LAST
    faults: list[Exception] = field(default_factory=list)
    """Raised one by one, each in the middle of a read of people, before its second page."""
    refusal: Exception | None = None
    """Raised by every check."""
    hidden: Exception | None = None
    """Raised instead of telling the partitions."""
    asked: list[str | None] = field(default_factory=list)
    """The cursor of every read of people."""
    between: Any = None
    """Called before each page of people but the first."""
    expired: set[str] = field(default_factory=set)
    stumbles: bool = False
    """Whether a read that can go on breaks off after each page."""
    resumed: list[tuple[str, str | None]] = field(default_factory=list)
    """Partition and place of every read of people that could go on where it was."""

    def check(self) -> None:
        if self.refusal:
            raise self.refusal

    def list_partitions(self) -> Iterator[Partition]:
        if self.hidden:
            raise self.hidden
        yield from (Partition(key, key) for key in self.partitions)

    def read_people(self, partition: str, cursor: str | None) -> Iterator[Page]:
        self.asked.append(cursor)
        if cursor in self.expired:
            from syncd.errors import CursorExpired

            raise CursorExpired("the place is not known any more")
        for number, page in enumerate(self._pages()):
            if number:
                if self.faults:
                    raise self.faults.pop(0)
                if self.between:
                    self.between()
            yield replace(page, items=within(partition, page.items))

    def _pages(self) -> list[Page]:
        if self.pages is not None:
            return self.pages
        cut = range(0, max(1, len(self.people)), self.page_size)
        made = [Page(self.people[at : at + self.page_size]) for at in cut]
        made.append(Page([], cursor=self.cursor))
        return made

    def connector(self) -> type[Connector[Any]]:
        """The class that `base.find` gives while this source stands for a provider."""
        source = self

        class InMemory(Connector[SourceConfig]):
            name: ClassVar[str] = "memory"
            Config: ClassVar[type[base.Config]] = SourceConfig

            def check(self) -> None:
                source.check()

            def partitions(self) -> Iterator[Partition]:
                return source.list_partitions()

            def deletes(self, stream: base.Stream) -> Deletes:
                return source.deletes if stream.name == "people" else Deletes.UNKNOWN

            @stream(Organization, parse=_parser(Organization), repeats=self.repeats)
            def organizations(self, partition: Partition, _cursor: str | None) -> Iterator[Page]:
                yield Page(within(partition.key, source.organizations))

            @stream(
                Person,
                parse=_parser(Person),
                deletes=self.deletes,
                repeats=self.repeats,
                incremental=True,
            )
            def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
                return source.read_people(partition.key, cursor)

        return InMemory

    def resumable_connector(self) -> type[Connector[Any]]:
        """As `connector`, of a provider whose pages can be asked for one by one."""
        source = self

        class Resumable(self.connector()):  # type: ignore[misc]  # made at run time
            @stream(Person, parse=_parser(Person), deletes=self.deletes, incremental=True)
            def people(
                self, partition: Partition, cursor: str | None, resume: str | None = None
            ) -> Iterator[Page]:
                source.resumed.append((partition.key, resume))
                first = int(resume or 0)
                for number, page in enumerate(source._pages()):
                    if number < first:
                        continue
                    if number and source.faults:
                        raise source.faults.pop(0)
                    if source.stumbles and number > first:
                        raise ProviderUnavailable("503")
                    items = within(partition.key, page.items)
                    yield replace(page, items=items, resume=str(number + 1))

        return Resumable


def gone(*keys: str) -> list[Tombstone]:
    """The provider's word that these were deleted."""
    return [Tombstone(key) for key in keys]
