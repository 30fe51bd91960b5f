"""runs, changes: what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import describe, finding, session
from syncd.cli.console import as_json, more, plain, say, table, talk
from syncd.cli.session import AsJson, InClient, Limit
from syncd.entities import Kind
from syncd.errors import UsageError

if TYPE_CHECKING:
    from syncd.store.answers_runs import ChangeLine, RunLine


def runs(
    context: typer.Context,
    run: Annotated[int | None, typer.Argument(help="Show this one with its changes.")] = None,
    *,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List the runs, newest first, or show one."""
    from syncd.store import answers_runs

    with session.of(context).engine() as engine:
        found = answers_runs.runs(engine.database, run=run, limit=limit)
        if run is not None and not found:
            raise UsageError(f"there is no run {run}; `syncd runs` lists them")
        if run is not None and not json:
            asked = answers_runs.Asked(run=run, limit=limit)
            _say_run(found[0])
            _say_changes(answers_runs.changes(engine.database, asked))
            total = answers_runs.count_changes(engine.database, asked)
            more(min(limit or total, total), total, "--limit 0 lists all changes")
            return
    if json:
        as_json(runs=found)
        return
    table(
        ("run", "started", "connection", "mode", "state", "by", "reason"),
        [
            (one.id, one.started_at, one.connection or "-", one.mode, _state(one), one.actor,
             one.reason)
            for one in found
        ],
    )  # fmt: skip


def _state(one: RunLine) -> str:
    if one.undone_by:
        return f"{one.state}, undone by {one.undone_by}"
    if one.partly_undone_by:
        return f"{one.state}, partly undone by {', '.join(map(str, one.partly_undone_by))}"
    return one.state


def _say_run(one: RunLine) -> None:
    say(
        f"run {one.id}: {one.mode} of {one.connection or 'the desk'} by {one.actor} ({one.trigger})"
    )
    say(f"  {_state(one)}{f': {one.reason}' if one.reason else ''}")
    say(f"  from {plain(one.started_at)} to {plain(one.ended_at) or 'now'}")
    if one.undoes:
        say(f"  takes back {'a part of ' if one.undoes_a_part else ''}run {one.undoes}")
    for name, count in one.counts.items():
        if count:
            say(f"  {count:>8} {name}")


def changes(
    context: typer.Context,
    *,
    run: Annotated[int | None, typer.Option(help="Of this run, even if it only planned.")] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Of this user.")] = None,
    client: InClient = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Show the history: every change that a source or a person made, newest first."""
    from syncd.store import answers_runs

    with session.of(context).engine() as engine:
        owner = finding.one(engine.database, Kind.CLIENT, client).id if client else None
        entity = finding.one(engine.database, Kind.USER, user, owner).id if user else None
        asked = answers_runs.Asked(run, entity, owner if entity is None else None, limit)
        found = answers_runs.changes(engine.database, asked)
        total = answers_runs.count_changes(engine.database, asked)
    if json:
        as_json(changes=[describe.change_json(one) for one in found], total=total)
        return
    _say_changes(found)
    more(len(found), total, "--limit 0 shows all")


def _say_changes(found: list[ChangeLine]) -> None:
    for one in found:
        say()
        say(f"{plain(one.at)}  {describe.origin(one)}")
        for line in describe.change_lines(one):
            say(f"  {line}")
    if not found:
        talk("no changes")
