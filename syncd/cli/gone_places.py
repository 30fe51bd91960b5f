"""Clients and sites that no source has any more, and partitions that may not be read any more: they
wait for a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import finding, session
from syncd.cli.console import more, plain, say, some, typed
from syncd.cli.session import Actor, whoever
from syncd.entities import Kind
from syncd.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from syncd.store.answers import Found
    from syncd.store.answers_gone import GonePlace, GoneRecord
    from syncd.store.answers_partitions import LostPartition
    from syncd.store.database import Database
    from syncd.sync.engine import Engine

GONE = "gone"
"""What the queue calls a client or site that no source has any more."""
_KINDS: dict[str, tuple[Kind, ...]] = {
    "organizations": (Kind.CLIENT,),
    "locations": (Kind.SITE,),
    "people": (),
}


def found(
    database: Database,
    connection: str | None,
    code: str | None,
    client: UUID | None,
    stream: str | None,
    limit: int,
) -> Found[GonePlace]:
    """Those of them that the filters of the review queue let pass."""
    from syncd.store import answers_gone

    kinds = _KINDS[stream] if stream else answers_gone.ALL.kinds
    wanted = answers_gone.Wanted(connection, client, kinds if code in (None, GONE) else ())
    return answers_gone.gone_places(database, limit, wanted)


def say_gone(found: Found[GonePlace]) -> None:
    """What is gone, from which source and since when, how many it concerns, and what to type."""
    for one in found.lines:
        say(f"gone {one.kind}  {plain(one.label)}: {some(one.users, 'active user')}")
        for record in one.records:
            say(f"    {_told(record)}")
        say(f"    keep it: syncd review keep {typed(one.records[0].key)}")
        say(f"    or not:  syncd {one.kind}s deactivate {one.id}")
        say()
    more(len(found.lines), found.total, "--limit 0 shows all")


def lost(engine: Engine, connection: str | None) -> list[LostPartition]:
    """The partitions without access, of all connections or one, whose mapping asks for review."""
    from syncd.store import answers_partitions

    asking = [
        name
        for name in engine.settings.connections
        if connection in (None, name)
        and (speaker := engine.speaker(name))
        and speaker.rules.mapping.gone.access_lost.action == "review"
    ]
    return answers_partitions.lost(engine.database, asking)


def say_lost(found: Sequence[LostPartition]) -> None:
    """Which partitions, since when, how many it concerns, and what to type."""
    for one in found:
        part = typed(one.key or one.name)
        say(f"access_lost  {plain(one.name)} of {one.connection}: {some(one.users, 'active user')}")
        since = f"since {plain(one.since)} (run {one.run})"
        say(f"    may not be read {since}; all of it stays as it is")
        say(f"    once access is back: syncd sync {one.connection}")
        say(f"    gone for good:       syncd connections retire {one.connection} {part}")
        say()


def _told(record: GoneRecord) -> str:
    place = f"{record.connection} {plain(record.key)}"
    if record.partition != "all":
        place += f" in {plain(record.partition)}"
    since = f" since {plain(record.since)}" if record.since else ""
    return f"{record.reason} in {place}{since}"


def keep(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The source's key of the record.")],
    *,
    connection: Annotated[
        str | None, typer.Option("--connection", metavar="CONNECTION", help="Of this connection.")
    ] = None,
    actor: Actor = "",
) -> None:
    """Keep a client or site whose record is gone: it stays active, and waits no more."""
    from syncd.cli.desk import say_done
    from syncd.store import answers, answers_gone
    from syncd.sync import editing

    with session.of(context).engine() as engine:
        found = answers_gone.gone_by_key(engine.database, key, connection)
        if not found:
            raise UsageError(
                f"no client or site waits because its record {typed(key)} is gone "
                "(syncd review lists those that do)"
            )
        if len(found) > 1:
            ids = [one for _, one in found]
            named = engine.database.query(lambda conn: answers.named(engine.database, conn, ids))
            raise finding.ambiguous(key, named)
        ((kind, entity),) = found
        outcome = editing.set_values(engine, kind, entity, {"active": "yes"}, actor or whoever())
        say_done(engine, outcome)
