"""csv template, csv inspect: sheets to fill in, and a look at one before it is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import session
from syncd.cli.console import as_json, plain, say, some
from syncd.cli.exits import Exit
from syncd.cli.session import AsJson, Session
from syncd.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from syncd.connectors.drops.config import Declared
    from syncd.connectors.drops.inspecting import Inspection

csv = typer.Typer(help="Sheets to fill in, and a look at one before it is dropped.")


class Template(StrEnum):
    """What a sheet can be about."""

    CLIENTS = "clients"
    SITES = "sites"
    USERS = "users"
    COMBINED = "combined"


@csv.command("template")
def template(
    what: Annotated[Template, typer.Argument(help="combined: users with their client and site.")],
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
) -> None:
    """Write a sample sheet to fill in, as CSV and as XLSX."""
    from syncd.connectors.sheets import templates

    try:
        written = templates.write(what.value, folder)
    except FileExistsError as error:
        raise UsageError(f"{error} exists already, and nothing is ever overwritten") from None
    for path in written:
        say(str(path))


@csv.command("inspect")
def inspect(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or XLSX file.")],
    *,
    connection: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="the drop-folder it lies in, if any",
            help="Whose settings to read it with.",
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, max=1000, help="So many of its first rows.")] = 5,
    json: AsJson = False,
) -> None:
    """Show how a sheet would be read: encoding, headings, first rows, and what would be refused."""
    from syncd.connectors.drops import inspecting

    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    told = inspecting.inspect(file, _declared(session.of(context), file, connection), rows)
    if json:
        as_json(file=told)
    else:
        for line in _lines(told):
            say(line)
    raise typer.Exit(_code(told))


def _code(told: Inspection) -> Exit:
    if told.refused:
        return Exit.FAILED
    return Exit.QUARANTINED if told.rejects else Exit.DONE


def _declared(used: Session, file: Path, connection: str | None) -> Declared:
    """What is declared about the file, where it lies now."""
    from syncd.connectors.csv_files import CsvConfig
    from syncd.connectors.drops.config import MANIFEST, Declared, FolderConfig, manifest_at

    try:
        settings = used.settings()
    except ConfigError:
        if connection or used.folder:
            raise
        return Declared()  # a file can be looked at without any configuration
    named = [settings.connection(connection)] if connection else settings.connections.values()
    for one in named:
        if one.connector == "folder":
            config = FolderConfig.model_validate(one.config)
            root = (settings.folder / config.folder).resolve()
            inside = file.resolve().parent
            if connection or root in (inside, inside.parent):
                folder = inside.name if inside.parent == root else ""
                return config.declared(folder, file.name, manifest_at(Path(f"{file}{MANIFEST}")))
        elif connection:
            sheet = CsvConfig.model_validate(one.config).model_dump(exclude_unset=True)
            known = Declared.model_fields.keys()
            return Declared(**{name: it for name, it in sheet.items() if name in known})
    return Declared()


def _lines(told: Inspection) -> Iterator[str]:
    yield f"{plain(told.file)}: {told.kind or 'unknown'}"
    for name, value in told.shown.items():
        yield f"  {name:<12}{plain(value)}"
    yield f"  {'contents':<12}{told.contents or 'not declared'}"
    if told.kind == "users":
        yield f"  {'key':<12}{', '.join(map(plain, told.key)) or 'not declared'}"
    if told.headings:
        say_headings = [(plain(one.heading), one.means or "", one.field or "", one.note or "")
                        for one in told.headings]  # fmt: skip
        yield ""
        yield from _columns(("heading", "means", "field", ""), say_headings)
    for number, record in enumerate(told.records, 1):
        yield ""
        yield f"row {number}"
        for name, value in record.items():
            if value not in (None, {}, [], ""):
                yield f"  {name:<20}{plain(str(value))}"
    yield ""
    seen = some(told.rows, "row") + (" looked at, and there are more" if told.more else "")
    yield seen if told.headings else "nothing could be read"
    for notice in told.notices:
        yield f"note: {plain(notice)}"
    for code, count in told.rejects.items():
        yield f"{some(count, 'row')} would be refused: {code}"
    for example in told.examples:
        yield f"  {plain(example)}"
    for why in told.refused:
        yield f"the file would be refused: {plain(why)}"


def _columns(headings: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in (headings, *cells)) for at in range(len(headings))]
    for row in (headings, *cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
