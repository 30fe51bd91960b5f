"""merge: two clients, sites or users that are one become one."""

from __future__ import annotations

from typing import Annotated

import typer

from syncd.cli import describe, desk, exits, session
from syncd.cli.console import more, plain, say, talk
from syncd.cli.session import Actor, InClient, whoever
from syncd.entities import Kind

Kept = Annotated[str, typer.Argument(metavar="A", help="Who stays.")]
Gone = Annotated[str, typer.Argument(metavar="B", help="Who goes into A.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]
_SHOWN = 20


def merge_clients(
    context: typer.Context,
    kept: Kept,
    gone: Gone,
    *,
    reason: Reason = "",
    dry_run: DryRun = False,
    actor: Actor = "",
) -> None:
    """Make one client of two: B's sites, users and licenses go to A. `syncd undo` takes it back."""
    _merge(context, Kind.CLIENT, (kept, gone), None, reason, dry_run, actor)


def merge_sites(
    context: typer.Context,
    kept: Kept,
    gone: Gone,
    *,
    client: InClient = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    actor: Actor = "",
) -> None:
    """Make one site of two: B's users move to A. `syncd undo` takes it back."""
    _merge(context, Kind.SITE, (kept, gone), client, reason, dry_run, actor)


def merge_users(
    context: typer.Context,
    kept: Kept,
    gone: Gone,
    *,
    client: InClient = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    actor: Actor = "",
) -> None:
    """Make one user of two: B's records, identities and licenses go to A. `syncd undo` takes it
    back.
    """
    _merge(context, Kind.USER, (kept, gone), client, reason, dry_run, actor)


def _merge(
    context: typer.Context,
    kind: Kind,
    pair: tuple[str, str],
    client: str | None,
    reason: str,
    dry_run: bool,
    actor: str,
) -> None:
    from syncd.store import answers_runs
    from syncd.sync import merging

    with session.of(context).engine() as engine:
        kept, gone = (desk.meant(engine.database, kind, who, client) for who in pair)
        wanted = merging.Merge(kind, kept, gone, actor or whoever(), reason)
        outcome = merging.merge(engine, wanted, look=dry_run)
        asked = answers_runs.Asked(run=outcome.run, limit=_SHOWN)
        for change in answers_runs.changes(engine.database, asked):
            for line in describe.change_lines(change):
                say(line)
        total = answers_runs.count_changes(engine.database, asked)
    more(min(total, _SHOWN), total, f"syncd changes --run {outcome.run} --limit 0 shows all")
    for notice in outcome.notices:
        say(f"perhaps: {plain(notice)}")
    if dry_run:
        talk("nothing was changed")
    else:
        talk(f"run {outcome.run} {outcome.state}; to take it back: syncd undo {outcome.run}")
    raise typer.Exit(exits.of_outcome(outcome))
