"""gaps: people whom a source has and the desk has not, and users whom no source has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from syncd.cli import finding, session
from syncd.cli.advice import advice
from syncd.cli.console import as_json, more, plain, say, some
from syncd.cli.session import AsJson, InClient
from syncd.entities import Kind

if TYPE_CHECKING:
    from syncd.store.database import Database
    from syncd.sync.gaps import Asked, Gaps, Missing, Reason, Unsourced

L = TypeVar("L")
FIRST = 20
"""Lines of each direction that a person is shown unless they ask for more."""

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONNECTION]",
        show_default="all of them",
        help="Whose people; the other direction is about all sources.",
    ),
]
Most = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=0,
        show_default=f"{FIRST}; --json: 0",
        help="At most so many of each direction; 0: all.",
    ),
]


def gaps(
    context: typer.Context,
    name: Name = None,
    *,
    client: InClient = None,
    limit: Most = None,
    json: AsJson = False,
) -> None:
    """Tell who is in a source and not on the desk, who is on the desk and in no source, and why."""
    from syncd.sync import gaps as both

    with session.of(context).engine() as engine:
        if name is not None:
            finding.known_connection(engine, name)
        asked = _asked(engine.database, name, client, _limit(limit, json))
        people, users = both.missing_people(engine, asked), both.unsourced_users(engine, asked)
        if asked.one_client and asked.client is None and not people.total:
            finding.one(engine.database, Kind.CLIENT, asked.word)  # nobody knows it: says so
    if json:
        as_json(
            people_not_on_the_desk=_as_data(people, "people", _missing_json),
            users_in_no_source=_as_data(users, "users", _unsourced_json),
        )
        return
    _say("people of a source who are not on the desk", people, asked.limit, _missing_lines)
    say()
    _say("users on the desk whom no source has", users, asked.limit, _unsourced_lines)


def _limit(limit: int | None, json: bool) -> int:
    if limit is None:
        return 0 if json else FIRST
    return limit


def _asked(database: Database, name: str | None, client: str | None, limit: int) -> Asked:
    """A client may be one that only a source knows: whose people wait as it does itself."""
    from syncd.store import answers
    from syncd.sync.gaps import Asked

    found = answers.referred(database, Kind.CLIENT, client) if client else []
    if client and len(found) > 1:
        raise finding.ambiguous(client, found)
    return Asked(name, found[0].id if found else None, client or "", limit)


# -- telling ---------------------------------------------------------------------------------------


def _say(what: str, found: Gaps[L], most: int, lines: Callable[[L], Iterator[str]]) -> None:
    """How many of which clients, then the first of them by client."""
    say(f"{what}: {found.total or 'none'}")
    width = len(str(found.total))
    shown = found.clients[: most or None]
    for client, count in shown:
        say(f"  {count:>{width}}  {_client(client)}")
    if left := len(found.clients) - len(shown):
        say(f"  {'…':>{width}}  {some(left, 'more client')}")
    for client, these in groupby(found.lines, key=attrgetter("client")):
        say()
        say(f"  {_client(client)}")
        for one in these:
            for line in lines(one):
                say(f"    {line}")
    more(len(found.lines), found.total, "--limit 0 shows all")


def _client(name: str | None) -> str:
    return plain(name) if name else "(no client)"


def _labeled(name: str | None, address: str | None) -> str:
    return " ".join(filter(None, (plain(name), f"<{plain(address)}>" if address else "")))


def _missing_lines(one: Missing) -> Iterator[str]:
    where = f"{one.connection} {plain(one.key)}"
    if one.partition != "all":
        where += f" in {plain(one.partition)}"
    who = _labeled(one.name, one.mail)
    yield f"{who}  ({where})" if who else where
    about = f" ({', '.join(one.fields)})" if any(one.fields) else ""
    said = plain(one.message) + about
    yield f"    {one.code}: {said}" if said else f"    {one.code}{_by(one)}"
    if one.rivals:
        yield "    perhaps: " + "; ".join(map(plain, one.rivals))
    if repair := advice(one.code):
        yield f"    repair: {repair}"


def _by(one: Missing) -> str:
    return f" by {plain(one.actor)}" if one.actor and one.code != "skipped" else ""


def _unsourced_lines(one: Unsourced) -> Iterator[str]:
    yield _labeled(one.name, one.email or one.login)
    for reason in one.reasons:
        yield f"    {sentence(reason)}"
    if one.keep_active:
        yield "    kept active: it is flagged so"
    elif one.set_active:
        yield "    kept active: a person set it so"


def sentence(reason: Reason) -> str:
    """Why no source has a user, as a sentence."""
    who = f" by {plain(reason.actor)}" if reason.actor else ""
    when = plain(reason.since)
    if reason.code == "added":
        return f"added by hand{who}{f' on {when}' if when else ''}"
    source = f"{reason.connection} {plain(reason.key)}"
    if reason.code != "gone":
        day = f" on {when}" if when else ""
        return f"{reason.code}{who}{day}: no more tied to {source}"
    why = f" ({plain(reason.reason).replace('_', ' ')})" if reason.reason else ""
    return f"gone from {source}{why}{f' since {when}' if when else ''}; {_rule(reason)}"


def _rule(reason: Reason) -> str:
    if reason.rule is None:
        return "its rule is not known: is its connection still configured?"
    if reason.rule == "deactivate" and reason.undo:
        return f"its rule is to deactivate, but an undo made it active again (run {reason.undo})"
    if reason.rule == "deactivate":
        return "its rule is to deactivate, but it was kept active or made active again"
    return f"its rule is to {reason.rule}"


# -- data ------------------------------------------------------------------------------------------


def _as_data(found: Gaps[L], what: str, told: Callable[[L], dict[str, Any]]) -> dict[str, Any]:
    clients = [{"client": client, "count": count} for client, count in found.clients]
    return {"total": found.total, "clients": clients, what: [told(one) for one in found.lines]}


def _missing_json(one: Missing) -> dict[str, Any]:
    return {**one._asdict(), "repair": advice(one.code)}


def _unsourced_json(one: Unsourced) -> dict[str, Any]:
    reasons = [{**reason._asdict(), "sentence": sentence(reason)} for reason in one.reasons]
    return {**one._asdict(), "reasons": reasons}
