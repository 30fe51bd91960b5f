"""leavers: who is on the way out, when and why, and what would stop it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import finding, session
from syncd.cli.console import as_json, more, plain, say, talk
from syncd.cli.session import AsJson, InClient, Limit
from syncd.entities import Kind

if TYPE_CHECKING:
    from syncd.sync.leavers import Leaver

Name = Annotated[
    str | None,
    typer.Argument(metavar="[CONNECTION]", show_default="all of them", help="Whose records."),
]


def leavers(
    context: typer.Context,
    name: Name = None,
    *,
    client: InClient = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Tell who is on the way out, when and why, and who waits for a person's word."""
    from syncd.store.answers_leavers import Wanted
    from syncd.sync import leavers as going

    with session.of(context).engine() as engine:
        if name is not None:
            finding.known_connection(engine, name)
        owner = finding.one(engine.database, Kind.CLIENT, client).id if client else None
        found = going.leavers(engine, Wanted(name, owner, limit=limit))
    if json:
        as_json(leavers=[as_data(one) for one in found.lines], total=found.total)
        return
    for one in found.lines:
        address = one.email or one.login
        say(f"{plain(one.name)}{f' <{plain(address)}>' if address else ''}  ({plain(one.client)})")
        for line in lines(one):
            say(f"    {line}")
    if not found.lines:
        talk("nobody is on the way out")
    more(len(found.lines), found.total, "--limit 0 shows all")


def lines(one: Leaver) -> Iterator[str]:
    """Why a user leaves and since when; how far the clock is; what happens; what stops it."""
    why = plain(one.reason).replace("_", " ") or "going"
    since = f" since {plain(one.since)}" if one.since else ""
    yield f"{one.connection} {plain(one.key)}: {why}{since}"
    yield "; ".join(_course(one))
    if one.kept:
        yield f"but it stays: {plain(one.kept)}"


def _course(one: Leaver) -> Iterator[str]:
    if one.waits:
        who = shlex.quote(one.email or one.login or str(one.user))
        yield "its rule is to review: it waits for a person"
        yield f"deactivate it: syncd users set {who} active=no"
        yield f"or keep it: syncd users set {who} keep_active=yes"
        return
    yield from _clock(one)
    yield _outcome(one)
    if one.paused:
        yield "but its connection is not active, and only a read acts"


def _clock(one: Leaver) -> Iterator[str]:
    told = []
    if one.reads:
        told.append(f"read {one.reads[0]} of {one.reads[1]}")
    if one.days:
        told.append(f"day {one.days[0]} of {one.days[1]}")
    if one.overdue:
        told.append("due at the next complete read")
    elif one.due:
        told.append(f"due {plain(one.due)} at the earliest")
    if told:
        yield ", ".join(told)


def _outcome(one: Leaver) -> str:
    if one.action is None:
        return "its rule is not known: is its connection still configured?"
    if one.action == "deactivate":
        return "then deactivated" + (", its licenses released" if one.release_licenses else "")
    return f"then its rule is to {one.action}: it stays active"


def as_data(one: Leaver) -> dict[str, Any]:
    """A leaver for programs; of reads and days, how many of how many."""
    told = asdict(one)
    for clock in ("reads", "days"):
        passed = told[clock]
        told[clock] = passed and {"passed": passed[0], "of": passed[1]}
    return {**told, "waits_for_a_person": one.waits}
