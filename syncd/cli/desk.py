"""clients, sites, users: search the desk, and set values by hand that no source overwrites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import describe, exits, finding, session
from syncd.cli.console import as_json, more, say, table, talk
from syncd.cli.groups import Searchable
from syncd.cli.session import Actor, AsJson, InClient, Limit, whoever
from syncd.entities import Kind
from syncd.errors import UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from syncd.store.answers import Found, Search
    from syncd.store.database import Database
    from syncd.sync.engine import Engine
    from syncd.sync.flow import Outcome

clients = typer.Typer(cls=Searchable, help="List clients, or set their values by hand.")
sites = typer.Typer(cls=Searchable, help="List sites, or set their values by hand.")
users = typer.Typer(cls=Searchable, help="List users, add one, or set values by hand.")

Query = Annotated[
    str, typer.Argument(metavar="[QUERY]", help="Words of names, addresses or references.")
]
Inactive = Annotated[bool, typer.Option("--inactive", help="Only who is inactive.")]
Reference = Annotated[str, typer.Argument(metavar="WHO", help="An address, reference, name or id.")]
Values = Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...")]
Fields = Annotated[
    list[str] | None, typer.Argument(metavar="[FIELD]...", show_default="all set by hand")
]


# -- lists -----------------------------------------------------------------------------------------


@clients.command("list")
def list_clients(
    context: typer.Context,
    query: Query = "",
    *,
    inactive: Inactive = False,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Search clients by name, reference and address."""
    from syncd.store import answers

    search = answers.Search(query, inactive=inactive, limit=limit)
    with session.of(context).engine() as engine:
        found = answers.clients(engine.database, search)
    headings = ("name", "ref", "domain", "top level", "sites", "users", "active")
    rows = [
        (one.name, one.ref, one.domain, one.top_level, one.sites, one.users, one.active)
        for one in found.lines
    ]
    _answer("clients", found, headings, rows, json)


@sites.command("list")
def list_sites(
    context: typer.Context,
    query: Query = "",
    *,
    client: InClient = None,
    inactive: Inactive = False,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Search sites by name, reference and postal address."""
    from syncd.store import answers

    with session.of(context).engine() as engine:
        search = _search(engine.database, query, client, inactive, limit)
        found = answers.sites(engine.database, search)
    headings = ("client", "name", "ref", "address", "role", "users", "active")
    rows = [
        (one.client, one.name, one.ref, one.address, one.role, one.users, one.active)
        for one in found.lines
    ]
    _answer("sites", found, headings, rows, json)


@users.command("list")
def list_users(
    context: typer.Context,
    query: Query = "",
    *,
    client: InClient = None,
    inactive: Inactive = False,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """Search users by name, e-mail, reference and the address of their site."""
    from syncd.store import answers

    with session.of(context).engine() as engine:
        search = _search(engine.database, query, client, inactive, limit)
        found = answers.users(engine.database, search)
    headings = ("client", "site", "name", "e-mail", "job title", "phone", "active")
    rows = [
        (one.client, one.site, one.name, one.email or one.login, one.job_title, one.phone,
         "by client or site: no" if one.active and one.barred else one.active)
        for one in found.lines
    ]  # fmt: skip
    _answer("users", found, headings, rows, json)


def _search(
    database: Database, query: str, client: str | None, inactive: bool, limit: int
) -> Search:
    from syncd.store import answers

    owner = finding.one(database, Kind.CLIENT, client).id if client else None
    return answers.Search(query, owner, inactive, limit)


def _answer(
    what: str, found: Found[Any], headings: tuple[str, ...], rows: list[Any], json: bool
) -> None:
    if json:
        as_json(**{what: found.lines, "total": found.total})
        return
    if not rows:
        talk(f"no {what} found")
        return
    table(headings, rows)
    more(len(found.lines), found.total, "--limit 0 shows all")


# -- values set by hand ----------------------------------------------------------------------------


@clients.command("set")
def set_client(
    context: typer.Context, who: Reference, values: Values, *, actor: Actor = ""
) -> None:
    """Set values by hand; they stay, whatever the sources say. FIELD= empties a field."""
    _set(context, Kind.CLIENT, who, None, values, actor)


@sites.command("set")
def set_site(
    context: typer.Context,
    who: Reference,
    values: Values,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Set values by hand; they stay, whatever the sources say. FIELD= empties a field."""
    _set(context, Kind.SITE, who, client, values, actor)


@users.command("set")
def set_user(
    context: typer.Context,
    who: Reference,
    values: Values,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Set values by hand; they stay, whatever the sources say. FIELD= empties a field."""
    _set(context, Kind.USER, who, client, values, actor)


@clients.command("release")
def release_client(
    context: typer.Context, who: Reference, fields: Fields = None, *, actor: Actor = ""
) -> None:
    """Give values back to the sources."""
    _release(context, Kind.CLIENT, who, None, fields, actor)


@sites.command("release")
def release_site(
    context: typer.Context,
    who: Reference,
    fields: Fields = None,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Give values back to the sources."""
    _release(context, Kind.SITE, who, client, fields, actor)


@users.command("release")
def release_user(
    context: typer.Context,
    who: Reference,
    fields: Fields = None,
    *,
    client: InClient = None,
    actor: Actor = "",
) -> None:
    """Give values back to the sources."""
    _release(context, Kind.USER, who, client, fields, actor)


@users.command("add")
def add_user(
    context: typer.Context,
    values: Values,
    *,
    client: Annotated[str, typer.Option(metavar="CLIENT", help="Whose user it is.")],
    site: Annotated[
        str | None, typer.Option(metavar="SITE", show_default="the client's main site")
    ] = None,
    actor: Actor = "",
) -> None:
    """Add a user by hand; no sync ever deactivates one that no source has named."""
    from syncd.sync import editing

    with session.of(context).engine() as engine:
        owner = finding.one(engine.database, Kind.CLIENT, client).id
        home = finding.one(engine.database, Kind.SITE, site, owner).id if site else None
        outcome = editing.add_user(engine, owner, _assigned(values), actor or whoever(), home)
        _say_done(engine, outcome)


def _set(
    context: typer.Context,
    kind: Kind,
    who: str,
    client: str | None,
    values: list[str],
    actor: str,
) -> None:
    from syncd.sync import editing

    assigned = _assigned(values)
    with session.of(context).engine() as engine:
        entity = _meant(engine.database, kind, who, client)
        _say_done(engine, editing.set_values(engine, kind, entity, assigned, actor or whoever()))


def _release(
    context: typer.Context,
    kind: Kind,
    who: str,
    client: str | None,
    fields: list[str] | None,
    actor: str,
) -> None:
    from syncd.sync import editing

    with session.of(context).engine() as engine:
        entity = _meant(engine.database, kind, who, client)
        _say_done(engine, editing.release(engine, kind, entity, fields or [], actor or whoever()))


def _meant(database: Database, kind: Kind, who: str, client: str | None) -> UUID:
    owner = finding.one(database, Kind.CLIENT, client).id if client else None
    return finding.one(database, kind, who, owner).id


def _assigned(values: list[str]) -> dict[str, Any]:
    """`title=Boss` as a field and its value."""
    assigned = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            raise UsageError(f'"{each}" is not FIELD=VALUE, such as title="Head of IT"')
        assigned[name.strip()] = value
    return assigned


def _say_done(engine: Engine, outcome: Outcome) -> None:
    from syncd.store import answers_runs

    asked = answers_runs.Asked(run=outcome.run, limit=0)
    for change in answers_runs.changes(engine.database, asked):
        for line in describe.change_lines(change):
            say(line)
    talk(f"run {outcome.run} {outcome.state}")
    raise typer.Exit(exits.of_outcome(outcome))
