"""init, check, connections, connectors: from nothing to a configuration that works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import exits, finding, session
from syncd.cli.console import as_json, say, some, table, talk
from syncd.cli.exits import Exit
from syncd.cli.groups import Searchable
from syncd.cli.session import Actor, AsJson, Session, whoever
from syncd.errors import ConfigError, SyncdError

if TYPE_CHECKING:
    from syncd.sync.engine import Engine

TEMPLATES = (
    "syncd.toml",
    "connections/people.toml",
    "connections/payroll.toml",
    "mappings/people.toml",
    "mappings/payroll.toml",
    "samples/people.csv",
    "samples/payroll.csv",
    "samples/drop-folder.toml",
    "samples/separate-sheets.toml",
    "samples/entra.toml",
    "samples/microsoft-csp.toml",
    "samples/clients.csv",
    "samples/sites.csv",
    "samples/users.csv",
)
"""What `init` writes; a wheel holds them as package data, a source tree as config/."""

NOT_CONFIGURED = "not configured"
"""Instead of the state of a connection whose file is gone."""

connections = typer.Typer(cls=Searchable, help="List connections; pause, resume or retire one.")
Connection = Annotated[str, typer.Argument(metavar="CONNECTION")]


# -- init ------------------------------------------------------------------------------------------


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("config"),
) -> None:
    """Write an annotated configuration with sample sheets, and create the database."""
    from syncd import settings
    from syncd.store import migrate
    from syncd.store.database import Database

    folder = session.of(context).folder or folder
    present = [name for name in TEMPLATES if (folder / name).exists()]
    if present:
        raise ConfigError(f"{folder / present[0]} exists already, and nothing is ever overwritten")
    for name in TEMPLATES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_template(name).read_bytes())
        say(str(path))
    loaded = settings.load(folder)
    database = Database(loaded.database.url.get_secret_value())
    try:
        migrate.upgrade(database)
    finally:
        database.close()
    talk(f"the database is {loaded.database.safe_url()}")
    given = "" if folder == Path("config") else f" --config {folder}"
    talk(f"next: syncd{given} check, then syncd{given} plan")


def _template(name: str) -> Traversable:
    packaged = resources.files("syncd") / "templates" / name
    return packaged if packaged.is_file() else Path(__file__).parents[2] / "config" / name


# -- check -----------------------------------------------------------------------------------------


def check(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[CONNECTION]", show_default="all of them")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Check settings, mappings and database, and whether each source can be read."""
    done = [_tried(what, work) for what, work in _checks(session.of(context), name)]
    if json:
        names = ("what", "problem", "note")
        as_json(checks=[dict(zip(names, one[:3], strict=True)) for one in done])
    else:
        for what, problem, note, _ in done:
            said = [part for part in (what, problem, note) if part]
            say(f"{'bad ' if problem else 'note' if note else 'ok  '} {': '.join(said)}")
    raise typer.Exit(exits.worst(code for *_, code in done))


def _tried(what: str, work: Callable[[], str | None]) -> tuple[str, str | None, str | None, Exit]:
    """(what, what is wrong, what should be known all the same, exit code) of one check."""
    try:
        note = work()
    except SyncdError as error:
        return what, str(error), None, exits.of_error(error)
    return what, None, note, Exit.DONE


def _checks(used: Session, name: str | None) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """What there is to check, each thing once those before it were."""
    from syncd.sync.engine import Engine

    settings = used.settings()  # nothing can be said about the rest without them
    yield f"settings in {settings.folder}", lambda: None
    engine = Engine.open(settings, check=False)
    yield f"database {settings.database.safe_url()}", lambda: _check_database(engine)
    for one in [name] if name else settings.connections:
        settings.connection(one)
        yield f"{one}: mapping", partial(_check_mapping, engine, one)
        yield f"{one}: source", partial(_check_source, engine, one)
    if not name:
        for unused, error in settings.unusable.items():
            yield f"mapping {unused}, which no connection uses", partial(_refuse, error)
    engine.database.close()


def _refuse(error: SyncdError) -> None:
    raise error


def _check_mapping(engine: Engine, name: str) -> None:
    engine.rules(name)


def _check_source(engine: Engine, name: str) -> str | None:
    from syncd.sync import standing

    told = standing.diagnose(engine, name)
    unlisted = _note_unlisted(engine, name)
    return "\n     ".join([*told, *([unlisted] if unlisted else [])]) or None


def _note_unlisted(engine: Engine, name: str) -> str | None:
    """What should be known of a source that can be read; nothing while the database cannot."""
    from syncd.store import answers_partitions

    try:
        gone = answers_partitions.unlisted(engine.database, name)
    except SyncdError:  # the line about the database says what is wrong with it
        return None
    if not gone:
        return None
    return (
        f"{some(len(gone), 'partition')} not listed any more: syncd connections partitions {name}"
    )


def _check_database(engine: Engine) -> None:
    from syncd.store import answers, migrate

    try:
        migrate.check(engine.database)
    except Exception as error:
        if (explained := answers.explained(error)) is None:
            raise
        raise explained from None


# -- connections and connectors --------------------------------------------------------------------


@connections.command("list")
def list_connections(context: typer.Context, *, json: AsJson = False) -> None:
    """List the configured connections, and how their last runs went."""
    from syncd.store import answers_partitions, answers_runs

    with session.of(context).engine() as engine:
        used = {one.name: one for one in answers_runs.connections(engine.database)}
        partitions = answers_partitions.counted(engine.database)
        configured = engine.settings.connections
    lines: list[dict[str, Any]] = []
    for name in sorted({*configured, *used}):
        stored, chosen = used.get(name), configured.get(name)
        lines.append(
            {
                "name": name,
                "connector": chosen.connector if chosen else (stored and stored.connector),
                "configured": chosen is not None,
                "state": stored.state if stored else "never used",
                "reason": stored.reason if stored else None,
                "last_run": stored.last_run if stored else None,
                "last_state": stored.last_state if stored else None,
                "last_at": stored.last_at if stored else None,
                "quarantined": stored.quarantined if stored else 0,
                "waiting": stored.waiting if stored else 0,
                "partitions": partitions.get(name, {}),
            }
        )
    if json:
        as_json(connections=lines)
        return
    headings = ("name", "connector", "state", "last_run", "last_state", "last_at", "quarantined")
    cells = [
        [*({**line, "state": _state(line)}[one] for one in headings), _told(line["partitions"])]
        for line in lines
    ]
    table((*headings, "partitions"), cells)
    for line in lines:
        if line["state"] in ("paused", "retired"):
            talk(f"{line['name']} is {line['state']}: {line['reason']}")
        if _state(line) == NOT_CONFIGURED:
            how = f"if it is gone for good: syncd connections retire {line['name']}"
            talk(f"{line['name']} is not configured any more, so nobody reads it; {how}")
        if line["partitions"].get("unlisted"):
            how = f"syncd connections partitions {line['name']}"
            talk(f"{line['name']} has partitions that are not listed any more: {how}")


def _state(line: Mapping[str, Any]) -> str:
    """What a person should know first: whatever the state, nobody reads it without its file."""
    known = line["configured"] or line["state"] == "retired"
    return str(line["state"]) if known else NOT_CONFIGURED


def _told(partitions: Mapping[str, int]) -> str:
    """`12, 2 unlisted, 1 retired`; nothing where there is nothing to tell apart."""
    others = [f"{count} {state}" for state, count in partitions.items() if state != "listed"]
    total = sum(partitions.values())
    return ", ".join([str(total), *sorted(others)]) if total > 1 or others else ""


@connections.command("partitions")
def list_partitions(context: typer.Context, name: Connection, *, json: AsJson = False) -> None:
    """List the partitions of a connection, and which of them the source lists no more."""
    from syncd.store import answers_partitions

    with session.of(context).engine() as engine:
        finding.known_connection(engine, name)
        found = answers_partitions.partitions(engine.database, name)
    if json:
        as_json(partitions=found)
        return
    headings = ("key", "name", "state", "last_run", "last_state", "last_at", "users")
    table(headings, [[getattr(one, heading) for heading in headings] for one in found])
    for one in found:
        if one.waiting is not None:
            talk(f"plan {one.waiting} of {one.name} waits for a decision: syncd review")


@connections.command("pause")
def pause(
    context: typer.Context,
    name: Connection,
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever wonders.")] = "paused by hand",
    actor: Actor = "",
) -> None:
    """Keep a connection from syncing until someone resumes it."""
    from syncd.sync import connections as switches

    with session.of(context).engine() as engine:
        row = switches.pause(engine, name, reason, actor or whoever())
    say(f"{row.name} is {row.state}")


def connectors(*, json: AsJson = False) -> None:
    """List the installed connectors."""
    from syncd.connectors import base

    found = base.installed()
    if json:
        as_json(connectors=found)
        return
    for name in found:
        say(name)
