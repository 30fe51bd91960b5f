"""What every command shares: where the configuration is, who is at work, and the opened engine."""

from __future__ import annotations

import getpass
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from syncd.cli.console import progress, talk

if TYPE_CHECKING:
    from syncd.settings import Settings
    from syncd.sync.engine import Engine
    from syncd.sync.step import Progress

ACTOR_VARIABLE = "SYNCD_ACTOR"


def whoever() -> str:
    """The name that the ledger shows: $SYNCD_ACTOR, else the login name."""
    if named := os.environ.get(ACTOR_VARIABLE):
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Actor: TypeAlias = Annotated[
    str,
    typer.Option(
        show_default="$SYNCD_ACTOR or the login name",
        help="Who does it, for the history.",
    ),
]
Limit: TypeAlias = Annotated[int, typer.Option(min=0, help="At most so many lines; 0: all.")]
InClient: TypeAlias = Annotated[
    str | None, typer.Option("--client", metavar="CLIENT", help="Only in this client.")
]


@dataclass(frozen=True, slots=True)
class Session:
    """The options that stand before the command."""

    folder: Path | None = None
    debug: bool = False

    def settings(self) -> Settings:
        """The settings of the configured folder."""
        from syncd import settings

        return settings.load(self.folder)

    @contextmanager
    def engine(self, report: Callable[[Progress], None] | None = None) -> Iterator[Engine]:
        """The engine on the configured database, for one command."""
        from syncd.sync.engine import Engine

        settings = self.settings()
        engine = Engine.open(settings, report) if report else Engine.open(settings)
        try:
            yield engine
        finally:
            engine.database.close()

    @contextmanager
    def working_engine(self) -> Iterator[Engine]:
        """As `engine`, for long work: with a progress bar, and an orderly stop on a signal."""
        from syncd import log

        with progress() as report, self.engine(report) as engine, _stopping(engine):
            log.configure(engine.settings.log.level, engine.settings.log.format)
            yield engine


def of(context: typer.Context) -> Session:
    """The session of a command."""
    session = context.find_root().obj
    assert isinstance(session, Session)
    return session


@contextmanager
def _stopping(engine: Engine) -> Iterator[None]:
    """On SIGINT or SIGTERM let the page end; a second one ends the process at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if engine.stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        engine.stop.set()
        talk("stopping after this page; the next sync goes on from there")

    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
