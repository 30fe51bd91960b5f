"""db: the schema's version, and all that is kept as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import session
from syncd.cli.console import say, talk

if TYPE_CHECKING:
    from syncd.store.database import Database

db = typer.Typer(no_args_is_help=True, help="Upgrade, check or dump the database.")


@contextmanager
def _database(context: typer.Context) -> Iterator[Database]:
    from syncd.store.database import Database

    settings = session.of(context).settings()
    database = Database(settings.database.url.get_secret_value())
    try:
        yield database
    finally:
        database.close()


@db.command()
def upgrade(context: typer.Context) -> None:
    """Bring the schema to the version that this program needs; creates it where there is none."""
    from syncd.store import migrate

    with _database(context) as database:
        before = migrate.version(database)
        migrate.upgrade(database)
    say(f"version {migrate.HEAD}" + ("" if before != migrate.HEAD else ", as it was"))


@db.command()
def check(context: typer.Context) -> None:
    """Say whether the schema is the one that this program needs."""
    from syncd.store import migrate

    with _database(context) as database:
        migrate.check(database)
    say(f"version {migrate.HEAD}")


@db.command()
def dump(
    context: typer.Context,
    *,
    retired: Annotated[bool, typer.Option(help="With what an undo retired.")] = True,
) -> None:
    """Print the whole state, so that equal states are equal texts."""
    from syncd.store import migrate
    from syncd.store.dump import canonical_dump

    with _database(context) as database:
        migrate.check(database)
        text = canonical_dump(database, retired=retired)
    say(text.rstrip("\n"))
    talk(f"{len(text.splitlines())} lines")
