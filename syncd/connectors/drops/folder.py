"""The drop-folder connector: what people leave in a folder is read, one file after the other.

By itself it reads nothing; `sync/dropping` makes a run of each file, and a `FileReader` of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from syncd.connectors import base
from syncd.connectors.base import Connector, Context, Page, Partition, Repeats
from syncd.connectors.drops.config import FolderConfig
from syncd.connectors.drops.places import Glance, Places
from syncd.connectors.sheets.records import parse_location, parse_organization, parse_person
from syncd.records import Location, Organization, Person


class DropFolder(Connector[FolderConfig]):
    """One folder in which people drop spreadsheets."""

    name: ClassVar[str] = "folder"
    Config: ClassVar[type[base.Config]] = FolderConfig

    def __init__(self, config: FolderConfig, context: Context) -> None:
        super().__init__(config, context)
        self.places = Places(context.folder / config.folder)

    def check(self) -> None:
        """The folder is there and can be read."""
        self.places.folders()

    def look(self) -> Glance:
        """What was dropped."""
        by_mark = self.config.finished == "done"
        return self.places.look(by_mark=by_mark, stable_for=self.config.stable_for)

    # What was applied once is stored, and is understood by these.
    # ruff: noqa: ARG002

    def holds(self, _stream: base.Stream) -> bool:
        """Nothing is read without a file."""
        return False

    @base.stream(Organization, parse=parse_organization, repeats=Repeats.CONFLICT)
    def organizations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        """Of the files."""
        return iter(())

    @base.stream(Location, parse=parse_location, repeats=Repeats.CONFLICT)
    def locations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        """Of the files."""
        return iter(())

    @base.stream(Person, parse=parse_person, repeats=Repeats.CONFLICT)
    def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        """Of the files."""
        return iter(())
