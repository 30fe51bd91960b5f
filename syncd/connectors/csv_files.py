"""CSV files in a folder: clients, sites and users from one combined sheet or from a sheet for each.

An item is one row, as a JSON object of known heading to cell; where a sheet about users or sites
also names their clients and sites, those are gathered from all its rows. Nothing about an item
depends on the order of rows or columns, or on what the file is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from syncd.connectors import base
from syncd.connectors.base import Connector, Context, Deletes, Page, Partition, RawItem, Repeats
from syncd.connectors.sheets import options
from syncd.connectors.sheets.census import Census
from syncd.connectors.sheets.files import Version, open_sheet, refuse_changed
from syncd.connectors.sheets.headings import Kind
from syncd.connectors.sheets.items import RowReader
from syncd.connectors.sheets.layout import Cells, Layout, lay_out
from syncd.connectors.sheets.records import parse_location, parse_organization, parse_person
from syncd.connectors.sheets.rekeying import by_columns
from syncd.connectors.sheets.sheet import Batch, Reading, Sheet
from syncd.connectors.sheets.spool import Portion, Spool
from syncd.records import Location, Organization, Person, Reject, Rekeying


class CsvConfig(base.Config):
    """Which files to read, and what they promise."""

    combined: options.File | None = None
    """One sheet whose rows are users with their client and site; excludes the other three."""
    clients: options.File | None = None
    sites: options.File | None = None
    users: options.File | None = None
    contents: Literal["full", "changes"]
    """Whether who is missing from the files is gone ("full"), or merely unchanged ("changes")."""
    key: options.Key
    """The heading, or several, whose cells identify a user for ever."""
    client: options.Client | None = None
    """The client of everybody in files without a client column."""
    encoding: options.Encoding | None = None
    """Of text files; found out from all of their bytes where it is not given."""
    delimiter: options.Delimiter | None = None
    worksheet: options.Worksheet | None = None
    """Of workbooks, by name; the first that people see where it is not given."""
    clear: options.Marker = "<clear>"
    """A cell that holds exactly this empties the field; a blank cell leaves it alone."""
    headings: options.Headings = Field(default_factory=dict)
    """Heading as in the file to the heading it stands for, or to "" to ignore the column."""
    day_first: bool = True
    """Whether 05/06/2026 is the fifth of June."""
    page_size: Annotated[int, Field(ge=1, le=50_000)] = 5_000

    @model_validator(mode="after")
    def _some_file(self) -> Self:
        separate = [file for file in (self.clients, self.sites, self.users) if file]
        if not self.combined and not separate:
            raise ValueError("name a file: `combined`, or `clients`, `sites` and `users`")
        if self.combined and separate:
            raise ValueError("`combined` already holds clients, sites and users; name it alone")
        return self


class Csv(Connector[CsvConfig]):
    """Reads what the configured files hold; one instance reads one version of each file."""

    name: ClassVar[str] = "csv"
    Config: ClassVar[type[base.Config]] = CsvConfig

    def __init__(self, config: CsvConfig, context: Context) -> None:
        super().__init__(config, context)
        self._seen: dict[Path, Version] = {}
        self._census: Census | None = None
        self._spooled: dict[str, tuple[Sequence[str], Spool]] = {}

    def check(self) -> None:
        """Every configured file exists, can be opened, and has headings that can be used."""
        self.notices()

    def notices(self) -> list[str]:
        """What a person should know about the headings; checks them all, and reads no row."""
        found: list[str] = []
        for kind, file in self._files():
            # Not remembered as the version to be read: a file may well arrive after a check.
            with self._open(file, kind, {}) as (sheet, layout):
                self._reader(layout, kind)
                found += [*sheet.notices, *layout.notices]
        return found

    def rekeying(self, key: Sequence[str]) -> Rekeying:
        """By other columns."""
        return by_columns(key or self.config.key, self.config.headings)

    # Files know neither partitions nor cursors; the interface hands them to every connector.
    # ruff: noqa: ARG002

    def deletes(self, stream: base.Stream) -> Deletes:
        """Absence is evidence only in files that were declared to be full."""
        return Deletes.ABSENCE if self.config.contents == "full" else Deletes.UNKNOWN

    @base.stream(Organization, parse=parse_organization, repeats=Repeats.CONFLICT)
    def organizations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        """The rows of the clients sheet; without one, the clients that the other sheets name."""
        if self.config.clients:
            return self._rows(self.config.clients, Kind.CLIENT)
        return self._gathered(Kind.CLIENT)

    @base.stream(Location, parse=parse_location, repeats=Repeats.CONFLICT)
    def locations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        """The rows of the sites sheet; without one, the sites that the users sheet names."""
        if self.config.sites:
            return self._rows(self.config.sites, Kind.SITE)
        return self._gathered(Kind.SITE)

    @base.stream(Person, parse=parse_person, repeats=Repeats.CONFLICT)
    def people(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        """The rows of the combined sheet or of the users sheet."""
        file = self.config.combined or self.config.users
        return self._rows(file, Kind.USER) if file else iter(())

    # -- files ---------------------------------------------------------------------------------

    def _files(self) -> list[tuple[Kind, str]]:
        config = self.config
        files = {
            Kind.CLIENT: config.clients,
            Kind.SITE: config.sites,
            Kind.USER: config.combined or config.users,
        }
        return [(kind, file) for kind, file in files.items() if file]

    @contextmanager
    def _open(
        self, file: str, kind: Kind, seen: dict[Path, Version]
    ) -> Iterator[tuple[Sheet, Layout]]:
        config, path = self.config, self.context.folder / file
        reading = Reading(config.encoding, config.delimiter, config.worksheet, config.clear)
        with open_sheet(path, reading, seen) as sheet:
            keys = config.key if kind is Kind.USER else ()
            yield sheet, lay_out(sheet.file, sheet.headings, kind, config.headings, keys)

    def _cells(self, batch: Batch) -> Sequence[Cells]:
        """The batch's rows, with None for each cell that holds the clear marker."""
        if not batch.marked:
            return batch.rows
        clear = self.config.clear
        return [[None if it.strip() == clear else it for it in row] for row in batch.rows]

    # -- one item for each row -----------------------------------------------------------------

    def _rows(self, file: str, kind: Kind) -> Iterator[Page]:
        """The pages of a file: from the spool if its rows were read already, to be counted."""
        if file in self._spooled:
            notices, spool = self._spooled[file]
            yield from _pages(notices, spool.pages(), spool.count)
            refuse_changed(self.context.folder / file, self._seen)
            return
        with self._open(file, kind, self._seen) as (sheet, layout):
            portions = self._portions(sheet, self._reader(layout, kind), lambda _rows: None)
            early = self._notices(sheet, layout, kind)
            yield from _pages(early, portions, None)
            late = [one for one in sheet.notices if one not in early]
            yield from _pages(late, (), None)

    def _portions(
        self, sheet: Sheet, reader: RowReader, each: Callable[[Sequence[Cells]], None]
    ) -> Iterator[Portion]:
        """The items and rejects of a sheet, page by page; `each` is shown all rows on the way."""
        batches = sheet.batches(self.config.page_size)
        for _, page in groupby(batches, key=attrgetter("page")):
            items: list[RawItem] = []
            rejects: list[Reject] = []
            for batch in page:
                cells = self._cells(batch)
                each(cells)
                found, odd = reader.items(cells)
                items += found
                rejects += (reject for at in odd if (reject := reader.reject(batch, at)))
            yield Portion(items, rejects)

    def _reader(self, layout: Layout, kind: Kind) -> RowReader:
        config = self.config
        return RowReader(
            layout,
            kind,
            key=config.key,
            client=config.client,
            month_first=not config.day_first,
            may_be_blank=config.combined is not None,
        )

    def _notices(self, sheet: Sheet, layout: Layout, kind: Kind) -> Sequence[str]:
        notices = (*sheet.notices, *layout.notices)
        no_client = layout.position(Kind.CLIENT, "name") is None and not self.config.client
        if kind is Kind.USER and no_client:
            return (*notices, f"{layout.file} has no client column and `client` is not set")
        return notices

    # -- one item for each client or site that rows mention --------------------------------------

    def _gathered(self, kind: Kind) -> Iterator[Page]:
        items, notices = self._take_census().items(kind)
        size = self.config.page_size
        if notices:
            yield Page((), notices=notices)
        for start in range(0, len(items), size):
            yield Page(items[start : start + size], total=len(items))

    def _take_census(self) -> Census:
        """The clients and sites that rows mention, from one pass over each sheet, once."""
        if self._census is None:
            census = Census()
            for kind, file in self._files():
                if wanted := self._mentioned_in(kind):
                    self._count(census, file, kind, wanted)
            self._census = census
        return self._census

    def _mentioned_in(self, sheet: Kind) -> list[Kind]:
        """The kinds that are gathered from a sheet, because they have no sheet of their own."""
        others = {Kind.SITE: [Kind.CLIENT], Kind.USER: [Kind.CLIENT, Kind.SITE]}
        own = {kind for kind, _ in self._files()}
        return [kind for kind in others.get(sheet, []) if kind not in own]

    def _count(self, census: Census, file: str, kind: Kind, wanted: list[Kind]) -> None:
        with self._open(file, kind, self._seen) as (sheet, layout):
            spool = Spool()
            with census.tally(layout, wanted, self.config.client or "") as tallies:

                def each(rows: Sequence[Cells]) -> None:
                    tallies.add(_of_width(rows, layout.width))

                for portion in self._portions(sheet, self._reader(layout, kind), each):
                    spool.add(portion)
            self._spooled[file] = (self._notices(sheet, layout, kind), spool)


def _pages(
    notices: Sequence[str], portions: Iterable[Portion], total: int | None
) -> Iterator[Page]:
    if notices:
        yield Page((), notices=notices)
    for items, rejects in portions:
        yield Page(items, rejects=rejects, total=total)


def _of_width(rows: Sequence[Cells], width: int) -> Sequence[Cells]:
    if set(map(len, rows)) == {width}:
        return rows
    return [row for row in rows if len(row) == width]
