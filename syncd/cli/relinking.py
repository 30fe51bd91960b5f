"""connections relink: people are known by another key from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import exits, session
from syncd.cli.console import plain, say, some, talk
from syncd.cli.merging import DryRun
from syncd.cli.session import Actor, whoever
from syncd.cli.syncing import Connection, Partition

if TYPE_CHECKING:
    from syncd.sync.relinking import Relinked

Key = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="HEADING",
        help="The heading whose cells identify users from now on; several times for several. "
        "Default: `key`, as it is configured.",
    ),
]


def relink(
    context: typer.Context,
    name: Connection,
    partition: Partition = None,
    *,
    key: Key = None,
    dry_run: DryRun = False,
    actor: Actor = "",
) -> None:
    """Know the people of a spreadsheet by another key, without taking any for somebody else.

    Change `key` in the connection's file, look with --dry-run, then do it: each record keeps its
    user and its history. What is stored of every record must hold its new key, and no two the same.
    """
    from syncd.sync import relinking

    with session.of(context).engine() as engine:
        wanted = relinking.Wanted(name, partition, tuple(key or ()), actor or whoever())
        if dry_run:
            _say(relinking.look(engine, wanted))
            talk("nothing was changed")
            return
        outcome, done = relinking.relink(engine, wanted)
    _say(done)
    talk(
        f"run {outcome.run} {outcome.state}; to go back, set `key` back and say "
        f"syncd connections relink {name} again"
    )
    raise typer.Exit(exits.of_outcome(outcome))


def _say(found: list[Relinked]) -> None:
    for one in found:
        what = "no record has another key by that" if not one.records else _count(one)
        say(f"{plain(one.partition)}: {what}")
        for old, new in one.examples:
            say(f"    {plain(old)} -> {plain(new)}")
        if one.records > len(one.examples):
            say(f"    and {one.records - len(one.examples)} more")


def _count(one: Relinked) -> str:
    have = "gets" if one.records == 1 else "get"
    return f"{some(one.records, 'record')} {have} another key"
