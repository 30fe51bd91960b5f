"""The drop-folder connector: what people leave in a folder is read, one file after the other.

By itself it reads nothing; `sync/dropping` makes a run of each file, and a `FileReader` of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from syncd.connectors import base
from syncd.connectors.base import Connector, Context, Page, Partition, Repeats
from syncd.connectors.drops.config import FolderConfig
from syncd.connectors.drops.places import Glance, Places
from syncd.connectors.sheets.records import parse_location, parse_organization, parse_person
from syncd.connectors.sheets.rekeying import by_columns
from syncd.errors import UsageError
from syncd.records import Location, Organization, Person, Rekeying


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

    def rekeying(self, key: Sequence[str]) -> Rekeying:
        """By other columns; those of the connection's own `key`, where none are named."""
        named = key or self.config.key
        if not named:
            raise UsageError(
                f"{self.context.connection} has no `key` of its own, only such of certain files; "
                "name the column that is to identify users: --key HEADING"
            )
        return by_columns(named, self.config.headings or {})

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
