"""review: what a person may say about one record that waits, or about many."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import describe, exits, finding, session
from syncd.cli.console import more, plain, say, some, talk, typed
from syncd.cli.exits import Exit
from syncd.cli.groups import Searchable
from syncd.cli.session import Actor, whoever
from syncd.cli.waiting import (
    InConnection,
    InStream,
    OfClient,
    WithCode,
    client_of,
    list_review,
    wanted_by,
)
from syncd.errors import UsageError

if TYPE_CHECKING:
    from syncd.store.answers_review import Record
    from syncd.sync.engine import Engine
    from syncd.sync.reviewing import Answer
    from syncd.sync.rulings import Case, Verb

review = typer.Typer(
    cls=Searchable, help="List what waits for a person, or decide what becomes of a record."
)
review.command("list")(list_review)

SHOWN = 20
"""Changes that are listed of what a decision did."""

Key = Annotated[str, typer.Argument(metavar="KEY", help="The source's key of the record.")]
Keys = Annotated[
    str | None, typer.Argument(metavar="KEY", show_default="all that the filter finds")
]
Because = Annotated[str | None, typer.Option("--reason", help="Why, for the history.")]
Sure = Annotated[bool, typer.Option("--yes", help="Do not ask before many are decided.")]


@review.command("link")
def link(
    context: typer.Context,
    key: Keys = None,
    who: Annotated[
        str | None, typer.Argument(metavar="WHO", help="An address, reference, name or id.")
    ] = None,
    *,
    connection: InConnection = None,
    stream: InStream = None,
    code: WithCode = None,
    client: OfClient = None,
    reason: Because = None,
    yes: Sure = False,
    actor: Actor = "",
) -> None:
    """Tie a record to a user, client or site for good; with a filter, each of many records to whom
    a shared key proves it to be.
    """
    from syncd.sync.rulings import Case, Verb

    if key is None:
        _decide_many(context, Verb.LINK, connection, stream, code, client, reason, yes, actor)
        return
    if who is None:
        raise UsageError(f"say whom to link it to: syncd review link {typed(key)} WHO")
    _refuse_filter(code)
    with session.of(context).engine() as engine:
        record = _record(engine, Verb.LINK, key, connection, stream)
        owner = client_of(engine, client)
        whom = finding.one(engine.database, record.kind, who, owner).id
        _decide_one(engine, Verb.LINK, Case(record, whom), reason, actor)


def _about_one_or_many(verb: str) -> Callable[..., None]:
    def command(
        context: typer.Context,
        key: Keys = None,
        *,
        connection: InConnection = None,
        stream: InStream = None,
        code: WithCode = None,
        client: OfClient = None,
        reason: Because = None,
        yes: Sure = False,
        actor: Actor = "",
    ) -> None:
        from syncd.sync.rulings import Verb

        if key is None:
            _decide_many(context, Verb(verb), connection, stream, code, client, reason, yes, actor)
            return
        _refuse_filter(code, client)
        _one(context, verb, key, connection, stream, reason, actor)

    return command


def _about_one(verb: str) -> Callable[..., None]:
    def command(
        context: typer.Context,
        key: Key,
        *,
        connection: InConnection = None,
        stream: InStream = None,
        reason: Because = None,
        actor: Actor = "",
    ) -> None:
        _one(context, verb, key, connection, stream, reason, actor)

    return command


for _verb, _told in {
    "create": "Make something new of a record, whoever has its keys; with a filter, of many.",
    "ignore": "Leave a record alone for ever, whatever it says; with a filter, many.",
}.items():
    review.command(_verb, help=_told)(_about_one_or_many(_verb))

for _verb, _told in {
    "unlink": "Untie a record from whom it is linked to; it waits here until somebody decides.",
    "pin": "Let nobody but a person change whom a record is linked to.",
    "unpin": "Take a pin off.",
    "forget": "Take back what was said about a record: the next sync plans it as if nobody had.",
    "dismiss": "Say that an account that looks re-created is rightly one of its own.",
}.items():
    review.command(_verb, help=_told)(_about_one(_verb))


# -- one record ------------------------------------------------------------------------------------


def _one(
    context: typer.Context,
    verb: str,
    key: str,
    connection: str | None,
    stream: str | None,
    reason: str | None,
    actor: str,
) -> None:
    from syncd.sync.rulings import Case, Verb

    with session.of(context).engine() as engine:
        record = _record(engine, Verb(verb), key, connection, stream)
        _decide_one(engine, Verb(verb), Case(record), reason, actor)


def _refuse_filter(*filters: str | None) -> None:
    if any(filters):
        raise UsageError(
            "a KEY names one record, --code and --client find many: give one or the other"
        )


def _record(
    engine: Engine, verb: Verb, key: str, connection: str | None, stream: str | None
) -> Record:
    """The one record that a key names, among those of which `verb` can be said if there are any."""
    from syncd.store import answers_review

    wanted = wanted_by(connection, stream, None, key)
    named = answers_review.named(engine.database, wanted)
    fitting = [one for one in named if _fits(verb, one)] or named
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(
            f'no source has a record with the key "{key}"; `syncd review` lists what waits'
        )
    listed = "".join(f"\n  --connection {one.connection} --stream {one.stream}" for one in fitting)
    raise UsageError(f'several records have the key "{key}"; say which:{listed}')


def _fits(verb: Verb, record: Record) -> bool:
    from syncd.sync.rulings import Verb

    if verb in (Verb.LINK, Verb.CREATE, Verb.IGNORE):
        return record.aside is not None and record.tied is None
    if verb is Verb.FORGET:
        return record.standing is not None
    return record.tied is not None


def _decide_one(engine: Engine, verb: Verb, case: Case, reason: str | None, actor: str) -> None:
    from syncd.sync import reviewing
    from syncd.sync.rulings import Ruling

    answer = reviewing.decide(engine, Ruling(verb, actor or whoever(), reason), [case])
    if answer.left:
        raise UsageError(f"{case.record.key}: {answer.left[0][1]}")
    _end(engine, answer)


# -- many records ----------------------------------------------------------------------------------


def _decide_many(
    context: typer.Context,
    verb: Verb,
    connection: str | None,
    stream: str | None,
    code: str | None,
    client: str | None,
    reason: str | None,
    yes: bool,
    actor: str,
) -> None:
    """Decide on all that the filter finds."""
    from syncd.store import answers_review
    from syncd.sync import reviewing, suggesting
    from syncd.sync.rulings import Ruling

    if not any((connection, stream, code, client)):
        raise UsageError(
            "name a KEY, or say which ones: --code, --connection, --stream or --client "
            "(`syncd review` with the same filter shows them)"
        )
    with session.of(context).engine() as engine:
        wanted, owner = wanted_by(connection, stream, code), client_of(engine, client)
        cases, left = suggesting.choose(engine, verb, wanted, owner)
        if not cases and not left:
            known = ", ".join(answers_review.codes(engine.database)) or "nothing"
            talk(f"nothing that waits fits this filter; what waits: {known}")
            return
        if cases:
            _ask(verb, len(cases), len(left), yes)
        answer = reviewing.decide(engine, Ruling(verb, actor or whoever(), reason), cases)
        answer.left = [*left, *answer.left]
        _end(engine, answer)


def _ask(verb: str, count: int, left: int, yes: bool) -> None:
    question = f"{verb} {some(count, 'record')}"
    if left:
        question += f", and leave {left} for which it cannot be said"
    if yes:
        talk(question)
    elif not sys.stdin.isatty():
        raise UsageError(f"this would {question}; say --yes to do it")
    else:
        typer.confirm(f"{question}?", abort=True, err=True)


def _end(engine: Engine, answer: Answer) -> None:
    """Say what was done and what was not, and end with its exit code."""
    from syncd.store import answers_runs

    codes = [exits.of_outcome(outcome) for _, outcome in answer.outcomes]
    for name, outcome in answer.outcomes:
        asked = answers_runs.Asked(run=outcome.run, limit=SHOWN)
        changes = answers_runs.changes(engine.database, asked)
        for change in changes:
            for line in describe.change_lines(change):
                say(line)
        total = answers_runs.count_changes(engine.database, asked)
        more(len(changes), total, f"syncd changes --run {outcome.run} --limit 0 shows all")
        talk(f"run {outcome.run} of {name} {outcome.state}; take it back: syncd undo {outcome.run}")
    for record, why in answer.waiting:
        say(f"still waits  {plain(record.key)}: {plain(why)}; then what was said is done")
    for record, why in answer.left:
        say(f"left alone   {plain(record.key)}: {plain(why)}")
    if answer.waiting or answer.left:
        codes.append(Exit.QUARANTINED)
    raise typer.Exit(exits.worst(codes))
