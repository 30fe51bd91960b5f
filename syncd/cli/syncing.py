"""plan, sync, approve, reject, undo, resume, retire: what makes changes, or says which it would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from syncd.cli import describe, exits, finding, session
from syncd.cli.console import as_json, complain, more, say, some, talk
from syncd.cli.exits import Exit
from syncd.cli.session import Actor, AsJson, whoever
from syncd.entities import Kind
from syncd.errors import ConfigError, SyncdError, UsageError

if TYPE_CHECKING:
    from syncd.store.answers_runs import AsideLine, ChangeLine
    from syncd.store.undone import Wanted
    from syncd.sync.engine import Engine
    from syncd.sync.flow import Outcome

FIRST = 20
"""Changes that are listed unless all are asked for."""

Name = Annotated[str | None, typer.Argument(metavar="[CONNECTION]", show_default="all of them")]
Connection = Annotated[str, typer.Argument(metavar="CONNECTION")]
Partition = Annotated[
    str | None,
    typer.Argument(
        metavar="[PARTITION]",
        show_default="all of it",
        help="A key or name, as in `syncd connections partitions`.",
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="List every change.")]
Full = Annotated[bool, typer.Option("--full", help="Read everything, not only what changed.")]
Waiting = Annotated[int, typer.Argument(metavar="PLAN", help="The number of a plan, or its run.")]


def plan(
    context: typer.Context,
    name: Name = None,
    *,
    full: Full = False,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="As if this were its mapping, by what it said so far: asks nobody."
        ),
    ] = None,
    everything: Everything = False,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 if anything would change.")
    ] = False,
    json: AsJson = False,
    actor: Actor = "",
) -> None:
    """Show what a sync would do, and do nothing."""
    answer = _Answer(everything=everything, json=json, detailed=detailed)
    if mapping is None:
        _each(context, name, "plan", full, actor, answer)
    elif full:
        raise UsageError("--full reads the source, and --mapping never does; leave one of them out")
    else:
        _plan_under(context, name, mapping, actor, answer)


def sync(
    context: typer.Context,
    name: Name = None,
    *,
    full: Full = False,
    everything: Everything = False,
    json: AsJson = False,
    actor: Actor = "",
) -> None:
    """Read the source and bring clients, sites and users up to date."""
    _each(context, name, "apply", full, actor, _Answer(everything=everything, json=json))


def approve(
    context: typer.Context, waiting: Waiting, *, json: AsJson = False, actor: Actor = ""
) -> None:
    """Do exactly what a held plan says."""
    from syncd.sync import deciding, dropping

    answer = _Answer(json=json)
    with session.of(context).working_engine() as engine:
        outcome = deciding.approve(engine, waiting, actor or whoever())
        name = _connection_of(engine, outcome.run)
        outcome.file = dropping.follow(engine, name, outcome.run)
        answer.add(engine, name, outcome)
    answer.end()


def reject(
    context: typer.Context, waiting: Waiting, *, json: AsJson = False, actor: Actor = ""
) -> None:
    """Lay a held plan aside; the same plan is not raised again."""
    from syncd.sync import deciding, dropping

    with session.of(context).engine() as engine:
        hold = deciding.reject(engine, waiting, actor or whoever())
        file = dropping.follow(engine, hold.connection, hold.run)
    if json:
        as_json(hold=hold, file=file)
        return
    say(f"plan {hold.id} of {hold.connection} (run {hold.run}) was rejected by {hold.decided_by}")
    for line in describe.file_lines(file):
        say(line)
    talk("nothing was changed, and this very plan is not raised again")


def undo(
    context: typer.Context,
    run: Annotated[int, typer.Argument(help="The run to take back; see `syncd runs`.")],
    *,
    user: Annotated[
        list[str] | None,
        typer.Option(metavar="WHO", help="Only what it did to this user; may be repeated."),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLIENT", help="Only this client, its sites and users; may be repeated."
        ),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this field, also `site`, `client` or `active`; may be repeated.",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Set by hand what is restored: no sync does the same again."),
    ] = False,
    json: AsJson = False,
    actor: Actor = "",
) -> None:
    """Take a run back, field by field; its connection is paused until someone resumes it.

    With --user, --client or --field only what fits all of them; the rest can be undone later.
    """
    from syncd.sync import undoing

    answer = _Answer(json=json)
    with session.of(context).working_engine() as engine:
        wanted = _wanted(engine, user or [], client or [], field or [], keep)
        name = _connection_of(engine, run)
        outcome = undoing.undo(engine, run, actor or whoever(), wanted)
        answer.add(engine, name, outcome)
        row = engine.database.query(lambda conn: engine.runs.connection(conn, name or ""))
    if keep:
        talk("what was restored is set by hand now (syncd users release gives it back)")
    if name in engine.settings.connections and row and row.state == "paused":
        talk(f"{name} is paused now; when its source is mended: syncd resume {name}")
    answer.end()


def _wanted(
    engine: Engine, users: list[str], clients: list[str], fields: list[str], keep: bool
) -> Wanted:
    """What of a run is to be taken back, from what was typed."""
    from syncd.store.undone import Wanted
    from syncd.sync.undo_parts import fields_named

    return Wanted(
        frozenset(finding.one(engine.database, Kind.USER, one).id for one in users),
        frozenset(finding.one(engine.database, Kind.CLIENT, one).id for one in clients),
        fields_named(fields),
        keep,
    )


def retire(
    context: typer.Context,
    name: Connection,
    partition: Partition = None,
    *,
    json: AsJson = False,
    actor: Actor = "",
) -> None:
    """Say that a connection is gone for good, or one partition of it: all of its records count as
    gone. A plan that makes many leave waits for a decision, as ever.
    """
    from syncd.sync import connections

    answer = _Answer(json=json)
    with session.of(context).working_engine() as engine:
        outcome = connections.retire(engine, name, actor or whoever(), partition)
        answer.add(engine, name, outcome)
    answer.end()


def resume(
    context: typer.Context,
    name: Connection,
    partition: Partition = None,
    *,
    actor: Actor = "",
) -> None:
    """Let a connection that was paused or retired sync again, or read a retired partition again."""
    from syncd.sync import connections

    with session.of(context).engine() as engine:
        paused = connections.waiting(engine, name)
        row = connections.resume(engine, name, actor or whoever(), partition)
    say(f"{row.name} is {row.state}")
    if paused.reason:
        talk(f"it was paused: {paused.reason}")
    if paused.unsettled:
        talk(f"{some(paused.unsettled, 'record')} of it will be planned again")
    talk(f"to see what the next sync would do: syncd plan {name}")


# -- one connection after the other ----------------------------------------------------------------


def _each(
    context: typer.Context,
    name: str | None,
    mode: Literal["plan", "apply"],
    full: bool,
    actor: str,
    answer: _Answer,
) -> None:
    from syncd.sync import dropping

    with session.of(context).working_engine() as engine:
        for one in [name] if name else _active(engine):
            try:
                outcomes = dropping.sync_all(
                    engine, one, mode=mode, full=full, actor=actor or whoever()
                )
                for outcome in outcomes:
                    answer.add(engine, one, outcome)
            except SyncdError as error:
                if name or engine.stop.is_set():
                    raise
                answer.failed(one, error)
        if name and not answer.codes:
            talk(f"{name}: nothing was dropped, so there is nothing to do")
    answer.end()


def _plan_under(
    context: typer.Context, name: str | None, file: Path, actor: str, answer: _Answer
) -> None:
    from syncd.sync import replanning

    with session.of(context).working_engine() as engine:
        one = name or _only(engine)
        answer.add(engine, one, replanning.plan_under(engine, one, file, actor or whoever()))
    answer.end()


def _only(engine: Engine) -> str:
    """The connection that is meant where none is named."""
    names = list(engine.settings.connections)
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names) or "none"
    raise UsageError(f"say whose mapping this would be: syncd plan CONNECTION; there is: {listed}")


def _active(engine: Engine) -> list[str]:
    """Every configured connection that nobody paused."""
    from syncd.store import answers_runs

    if not engine.settings.connections:
        raise ConfigError(
            f"there is no connection yet: write {engine.settings.folder}/connections/NAME.toml"
        )
    stored = {one.name: one for one in answers_runs.connections(engine.database)}
    idle = {name for name, one in stored.items() if one.state != "active"}
    for name in sorted(idle & engine.settings.connections.keys()):
        talk(f"{name} is left out: {stored[name].state} ({stored[name].reason})")
    return [name for name in engine.settings.connections if name not in idle]


def _connection_of(engine: Engine, run: int) -> str:
    from syncd.store import answers_runs

    found = answers_runs.runs(engine.database, run=run)
    return (found[0].connection if found else None) or "edit"


class _Answer:
    """What a command says about its runs, and the exit code that they amount to."""

    def __init__(
        self, *, everything: bool = False, json: bool = False, detailed: bool = False
    ) -> None:
        self.limit = 0 if everything or json else FIRST
        self.json = json
        self.detailed = detailed
        self.codes: list[Exit] = []
        self.runs: list[dict[str, Any]] = []

    def failed(self, name: str, error: SyncdError) -> None:
        """A connection that could not even begin; the others go on."""
        self.codes.append(exits.of_error(error))
        self.runs.append({"connection": name, "state": "failed", "code": error.code})
        complain(f"{name}: {error}")

    def add(self, engine: Engine, name: str, outcome: Outcome) -> None:
        """A run that ended, well or badly."""
        from syncd.store import answers_runs

        self.codes.append(exits.of_outcome(outcome, detailed=self.detailed))
        if not outcome.run:  # a file of which no run was made
            self._add_file(name, outcome)
            return
        asked = answers_runs.Asked(run=outcome.run, limit=self.limit)
        changes = answers_runs.changes(engine.database, asked)
        total = answers_runs.count_changes(engine.database, asked)
        aside = answers_runs.set_aside_by(engine.database, outcome.run, self.limit)
        if self.json:
            self.runs.append(_as_data(name, outcome, changes, aside))
            return
        for line in _report(name, outcome, changes, total):
            say(line)
        _say_aside(outcome, aside)
        _say_decision(outcome)

    def _add_file(self, name: str, outcome: Outcome) -> None:
        if self.json:
            self.runs.append(_as_data(name, outcome, [], []))
            return
        for line in describe.file_summary(name, outcome):
            say(line)

    def end(self) -> None:
        """The last word: JSON if it was asked for, and the exit code."""
        if self.json:
            as_json(runs=self.runs)
        raise typer.Exit(exits.worst(self.codes))


def _as_data(
    name: str, outcome: Outcome, changes: list[ChangeLine], aside: list[AsideLine]
) -> dict[str, Any]:
    told = {field: getattr(outcome, field) for field in outcome.__dataclass_fields__}
    listed = [describe.change_json(change) for change in changes]
    quarantine = [describe.aside_json(one) for one in aside]
    return {"connection": name, **told, "changes": listed, "quarantine": quarantine}


def _report(name: str, outcome: Outcome, changes: list[ChangeLine], total: int) -> Iterator[str]:
    yield from describe.summary(name, outcome)
    if not changes:
        return
    yield ""
    for change in changes:
        yield from describe.change_lines(change)
    if total > len(changes):
        left = some(total - len(changes), "more change")
        yield f"… and {left}: --all, or syncd changes --run {outcome.run} --limit 0"


def _say_aside(outcome: Outcome, aside: list[AsideLine]) -> None:
    total = outcome.counts.get("quarantined", 0)
    if aside:
        say()
        describe.say_quarantine(aside)
        more(len(aside), total, "--all shows all")
    elif total:
        talk(f"what sets {some(total, 'record')} aside is told by the sync that does it")


def _say_decision(outcome: Outcome) -> None:
    """What to type next, where a person must decide."""
    for hold in outcome.holds:
        say()
        say("this plan waits for a decision; nothing of it is done until then:")
        say(f"    syncd approve {hold}     do exactly this")
        say(f"    syncd reject {hold}      do nothing of it")
