"""One dropped file as something that a sync can read: its rows, what they promise, and its doubts.

It is read as the sheets of the `csv` connector are, with what was declared about it. An empty cell
leaves alone what an earlier file said, so items are laid over the stored ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from syncd.changes import Overrun
from syncd.connectors import base
from syncd.connectors.base import Context, Covers, Deletes, Page, Partition, Stream
from syncd.connectors.csv_files import Csv, CsvConfig
from syncd.connectors.drops.config import KINDS, Declared
from syncd.connectors.sheets.answer import COLUMNS, is_answer, unescape
from syncd.connectors.sheets.exports import Export, kind_of, recognize
from syncd.connectors.sheets.files import open_sheet
from syncd.connectors.sheets.headings import Kind, meaning, overridden, squash
from syncd.connectors.sheets.layout import Cells, Layout, client_key
from syncd.connectors.sheets.overlay import lay_over
from syncd.connectors.sheets.records import CLIENT
from syncd.connectors.sheets.sheet import Batch, Reading, Row, Sheet
from syncd.errors import BadResponse, Refused
from syncd.records import Reject

STREAMS = {Kind.CLIENT: "organizations", Kind.SITE: "locations", Kind.USER: "people"}
"""The stream whose items are the rows of a sheet of this kind."""

_WAITS = re.compile(r"\(.+, line \d{1,10}\)", re.DOTALL)

_peek = msgspec.json.Decoder(type=dict[str, str | None]).decode


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an earlier file of the same folder lets us expect of this one."""

    headings: Sequence[str] = ()
    """Those of the last file like it."""
    of: str = ""
    """What that file was called, and its run."""
    key: Sequence[str] | None = None
    """What identified users from the first file on."""
    key_of: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file once its headings were read."""

    kind: Kind
    contents: str
    key: tuple[str, ...]
    headings: tuple[str, ...]
    """What they mean, to be compared with those of the next file; without answers."""
    columns: tuple[str, ...]
    """The headings of the columns that people filled in."""
    is_answer: bool
    shown: Mapping[str, str]
    """Format, encoding, delimiter, and which tool exported it, for people."""


@dataclass(slots=True)
class Assignment:
    """What a reader is told about its file, besides its declarations."""

    path: Path
    shown: str
    """What people call the file."""
    expectation: Expectation = field(default_factory=Expectation)
    secrets: Sequence[str] = ()
    """Headings of columns that were left out of the copy."""


class Line(NamedTuple):
    """A row of the file: its cells, where it stands, its key ("": none), and what is wrong then."""

    cells: Row
    number: int
    key: str
    reject: Reject | None


class FileReader(Csv):
    """Reads one dropped file. Raises Refused for whatever keeps it from being used."""

    def __init__(self, declared: Declared, assignment: Assignment, page_size: int = 5_000) -> None:
        self.declared = declared
        self.assignment = assignment
        self.facts, self.export = self._look(declared, assignment)
        super().__init__(self._config(declared, page_size), Context("", assignment.path.parent))
        self.ask_doubts: Callable[[], Sequence[Overrun]] = tuple
        """What speaks against applying the file without a word, as far as others know."""
        self._named_clients: list[str] | None = None

    # -- what the headings tell --------------------------------------------------------------------

    def _look(self, declared: Declared, assignment: Assignment) -> tuple[Facts, Export | None]:
        reading = reading_of(declared)
        with _refusing(assignment), open_sheet(assignment.path, reading, {}) as sheet:
            headings, shown = list(sheet.headings), dict(sheet.shown)
        answer = is_answer(headings)
        headings = [one for one in headings if one not in COLUMNS]
        export = recognize(headings)
        if export:
            shown["export"] = export.tool
        kind = self._kind(declared, headings, export)
        contents = "changes" if answer else declared.contents
        if contents is None:
            raise Refused(
                f"{assignment.shown}: nobody said whether it is a full list or changes only; set "
                '`contents` to "full" or "changes" for the connection, for files of its name, or '
                f"in {assignment.shown}.toml beside it"
            )
        key = self._key(declared, export, kind)
        means = tuple(filter(None, (_meaning(one, kind, declared) for one in headings)))
        return Facts(kind, contents, key, means, tuple(headings), answer, shown), export

    def _kind(self, declared: Declared, headings: Sequence[str], export: Export | None) -> Kind:
        kind = kind_by(declared, headings, export)
        if kind is None:
            raise Refused(
                f"{self.assignment.shown}: its headings do not tell whether its rows are clients, "
                f"sites or users ({', '.join(headings)}); set `kind`"
            )
        return kind

    def _key(self, declared: Declared, export: Export | None, kind: Kind) -> tuple[str, ...]:
        key = declared.key or (export.key if export else None) or ()
        if kind is not Kind.USER:
            return key
        if not key:
            raise Refused(
                f"{self.assignment.shown}: nobody said which column identifies a user for ever; "
                'set `key`, such as "emailaddress"'
            )
        known = self.assignment.expectation
        if known.key is not None and [squash(one) for one in known.key] != [*map(squash, key)]:
            raise Refused(
                f"{self.assignment.shown}: users of this folder are identified by "
                f'"{", ".join(known.key)}" since {known.key_of}, and would all be taken for new '
                f'by "{", ".join(key)}"; set `key` back, or have each keep its user under the new '
                "key: syncd connections relink"
            )
        return key

    def _config(self, declared: Declared, page_size: int) -> CsvConfig:
        kind, said = self.facts.kind, declared.said()
        for name in ("contents", "full_for", "kind", "key", "client", "headings"):
            said.pop(name, None)
        place = {Kind.CLIENT: "clients", Kind.SITE: "sites", Kind.USER: "combined"}[kind]
        ignored = dict.fromkeys(COLUMNS, "") if self.facts.is_answer else {}
        return CsvConfig(
            **{place: self.assignment.path.name},  # type: ignore[arg-type]  # checked at run time
            **said,
            contents=self.facts.contents,  # type: ignore[arg-type]  # same
            key=self.facts.key or ("name",),
            client=self.declared.client,
            headings={**ignored, **self._unused(), **(declared.headings or {})},
            page_size=page_size,
        )

    def _unused(self) -> dict[str, str]:
        """Columns that such an export always has and nobody needs to be warned of."""
        return dict.fromkeys(self.export.unused, "") if self.export else {}

    # -- whether it can be used --------------------------------------------------------------------

    def check(self) -> None:
        """Raise Refused unless the headings can be used, and are those of the last file."""
        with _refusing(self.assignment), self._opened() as (sheet, layout):
            self._reader(layout, self.facts.kind)
            self._refuse_without_client(layout)
            self._refuse_empty(sheet)
        self._refuse_missing()

    def _refuse_without_client(self, layout: Layout) -> None:
        named = layout.position(Kind.CLIENT, "name") is not None
        if self.facts.kind is not Kind.CLIENT and not named and not self.config.client:
            raise Refused(
                f"{self.assignment.shown} has no client column; add one, drop it into a sub-folder "
                "that is called like its client, or set `client`"
            )

    def _refuse_empty(self, sheet: Sheet) -> None:
        """A list of nobody is most likely an accident, and nobody has left because of it."""
        for batch in sheet.batches(self.config.page_size):
            if any(cell.strip() for row in batch.rows for cell in row):
                return
        raise Refused(f"{self.assignment.shown} has headings and not a single row; nobody is gone")

    def _refuse_missing(self) -> None:
        known, kind = self.assignment.expectation, self.facts.kind
        gone = [one for one, target in self.config.headings.items() if not target]
        present = {*self.facts.headings, *(_meaning(one, kind, self.declared) for one in gone)}
        missing = [one for one in known.headings if one not in present]
        if not missing:
            return
        names = ", ".join(f'"{one}"' for one in missing)
        raise Refused(
            f"{self.assignment.shown} lacks the columns {names}, which {known.of} had; add them, "
            f'or say that they are gone for good: headings = {{ "{missing[0]}" = "" }}'
        )

    # -- what it promises --------------------------------------------------------------------------

    def streams(self) -> list[Stream]:
        """As of sheets, but items say only what their row says."""
        kinds = {name: kind for kind, name in STREAMS.items()}
        return [replace(one, merge=partial(lay_over, kinds[one.name])) for one in super().streams()]

    def holds(self, stream: Stream) -> bool:
        """Streams of which the sheet's rows say anything."""
        held = {
            Kind.CLIENT: ("organizations",),
            Kind.SITE: ("organizations", "locations"),
            Kind.USER: ("organizations", "locations", "people"),
        }
        return stream.name in held[self.facts.kind]

    def deletes(self, stream: Stream) -> Deletes:
        """Absence tells only of what a full list is about: clients and sites that users mention
        are no list of clients and sites, and clients in a file are all in it.
        """
        listed = stream.name == STREAMS[self.facts.kind]
        if not listed or (self.facts.kind is Kind.CLIENT and self.declared.full_for != "all"):
            return Deletes.UNKNOWN
        return super().deletes(stream)

    def coverage(self, stream: Stream) -> Covers | None:
        """A full list is full for the clients that it names, unless it is declared to be of all."""
        if self.declared.full_for == "all" or self.deletes(stream) is not Deletes.ABSENCE:
            return None
        clients, place = frozenset(self.clients() or ()), f"({self.assignment.shown}, "

        def covers(key: str, raw: bytes | None) -> bool:
            if raw is None:  # a row that could not be read, of this file or of another one
                return key.startswith(place)
            return (_peek(raw).get(CLIENT) or "") in clients

        return covers

    def clients(self) -> list[str] | None:
        """The keys of the clients that the rows name; None for a list of clients."""
        if self.facts.kind is Kind.CLIENT:
            return None
        if self._named_clients is None:
            named = {item.key for item in self._take_census().items(Kind.CLIENT)[0]}
            own = client_key(self.config.client or "")
            self._named_clients = sorted(named or {own})
        return self._named_clients

    def doubts(self) -> Sequence[Overrun]:
        return self.ask_doubts()

    def read(
        self,
        stream: Stream,
        partition: Partition,
        cursor: str | None,
        resume: str | None = None,
    ) -> Iterator[Page]:
        """The pages of a stream that the file holds."""
        if not self.holds(stream):
            return
        with _refusing(self.assignment):
            if stream.name == "organizations" and self.assignment.secrets:
                yield Page((), notices=[self._of_secrets()])
            if self.facts.is_answer and stream.name == STREAMS[self.facts.kind]:
                yield Page((), repaired=self._repaired())
            for page in super().read(stream, partition, cursor, resume):
                yield replace(
                    page,
                    notices=[self._named(one) for one in page.notices],
                    rejects=[self._placed(one) for one in page.rejects],
                )

    def _placed(self, reject: Reject) -> Reject:
        """A row that cannot be read, told apart from those of other files."""
        return reject._replace(where=f"{self.assignment.shown}, {reject.where}")

    def _repaired(self) -> list[str]:
        """Under what the rows waited that could not be read, and that come again in this answer;
        without those of its rows that cannot be read either.
        """
        with self._opened() as (sheet, _):
            at = sheet.headings.index(COLUMNS[-1]) if COLUMNS[-1] in sheet.headings else -1
            batches = sheet.batches(self.config.page_size) if at >= 0 else ()
            cells = {row[at] for batch in batches for row in batch.rows if at < len(row)}
        name = self.assignment.shown
        again = {
            waits_under(name, one.number) for some in self.lines() for one in some if one.reject
        }
        return sorted(cell for cell in cells - again if _WAITS.fullmatch(cell))

    # -- its rows again, to be answered ------------------------------------------------------------

    def lines(self) -> Iterator[list[Line]]:
        """The rows of the file once more, a page at a time, and what identifies each."""
        with _refusing(self.assignment), self._opened() as (sheet, layout):
            reader = self._reader(layout, self.facts.kind)
            kept = [at for at, one in enumerate(sheet.headings) if one not in COLUMNS]
            for batch in sheet.batches(self.config.page_size):
                rows = self._cells(batch)
                keys, numbers = reader.keys(rows), batch.all_lines()
                yield [
                    Line(
                        [row[at] for at in kept if at < len(row)] + row[len(sheet.headings) :],
                        number,
                        key,
                        None if key else reader.reject(batch, place),
                    )
                    for place, (row, number, key) in enumerate(
                        zip(self._plain(batch), numbers, keys, strict=True)
                    )
                ]

    @contextmanager
    def _opened(self) -> Iterator[tuple[Sheet, Layout]]:
        for kind, file in self._files():
            with self._open(file, kind, {}) as found:
                yield found

    def _cells(self, batch: Batch) -> Sequence[Cells]:
        return super()._cells(replace(batch, rows=self._plain(batch)))

    def _plain(self, batch: Batch) -> list[Row]:
        """The rows without what kept their cells from being formulas."""
        if not self.facts.is_answer or self.facts.shown["format"] != "CSV":
            return batch.rows
        return [[unescape(cell) for cell in row] for row in batch.rows]

    def _of_secrets(self) -> str:
        names = ", ".join(f'"{one}"' for one in self.assignment.secrets)
        one = len(self.assignment.secrets) == 1
        they = "looks like a secret: it was" if one else "look like secrets: they were"
        return f"{self.assignment.shown}: {names} {they} not read, and not kept"

    def _named(self, notice: str) -> str:
        return notice.replace(self.assignment.path.name, self.assignment.shown)


class Nothing(base.Connector[base.Config]):
    """Reads nothing: what was dropped says what was applied before."""

    def __init__(self) -> None:
        super().__init__(base.Config(), Context("", Path()))


def kind_by(declared: Declared, headings: Sequence[str], export: Export | None) -> Kind | None:
    """What the rows of a file are: as declared, as its tool exports them, as its headings tell."""
    if declared.kind:
        return KINDS[declared.kind]
    if export:
        return export.kind
    return kind_of(headings, declared.headings or {}, declared.key or ())


def waits_under(file: str, line: int) -> str:
    """The key under which a row waits that could not be read, and so has none."""
    return f"({file}, line {line})"


def _meaning(heading: str, kind: Kind, declared: Declared) -> str:
    """A heading as it is compared with those of other files: by what it stands for; "" for one that
    is not read.
    """
    target = overridden(heading, declared.headings or {}) or heading
    found = meaning(target, kind)
    return found.label(kind) if found else ""


def reading_of(declared: Declared) -> Reading:
    """How a file is to be opened."""
    return Reading(
        declared.encoding, declared.delimiter, declared.worksheet, declared.clear or "<clear>"
    )


class _refusing:  # noqa: N801  # read as a word: with _refusing(…)
    """Turns what is wrong with a file into Refused, with the name that people know it by."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, BadResponse):
            said = str(error).replace(self._assignment.path.name, self._assignment.shown)
            raise Refused(said) from None
