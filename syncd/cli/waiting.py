"""The review queue in words: held plans, records that wait, and whom each of them may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from syncd.cli import finding, gone_places, session
from syncd.cli.advice import advice
from syncd.cli.console import as_json, more, plain, say, talk, typed
from syncd.cli.session import AsJson, Limit
from syncd.entities import Kind
from syncd.errors import AccessLost, UsageError

if TYPE_CHECKING:
    from syncd.store.answers_likely import Hint
    from syncd.store.answers_review import Wanted
    from syncd.store.holds import HoldRow
    from syncd.store.said import Standing
    from syncd.sync.engine import Engine
    from syncd.sync.suggesting import Entry, Offer

RECREATED = "recreated"
"""What the queue calls a new account whose address belonged to one that is gone."""

InConnection = Annotated[
    str | None, typer.Option("--connection", metavar="CONNECTION", help="Of this connection.")
]
InStream = Annotated[
    str | None, typer.Option("--stream", help="organizations, locations or people.")
]
WithCode = Annotated[str | None, typer.Option("--code", help="With this reason code.")]
OfClient = Annotated[
    str | None,
    typer.Option("--client", metavar="CLIENT", help="Of this client, or perhaps this client."),
]


def list_review(
    context: typer.Context,
    *,
    connection: InConnection = None,
    code: WithCode = None,
    client: OfClient = None,
    stream: InStream = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Show what waits for a person: held plans, records set aside and whom each may be, clients and
    sites that no source has any more, and partitions that may not be read any more, where the
    mapping asks for review.
    """
    from syncd.store import answers_likely
    from syncd.sync import suggesting

    with session.of(context).engine() as engine:
        wanted = wanted_by(connection, stream, code)
        owner = client_of(engine, client)
        holds = []
        if not (code or client or stream):
            found = engine.database.query(lambda conn: engine.runs.holds(conn, "waiting"))
            holds = [one for one in found if connection in (None, one.connection)]
        hints = []
        if code in (None, RECREATED):
            hints = answers_likely.recreated(engine.database, wanted)
            hints = [one for one in hints if owner in (None, one.client)]
        queue = suggesting.queue(engine, wanted, owner, limit)
        gone = gone_places.found(engine.database, connection, code, owner, stream, limit)
        lost = []
        if code in (None, AccessLost.code) and not (client or stream):
            lost = gone_places.lost(engine, connection)
    if json:
        as_json(
            holds=holds,
            quarantine=[_entry_data(one) for one in queue.entries],
            quarantined=queue.total,
            recreated=hints,
            gone=gone.lines,
            lost=lost,
        )
        return
    for hold in holds:
        _say_hold(hold)
    for entry in queue.entries:
        _say_entry(entry)
    for hint in hints:
        _say_hint(hint)
    gone_places.say_gone(gone)
    gone_places.say_lost(lost)
    more(len(queue.entries), queue.total, "--limit 0 shows all")
    if not holds and not queue.entries and not hints and not gone.lines and not lost:
        narrowed = any((connection, code, client, stream))
        talk("nothing waits for a person" + (" that fits this filter" if narrowed else ""))


def _say_hold(hold: HoldRow) -> None:
    say(f"plan {hold.id} of {hold.connection} (run {hold.run}) waits since {plain(hold.held_at)}")
    for overrun in hold.overruns:
        say(f"    {plain(overrun['sentence'])}")
    say(f"    see it: syncd changes --run {hold.run}")
    say(f"    do it:  syncd approve {hold.id}     or not: syncd reject {hold.id}")
    say()


def _say_entry(entry: Entry) -> None:
    record, aside = entry.record, entry.record.aside
    assert aside is not None
    say(f"{aside.code}  {plain(record.key)}  ({record.stream} of {record.connection})")
    about = f" ({', '.join(aside.fields)})" if any(aside.fields) else ""
    say(f"    {plain(aside.message)}{about}")
    if record.standing:
        say(f"    decided: {_decided(entry, record.standing)}")
    for number, offer in enumerate(entry.offers):
        say(f"    {'         ' if number else 'perhaps: '}{_offered(offer)}")
    if repair := advice(aside.code):
        say(f"    repair: {repair}")
    say(f"    since {plain(aside.since)} (run {aside.run})")
    for line in _command_lines(_commands(entry)):
        say(f"    {line}")
    say()


def _decided(entry: Entry, standing: Standing) -> str:
    """What a person said already of a record that still waits."""
    from syncd.mapping.words import VOID

    word, aside = standing.word, entry.record.aside
    what = f"{word.verdict} to {plain(entry.named)}" if entry.named else word.verdict
    when = "" if aside and aside.code == VOID else "; done as soon as nothing else is in its way"
    return f"{what}, said by {plain(word.actor)} on {plain(standing.at)}{when}"


def _offered(offer: Offer) -> str:
    taken = f"; it has another record of this source: {plain(offer.taken)}" if offer.taken else ""
    return f"{plain(offer.label)}: {offer.why}{taken}"


def _commands(entry: Entry) -> dict[str, str]:
    """What to type, by verb: only what can be done."""
    from syncd.sync.rulings import is_a_place
    from syncd.sync.suggesting import MATCHING

    record, aside = entry.record, entry.record.aside
    if is_a_place(record):
        return {}
    key, made = typed(record.key), {}
    free = next((one for one in entry.offers if not one.taken), None)
    if free:
        made["link"] = f"syncd review link {key} {free.id}"
    homeless = record.kind is not Kind.CLIENT and aside and aside.code == "unknown_client"
    if aside and aside.code in MATCHING and not homeless:
        made["create"] = f"syncd review create {key}"
    made["ignore"] = f"syncd review ignore {key}"
    if record.standing:
        made["forget"] = f"syncd review forget {key}"
    return made


def _command_lines(commands: dict[str, str]) -> Iterator[str]:
    meanings = {
        "link": "link it: ", "create": "a new one:", "ignore": "ignore it:", "forget": "undecided:"
    }  # fmt: skip
    for verb, command in commands.items():
        yield f"{meanings[verb]:<11}{command}"


def _say_hint(hint: Hint) -> None:
    group = f"{hint.kind}s"
    say(f"{RECREATED}  {plain(hint.key)}  ({hint.stream} of {hint.connection})")
    say(f"    {plain(hint.label)} was created by run {hint.run}, and {hint.why}")
    for rival, label in hint.rivals:
        say(f"    perhaps the same as {plain(label)}: syncd {group} merge {rival} {hint.entity}")
    say(f"    if not:    syncd review dismiss {typed(hint.key)}")
    say()


def _entry_data(entry: Entry) -> dict[str, Any]:
    record, aside = entry.record, entry.record.aside
    assert aside is not None
    return {
        "connection": record.connection,
        "partition": record.partition_name,
        "stream": record.stream,
        "key": record.key,
        "code": aside.code,
        "message": aside.message,
        "fields": aside.fields,
        "since": aside.since,
        "run": aside.run,
        "repair": advice(aside.code),
        "client": entry.client,
        "decided": _decided_data(entry),
        "rivals": [one.label for one in entry.offers],
        "suggestions": entry.offers,
        "commands": _commands(entry),
    }


def _decided_data(entry: Entry) -> dict[str, Any] | None:
    standing = entry.record.standing
    if standing is None:
        return None
    told = {**standing.word._asdict(), "label": entry.named}
    return {**told, "at": standing.at, "run": standing.run}


# -- filters ---------------------------------------------------------------------------------------


def wanted_by(
    connection: str | None, stream: str | None, code: str | None, key: str | None = None
) -> Wanted:
    """Which records a filter asks for; UsageError for a stream that there is not."""
    from syncd.store.answers_review import STREAMS, Wanted

    if stream is not None and stream not in STREAMS:
        raise UsageError(f'there is no stream "{stream}", only {", ".join(STREAMS)}')
    return Wanted(connection, stream, code, key)


def client_of(engine: Engine, client: str | None) -> UUID | None:
    """The client that an option names."""
    return finding.one(engine.database, Kind.CLIENT, client).id if client else None
