"""Data on stdout, talk on stderr: tables that pipe well, JSON with a version, a progress bar."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from syncd.text import clean

if TYPE_CHECKING:
    from syncd.sync.step import Progress

FORMAT_VERSION = 1
_GAP = "  "


def say(line: str = "") -> None:
    """A line of the answer."""
    sys.stdout.write(f"{line}\n")


def talk(line: str) -> None:
    """A line for the person at the terminal; not part of the answer."""
    sys.stdout.flush()
    sys.stderr.write(f"{line}\n")


def complain(message: str) -> None:
    """One paragraph that says what is wrong."""
    talk(f"{_red('error:')} {message.rstrip()}")


def _red(text: str) -> str:
    colored = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[31m{text}\x1b[0m" if colored else text


def as_json(**content: Any) -> None:
    """The answer as one JSON object, which programs can rely on."""
    answer = {"format_version": FORMAT_VERSION, **content}
    say(json.dumps(_plain(answer), ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return moment(value)
    return str(value) if isinstance(value, UUID | date) else value


# -- text ------------------------------------------------------------------------------------------


def moment(value: datetime | None) -> str:
    """A moment in UTC, to the second."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else ""


def plain(value: Any) -> str:
    """A value on one line, without what terminals obey."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    return " ".join(clean(str(value)).split())


def typed(key: str) -> str:
    """A key as a shell takes it."""
    return f"-- {shlex.quote(key)}" if key.startswith("-") else shlex.quote(key)


def quoted(value: Any, width: int = 60) -> str:
    """A value of a field as a change shows it."""
    if value is None or value == "":
        return "(empty)"
    text = plain(value)
    text = text if len(text) <= width else text[: width - 1] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def some(count: int, noun: str) -> str:
    """`1 user`, `12 users`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows in columns as wide as their longest cell; nothing is cut, so that it can be piped."""
    from rich.cells import cell_len  # East Asian letters take two places

    shown = [list(headings), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[at]) for row in shown) for at in range(len(headings))]
    for row in shown:
        cells = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        say(_GAP.join(cells).rstrip())


def more(shown: int, total: int, how: str) -> None:
    """Say that a list was cut."""
    if total > shown:
        talk(f"{shown} of {total} shown; {how}")


# -- progress --------------------------------------------------------------------------------------


@contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """What the engine reports to: a bar on a terminal, nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[tuple[str, str], Any] = {}

        def report(at: Progress) -> None:
            what = f"{at.phase} {at.stream}".strip()
            if (at.phase, at.stream) not in tasks:
                tasks[at.phase, at.stream] = bar.add_task(what, total=at.total)
            bar.update(tasks[at.phase, at.stream], completed=at.done, total=at.total)

        yield report
