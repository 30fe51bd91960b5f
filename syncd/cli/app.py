"""The program: its commands, the options before them, and where errors become text."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from syncd.cli import (
    asking,
    connecting,
    databases,
    desk,
    exits,
    explaining,
    gaps,
    gone_places,
    health,
    leavers,
    licenses,
    merging,
    relinking,
    reviewing,
    setup,
    sheets,
    syncing,
)
from syncd.cli.console import complain, say, talk
from syncd.cli.exits import Exit
from syncd.cli.session import Session
from syncd.errors import SyncdError

app = typer.Typer(
    name="syncd",
    help="Keeps a service desk's clients, sites and users true to where they really live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS = {
    "Begin": (setup.init, setup.check, connecting.connect, setup.connectors),
    "Sync": (syncing.plan, syncing.sync, syncing.approve, syncing.reject, syncing.undo),
    "Ask": (asking.runs, asking.changes, explaining.explain, gaps.gaps, leavers.leavers),
}
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.command(rich_help_panel="Sync")(syncing.resume)
app.command(rich_help_panel="Desk")(licenses.licenses)
app.command(rich_help_panel="Desk")(licenses.subscriptions)
setup.connections.command("resume")(syncing.resume)
setup.connections.command("retire")(syncing.retire)
setup.connections.command("health")(health.health)
setup.connections.command("relink")(relinking.relink)
reviewing.review.command("keep")(gone_places.keep)
app.add_typer(setup.connections, name="connections", rich_help_panel="Begin")
app.add_typer(sheets.csv, name="csv", rich_help_panel="Begin")
app.add_typer(reviewing.review, name="review", rich_help_panel="Ask")
desk.clients.command("merge")(merging.merge_clients)
desk.sites.command("merge")(merging.merge_sites)
desk.users.command("merge")(merging.merge_users)
app.add_typer(desk.clients, name="clients", rich_help_panel="Desk")
app.add_typer(desk.sites, name="sites", rich_help_panel="Desk")
app.add_typer(desk.users, name="users", rich_help_panel="Desk")
app.add_typer(connecting.keys, name="keys", rich_help_panel="Begin")
app.add_typer(databases.db, name="db", rich_help_panel="Begin")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        say(f"syncd {metadata.version('syncd')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", show_default="$SYNCD_CONFIG, ./config or ."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = Session(config, debug)


def main() -> None:
    """Run the command line; ends the process with an exit code of `exits.Exit`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line, without the program's name; its exit code."""
    debug = "--debug" in arguments
    try:
        code = app(arguments, prog_name="syncd", standalone_mode=False)
        sys.stdout.flush()
        return int(code or Exit.DONE)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (KeyboardInterrupt, Abort):
        complain("interrupted")
        return Exit.FAILED
    except TyperException as error:
        if told := error.format_message():  # nothing to add where the help was shown
            complain(f"{told} (--help shows how)")
        return Exit.USAGE
    except Exception as error:
        if debug:
            _say_where()
        known = _known(error)
        complain(str(known or _unexpected(error)))
        return exits.of_error(known) if known else Exit.FAILED


def _say_where() -> None:
    """The traceback, without the values of variables and without secrets."""
    from syncd import log

    for line in traceback.format_exc().splitlines():
        talk(log.redact_text(line))


def _known(error: Exception) -> SyncdError | None:
    """The error as one of ours, if it is one or the database's."""
    if isinstance(error, SyncdError):
        return error
    if "sqlalchemy" not in sys.modules:
        return None
    from syncd.store import answers

    return answers.explained(error)


def _unexpected(error: Exception) -> str:
    """For errors that nobody foresaw: their texts may hold anything, so only their kind is said."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"unexpected {type(error).__name__}; --debug shows where it came from"
